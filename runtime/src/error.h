/* Error texts of handles: set once per failure, one line, control bytes of foreign names escaped. */
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include "weft/status.h"

#include <stdarg.h>

#pragma GCC visibility push(hidden)

typedef struct weft_error {
  char text[600];
} weft_error;

/* Formats the text and returns `status`, so that failing is one statement. */
__attribute__((format(printf, 3, 4))) weft_status weft_fail(weft_error *error, weft_status status, const char *format, ...);

/* Puts "prefix" and a colon in front of the text. */
void weft_error_prefix(weft_error *error, const char *prefix);

/* A name from a file as it may stand in a message: control bytes and invalid UTF-8 escaped, cut after 120 bytes. */
typedef struct weft_quoted {
  char text[160];
} weft_quoted;
weft_quoted weft_quote(const char *name);

/* Bytes of the valid UTF-8 sequence that begins at `text`, of which `left` (at least 1) may be read; 0: there is none. */
size_t weft_utf8_length(const char *text, size_t left);

/* Shape as "[2, 3]"; at most 8 axes. */
typedef struct weft_shape_text {
  char text[180];
} weft_shape_text;
weft_shape_text weft_format_shape(const int64_t *shape, int32_t rank);

/* Sends one formatted line to a log function, if there is one. */
__attribute__((format(printf, 4, 5))) void weft_log(weft_log_fn log, void *user, weft_log_level level, const char *format, ...);

/* Names the candidate closest to `name` if it is close enough to be a slip, else NULL. `at(context, i)` gives them; "" is none. */
const char *weft_closest(const char *name, const char *(*at)(const void *context, int64_t index), const void *context,
                         int64_t count);

#pragma GCC visibility pop
#endif /* WEFT_ERROR_H */
