/* store.c - see store.h. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VISITED = 1, FRESH = 2 };
#define REFUSE(...) return snprintf(err, size, __VA_ARGS__), -1
static size_t bytes_of(const fl_store *s) { return s->floats * sizeof(float); }

int fl_store_open(fl_store *s, size_t clients, size_t floats, size_t threads, uint64_t limit, const char *path) {
  *s = (fl_store){ .clients = clients, .floats = floats, .threads = threads, .limit = limit, .path = path, .fd = -1 };
  if (!floats) return 0;
  if (__builtin_mul_overflow(clients, bytes_of(s), &s->memory_bytes)) return -1;
  s->memory = mmap(NULL, s->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (s->memory == MAP_FAILED) return s->memory = NULL, -1;
  s->visited = calloc(clients, 1);
  if (path) {
    s->slot = calloc(clients, sizeof *s->slot);
    s->sum = calloc(clients, sizeof *s->sum);
    s->buffer = calloc(threads * floats, sizeof *s->buffer);
  }
  return s->visited && (!path || (s->slot && s->sum && s->buffer)) ? 0 : -1;
}

static void drop_memory(fl_store *s) {
  if (s->memory) munmap(s->memory, s->memory_bytes);
  s->memory = NULL;
}

void fl_store_close(fl_store *s) {
  drop_memory(s);
  if (s->floats && s->fd >= 0) close(s->fd);
  void *const blocks[] = { s->visited, s->slot, s->sum, s->free.v, s->retired.v, s->fresh.v, s->buffer };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  memset(s, 0, sizeof *s);
}

int fl_store_is_visited(const fl_store *s, uint32_t client) { return s->visited && s->visited[client]; }

/* ---- the file ------------------------------------------------------------------------------------------------------------ */
/* Four sums side by side, as one would wait for its multiplications; it finds what a disk or a copy damages. */
static uint64_t checksum(const float *state, size_t floats) {
  uint64_t sum[4] = { 1, 2, 3, 4 };
  for (size_t i = 0; i < floats; i++) {
    uint32_t word;
    memcpy(&word, state + i, sizeof word);
    sum[i % 4] = (sum[i % 4] ^ word) * 0x9E3779B97F4A7C15u;
  }
  for (int i = 1; i < 4; i++) sum[0] = (sum[0] ^ sum[i] ^ sum[i] >> 29) * 0xBF58476D1CE4E5B9u;
  return sum[0] ^ sum[0] >> 32;
}

static int write_slot(const fl_store *s, uint64_t slot, const float *state, char *err, size_t size) {
  const char *from = (const char *)state;
  for (size_t at = 0; at < bytes_of(s);) {
    const ssize_t n = pwrite(s->fd, from + at, bytes_of(s) - at, (off_t)(slot * bytes_of(s) + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) REFUSE("cannot write client states to '%.300s': %s", s->path, n < 0 ? strerror(errno) : "no room");
    at += (size_t)n;
  }
  return 0;
}

static int read_slot(const fl_store *s, uint32_t client, uint64_t slot, float *state, char *err, size_t size) {
  char *to = (char *)state;
  for (size_t at = 0; at < bytes_of(s);) {
    const ssize_t n = pread(s->fd, to + at, bytes_of(s) - at, (off_t)(slot * bytes_of(s) + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) REFUSE("cannot read the state of client %u from '%.300s': %s", client, s->path,
                       n < 0 ? strerror(errno) : "the file ends before it");
    at += (size_t)n;
  }
  if (checksum(state, s->floats) != s->sum[client])
    REFUSE("'%.300s': the state of client %u is damaged; remove checkpoint.bin to start the run anew", s->path, client);
  return 0;
}

static int push(fl_numbers *list, uint64_t number) {
  if (list->n == list->room) {
    const size_t room = list->room ? 2 * list->room : 64;
    uint64_t *p = realloc(list->v, room * sizeof *p);
    if (!p) return -1;
    list->v = p, list->room = room;
  }
  list->v[list->n++] = number;
  return 0;
}

static int mark_fresh(fl_store *s, uint32_t client) {
  if (push(&s->fresh, client)) return -1;
  s->visited[client] |= FRESH;
  return 0;
}

/* Memory to file. No checkpoint names a slot yet, so all of them may be overwritten. */
static int spill(fl_store *s, char *err, size_t size) {
  s->fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (s->fd < 0) REFUSE("cannot write client states to '%.300s': %s", s->path, strerror(errno));
  s->end = s->free.n = s->retired.n = s->fresh.n = 0;
  int bad = 0;
  for (size_t i = 0; i < s->clients && !bad; i++) {
    if (!s->visited[i]) continue;
    const float *state = s->memory + i * s->floats;
    bad = write_slot(s, s->end, state, err, size);
    s->slot[i] = s->end++, s->sum[i] = checksum(state, s->floats);
    if (!bad && mark_fresh(s, (uint32_t)i)) bad = -1, snprintf(err, size, "no memory for a list of clients");
  }
  if (!bad) return drop_memory(s), 0;
  close(s->fd);
  s->fd = -1;
  for (size_t i = 0; i < s->clients; i++) s->visited[i] &= VISITED;
  return -1;
}

/* ---- a round ------------------------------------------------------------------------------------------------------------- */
/* Sets aside the states of `more` clients that were not visited yet; the system is asked anew only when an eighth of what it had
 * is used up: it costs a tenth of a small round. */
static int reserve(fl_store *s, size_t more, const char *what, char *err, size_t size) {
  const uint64_t need = more * (uint64_t)bytes_of(s);
  if (s->path && (s->count + more) * (uint64_t)bytes_of(s) > s->limit) return spill(s, err, size);
  if (need > s->memory_room) {
    const uint64_t available = fl_memory_available();
    if (need > available) return s->path ? spill(s, err, size) : fl_states_refuse(what, more, bytes_of(s), available, err, size);
    s->memory_room = available / 8 > need ? available / 8 : need;
  }
  s->memory_room -= need;
  return 0;
}

/* The slot that a client's new state goes to. */
static int assign(fl_store *s, uint32_t client, fl_place_of *p) {
  *p = (fl_place_of){ s->visited[client] ? s->slot[client] : FL_NO_SLOT, s->slot[client] };
  if (s->visited[client] & FRESH) return 0;
  if (p->from != FL_NO_SLOT && push(&s->retired, p->from)) return -1;
  p->to = s->free.n ? s->free.v[--s->free.n] : s->end++;
  return mark_fresh(s, client);
}

int fl_store_begin(fl_store *s, const uint32_t *client, size_t m, fl_place_of *place, const char *what, char *err, size_t size) {
  size_t more = 0;
  if (!s->floats) return 0;
  for (size_t i = 0; i < m; i++) more += !s->visited[client[i]];
  if (s->fd < 0 && more && reserve(s, more, what, err, size)) return -1;
  for (size_t i = 0; i < m; i++) {
    place[i] = (fl_place_of){ s->visited[client[i]] ? 0 : FL_NO_SLOT, 0 };
    if (s->fd >= 0 && assign(s, client[i], &place[i])) REFUSE("%s: no memory for a list of clients", what);
    if (s->fd >= 0) s->slot[client[i]] = place[i].to;
    s->visited[client[i]] |= VISITED;
  }
  s->count += more;
  return 0;
}

float *fl_store_take(fl_store *s, int thread, uint32_t client, const fl_place_of *p, char *err, size_t size) {
  if (!s->floats) return NULL;
  if (s->fd < 0) return s->memory + (size_t)client * s->floats;
  float *state = s->buffer + (size_t)thread * s->floats;
  if (p->from == FL_NO_SLOT) return memset(state, 0, bytes_of(s));
  return read_slot(s, client, p->from, state, err, size) ? NULL : state;
}

int fl_store_give(fl_store *s, uint32_t client, const fl_place_of *p, const float *state, char *err, size_t size) {
  if (!s->floats || s->fd < 0) return 0;
  s->sum[client] = checksum(state, s->floats);
  return write_slot(s, p->to, state, err, size);
}

/* ---- checkpoints ---------------------------------------------------------------------------------------------------------- */
typedef struct { uint64_t count, filed, end; } header;
typedef struct { uint64_t client, slot, sum; } entry;

int fl_store_save(const fl_store *s, int (*write)(void *, const void *, size_t), void *self) {
  const header h = { s->count, s->floats && s->fd >= 0, s->end };
  if (h.filed && fdatasync(s->fd)) return -1;
  int r = write(self, &h, sizeof h);
  for (uint64_t i = 0; !r && s->visited && i < s->clients; i++) {
    if (!s->visited[i]) continue;
    const entry e = { i, h.filed ? s->slot[i] : 0, h.filed ? s->sum[i] : 0 };
    r = write(self, &e, sizeof e) || (!h.filed && write(self, s->memory + i * s->floats, bytes_of(s)));
  }
  return r ? -1 : 0;
}

/* The slots that no state has may be used. */
static int find_free(fl_store *s, char *err, size_t size) {
  uint8_t *used = calloc(s->end + 1, 1);
  int bad = !used;
  for (size_t i = 0; !bad && i < s->clients; i++)
    if (s->visited[i]) used[s->slot[i]] = 1;
  for (uint64_t i = s->end; !bad && i-- > 0;)
    if (!used[i]) bad = push(&s->free, i);
  free(used);
  if (bad) REFUSE("no memory for a list of %llu slots", (unsigned long long)s->end);
  return 0;
}

static int open_file(fl_store *s, uint64_t end, char *err, size_t size) {
  struct stat st;
  if (!s->path) REFUSE("the checkpoint's client states are in a file; allowed: a session with a state_file");
  s->fd = open(s->path, O_RDWR | O_CLOEXEC);
  if (s->fd < 0) REFUSE("the checkpoint needs the client states in '%.300s': %s", s->path, strerror(errno));
  if (fstat(s->fd, &st) || (uint64_t)st.st_size / bytes_of(s) < end)
    REFUSE("'%.300s' has %lld bytes, the checkpoint needs %llu; remove checkpoint.bin to start the run anew", s->path,
           (long long)st.st_size, (unsigned long long)(end * bytes_of(s)));
  s->end = end;
  drop_memory(s);
  return 0;
}

int fl_store_load(fl_store *s, int (*read)(void *, void *, size_t), void *self, char *err, size_t size) {
  header h;
  int r = read(self, &h, sizeof h) || h.filed > 1 || (h.count && !s->floats) || h.count > s->clients;
  if (!r && h.filed && open_file(s, h.end, err, size)) return -1;
  if (!r && !h.filed && h.count && s->floats) {
    const uint64_t available = fl_memory_available();
    if (h.count * bytes_of(s) > available) return fl_states_refuse("checkpoint", h.count, bytes_of(s), available, err, size);
  }
  for (uint64_t i = 0; !r && i < h.count; i++) {
    entry e;
    r = read(self, &e, sizeof e) || e.client >= s->clients || s->visited[e.client] || (h.filed && e.slot >= h.end);
    if (r) break;
    s->visited[e.client] = VISITED;
    if (h.filed) s->slot[e.client] = e.slot, s->sum[e.client] = e.sum;
    else r = read(self, s->memory + e.client * s->floats, bytes_of(s));
  }
  if (r) REFUSE("checkpoint: session state is damaged");
  s->count = h.count;
  return h.filed ? find_free(s, err, size) : 0;
}

void fl_store_kept(fl_store *s) {
  if (!s->floats || s->fd < 0) return;
  for (size_t i = 0; i < s->fresh.n; i++) s->visited[s->fresh.v[i]] &= VISITED;
  s->fresh.n = 0;
  for (size_t i = 0; i < s->retired.n; i++)     /* the list of free slots has room: these were taken from it, or are new */
    if (push(&s->free, s->retired.v[i])) break;
  s->retired.n = 0;
}
