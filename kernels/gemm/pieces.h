/* pieces.h - blocks of partial sums added by the fixed tree as they come, the way a binary counter counts: of level l one
 * block waits, the sum of 2^l pieces, and a carry is left + right. */
#ifndef FL_GEMM_PIECES_H
#define FL_GEMM_PIECES_H
#include "kernels/gemm/tile.h"

#define PIECES_LEVELS 40        /* enough for 2^40 pieces */
typedef struct {
  float *level;                 /* a block for every level, `floats` apart */
  size_t floats;                /* a multiple of 16 */
  uint64_t have;                /* bit l: a block waits at level l */
} piece_sums;

static inline void pieces_add(float *right, const float *left, size_t n) {
  for (size_t i = 0; i < n; i += 16) v_store(right + i, v_add(v_load(left + i), v_load(right + i)));
}

/* Takes the next piece; `part` is used up. */
static inline void pieces_push(piece_sums *p, float *part) {
  size_t l = 0;
  for (; p->have >> l & 1; l++) pieces_add(part, p->level + l * p->floats, p->floats);
  p->have += 1;
  memcpy(p->level + l * p->floats, part, p->floats * sizeof *part);
}

/* The sum of all pieces; at least one was pushed. */
static inline const float *pieces_sum(const piece_sums *p) {
  float *sum = NULL;
  for (size_t l = 0; p->have >> l; l++) {
    float *level = p->level + l * p->floats;
    if (!(p->have >> l & 1)) continue;
    if (sum) pieces_add(sum, level, p->floats);
    else sum = level;
  }
  return sum;
}

/* A tile's sum, rows TILE_N apart, as acc + (+0) into rows x cols of c. */
static inline void pieces_store(const piece_sums *p, size_t rows, size_t cols, float *c, size_t ldc) {
  const float *sum = pieces_sum(p);
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < cols; j += 16) {
      const v16 x = v_add(v_load(sum + r * TILE_N + j), v_zero());
      if (cols - j >= 16) v_store(c + r * ldc + j, x);
      else v_store_n(c + r * ldc + j, cols - j, x);
    }
  }
}
#endif
