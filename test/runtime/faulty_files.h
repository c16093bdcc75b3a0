/* File operations for tests: the system's, of which one call answers an error, or which read and write a little at a time. */
#ifndef WEFT_TEST_FAULTY_FILES_H
#define WEFT_TEST_FAULTY_FILES_H

#include "fileops.h"

typedef struct faulty_files {
  weft_file_ops ops;  /* for options */
  long calls;         /* counted */
  long fail_at;       /* this call answers `code`; -1: none */
  int code;
  char only;          /* count calls of this letter alone; 0: all */
  bool dribbles;      /* a few bytes at a time, every second call interrupted */
  long operations;    /* of dribbling */
  char order[64];     /* a letter for each call, one for several in a row */
  char failed;        /* letter of the call that failed; 0: none did */
} faulty_files;

/* Begins counting anew. Letters: o open_read, c create, x close, z size, r read, w write, s sync, d sync_directory, n rename,
 * u remove, q is_special, m make_directory, k remove_directory, l list. A write that fails has taken some bytes; what close
 * answers, the file is closed. */
void faulty_files_begin(faulty_files *files, long fail_at, int code);

#endif /* WEFT_TEST_FAULTY_FILES_H */
