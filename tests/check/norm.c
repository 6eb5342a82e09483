/* norm.c - tests of the normalisation layers. */
#include "check.h"

#define OUT(type, n) { 'o', type, (n), NULL, -1, 0, 0 }
#define IN(n, init) { 'i', 'f', (n), (init), -1, 0, 0 }
#define WORK(n) { 's', 'f', (n), NULL, -1, 0, 0 }
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const float eps = 1e-5f;

/* ---- layer norm ------------------------------------------------------------------------------------------------------- */
static void call_layer_norm(const fl_kernels *k, call *c) {
  k->layer_norm(c->s[0], c->s[1], c->p[0], c->p[1], c->p[2], eps, c->p[3], c->p[4]);
}
static void call_layer_back(const fl_kernels *k, call *c) {
  k->layer_norm_back(c->s[0], c->s[1], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6], c->s[2], c->p[7]);
}

static const size_t rows_by[][3] = { { 0, 5, 1 }, { 1, 1, 1 }, { 3, 2, 2 }, { 17, 24, 8 }, { 33, 15, 32 }, { 16, 64, 4 },
                                     { 5, 65, 4 }, { 40, 192, 16 }, { 2, 257, 1 }, { 7, 130, 3 }, { 2, 5000, 1 } };
static void layer_norms(check *t, int back) {
  char what[64];
  for (size_t i = 0; i < COUNT(rows_by); i++) {
    for (int kind = 0; kind < KINDS; kind++) {
      const size_t rows = rows_by[i][0], n = rows_by[i][1], piece = rows_by[i][2], all = rows * n;
      const float *x = some_floats(t, 0, all, kind), *gamma = some_floats(t, 1, n, KIND_UNIFORM);
      const float *beta = some_floats(t, 2, n, kind), *dy = some_floats(t, 3, all, kind);
      const float *stat = some_floats(t, 4, 2 * rows, kind);
      snprintf(what, sizeof what, "rows=%zu n=%zu piece=%zu kind=%d", rows, n, piece, kind);
      const arg forward[] = { IN(all, x), IN(n, gamma), IN(n, beta), OUT('f', all), OUT('f', 2 * rows) };
      const arg backward[] = { IN(all, x), IN(n, gamma), IN(2 * rows, stat), IN(all, dy), OUT('f', all), OUT('f', n), OUT('f', n),
                               WORK(fl_norm_work(n, rows, piece)) };
      const arg in_place[] = { { 'x', 'f', all, x, -1, 0, 0 }, IN(n, gamma), IN(n, beta), { 'x', 'f', all, x, 0, 0, 0 },
                         OUT('f', 2 * rows) };
      const arg onto[] = { IN(all, x), IN(n, gamma), IN(2 * rows, stat), { 'x', 'f', all, dy, -1, 0, 0 },
                     { 'x', 'f', all, dy, 3, 0, 0 }, OUT('f', n), OUT('f', n), WORK(fl_norm_work(n, rows, piece)) };
      call c = { .s = { rows, n, piece } };
      if (back) {
        run_case(t, what, call_layer_back, &c, COUNT(backward), backward);
        run_case(t, what, call_layer_back, &c, COUNT(onto), onto);
      } else {
        run_case(t, what, call_layer_norm, &c, COUNT(forward), forward);
        run_case(t, what, call_layer_norm, &c, COUNT(in_place), in_place);
      }
    }
  }
}
void check_layer_norm(check *t) { layer_norms(t, 0); }
void check_layer_norm_back(check *t) { layer_norms(t, 1); }

/* ---- group norm ------------------------------------------------------------------------------------------------------- */
static void call_group_norm(const fl_kernels *k, call *c) {
  k->group_norm(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4]);
}
static void call_group_back(const fl_kernels *k, call *c) {
  k->group_norm_back(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6], c->p[7], c->s[1], c->p[8]);
}

typedef struct { size_t n, c, hw, groups, piece; } planes;
static const planes shapes[] = { { 0, 2, 3, 1, 1 }, { 1, 1, 1, 1, 1 }, { 3, 4, 9, 2, 2 }, { 35, 6, 16, 2, 32 },
                                 { 2, 32, 64, 2, 2 }, { 5, 34, 49, 17, 4 },
                                 { 2, 20, 225, 1, 1 }, { 2, 2, 4200, 2, 1 }, { 9, 3, 65, 3, 8 } };

static void group_case(check *t, int back, const planes *p, int kind, int relu) {
  const fl_group_norm s = { p->c, p->hw, p->groups, eps, relu };
  const size_t all = p->n * p->c * p->hw, stats = 2 * p->n * p->groups;
  const float *x = some_floats(t, 0, all, kind), *gamma = some_floats(t, 1, p->c, KIND_UNIFORM);
  const float *beta = some_floats(t, 2, p->c, kind == KIND_SPECIAL ? KIND_UNIFORM : kind);
  const float *dy = some_floats(t, 3, all, kind), *stat = some_floats(t, 4, stats, kind);
  const arg work = WORK(fl_norm_work(p->c, p->n, p->piece));
  const arg forward[] = { IN(all, x), IN(p->c, gamma), IN(p->c, beta), OUT('f', all), OUT('f', stats) };
  const arg backward[] = { IN(all, x), IN(p->c, gamma), IN(p->c, beta), IN(stats, stat), IN(all, dy), OUT('f', all),
                           OUT('f', p->c), OUT('f', p->c), work };
  const arg in_place[] = { { 'x', 'f', all, x, -1, 0, 0 }, IN(p->c, gamma), IN(p->c, beta), { 'x', 'f', all, x, 0, 0, 0 },
                           OUT('f', stats) };
  const arg onto[] = { IN(all, x), IN(p->c, gamma), IN(p->c, beta), IN(stats, stat), { 'x', 'f', all, dy, -1, 0, 0 },
                       { 'x', 'f', all, dy, 4, 0, 0 }, OUT('f', p->c), OUT('f', p->c), work };
  call c = { .s = { p->n, p->piece }, .param = &s };
  char what[96];
  snprintf(what, sizeof what, "n=%zu c=%zu hw=%zu groups=%zu relu=%d kind=%d", p->n, p->c, p->hw, p->groups, relu, kind);
  if (back) {
    run_case(t, what, call_group_back, &c, COUNT(backward), backward);
    run_case(t, what, call_group_back, &c, COUNT(onto), onto);
  } else {
    run_case(t, what, call_group_norm, &c, COUNT(forward), forward);
    run_case(t, what, call_group_norm, &c, COUNT(in_place), in_place);
  }
}

static void each_shape(check *t, void (*f)(check *, int, const planes *, int, int), int which) {
  for (size_t i = 0; i < COUNT(shapes); i++) {
    for (int kind = 0; kind < KINDS; kind++) {
      if (t->quick && (i + (size_t)kind) % 2) { continue; }
      f(t, which, &shapes[i], kind, (int)((i + (size_t)kind) / 2 % 2));
      if (!t->quick) { f(t, which, &shapes[i], kind, (int)(1 - (i + (size_t)kind) / 2 % 2)); }
    }
  }
}
void check_group_norm(check *t) { each_shape(t, group_case, 0); }
void check_group_norm_back(check *t) { each_shape(t, group_case, 1); }

/* ---- batch norm ------------------------------------------------------------------------------------------------------- */
static void call_moments(const fl_kernels *k, call *c) {
  k->batch_moments(c->s[0], c->s[1], c->s[2], c->p[0], c->s[3], c->p[1]);
}
static void call_batch_norm(const fl_kernels *k, call *c) {
  k->batch_norm(c->s[0], c->s[1], c->s[2], c->p[0], c->p[1], c->p[2], c->p[3], (int)c->s[4], c->p[4]);
}
static void call_batch_grad(const fl_kernels *k, call *c) {
  k->batch_norm_grad(c->s[0], c->s[1], c->s[2], c->p[0], c->p[1], c->p[2], c->p[3], (int)c->s[4], c->p[4], c->p[5], c->p[6],
                     c->s[3]);
}
static void call_batch_back(const fl_kernels *k, call *c) {
  k->batch_norm_back(c->s[0], c->s[1], c->s[2], c->p[0], c->p[1], c->p[2], c->p[3], (int)c->s[4], c->p[4], c->p[5], c->p[6],
                     c->s[5], c->p[7]);
}
enum { MOMENTS, FORWARD, GRAD, BACK };

static void batch_case(check *t, int which, const planes *p, int kind, int relu) {
  const size_t all = p->n * p->c * p->hw, k = p->c;
  const float *x = some_floats(t, 0, all, kind), *gamma = some_floats(t, 1, k, KIND_UNIFORM);
  const float *beta = some_floats(t, 2, k, kind == KIND_SPECIAL ? KIND_UNIFORM : kind);
  const float *dy = some_floats(t, 3, all, kind), *stat = some_floats(t, 4, 2 * k, kind);
  const float *dgamma = some_floats(t, 5, k, kind), *dbeta = some_floats(t, 6, k, kind);
  const arg moments[] = { IN(all, x), OUT('d', 2 * k) };
  const arg forward[] = { IN(all, x), IN(2 * k, stat), IN(k, gamma), IN(k, beta), OUT('f', all) };
  const arg in_place[] = { { 'x', 'f', all, x, -1, 0, 0 }, IN(2 * k, stat), IN(k, gamma), IN(k, beta),
                           { 'x', 'f', all, x, 0, 0, 0 } };
  const arg grad[] = { IN(all, x), IN(2 * k, stat), IN(k, gamma), IN(k, beta), IN(all, dy), OUT('f', k), OUT('f', k) };
  const arg back[] = { IN(all, x), IN(2 * k, stat), IN(k, gamma), IN(k, beta), IN(all, dy), IN(k, dgamma), IN(k, dbeta),
                       OUT('f', all) };
  const arg onto[] = { IN(all, x), IN(2 * k, stat), IN(k, gamma), IN(k, beta), { 'x', 'f', all, dy, -1, 0, 0 }, IN(k, dgamma),
                       IN(k, dbeta), { 'x', 'f', all, dy, 4, 0, 0 } };
  call c = { .s = { p->n, p->c, p->hw, p->piece, (size_t)relu, p->n * p->hw } };
  char what[96];
  snprintf(what, sizeof what, "n=%zu c=%zu hw=%zu piece=%zu relu=%d kind=%d", p->n, p->c, p->hw, p->piece, relu, kind);
  if (which == MOMENTS && p->n) { run_case(t, what, call_moments, &c, COUNT(moments), moments); }
  if (which == FORWARD) {
    run_case(t, what, call_batch_norm, &c, COUNT(forward), forward);
    run_case(t, what, call_batch_norm, &c, COUNT(in_place), in_place);
  }
  if (which == GRAD) { run_case(t, what, call_batch_grad, &c, COUNT(grad), grad); }
  if (which == BACK) {
    run_case(t, what, call_batch_back, &c, COUNT(back), back);
    run_case(t, what, call_batch_back, &c, COUNT(onto), onto);
  }
}
void check_batch_moments(check *t) { each_shape(t, batch_case, MOMENTS); }
void check_batch_norm(check *t) { each_shape(t, batch_case, FORWARD); }
void check_batch_norm_grad(check *t) { each_shape(t, batch_case, GRAD); }
void check_batch_norm_back(check *t) { each_shape(t, batch_case, BACK); }
