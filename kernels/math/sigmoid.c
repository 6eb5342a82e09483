#include "kernels/math/logistic.h"
#include "kernels/simd/each.h"

void FL_FN(sigmoid)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_sigmoid(v_get(x + i, lanes)))); }
