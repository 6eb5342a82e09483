/* half.h - the micro-kernel of a panel of at most eight columns, where a register holds no more: as many rows again as registers
 * are left for. The terms are tile.h's; rows of a level are eight floats. */
#ifndef FL_GEMM_HALF_H
#define FL_GEMM_HALF_H
#include "kernels/gemm/tile.h"

#ifdef FL_HALF
#define TILE_HALF 8
#define TILE_HALF_M 12
TILE_INLINE void tile_half(const int mr, const tile_args *t) {
  h8 acc[TILE_HALF_M];
  TILE_UNROLL
  for (int i = 0; i < mr; i++) acc[i] = t->carry ? h_load_n(t->c + (size_t)i * t->ldc, t->cols) : h_set(0.0f);
  const size_t ars = t->ars, aks = t->aks, ldb = t->ldb, steps = t->k;
  const float *a = t->a, *b = t->b, *left = t->level;
  for (size_t k = 0; k < steps; k++, a += aks, b += ldb) {
    const h8 y = h_load(b);
    TILE_UNROLL
    for (int i = 0; i < mr; i++) acc[i] = h_fma(h_set(a[(size_t)i * ars]), y, acc[i]);
  }
  for (uint64_t add = t->add; add; add >>= 1, left += TILE_FLOATS) {
    if (!(add & 1)) continue;
    TILE_UNROLL
    for (int i = 0; i < mr; i++) acc[i] = h_add(h_load(left + 8 * i), acc[i]);
  }
  TILE_UNROLL
  for (int i = 0; i < mr; i++) {
    h_store_n(t->c + (size_t)i * t->ldc, t->cols, t->last ? h_add(acc[i], h_set(0.0f)) : acc[i]);
  }
}
#define TILE_HALF_CASE(mr) case mr: tile_half(mr, t); break;
static inline void tile_run_half(int mr, const tile_args *t) {
  switch (mr) {
    TILE_HALF_CASE(1) TILE_HALF_CASE(2) TILE_HALF_CASE(3) TILE_HALF_CASE(4) TILE_HALF_CASE(5) TILE_HALF_CASE(6)
    TILE_HALF_CASE(7) TILE_HALF_CASE(8) TILE_HALF_CASE(9) TILE_HALF_CASE(10) TILE_HALF_CASE(11) TILE_HALF_CASE(12)
    default: break;
  }
}
#else
#define TILE_HALF 0
#define TILE_HALF_M 0
static inline void tile_run_half(int mr, const tile_args *t) { (void)mr, (void)t; }
#endif
#endif
