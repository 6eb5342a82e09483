/* rows.h - sums over a row in the order of the layers: 64 float partials, element i to partial i%64, then halving (j += j + 32,
 * 16, 8, 4, 2, 1). Sixteen rows are halved side by side, a lane a row. A row may lie in segments: `i` is then the place in the
 * segment, and the partials go on from one to the next. */
#ifndef FL_LAYER_ROWS_H
#define FL_LAYER_ROWS_H
#include "kernels/simd/each.h"

typedef struct { size_t count, step, n; } segments; /* so many of n elements each, step apart */

/* j += j + 32, then + 16: sixteen partials of a row are left. */
FL_INLINE v16 row_fold(const v16 p[4]) { return v_add(v_add(p[0], p[2]), v_add(p[1], p[3])); }

/* square: of each of sixteen rows the sixteen partials; lane r of the result is row r's sum. */
FL_INLINE v16 rows_halve(const float square[256]) {
  float turned[256];
  v16 t[8];
  v_turn(turned, 16, square, 16, 16);
  for (size_t j = 0; j < 8; j++) t[j] = v_add(v_load(turned + 16 * j), v_load(turned + 16 * (j + 8)));
  for (size_t half = 4; half; half /= 2) {
    for (size_t j = 0; j < half; j++) t[j] = v_add(t[j], t[j + half]);
  }
  return t[0];
}

/* The same of maxima: NaN where a row has one. */
FL_INLINE v16 rows_max(const float square[256]) {
  float turned[256];
  v16 t[8];
  v_turn(turned, 16, square, 16, 16);
  for (size_t j = 0; j < 8; j++) t[j] = v_keep_max(v_load(turned + 16 * j), v_load(turned + 16 * (j + 8)));
  for (size_t half = 4; half; half /= 2) {
    for (size_t j = 0; j < half; j++) t[j] = v_keep_max(t[j], t[j + half]);
  }
  return t[0];
}

/* Runs the statement with size_t i, lanes, and part, the four partial vectors' number that belongs to element i. */
#define FL_EACH_PART(size, ...) do { \
  size_t i = 0; \
  while ((size) - i >= 64) { \
    for (size_t part = 0; part < 4; part++, i += 16) { const size_t lanes = 16; __VA_ARGS__; } \
  } \
  for (size_t part = 0; part < 4 && i < (size); part++, i += 16) { \
    const size_t lanes = (size) - i < 16 ? (size) - i : 16; \
    __VA_ARGS__; \
  } \
} while (0)

/* Sixteen partials of sum x. */
FL_INLINE v16 row_sum(segments s, const float *x) {
  v16 p[4] = { v_zero(), v_zero(), v_zero(), v_zero() };
  for (size_t k = 0; k < s.count; k++, x += s.step) FL_EACH_PART(s.n, p[part] = v_add(p[part], v_get(x + i, lanes)));
  return row_fold(p);
}

/* Sixteen partials of sum (x - centre)^2; a missing element is the centre. */
FL_INLINE v16 row_squares(segments s, const float *x, float centre) {
  const v16 c = v_set(centre);
  v16 p[4] = { v_zero(), v_zero(), v_zero(), v_zero() };
  for (size_t k = 0; k < s.count; k++, x += s.step) {
    FL_EACH_PART(s.n, {
      const v16 d = v_sub(lanes == 16 ? v_load(x + i) : v_load_n(x + i, lanes, centre), c);
      p[part] = v_fma(d, d, p[part]);
    });
  }
  return row_fold(p);
}

/* Rows that are worked on together: sixteen, but no more than stay in the first cache. */
FL_INLINE size_t rows_together(size_t left, size_t n) {
  const size_t fit = n < 256 ? 16 : n < 4096 ? 4096 / n : 1;
  return left < fit ? left : fit;
}
#endif
