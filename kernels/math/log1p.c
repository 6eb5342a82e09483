/* log1p.c - y = log(1 + x). In place. */
#include "kernels/math/log1p.h"

void FL_FN(log1p)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_log1p(v_get(x + i, lanes)))); }
