/* sum.h - the canonical sum of kernels.h: 32 double partials a chunk of 4096, chunks by the fixed tree. */
#ifndef FL_REDUCE_SUM_H
#define FL_REDUCE_SUM_H
#include "kernels/simd/each.h"

typedef enum { SUM, ASUM, DOT, SUMSQ, SUMSQ_DIFF } reduction;

/* A plain sum is an fma by 1 as well, which rounds the same: on some cores additions and conversions share their ports. */
FL_INLINE d8 term8(reduction op, d8 acc, d8 x, d8 y) {
  if (op == SUM) { return d_fma(x, d_set(1.0), acc); }
  if (op == ASUM) { return d_fma(d_abs(x), d_set(1.0), acc); }
  if (op == SUMSQ) { return d_fma(x, x, acc); }
  const d8 e = op == SUMSQ_DIFF ? d_sub(x, y) : x;
  return d_fma(e, op == SUMSQ_DIFF ? e : y, acc);
}

/* The first 8 of `lanes` floats. A missing one is +0, whose term is +0, which changes no partial: none of them is ever -0. */
FL_INLINE d8 get8(const float *p, size_t lanes) { return lanes >= 8 ? d_widen(p) : d_lo(v_load_n(p, lanes, 0.0f)); }

/* j += j + 16, then + 8, 4, 2, 1. */
FL_INLINE double halve(const d8 acc[4]) { return d_halve(d_add(d_add(acc[0], acc[2]), d_add(acc[1], acc[3]))); }

FL_INLINE double sum_chunk(reduction op, size_t n, const float *x, const float *y) {
  const d8 zero = d_set(0.0);
  d8 acc[4] = { zero, zero, zero, zero };
  size_t i = 0;
  for (; n - i >= 32; i += 32) {
    for (size_t k = 0; k < 4; k++) { acc[k] = term8(op, acc[k], d_widen(x + i + 8 * k), d_widen(y + i + 8 * k)); }
  }
  for (size_t k = 0; k < 4 && i < n; k++, i += 8) { acc[k] = term8(op, acc[k], get8(x + i, n - i), get8(y + i, n - i)); }
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
