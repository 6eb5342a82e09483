/* variance.c - mean and population variance of a vector that is read once. A chunk of 4096, which stays in the first cache,
 * is passed over twice: for its sum, then for the squares of the distances to its own mean; so nothing cancels, however far
 * from 0 the data lie. Two parts join by q = qa + qb + (mean_b - mean_a)^2 na nb/(na + nb), a sum of terms that are not
 * negative. */
#include "kernels/reduce/sum.h"
#include <math.h>

typedef struct { double n, s, q; } part; /* elements, their sum, their squared distances to s/n */

/* `w` is 1 for a lane that is there, else 0, whose distance becomes 0 (NaN if the mean is not finite: then so is q). */
FL_INLINE void squares32(d8 acc[4], v16 xa, v16 xb, v16 wa, v16 wb, d8 mean) {
  const d8 e0 = d_mul(d_sub(d_lo(xa), mean), d_lo(wa)), e1 = d_mul(d_sub(d_hi(xa), mean), d_hi(wa));
  const d8 e2 = d_mul(d_sub(d_lo(xb), mean), d_lo(wb)), e3 = d_mul(d_sub(d_hi(xb), mean), d_hi(wb));
  acc[0] = d_fma(e0, e0, acc[0]);
  acc[1] = d_fma(e1, e1, acc[1]);
  acc[2] = d_fma(e2, e2, acc[2]);
  acc[3] = d_fma(e3, e3, acc[3]);
}

FL_INLINE part chunk(size_t n, const float *x) {
  const double s = sum_chunk(SUM, n, x, x);
  const d8 zero = d_set(0.0), mean = d_set(s / (double)n);
  const v16 one = v_set(1.0f), none = v_zero();
  d8 acc[4] = { zero, zero, zero, zero };
  size_t i = 0;
  for (; n - i >= 32; i += 32) { squares32(acc, v_load(x + i), v_load(x + i + 16), one, one, mean); }
  if (i < n) {
    static const float ones[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const size_t a = n - i < 16 ? n - i : 16, b = n - i - a;
    squares32(acc, v_load_n(x + i, a, 0.0f), b ? v_load_n(x + i + 16, b, 0.0f) : none, v_load_n(ones, a, 0.0f),
              b ? v_load_n(ones, b, 0.0f) : none, mean);
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
