/* jacobi.h - the plain eigendecomposition of the tests' references, in C and C++: cyclic Jacobi in double. */
#ifndef FL_TESTS_JACOBI_H
#define FL_TESTS_JACOBI_H
#include <math.h>
#include <stddef.h>

/* One rotation of the symmetric a that makes a[p][r] zero; v turns along. */
static inline void jacobi_turn(size_t n, double *a, double *v, size_t p, size_t r) {
  if (a[p * n + r] == 0) return;
  const double theta = (a[r * n + r] - a[p * n + p]) / (2 * a[p * n + r]);
  const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
  for (size_t i = 0; i < n; i++) {
    const double x = a[i * n + p], y = a[i * n + r];
    a[i * n + p] = c * x - s * y, a[i * n + r] = s * x + c * y;
  }
  for (size_t i = 0; i < n; i++) {
    const double x = a[p * n + i], y = a[r * n + i], g = v[i * n + p], h = v[i * n + r];
    a[p * n + i] = c * x - s * y, a[r * n + i] = s * x + c * y;
    v[i * n + p] = c * g - s * h, v[i * n + r] = s * g + c * h;
  }
}
/* a becomes its eigenvalues, on the diagonal in no order; column j of v is the j-th vector. */
static inline void jacobi_diagonalise(size_t n, double *a, double *v) {
  for (size_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
  for (int sweep = 0; sweep < 60; sweep++)
    for (size_t p = 0; p < n; p++)
      for (size_t r = p + 1; r < n; r++) jacobi_turn(n, a, v, p, r);
}
#endif
