/* gelu_tanh.c - y = x (1 + tanh(u))/2, u = sqrt(2/pi) (x + 0.044715 x^3), which is x/(1 + exp(-2u)), and its derivative
 * g (1 + x u' (1 - g)), g = 1/(1 + exp(-2u)). Far below 0 the result stays at a subnormal. */
#include "kernels/math/logistic.h"
#include "kernels/simd/each.h"

#define LINEAR 0x1.988454p+0f /* 2 sqrt(2/pi) */
#define CUBIC 0x1.2444f2p-4f  /* 0.044715 times that */

/* From -15 down the result is -0x1.8p-148. */
FL_INLINE v16 at_least(v16 x) { return v_max(v_set(-15.0f), x); }

FL_INLINE v16 v_gelu_tanh(v16 x) {
  const v16 c = at_least(x), u = v_mul(c, v_fma(v_mul(c, c), v_set(CUBIC), v_set(LINEAR)));
  const logistic l = v_logistic(u);
  return v_mul(v_div(c, l.sum), l.scale);
}
FL_INLINE v16 v_gelu_tanh_slope(v16 x) {
  const v16 c = v_min(v_set(15.0f), at_least(x)), z = v_mul(c, c), one = v_set(1.0f);
  const logistic l = v_logistic(v_mul(c, v_fma(z, v_set(CUBIC), v_set(LINEAR))));
  const v16 du = v_fma(z, v_set(3.0f * CUBIC), v_set(LINEAR)), inverse = v_div(one, l.sum);
  const v16 other = v_mul(v_fma(l.s, l.w, l.s), inverse); /* 1 - g without cancellation */
  return v_mul(v_mul(inverse, l.scale), v_fma(v_mul(c, du), other, one));
}

void FL_FN(gelu_tanh)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_gelu_tanh(v_get(x + i, lanes)))); }
void FL_FN(gelu_tanh_back)(size_t n, float *dx, const float *dy, const float *x) {
  FL_EACH(n, v_put(dx + i, lanes, v_mul(v_get(dy + i, lanes), v_gelu_tanh_slope(v_get(x + i, lanes)))));
}
