/* Philox against its published values, conversions between element types exhaustively, checked sizes. */
#include "check.h"
#include "error.h"
#include "checked.h"
#include "weft/runtime.h"

#include <math.h>
#include <stdint.h>

static void philox_gives_its_published_values(void) {
  /* From the known-answer tests of Random123. */
  static const uint32_t cases[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (int i = 0; i < 3; ++i) {
    uint32_t out[4];
    weft_philox4x32(cases[i] + 4, cases[i], out);
    for (int j = 0; j < 4; ++j) CHECK_EQUAL(out[j], cases[i][6 + j]);
  }
}

static double half_value(uint16_t half, int exponent_bits, int mantissa_bits) {
  int sign = half >> 15, exponent = half >> mantissa_bits & ((1 << exponent_bits) - 1), mantissa = half & ((1 << mantissa_bits) - 1);
  int bias = (1 << (exponent_bits - 1)) - 1;
  double value;
  if (exponent == (1 << exponent_bits) - 1) value = mantissa ? NAN : INFINITY;
  else if (exponent) value = ldexp(1 + ldexp(mantissa, -mantissa_bits), exponent - bias);
  else value = ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign ? -value : value;
}

static void check_half_type(int32_t dtype, int exponent_bits, int mantissa_bits) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = (uint16_t)bits, back;
    double expected = half_value(half, exponent_bits, mantissa_bits), wide;
    float value;
    CHECK_EQUAL(weft_convert(&value, WEFT_F32, &half, dtype, 1), WEFT_OK);
    CHECK_EQUAL(weft_convert(&wide, WEFT_F64, &half, dtype, 1), WEFT_OK);
    CHECK(expected != expected ? value != value : (double)value == expected && wide == expected);
    CHECK_EQUAL(weft_convert(&back, dtype, &value, WEFT_F32, 1), WEFT_OK);
    CHECK(expected != expected ? half_value(back, exponent_bits, mantissa_bits) != half_value(back, exponent_bits, mantissa_bits) : back == half);
    /* Between neighbours: nearest, ties to even, from f32 and from f64. */
    double next = half_value((uint16_t)(half + 1), exponent_bits, mantissa_bits);
    if (bits >= 0x8000 || !(expected < INFINITY) || !(next < INFINITY)) continue;
    double middle = expected + (next - expected) / 2;
    const double points[] = {middle, nextafter(middle, expected), nextafter(middle, next), nextafter(expected, next), nextafter(next, expected)};
    const uint16_t wanted[] = {(uint16_t)(half & 1 ? half + 1 : half), half, (uint16_t)(half + 1), half, (uint16_t)(half + 1)};
    for (int i = 0; i < 5; ++i) {
      double negative = -points[i];
      weft_convert(&back, dtype, &points[i], WEFT_F64, 1);
      CHECK_EQUAL(back, wanted[i]);
      weft_convert(&back, dtype, &negative, WEFT_F64, 1);
      CHECK_EQUAL(back, wanted[i] | 0x8000);
      float single = (float)points[i];
      if ((double)single != points[i]) continue;
      weft_convert(&back, dtype, &single, WEFT_F32, 1);
      CHECK_EQUAL(back, wanted[i]);
    }
  }
  uint16_t back;
  const double large[] = {1e300, -1e300, 1e-300, 65519.99, 65520};
  for (int i = 0; i < 5; ++i) {
    weft_convert(&back, dtype, &large[i], WEFT_F64, 1);
    double value = half_value(back, exponent_bits, mantissa_bits);
    if (i < 2) CHECK(isinf(value) && (value > 0) == (large[i] > 0));
    if (i == 2) CHECK(value == 0);
    if (i == 3 && dtype == WEFT_F16) CHECK(value == 65504);
    if (i == 4 && dtype == WEFT_F16) CHECK(isinf(value));
  }
}

static void converts(void) {
  check_half_type(WEFT_F16, 5, 10);
  check_half_type(WEFT_BF16, 8, 7);
  int32_t whole[2] = {1, -7}, copy[2];
  CHECK_EQUAL(weft_convert(copy, WEFT_I32, whole, WEFT_I32, 2), WEFT_OK);
  CHECK(copy[1] == -7);
  CHECK_EQUAL(weft_convert(copy, WEFT_F32, whole, WEFT_I32, 2), WEFT_ERR_UNSUPPORTED);
  CHECK_EQUAL(weft_convert(copy, 99, whole, WEFT_I32, 2), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_convert(copy, WEFT_I32, whole, WEFT_I32, -1), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_convert(NULL, WEFT_I32, NULL, WEFT_I32, 0), WEFT_OK);
  CHECK_EQUAL(weft_convert(copy, WEFT_I32, whole, 99, 2), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_convert(NULL, WEFT_I32, whole, WEFT_I32, 2), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_convert(copy, WEFT_I32, NULL, WEFT_I32, 2), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_convert(copy, WEFT_I32, whole, WEFT_F32, 2), WEFT_ERR_UNSUPPORTED);
  const double odd_values[] = {NAN, 1.0 / 3, -1.0 / 3, 1e-60, -1e-60, 0x1.000001p0};
  for (size_t i = 0; i < sizeof odd_values / sizeof *odd_values; ++i) {
    uint16_t bits;
    float back;
    CHECK_EQUAL(weft_convert(&bits, WEFT_BF16, &odd_values[i], WEFT_F64, 1), WEFT_OK);
    CHECK_EQUAL(weft_convert(&back, WEFT_F32, &bits, WEFT_BF16, 1), WEFT_OK);
    CHECK(odd_values[i] != odd_values[i] ? back != back : fabs((double)back - odd_values[i]) <= 0x1p-8 * fabs(odd_values[i]) + 1e-40);
  }
  const uint16_t half_one = 0x3c00, brain_one = 0x3f80;
  uint16_t other;
  CHECK_EQUAL(weft_convert(&other, WEFT_BF16, &half_one, WEFT_F16, 1), WEFT_OK);
  CHECK_EQUAL(other, brain_one);
  CHECK_EQUAL(weft_convert(&other, WEFT_F16, &brain_one, WEFT_BF16, 1), WEFT_OK);
  CHECK_EQUAL(other, half_one);
  char odd[9] = {0};
  float one = 1;
  uint16_t half;
  memcpy(odd + 1, &one, 4);
  CHECK_EQUAL(weft_convert(&half, WEFT_F16, odd + 1, WEFT_F32, 1), WEFT_OK);
  CHECK_EQUAL(half, 0x3c00);
  CHECK_EQUAL(weft_dtype_size(WEFT_BOOL), 1);
  CHECK_EQUAL(weft_dtype_size(-1), 0);
  CHECK_TEXT(weft_dtype_name(WEFT_BF16), "bf16");
  CHECK_TEXT(weft_dtype_name(9), "?");
  CHECK_TEXT(weft_dtype_name(-1), "?");
}

static void names_things(void) {
  char text[64], small[8];
  CHECK_TEXT(weft_cpu_features_text(WEFT_CPU_AVX512F | WEFT_CPU_AVX512VL, text, sizeof text), "avx512f, avx512vl");
  CHECK_TEXT(weft_cpu_features_text(0, text, sizeof text), "");
  CHECK(strlen(weft_cpu_features_text(~(uint64_t)0, small, sizeof small)) < sizeof small);
  for (int i = WEFT_OK; i <= WEFT_ERR_LIMIT; ++i) CHECK(strcmp(weft_status_name((weft_status)i), "unknown"));
  CHECK_TEXT(weft_status_name((weft_status)99), "unknown");
  CHECK(weft_cpu_count() >= 1);
}

static void checks_sizes(void) {
  int64_t out;
  CHECK(weft_ck_add(1, 2, &out) && out == 3);
  CHECK(!weft_ck_add(INT64_MAX, 1, &out) && !weft_ck_add(-1, 2, &out));
  CHECK(!weft_ck_mul(INT64_MAX, 2, &out) && !weft_ck_mul(-1, 0, &out));
  CHECK(weft_ck_align(65, 64, &out) && out == 128);
  CHECK(!weft_ck_align(INT64_MAX - 3, 64, &out));
  CHECK(weft_ck_product((const int64_t[]){2, 3}, 2, &out) && out == 6);
  CHECK(weft_ck_product(NULL, 0, &out) && out == 1);
  CHECK(!weft_ck_product((const int64_t[]){INT64_MAX, 2, 0}, 3, &out));
}

static void names_are_shown_without_what_steers_a_terminal(void) {
  static const char *const cases[][2] = {{"plain", "plain"}, {"a\x1b[m", "a\\x1b[m"}, {"\x7f", "\\x7f"}, {"\xc3\xa9", "\xc3\xa9"}, {"\xc3", "\\xc3"}, {"\xc2\x9b", "\\xc2\\x9b"},
                                         {"\xc2\xa0", "\xc2\xa0"}, {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"}, {"\xe2\x82\xac", "\xe2\x82\xac"}, {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
                                         {"\xf0\x9f\x99\x82", "\xf0\x9f\x99\x82"}, {"\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80"}, {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
                                         {"\xf5\x80", "\\xf5\\x80"}, {"\x80", "\\x80"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const weft_quoted shown = weft_quote(cases[i][0]);
    CHECK_TEXT(shown.text, cases[i][1]);
  }
  CHECK_EQUAL(weft_utf8_length("\xe2\x82\xac", 2), 0); /* the text ends before */
  CHECK_EQUAL(weft_utf8_length("\xe2\x82\xac", 3), 3);
  CHECK_EQUAL(weft_utf8_length("a", 1), 1);
  char text[400];
  memset(text, 'n', sizeof text - 1);
  text[sizeof text - 1] = 0;
  const weft_quoted cut = weft_quote(text);
  CHECK(strlen(cut.text) < 130 && !strcmp(cut.text + strlen(cut.text) - 3, "..."));
}

static const char *word_at(const void *context, int64_t index) { return ((const char *const *)context)[index]; }
static const char *far_away(const void *context, int64_t index) { return index < 4096 ? "another" : (const char *)context; }

static void near_names_are_found(void) {
  static char long_word[200];
  memset(long_word, 'w', sizeof long_word - 1);
  const char *const words[] = {"h.0.attn.weight", "model.norm.weight", long_word, "bias"};
  const char *found = weft_closest("h.0.attn.wieght", word_at, words, 4);
  CHECK_TEXT(found ? found : "", "h.0.attn.weight");
  found = weft_closest("norm.weight", word_at, words, 4); /* another export has a prefix */
  CHECK_TEXT(found ? found : "", "model.norm.weight");
  found = weft_closest("transformer.bias", word_at, words, 4); /* or has none */
  CHECK_TEXT(found ? found : "", "bias");
  CHECK(!weft_closest("transformerXbias", word_at, words, 4));
  CHECK(!weft_closest("embedding", word_at, words, 4));
  CHECK(!weft_closest(long_word, word_at, words, 4));
  const char *const none[] = {""};
  CHECK(!weft_closest("w", word_at, none, 1));
  CHECK(!weft_closest("w.", word_at, none, 1));
  CHECK(!weft_closest("needle", far_away, "needle", 5000)); /* a hint is not worth more time */
}

int main(void) {
  names_are_shown_without_what_steers_a_terminal();
  near_names_are_found();
  philox_gives_its_published_values();
  converts();
  names_things();
  checks_sizes();
  return check_result();
}
