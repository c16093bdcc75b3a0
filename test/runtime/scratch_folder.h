/* A folder for a test's files: in memory where the system has one for that, as these tests write many files that need not last. */
#ifndef WEFT_TEST_SCRATCH_FOLDER_H
#define WEFT_TEST_SCRATCH_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

/* Makes a new folder and writes its path. */
static inline void scratch_folder(char *path, size_t size, const char *name) {
  snprintf(path, size, "/dev/shm/weft-%s-XXXXXX", name);
  if (mkdtemp(path)) return;
  snprintf(path, size, "weft-%s-XXXXXX", name);
  if (!mkdtemp(path)) abort();
}

#endif /* WEFT_TEST_SCRATCH_FOLDER_H */
