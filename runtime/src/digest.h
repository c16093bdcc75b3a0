/* XXH64 of bytes that come in pieces: tells a damaged checkpoint from a whole one. Not against intent. */
#ifndef WEFT_DIGEST_H
#define WEFT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef struct weft_digest {
  uint64_t lanes[4];
  uint64_t bytes;
  unsigned char rest[32];
} weft_digest;

void weft_digest_begin(weft_digest *digest);
void weft_digest_add(weft_digest *digest, const void *data, size_t bytes);
/* The hash of all that was added; more may follow. */
uint64_t weft_digest_end(const weft_digest *digest);

#pragma GCC visibility pop
#endif /* WEFT_DIGEST_H */
