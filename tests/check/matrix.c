/* matrix.c - tests of what kernels/matrix builds on a table: the same bits through every table, work space of exactly the size
 * that was asked for. Whether the results are right is the unit tests' question (tests/unit/test_matrix.cpp). */
#include "check.h"
#include <stddef.h>

static const size_t orders[] = { 0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 49, 70 };
enum { ORDERS = sizeof orders / sizeof *orders };

static arg input(check *t, int slot, size_t n, int kind) { return (arg){ 'i', 'f', n, some_floats(t, slot, n, kind), -1, 0, 0 }; }
static arg output(size_t n) { return (arg){ 'o', 'f', n, NULL, -1, 0, 0 }; }
static arg scratch(size_t n) { return (arg){ 's', 'f', n, NULL, -1, 0, 0 }; }
/* a[1] becomes the same memory as a[0]. */
static void in_place(arg *a) {
  a[0].role = 'x';
  a[1].alias = 0;
}
/* All kinds of input at small sizes, all sizes with the first. */
static int skipped(const check *t, size_t n, int kind) { return kind != KIND_UNIFORM && (n > 33 || (t->quick && n % 16 > 3)); }

static void call_newton_schulz(const fl_kernels *k, call *c) {
  fl_newton_schulz(k, c->s[0], c->s[1], c->p[0], c->p[1], 5, c->p[2]);
}
void check_newton_schulz(check *t) {
  char what[64];
  for (size_t i = 0; i < ORDERS * ORDERS; i += i % ORDERS ? 3 : 1) {
    const size_t m = orders[i / ORDERS], n = orders[i % ORDERS];
    for (int kind = 0; kind < KINDS; kind++) {
      if (skipped(t, m > n ? m : n, kind)) { continue; }
      arg a[] = { input(t, 0, m * n, kind), output(m * n), scratch(fl_newton_schulz_work(m, n)) };
      if (i % 2) { in_place(a); }
      snprintf(what, sizeof what, "%zu x %zu kind=%d", m, n, kind);
      run_case(t, what, call_newton_schulz, &(call){ .s = { m, n } }, 3, a);
    }
  }
}

static void call_qr(const fl_kernels *k, call *c) {
  fl_qr(k, c->s[0], c->s[1], c->p[0], c->p[1], c->s[2] ? c->p[2] : NULL, c->p[3]);
}
void check_qr(check *t) {
  static const size_t taller[] = { 0, 1, 30 };
  char what[64];
  for (size_t i = 0; i < ORDERS * 3; i++) {
    const size_t n = orders[i / 3], m = n + taller[i % 3], want_r = i % 4 != 1;
    for (int kind = 0; kind < KINDS; kind++) {
      if (skipped(t, n, kind)) { continue; }
      arg a[] = { input(t, 0, m * n, kind), output(m * n), output(want_r ? n * n : 0), scratch(fl_qr_work(m, n)) };
      if (i % 2) { in_place(a); }
      snprintf(what, sizeof what, "%zu x %zu%s kind=%d", m, n, want_r ? "" : " without r", kind);
      run_case(t, what, call_qr, &(call){ .s = { m, n, want_r } }, 4, a);
    }
  }
}

/* a n x n, a result of the same size, `extra` more floats of results, and work. */
static void square(check *t, caller f, size_t extra_per_row, size_t (*work)(size_t), float diagonal) {
  char what[64];
  for (size_t i = 0; i < ORDERS; i++) {
    const size_t n = orders[i];
    for (int kind = 0; kind < KINDS; kind++) {
      if (skipped(t, n, kind)) { continue; }
      arg a[] = { input(t, 0, n * n, kind), output(n * n), output(n * extra_per_row), scratch(work(n)) };
      float *m = (float *)(uintptr_t)a[0].init;
      for (size_t d = 0; d < n; d++) { m[d * n + d] += diagonal; }
      if (i % 2) { in_place(a); }
      snprintf(what, sizeof what, "n=%zu kind=%d", n, kind);
      run_case(t, what, f, &(call){ .s = { n } }, 4, a);
    }
  }
}

static void call_eigh(const fl_kernels *k, call *c) { c->ret = fl_eigh(k, c->s[0], c->p[0], c->p[2], c->p[1], c->p[3]); }
void check_eigh(check *t) { square(t, call_eigh, 1, fl_eigh_work, 0.0f); }

static void call_inverse_root(const fl_kernels *k, call *c) {
  c->ret = fl_inverse_root(k, c->s[0], c->p[0], 4.0, 1e-4f, c->p[1], c->p[3]);
}
void check_inverse_root(check *t) { square(t, call_inverse_root, 0, fl_inverse_root_work, 1.0f); }

static void call_cholesky(const fl_kernels *k, call *c) { c->ret = fl_cholesky(k, c->s[0], c->p[0], c->p[1], c->p[3]); }
void check_cholesky(check *t) {
  square(t, call_cholesky, 0, fl_cholesky_work, 40.0f);
  if (!t->timing) { square(t, call_cholesky, 0, fl_cholesky_work, 3.0f); } /* most are not positive definite, and end early */
}

static void call_orthogonal_iteration(const fl_kernels *k, call *c) {
  fl_orthogonal_iteration(k, c->s[0], c->p[0], c->p[1], c->p[2]);
}
void check_orthogonal_iteration(check *t) {
  for (size_t i = 0; i < ORDERS; i++) {
    const size_t n = orders[i];
    const arg a[] = { input(t, 0, n * n, KIND_UNIFORM), { 'x', 'f', n * n, some_floats(t, 1, n * n, KIND_UNIFORM), -1, 0, 0 },
                      scratch(fl_orthogonal_iteration_work(n)) };
    char what[64];
    snprintf(what, sizeof what, "n=%zu", n);
    run_case(t, what, call_orthogonal_iteration, &(call){ .s = { n } }, 3, a);
  }
}
