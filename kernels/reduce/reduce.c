/* reduce.c - sums with 32 double partials a chunk of 4096, chunks by the fixed tree; and the maximum norm. */
#include "kernels/simd/each.h"

typedef enum { SUM, DOT, SUMSQ, SUMSQ_DIFF } reduction;

FL_INLINE d8 term8(reduction op, d8 acc, d8 x, d8 y) {
  if (op == SUM) { return d_add(acc, x); }
  if (op == SUMSQ) { return d_fma(x, x, acc); }
  const d8 e = op == SUMSQ_DIFF ? d_sub(x, y) : x;
  return d_fma(e, op == SUMSQ_DIFF ? e : y, acc);
}

/* 32 elements to the 32 partials; `a` and `b` hold elements 0-15 and 16-31. */
FL_INLINE void terms32(reduction op, d8 acc[4], v16 xa, v16 ya, v16 xb, v16 yb) {
  acc[0] = term8(op, acc[0], d_lo(xa), d_lo(ya));
  acc[1] = term8(op, acc[1], d_hi(xa), d_hi(ya));
  acc[2] = term8(op, acc[2], d_lo(xb), d_lo(yb));
  acc[3] = term8(op, acc[3], d_hi(xb), d_hi(yb));
}

FL_INLINE double chunk(reduction op, size_t n, const float *x, const float *y) {
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
  double p[16];
  d_store(p, d_add(acc[0], acc[2])); /* halving: j += j + 16, then + 8, 4, 2, 1 */
  d_store(p + 8, d_add(acc[1], acc[3]));
  for (int half = 8; half >= 1; half /= 2) {
    for (int j = 0; j < half; j++) { p[j] += p[j + half]; }
  }
  return p[0];
}

/* The fixed tree as a binary counter: `done` complete subtrees wait on the stack, one for each bit of the chunk count. */
FL_INLINE double tree(reduction op, size_t n, const float *x, const float *y) {
  double wait[64];
  int top = 0;
  if (n <= FL_CHUNK) { return chunk(op, n, x, y); }
  for (size_t c = 0; c * FL_CHUNK < n; c++) {
    const size_t at = c * FL_CHUNK;
    double s = chunk(op, n - at < FL_CHUNK ? n - at : FL_CHUNK, x + at, y + at);
    for (size_t k = c; k & 1u; k >>= 1) { s = wait[--top] + s; }
    wait[top++] = s;
  }
  double s = wait[--top];
  while (top) { s = wait[--top] + s; }
  return s;
}

double FL_FN(sum)(size_t n, const float *x) { return tree(SUM, n, x, x); }
double FL_FN(dot)(size_t n, const float *x, const float *y) { return tree(DOT, n, x, y); }
double FL_FN(sumsq)(size_t n, const float *x) { return tree(SUMSQ, n, x, x); }
double FL_FN(sumsq_diff)(size_t n, const float *x, const float *y) { return tree(SUMSQ_DIFF, n, x, y); }

/* Without their sign, floats order as integers, and every NaN is above infinity: the integer maximum keeps it. */
FL_INLINE u16 max16(u16 m, v16 x) {
  const u16 a = v_bits(v_abs(x));
  return u_sel(u_lt_s(m, a), a, m);
}

float FL_FN(absmax)(size_t n, const float *x) {
  u16 m[4] = { u_set(0), u_set(0), u_set(0), u_set(0) };
  size_t i = 0;
  for (; n - i >= 64; i += 64) {
    m[0] = max16(m[0], v_load(x + i));
    m[1] = max16(m[1], v_load(x + i + 16));
    m[2] = max16(m[2], v_load(x + i + 32));
    m[3] = max16(m[3], v_load(x + i + 48));
  }
  for (; i < n; i += 16) { m[0] = max16(m[0], v_load_n(x + i, n - i < 16 ? n - i : 16, 0.0f)); }
  for (int k = 1; k < 4; k++) { m[0] = max16(m[0], v_from_u(m[k])); }
  uint32_t w[16], best = 0;
  u_store(w, m[0]);
  for (int k = 0; k < 16; k++) { best = w[k] > best ? w[k] : best; }
  float r;
  memcpy(&r, &best, sizeof r);
  return r;
}
