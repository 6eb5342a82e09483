/* reduce.c - tests of the reductions. */
#include "check.h"

#define N (c->s[0])
#define ALIASES(...) (const char *const[]){ __VA_ARGS__, NULL }

static void call_sum(const fl_kernels *k, call *c) { c->ret = k->sum(N, c->p[0]); }
static void call_dot(const fl_kernels *k, call *c) { c->ret = k->dot(N, c->p[0], c->p[1]); }
static void call_sumsq(const fl_kernels *k, call *c) { c->ret = k->sumsq(N, c->p[0]); }
static void call_sumsq_diff(const fl_kernels *k, call *c) { c->ret = k->sumsq_diff(N, c->p[0], c->p[1]); }
static void call_absmax(const fl_kernels *k, call *c) { c->ret = k->absmax(N, c->p[0]); }
void check_sum(check *t) { elementwise(t, call_sum, &(call){ 0 }, "i", NULL); }
void check_dot(check *t) { elementwise(t, call_dot, &(call){ 0 }, "ii", ALIASES("01")); }
void check_sumsq(check *t) { elementwise(t, call_sumsq, &(call){ 0 }, "i", NULL); }
void check_sumsq_diff(check *t) { elementwise(t, call_sumsq_diff, &(call){ 0 }, "ii", ALIASES("01")); }
void check_absmax(check *t) { elementwise(t, call_absmax, &(call){ 0 }, "i", NULL); }

static void call_asum(const fl_kernels *k, call *c) { c->ret = k->asum(N, c->p[0]); }
static void call_argmax(const fl_kernels *k, call *c) { c->ret = (double)k->argmax(N, c->p[0]); }
static void call_argabsmax(const fl_kernels *k, call *c) { c->ret = (double)k->argabsmax(N, c->p[0]); }
void check_asum(check *t) { elementwise(t, call_asum, &(call){ 0 }, "i", NULL); }

/* Besides the usual inputs a few values over and over, so that the first of many equals is asked for at every place. */
static void argmax_cases(check *t, caller f) {
  static const float value[] = { -0.0f, 0.0f, -1.0f, 1.0f, -__builtin_inff(), __builtin_inff() };
  enum { LONGEST = 300 };
  float x[LONGEST];
  elementwise(t, f, &(call){ 0 }, "i", NULL);
  for (size_t n = 1; n <= LONGEST; n += 1 + rnd_below(t, 9)) {
    for (unsigned kinds = 1; kinds <= 6; kinds++) {
      for (size_t i = 0; i < n; i++) { x[i] = value[rnd_below(t, kinds)]; }
      const arg a = { 'i', 'f', n, x, -1, 0, 0 };
      run_case(t, "ties", f, &(call){ .s = { n } }, 1, &a);
    }
  }
}
void check_argmax(check *t) { argmax_cases(t, call_argmax); }
void check_argabsmax(check *t) { argmax_cases(t, call_argabsmax); }

static void call_variance(const fl_kernels *k, call *c) { c->ret = k->variance(N, c->p[0], c->p[1]); }
void check_variance(check *t) {
  char what[64];
  for (size_t n = 0; n != SIZE_MAX; n = next_length(t, n)) {
    for (int kind = 0; kind < KINDS; kind++) {
      const arg a[] = { { 'i', 'f', n, some_floats(t, 0, n, kind), -1, 0, 0 }, { 'o', 'd', 1, NULL, -1, 0, 0 } };
      snprintf(what, sizeof what, "n=%zu kind=%d", n, kind);
      run_case(t, what, call_variance, &(call){ .s = { n } }, 2, a);
    }
  }
}

static void call_gram(const fl_kernels *k, call *c) { k->gram(N, c->s[1], c->p[0], c->s[2], c->p[1]); }
static void call_sq_distances(const fl_kernels *k, call *c) { k->sq_distances(N, c->s[1], c->p[0], c->s[2], c->p[1]); }

/* Numbers of vectors around the tiles' sides, lengths around the lanes, blocks and chunks, with and without gaps. */
static void pair_cases(check *t, caller f) {
  static const size_t counts[] = { 0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 33 },
      lengths[] = { 0, 1, 7, 8, 9, 31, 33, 64, 100, 511, 513, 4097, 9000 };
  char what[64];
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
      const size_t m = counts[i], n = lengths[j], ld = n + (i + j) % 2 * 5, all = m ? (m - 1) * ld + n : 0;
      for (int kind = 0; kind < KINDS; kind++) {
        if (m * n > 20000 && (kind != KIND_SPECIAL || t->quick)) { continue; }
        const arg a[] = { { 'i', 'f', all, some_floats(t, 0, all, kind), -1, 0, 0 }, { 'o', 'd', m * m, NULL, -1, 0, 0 } };
        snprintf(what, sizeof what, "m=%zu n=%zu ld=%zu kind=%d", m, n, ld, kind);
        run_case(t, what, f, &(call){ .s = { m, n, ld } }, 2, a);
      }
    }
  }
}
void check_gram(check *t) { pair_cases(t, call_gram); }
void check_sq_distances(check *t) { pair_cases(t, call_sq_distances); }

static void call_mean_runs(const fl_kernels *k, call *c) { k->mean_runs(N, c->param, c->p[0], c->p[1]); }
static void call_mean_sq_runs(const fl_kernels *k, call *c) { k->mean_sq_runs(N, c->param, c->p[0], c->p[1]); }

/* Runs of all lengths one behind the other, the last one up to the end of the array. */
static void run_cases(check *t, caller f) {
  enum { RUNS = 24 };
  char what[64];
  for (size_t first = 0; first != SIZE_MAX; first = next_length(t, first)) {
    for (int kind = 0; kind < KINDS; kind++) {
      fl_run run[RUNS];
      size_t n = 0;
      for (size_t r = 0; r < RUNS; r++) {
        run[r] = (fl_run){ n, r == 0 ? first : rnd_below(t, 100) };
        n += run[r].size;
      }
      const size_t runs = rnd_below(t, RUNS + 1);
      n = runs ? run[runs - 1].offset + run[runs - 1].size : 0;
      const arg a[] = { { 'i', 'f', n, some_floats(t, 0, n, kind), -1, 0, 0 }, { 'o', 'f', runs, NULL, -1, 0, 0 } };
      snprintf(what, sizeof what, "runs=%zu first=%zu kind=%d", runs, first, kind);
      run_case(t, what, f, &(call){ .s = { runs }, .param = run }, 2, a);
    }
  }
}
void check_mean_runs(check *t) { run_cases(t, call_mean_runs); }
void check_mean_sq_runs(check *t) { run_cases(t, call_mean_sq_runs); }
