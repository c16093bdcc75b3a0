/* A disk in memory that remembers what was done to it and what was synced, and gives every state that it may be in after
 * the power went: an operation that was not synced may be there or not, whatever came before or after it, and a write may be
 * there in part, or only have made the file longer. */
#ifndef WEFT_TEST_POWER_DISK_H
#define WEFT_TEST_POWER_DISK_H

#include "fileops.h"

/* Planted mistakes of a writer; the disk sees its operations changed. */
enum {
  POWER_NO_SYNC = 1,        /* files are not synced */
  POWER_NO_FOLDER_SYNC = 2, /* folders are not synced */
  POWER_LATE_SYNC = 4,      /* a file is synced after it has got its name */
  POWER_IN_PLACE = 8        /* no temporary names: files are written where they belong */
};

typedef struct power_disk power_disk;

/* An empty folder, ".". */
power_disk *power_disk_create(int mistakes);
void power_disk_destroy(power_disk *disk);
/* Operations on the disk that *disk is now. */
weft_file_ops power_disk_files(power_disk **disk);

/* Operations so far. */
int power_disk_operations(const power_disk *disk);
/* Whether operation `at` makes something durable: the moments just before these, and the end, have every state there is,
 * since until then operations that may be lost only become more. */
bool power_disk_syncs(const power_disk *disk, int at);

/* The states after the first `operations`. Each operation that may be lost has several outcomes; a state chooses one of
 * each. `limit` states at most: all, or random ones if there are more. */
typedef struct power_states {
  const power_disk *disk;
  int operations, open_count, open[128]; /* those that may be lost */
  unsigned char outcome[128];
  bool random, begun;
  long limit, given;
  uint64_t seed;
} power_states;
void power_states_begin(power_states *states, const power_disk *disk, int operations, long limit);
/* Puts the next state into `out`, a disk of its own (as after starting again, with nothing open); false: no more. */
bool power_states_next(power_states *states, power_disk *out);

#endif /* WEFT_TEST_POWER_DISK_H */
