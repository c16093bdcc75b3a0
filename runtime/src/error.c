/* Status names, error texts and notes. */
#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *weft_status_name(weft_status status) {
  switch (status) {
  case WEFT_OK: return "ok";
  case WEFT_ERR_ARGUMENT: return "argument";
  case WEFT_ERR_DIM: return "dim";
  case WEFT_ERR_INDEX: return "index";
  case WEFT_ERR_LENGTH: return "length";
  case WEFT_ERR_IO: return "io";
  case WEFT_ERR_FORMAT: return "format";
  case WEFT_ERR_MISSING: return "missing";
  case WEFT_ERR_MEMORY: return "memory";
  case WEFT_ERR_CPU: return "cpu";
  case WEFT_ERR_ABI: return "abi";
  case WEFT_ERR_BUSY: return "busy";
  case WEFT_ERR_UNSUPPORTED: return "unsupported";
  case WEFT_ERR_NUMERIC: return "numeric";
  case WEFT_ERR_LIMIT: return "limit";
  }
  return "unknown";
}

weft_status weft_fail(weft_error *error, weft_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return status;
}

void weft_error_prefix(weft_error *error, const char *prefix) {
  weft_error old = *error;
  snprintf(error->text, sizeof error->text, "%.200s: %.390s", prefix, old.text);
}

size_t weft_utf8_length(const char *text, size_t left) {
  const unsigned char *s = (const unsigned char *)text;
  if (s[0] < 0x80) return 1;
  if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
  size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (left < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((s[i] & 0xc0) != 0x80) return 0;
  /* Longer than needed, surrogates, past the last code point. */
  const unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
  return s[1] < low || s[1] > high ? 0 : length;
}

weft_quoted weft_quote(const char *name) {
  weft_quoted quoted;
  size_t used = 0;
  const unsigned char *s = (const unsigned char *)name;
  while (*s) {
    if (used > 120) {
      memcpy(quoted.text + used, "...", 3);
      used += 3;
      break;
    }
    size_t length = weft_utf8_length((const char *)s, 4); /* the zero at the end is no continuation */
    /* C1 control characters (U+0080..U+009F) steer terminals as the C0 ones do. */
    bool control = *s < 0x20 || *s == 0x7f || length == 0 || (s[0] == 0xc2 && s[1] < 0xa0);
    if (control) {
      used += (size_t)snprintf(quoted.text + used, 5, "\\x%02x", *s);
      ++s;
    } else {
      memcpy(quoted.text + used, s, length);
      used += length;
      s += length;
    }
  }
  quoted.text[used] = 0;
  return quoted;
}

weft_shape_text weft_format_shape(const int64_t *shape, int32_t rank) {
  weft_shape_text result;
  size_t used = 0;
  result.text[used++] = '[';
  for (int32_t i = 0; i < rank; ++i)
    used += (size_t)snprintf(result.text + used, sizeof result.text - used, i ? ", %lld" : "%lld", (long long)shape[i]);
  snprintf(result.text + used, sizeof result.text - used, "]");
  return result;
}

void weft_log(weft_log_fn log, void *user, weft_log_level level, const char *format, ...) {
  if (!log) return;
  char text[600];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  log(user, level, text);
}

enum { MAX_WORD = 96 };

/* Levenshtein distance of two words of at most MAX_WORD bytes. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t row[MAX_WORD + 1];
  for (size_t j = 0; j <= b_length; ++j) row[j] = j;
  for (size_t i = 1; i <= a_length; ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_length; ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
      row[j] = replaced < best ? replaced : best;
    }
  }
  return row[b_length];
}

const char *weft_closest(const char *name, const char *(*at)(const void *context, int64_t index), const void *context,
                         int64_t count) {
  size_t length = strlen(name);
  if (length > MAX_WORD) return NULL;
  const char *best = NULL;
  size_t best_distance = length / 3 + 2;
  if (count > 4096) count = 4096; /* a hint is not worth more time */
  for (int64_t i = 0; i < count; ++i) {
    const char *word = at(context, i);
    size_t word_length = strlen(word);
    if (!word_length || word_length > MAX_WORD) continue;
    /* A prefix ("model.", "transformer.") is the usual difference between two exports of one model. */
    if (word_length > length && word[word_length - length - 1] == '.' && !strcmp(word + word_length - length, name)) return word;
    if (length > word_length && name[length - word_length - 1] == '.' && !strcmp(name + length - word_length, word)) return word;
    size_t d = distance(name, length, word, word_length);
    if (d < best_distance) {
      best_distance = d;
      best = word;
    }
  }
  return best;
}
