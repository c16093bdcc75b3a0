/* Initialisation of parameters: every element is a function of seed, parameter name and index alone. */
#include "model.h"

#include <math.h>
#include <string.h>

/* FNV-1a: separates the random streams of parameters by their names. */
static uint64_t hash_name(const char *name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *name; ++name) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
  return hash;
}

static double ratio(const double *a, const double *b, double r) {
  double top = a[7], bottom = b[6];
  for (int i = 6; i >= 0; --i) top = top * r + a[i];
  for (int i = 5; i >= 0; --i) bottom = bottom * r + b[i];
  return top / (bottom * r + 1);
}

/* Inverse of the normal distribution function: Wichura's algorithm AS 241 (PPND16), relative error about 1e-16. */
static double normal_quantile(double p) {
  static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
                             4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static const double b[] = {4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3, 2.1213794301586595867e+4,
                             3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3};
  static const double c[] = {1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,  3.64784832476320460504e0,
                             1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static const double d[] = {2.05319162663775882187e0,  1.67638483018380384940e0,  6.89767334985100004550e-1, 1.48103976427480074590e-1,
                             1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9};
  static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,  2.96560571828504891230e-1,
                             2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static const double f[] = {5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
                             1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15};
  double q = p - 0.5;
  if (fabs(q) <= 0.425) return q * ratio(a, b, 0.180625 - q * q);
  double r = sqrt(-log(q < 0 ? p : 1 - p));
  double x = r <= 5 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5);
  return q < 0 ? -x : x;
}

/* A random word as a number strictly between 0 and 1. */
static double unit(uint32_t word) { return ((double)word + 0.5) * 0x1p-32; }

static double draw(const weft_param_desc *param, uint32_t word) {
  static const double below = 0.022750131948179207; /* of the normal distribution, under -2 */
  switch (param->init) {
  case WEFT_INIT_UNIFORM: return param->a + (param->b - param->a) * unit(word);
  case WEFT_INIT_NORMAL: return param->a + param->b * normal_quantile(unit(word));
  case WEFT_INIT_TRUNC_NORMAL: return param->a + param->b * normal_quantile(below + (1 - 2 * below) * unit(word));
  default: return param->a;
  }
}

/* Stores `count` values from element `first` on, as the parameter's type. */
static void store(const weft_param_desc *param, void *data, int64_t first, const double *values, int64_t count) {
  char *to = (char *)data + first * (int64_t)weft_dtype_size(param->dtype);
  if (param->dtype <= WEFT_F64) {
    weft_convert(to, param->dtype, values, WEFT_F64, count);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    int64_t whole = (int64_t)values[i];
    switch (param->dtype) {
    case WEFT_I64: memcpy(to + i * 8, &whole, 8); break;
    case WEFT_I32: ((int32_t *)to)[i] = (int32_t)whole; break;
    case WEFT_BOOL: ((uint8_t *)to)[i] = values[i] != 0; break;
    default: ((uint8_t *)to)[i] = (uint8_t)whole; break;
    }
  }
}

void weft_init_elements(const weft_param_desc *param, int64_t elements, uint64_t seed, int64_t begin, int64_t end, void *data) {
  enum { AT_ONCE = 256 };
  const uint64_t name = hash_name(param->name);
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const int64_t size = (int64_t)weft_dtype_size(param->dtype);
  double values[AT_ONCE];
  /* A block of random numbers serves four elements, which need not be in the same piece. */
  for (int64_t first = begin / 4 * 4; first < end; first += AT_ONCE) {
    const int64_t from = first < begin ? begin : first, to = end - first < AT_ONCE ? end : first + AT_ONCE;
    for (int64_t i = first; i < to; i += 4) {
      const uint64_t block = (uint64_t)i / 4;
      const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)name, (uint32_t)(name >> 32)};
      uint32_t words[4] = {0};
      if (param->init != WEFT_INIT_CONSTANT) weft_philox4x32(key, counter, words);
      for (int j = 0; j < 4; ++j) values[i - first + j] = draw(param, words[j]);
    }
    store(param, data, from - begin, values + (from - first), to - from);
  }
  if (param->zero_row < 0 || param->rank < 1 || param->zero_row >= param->shape[0]) return;
  const int64_t row = elements / param->shape[0], row_begin = param->zero_row * row, row_end = row_begin + row;
  const int64_t from = row_begin > begin ? row_begin : begin, to = row_end < end ? row_end : end;
  if (from < to) memset((char *)data + (from - begin) * size, 0, (size_t)((to - from) * size));
}
