/* exp.h - exp on vectors, <= 2 ULP everywhere, gradual underflow; and its parts, from which other functions are made.
 *
 * x = n ln2 + r, |r| <= ln2/2 (n by adding and subtracting 1.5*2^23, r by two fused steps), exp(r) = 1 + r + r^2 q(r) with
 * q a minimax polynomial (error 3e-9), then times 2^n in two factors: with n = n1 + n2 the first product is exact and the
 * second rounds once, also where the result is subnormal or overflows. */
#ifndef FL_MATH_EXP_H
#define FL_MATH_EXP_H
#include "kernels/simd/simd.h"

#define FL_MAGIC 0x1.8p23f            /* x + this - this is x rounded to an integer, for |x| < 2^22 */
#define FL_MAGIC_BITS 0x4b400000u     /* the low bits of x + FL_MAGIC less this are that integer */
#define FL_LN2_HIGH 0x1.62e430p-1f
#define FL_LN2_LOW (-0x1.05c610p-29f)

/* n of c = n ln2 + r; *t has it in its low bits. */
static inline v16 v_exp_n(v16 c, v16 *t) {
  *t = v_fma(c, v_set(0x1.715476p+0f), v_set(FL_MAGIC));
  return v_sub(*t, v_set(FL_MAGIC));
}
static inline u16 v_exp_int(v16 t) { return u_sub(v_bits(t), u_set(FL_MAGIC_BITS)); }
static inline v16 v_exp_power(u16 k) { return v_from_u(u_shl(u_add(k, u_set(127)), 23)); } /* 2^k, -126 <= k <= 127 */
/* q of exp(r) = 1 + r + r^2 q(r) */
static inline v16 v_exp_q(v16 r) {
  v16 q = v_set(0x1.6db426p-10f);
  q = v_fma(q, r, v_set(0x1.123b56p-7f));
  q = v_fma(q, r, v_set(0x1.55545ep-5f));
  q = v_fma(q, r, v_set(0x1.55548ep-3f));
  return v_fma(q, r, v_set(0.5f));
}
static inline v16 v_exp_r(v16 n, v16 c) { return v_fnma(n, v_set(FL_LN2_LOW), v_fnma(n, v_set(FL_LN2_HIGH), c)); }

static inline v16 v_exp(v16 x) {
  /* Beyond these ends the result is 0 or +inf all the same; the NaN stands second and so comes out. */
  const v16 c = v_min(v_set(89.0f), v_max(v_set(-105.0f), x));
  v16 t;
  const v16 r = v_exp_r(v_exp_n(c, &t), c);
  const v16 p = v_add(v_fma(v_exp_q(r), v_mul(r, r), r), v_set(1.0f));
  const u16 k = v_exp_int(t), k1 = u_sar(k, 1), k2 = u_sub(k, k1);
  return v_mul(v_mul(p, v_exp_power(k1)), v_exp_power(k2));
}

/* 2^-h, 0 <= h <= 127, as the product of *power = 2^-n (+0 for n = 127) and the result 2^(n-h) = 1 + r P(r), |r| <= 1/2.
 * The reduction is exact. */
static inline v16 v_exp2_neg(v16 h, v16 *power) {
  const v16 t = v_add(h, v_set(FL_MAGIC)), r = v_sub(v_sub(t, v_set(FL_MAGIC)), h);
  v16 p = v_set(0x1.179a46p-13f);
  p = v_fma(p, r, v_set(0x1.5ef4dcp-10f));
  p = v_fma(p, r, v_set(0x1.3b6816p-7f));
  p = v_fma(p, r, v_set(0x1.c6af9ep-5f));
  p = v_fma(p, r, v_set(0x1.ebfb94p-3f));
  p = v_fma(p, r, v_set(0x1.62e430p-1f));
  *power = v_from_u(u_shl(u_sub(u_set(FL_MAGIC_BITS + 127u), v_bits(t)), 23));
  return v_fma(p, r, v_set(1.0f));
}
#endif
