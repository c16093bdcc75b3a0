/* The JSON scanner. Strings only get shorter when decoded, so they are decoded where they stand. */
#include "json.h"

#include "error.h"

#include <string.h>

void weft_json_begin(weft_json *json, char *text, size_t bytes) {
  json->begin = json->at = text;
  json->end = text + bytes;
  json->failure = NULL;
}

bool weft_json_fail(weft_json *json, const char *failure) {
  json->failure = failure; /* the first: afterwards no call gets here */
  return false;
}

char weft_json_peek(weft_json *json) {
  while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) ++json->at;
  return json->at < json->end ? *json->at : 0;
}

bool weft_json_take(weft_json *json, char byte) {
  if (json->failure) return false;
  if (weft_json_peek(json) == byte) { /* never 0, which stands for the end */
    ++json->at;
    return true;
  }
  return weft_json_fail(json, byte == '{' ? "expected '{'" : byte == '[' ? "expected '['" : "expected ':'"); /* closing ones are seen before they are taken */
}

bool weft_json_next(weft_json *json, char close, bool *more) {
  if (json->failure) return false;
  char next = weft_json_peek(json);
  if (next == ',') {
    ++json->at;
    *more = true;
    return weft_json_peek(json) == close ? weft_json_fail(json, "expected a value after ','") : true;
  }
  *more = false;
  if (next != close) return weft_json_fail(json, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
  ++json->at;
  return true;
}

static bool hex4(weft_json *json, uint32_t *out) {
  if (json->end - json->at < 4) return false;
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    char c = *json->at++;
    uint32_t digit;
    if (c >= '0' && c <= '9') digit = (uint32_t)(c - '0');
    else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
    else return false;
    value = value * 16 + digit;
  }
  *out = value;
  return true;
}

static char *put_utf8(char *to, uint32_t code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xc0 | code >> 6);
    *to++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *to++ = (char)(0xe0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  } else {
    *to++ = (char)(0xf0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3f));
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  }
  return to;
}

static bool escape(weft_json *json, char **to) {
  if (json->at >= json->end) return weft_json_fail(json, "a string does not end");
  char c = *json->at++;
  switch (c) {
  case '"': case '\\': case '/': *(*to)++ = c; return true;
  case 'b': *(*to)++ = '\b'; return true;
  case 'f': *(*to)++ = '\f'; return true;
  case 'n': *(*to)++ = '\n'; return true;
  case 'r': *(*to)++ = '\r'; return true;
  case 't': *(*to)++ = '\t'; return true;
  case 'u': break;
  default: return weft_json_fail(json, "a string holds an unknown escape");
  }
  uint32_t code, low;
  if (!hex4(json, &code)) return weft_json_fail(json, "expected four hexadecimal digits after '\\u'");
  if (code == 0) return weft_json_fail(json, "a string holds a zero byte");
  if (code >= 0xdc00 && code <= 0xdfff) return weft_json_fail(json, "a string holds half of a surrogate pair");
  if (code >= 0xd800 && code <= 0xdbff) {
    if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
      return weft_json_fail(json, "a string holds half of a surrogate pair");
    json->at += 2;
    if (!hex4(json, &low) || low < 0xdc00 || low > 0xdfff)
      return weft_json_fail(json, "a string holds half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  *to = put_utf8(*to, code);
  return true;
}

bool weft_json_string(weft_json *json, char **out, size_t *length) {
  if (json->failure) return false;
  if (weft_json_peek(json) != '"') return weft_json_fail(json, "expected a string");
  char *start = ++json->at, *to = start;
  for (;;) {
    if (json->at >= json->end) return weft_json_fail(json, "a string does not end");
    unsigned char c = (unsigned char)*json->at;
    if (c == '"') break;
    if (c < 0x20) return weft_json_fail(json, "a string holds a control character");
    if (c == '\\') {
      ++json->at;
      if (!escape(json, &to)) return false;
    } else if (c < 0x80) {
      *to++ = *json->at++;
    } else {
      size_t bytes = weft_utf8_length(json->at, (size_t)(json->end - json->at));
      if (!bytes) return weft_json_fail(json, "a string is not valid UTF-8");
      memmove(to, json->at, bytes);
      to += bytes;
      json->at += bytes;
    }
  }
  ++json->at;
  *to = 0;
  *out = start;
  *length = (size_t)(to - start);
  return true;
}

bool weft_json_integer(weft_json *json, int64_t *out) {
  if (json->failure) return false;
  char first = weft_json_peek(json);
  if (first < '0' || first > '9') return weft_json_fail(json, "expected a non-negative integer");
  int64_t value = 0;
  const char *start = json->at;
  while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
    int digit = *json->at++ - '0';
    if (value > (INT64_MAX - digit) / 10) return weft_json_fail(json, "an integer is too large");
    value = value * 10 + digit;
  }
  if (*start == '0' && json->at - start > 1) return weft_json_fail(json, "a number starts with 0");
  if (json->at < json->end && (*json->at == '.' || *json->at == 'e' || *json->at == 'E'))
    return weft_json_fail(json, "expected a non-negative integer");
  *out = value;
  return true;
}

static bool digits(weft_json *json) {
  const char *start = json->at;
  while (json->at < json->end && *json->at >= '0' && *json->at <= '9') ++json->at;
  return json->at > start;
}

static bool skip_number(weft_json *json) {
  if (*json->at == '-') ++json->at;
  const char *start = json->at;
  if (!digits(json) || (*start == '0' && json->at - start > 1)) return weft_json_fail(json, "expected a value");
  if (json->at < json->end && *json->at == '.') {
    ++json->at;
    if (!digits(json)) return weft_json_fail(json, "a number is not complete");
  }
  if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
    ++json->at;
    if (json->at < json->end && (*json->at == '+' || *json->at == '-')) ++json->at;
    if (!digits(json)) return weft_json_fail(json, "a number is not complete");
  }
  return true;
}

static bool skip_scalar(weft_json *json, char first) {
  static const char *const words[] = {"true", "false", "null"};
  if (first == '"') {
    char *text;
    size_t length;
    return weft_json_string(json, &text, &length);
  }
  for (int i = 0; i < 3; ++i) {
    size_t length = strlen(words[i]);
    if ((size_t)(json->end - json->at) >= length && !memcmp(json->at, words[i], length)) {
      json->at += length;
      return true;
    }
  }
  if (first == '-' || (first >= '0' && first <= '9')) return skip_number(json);
  return weft_json_fail(json, "expected a value");
}

static bool skip_key(weft_json *json) {
  char *key;
  size_t length;
  return weft_json_string(json, &key, &length) && weft_json_take(json, ':');
}

bool weft_json_skip(weft_json *json) {
  /* What closes the open values is noted in the text that is behind: each of them took a byte there. */
  weft_json_peek(json);
  char *closers = json->at;
  int64_t depth = 0;
  for (;;) {
    if (json->failure) return false;
    char first = weft_json_peek(json);
    if (first == '{' || first == '[') {
      char close = first == '{' ? '}' : ']';
      ++json->at;
      if (weft_json_peek(json) == close) {
        ++json->at; /* empty: a complete value */
      } else {
        closers[depth++] = close;
        if (close == '}' && !skip_key(json)) return false;
        continue;
      }
    } else if (!skip_scalar(json, first)) {
      return false;
    }
    bool more = false;
    while (depth > 0 && !more) {
      if (!weft_json_next(json, closers[depth - 1], &more)) return false;
      if (!more) --depth;
    }
    if (depth == 0) return true;
    if (closers[depth - 1] == '}' && !skip_key(json)) return false;
  }
}

bool weft_json_finish(weft_json *json) {
  if (json->failure) return false;
  weft_json_peek(json);
  return json->at == json->end ? true : weft_json_fail(json, "expected the end of the header");
}
