/* newton_schulz.c - the quintic Newton-Schulz iteration of Muon (federated-adaptive 14) on a table's gemm and steps. */
#include <fedlane/kernels.h>
#include <math.h>
#include <string.h>

size_t fl_newton_schulz_work(size_t a, size_t b) {
  const size_t r = a < b ? a : b, c = a < b ? b : a;
  return 2 * r * c + 2 * r * r;
}

static void transpose(size_t rows, size_t cols, const float *x, float *t) {
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < cols; j++) { t[j * rows + i] = x[i * cols + j]; }
  }
}

void fl_newton_schulz(const fl_kernels *k, size_t a, size_t b, const float *u, float *o, int steps, float *work) {
  const int tall = a > b;
  const size_t r = tall ? b : a, c = tall ? a : b;
  float *x = work, *y = x + r * c, *p = y + r * c, *q = p + r * r;
  if (!r) { return; }
  const float scale = (float)(1.0 / (sqrt(k->sumsq(a * b, u)) + 1e-7));
  if (tall) {
    transpose(a, b, u, x);
    k->scale(r * c, x, scale, x);
  } else {
    k->scale(r * c, x, scale, u);
  }
  for (int t = 0; t < steps; t++) {
    k->gemm_nt(r, r, c, x, c, x, c, p, r, FL_GEMM_PIECE); /* p = A = X X^T */
    k->gemm_nn(r, r, r, p, r, p, r, q, r, FL_GEMM_PIECE); /* q = A A */
    k->scale(r * r, p, -4.7750f, p);
    k->axpy(r * r, p, 2.0315f, q);                        /* p = B */
    k->gemm_nn(r, c, r, p, r, x, c, y, c, FL_GEMM_PIECE);
    k->axpy(r * c, y, 3.4445f, x);                        /* y = 3.4445 X + B X */
    float *swap = x;
    x = y;
    y = swap;
  }
  if (tall) {
    transpose(r, c, x, o);
  } else {
    memcpy(o, x, r * c * sizeof *o);
  }
}
