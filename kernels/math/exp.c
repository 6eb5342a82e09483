#include "kernels/math/exp.h"
#include "kernels/simd/each.h"

void FL_FN(exp)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_exp(v_get(x + i, lanes)))); }
