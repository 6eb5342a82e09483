/* simd.h - the vector vocabulary. One source is compiled once per ISA; FL_SIMD_ISA (set by the build for each object)
 * chooses the header. On every machine
 *
 *   v16   16 floats           m16   16 booleans (a mask)
 *   u16   16 uint32           d8    8 doubles
 *
 * with the same operations, each rounded once and equal to the bit. Only loads and stores know a count of lanes; the
 * arithmetic is always full width, missing lanes hold what the load was told to put there.
 *
 *   v_set v_load v_store v_load_n(p, n, fill) v_store_n(p, n, v)       n <= 16; no byte beyond n lanes is touched
 *   v_add v_sub v_mul v_div v_sqrt   v_fma(a,b,c) = a*b + c   v_fnma(a,b,c) = c - a*b    v_neg v_abs
 *   v_min = a < b ? a : b    v_max = a > b ? a : b    (the operand that may be NaN second: it comes out)
 *   v_lt v_gt v_eq v_ne -> m16 (false with NaN)   m_or m_and m_not m_any
 *   v_sel(m, a, b) = m ? a : b   v_keep(m, a) = m ? a : +0
 *   v_even(a,b) v_odd(a,b): the even / odd lanes of the 32 floats a,b    v_zip_lo v_zip_hi: their inverse
 *   v_turn(to, ldto, from, ld, rows): to[k*ldto + i] = from[i*ld + k], i, k < 16; row `rows`-1 stands for those beyond it
 *   v_from_u(u16)/v_bits(v16): reinterpret   v_float(u16): int32 -> float, |x| <= 2^24   v_int(v16): truncation, clamp first
 *   u_set u_load u_store u_add u_sub u_and u_or u_xor u_shl(a,k) u_shr(a,k) u_sar(a,k)
 *   u_mul_even(a,b): the 64-bit products of lanes 0, 2 ... 14, low word in the even lane, high word in the odd one
 *   u_odd_down(a): odd lanes to their even neighbours, 0 in the odd    u_join(a,b): even lanes of a, those of b as the odd ones
 *   u_eq u_lt_s (signed) -> m16   u_sel(m,a,b)   u_iota() = 0..15
 *   d_set d_add d_sub d_mul d_fma d_abs   d_lo(v): lanes 0-7 widened   d_widen(p): 8 floats of memory
 *   d_halve(d): (d[j] + d[j+4]), then + 2, + 1: one double
 *
 * FL_FN(name) gives a function its ISA's name. FL_VREGS: accumulators (v16) that a micro-kernel may keep in registers. */
#ifndef FL_SIMD_H
#define FL_SIMD_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FL_CAT2(a, b) a##b
#define FL_CAT(a, b) FL_CAT2(a, b)

#if FL_SIMD_ISA == 0
#define FL_SUFFIX _scalar
#include "scalar.h"
#elif FL_SIMD_ISA == 1
#define FL_SUFFIX _scalar_fma
#include "scalar.h"
#elif FL_SIMD_ISA == 2
#define FL_SUFFIX _avx2
#include "avx2.h"
#elif FL_SIMD_ISA == 3
#define FL_SUFFIX _avx512
#include "avx512.h"
#elif FL_SIMD_ISA == 4
#define FL_SUFFIX _neon
#include "neon.h"
#else
#error "FL_SIMD_ISA must be 0 scalar, 1 scalar+fma, 2 avx2, 3 avx512, 4 neon"
#endif

#define FL_FN(name) FL_CAT(fl_##name, FL_SUFFIX)

/* +0 for |x| < 2^-126 (NaN stays): state vectors that decay must not stick in the subnormals. */
#ifndef FL_OWN_FLUSH
static inline v16 v_flush(v16 x) {
  return v_sel(v_lt(v_abs(x), v_set(0x1p-126f)), v_set(0.0f), x);
}
#endif
/* a, negated where x is negative; v_signed: where m, and b elsewhere. */
static inline v16 v_turn_sign(v16 a, v16 x) { return v_from_u(u_xor(v_bits(a), u_and(v_bits(x), u_set(0x80000000u)))); }
#ifndef FL_OWN_SIGNED
static inline v16 v_signed(m16 m, v16 a, v16 x, v16 b) { return v_sel(m, v_turn_sign(a, x), b); }
#endif
/* x, which has no sign, with the sign of y. */
static inline v16 v_sign_of(v16 x, v16 y) { return v_from_u(u_or(v_bits(x), u_and(v_bits(y), u_set(0x80000000u)))); }
/* The larger lane; a NaN in either comes out. */
static inline v16 v_keep_max(v16 m, v16 x) { return v_sel(v_eq(x, x), v_max(x, m), x); }
static inline v16 v_zero(void) { return v_set(0.0f); }
#endif
