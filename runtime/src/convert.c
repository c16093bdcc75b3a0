/* Element types and conversions between floating-point types, without vector extensions: the loops vectorise. */
#include "weft/tensors.h"

#include <string.h>

size_t weft_dtype_size(int32_t dtype) {
  switch (dtype) {
  case WEFT_F64: case WEFT_I64: return 8;
  case WEFT_F32: case WEFT_I32: return 4;
  case WEFT_F16: case WEFT_BF16: return 2;
  case WEFT_I8: case WEFT_U8: case WEFT_BOOL: return 1;
  default: return 0;
  }
}

const char *weft_dtype_name(int32_t dtype) {
  static const char *const names[] = {"f32", "f16", "bf16", "f64", "i32", "i64", "i8", "u8", "bool"};
  return dtype >= 0 && dtype <= WEFT_BOOL ? names[dtype] : "?";
}

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float f16_to_f32(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return from_bits(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return from_bits(sign | ((magnitude << 13) + 0x38000000u));
  /* Denormal halves are integers times 2^-24, exact in f32. */
  float value = (float)magnitude * 0x1p-24f;
  return sign ? -value : value;
}

static uint16_t f32_to_f16(float value) {
  uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00);
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* rounds to 65536 or more */
  if (magnitude < 0x38800000u) {
    /* Denormal result: let the addition of 0.5 round to a multiple of 2^-24. */
    float shifted = from_bits(magnitude) + 0.5f;
    return (uint16_t)(sign | (to_bits(shifted) - 0x3f000000u));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

static float bf16_to_f32(uint16_t value) { return from_bits((uint32_t)value << 16); }

static uint16_t f32_to_bf16(float value) {
  uint32_t bits = to_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Rounds an f64 to an f32 whose low bits are sticky (round to odd), so that rounding again to 16 bits is right. */
static float f64_to_odd_f32(double value) {
  float nearest = (float)value;
  double back = (double)nearest;
  if (back == value || value != value || back - back != 0) return nearest;
  uint32_t bits = to_bits(nearest);
  if (bits & 1) return nearest;
  /* One step towards the value: away from zero when the f32 is too small in magnitude. */
  int grow = value > 0 ? back < value : back > value;
  if ((bits & 0x7fffffff) == 0) return from_bits((value < 0 ? 0x80000000u : 0) | 1);
  return from_bits(grow ? bits + 1 : bits - 1);
}

#define LOOP(FROM, TO, EXPRESSION)                      \
  do {                                                  \
    const char *source = from;                          \
    TO *target = to;                                    \
    for (int64_t i = 0; i < elements; ++i) {            \
      FROM x;                                           \
      memcpy(&x, source + i * (int64_t)sizeof x, sizeof x); \
      target[i] = EXPRESSION;                           \
    }                                                   \
    return WEFT_OK;                                     \
  } while (0)

weft_status weft_convert(void *to, int32_t to_dtype, const void *from, int32_t from_dtype, int64_t elements) {
  size_t size = weft_dtype_size(from_dtype);
  if (!size || !weft_dtype_size(to_dtype)) return WEFT_ERR_ARGUMENT;
  if (elements < 0 || (elements && (!to || !from))) return WEFT_ERR_ARGUMENT;
  if (to_dtype == from_dtype) {
    if (elements) memcpy(to, from, (size_t)elements * size);
    return WEFT_OK;
  }
  if (to_dtype > WEFT_F64 || from_dtype > WEFT_F64) return WEFT_ERR_UNSUPPORTED;
  switch (from_dtype * 4 + to_dtype) {
  case WEFT_F32 * 4 + WEFT_F16: LOOP(float, uint16_t, f32_to_f16(x));
  case WEFT_F32 * 4 + WEFT_BF16: LOOP(float, uint16_t, f32_to_bf16(x));
  case WEFT_F32 * 4 + WEFT_F64: LOOP(float, double, x);
  case WEFT_F16 * 4 + WEFT_F32: LOOP(uint16_t, float, f16_to_f32(x));
  case WEFT_F16 * 4 + WEFT_BF16: LOOP(uint16_t, uint16_t, f32_to_bf16(f16_to_f32(x)));
  case WEFT_F16 * 4 + WEFT_F64: LOOP(uint16_t, double, f16_to_f32(x));
  case WEFT_BF16 * 4 + WEFT_F32: LOOP(uint16_t, float, bf16_to_f32(x));
  case WEFT_BF16 * 4 + WEFT_F16: LOOP(uint16_t, uint16_t, f32_to_f16(bf16_to_f32(x)));
  case WEFT_BF16 * 4 + WEFT_F64: LOOP(uint16_t, double, bf16_to_f32(x));
  case WEFT_F64 * 4 + WEFT_F32: LOOP(double, float, (float)x);
  case WEFT_F64 * 4 + WEFT_F16: LOOP(double, uint16_t, f32_to_f16(f64_to_odd_f32(x)));
  case WEFT_F64 * 4 + WEFT_BF16: LOOP(double, uint16_t, f32_to_bf16(f64_to_odd_f32(x)));
  default: return WEFT_ERR_UNSUPPORTED;
  }
}
