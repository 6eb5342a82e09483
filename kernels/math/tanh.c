/* tanh.c - y = tanh(x). In place. */
#include "kernels/math/tanh.h"

void FL_FN(tanh)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_tanh(v_get(x + i, lanes)))); }
