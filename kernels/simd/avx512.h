/* avx512.h - the vocabulary on AVX-512 F, DQ, BW, VL (Skylake-X, Zen 4 and later).
 *
 * instruction        Ice Lake / SPR: latency, per cycle     Zen 4 (256-bit data path for zmm)
 * vfmadd   zmm       4, 2 (ports 0, 5)                      4, 1
 * vdivps   zmm       ~18, 1/10                              ~11, 1/10
 * vsqrtps  zmm       ~20, 1/12                              ~15, 1/10
 * vpmuludq zmm       5, 1                                   3, 1
 * masked load/store  as the plain one when no line is split; a masked-off byte never faults */
#include <immintrin.h>
#define FL_VREGS 24
typedef __m512 v16;
typedef __m512i u16;
typedef __mmask16 m16;
static inline __mmask16 fl_mask(size_t n) { return (__mmask16)((1u << n) - 1u); }
static inline v16 v_set(float x) { return _mm512_set1_ps(x); }
static inline v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
static inline v16 v_load_n(const float *p, size_t n, float fill) {
  return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), fl_mask(n), p);
}
static inline void v_store_n(float *p, size_t n, v16 a) { _mm512_mask_storeu_ps(p, fl_mask(n), a); }
static inline v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static inline v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
static inline v16 v_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
static inline v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { return _mm512_fnmadd_ps(a, b, c); }
static inline v16 v_neg(v16 a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
static inline v16 v_abs(v16 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
static inline v16 v_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
static inline v16 v_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
static inline m16 v_lt(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline m16 v_gt(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline m16 v_eq(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline m16 v_ne(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_OQ); }
static inline m16 m_or(m16 a, m16 b) { return (m16)(a | b); }
static inline m16 m_and(m16 a, m16 b) { return (m16)(a & b); }
static inline m16 m_not(m16 a) { return (m16)~a; }
static inline int m_any(m16 a) { return a != 0; }
static inline v16 v_keep(m16 m, v16 a) { return _mm512_maskz_mov_ps(m, a); }
static inline v16 v_sel(m16 m, v16 a, v16 b) { return _mm512_mask_blend_ps(m, b, a); }
static inline v16 v_even(v16 a, v16 b) {
  return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
static inline v16 v_odd(v16 a, v16 b) {
  return _mm512_permutex2var_ps(a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}
static inline v16 v_zip_lo(v16 a, v16 b) {
  return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
static inline v16 v_zip_hi(v16 a, v16 b) {
  return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}
#define FL_OWN_SIGNED
static inline v16 v_signed(m16 m, v16 a, v16 x, v16 b) {
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN));
  return _mm512_castsi512_ps(_mm512_mask_xor_epi32(_mm512_castps_si512(b), m, _mm512_castps_si512(a), sign));
}
#define FL_OWN_FLUSH
static inline v16 v_flush(v16 a) { /* one test of the exponent's bits and a masked move */
  return v_keep(_mm512_test_epi32_mask(_mm512_castps_si512(a), _mm512_set1_epi32(0x7f800000)), a);
}
static inline void v_turn(float *to, size_t ldto, const float *from, size_t ld, size_t rows) {
  __m512 r[16], t[16];
  for (size_t i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(from + (rows - 1 < i ? rows - 1 : i) * ld);
  for (size_t i = 0; i < 16; i += 2) {          /* pairs of rows, then of pairs, inside lanes of 128 bits; then the lanes */
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  for (size_t i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
  }
  for (size_t i = 0; i < 4; i++) {
    _mm512_storeu_ps(to + i * ldto, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_ps(to + (i + 4) * ldto, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_ps(to + (i + 8) * ldto, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD));
    _mm512_storeu_ps(to + (i + 12) * ldto, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xDD));
  }
}
static inline u16 v_bits(v16 a) { return _mm512_castps_si512(a); }
static inline v16 v_from_u(u16 a) { return _mm512_castsi512_ps(a); }
static inline v16 v_float(u16 a) { return _mm512_cvtepi32_ps(a); }
static inline u16 v_int(v16 a) { return _mm512_cvttps_epi32(a); }
static inline u16 u_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline u16 u_iota(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
static inline u16 u_load(const uint32_t *p) { return _mm512_loadu_si512(p); }
static inline void u_store(uint32_t *p, u16 a) { _mm512_storeu_si512(p, a); }
static inline u16 u_add(u16 a, u16 b) { return _mm512_add_epi32(a, b); }
static inline u16 u_sub(u16 a, u16 b) { return _mm512_sub_epi32(a, b); }
static inline u16 u_mul_even(u16 a, u16 b) { return _mm512_mul_epu32(a, b); }
static inline u16 u_odd_down(u16 a) { return _mm512_srli_epi64(a, 32); }
static inline u16 u_join(u16 a, u16 b) {
  return _mm512_castps_si512(_mm512_mask_moveldup_ps(_mm512_castsi512_ps(a), 0xAAAA, _mm512_castsi512_ps(b)));
}
static inline u16 u_and(u16 a, u16 b) { return _mm512_and_si512(a, b); }
static inline u16 u_or(u16 a, u16 b) { return _mm512_or_si512(a, b); }
static inline u16 u_xor(u16 a, u16 b) { return _mm512_xor_si512(a, b); }
#define u_shl(a, k) _mm512_slli_epi32((a), (k))
#define u_shr(a, k) _mm512_srli_epi32((a), (k))
#define u_sar(a, k) _mm512_srai_epi32((a), (k))
static inline m16 u_eq(u16 a, u16 b) { return _mm512_cmpeq_epi32_mask(a, b); }
static inline m16 u_lt_s(u16 a, u16 b) { return _mm512_cmplt_epi32_mask(a, b); }
static inline u16 u_sel(m16 m, u16 a, u16 b) { return _mm512_mask_blend_epi32(m, b, a); }
#include "ymm_double.h"
static inline d8 d_lo(v16 a) { return fl_widen8(_mm512_castps512_ps256(a)); }
