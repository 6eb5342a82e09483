/* variance.c - mean and population variance of a vector that is read once. A chunk of 4096, which stays in the first cache,
 * is passed over twice: for its sum, then for the squares of the distances to its own mean; so nothing cancels, however far
 * from 0 the data lie. Two parts join by q = qa + qb + (mean_b - mean_a)^2 na nb/(na + nb), a sum of terms that are not
 * negative. */
#include "kernels/reduce/sum.h"
#include <math.h>

typedef struct { double n, s, q; } part; /* elements, their sum, their squared distances to s/n */

FL_INLINE part chunk(size_t n, const float *x) {
  const double s = sum_chunk(SUM, n, x, x);
  const d8 zero = d_set(0.0), mean = d_set(s / (double)n);
  d8 acc[4] = { zero, zero, zero, zero };
  size_t i = 0;
  for (; n - i >= 32; i += 32) {
    for (size_t k = 0; k < 4; k++) {
      const d8 e = d_sub(d_widen(x + i + 8 * k), mean);
      acc[k] = d_fma(e, e, acc[k]);
    }
  }
  /* times 0, a missing lane's distance is 0, or NaN if the mean is not finite: so is q */
  for (size_t k = 0; k < 4 && i < n; k++, i += 8) {
    static const float ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    const d8 e = d_mul(d_sub(get8(x + i, n - i), mean), get8(ones, n - i));
    acc[k] = d_fma(e, e, acc[k]);
  }
  return (part){ (double)n, s, halve(acc) };
}

FL_INLINE part join(part a, part b) {
  const double d = b.s / b.n - a.s / a.n, n = a.n + b.n;
  return (part){ n, a.s + b.s, fma(d * d, a.n * b.n / n, a.q + b.q) };
}

double FL_FN(variance)(size_t n, const float *x, double *mean) {
  part wait[64], p = chunk(n < FL_CHUNK ? n : FL_CHUNK, x);
  int top = 0;
  wait[top++] = p;
  for (size_t c = 1; c * FL_CHUNK < n; c++) { /* the fixed tree as a binary counter, as in sum.h */
    const size_t at = c * FL_CHUNK;
    p = chunk(n - at < FL_CHUNK ? n - at : FL_CHUNK, x + at);
    for (size_t k = c; k & 1u; k >>= 1) { p = join(wait[--top], p); }
    wait[top++] = p;
  }
  p = wait[--top];
  while (top) { p = join(wait[--top], p); }
  *mean = p.s / p.n;
  return p.q / p.n;
}
