/* A scanner for the small JSON headers of tensor files: iterative, total, strings decoded in place. */
#ifndef WEFT_JSON_H
#define WEFT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* `failure` is set once, to the reason of the first failure; afterwards every call fails. */
typedef struct weft_json {
  char *begin, *at, *end;
  const char *failure;
} weft_json;

/* `text` is changed while strings are decoded, and needs no terminator. */
void weft_json_begin(weft_json *json, char *text, size_t bytes);

/* Skips white space; the next byte, or 0 at the end. */
char weft_json_peek(weft_json *json);
/* Takes this byte (after white space). */
bool weft_json_take(weft_json *json, char byte);
/* After an element of a list: true and *more says whether another follows; `close` ends it. */
bool weft_json_next(weft_json *json, char close, bool *more);
/* A string, decoded and zero-terminated in place. Strings with a zero byte or invalid UTF-8 fail. */
bool weft_json_string(weft_json *json, char **out, size_t *length);
/* A non-negative integer without fraction or exponent, at most INT64_MAX. */
bool weft_json_integer(weft_json *json, int64_t *out);
/* Any value, checked and forgotten; its text is overwritten. Nesting takes no memory. */
bool weft_json_skip(weft_json *json);
/* Only white space is left. */
bool weft_json_finish(weft_json *json);
bool weft_json_fail(weft_json *json, const char *failure);

#pragma GCC visibility pop
#endif /* WEFT_JSON_H */
