/* sincospi.h - sine and cosine on vectors, of angles that are reduced already: q quarter turns (the low two bits of it) and
 * t more, |t| <= 1/2; and of 2 pi w / 2^32 for uint32 angles w. <= 2 ULP of the exact angle's sine and cosine. */
#ifndef FL_MATH_SINCOSPI_H
#define FL_MATH_SINCOSPI_H
#include "kernels/simd/simd.h"

static inline void v_sincos_quarter(u16 q, v16 t, v16 *sine, v16 *cosine) {
  const v16 z = v_mul(t, t);
  v16 s = v_set(0x1.4bc89ap-13f);
  s = v_fma(s, z, v_set(-0x1.32ca9ep-8f));
  s = v_fma(s, z, v_set(0x1.466bbap-4f));
  s = v_fma(s, z, v_set(-0x1.4abbcep-1f));
  s = v_fma(s, z, v_set(-0x1.777a5dp-25f)); /* pi/2 in two floats: its rounding alone would cost half an ULP */
  s = v_fma(t, v_set(0x1.921fb6p+0f), v_mul(t, s));
  v16 c = v_set(-0x1.a1085ep-16f);
  c = v_fma(c, z, v_set(0x1.e1e85cp-11f));
  c = v_fma(c, z, v_set(-0x1.55d3bcp-6f));
  c = v_fma(c, z, v_set(0x1.03c1f0p-2f));
  c = v_fma(c, z, v_set(-0x1.3bd3ccp+0f));
  c = v_fma(c, z, v_set(1.0f));
  const m16 odd = u_eq(u_and(q, u_set(1)), u_set(1));
  /* Signs: cosine is negative in quarters 1 and 2, sine in 2 and 3; bit 1 of q (+1) moved to the sign bit. */
  const u16 sign = u_set(0x80000000u);
  const u16 cs = u_and(u_shl(u_add(q, u_set(1)), 30), sign), ss = u_and(u_shl(q, 30), sign);
  *cosine = v_from_u(u_xor(v_bits(v_sel(odd, s, c)), cs));
  *sine = v_from_u(u_xor(v_bits(v_sel(odd, c, s)), ss));
}

/* The angle is a fraction of a turn in integers, so the reduction is exact: the nearest quarter turn q is the top two bits
 * (after rounding), the rest d in [-2^29, 2^29) becomes t = d/2^30, rounded once (22 + 8 bits). */
static inline void v_sincos_turn(u16 w, v16 *sine, v16 *cosine) {
  const u16 q = u_shr(u_add(w, u_set(1u << 29)), 30);
  const u16 d = u_sub(w, u_shl(q, 30));
  const v16 high = v_mul(v_float(u_sar(d, 8)), v_set(0x1p-22f));
  v_sincos_quarter(q, v_fma(v_float(u_and(d, u_set(255))), v_set(0x1p-30f), high), sine, cosine);
}
#endif
