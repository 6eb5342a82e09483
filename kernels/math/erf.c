/* erf.c - y = erf(x); -0 stays. In place.
 *
 * |x| < 0.65: x + x P(x^2). Above: 1 - 2^-h(|x|), with h = -log2(erfc) a polynomial too. */
#include "kernels/math/exp.h"
#include "kernels/simd/each.h"

FL_INLINE v16 v_erf(v16 x) {
  const v16 a = v_min(v_set(4.0f), v_abs(x)), z = v_mul(a, a); /* from 3.84 on the result rounds to 1 */
  v16 p = v_set(0x1.209abcp-8f);
  p = v_fma(p, z, v_set(-0x1.b35feap-6f));
  p = v_fma(p, z, v_set(0x1.ce01c6p-4f));
  p = v_fma(p, z, v_set(-0x1.8126b2p-2f));
  p = v_fma(p, z, v_set(0x1.06eba6p-3f));
  const v16 small = v_fma(a, p, a);
  v16 h = v_set(-0x1.4cea26p-12f);
  h = v_fma(h, a, v_set(0x1.34d5a4p-8f));
  h = v_fma(h, a, v_set(-0x1.109462p-5f));
  h = v_fma(h, a, v_set(0x1.37e378p-3f));
  h = v_fma(h, a, v_set(0x1.d56182p-1f));
  h = v_fma(h, a, v_set(0x1.a0d6b4p+0f));
  h = v_fma(h, a, v_set(-0x1.ecca26p-16f));
  v16 power;
  const v16 rest = v_exp2_neg(h, &power), big = v_fnma(rest, power, v_set(1.0f));
  return v_sign_of(v_sel(v_lt(a, v_set(0.65f)), small, big), x);
}

void FL_FN(erf)(size_t n, float *y, const float *x) { FL_EACH(n, v_put(y + i, lanes, v_erf(v_get(x + i, lanes)))); }
