/* pointwise.c - bias, ReLU, input normalisation, and the bias gradient of a fully connected layer. */
#include "kernels/gemm/pieces.h"
#include "kernels/simd/each.h"
#include <math.h>

void FL_FN(bias_rows)(size_t rows, size_t n, float *y, const float *bias) {
  for (size_t r = 0; r < rows; r++, y += n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) v_store(y + i, v_add(v_load(y + i), v_load(bias + i)));
    if (i < n) v_store_n(y + i, n - i, v_add(v_load_n(y + i, n - i, 0.0f), v_load_n(bias + i, n - i, 0.0f)));
  }
}

static inline v16 relu16(v16 x) { return v_sel(v_lt(x, v_zero()), v_zero(), x); }

void FL_FN(relu)(size_t n, float *y, const float *x) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(y + i, relu16(v_load(x + i)));
  if (i < n) v_store_n(y + i, n - i, relu16(v_load_n(x + i, n - i, 0.0f)));
}

/* A NaN in y is handed on: no layer turns a NaN into a number. */
static inline v16 relu_back16(v16 dy, v16 y) {
  return v_sel(v_gt(y, v_zero()), dy, v_sel(v_eq(y, y), v_zero(), y));
}

void FL_FN(relu_back)(size_t n, float *dx, const float *dy, const float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(dx + i, relu_back16(v_load(dy + i), v_load(y + i)));
  if (i < n) v_store_n(dx + i, n - i, relu_back16(v_load_n(dy + i, n - i, 0.0f), v_load_n(y + i, n - i, 0.0f)));
}

void FL_FN(normalize)(size_t n, float *y, const uint8_t *x, float scale, float shift) {
  for (size_t i = 0; i < n; i++) y[i] = fmaf((float)x[i], scale, shift);
}

/* Columns j.. of all rows, so many vectors of them side by side, the last of `lanes`: of wide rows a few lines at once, and
 * additions of several columns in the time that one waits for the next. */
FL_INLINE void column_sums(const size_t vectors, size_t rows, size_t n, size_t j, size_t lanes, const float *dy, float *db,
                           size_t piece) {
  float level[PIECES_LEVELS * 16 * 8], part[16 * 8] = { 0 };
  piece_sums sums = { level, 16 * vectors, 0 };
  for (size_t r0 = 0; r0 < rows; r0 += piece) {
    v16 sum[8];
    for (size_t v = 0; v < vectors; v++) sum[v] = v_zero();
    for (size_t r = r0; r < rows && r < r0 + piece; r++) {
      const float *row = dy + r * n + j;
      for (size_t v = 0; v + 1 < vectors; v++) sum[v] = v_add(sum[v], v_load(row + 16 * v));
      sum[vectors - 1] = v_add(sum[vectors - 1], v_get(row + 16 * (vectors - 1), lanes));
    }
    for (size_t v = 0; v < vectors; v++) v_store(part + 16 * v, sum[v]);
    pieces_push(&sums, part);
  }
  const float *total = rows ? pieces_sum(&sums) : part;
  for (size_t v = 0; v < vectors; v++) {
    v_put(db + j + 16 * v, v + 1 < vectors ? 16 : lanes, v_add(v_load(total + 16 * v), v_zero()));
  }
}

#define COLUMN_CASE(vectors) case vectors: column_sums(vectors, rows, n, j, lanes, dy, db, piece); break;
void FL_FN(bias_grad)(size_t rows, size_t n, const float *dy, float *db, size_t piece) {
  for (size_t j = 0; j < n; j += 128) {
    const size_t vectors = n - j < 128 ? (n - j + 15) / 16 : 8, last = n - j - 16 * (vectors - 1), lanes = last < 16 ? last : 16;
    switch (vectors) {
      COLUMN_CASE(1) COLUMN_CASE(2) COLUMN_CASE(3) COLUMN_CASE(4) COLUMN_CASE(5) COLUMN_CASE(6) COLUMN_CASE(7)
      default: column_sums(8, rows, n, j, lanes, dy, db, piece);
    }
  }
}
