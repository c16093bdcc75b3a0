/* Every operation asks whether it is the one that fails, and goes on to the system if not. */
#include "faulty_files.h"

#include <errno.h>
#include <string.h>

#define SYSTEM weft_system_files()
#define OR_FAIL(letter, call) (fails(user, letter) ? ((faulty_files *)user)->code : (call))
enum { MOUTHFUL = 7 }; /* bytes at a time when dribbling */

static bool fails(faulty_files *f, char letter) {
  size_t length = strlen(f->order);
  if (length + 1 < sizeof f->order && !(length && f->order[length - 1] == letter)) f->order[length] = letter, f->order[length + 1] = 0;
  if ((f->only && f->only != letter) || f->calls++ != f->fail_at) return false;
  f->failed = letter;
  return true;
}

static bool interrupted(faulty_files *f) { return f->dribbles && f->operations++ % 2; }
static size_t piece(const faulty_files *f, size_t bytes) { return f->dribbles && bytes > MOUTHFUL ? MOUTHFUL : bytes; }

static int do_open(void *user, const char *directory, const char *name) { return OR_FAIL('o', SYSTEM->open_read(NULL, directory, name)); }
static int do_create(void *user, const char *path) { return OR_FAIL('c', SYSTEM->create(NULL, path)); }
static int do_close(void *user, int file) {
  int code = SYSTEM->close(NULL, file);
  return OR_FAIL('x', code);
}
static int do_size(void *user, int file, int64_t *size, bool *regular) { return OR_FAIL('z', SYSTEM->size(NULL, file, size, regular)); }
static int64_t do_read(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  if (fails(user, 'r')) return ((faulty_files *)user)->code;
  return interrupted(user) ? -EINTR : SYSTEM->read(NULL, file, buffer, piece(user, bytes), offset);
}
static int64_t do_write(void *user, int file, const void *data, size_t bytes) {
  if (!fails(user, 'w')) return interrupted(user) ? -EINTR : SYSTEM->write(NULL, file, data, piece(user, bytes));
  /* A full disk takes a part first. */
  if (bytes > MOUTHFUL && SYSTEM->write(NULL, file, data, MOUTHFUL) < 0) return -EIO;
  return ((faulty_files *)user)->code;
}
static int do_sync(void *user, int file) { return OR_FAIL('s', SYSTEM->sync(NULL, file)); }
static int do_sync_directory(void *user, const char *path) { return OR_FAIL('d', SYSTEM->sync_directory(NULL, path)); }
static int do_rename(void *user, const char *from, const char *to) { return OR_FAIL('n', SYSTEM->rename(NULL, from, to)); }
static int do_remove(void *user, const char *path) { return OR_FAIL('u', SYSTEM->remove(NULL, path)); }
static int do_is_special(void *user, const char *path, bool *special) { return OR_FAIL('q', SYSTEM->is_special(NULL, path, special)); }
static int do_make_directory(void *user, const char *path) { return OR_FAIL('m', SYSTEM->make_directory(NULL, path)); }
static int do_remove_directory(void *user, const char *path) { return OR_FAIL('k', SYSTEM->remove_directory(NULL, path)); }
static int do_list(void *user, const char *path, int (*visit)(void *, const char *), void *context) {
  return OR_FAIL('l', SYSTEM->list(NULL, path, visit, context));
}

void faulty_files_begin(faulty_files *files, long fail_at, int code) {
  memset(files, 0, sizeof *files);
  files->ops = (weft_file_ops){files,   do_open,           do_create, do_close,  do_size,       do_read,           do_write,
                               do_sync, do_sync_directory, do_rename, do_remove, do_is_special, do_make_directory, do_remove_directory,
                               do_list};
  files->fail_at = fail_at;
  files->code = code;
}
