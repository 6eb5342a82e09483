#include "kernels/math/exp.h"
#include "kernels/simd/decl.h"

void FL_FN(exp)(size_t n, float *y, const float *x) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    v_store(y + i, v_exp(v_load(x + i)));
  if (i < n)
    v_store_n(y + i, n - i, v_exp(v_load_n(x + i, n - i, 1.0f)));
}
