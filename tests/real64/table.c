/* table.c - the operations that methods use, of kernels compiled with 64-bit reals; the others are left out (NULL).
 * Factorisations, which look at the bits of single precision, are Jacobi's and Gram and Schmidt's here: they are tested by
 * themselves. */
#include "tests/jacobi.h"
#include <fedlane/divide.h>
#include <fedlane/kernels.h>

#define FL_OP(family, name, ret, args, traffic, formula) ret fl_##name##_scalar args;
#include <fedlane/ops.def>

/* The reduction's own takes the bits of single precision for its order. */
static double absmax(size_t n, const float *x) {
  double most = 0;
  for (size_t i = 0; i < n; i++) most = !(fabs(x[i]) <= most) ? fabs(x[i]) : most;
  return most;
}

#define USES(name) .name = fl_##name##_scalar
static const fl_kernels table = {
  .isa = FL_ISA_SCALAR, .name = "real64",
  USES(sgd), USES(momentum), USES(adamw), USES(amsgrad), USES(yogi), USES(rmsprop), USES(muon_momentum), USES(sophia),
  USES(curvature), USES(mix), USES(axpy), USES(scale), USES(add), USES(sub), USES(ema), USES(towards), USES(stretch),
  USES(sumsq), USES(sumsq_diff), USES(mean_runs), USES(mean_sq_runs), USES(transpose), .absmax = absmax,
  USES(gemm_nn), USES(gemm_nt), USES(gemm_tn), USES(gemm_syrk),
};
const fl_kernels *fl_kernels_select(const char *max, const char **error) { (void)max, (void)error; return &table; }
uint64_t fl_fpenv_enter(void) { return 0; }
void fl_fpenv_restore(uint64_t old) { (void)old; }
/* The numbers are those of one thread's kernels. */
void fl_divided_table(const fl_kernels *k, fl_kernels *to) { *to = *k; }
void fl_divide_over(const fl_division *d) { (void)d; }

/* ---- factorisations ------------------------------------------------------------------------------------------------- */
size_t fl_eigh_work(size_t n) { return 2 * n * n; }
int fl_eigh(const fl_kernels *k, size_t n, const float *a, float *w, float *v, float *work) {
  double *m = work, *q = work + n * n;
  (void)k;
  memcpy(m, a, n * n * sizeof *m);
  jacobi_diagonalise(n, m, q);
  for (size_t j = 0; j < n; j++) {              /* the largest of what is left */
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
      if (!(m[best * n + best] >= m[i * n + i])) best = i;
    w[j] = m[best * n + best];
    for (size_t i = 0; i < n; i++) v[i * n + j] = q[i * n + best];
    m[best * n + best] = -INFINITY;
  }
  return 0;
}
size_t fl_inverse_root_work(size_t n) { return n + n * n + fl_eigh_work(n); }
int fl_inverse_root(const fl_kernels *k, size_t n, const float *a, double p, float ridge, float *out, float *work) {
  double *w = work, *v = w + n;
  fl_eigh(k, n, a, w, v, v + n * n);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      out[i * n + j] = 0;
      for (size_t l = 0; l < n; l++) out[i * n + j] += v[i * n + l] * v[j * n + l] * pow((w[l] > 0 ? w[l] : 0) + ridge, -1 / p);
    }
  return 0;
}
size_t fl_qr_work(size_t m, size_t n) { (void)m, (void)n; return 1; }
void fl_qr(const fl_kernels *k, size_t m, size_t n, const float *a, float *q, float *r, float *work) {
  (void)k, (void)r, (void)work;
  memmove(q, a, m * n * sizeof *q);
  for (size_t j = 0; j < n; j++)
    for (int twice = 0; twice < 2; twice++) {
      double norm = 0;
      for (size_t l = 0; l < j; l++) {
        double dot = 0;
        for (size_t i = 0; i < m; i++) dot += q[i * n + l] * q[i * n + j];
        for (size_t i = 0; i < m; i++) q[i * n + j] -= dot * q[i * n + l];
      }
      for (size_t i = 0; i < m; i++) norm += q[i * n + j] * q[i * n + j];
      for (size_t i = 0; i < m; i++) q[i * n + j] /= sqrt(norm);
    }
}
