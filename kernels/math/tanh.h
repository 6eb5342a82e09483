/* tanh.h - tanh on vectors; -0 stays.
 *
 * |x| < 0.55: x + x z P(z), z = x^2. Above: 1 - 2/(exp(2|x|) + 1), where exp(2|x|) = 2^n + 2^n w is added to 1 in one
 * rounding. */
#ifndef FL_MATH_TANH_H
#define FL_MATH_TANH_H
#include "kernels/math/exp.h"
#include "kernels/simd/each.h"

FL_INLINE v16 v_tanh(v16 x) {
  const v16 one = v_set(1.0f);
  /* From 9.02 on the result rounds to 1. */
  const v16 a = v_min(v_set(10.0f), v_abs(x)), c = v_add(a, a), z = v_mul(a, a);
  v16 t;
  const v16 r = v_exp_r(v_exp_n(c, &t), c), s = v_exp_power(v_exp_int(t));
  const v16 w = v_fma(v_exp_q(r), v_mul(r, r), r);
  const v16 big = v_sub(one, v_div(v_set(2.0f), v_fma(s, w, v_add(s, one))));
  v16 p = v_set(-0x1.9454f2p-8f);
  p = v_fma(p, z, v_set(0x1.5811f6p-6f));
  p = v_fma(p, z, v_set(-0x1.b905c4p-5f));
  p = v_fma(p, z, v_set(0x1.110c5ep-3f));
  p = v_fma(p, z, v_set(-0x1.555548p-2f));
  const v16 small = v_fma(v_mul(a, z), p, a);
  return v_sign_of(v_sel(v_lt(a, v_set(0.55f)), small, big), x);
}
#endif
