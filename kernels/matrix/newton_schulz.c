/* newton_schulz.c - the quintic Newton-Schulz iteration of Muon (federated-adaptive 14) on a table's gemm and steps. */
#include <fedlane/kernels.h>
#include <math.h>
#include <string.h>

size_t fl_newton_schulz_work(size_t a, size_t b) {
  const size_t r = a < b ? a : b, c = a < b ? b : a;
  return 2 * r * c + 2 * r * r;
}

void fl_newton_schulz(const fl_kernels *k, size_t a, size_t b, const float *u, float *o, int steps, float *work) {
  static const fl_mix_args mix = { .ga = (float)-4.7750, .gb = (float)2.0315 };
  const int tall = a > b;
  const size_t r = tall ? b : a, c = tall ? a : b;
  float *x = work, *y = x + r * c, *p = y + r * c, *q = p + r * r;
  if (!r) { return; }
  const float scale = (float)(1.0 / (sqrt(k->sumsq(a * b, u)) + 1e-7));
  if (tall) { k->transpose(a, b, u, b, x, a); }
  k->scale(r * c, x, scale, tall ? x : u);
  for (int t = 0; t < steps; t++) {
    k->gemm_syrk(r, c, x, c, p, r, FL_GEMM_PIECE);        /* p = A = X X^T */
    k->gemm_syrk(r, r, p, r, q, r, FL_GEMM_PIECE);        /* q = A A: A is symmetric to the bit */
    k->mix(r * r, p, p, q, NULL, NULL, &mix);             /* p = B = -4.7750 A + 2.0315 A A */
    if (t + 1 == steps && !tall) { y = o; }               /* u is used up: o may be u */
    k->gemm_nn(r, c, r, p, r, x, c, y, c, FL_GEMM_PIECE);
    k->axpy(r * c, y, (float)3.4445, x);                  /* y = 3.4445 X + B X */
    float *swap = x;
    x = y;
    y = swap;
  }
  if (tall) {
    k->transpose(r, c, x, c, o, r);
  } else if (x != o) {
    memcpy(o, x, r * c * sizeof *o);
  }
}
