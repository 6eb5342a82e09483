/* exp.h - exp on vectors, <= 2 ULP everywhere, gradual underflow.
 *
 * x = n ln2 + r, |r| <= ln2/2 (n by adding and subtracting 1.5*2^23, r by two fused steps), exp(r) = 1 + r + r^2 q(r) with
 * q a minimax polynomial (error 3e-9), then times 2^n in two factors: with n = n1 + n2 the first product is exact and the
 * second rounds once, also where the result is subnormal or overflows. */
#ifndef FL_MATH_EXP_H
#define FL_MATH_EXP_H
#include "kernels/simd/simd.h"

static inline v16 v_exp(v16 x) {
  const v16 magic = v_set(0x1.8p23f);
  /* Beyond these ends the result is 0 or +inf all the same; the NaN stands second and so comes out. */
  const v16 c = v_min(v_set(89.0f), v_max(v_set(-105.0f), x));
  const v16 t = v_fma(c, v_set(0x1.715476p+0f), magic);
  const v16 n = v_sub(t, magic);
  const v16 r = v_fnma(n, v_set(-0x1.05c610p-29f), v_fnma(n, v_set(0x1.62e430p-1f), c));
  v16 q = v_set(0x1.6db426p-10f);
  q = v_fma(q, r, v_set(0x1.123b56p-7f));
  q = v_fma(q, r, v_set(0x1.55545ep-5f));
  q = v_fma(q, r, v_set(0x1.55548ep-3f));
  q = v_fma(q, r, v_set(0.5f));
  const v16 p = v_add(v_fma(q, v_mul(r, r), r), v_set(1.0f));
  const u16 k = u_sub(v_bits(t), u_set(0x4b400000u)); /* n as an integer: the low bits of t */
  const u16 k1 = u_sar(k, 1), k2 = u_sub(k, k1), bias = u_set(127);
  const v16 s1 = v_from_u(u_shl(u_add(k1, bias), 23)), s2 = v_from_u(u_shl(u_add(k2, bias), 23));
  return v_mul(v_mul(p, s1), s2);
}
#endif
