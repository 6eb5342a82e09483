/* divide_sums.c - kernels that add over what is divided: their orders are fixed trees, of which parts compute aligned
 * subtrees. */
#include "kernels/divide_parts.h"
#include <string.h>

/* ---- numbers ------------------------------------------------------------------------------------------------------------- */
enum { MOST_PARTS = 64, MOST_VALUES = 6 * MOST_PARTS + 2 };
typedef struct reduction {
  const fl_kernels *k;
  size_t n, group, count, parts;                /* group: elements of a subtree */
  const float *x, *y;
  double (*of)(const struct reduction *, size_t from, size_t n);
  double value[MOST_VALUES];
} reduction;

static void reduce_part(void *arg, size_t p) {
  reduction *r = arg;
  for (size_t i = fl_divided_cut(r->count, r->parts, p); i < fl_divided_cut(r->count, r->parts, p + 1); i++) {
    const size_t from = i * r->group, left = r->n - from;
    r->value[i] = r->of(r, from, left < r->group ? left : r->group);
  }
}

static double add_values(const double *value, size_t n) {
  if (n == 1) return value[0];
  const size_t left = fl_left_of(n);
  return add_values(value, left) + add_values(value + left, n - left);
}

static void reduce(reduction *r) {
  const size_t chunks = (r->n + FL_CHUNK - 1) / FL_CHUNK, parts = fl_divided_count(chunks, r->n);
  r->k = fl_divided_kernels();
  r->parts = parts < MOST_PARTS ? parts : MOST_PARTS;
  r->group = r->n, r->count = 1;
  if (r->parts > 1) {
    r->group = fl_divided_group(chunks, r->parts) * FL_CHUNK;
    r->count = (r->n + r->group - 1) / r->group;
  }
  fl_divided_run(r->parts < r->count ? r->parts : (r->parts = r->count), reduce_part, r);
}

#define OF_SUM(name, params, one, two, ...) \
  static double of_##name(const reduction *r, size_t from, size_t n) { return r->k->name(n, __VA_ARGS__); } \
  double fl_divided_##name params { \
    reduction r = { .n = n, .x = one, .y = two, .of = of_##name }; \
    reduce(&r); \
    return add_values(r.value, r.count); \
  }
OF_SUM(sum, (size_t n, const float *x), x, NULL, r->x + from)
OF_SUM(asum, (size_t n, const float *x), x, NULL, r->x + from)
OF_SUM(sumsq, (size_t n, const float *x), x, NULL, r->x + from)
OF_SUM(dot, (size_t n, const float *x, const float *y), x, y, r->x + from, r->y + from)
OF_SUM(sumsq_diff, (size_t n, const float *x, const float *y), x, y, r->x + from, r->y + from)

static double of_absmax(const reduction *r, size_t from, size_t n) { return (double)r->k->absmax(n, r->x + from); }
float fl_divided_absmax(size_t n, const float *x) {
  reduction r = { .n = n, .x = x, .of = of_absmax };
  reduce(&r);
  double most = r.value[0];
  for (size_t i = 1; i < r.count; i++)
    if (r.value[i] > most || r.value[i] != r.value[i]) most = r.value[i];
  return (float)most;
}

/* ---- vectors ------------------------------------------------------------------------------------------------------------- */
typedef struct { size_t n, piece; const float *dy; } of_rows;
static void sum_rows(const fl_subtrees *t, size_t from, size_t rows, float *const out[2], float *work) {
  const of_rows *j = t->job;
  (void)work;
  t->k->bias_grad(rows, j->n, j->dy + from * j->n, out[0], j->piece);
}
void fl_divided_bias_grad(size_t rows, size_t n, const float *dy, float *db, size_t piece) {
  const of_rows j = { n, piece, dy };
  fl_subtrees t = { .n = rows, .piece = piece, .out = { db }, .size = { n }, .sum = sum_rows, .job = &j };
  fl_subtrees_run(&t, rows * n, 0, NULL);
}

typedef struct {
  size_t c, hw;
  const float *x, *stat, *gamma, *beta;
  int relu;
  const float *dy;
  size_t piece;
} of_batch;
static void sum_moments(const fl_subtrees *t, size_t from, size_t n, float *const out[2], float *work) {
  const of_batch *j = t->job;
  (void)work;
  t->k->batch_moments(n, j->c, j->hw, j->x + from * j->c * j->hw, j->piece, (double *)(void *)out[0]);
}
static void join_moments(const fl_subtrees *t, float *const left[2], float *const right[2], size_t left_n, size_t right_n) {
  const of_batch *j = t->job;
  fl_batch_join(j->c, left_n * j->hw, (double *)(void *)left[0], right_n * j->hw, (double *)(void *)right[0]);
  memcpy(left[0], right[0], 2 * j->c * sizeof(double));
}
void fl_divided_batch_moments(size_t n, size_t c, size_t hw, const float *x, size_t piece, double *moments) {
  const of_batch j = { .c = c, .hw = hw, .x = x, .piece = piece };
  fl_subtrees t = { .n = n, .piece = piece, .out = { (float *)(void *)moments }, .size = { 4 * c }, .sum = sum_moments,
                    .join = join_moments, .job = &j };
  fl_subtrees_run(&t, n * c * hw, 0, NULL);
}

static void sum_batch(const fl_subtrees *t, size_t from, size_t n, float *const out[2], float *work) {
  const of_batch *j = t->job;
  const size_t at = from * j->c * j->hw;
  (void)work;
  t->k->batch_norm_grad(n, j->c, j->hw, j->x + at, j->stat, j->gamma, j->beta, j->relu, j->dy + at, out[0], out[1], j->piece);
}
void fl_divided_batch_norm_grad(size_t n, size_t c, size_t hw, const float *x, const float *stat, const float *gamma,
                              const float *beta, int relu, const float *dy, float *dgamma, float *dbeta, size_t piece) {
  const of_batch j = { c, hw, x, stat, gamma, beta, relu, dy, piece };
  fl_subtrees t = { .n = n, .piece = piece, .out = { dgamma, dbeta }, .size = { c, c }, .sum = sum_batch, .job = &j };
  fl_subtrees_run(&t, n * c * hw, 0, NULL);
}

/* ---- products: C divided, nothing to add --------------------------------------------------------------------------------- */
#define PRODUCTS 8u     /* for one element of other kernels */
static void divide(const fl_gemm_job *j) {
  const fl_division *s = fl_divided_here();
  fl_gemm_divide(j, s ? &s->team : NULL, s ? PRODUCTS * s->least : 0);
}
#define OF_GEMM(name, form) \
  void fl_divided_##name(size_t m, size_t n, size_t d, const float *a, size_t lda, const float *b, size_t ldb, float *c, \
  size_t ldc, \
                       size_t piece) { \
    divide(&(fl_gemm_job){ fl_divided_kernels(), form, m, n, d, a, lda, b, ldb, c, ldc, piece }); \
  }
OF_GEMM(gemm_nn, FL_FORM_NN)
OF_GEMM(gemm_nt, FL_FORM_NT)
OF_GEMM(gemm_tn, FL_FORM_TN)
#define OF_GEMM_ADD(name, form) \
  void fl_divided_##name(size_t m, size_t n, size_t d, const float *a, size_t lda, const float *b, size_t ldb, float *c, \
                       size_t ldc) { \
    divide(&(fl_gemm_job){ fl_divided_kernels(), form, m, n, d, a, lda, b, ldb, c, ldc, 0 }); \
  }
OF_GEMM_ADD(gemm_nn_add, FL_FORM_NN_ADD)
OF_GEMM_ADD(gemm_tn_add, FL_FORM_TN_ADD)
