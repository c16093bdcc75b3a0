/* Checks for the runtime's tests: a failed one says where and what, and the test goes on and fails at the end. */
#ifndef WEFT_TEST_CHECK_H
#define WEFT_TEST_CHECK_H

#include <stdio.h>
#include <string.h>

/* Sanitizers have an allocator of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static int check_failures;

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);       \
      ++check_failures;                                                              \
    }                                                                                \
  } while (0)

#define CHECK_EQUAL(got, wanted)                                                                            \
  do {                                                                                                      \
    long long got_ = (long long)(got), wanted_ = (long long)(wanted);                                       \
    if (got_ != wanted_) {                                                                                  \
      fprintf(stderr, "%s:%d: expected %s to be %lld but got %lld\n", __FILE__, __LINE__, #got, wanted_, got_); \
      ++check_failures;                                                                                     \
    }                                                                                                       \
  } while (0)

#define CHECK_TEXT(got, wanted)                                                                               \
  do {                                                                                                        \
    const char *got_ = (got), *wanted_ = (wanted);                                                            \
    if (strcmp(got_, wanted_)) {                                                                              \
      fprintf(stderr, "%s:%d: expected \"%s\" but got \"%s\"\n", __FILE__, __LINE__, wanted_, got_);          \
      ++check_failures;                                                                                       \
    }                                                                                                         \
  } while (0)

#define CHECK_CONTAINS(got, part)                                                                             \
  do {                                                                                                        \
    const char *got_ = (got), *part_ = (part);                                                                \
    if (!strstr(got_, part_)) {                                                                               \
      fprintf(stderr, "%s:%d: expected a text with \"%s\" but got \"%s\"\n", __FILE__, __LINE__, part_, got_); \
      ++check_failures;                                                                                       \
    }                                                                                                         \
  } while (0)

static inline int check_result(void) {
  if (check_failures) fprintf(stderr, "%d checks failed\n", check_failures);
  return check_failures != 0;
}

#endif /* WEFT_TEST_CHECK_H */
