/* XXH64 with seed 0, by its specification (xxhash.com, doc/xxhash_spec.md). */
#include "digest.h"

#include <string.h>

static const uint64_t P1 = 0x9e3779b185ebca87ull, P2 = 0xc2b2ae3d27d4eb4full, P3 = 0x165667b19e3779f9ull, P4 = 0x85ebca77c2b2ae63ull,
                      P5 = 0x27d4eb2f165667c5ull;

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t read64(const unsigned char *at) {
  uint64_t x = 0;
  for (int i = 7; i >= 0; --i) x = x << 8 | at[i];
  return x;
}

static uint64_t read32(const unsigned char *at) { return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24; }

static uint64_t step(uint64_t lane, uint64_t input) { return rotate(lane + input * P2, 31) * P1; }

void weft_digest_begin(weft_digest *digest) {
  memset(digest, 0, sizeof *digest);
  digest->lanes[0] = P1 + P2;
  digest->lanes[1] = P2;
  digest->lanes[3] = 0 - P1;
}

static void stripe(weft_digest *digest, const unsigned char *at) {
  for (int i = 0; i < 4; ++i) digest->lanes[i] = step(digest->lanes[i], read64(at + 8 * i));
}

void weft_digest_add(weft_digest *digest, const void *data, size_t bytes) {
  const unsigned char *at = data, *end = at + bytes;
  size_t held = digest->bytes % 32;
  digest->bytes += bytes;
  if (held) {
    size_t more = 32 - held < bytes ? 32 - held : bytes;
    memcpy(digest->rest + held, at, more);
    at += more;
    if (held + more < 32) return;
    stripe(digest, digest->rest);
  }
  for (; end - at >= 32; at += 32) stripe(digest, at);
  if (at < end) memcpy(digest->rest, at, (size_t)(end - at));
}

uint64_t weft_digest_end(const weft_digest *digest) {
  const uint64_t *lanes = digest->lanes;
  uint64_t hash = P5;
  if (digest->bytes >= 32) {
    hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (int i = 0; i < 4; ++i) hash = (hash ^ step(0, lanes[i])) * P1 + P4;
  }
  hash += digest->bytes;
  const unsigned char *at = digest->rest, *end = at + digest->bytes % 32;
  for (; end - at >= 8; at += 8) hash = rotate(hash ^ step(0, read64(at)), 27) * P1 + P4;
  if (end - at >= 4) {
    hash = rotate(hash ^ read32(at) * P1, 23) * P2 + P3;
    at += 4;
  }
  for (; at < end; ++at) hash = rotate(hash ^ *at * P5, 11) * P1;
  hash = (hash ^ hash >> 33) * P2;
  hash = (hash ^ hash >> 29) * P3;
  return hash ^ hash >> 32;
}
