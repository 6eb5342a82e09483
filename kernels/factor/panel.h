/* panel.h - a panel: rows of FL_PANEL floats, two vectors, as the factorisations take columns of a matrix. */
#ifndef FL_FACTOR_PANEL_H
#define FL_FACTOR_PANEL_H
#include "kernels/simd/each.h"

_Static_assert(FL_PANEL == 32, "a row of a panel is two vectors");
typedef struct { v16 lo, hi; } row32;

FL_INLINE row32 row_load(const float *p) { return (row32){ v_load(p), v_load(p + 16) }; }
FL_INLINE void row_store(float *p, row32 x) { v_store(p, x.lo); v_store(p + 16, x.hi); }
FL_INLINE row32 row_zero(void) { return (row32){ v_zero(), v_zero() }; }
FL_INLINE row32 row_fma(v16 a, row32 x, row32 y) { return (row32){ v_fma(a, x.lo, y.lo), v_fma(a, x.hi, y.hi) }; }
FL_INLINE row32 row_fnma(v16 a, row32 x, row32 y) { return (row32){ v_fnma(a, x.lo, y.lo), v_fnma(a, x.hi, y.hi) }; }
FL_INLINE row32 row_scale(v16 a, row32 x) { return (row32){ v_mul(a, x.lo), v_mul(a, x.hi) }; }
FL_INLINE row32 row_mul(row32 x, row32 y) { return (row32){ v_mul(x.lo, y.lo), v_mul(x.hi, y.hi) }; }

/* Lane c is x's where c > j, else y's. */
FL_INLINE row32 row_after(size_t j, row32 x, row32 y) {
  const u16 at = u_set((uint32_t)j), c = u_iota();
  return (row32){ v_sel(u_lt_s(at, c), x.lo, y.lo), v_sel(u_lt_s(at, u_add(c, u_set(16))), x.hi, y.hi) };
}
#endif
