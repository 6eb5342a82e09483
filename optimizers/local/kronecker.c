/* kronecker.c - see kronecker.h. All arithmetic is the table's products and steps, so the bits are theirs. */
#include "kronecker.h"
#include <string.h>

fl_axes fl_axes_of(const fl_tensor *t, int conv_2d, size_t max_dim) {
  fl_axes a = { .size = t->size };
  a.ndim = conv_2d && t->ndim > 2 ? 2 : t->ndim;
  for (int i = 0; i < a.ndim; i++) a.n[i] = t->shape[i];
  if (a.ndim < t->ndim) a.n[1] = t->size / t->shape[0];
  for (int i = 0; i < a.ndim; i++) {
    a.has[i] = a.n[i] <= max_dim;
    a.factor[i] = a.floats;
    if (a.has[i]) a.floats += a.n[i] * a.n[i];
  }
  return a;
}

static size_t before(const fl_axes *a, int axis) {
  size_t n = 1;
  for (int i = 0; i < axis; i++) n *= a->n[i];
  return n;
}

size_t fl_axes_longest(const fl_axes *a) {
  size_t n = 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->has[i] && a->n[i] > n) n = a->n[i];
  return n;
}

size_t fl_axes_work(const fl_axes *a) { return a->size + fl_axes_longest(a) * fl_axes_longest(a); }

void fl_axis_statistics(const fl_kernels *k, const fl_axes *a, int axis, const float *g, float beta, float omb, float *s,
                        float *work) {
  const size_t n = a->n[axis], pre = before(a, axis), post = a->size / (n * pre), rest = pre * post;
  float *product = work, *unfolded = work + n * n;
  if (pre > 1) {                                /* (pre, n, post) -> (n, pre*post) */
    for (size_t p = 0; p < pre; p++)
      for (size_t i = 0; i < n; i++) memcpy(unfolded + i * rest + p * post, g + (p * n + i) * post, post * sizeof *g);
    g = unfolded;
  }
  k->gemm_syrk(n, rest, g, rest, product, n, FL_GEMM_PIECE);
  k->ema(n * n, s, product, beta, omb);
}

void fl_axis_product(const fl_kernels *k, const fl_axes *a, int axis, int transposed, const float *q, const float *x,
                     float *out) {
  const size_t n = a->n[axis], pre = before(a, axis), post = a->size / (n * pre);
  if (post == 1) {                              /* the last axis: rows times a matrix */
    (transposed ? k->gemm_nn : k->gemm_nt)(pre, n, n, x, n, q, n, out, n, FL_GEMM_PIECE);
    return;
  }
  for (size_t p = 0; p < pre; p++)
    (transposed ? k->gemm_tn : k->gemm_nn)(n, post, n, q, n, x + p * n * post, post, out + p * n * post, post, FL_GEMM_PIECE);
}
