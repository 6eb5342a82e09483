/* primitive.c - the threads' stores of primitives, and how one is run. */
#include "primitive.h"
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, MOST = 1024, ALIGNMENT = 64 };

typedef struct entry {
  struct entry *next;
  onednn_key key;
  uint64_t used;
  int refused;
  onednn_job job;
} entry;
typedef struct {
  dnnl_stream_t stream;
  entry *bucket[BUCKETS];
  size_t count;
  uint64_t clock;
  void *buffer[FL_ONEDNN_BUFFERS];
  size_t bytes[FL_ONEDNN_BUFFERS];
} store;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit;
static dnnl_engine_t engine;
static _Thread_local store *mine;

int fl_onednn_alone(void) {
  const int threads = omp_get_max_threads();
  if (threads != 1) omp_set_num_threads(1);
  return threads;
}
void fl_onednn_together(int threads) {
  if (threads != 1) omp_set_num_threads(threads);
}

static void drop_job(onednn_job *j) {
  for (size_t i = 0; i < j->operands; i++) {
    onednn_operand *o = &j->operand[i];
    if (o->reorder) dnnl_primitive_destroy(o->reorder);
    if (o->own) dnnl_memory_destroy(o->own);
    if (o->given) dnnl_memory_destroy(o->given);
  }
  if (j->primitive) dnnl_primitive_destroy(j->primitive);
  memset(j, 0, sizeof *j);
}

static void drop_store(void *self) {
  store *s = self;
  for (size_t i = 0; i < BUCKETS; i++) {
    for (entry *e = s->bucket[i], *next; e; e = next) {
      next = e->next;
      drop_job(&e->job);
      free(e);
    }
  }
  for (int i = 0; i < FL_ONEDNN_BUFFERS; i++) free(s->buffer[i]);
  if (s->stream) dnnl_stream_destroy(s->stream);
  free(s);
}

static void start(void) {
  if (pthread_key_create(&at_exit, drop_store)) abort();        /* the process has none left: nothing of it would work */
  if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}
dnnl_engine_t fl_onednn_engine(void) { return engine; }

static store *store_here(void) {
  if (mine) return mine;
  pthread_once(&once, start);
  store *s = engine ? calloc(1, sizeof *s) : NULL;
  if (!s) return NULL;
  if (dnnl_stream_create(&s->stream, engine, dnnl_stream_default_flags) != dnnl_success || pthread_setspecific(at_exit, s))
    return drop_store(s), NULL;
  return mine = s;
}

void *fl_onednn_buffer(int which, size_t bytes) {
  store *s = store_here();
  if (!s) return NULL;
  if (bytes > s->bytes[which]) {
    free(s->buffer[which]);
    s->bytes[which] = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    s->buffer[which] = aligned_alloc(ALIGNMENT, s->bytes[which]);
    if (!s->buffer[which]) s->bytes[which] = 0;
  }
  return s->buffer[which];
}

/* ---- the store ----------------------------------------------------------------------------------------------------------- */
static size_t bucket_of(const onednn_key *key) {
  uint64_t hash = 14695981039346656037u;        /* FNV-1a, a word at a time */
  for (size_t i = 0; i < FL_ONEDNN_KEY; i++) hash = (hash ^ (uint64_t)key->of[i]) * 1099511628211u;
  return (hash ^ hash >> 32) % BUCKETS;
}

static void drop_oldest(store *s) {
  entry **oldest = NULL;
  for (size_t i = 0; i < BUCKETS; i++)
    for (entry **e = &s->bucket[i]; *e; e = &(*e)->next)
      if (!oldest || (*e)->used < (*oldest)->used) oldest = e;
  if (!oldest) return;
  entry *gone = *oldest;
  *oldest = gone->next;
  drop_job(&gone->job);
  free(gone);
  s->count--;
}

onednn_job *fl_onednn_find(const onednn_key *key, onednn_maker make) {
  store *s = store_here();
  if (!s) return NULL;
  const size_t b = bucket_of(key);
  entry *e = s->bucket[b];
  while (e && memcmp(&e->key, key, sizeof *key)) e = e->next;
  if (!e) {
    if (s->count >= MOST) drop_oldest(s);
    if (!(e = calloc(1, sizeof *e))) return NULL;
    e->key = *key;
    const int threads = fl_onednn_alone();      /* a primitive is made for so many */
    e->refused = !make(key, &e->job);
    fl_onednn_together(threads);
    if (e->refused) drop_job(&e->job);
    e->next = s->bucket[b];
    s->bucket[b] = e;
    s->count++;
  }
  e->used = ++s->clock;
  return e->refused ? NULL : &e->job;
}

/* ---- for makers ---------------------------------------------------------------------------------------------------------- */
dnnl_memory_desc_t fl_onednn_layout(int dims, const int64_t *dim, unsigned options) {
  static const dnnl_format_tag_t dense[] = { dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde };
  dnnl_memory_desc_t made = NULL;
  const dnnl_format_tag_t blocked = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core ? dnnl_nChw16c : dnnl_nChw8c;
  const dnnl_format_tag_t tag = options & FL_ONEDNN_ANY ? dnnl_format_tag_any : options & FL_ONEDNN_BLOCKED ? blocked
                                                                                                            : dense[dims - 1];
  if (dnnl_memory_desc_create_with_tag(&made, dims, dim, options & FL_ONEDNN_BYTES ? dnnl_u8 : dnnl_f32, tag) != dnnl_success)
    return NULL;
  return made;
}

static int reorder_of(onednn_operand *o, const_dnnl_memory_desc_t given, const_dnnl_memory_desc_t own) {
  dnnl_primitive_desc_t plan = NULL;
  const_dnnl_memory_desc_t from = o->written ? own : given, to = o->written ? given : own;
  if (dnnl_memory_create(&o->own, own, engine, DNNL_MEMORY_NONE) != dnnl_success ||
      dnnl_reorder_primitive_desc_create(&plan, from, engine, to, engine, NULL) != dnnl_success) return 0;
  const int made = dnnl_primitive_create(&o->reorder, plan) == dnnl_success;
  dnnl_primitive_desc_destroy(plan);
  return made;
}

int fl_onednn_operand(onednn_job *j, const_dnnl_primitive_desc_t plan, int arg, int written, int dims, const int64_t *dim,
                      unsigned options) {
  onednn_operand *o = &j->operand[j->operands++];
  const_dnnl_memory_desc_t own = dnnl_primitive_desc_query_md(plan, dnnl_query_exec_arg_md, arg);
  dnnl_memory_desc_t given = fl_onednn_layout(dims, dim, options);
  *o = (onednn_operand){ .arg = arg, .written = written, .at = j->scratch };
  int made = own && given && dnnl_memory_create(&o->given, given, engine, DNNL_MEMORY_NONE) == dnnl_success;
  if (made && !dnnl_memory_desc_equal(given, own)) {
    made = reorder_of(o, given, own);
    j->scratch += (dnnl_memory_desc_get_size(own) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  if (given) dnnl_memory_desc_destroy(given);
  return made;
}

int fl_onednn_finish(onednn_job *j, int made, dnnl_primitive_desc_t forward, dnnl_primitive_desc_t back, size_t layouts,
                     const dnnl_memory_desc_t *layout) {
  made = made && dnnl_primitive_create(&j->primitive, back ? back : forward) == dnnl_success;
  if (back) dnnl_primitive_desc_destroy(back);
  if (forward) dnnl_primitive_desc_destroy(forward);
  for (size_t i = 0; i < layouts; i++)
    if (layout[i]) dnnl_memory_desc_destroy(layout[i]);
  return made;
}

/* ---- running ------------------------------------------------------------------------------------------------------------- */
static int reorder(const onednn_operand *o, dnnl_stream_t stream) {
  const dnnl_exec_arg_t arg[] = { { DNNL_ARG_FROM, o->written ? o->own : o->given },
                                  { DNNL_ARG_TO, o->written ? o->given : o->own } };
  return dnnl_primitive_execute(o->reorder, stream, 2, arg) == dnnl_success;
}

static int run(onednn_job *j, const void *const *array, dnnl_stream_t stream, char *scratch) {
  dnnl_exec_arg_t arg[FL_ONEDNN_OPERANDS];
  int good = 1;
  for (size_t i = 0; i < j->operands; i++) {
    const onednn_operand *o = &j->operand[i];
    void *data = (void *)(uintptr_t)array[i];   /* what is only read is not written */
    good &= dnnl_memory_set_data_handle(o->given, data) == dnnl_success;
    if (o->own) good &= dnnl_memory_set_data_handle(o->own, scratch + o->at) == dnnl_success;
    if (o->own && !o->written) good = good && reorder(o, stream);
    arg[i] = (dnnl_exec_arg_t){ o->arg, o->own ? o->own : o->given };
  }
  good = good && dnnl_primitive_execute(j->primitive, stream, (int)j->operands, arg) == dnnl_success;
  for (size_t i = 0; i < j->operands; i++)
    if (j->operand[i].own && j->operand[i].written) good = good && reorder(&j->operand[i], stream);
  return dnnl_stream_wait(stream) == dnnl_success && good;
}

int fl_onednn_run(onednn_job *j, const void *const *array) {
  char *scratch = fl_onednn_buffer(FL_ONEDNN_REORDERED, j->scratch);
  if (!mine || (j->scratch && !scratch)) return 0;
  const int threads = fl_onednn_alone(), good = run(j, array, mine->stream, scratch);
  fl_onednn_together(threads);
  return good;
}
