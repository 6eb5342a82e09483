/* transpose.c - y = x^T, sixteen by sixteen. */
#include "kernels/gemm/tile.h"

void FL_FN(transpose)(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy) {
  for (size_t i = 0; i < rows; i += 16) {
    const size_t m = rows - i < 16 ? rows - i : 16;
    for (size_t j = 0; j < cols; j += 16) {
      const size_t n = cols - j < 16 ? cols - j : 16;
      turn_part(m, n, x + i * ldx + j, ldx, y + j * ldy + i, ldy, m);
    }
  }
}
