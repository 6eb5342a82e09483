#include "kernels/math/logistic.h"
#include "kernels/simd/each.h"

FL_INLINE v16 v_sigmoid(v16 x) {
  const logistic l = v_logistic(x);
  return v_mul(v_div(v_set(1.0f), l.sum), l.scale);
}

void FL_FN(sigmoid)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_sigmoid(v_get(x + i, lanes)))); }
