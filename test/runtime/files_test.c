/* The system's file operations: what each answers when it can't, and the loops over partial reads and writes. */
#include "check.h"
#include "fileops.h"
#include "scratch_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[100], path[200];
#define SYSTEM weft_system_files()

static void every_operation_says_why_not(void) {
  char buffer[8];
  int64_t size;
  bool answer;
  CHECK_EQUAL(SYSTEM->open_read(NULL, NULL, "/nowhere/x"), -ENOENT);
  CHECK_EQUAL(SYSTEM->open_read(NULL, "/nowhere", "x"), -ENOENT);
  CHECK_EQUAL(SYSTEM->open_read(NULL, folder, "x"), -ENOENT);
  CHECK_EQUAL(SYSTEM->create(NULL, "/nowhere/x"), -ENOENT);
  CHECK_EQUAL(SYSTEM->close(NULL, -1), -EBADF);
  CHECK_EQUAL(SYSTEM->size(NULL, -1, &size, &answer), -EBADF);
  CHECK_EQUAL(SYSTEM->read(NULL, -1, buffer, sizeof buffer, 0), -EBADF);
  CHECK_EQUAL(SYSTEM->write(NULL, -1, buffer, sizeof buffer), -EBADF);
  CHECK_EQUAL(SYSTEM->sync(NULL, -1), -EBADF);
  CHECK_EQUAL(SYSTEM->sync_directory(NULL, "/nowhere"), -ENOENT);
  CHECK_EQUAL(SYSTEM->sync_directory(NULL, "/proc"), 0); /* it has nothing to sync */
  CHECK_EQUAL(SYSTEM->rename(NULL, "/nowhere/x", "/nowhere/y"), -ENOENT);
  CHECK_EQUAL(SYSTEM->remove(NULL, "/nowhere/x"), -ENOENT);
  CHECK_EQUAL(SYSTEM->make_directory(NULL, folder), -EEXIST);
  CHECK_EQUAL(SYSTEM->remove_directory(NULL, "/nowhere"), -ENOENT);
  CHECK_EQUAL(SYSTEM->is_special(NULL, "/nowhere", &answer), 0);
  CHECK(!answer);
  CHECK_EQUAL(SYSTEM->is_special(NULL, folder, &answer), 0);
  CHECK(answer);
  CHECK_EQUAL(SYSTEM->is_special(NULL, "/dev/null/x", &answer), -ENOTDIR);
}

static int stop_at(void *context, const char *name) {
  const char *wanted = context;
  return strcmp(name, wanted) ? 0 : 7;
}

static void a_walk_over_a_folder_ends_where_the_visitor_says(void) {
  close(open(path, O_CREAT | O_WRONLY, 0666));
  CHECK_EQUAL(SYSTEM->list(NULL, folder, stop_at, "file"), 7);
  CHECK_EQUAL(SYSTEM->list(NULL, folder, stop_at, "other"), 0);
  CHECK_EQUAL(SYSTEM->list(NULL, "/nowhere", stop_at, "x"), -ENOENT);
  unlink(path);
}

static void a_name_in_a_folder_is_no_link(void) {
  CHECK_EQUAL(symlink("/dev/null", path), 0);
  CHECK_EQUAL(SYSTEM->open_read(NULL, folder, "file"), -ELOOP);
  unlink(path);
}

/* ---- Loops ------------------------------------------------------------------------------------------------------ */

/* Answers in turn what `script` says; a number above 0: so many bytes at most. */
typedef struct script {
  const int64_t *answers;
  int64_t most; /* asked for at once */
} script;

static int64_t answer(void *user, size_t bytes) {
  script *s = user;
  if ((int64_t)bytes > s->most) s->most = (int64_t)bytes;
  int64_t next = *s->answers++;
  return next > (int64_t)bytes ? (int64_t)bytes : next;
}
static int64_t scripted_read(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  (void)file, (void)buffer, (void)offset;
  return answer(user, bytes);
}
static int64_t scripted_write(void *user, int file, const void *data, size_t bytes) {
  (void)file, (void)data;
  return answer(user, bytes);
}

static void partial_reads_and_writes_go_on(void) {
  enum { MANY = 200 << 20, AT_ONCE = 1 << 26 };
  static const int64_t all[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, slow[] = {3, -EINTR, -EAGAIN, 2, INT64_MAX}, ends[] = {3, 0}, fails[] = {3, -EIO},
                       interrupted[] = {-EINTR, 10};
  /* Never touched: the operations only count. */
  char *memory = mmap(NULL, MANY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  script s = {all, 0};
  weft_file_ops files = {.user = &s, .read = scripted_read, .write = scripted_write};
  CHECK_EQUAL(weft_read_fully(&files, 1, memory, MANY, 0), 0);
  CHECK_EQUAL(s.most, AT_ONCE);
  s = (script){all, 0};
  CHECK_EQUAL(weft_write_fully(&files, 1, memory, MANY), 0);
  CHECK_EQUAL(s.most, AT_ONCE);
  munmap(memory, MANY);
  char bytes[10];
  s.answers = slow;
  CHECK_EQUAL(weft_read_fully(&files, 1, bytes, 10, 0), 0);
  s.answers = ends;
  CHECK_EQUAL(weft_read_fully(&files, 1, bytes, 10, 0), -ENODATA);
  const weft_errno_text early = weft_errno(-ENODATA);
  CHECK_TEXT(early.text, "the file ends too early");
  s.answers = fails;
  CHECK_EQUAL(weft_read_fully(&files, 1, bytes, 10, 0), -EIO);
  s.answers = interrupted;
  CHECK_EQUAL(weft_write_fully(&files, 1, bytes, 10), 0);
  s.answers = ends; /* a write of nothing would go on for ever */
  CHECK_EQUAL(weft_write_fully(&files, 1, bytes, 10), -EIO);
  s.answers = fails;
  CHECK_EQUAL(weft_write_fully(&files, 1, bytes, 10), -EIO);
}

static void a_path_is_in_a_folder(void) {
  static const char *const cases[][2] = {{"a", "."}, {"a/b", "a"}, {"/a", "/"}, {"a/b//", "a"}, {"/", "/"}, {"a/", "."}, {"/a/b/c", "/a/b"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char text[20];
    snprintf(text, sizeof text, "%s", cases[i][0]);
    weft_folder_of(text);
    CHECK_TEXT(text, cases[i][1]);
  }
}

int main(void) {
  scratch_folder(folder, sizeof folder, "files");
  snprintf(path, sizeof path, "%s/file", folder);
  every_operation_says_why_not();
  a_walk_over_a_folder_ends_where_the_visitor_says();
  a_name_in_a_folder_is_no_link();
  partial_reads_and_writes_go_on();
  a_path_is_in_a_folder();
  CHECK_EQUAL(rmdir(folder), 0);
  return check_result();
}
