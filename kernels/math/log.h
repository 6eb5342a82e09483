/* log.h - the natural logarithm on vectors, <= 2 ULP everywhere.
 *
 * x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1 exact, log(1+f) = f - f^2/2 + f^3 p(f) with p a minimax polynomial
 * (relative error 1e-9), plus e ln2 in two parts, the high one with 10 bits so that e*high is exact. */
#ifndef FL_MATH_LOG_H
#define FL_MATH_LOG_H
#include "kernels/simd/simd.h"

/* e of a normal x > 0: counted from sqrt(1/2), the exponent field is e. */
static inline u16 v_log_exponent(v16 x) { return u_sar(u_sub(v_bits(x), u_set(0x3f3504f3u)), 23); }
/* e ln2 + log(1+f) + small, what is added to the low part of e ln2 */
static inline v16 v_log_sum(v16 e, v16 f, v16 small) {
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
  v16 y = v_fma(v_mul(f, z), p, small);
  y = v_fma(e, v_set(-0x1.bd0106p-13f), y); /* ln2 - 0x1.63p-1 */
  y = v_fnma(z, v_set(0.5f), y);
  return v_fma(e, v_set(0x1.63p-1f), v_add(f, y));
}

/* log(normal 2^-shift), 2^-126 <= normal < inf. */
static inline v16 v_log_normal(v16 normal, v16 shift) {
  const u16 k = v_log_exponent(normal);
  return v_log_sum(v_sub(v_float(k), shift), v_sub(v_from_u(u_sub(v_bits(normal), u_shl(k, 23))), v_set(1.0f)), v_zero());
}
/* Any x. */
static inline v16 v_log_any(v16 x) {
  const v16 inf = v_from_u(u_set(0x7f800000u)), zero = v_zero();
  const m16 tiny = v_lt(x, v_set(0x1p-126f));
  v16 y = v_log_normal(v_sel(tiny, v_mul(x, v_set(0x1p23f)), x), v_sel(tiny, v_set(23.0f), zero));
  y = v_sel(v_lt(x, zero), v_from_u(u_set(0x7fc00000u)), y);
  y = v_sel(v_eq(x, zero), v_neg(inf), y);
  /* +inf and NaN are their own logarithms. */
  return v_sel(v_lt(x, inf), y, x);
}
static inline v16 v_log(v16 x) {
  /* What is no positive normal number is rare, and the selections for it would cost half as much again. Such bits, plus this
   * and as signed numbers, are above 0xfeffffff. */
  if (m_any(u_lt_s(u_set(0xfeffffffu), u_add(v_bits(x), u_set(0x7f800000u))))) { return v_log_any(x); }
  return v_log_normal(x, v_zero());
}
#endif
