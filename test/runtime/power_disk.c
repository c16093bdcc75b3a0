/* Nodes are files and folders; a log has the operations that changed them. A state is made by doing a part of the log again.
 * Folder operations are assignments to names: a rename that is there without the creation before it still gives the name. */
#include "power_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 64, NAMES = 16, BYTES = 4096, LOG = 512, FILES = 16, NAME = 64, ROOT = 0 };
typedef enum kind { WRITE, CUT, ADD, MOVE, DROP, SYNC } kind;
enum { LOST, WHOLE, HALF, LONGER }; /* outcomes; only those of a write are more than the first two */

typedef struct node {
  bool folder;
  int64_t size;
  char data[BYTES];
  int names;
  struct {
    char text[NAME];
    int node;
  } name[NAMES];
} node;

typedef struct operation {
  kind kind;
  int node;     /* file, or folder whose names change */
  int other;    /* node that gets or loses a name */
  int64_t offset, bytes;
  char *data;
  char from[NAME], to[NAME]; /* ADD and MOVE: `to`; DROP and MOVE: `from` */
} operation;

struct power_disk {
  int mistakes, nodes, operations, late;
  node node[NODES];
  operation log[LOG];
  int open[FILES]; /* node, or -1 */
};

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static int find(const node *folder, const char *name) {
  for (int i = 0; i < folder->names; ++i)
    if (!strcmp(folder->name[i].text, name)) return i;
  return -1;
}

static void assign(node *folder, const char *name, int to) {
  int at = find(folder, name);
  if (at < 0) {
    if ((at = folder->names++) == NAMES) abort();
    snprintf(folder->name[at].text, NAME, "%s", name);
  }
  folder->name[at].node = to;
}

static void drop(node *folder, const char *name) {
  int at = find(folder, name);
  if (at >= 0) folder->name[at] = folder->name[--folder->names];
}

/* What a writer without temporary names would have said. */
static void in_place(char *path) {
  char *end = strstr(path, ".tmp-"), *dash;
  if (!end) return;
  if (end == path || end[-1] == '/') { /* ".tmp-step-0000000004-123/x": "step-0000000004/x" */
    memmove(end, end + 5, strlen(end + 5) + 1);
    for (dash = end + 5; *dash >= '0' && *dash <= '9'; ++dash) continue;
    if (*dash == '-') {
      char *rest = strchr(dash, '/');
      if (!rest) rest = dash + strlen(dash);
      memmove(dash, rest, strlen(rest) + 1);
    }
    in_place(path);
  } else {
    *end = 0;
  }
}

/* The folder that a path's last part is in; -errno. */
static int walk(const power_disk *disk, const char *given, char last[NAME]) {
  char path[300];
  int at = ROOT;
  snprintf(path, sizeof path, "%s", given);
  if (disk->mistakes & POWER_IN_PLACE) in_place(path);
  char *part = path, *slash;
  while ((slash = strchr(part, '/'))) {
    *slash = 0;
    if (strcmp(part, ".")) {
      int name = find(&disk->node[at], part);
      if (name < 0) return -ENOENT;
      at = disk->node[at].name[name].node;
      if (!disk->node[at].folder) return -ENOTDIR;
    }
    part = slash + 1;
  }
  snprintf(last, NAME, "%s", part);
  return at;
}

/* The node of a path; -errno. */
static int lookup(const power_disk *disk, const char *path) {
  char last[NAME];
  int folder = walk(disk, path, last);
  if (folder < 0 || !strcmp(last, ".")) return folder;
  int name = find(&disk->node[folder], last);
  return name < 0 ? -ENOENT : disk->node[folder].name[name].node;
}

/* ---- Doing ------------------------------------------------------------------------------------------------------ */

static void apply(power_disk *disk, const operation *o, int outcome) {
  node *n = &disk->node[o->node];
  int64_t bytes = outcome == HALF ? o->bytes / 2 : outcome == LONGER ? 0 : o->bytes, end = o->offset + (outcome == LONGER ? o->bytes : bytes);
  if (outcome == LOST) return;
  switch (o->kind) {
  case WRITE:
    if (bytes) memcpy(n->data + o->offset, o->data, (size_t)bytes);
    if (end > n->size) n->size = end;
    break;
  case CUT: memset(n->data, 0, (size_t)n->size), n->size = 0; break;
  case ADD: assign(n, o->to, o->other); break;
  case MOVE: drop(n, o->from), assign(n, o->to, o->other); break;
  case DROP: drop(n, o->from); break;
  case SYNC: break;
  }
}

static operation *record(power_disk *disk, kind kind, int node, int other) {
  if (disk->operations == LOG) abort();
  operation *o = &disk->log[disk->operations++];
  memset(o, 0, sizeof *o);
  o->kind = kind;
  o->node = node;
  o->other = other;
  return o;
}

static int make_node(power_disk *disk, const char *path, bool folder) {
  char last[NAME];
  int parent = walk(disk, path, last);
  if (parent < 0) return parent;
  int there = find(&disk->node[parent], last);
  if (there >= 0 && (disk->mistakes & POWER_IN_PLACE)) { /* a file is written anew */
    there = disk->node[parent].name[there].node;
    if (!folder) apply(disk, record(disk, CUT, there, 0), WHOLE);
    return there;
  }
  if (there >= 0) return -EEXIST;
  if (disk->nodes == NODES) abort();
  disk->node[disk->nodes].folder = folder;
  operation *o = record(disk, ADD, parent, disk->nodes);
  snprintf(o->to, NAME, "%s", last);
  apply(disk, o, WHOLE);
  return disk->nodes++;
}

static int open_node(power_disk *disk, int node) {
  for (int f = 0; f < FILES; ++f)
    if (disk->open[f] < 0) return disk->open[f] = node, f;
  return -EMFILE;
}

#define DISK (*(power_disk **)user)

static int do_open(void *user, const char *directory, const char *name) {
  int node = directory ? -ENOENT : lookup(DISK, name);
  return node < 0 ? node : open_node(DISK, node);
}
static int do_create(void *user, const char *path) {
  int node = make_node(DISK, path, false);
  return node < 0 ? node : open_node(DISK, node);
}
static int do_close(void *user, int file) { return DISK->open[file] = -1, 0; }
static int do_size(void *user, int file, int64_t *size, bool *regular) {
  const node *n = &DISK->node[DISK->open[file]];
  return *size = n->size, *regular = !n->folder, 0;
}
static int64_t do_read(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  const node *n = &DISK->node[DISK->open[file]];
  int64_t left = n->size - offset, got = left < (int64_t)bytes ? left : (int64_t)bytes;
  if (got <= 0) return 0;
  memcpy(buffer, n->data + offset, (size_t)got);
  return got;
}
static int64_t do_write(void *user, int file, const void *data, size_t bytes) {
  power_disk *disk = DISK;
  int node = disk->open[file];
  operation *o = record(disk, WRITE, node, 0);
  o->offset = disk->node[node].size;
  o->bytes = (int64_t)bytes;
  if (o->offset + o->bytes > BYTES) abort();
  o->data = malloc(bytes);
  memcpy(o->data, data, bytes);
  apply(disk, o, WHOLE);
  return o->bytes;
}
static int do_sync(void *user, int file) {
  if (DISK->mistakes & POWER_LATE_SYNC) DISK->late = DISK->open[file];
  else if (!(DISK->mistakes & POWER_NO_SYNC)) record(DISK, SYNC, DISK->open[file], 0);
  return 0;
}
static int do_sync_directory(void *user, const char *path) {
  int node = lookup(DISK, path);
  if (node < 0) return node;
  if (!(DISK->mistakes & POWER_NO_FOLDER_SYNC)) record(DISK, SYNC, node, 0);
  if (DISK->late) record(DISK, SYNC, DISK->late, 0);
  DISK->late = 0;
  return 0;
}
static int do_rename(void *user, const char *from, const char *to) {
  power_disk *disk = DISK;
  char old[NAME], new[NAME];
  int a = walk(disk, from, old), b = walk(disk, to, new), node = lookup(disk, from), there = lookup(disk, to);
  if (a < 0 || node < 0) return -ENOENT;
  if (a != b) return -EXDEV; /* the runtime renames inside a folder */
  if (node == there) return 0;
  if (there >= 0 && disk->node[there].folder && disk->node[there].names) return -ENOTEMPTY;
  operation *o = record(disk, MOVE, a, node);
  snprintf(o->from, NAME, "%s", old);
  snprintf(o->to, NAME, "%s", new);
  apply(disk, o, WHOLE);
  return 0;
}
static int remove_node(power_disk *disk, const char *path, bool folder) {
  char last[NAME];
  int parent = walk(disk, path, last), node = lookup(disk, path);
  if (node < 0) return node;
  if (disk->node[node].folder != folder) return folder ? -ENOTDIR : -EISDIR;
  if (folder && disk->node[node].names) return -ENOTEMPTY;
  operation *o = record(disk, DROP, parent, node);
  snprintf(o->from, NAME, "%s", last);
  apply(disk, o, WHOLE);
  return 0;
}
static int do_remove(void *user, const char *path) { return remove_node(DISK, path, false); }
static int do_remove_directory(void *user, const char *path) { return remove_node(DISK, path, true); }
static int do_is_special(void *user, const char *path, bool *special) {
  int node = lookup(DISK, path);
  *special = node >= 0 && DISK->node[node].folder;
  return 0;
}
static int do_make_directory(void *user, const char *path) {
  int node = make_node(DISK, path, true);
  return node < 0 ? node : 0;
}
static int do_list(void *user, const char *path, int (*visit)(void *, const char *), void *context) {
  power_disk *disk = DISK;
  int node = lookup(disk, path), code = 0;
  if (node < 0) return node;
  if (!disk->node[node].folder) return -ENOTDIR;
  char names[NAMES][NAME]; /* the visitor may remove them */
  const int count = disk->node[node].names;
  for (int i = 0; i < count; ++i) snprintf(names[i], NAME, "%s", disk->node[node].name[i].text);
  for (int i = 0; i < count && !code; ++i) code = visit(context, names[i]);
  return code;
}

weft_file_ops power_disk_files(power_disk **disk) {
  return (weft_file_ops){disk,    do_open,           do_create, do_close,  do_size,       do_read,           do_write,
                         do_sync, do_sync_directory, do_rename, do_remove, do_is_special, do_make_directory, do_remove_directory,
                         do_list};
}

static void clear(power_disk *disk) {
  for (int i = 0; i < disk->operations; ++i) free(disk->log[i].data);
  for (int i = 0; i < disk->nodes; ++i) {
    memset(disk->node[i].data, 0, (size_t)disk->node[i].size);
    disk->node[i].size = disk->node[i].names = 0;
  }
  for (int f = 0; f < FILES; ++f) disk->open[f] = -1;
  disk->operations = disk->late = 0;
  disk->nodes = 1;
  disk->node[ROOT].folder = true;
}

power_disk *power_disk_create(int mistakes) {
  power_disk *disk = calloc(1, sizeof *disk);
  disk->mistakes = mistakes;
  clear(disk);
  return disk;
}

void power_disk_destroy(power_disk *disk) {
  clear(disk);
  free(disk);
}

int power_disk_operations(const power_disk *disk) { return disk->operations; }
bool power_disk_syncs(const power_disk *disk, int at) { return disk->log[at].kind == SYNC; }

/* ---- States ----------------------------------------------------------------------------------------------------- */

void power_states_begin(power_states *states, const power_disk *disk, int operations, long limit) {
  memset(states, 0, sizeof *states);
  states->disk = disk;
  states->operations = operations;
  states->limit = limit;
  states->seed = (uint64_t)operations + 1;
  double all = 1;
  for (int i = 0; i < operations; ++i) {
    const operation *o = &disk->log[i];
    bool durable = o->kind == SYNC;
    for (int j = i + 1; j < operations && !durable; ++j) durable = disk->log[j].kind == SYNC && disk->log[j].node == o->node;
    if (durable) continue;
    if (states->open_count == 128) abort();
    states->open[states->open_count++] = i;
    all *= o->kind == WRITE ? 4 : 2;
  }
  states->random = all > (double)limit;
}

static int outcomes(const power_states *states, int i) { return states->disk->log[states->open[i]].kind == WRITE ? 4 : 2; }

static unsigned draw(power_states *states) {
  states->seed = states->seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(states->seed >> 33);
}

/* Counts up; false when all are given. */
static bool advance(power_states *states) {
  if (states->random) {
    if (states->given == states->limit) return false;
    for (int i = 0; i < states->open_count; ++i) states->outcome[i] = (unsigned char)(draw(states) % (unsigned)outcomes(states, i));
    return true;
  }
  int i = 0;
  if (!states->begun) return states->begun = true;
  while (i < states->open_count && ++states->outcome[i] == outcomes(states, i)) states->outcome[i++] = 0;
  return i < states->open_count;
}

bool power_states_next(power_states *states, power_disk *out) {
  const power_disk *disk = states->disk;
  if (!advance(states)) return false;
  ++states->given;
  clear(out);
  out->nodes = disk->nodes;
  for (int i = 0; i < disk->nodes; ++i) out->node[i].folder = disk->node[i].folder;
  for (int i = 0, next = 0; i < states->operations; ++i) {
    bool open = next < states->open_count && states->open[next] == i;
    apply(out, &disk->log[i], open ? states->outcome[next] : WHOLE);
    next += open;
  }
  return true;
}
