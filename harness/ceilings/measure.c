/* measure.c - each ceiling is the best of many short repetitions, as what disturbs only adds time; with several threads the time
 * of the slowest, since each has its own arrays and all compute at once. */
#include "measure.h"
#include "harness/core/team.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fl_level_name[FL_LEVELS] = { "L1", "L2", "L3", "DRAM" };
enum { MOST_ARRAYS = 12, REPETITIONS = 20 };
static const double shortest = 100e-6;          /* seconds of a repetition */

/* ---- a team that does one thing at once ------------------------------------------------------------------------------------ */
typedef struct { void (*call)(void *self, int thread, size_t times); void *self; int threads; } work;

static double repetition(const work *w, double *took, size_t times) {
#pragma omp parallel num_threads(w->threads)
  {
    const int me = omp_get_thread_num();
#pragma omp barrier
    const double begin = fl_now();
    w->call(w->self, me, times);
    took[me] = fl_now() - begin;
  }
  double slowest = 0;
  for (int t = 0; t < w->threads; t++) slowest = took[t] > slowest ? took[t] : slowest;
  return slowest;
}

/* Seconds of a call: as many in a repetition as last long enough. */
static double best_of(const work *w) {
  double best = 0, *took = calloc((size_t)w->threads, sizeof *took);
  size_t times = 1;
  if (!took) return 0;
  while (repetition(w, took, times) < shortest) times *= 2;
  for (int r = 0; r < REPETITIONS; r++) {
    const double each = repetition(w, took, times) / (double)times;
    best = best == 0 || each < best ? each : best;
  }
  free(took);
  return best;
}

/* ---- bandwidth --------------------------------------------------------------------------------------------------------- */
/* Half of a cache; of the last one, that the threads share, a part each; far more than it. */
static double bytes_at(fl_level level, int threads) {
  if (level == FL_LEVEL_DRAM) return 4.0 * (double)fl_cache_bytes(3) / threads;
  const double own = (double)fl_cache_bytes((unsigned)level + 1) / 2;
  return level == FL_LEVEL_L3 ? own / threads : own;
}

fl_level fl_level_of(double bytes, int threads) {
  if (bytes <= (double)fl_cache_bytes(1)) return FL_LEVEL_L1;
  if (bytes <= (double)fl_cache_bytes(2)) return FL_LEVEL_L2;
  return bytes <= (double)fl_cache_bytes(3) / threads ? FL_LEVEL_L3 : FL_LEVEL_DRAM;
}

typedef struct { fl_stream_loop *loop; size_t n; fl_streams mix; fl_arena *arena; } stream;

static void run_stream(void *self, int thread, size_t times) {
  const stream *s = self;
  const size_t arrays = s->mix.reads + s->mix.bytes + s->mix.writes - s->mix.in_place;
  float *array[MOST_ARRAYS] = { 0 }, *out[MOST_ARRAYS] = { 0 };
  const float *in[MOST_ARRAYS] = { 0 };
  for (size_t j = 0; j < arrays; j++) array[j] = (float *)(void *)s->arena[thread].base + j * fl_stream_stride(s->n);
  fl_streams_place(s->mix, array, 0, in, out);
  for (size_t i = 0; i < times; i++) s->loop(s->n, in, out);
}

/* An arena a thread, touched by it. 0, or -1: no memory. */
static int open_arenas(fl_arena *arena, int threads, size_t floats) {
  int failed = 0;
#pragma omp parallel num_threads(threads)
  {
    fl_arena *mine = &arena[omp_get_thread_num()];
    const int bad = fl_arena_open(mine, floats * sizeof(float));
    for (size_t i = 0; !bad && i < floats; i++) ((float *)(void *)mine->base)[i] = 0.5f + (float)(i % 1021) * 0x1p-10f;
#pragma omp critical
    failed |= bad;
  }
  return failed ? -1 : 0;
}

/* The best of the loops that have this mix. */
static void try_loops(stream *s, fl_bandwidth *b, fl_isa isa, const char *width) {
  static const char *const form_name[] = { "copy", "add", "triad" };
  const fl_stream_loops all = fl_stream_loops_of(s->mix, isa);
  const double bytes = (double)s->n * (4.0 * (s->mix.reads + s->mix.writes) + s->mix.bytes);
  for (int form = 0; form < FL_STREAM_FORMS; form++) {
    for (int past = 0; past < 2; past++) {
      if (past && (b->level < FL_LEVEL_L3 || !FL_CAN_PASS || !s->mix.writes || form == FL_STREAM_ADD)) continue;
      s->loop = past ? all.past[form] : all.plain[form];
      const double seconds = best_of(&(work){ run_stream, s, b->threads }) / bytes;
      if (b->seconds > 0 && seconds >= b->seconds) continue;
      b->seconds = seconds;
      snprintf(b->loop, sizeof b->loop, "%s%s%s", form_name[form], width, past ? ", past the caches" : "");
    }
  }
}

static int measure_bandwidth(fl_bandwidth *b, fl_isa isa) {
  const size_t arrays = b->mix.reads + b->mix.bytes + b->mix.writes - b->mix.in_place;
  const size_t n = (size_t)(bytes_at(b->level, b->threads) / (4.0 * (double)arrays)) / 64 * 64;
  fl_arena *arena = calloc((size_t)b->threads, sizeof *arena);
  int bad = !arena || open_arenas(arena, b->threads, arrays * fl_stream_stride(n));
  if (!bad) {
    stream s = { NULL, n, b->mix, arena };
    try_loops(&s, b, isa, "");
    /* A core may store two halves faster than a whole; beyond its own caches the width does not matter. */
    if (isa == FL_ISA_AVX512 && b->level <= FL_LEVEL_L2) try_loops(&s, b, FL_ISA_AVX2, ", 256 bit");
  }
  for (int t = 0; arena && t < b->threads; t++) fl_arena_close(&arena[t]);
  free(arena);
  return bad;
}

static int same_streams(const fl_streams *a, const fl_streams *b) {
  return a->reads == b->reads && a->writes == b->writes && a->in_place == b->in_place && a->bytes == b->bytes;
}

const fl_bandwidth *fl_ceiling_bandwidth(fl_ceilings *c, fl_streams mix, fl_level level, int threads) {
  for (size_t i = 0; i < c->n; i++)
    if (c->bandwidth[i].level == level && c->bandwidth[i].threads == threads && same_streams(&c->bandwidth[i].mix, &mix))
      return &c->bandwidth[i];
  fl_bandwidth b = { .mix = mix, .level = level, .threads = threads }, *list = realloc(c->bandwidth, (c->n + 1) * sizeof *list);
  if (!list) return NULL;
  c->bandwidth = list;
  if (measure_bandwidth(&b, c->isa)) return NULL;
  list[c->n] = b;
  return &list[c->n++];
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------------- */
typedef struct { float (*loop)(int64_t turns); volatile float sink; } chain;

static void run_chain(void *self, int thread, size_t times) {
  chain *c = self;
  const float result = c->loop((int64_t)times);
  if (!thread) c->sink = result;
}

static double lane_seconds(float (*loop)(int64_t), double lanes, int threads) {
  chain c = { .loop = loop };
  return best_of(&(work){ run_chain, &c, threads }) / (FL_COMPUTE_TURN * lanes);
}

const fl_compute *fl_ceiling_compute(fl_ceilings *c, int threads) {
  for (size_t i = 0; i < c->n_compute; i++)
    if (c->compute[i].threads == threads) return &c->compute[i];
  fl_compute *list = realloc(c->compute, (c->n_compute + 1) * sizeof *list);
  if (!list) return NULL;
  c->compute = list;
  fl_compute *new = &list[c->n_compute++];
  const fl_compute_loops *l = fl_compute_loops_of(c->isa);
  *new = (fl_compute){ .threads = threads };
  if (!l) return new;
  new->lanes = l->lanes;
  new->fma = lane_seconds(l->fma, l->lanes, threads);
  new->div = lane_seconds(l->div, l->lanes, threads);
  new->sqrt = lane_seconds(l->sqrt, l->lanes, threads);
  new->both = lane_seconds(l->both, l->lanes, threads);
  return new;
}

void fl_ceilings_free(fl_ceilings *c) {
  free(c->bandwidth);
  free(c->compute);
  *c = (fl_ceilings){ .isa = c->isa };
}
