/* expm1.c - y = exp(x) - 1 to full relative accuracy; -0 stays. In place.
 *
 * x = n ln2 + r as in exp.h, but r in two parts: next to n = 1 the difference 2^n (1 + r) - 1 is smaller than r, and an error
 * of half an ULP in r would grow. All of it at half its size, so that 2^(n-1) exists up to the overflow. */
#include "kernels/math/exp.h"
#include "kernels/simd/each.h"

FL_INLINE v16 v_expm1(v16 x) {
  /* Below -17.5 the result rounds to -1. */
  const v16 c = v_min(v_set(89.0f), v_max(v_set(-17.5f), x)), half = v_set(0.5f);
  v16 t;
  const v16 n = v_exp_n(c, &t), low = v_set(FL_LN2_LOW);
  const v16 high = v_fnma(n, v_set(FL_LN2_HIGH), c), r = v_fnma(n, low, high), rest = v_fnma(n, low, v_sub(high, r));
  const v16 s = v_exp_power(u_sub(v_exp_int(t), u_set(1)));
  const v16 tail = v_fma(v_exp_q(r), v_mul(r, r), rest);
  const v16 y = v_fma(s, tail, v_fma(s, r, v_sub(s, half)));
  /* Here x^2/2 is below a quarter of an ULP, and half of a subnormal would lose a bit. */
  return v_sel(v_lt(v_abs(x), v_set(0x1p-25f)), x, v_add(y, y));
}

void FL_FN(expm1)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_expm1(v_get(x + i, lanes)))); }
