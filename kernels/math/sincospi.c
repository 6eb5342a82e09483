/* sincospi.c - s = sin(pi x), c = cos(pi x). Zeros: s has the sign of x, c is +0. An infinite x gives NaN. In place with
 * either. */
#include "kernels/math/sincospi.h"
#include "kernels/simd/each.h"

FL_INLINE void v_sincospi(v16 x, v16 *sine, v16 *cosine) {
  const v16 magic = v_set(0x1.8p23f), zero = v_set(0.0f);
  /* 0 for what is no angle and for the even numbers above 2^24; then modulo 2, exactly. */
  const v16 abs = v_abs(x), a = v_sel(v_lt(abs, v_set(0x1p24f)), abs, zero), none = v_sub(x, x);
  const v16 b = v_fnma(v_float(v_int(v_mul(a, v_set(0.5f)))), v_set(2.0f), a), twice = v_add(b, b);
  const v16 t = v_add(twice, magic), quarters = v_sub(t, magic);
  v16 s, c;
  v_sincos_quarter(v_bits(t), v_sub(twice, quarters), &s, &c);
  /* `none` is +0, and makes a +0 of a zero, or NaN. */
  *sine = v_from_u(u_xor(v_bits(v_add(s, none)), u_and(v_bits(x), u_set(0x80000000u))));
  *cosine = v_add(c, none);
}

FL_INLINE void sincospi16(size_t lanes, float *s, float *c, const float *x) {
  v16 sine, cosine;
  v_sincospi(v_get(x, lanes), &sine, &cosine);
  v_put(s, lanes, sine);
  v_put(c, lanes, cosine);
}
void FL_FN(sincospi)(size_t n, float *s, float *c, const float *x) { FL_EACH(n, sincospi16(lanes, s + i, c + i, x + i)); }
