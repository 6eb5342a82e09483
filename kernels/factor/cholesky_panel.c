/* cholesky_panel.c - the first rows of the upper Cholesky factor: the square at their front, then the columns behind it. */
#include <math.h>
#include "kernels/factor/panel.h"

enum { STRIP = 64 };

/* d (n x n, rows of FL_PANEL) = upper factor; inverse[k] = 1/d_kk. 0, or 1 + index of the first pivot that is not > 0. */
static size_t square(size_t n, float *d, float *inverse) {
  for (size_t k = 0; k < n; k++) {
    float *row = d + FL_PANEL * k;
    const double pivot = (double)row[k];
    if (!(pivot > 0.0)) return k + 1;
    const double root = sqrt(pivot);
    inverse[k] = (float)(1.0 / root);
    const row32 x = row_after(k, row_scale(v_set(inverse[k]), row_load(row)), row_zero());
    row_store(row, x);
    for (size_t i = k + 1; i < n; i++) {
      float *to = d + FL_PANEL * i;
      const v16 f = v_set(row[i]);
      if (i < 16) v_store(to, v_fnma(f, x.lo, v_load(to)));
      v_store(to + 16, v_fnma(f, x.hi, v_load(to + 16)));
    }
    row[k] = (float)root;
  }
  return 0;
}

/* Columns at..at+cols-1 of rows 0..n-1 behind the square: row k = (row k - sum over l < k of d_lk row l)*inverse_k. */
FL_INLINE void strip(const size_t vectors, size_t lanes, size_t n, const float *d, const float *inverse, float *u, size_t ldu,
                     const float *p, size_t ldp) {
  float x[FL_PANEL * STRIP];
  for (size_t k = 0; k < n; k++) {
    v16 s[STRIP / 16];
    for (size_t j = 0; j < vectors; j++) s[j] = v_sub(v_get(u + k * ldu + 16 * j, lanes), v_get(p + k * ldp + 16 * j, lanes));
    for (size_t l = 0; l < k; l++) {
      const v16 f = v_set(d[FL_PANEL * l + k]);
      for (size_t j = 0; j < vectors; j++) s[j] = v_fnma(f, v_load(x + STRIP * l + 16 * j), s[j]);
    }
    for (size_t j = 0; j < vectors; j++) {
      s[j] = v_mul(s[j], v_set(inverse[k]));
      v_store(x + STRIP * k + 16 * j, s[j]);
      v_put(u + k * ldu + 16 * j, lanes, s[j]);
    }
  }
}

double FL_FN(cholesky_panel)(size_t n, size_t cols, float *u, size_t ldu, const float *p, size_t ldp) {
  float d[FL_PANEL * FL_PANEL] = { 0 }, inverse[FL_PANEL];
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j += 16) {
      const size_t lanes = n - j < 16 ? n - j : 16;
      v_store(d + FL_PANEL * i + j, v_sub(v_get(u + i * ldu + j, lanes), v_get(p + i * ldp + j, lanes)));
    }
  }
  const size_t bad = square(n, d, inverse);
  if (bad) return (double)bad;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) u[i * ldu + j] = 0.0f;
    memcpy(u + i * ldu + i, d + FL_PANEL * i + i, (n - i) * sizeof *u);
  }
  size_t j = n;
  for (; cols - j >= STRIP; j += STRIP) strip(STRIP / 16, 16, n, d, inverse, u + j, ldu, p + j, ldp);
  for (; j < cols; j += 16) strip(1, cols - j < 16 ? cols - j : 16, n, d, inverse, u + j, ldu, p + j, ldp);
  return 0.0;
}
