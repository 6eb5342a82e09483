/* log1p.h - log(1 + x) on vectors, to full relative accuracy; -0 stays.
 *
 * 1 + x = 2^e (1 + f) as in log.h; f = 2^-e x + (2^-e - 1) is kept with what its rounding lost (for e = 0 it is x). */
#ifndef FL_MATH_LOG1P_H
#define FL_MATH_LOG1P_H
#include "kernels/math/log.h"
#include "kernels/simd/each.h"

FL_INLINE v16 v_log1p(v16 x) {
  const v16 inf = v_from_u(u_set(0x7f800000u)), one = v_set(1.0f), minus = v_set(-1.0f);
  const v16 u = v_add(one, x);
  const u16 k = v_log_exponent(u), shift = u_shl(k, 23);
  /* Exact: where e is not 0, x is no smaller than 0.29. Above 2^60 the 1 is nothing, and 2^-e might be subnormal. */
  const v16 xs = v_from_u(u_sub(v_bits(x), shift));
  const v16 s = v_sel(v_gt(x, v_set(0x1p60f)), minus, v_sub(v_from_u(u_sub(v_bits(one), shift)), one));
  const v16 f = v_add(xs, s), b = v_sub(f, s), lost = v_add(v_sub(s, v_sub(f, b)), v_sub(xs, b));
  const v16 rest = v_mul(lost, v_fma(f, v_sub(f, one), one)); /* times 1/(1+f), nearly */
  v16 y = v_log_sum(v_float(k), f, rest);
  y = v_sel(v_lt(v_abs(x), v_set(0x1p-25f)), x, y); /* x^2/2 is below a quarter of an ULP */
  y = v_sel(v_eq(x, minus), v_neg(inf), v_sel(v_lt(x, minus), v_from_u(u_set(0x7fc00000u)), y));
  return v_sel(v_lt(x, inf), y, x); /* +inf and NaN stay */
}
#endif
