/* cholesky.c - Cholesky by rows of the upper factor u = l^T: what the rows above contribute to the next FL_PANEL rows is one
 * product, the rest one kernel. */
#include <math.h>
#include "kernels/matrix/sizes.h"

size_t fl_cholesky_work(size_t n) { return (n + FL_PANEL) * row_floats(n); }

int fl_cholesky(const fl_kernels *k, size_t n, const float *a, float *l, float *work) {
  const size_t ld = row_floats(n);
  float *u = work, *p = u + n * ld;
  for (size_t j = 0; j < n; j += FL_PANEL) {
    const size_t nb = least(FL_PANEL, n - j), cols = n - j;
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
    const size_t nb = least(FL_PANEL, n - j);
    k->transpose(nb, n - j, u + j * ld + j, ld, l + j * n + j, n);
    for (size_t i = 0; i < j; i++) {
      for (size_t c = 0; c < nb; c++) { l[i * n + j + c] = 0.0f; }
    }
  }
  return 0;
}
