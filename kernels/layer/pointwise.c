/* pointwise.c - bias, ReLU, input normalisation, and the bias gradient of a fully connected layer. */
#include "kernels/gemm/pieces.h"
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

void FL_FN(bias_grad)(size_t rows, size_t n, const float *dy, float *db, size_t piece) {
  for (size_t j = 0; j < n; j += 16) {
    const size_t lanes = n - j < 16 ? n - j : 16;
    float level[PIECES_LEVELS * 16], part[16] = { 0 };
    piece_sums sums = { level, 16, 0 };
    for (size_t r0 = 0; r0 < rows; r0 += piece) {
      v16 sum = v_zero();
      for (size_t r = r0; r < rows && r < r0 + piece; r++) sum = v_add(sum, v_load_n(dy + r * n + j, lanes, 0.0f));
      v_store(part, sum);
      pieces_push(&sums, part);
    }
    const v16 sum = v_load(rows ? pieces_sum(&sums) : part);
    v_store_n(db + j, lanes, v_add(sum, v_zero()));
  }
}
