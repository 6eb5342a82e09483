/* moments.h - mean and variance of rows, in two passes over what the first cache holds.
 *
 * A row, or a chunk of 4096 of a longer one, has s, its sum, and q, the sum of fma(d, d, .) with d = x - s/n; chunks join as in
 * `variance` (kernels.h), in double. */
#ifndef FL_LAYER_MOMENTS_H
#define FL_LAYER_MOMENTS_H
#include "kernels/layer/rows.h"
#include <math.h>

typedef struct { double n, s, q; } moments;

static inline moments moments_join(moments a, moments b) {
  const double d = b.s / b.n - a.s / a.n, n = a.n + b.n;
  return (moments){ n, a.s + b.s, fma(d * d, a.n * b.n / n, a.q + b.q) };
}

/* The fixed tree as a binary counter: wait[l] is the join of 2^l leaves where bit l of `have` is set. */
typedef struct { moments wait[64]; uint64_t have; } moments_tree;
static inline void moments_push(moments_tree *t, moments m) {
  size_t l = 0;
  for (; t->have >> l & 1; l++) m = moments_join(t->wait[l], m);
  t->have += 1;
  t->wait[l] = m;
}
static inline moments moments_total(const moments_tree *t) {
  moments sum = { 0, 0, 0 };
  for (size_t l = 0; t->have >> l; l++) {
    if (t->have >> l & 1) sum = sum.n > 0 ? moments_join(t->wait[l], sum) : t->wait[l];
  }
  return sum;
}

/* s and q of up to sixteen rows, `apart` from each other, of at most 4096 elements (of several segments: more, in one chunk). */
FL_INLINE void moments_rows(size_t rows, segments row, const float *x, size_t apart, v16 *s, v16 *q) {
  const v16 n = v_set((float)(row.count * row.n));
  float square[256], mean[16];
  for (size_t r = 0; r < 16; r++) v_store(square + 16 * r, r < rows ? row_sum(row, x + r * apart) : v_zero());
  *s = rows_halve(square);
  v_store(mean, v_div(*s, n));
  for (size_t r = 0; r < rows; r++) v_store(square + 16 * r, row_squares(row, x + r * apart, mean[r]));
  *q = rows_halve(square);
}

/* The leaves of one long contiguous row. */
static inline void moments_long(moments_tree *t, size_t n, const float *x) {
  float s[16], q[16];
  for (size_t at = 0; at < n; at += FL_CHUNK) {
    const size_t part = n - at < FL_CHUNK ? n - at : FL_CHUNK;
    v16 vs, vq;
    moments_rows(1, (segments){ 1, 0, part }, x + at, 0, &vs, &vq);
    v_store(s, vs);
    v_store(q, vq);
    moments_push(t, (moments){ (double)part, (double)s[0], (double)q[0] });
  }
}

/* mean and 1/sqrt(variance + eps) of up to sixteen rows of n elements, one behind the other; a single row may be long. */
FL_INLINE void norm_rows(size_t rows, size_t n, const float *x, float eps, float *mean, float *scale) {
  const v16 one = v_set(1.0f);
  v16 m, v;
  if (n <= FL_CHUNK) {
    moments_rows(rows, (segments){ 1, 0, n }, x, n, &m, &v);
    m = v_div(m, v_set((float)n));
    v = v_div(v, v_set((float)n));
  } else {
    moments_tree t = { .have = 0 };
    moments_long(&t, n, x);
    const moments all = moments_total(&t);
    m = v_set((float)(all.s / all.n));
    v = v_set((float)(all.q / all.n));
  }
  v_store_n(mean, rows, m);
  v_store_n(scale, rows, v_div(one, v_sqrt(v_add(v, v_set(eps)))));
}
#endif
