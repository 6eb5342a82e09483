/* transpose.c - y = x^T, sixteen by sixteen. */
#include "kernels/gemm/tile.h"

void FL_FN(transpose)(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy) {
  for (size_t i = 0; i < rows; i += 16) {
    const size_t m = rows - i < 16 ? rows - i : 16;
    for (size_t j = 0; j < cols; j += 16) {
      const size_t n = cols - j < 16 ? cols - j : 16;
      v16 r[16];
      for (size_t l = 0; l < 16; l++) {
        const float *from = x + (i + (l < m ? l : 0)) * ldx + j;
        r[l] = n == 16 ? v_load(from) : v_load_n(from, n, 0.0f);
      }
      transpose16(r);
      for (size_t l = 0; l < n; l++) {
        float *to = y + (j + l) * ldy + i;
        if (m == 16) v_store(to, r[l]);
        else v_store_n(to, m, r[l]);
      }
    }
  }
}
