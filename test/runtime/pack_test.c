/* Packing a piece: what is written past the caches is what is written through them, and nothing else is touched. */
#include "check.h"
#include "pack.h"

#include <stdlib.h>

enum { ROOM = 1 << 16 };
static _Alignas(64) unsigned char source[ROOM], plain[ROOM], streamed[ROOM];

static int64_t sizes_tried;

/* Both ways, in one piece and in pieces of `step` elements. */
static void compare(weft_target target, int64_t elements, int64_t step) {
  const int64_t size = (int64_t)weft_dtype_size(target.dtype);
  memset(plain, 0xee, sizeof plain);
  memset(streamed, 0xee, sizeof streamed);
  target.to = plain;
  target.stream = false;
  weft_pack(&target, source, 0, elements);
  target.to = streamed;
  target.stream = true;
  for (int64_t begin = 0; begin < elements; begin += step)
    weft_pack(&target, source + begin * size, begin, begin + step < elements ? begin + step : elements);
  CHECK(!memcmp(plain, streamed, sizeof plain));
  ++sizes_tried;
}

int main(void) {
  static const int32_t dtypes[] = {WEFT_U8, WEFT_BF16, WEFT_F32, WEFT_F64};
  static const int64_t counts[] = {1, 3, 4, 16, 21, 32, 48, 67}, widths[] = {8, 16, 32, 48};
  for (int i = 0; i < ROOM; ++i) source[i] = (unsigned char)((unsigned)i * 2654435761u >> 13);
  for (int d = 0; d < 4; ++d)
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < 8; ++c)
        for (int w = 0; w < 4; ++w)
          for (int64_t column = 0; column < 20; column += 16 + d % 2) {
            const int64_t k = counts[r], n = counts[c], nr = widths[w];
            if (((column + n + nr - 1) / nr * nr * k) * (int64_t)weft_dtype_size(dtypes[d]) > ROOM) continue;
            weft_target along = {NULL, dtypes[d], false, nr, k, column, k, n, 0, 1, k}, across = {NULL, dtypes[d], false, nr, k, column, k, n, 0, n, 1};
            compare(along, k * n, k * n);
            compare(along, k * n, 16 * k + 5);
            compare(across, k * n, k * n);
            compare(across, k * n, 5 * n);
          }
  CHECK(sizes_tried > 5000);
  return check_result();
}
