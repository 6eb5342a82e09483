/* logistic.h - 1/(1 + exp(-x)) on vectors, as scale/(1 + s + s w) with s a power of two and |w| < 1/2: exp(-x) is never rounded
 * by itself. Where it passes 2^64, the excess is in scale, so that nothing overflows and results down to the subnormals are
 * right. */
#ifndef FL_MATH_LOGISTIC_H
#define FL_MATH_LOGISTIC_H
#include "kernels/math/exp.h"

typedef struct { v16 sum, scale, s, w; } logistic;

static inline logistic v_logistic(v16 x) {
  const v16 one = v_set(1.0f);
  /* Beyond these ends the result is 1 or 0; a NaN comes out. */
  const v16 c = v_min(v_set(105.0f), v_max(v_set(-24.0f), v_neg(x)));
  v16 t;
  const v16 r = v_exp_r(v_exp_n(c, &t), c), t1 = v_min(t, v_set(FL_MAGIC + 64.0f));
  const v16 s = v_exp_power(v_exp_int(t1)), s1 = v_add(s, one);
  /* Where s is so large that s + 1 lost the 1, it is added to r as 1/s. */
  const v16 inverse = v_from_u(u_sub(u_set(254u << 23), v_bits(s))), lost = v_sel(v_gt(s, v_set(0x1p23f)), inverse, v_zero());
  const v16 w = v_fma(v_exp_q(r), v_mul(r, r), v_add(r, lost));
  return (logistic){ v_fma(s, w, s1), v_exp_power(u_sub(v_bits(t1), v_bits(t))), s, w };
}

static inline v16 v_sigmoid(v16 x) {
  const logistic l = v_logistic(x);
  return v_mul(v_div(v_set(1.0f), l.sum), l.scale);
}
#endif
