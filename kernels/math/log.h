/* log.h - the natural logarithm on vectors, <= 2 ULP everywhere.
 *
 * x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1 exact, log(1+f) = f - f^2/2 + f^3 p(f) with p a minimax polynomial
 * (relative error 1e-9), plus e ln2 in two parts, the high one with 10 bits so that e*high is exact. */
#ifndef FL_MATH_LOG_H
#define FL_MATH_LOG_H
#include "kernels/simd/simd.h"

/* log(normal 2^-shift), 2^-126 <= normal < inf. */
static inline v16 v_log_normal(v16 normal, v16 shift) {
  const u16 ix = u_sub(v_bits(normal), u_set(0x3f3504f3u)); /* counted from sqrt(1/2): the exponent field is e */
  const u16 k = u_sar(ix, 23);
  const v16 e = v_sub(v_float(k), shift);
  const v16 f = v_sub(v_from_u(u_sub(v_bits(normal), u_shl(k, 23))), v_set(1.0f));
  v16 p = v_set(0x1.14573ep-4f);
  p = v_fma(p, f, v_set(-0x1.de3bf8p-4f));
  p = v_fma(p, f, v_set(0x1.e6f08cp-4f));
  p = v_fma(p, f, v_set(-0x1.fc220ep-4f));
  p = v_fma(p, f, v_set(0x1.233766p-3f));
  p = v_fma(p, f, v_set(-0x1.555c4ep-3f));
  p = v_fma(p, f, v_set(0x1.99a4b6p-3f));
  p = v_fma(p, f, v_set(-0x1.000006p-2f));
  p = v_fma(p, f, v_set(0x1.555548p-2f));
  const v16 z = v_mul(f, f);
  v16 y = v_mul(v_mul(f, z), p);
  y = v_fma(e, v_set(-0x1.bd0106p-13f), y); /* ln2 - 0x1.63p-1 */
  y = v_fnma(z, v_set(0.5f), y);
  return v_fma(e, v_set(0x1.63p-1f), v_add(f, y));
}

static inline v16 v_log(v16 x) {
  const v16 inf = v_from_u(u_set(0x7f800000u)), zero = v_set(0.0f);
  const m16 tiny = v_lt(x, v_set(0x1p-126f));
  v16 y = v_log_normal(v_sel(tiny, v_mul(x, v_set(0x1p23f)), x), v_sel(tiny, v_set(23.0f), zero));
  y = v_sel(v_lt(x, zero), v_from_u(u_set(0x7fc00000u)), y);
  y = v_sel(v_eq(x, zero), v_neg(inf), y);
  /* +inf and NaN are their own logarithms. */
  return v_sel(v_lt(x, inf), y, x);
}
#endif
