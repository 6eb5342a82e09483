/* gelu.c - y = x Phi(x), Phi the normal distribution, and its derivative Phi(x) + x phi(x).
 *
 * |x| < 1.05: Phi = 1/2 + x P(x^2). Beyond, the tail Phi(-|x|) is 2^-h(|x|) with h a polynomial, and Phi is it or what is missing
 * to 1. For x < -1 the error counts as an absolute one (2^-24), and -inf gives the limit, -0. */
#include "kernels/math/exp.h"
#include "kernels/simd/each.h"

/* |x| <= 15, where the tail is 0 */
FL_INLINE v16 v_normal(v16 x) {
  const v16 a = v_abs(x), z = v_mul(x, x);
  v16 p = v_set(0x1.7a3764p-14f);
  p = v_fma(p, z, v_set(-0x1.303724p-10f));
  p = v_fma(p, z, v_set(0x1.466526p-7f));
  p = v_fma(p, z, v_set(-0x1.105598p-4f));
  p = v_fma(p, z, v_set(0x1.98844ap-2f));
  const v16 middle = v_fma(x, p, v_set(0.5f));
  v16 h = v_set(0x1.fdffb0p-20f);
  h = v_fma(h, a, v_set(-0x1.0c83d0p-14f));
  h = v_fma(h, a, v_set(0x1.f6b570p-11f));
  h = v_fma(h, a, v_set(-0x1.1b9c92p-7f));
  h = v_fma(h, a, v_set(0x1.bd21d4p-5f));
  h = v_fma(h, a, v_set(0x1.d4fc6ep-2f));
  h = v_fma(h, a, v_set(0x1.26c89ep+0f));
  h = v_fma(h, a, v_set(0x1.fffae6p-1f));
  v16 power;
  const v16 rest = v_exp2_neg(v_min(v_set(127.0f), h), &power), one = v_set(1.0f);
  const v16 side = v_sel(v_lt(x, v_set(0.0f)), v_mul(rest, power), v_fnma(rest, power, one));
  return v_sel(v_lt(a, v_set(1.05f)), middle, side);
}
FL_INLINE v16 at_least(v16 x) { return v_max(v_set(-15.0f), x); }
FL_INLINE v16 clamp(v16 x) { return v_min(v_set(15.0f), at_least(x)); }

FL_INLINE v16 v_gelu(v16 x) { return v_mul(at_least(x), v_normal(clamp(x))); }
FL_INLINE v16 v_gelu_slope(v16 x) {
  const v16 c = clamp(x), e = v_exp(v_mul(v_mul(c, v_set(-0.5f)), c));
  return v_fma(v_mul(c, v_set(0x1.988454p-2f)), e, v_normal(c)); /* 1/sqrt(2 pi) */
}

void FL_FN(gelu)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_gelu(v_get(x + i, lanes)))); }
void FL_FN(gelu_back)(size_t n, float *dx, const float *dy, const float *x) {
  FL_EACH(n, v_put(dx + i, lanes, v_mul(v_get(dy + i, lanes), v_gelu_slope(v_get(x + i, lanes)))));
}
