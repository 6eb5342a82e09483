/* sum.h - the canonical sum of kernels.h: 32 double partials a chunk of 4096, chunks by the fixed tree. */
#ifndef FL_REDUCE_SUM_H
#define FL_REDUCE_SUM_H
#include "kernels/simd/each.h"

typedef enum { SUM, ASUM, DOT, SUMSQ, SUMSQ_DIFF } reduction;

FL_INLINE d8 term8(reduction op, d8 acc, d8 x, d8 y) {
  if (op == SUM || op == ASUM) { return d_add(acc, x); }
  if (op == SUMSQ) { return d_fma(x, x, acc); }
  const d8 e = op == SUMSQ_DIFF ? d_sub(x, y) : x;
  return d_fma(e, op == SUMSQ_DIFF ? e : y, acc);
}

/* 32 elements to the 32 partials; `a` and `b` hold elements 0-15 and 16-31. */
FL_INLINE void terms32(reduction op, d8 acc[4], v16 xa, v16 ya, v16 xb, v16 yb) {
  if (op == ASUM) {
    xa = v_abs(xa);
    xb = v_abs(xb);
  }
  acc[0] = term8(op, acc[0], d_lo(xa), d_lo(ya));
  acc[1] = term8(op, acc[1], d_hi(xa), d_hi(ya));
  acc[2] = term8(op, acc[2], d_lo(xb), d_lo(yb));
  acc[3] = term8(op, acc[3], d_hi(xb), d_hi(yb));
}

FL_INLINE double halve(const d8 acc[4]) { /* j += j + 16, then + 8, 4, 2, 1 */
  double p[16];
  d_store(p, d_add(acc[0], acc[2]));
  d_store(p + 8, d_add(acc[1], acc[3]));
  for (int half = 8; half >= 1; half /= 2) {
    for (int j = 0; j < half; j++) { p[j] += p[j + half]; }
  }
  return p[0];
}

FL_INLINE double sum_chunk(reduction op, size_t n, const float *x, const float *y) {
  const d8 zero = d_set(0.0);
  d8 acc[4] = { zero, zero, zero, zero };
  size_t i = 0;
  for (; n - i >= 32; i += 32) { terms32(op, acc, v_load(x + i), v_load(y + i), v_load(x + i + 16), v_load(y + i + 16)); }
  if (i < n) { /* a missing lane adds +0 (or +0 times +0), which changes no partial: none of them is ever -0 */
    const size_t a = n - i < 16 ? n - i : 16, b = n - i - a;
    const v16 none = v_zero();
    terms32(op, acc, v_load_n(x + i, a, 0.0f), v_load_n(y + i, a, 0.0f), b ? v_load_n(x + i + 16, b, 0.0f) : none,
            b ? v_load_n(y + i + 16, b, 0.0f) : none);
  }
  return halve(acc);
}

/* The fixed tree as a binary counter: `done` complete subtrees wait on the stack, one for each bit of the chunk count. */
FL_INLINE double sum_tree(reduction op, size_t n, const float *x, const float *y) {
  double wait[64];
  int top = 0;
  if (n <= FL_CHUNK) { return sum_chunk(op, n, x, y); }
  for (size_t c = 0; c * FL_CHUNK < n; c++) {
    const size_t at = c * FL_CHUNK;
    double s = sum_chunk(op, n - at < FL_CHUNK ? n - at : FL_CHUNK, x + at, y + at);
    for (size_t k = c; k & 1u; k >>= 1) { s = wait[--top] + s; }
    wait[top++] = s;
  }
  double s = wait[--top];
  while (top) { s = wait[--top] + s; }
  return s;
}
#endif
