#include "kernels/math/log.h"
#include "kernels/simd/each.h"

void FL_FN(log)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_log(v_get(x + i, lanes)))); }
