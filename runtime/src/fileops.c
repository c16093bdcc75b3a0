/* The system's file operations, and loops over partial reads and writes. */
#include "fileops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux reads and writes at most 2 GiB at once; smaller pieces also bound the time spent in one call. */
enum { PIECE = 1 << 26 };

static int system_open_read(void *user, const char *directory, const char *name) {
  (void)user;
  /* O_NONBLOCK: opening a pipe without a writer must not wait; the caller then sees that it is not a regular file. */
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int file;
  if (!directory) {
    file = open(name, flags);
    return file < 0 ? -errno : file;
  }
  int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -errno;
  file = openat(folder, name, flags | O_NOFOLLOW);
  int code = file < 0 ? -errno : file;
  close(folder);
  return code;
}

static int system_create(void *user, const char *path) {
  (void)user;
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  return file < 0 ? -errno : file;
}

static int system_close(void *user, int file) {
  (void)user;
  /* After EINTR the descriptor is closed on Linux; closing again could hit another file. */
  return close(file) < 0 && errno != EINTR ? -errno : 0;
}

static int system_size(void *user, int file, int64_t *size, bool *is_regular) {
  (void)user;
  struct stat status;
  if (fstat(file, &status) < 0) return -errno;
  *size = status.st_size;
  *is_regular = S_ISREG(status.st_mode);
  return 0;
}

static int64_t system_read(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  (void)user;
  ssize_t got = pread(file, buffer, bytes, offset);
  return got < 0 ? -errno : got;
}

static int64_t system_write(void *user, int file, const void *data, size_t bytes) {
  (void)user;
  ssize_t done = write(file, data, bytes);
  return done < 0 ? -errno : done;
}

static int system_sync(void *user, int file) {
  (void)user;
  return fsync(file) < 0 ? -errno : 0;
}

static int system_sync_directory(void *user, const char *path) {
  (void)user;
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -errno;
  int code = fsync(folder) < 0 ? -errno : 0;
  close(folder);
  return code == -EINVAL ? 0 : code; /* file systems that cannot sync a folder need no sync */
}

static int system_rename(void *user, const char *from, const char *to) {
  (void)user;
  return rename(from, to) < 0 ? -errno : 0;
}

static int system_remove(void *user, const char *path) {
  (void)user;
  return unlink(path) < 0 ? -errno : 0;
}

static int system_is_special(void *user, const char *path, bool *special) {
  (void)user;
  struct stat status;
  *special = false;
  if (stat(path, &status) < 0) return errno == ENOENT ? 0 : -errno;
  *special = !S_ISREG(status.st_mode);
  return 0;
}

static int system_make_directory(void *user, const char *path) {
  (void)user;
  return mkdir(path, 0777) < 0 ? -errno : 0;
}

static int system_remove_directory(void *user, const char *path) {
  (void)user;
  return rmdir(path) < 0 ? -errno : 0;
}

static int system_list(void *user, const char *path, int (*visit)(void *context, const char *name), void *context) {
  (void)user;
  DIR *folder = opendir(path);
  if (!folder) return -errno;
  int code = 0;
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (!entry) {
      code = -errno;
      break;
    }
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if ((code = visit(context, entry->d_name)) != 0) break;
  }
  closedir(folder);
  return code;
}

const weft_file_ops *weft_system_files(void) {
  static const weft_file_ops files = {
      NULL,        system_open_read,      system_create, system_close,  system_size,      system_read,           system_write,
      system_sync, system_sync_directory, system_rename, system_remove, system_is_special, system_make_directory, system_remove_directory,
      system_list};
  return &files;
}

int weft_read_fully(const weft_file_ops *files, int file, void *buffer, int64_t bytes, int64_t offset) {
  char *at = buffer;
  while (bytes > 0) {
    int64_t got = files->read(files->user, file, at, (size_t)(bytes < PIECE ? bytes : PIECE), offset);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got < 0) return (int)got;
    if (got == 0) return -ENODATA;
    at += got;
    offset += got;
    bytes -= got;
  }
  return 0;
}

int weft_write_fully(const weft_file_ops *files, int file, const void *data, int64_t bytes) {
  const char *at = data;
  while (bytes > 0) {
    int64_t done = files->write(files->user, file, at, (size_t)(bytes < PIECE ? bytes : PIECE));
    if (done == -EINTR) continue;
    if (done < 0) return (int)done;
    if (done == 0) return -EIO;
    at += done;
    bytes -= done;
  }
  return 0;
}

void weft_folder_of(char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') path[--length] = 0; /* "runs/": the folder itself is meant */
  char *slash = strrchr(path, '/');
  if (!slash) strcpy(path, ".");
  else if (slash == path) path[1] = 0;
  else *slash = 0;
}

weft_errno_text weft_errno(int negative) {
  weft_errno_text result;
  if (negative == -ENODATA) {
    snprintf(result.text, sizeof result.text, "the file ends too early");
    return result;
  }
  char buffer[96];
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
  const char *text = strerror_r(-negative, buffer, sizeof buffer);
#else
  const char *text = strerror_r(-negative, buffer, sizeof buffer) == 0 ? buffer : "unknown error";
#endif
  snprintf(result.text, sizeof result.text, "%s", text);
  return result;
}
