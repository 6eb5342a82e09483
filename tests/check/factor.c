/* factor.c - tests of the parts of the factorisations. */
#include "check.h"
#include <stddef.h>

static void call_transpose(const fl_kernels *k, call *c) { k->transpose(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->s[3]); }
void check_transpose(check *t) {
  static const size_t size[] = { 0, 1, 2, 15, 16, 17, 31, 32, 33, 50 };
  enum { SIZES = sizeof size / sizeof *size };
  char what[64];
  for (size_t i = 0; i < SIZES * SIZES; i++) {
    const size_t rows = size[i / SIZES], cols = size[i % SIZES], pad = i % 3, ldx = cols + pad, ldy = rows + pad;
    const size_t nx = rows && cols ? (rows - 1) * ldx + cols : 0, ny = rows && cols ? (cols - 1) * ldy + rows : 0;
    const arg a[] = { { 'i', 'f', nx, some_floats(t, 0, nx, KIND_SPECIAL), -1, 0, 0 }, { 'o', 'f', ny, NULL, -1, rows, ldy } };
    snprintf(what, sizeof what, "%zu x %zu, pad %zu", rows, cols, pad);
    run_case(t, what, call_transpose, &(call){ .s = { rows, cols, ldx, ldy } }, 2, a);
  }
}

/* n columns of a panel, +0 behind them. */
static const float *some_panel(check *t, int slot, size_t m, size_t n, int kind) {
  float *p = (float *)(uintptr_t)some_floats(t, slot, m * FL_PANEL, kind);
  for (size_t i = 0; i < m * FL_PANEL; i++) { p[i] = i % FL_PANEL < n ? p[i] : 0.0f; }
  return p;
}

static void call_qr_panel(const fl_kernels *k, call *c) { k->qr_panel(c->s[0], c->s[1], c->p[0], c->p[1], c->p[2]); }
void check_qr_panel(check *t) {
  static const size_t ms[] = { 1, 2, 3, 5, 16, 17, 31, 32, 33, 34, 64, 100 };
  const size_t square = (size_t)FL_PANEL * FL_PANEL;
  char what[64];
  for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
    for (size_t n = 1; n <= FL_PANEL && n <= ms[i]; n += n < 3 || n > 29 ? 1 : 7) {
      for (int kind = 0; kind < KINDS; kind++) {
        const size_t all = ms[i] * FL_PANEL;
        const arg a[] = { { 'x', 'f', all, some_panel(t, 0, ms[i], n, kind), -1, 0, 0 }, { 'o', 'f', square, NULL, -1, 0, 0 },
                          { 'o', 'f', square, NULL, -1, 0, 0 } };
        snprintf(what, sizeof what, "%zu x %zu kind=%d", ms[i], n, kind);
        run_case(t, what, call_qr_panel, &(call){ .s = { ms[i], n } }, 3, a);
      }
    }
  }
}

static void call_wy(const fl_kernels *k, call *c) { k->wy(c->s[0], c->p[0], c->p[1]); }
void check_wy(check *t) {
  const size_t square = (size_t)FL_PANEL * FL_PANEL;
  char what[64];
  for (size_t n = 0; n <= FL_PANEL; n++) {
    for (int kind = 0; kind < KINDS; kind++) {
      const arg a[] = { { 'i', 'f', square, some_floats(t, 0, square, kind), -1, 0, 0 }, { 'o', 'f', square, NULL, -1, 0, 0 } };
      snprintf(what, sizeof what, "n=%zu kind=%d", n, kind);
      run_case(t, what, call_wy, &(call){ .s = { n } }, 2, a);
    }
  }
}

/* A dominant diagonal makes most cases succeed; the others end at the pivot that fails. */
static void call_cholesky_panel(const fl_kernels *k, call *c) {
  c->ret = k->cholesky_panel(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->s[3]);
}
void check_cholesky_panel(check *t) {
  static const size_t behind[] = { 0, 1, 15, 16, 63, 64, 65, 150 };
  char what[64];
  for (size_t n = 1; n <= FL_PANEL; n += n < 3 || n > 29 ? 1 : 5) {
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
      for (int kind = 0; kind < KINDS; kind++) {
        const size_t cols = n + behind[i], ld = cols + i % 3, all = (n - 1) * ld + cols;
        float *u = (float *)(uintptr_t)some_floats(t, 0, all, kind);
        const float *p = some_floats(t, 1, all, kind == KIND_SPECIAL ? KIND_UNIFORM : kind);
        for (size_t d = 0; d < n && (i + n) % 4; d++) { u[d * ld + d] = kind == KIND_FINITE ? 3e38f : 40.0f + (float)d; }
        const arg a[] = { { 'x', 'f', all, u, -1, 0, 0 }, { 'i', 'f', all, p, -1, 0, 0 } };
        snprintf(what, sizeof what, "n=%zu cols=%zu kind=%d", n, cols, kind);
        run_case(t, what, call_cholesky_panel, &(call){ .s = { n, cols, ld, ld } }, 2, a);
      }
    }
  }
}

static void call_rotate(const fl_kernels *k, call *c) { k->rotate(c->s[0], c->p[0], c->p[1], c->p[2]); }
void check_rotate(check *t) {
  enum { ROWS = 23, SWEEPS = 7 };
  char what[64];
  for (size_t sweeps = 0; sweeps <= SWEEPS; sweeps++) {
    for (int kind = 0; kind < KINDS; kind++) {
      uint32_t range[2 * SWEEPS];
      size_t rotations = 0;
      for (size_t s = 0; s < sweeps; s++) {
        range[2 * s] = (uint32_t)rnd_below(t, ROWS);
        range[2 * s + 1] = (uint32_t)rnd_below(t, range[2 * s] + 1);
        rotations += range[2 * s + 1];
      }
      const arg a[] = { { 'i', 'u', 2 * sweeps, range, -1, 0, 0 },
                        { 'i', 'f', 2 * rotations, some_floats(t, 0, 2 * rotations, kind == KIND_SPECIAL ? KIND_UNIFORM : kind),
                          -1, 0, 0 },
                        { 'x', 'f', ROWS * FL_PANEL, some_floats(t, 1, ROWS * FL_PANEL, kind), -1, 0, 0 } };
      snprintf(what, sizeof what, "%zu sweeps kind=%d", sweeps, kind);
      run_case(t, what, call_rotate, &(call){ .s = { sweeps } }, 3, a);
    }
  }
}
