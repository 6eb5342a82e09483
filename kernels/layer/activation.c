/* activation.c - SiLU, and the ways back through SiLU, tanh and the logistic function. */
#include "kernels/math/logistic.h"
#include "kernels/simd/each.h"

/* Beyond +-105 the slope is 1 or 0, and x sigmoid(x) below stays what it is there, -0x1.3p-145. */
FL_INLINE v16 v_silu(v16 x) {
  const logistic l = v_logistic(x);
  return v_mul(v_div(v_max(v_set(-105.0f), x), l.sum), l.scale);
}
FL_INLINE v16 v_silu_slope(v16 x) {
  const v16 one = v_set(1.0f), c = v_min(v_set(105.0f), v_max(v_set(-105.0f), x)), s = v_sigmoid(c);
  return v_fma(v_mul(c, s), v_sub(one, s), s);
}

void FL_FN(silu)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_silu(v_get(x + i, lanes)))); }
void FL_FN(silu_back)(size_t n, float *dx, const float *dy, const float *x) {
  FL_EACH(n, v_put(dx + i, lanes, v_mul(v_get(dy + i, lanes), v_silu_slope(v_get(x + i, lanes)))));
}

FL_INLINE v16 tanh_back16(v16 dy, v16 y) { return v_mul(dy, v_fnma(y, y, v_set(1.0f))); }
void FL_FN(tanh_back)(size_t n, float *dx, const float *dy, const float *y) {
  FL_EACH(n, v_put(dx + i, lanes, tanh_back16(v_get(dy + i, lanes), v_get(y + i, lanes))));
}

FL_INLINE v16 sigmoid_back16(v16 dy, v16 y) { return v_mul(dy, v_mul(y, v_sub(v_set(1.0f), y))); }
void FL_FN(sigmoid_back)(size_t n, float *dx, const float *dy, const float *y) {
  FL_EACH(n, v_put(dx + i, lanes, sigmoid_back16(v_get(dy + i, lanes), v_get(y + i, lanes))));
}
