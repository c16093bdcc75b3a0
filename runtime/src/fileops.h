/* The table of file operations behind all input and output. Every function returns a negative errno value on failure.
 * Tests replace entries to inject EINTR, short reads and writes, ENOSPC and EIO. */
#ifndef WEFT_FILEOPS_H
#define WEFT_FILEOPS_H

#include "weft/status.h"

#include <stdbool.h>

struct weft_file_ops {
  void *user;
  /* `directory`: NULL, or the folder in which `name`, a plain file name, is opened without following a link. */
  int (*open_read)(void *user, const char *directory, const char *name);
  /* Creates a file that must not exist yet. */
  int (*create)(void *user, const char *path);
  int (*close)(void *user, int file);
  int (*size)(void *user, int file, int64_t *size, bool *is_regular);
  /* From any number of threads at once. */
  int64_t (*read)(void *user, int file, void *buffer, size_t bytes, int64_t offset);
  int64_t (*write)(void *user, int file, const void *data, size_t bytes);
  int (*sync)(void *user, int file);
  int (*sync_directory)(void *user, const char *path);
  int (*rename)(void *user, const char *from, const char *to);
  int (*remove)(void *user, const char *path);
  /* Whether there is something at `path` that is not a regular file (following links). */
  int (*is_special)(void *user, const char *path, bool *special);
  /* -EEXIST: there is something at `path`. */
  int (*make_directory)(void *user, const char *path);
  int (*remove_directory)(void *user, const char *path);
  /* Calls visit(context, name) for each entry of a folder but "." and ".."; a result other than 0 ends the walk and is
   * returned. */
  int (*list)(void *user, const char *path, int (*visit)(void *context, const char *name), void *context);
};

#pragma GCC visibility push(hidden)

const weft_file_ops *weft_system_files(void);

/* Reads exactly `bytes`: repeats after EINTR and short reads. 0, or -errno; -ENODATA: the file ends before. */
int weft_read_fully(const weft_file_ops *files, int file, void *buffer, int64_t bytes, int64_t offset);
/* Writes exactly `bytes`. 0 or -errno. */
int weft_write_fully(const weft_file_ops *files, int file, const void *data, int64_t bytes);

/* The folder that a path is in, in its place; there is room for two bytes at least. */
void weft_folder_of(char *path);

/* strerror without its shared buffer. */
typedef struct weft_errno_text {
  char text[96];
} weft_errno_text;
weft_errno_text weft_errno(int negative);

#pragma GCC visibility pop
#endif /* WEFT_FILEOPS_H */
