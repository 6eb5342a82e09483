/* divide.c - what a thread's calls are divided over, and how many parts a call has. */
#include "kernels/divide_parts.h"
#include <stdatomic.h>
#include <string.h>

/* Elements of a part that take longer than its hand-out, about a microsecond. */
enum { LEAST = 16384, PART_FLOATS = 16 };

static _Thread_local const fl_division *here;
static _Atomic(const fl_kernels *) alone;

void fl_divide_over(const fl_division *s) { here = s; }
const fl_division *fl_divided_here(void) { return here; }
const fl_kernels *fl_divided_kernels(void) {
  return here && here->k ? here->k : atomic_load_explicit(&alone, memory_order_relaxed);
}
void fl_divided_alone(const fl_kernels *k) { atomic_store_explicit(&alone, k, memory_order_relaxed); }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t fl_divided_count(size_t units, size_t work) {
  if (!here) return 1;
  const size_t least = here->least ? here->least : LEAST, parts = smaller(smaller(here->team.workers, units), work / least);
  return parts ? parts : 1;
}

void fl_divided_run(size_t parts, fl_part body, void *arg) {
  if (parts > 1) here->team.each(here->team.self, parts, body, arg);
  else body(arg, 0);
}

fl_ranges fl_ranges_of(size_t n, size_t unit, size_t work) {
  return (fl_ranges){ fl_divided_kernels(), n, unit, fl_divided_count((n + unit - 1) / unit, work) };
}

fl_scratch fl_ranges_scratch(fl_ranges *r, float *own, size_t floats) {
  const size_t each = (floats + PART_FLOATS - 1) / PART_FLOATS * PART_FLOATS;
  if (r->parts > 1 && each > here->floats / r->parts) r->parts = 1;
  return (fl_scratch){ own, r->parts > 1 ? here->memory : NULL, each };
}

/* ---- subtrees ------------------------------------------------------------------------------------------------------------ */
size_t fl_divided_group(size_t leaves, size_t parts) {
  const size_t want = smaller(leaves, 3 * parts);
  size_t group = 1;
  while ((leaves + 2 * group - 1) / (2 * group) >= want) group *= 2;
  return group;
}

static void place(const fl_subtrees *t, size_t i, float *out[2]) {
  float *at = i ? t->partial + (i - 1) * t->stride : NULL;
  for (int v = 0; v < 2; v++) {
    out[v] = t->out[v] && i ? at : t->out[v];
    if (t->out[v] && i) at += t->size[v];
  }
}

static size_t rows_to(const fl_subtrees *t, size_t i) { return smaller(i * t->group * t->piece, t->n); }

static void sum_part(void *arg, size_t p) {
  const fl_subtrees *t = arg;
  float *out[2], *work = t->work + p * t->work_floats;
  for (size_t i = fl_divided_cut(t->count, t->parts, p); i < fl_divided_cut(t->count, t->parts, p + 1); i++) {
    place(t, i, out);
    t->sum(t, rows_to(t, i), rows_to(t, i + 1) - rows_to(t, i), out, work);
  }
}

/* Subtrees first .. first + n - 1 into the place of the first; a part of the vectors if parts > 1. */
static void add_nodes(const fl_subtrees *t, size_t first, size_t n, size_t part, size_t parts) {
  float *left[2], *right[2];
  if (n < 2) return;
  const size_t l = fl_left_of(n), middle = first + l;
  add_nodes(t, first, l, part, parts);
  add_nodes(t, middle, n - l, part, parts);
  place(t, first, left);
  place(t, middle, right);
  if (t->join) {
    t->join(t, left, right, rows_to(t, middle) - rows_to(t, first), rows_to(t, first + n) - rows_to(t, middle));
    return;
  }
  for (int v = 0; v < 2; v++) {
    const size_t units = (t->size[v] + 15) / 16, from = fl_divided_cut(units, parts, part) * 16;
    const size_t to = smaller(fl_divided_cut(units, parts, part + 1) * 16, t->size[v]);
    if (left[v] && to > from) t->k->add(to - from, left[v] + from, left[v] + from, right[v] + from);
  }
}

typedef struct { const fl_subtrees *t; size_t parts; } adding;
static void add_part(void *arg, size_t i) {
  const adding *a = arg;
  add_nodes(a->t, 0, a->t->count, i, a->parts);
}

static void sum_alone(fl_subtrees *t, float *own) {
  t->sum(t, 0, t->n, t->out, own);
}

void fl_subtrees_run(fl_subtrees *t, size_t work, size_t scratch, float *own) {
  const size_t leaves = (t->n + t->piece - 1) / t->piece, parts = fl_divided_count(leaves, work);
  t->k = fl_divided_kernels();
  if (parts < 2) {
    sum_alone(t, own);
    return;
  }
  t->group = fl_divided_group(leaves, parts);
  t->count = (leaves + t->group - 1) / t->group;
  t->parts = smaller(parts, t->count);
  t->stride = ((t->out[0] ? t->size[0] : 0) + (t->out[1] ? t->size[1] : 0) + PART_FLOATS - 1) / PART_FLOATS * PART_FLOATS;
  t->work_floats = (scratch + PART_FLOATS - 1) / PART_FLOATS * PART_FLOATS;
  if ((t->count - 1) * t->stride + t->parts * t->work_floats > here->floats) {
    sum_alone(t, own);
    return;
  }
  t->partial = here->memory;
  t->work = here->memory + (t->count - 1) * t->stride;
  fl_divided_run(t->parts, sum_part, t);
  const size_t size = t->count * t->stride;
  adding a = { t, t->join ? 1 : fl_divided_count(t->stride / 16, size) };
  fl_divided_run(a.parts, add_part, &a);
}
