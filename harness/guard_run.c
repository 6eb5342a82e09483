/* guard_run.c - takes the samples: a look is three launches of both programs, and in each launch rounds over all rows in random
 * order. In a round both programs run a row one right after the other, now this one first, now that one, on the same processor. A
 * launch has new processes, since where the memory of a process happens to lie makes a few percent that no repetition within it
 * shows. */
#include "guard.h"
#include "results.h"
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A part must outlast the clock's own cost, and end before the machine's next interruption is likely. */
#define PART_SECONDS 0.0004
#define SAMPLE_SECONDS 0.0025                   /* all parts of a sample, where a call is not longer itself */
enum { MOST_PARTS = 5, COUNTED_CALLS = 100 };
#define COUNTED_MOST 5e6                        /* instructions of a count: callgrind takes a second for more */

static unsigned below(unsigned *state, unsigned n) {   /* the order of rows; nothing depends on its quality */
  *state = *state * 1664525u + 1013904223u;
  return (unsigned)((uint64_t)(*state >> 8) * n >> 24);
}

static void say(const char *what, size_t done, size_t all) {
  if (!isatty(2)) return;
  fprintf(stderr, "\r%s: %zu of %zu\033[K", what, done, all);
  if (done == all) fputs("\r\033[K", stderr);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */
const json_t *fl_row_named(const json_t *list, const char *name) {
  const json_t *row;
  size_t i;
  json_array_foreach(list, i, row)
    if (!strcmp(json_string_value(json_object_get(row, "name")), name)) return row;
  return NULL;
}

static int has_text(const json_t *list, const char *text) {
  const json_t *v;
  size_t i;
  json_array_foreach(list, i, v)
    if (json_is_string(v) && !strcmp(json_string_value(v), text)) return 1;
  return 0;
}

int fl_has_ceiling(const fl_row *r, const char *name) { return has_text(r->ceilings, name); }

static json_t *ceilings_of(const json_t *row, const json_t *other) {
  json_t *list = json_array(), *name;
  size_t i;
  json_array_foreach(json_object_get(row, "ceilings"), i, name)
    if (!other || has_text(json_object_get(other, "ceilings"), json_string_value(name))) json_array_append(list, name);
  return list;
}

static int start(const fl_guard *g, fl_bench *bench, char *err, size_t err_size) {
  for (int s = 0; s < 2; s++) bench[s] = (fl_bench){ .to = -1, .from = -1 };
  for (int s = 0; s < 2 && g->program[s]; s++)
    if (fl_bench_start(&bench[s], g->program[s], g->metric, g->arguments, err, err_size)) return fl_bench_end(&bench[0]), -1;
  return 0;
}

static void end(fl_bench *bench) {
  for (int s = 0; s < 2; s++) fl_bench_end(&bench[s]);
}

int fl_guard_rows(fl_guard *g, char *err, size_t err_size) {
  fl_bench bench[2];
  const json_t *row;
  size_t i;
  if (start(g, bench, err, err_size)) return -1;
  for (int s = 0; s < 2 && g->program[s]; s++) g->context[s] = json_incref(json_object_get(bench[s].hello, "context"));
  const json_t *rows = json_object_get(bench[0].hello, "rows");
  const json_t *second = g->program[1] ? json_object_get(bench[1].hello, "rows") : NULL;
  g->row = calloc(json_array_size(rows) + json_array_size(second) + 1, sizeof *g->row);
  if (!g->row) abort();
  json_array_foreach(rows, i, row) {
    fl_row *r = &g->row[g->n++];
    r->name = strdup(json_string_value(json_object_get(row, "name")));
    r->threads = (int)json_integer_value(json_object_get(row, "threads"));
    const json_t *there = fl_row_named(second, r->name);
    r->ceilings = ceilings_of(row, there);
    if (second && !there) r->reason = "this build has no such row", r->dropped = 1;
  }
  json_array_foreach(second, i, row) {
    const char *name = json_string_value(json_object_get(row, "name"));
    if (fl_row_named(rows, name)) continue;
    g->row[g->n] = (fl_row){ .name = strdup(name), .reason = "the other build has no such row", .dropped = 1 };
    g->n++;
  }
  end(bench);
  return 0;
}

/* ---- how much of a row is a sample ------------------------------------------------------------------------------------ */
typedef struct { fl_bench *bench; char *err; size_t err_size; int bad; } asker;

static double ask(asker *a, const char *row, int cpu, long long calls, int parts) {
  double seconds = 1;
  if (!a->bad) a->bad = fl_bench_ask(a->bench, row, cpu, calls, parts, &seconds, a->err, a->err_size);
  return seconds;
}

/* The stream that is fastest beside the row, unless the row takes twice as long: then something else binds it. */
static const char *beside(asker *a, const fl_row *r) {
  const char *best = NULL;
  const json_t *name;
  enum { MOST = 16 };
  double first[MOST], near = INFINITY, least = INFINITY, own[3];
  size_t i;
  json_array_foreach(r->ceilings, i, name) {
    if (i >= MOST) break;
    first[i] = ask(a, json_string_value(name), -1, r->calls, r->parts);
    near = first[i] < near ? first[i] : near;
  }
  json_array_foreach(r->ceilings, i, name) {
    if (i >= MOST || first[i] > 1.1 * near) continue;
    double v[3] = { first[i] };
    for (int k = 1; k < 3; k++) v[k] = ask(a, json_string_value(name), -1, r->calls, r->parts);
    if (fl_median(v, 3) < least) least = fl_median(v, 3), best = json_string_value(name);
  }
  for (int k = 0; best && k < 3; k++) own[k] = ask(a, r->name, -1, r->calls, r->parts);
  return best && fl_median(own, 3) < 2 * least ? best : NULL;
}

static void measure_size(asker *a, const fl_guard *g, fl_row *r) {
  double all = 0;
  r->parts = 1;
  r->calls = 1;
  if (g->metric != FL_TIME) {
    const double most = COUNTED_MOST / ask(a, r->name, -1, 1, 1);
    r->calls = most < 1 ? 1 : most < COUNTED_CALLS ? (long long)most : COUNTED_CALLS;
    return;
  }
  for (int i = 0; i < 8 && !a->bad; i++) {
    all = ask(a, r->name, -1, r->calls, 2) * (double)r->calls;
    if (all >= 0.8 * PART_SECONDS) break;
    const double more = PART_SECONDS / (all + 1e-9);
    r->calls = (long long)((double)r->calls * (more > 100 ? 100 : more)) + 1;
  }
  r->parts = all > SAMPLE_SECONDS ? 1 : SAMPLE_SECONDS / all > MOST_PARTS ? MOST_PARTS : (int)(SAMPLE_SECONDS / all);
  const char *name = beside(a, r);
  r->beside = name ? strdup(name) : NULL;
}

/* ---- samples ---------------------------------------------------------------------------------------------------------- */
static void take(fl_bench *bench, fl_row *r, int side, int cpu, asker *a) {
  a->bench = &bench[side];
  r->side[side].beside[r->n] = r->beside ? ask(a, r->beside, cpu, r->calls, r->parts) : 1;
  r->side[side].value[r->n] = ask(a, r->name, cpu, r->calls, r->parts);
}

static int cpu_of_round(size_t round) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return -1;
  const size_t wanted = round % (size_t)CPU_COUNT(&set);
  size_t seen = 0;
  for (int c = 0; c < CPU_SETSIZE; c++)
    if (CPU_ISSET(c, &set) && seen++ == wanted) return c;
  return -1;
}

static int launch(fl_guard *g, size_t k, size_t rounds, const char *wanted, char *err, size_t err_size) {
  fl_bench bench[2];
  size_t *order = malloc((g->n + 1) * sizeof *order), n = 0;
  if (!order) abort();
  if (start(g, bench, err, err_size)) return free(order), -1;
  asker a = { .bench = &bench[0], .err = err, .err_size = err_size };
  for (size_t i = 0; i < g->n; i++)
    if (wanted[i]) order[n++] = i, g->row[i].launches++;
  for (size_t i = 0; i < n && !a.bad; i++) {
    if (g->row[order[i]].calls == 0) measure_size(&a, g, &g->row[order[i]]);
    say("sizes", i + 1, n);
  }
  for (size_t round = 0; round < rounds && !a.bad; round++) {
    for (size_t i = n; i > 1; i--) {
      const size_t j = below(&g->seed, (unsigned)i), swap = order[i - 1];
      order[i - 1] = order[j];
      order[j] = swap;
    }
    for (size_t i = 0; i < n && !a.bad; i++) {
      fl_row *r = &g->row[order[i]];
      const int first = g->program[1] ? (int)below(&g->seed, 2) : 0;
      take(bench, r, first, cpu_of_round(round), &a);
      if (g->program[1]) take(bench, r, 1 - first, cpu_of_round(round), &a);
      r->n++;
      r->of_launch[r->launches - 1]++;
    }
    say("rounds", k * rounds + round + 1, FL_GUARD_LAUNCHES * rounds);
  }
  end(bench);
  free(order);
  return a.bad ? -1 : 0;
}

static void room(fl_row *r, size_t more) {
  for (int s = 0; s < 2; s++) {
    double **list[2] = { &r->side[s].value, &r->side[s].beside };
    for (int k = 0; k < 2; k++)
      if (!(*list[k] = realloc(*list[k], (r->n + more) * sizeof **list[k]))) abort();
  }
}

int fl_guard_look(fl_guard *g, const char *wanted, char *err, size_t err_size) {
  /* Counts repeat: two are enough to see it. */
  const size_t all = g->metric == FL_TIME ? g->repetitions : 2;
  for (size_t i = 0; i < g->n; i++)
    if (wanted[i]) room(&g->row[i], all);
  size_t done = 0;
  for (size_t k = 0; k < FL_GUARD_LAUNCHES; k++) {
    const size_t rounds = (all - done) / (FL_GUARD_LAUNCHES - k);
    if (rounds > 0 && launch(g, k, rounds, wanted, err, err_size)) return -1;
    done += rounds;
  }
  return 0;
}

void fl_guard_free(fl_guard *g) {
  for (size_t i = 0; i < g->n; i++) {
    free(g->row[i].name);
    free((char *)g->row[i].beside);
    json_decref(g->row[i].ceilings);
    for (int s = 0; s < 2; s++) free(g->row[i].side[s].value), free(g->row[i].side[s].beside);
  }
  free(g->row);
  for (int s = 0; s < 2; s++) json_decref(g->context[s]);
}
