/* cholesky.c - Cholesky by rows of the upper factor u = l^T: what the rows above contribute to the next FL_PANEL rows is one
 * product, the rest one kernel. */
#include <fedlane/kernels.h>
#include <math.h>

static size_t row_floats(size_t n) { return (n + 15) / 16 * 16 + 16; } /* no power of two: rows must not share cache sets */

size_t fl_cholesky_work(size_t n) { return (n + FL_PANEL) * row_floats(n); }

int fl_cholesky(const fl_kernels *k, size_t n, const float *a, float *l, float *work) {
  const size_t ld = row_floats(n);
  float *u = work, *p = u + n * ld;
  for (size_t j = 0; j < n; j += FL_PANEL) {
    const size_t nb = n - j < FL_PANEL ? n - j : FL_PANEL, cols = n - j;
    float *at = u + j * ld + j;
    k->transpose(cols, nb, a + j * n + j, n, at, ld);
    k->gemm_tn(nb, cols, j, u + j, ld, u + j, ld, p, ld, n);
    const double bad = k->cholesky_panel(nb, cols, at, ld, p, ld);
    if (bad > 0.0) {
      for (size_t i = 0; i < n * n; i++) { l[i] = NAN; }
      return (int)(j + (size_t)bad);
    }
  }
  for (size_t j = 0; j < n; j += FL_PANEL) {
    const size_t nb = n - j < FL_PANEL ? n - j : FL_PANEL;
    k->transpose(nb, n - j, u + j * ld + j, ld, l + j * n + j, n);
    for (size_t i = 0; i < j; i++) {
      for (size_t c = 0; c < nb; c++) { l[i * n + j + c] = 0.0f; }
    }
  }
  return 0;
}
