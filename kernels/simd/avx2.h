/* avx2.h - the vocabulary on AVX2 + FMA (Haswell, Zen 1 and later): a v16 is two ymm.
 *
 * instruction        Skylake: latency, per cycle            Zen 3 / Zen 4
 * vfmadd   ymm       4, 2 (ports 0, 1)                      4, 2
 * vdivps   ymm       11, 1/5                                11, 1/5
 * vsqrtps  ymm       12, 1/6                                14, 1/5
 * vpmuludq ymm       5, 2                                   3, 2
 * vmaskmov loads     6, 2 (a masked-off byte never faults)  ; vmaskmov stores are slow on Zen: tails only */
#include <immintrin.h>
#define FL_VREGS 6
typedef struct { __m256 a, b; } v16;
typedef struct { __m256i a, b; } u16;
typedef struct { __m256 a, b; } m16;
#define V2(e1, e2) ((v16){ (e1), (e2) })
#define U2(e1, e2) ((u16){ (e1), (e2) })
#define M2(e1, e2) ((m16){ (e1), (e2) })
static inline __m256i fl_mask8(size_t n) { /* lanes 0..n-1 of 8; n may exceed 8 */
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n > 8 ? 8 : n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline size_t fl_rest8(size_t n) { return n > 8 ? n - 8 : 0; }
static inline v16 v_set(float x) { const __m256 r = _mm256_set1_ps(x); return V2(r, r); }
static inline v16 v_load(const float *p) { return V2(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void v_store(float *p, v16 x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
/* Lanes beyond n hold `fill`; a load that is masked off leaves +0, so that the usual fill costs nothing. */
static inline __m256 fl_fill8(__m256 x, __m256i m, float fill) {
  uint32_t bits;
  memcpy(&bits, &fill, sizeof bits);
  return bits ? _mm256_blendv_ps(_mm256_set1_ps(fill), x, _mm256_castsi256_ps(m)) : x;
}
static inline v16 v_load_n(const float *p, size_t n, float fill) {
  const __m256i ma = fl_mask8(n), mb = fl_mask8(fl_rest8(n));
  return V2(fl_fill8(_mm256_maskload_ps(p, ma), ma, fill), fl_fill8(_mm256_maskload_ps(p + 8, mb), mb, fill));
}
static inline void fl_store8(float *p, size_t n, __m256 x) { /* n < 8 */
  __m128 r = _mm256_castps256_ps128(x);
  if (n & 4) _mm_storeu_ps(p, r), r = _mm256_extractf128_ps(x, 1), p += 4;
  if (n & 2) _mm_storel_pi((__m64 *)(void *)p, r), r = _mm_movehl_ps(r, r), p += 2;
  if (n & 1) _mm_store_ss(p, r);
}
static inline void v_store_n(float *p, size_t n, v16 x) {
  if (n < 8) {
    fl_store8(p, n, x.a);
    return;
  }
  _mm256_storeu_ps(p, x.a);
  if (n < 16) fl_store8(p + 8, n - 8, x.b);
  else _mm256_storeu_ps(p + 8, x.b);
}
static inline v16 v_add(v16 x, v16 y) { return V2(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)); }
static inline v16 v_sub(v16 x, v16 y) { return V2(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)); }
static inline v16 v_mul(v16 x, v16 y) { return V2(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)); }
static inline v16 v_div(v16 x, v16 y) { return V2(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)); }
static inline v16 v_sqrt(v16 x) { return V2(_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)); }
static inline v16 v_fma(v16 x, v16 y, v16 z) { return V2(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)); }
static inline v16 v_fnma(v16 x, v16 y, v16 z) { return V2(_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)); }
static inline v16 v_neg(v16 x) {
  const __m256 s = _mm256_set1_ps(-0.0f);
  return V2(_mm256_xor_ps(x.a, s), _mm256_xor_ps(x.b, s));
}
static inline v16 v_abs(v16 x) {
  const __m256 s = _mm256_set1_ps(-0.0f);
  return V2(_mm256_andnot_ps(s, x.a), _mm256_andnot_ps(s, x.b));
}
static inline v16 v_min(v16 x, v16 y) { return V2(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)); }
static inline v16 v_max(v16 x, v16 y) { return V2(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)); }
static inline m16 v_lt(v16 x, v16 y) { return M2(_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)); }
static inline m16 v_gt(v16 x, v16 y) { return M2(_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)); }
static inline m16 v_eq(v16 x, v16 y) { return M2(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)); }
static inline m16 v_ne(v16 x, v16 y) { return M2(_mm256_cmp_ps(x.a, y.a, _CMP_NEQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_NEQ_OQ)); }
static inline m16 m_or(m16 x, m16 y) { return M2(_mm256_or_ps(x.a, y.a), _mm256_or_ps(x.b, y.b)); }
static inline m16 m_and(m16 x, m16 y) { return M2(_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)); }
static inline m16 m_not(m16 x) {
  const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return M2(_mm256_xor_ps(x.a, ones), _mm256_xor_ps(x.b, ones));
}
static inline int m_any(m16 x) { return _mm256_movemask_ps(_mm256_or_ps(x.a, x.b)) != 0; }
static inline v16 v_keep(m16 m, v16 x) { return V2(_mm256_and_ps(m.a, x.a), _mm256_and_ps(m.b, x.b)); }
static inline v16 v_sel(m16 m, v16 x, v16 y) { return V2(_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)); }
static inline __m256 fl_even8(__m256 x, __m256 y) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(x, y, 0x88)), 0xD8));
}
static inline __m256 fl_odd8(__m256 x, __m256 y) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(x, y, 0xDD)), 0xD8));
}
static inline v16 v_even(v16 x, v16 y) { return V2(fl_even8(x.a, x.b), fl_even8(y.a, y.b)); }
static inline v16 v_odd(v16 x, v16 y) { return V2(fl_odd8(x.a, x.b), fl_odd8(y.a, y.b)); }
static inline v16 fl_zip8(__m256 x, __m256 y) {
  const __m256 lo = _mm256_unpacklo_ps(x, y), hi = _mm256_unpackhi_ps(x, y);
  return V2(_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31));
}
static inline v16 v_zip_lo(v16 x, v16 y) { return fl_zip8(x.a, y.a); }
static inline v16 v_zip_hi(v16 x, v16 y) { return fl_zip8(x.b, y.b); }
static inline void fl_turn8(float *to, size_t ldto, const float *const row[8], size_t k) {
  __m256 r[8], t[8];
  for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(row[i] + k);
  for (size_t i = 0; i < 8; i += 2) {           /* pairs of rows, then of pairs, inside lanes of 128 bits; then the lanes */
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  for (size_t i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * ldto, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * ldto, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}
static inline void v_turn(float *to, size_t ldto, const float *from, size_t ld, size_t rows) {
  for (size_t h = 0; h < 16; h += 8) {
    const float *row[8];
    for (size_t i = 0; i < 8; i++) row[i] = from + (rows - 1 < h + i ? rows - 1 : h + i) * ld;
    fl_turn8(to + h, ldto, row, 0);
    fl_turn8(to + 8 * ldto + h, ldto, row, 8);
  }
}
#define FL_FOURS                /* four floats at `at` of each of sixteen rows, turned: to[16*i + r] = row[r][at + i], and back */
static inline void fl_turn4(const __m256 r[4], __m256 to[4]) { /* 4 x 4 inside each half */
  const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
  to[0] = _mm256_shuffle_ps(a, c, 0x44);
  to[1] = _mm256_shuffle_ps(a, c, 0xEE);
  to[2] = _mm256_shuffle_ps(b, d, 0x44);
  to[3] = _mm256_shuffle_ps(b, d, 0xEE);
}
static inline void v_fours_in(float *to, const float *const row[16], size_t at) {
  for (size_t h = 0; h < 16; h += 8) {
    __m256 r[4], t[4];
    for (size_t i = 0; i < 4; i++)
      r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[h + i] + at)), _mm_loadu_ps(row[h + i + 4] + at), 1);
    fl_turn4(r, t);
    for (size_t i = 0; i < 4; i++) _mm256_storeu_ps(to + 16 * i + h, t[i]);
  }
}
static inline void v_fours_out(float *const row[16], size_t at, const float *from) {
  for (size_t h = 0; h < 16; h += 8) {
    __m256 r[4], t[4];
    for (size_t i = 0; i < 4; i++) r[i] = _mm256_loadu_ps(from + 16 * i + h);
    fl_turn4(r, t);
    for (size_t i = 0; i < 4; i++) {
      _mm_storeu_ps(row[h + i] + at, _mm256_castps256_ps128(t[i]));
      _mm_storeu_ps(row[h + i + 4] + at, _mm256_extractf128_ps(t[i], 1));
    }
  }
}
#define FL_HALF                 /* eight floats, a register of their own: of the narrow tiles of kernels/gemm/half.h */
typedef __m256 h8;
static inline h8 h_set(float x) { return _mm256_set1_ps(x); }
static inline h8 h_load(const float *p) { return _mm256_loadu_ps(p); }
static inline h8 h_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, fl_mask8(n)); }
static inline void h_store_n(float *p, size_t n, h8 x) {
  if (n < 8) fl_store8(p, n, x);
  else _mm256_storeu_ps(p, x);
}
static inline h8 h_add(h8 x, h8 y) { return _mm256_add_ps(x, y); }
static inline h8 h_fma(h8 x, h8 y, h8 z) { return _mm256_fmadd_ps(x, y, z); }
#define FL_OWN_FLUSH
static inline __m256 fl_flush8(__m256 x) { /* by the exponent's bits: integer operations leave the multipliers free */
  const __m256i e = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7f800000));
  return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(e, _mm256_setzero_si256())), x);
}
static inline v16 v_flush(v16 x) { return V2(fl_flush8(x.a), fl_flush8(x.b)); }
static inline u16 v_bits(v16 x) { return U2(_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)); }
static inline v16 v_from_u(u16 x) { return V2(_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)); }
static inline v16 v_float(u16 x) { return V2(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)); }
static inline u16 v_int(v16 x) { return U2(_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)); }
static inline u16 u_set(uint32_t k) { const __m256i r = _mm256_set1_epi32((int)k); return U2(r, r); }
static inline u16 u_iota(void) {
  return U2(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
}
static inline u16 u_load(const uint32_t *p) {
  return U2(_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_loadu_si256((const __m256i *)(const void *)(p + 8)));
}
static inline void u_store(uint32_t *p, u16 x) {
  _mm256_storeu_si256((__m256i *)(void *)p, x.a);
  _mm256_storeu_si256((__m256i *)(void *)(p + 8), x.b);
}
static inline u16 u_add(u16 x, u16 y) { return U2(_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)); }
static inline u16 u_sub(u16 x, u16 y) { return U2(_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)); }
static inline u16 u_mul_even(u16 x, u16 y) { return U2(_mm256_mul_epu32(x.a, y.a), _mm256_mul_epu32(x.b, y.b)); }
static inline u16 u_odd_down(u16 x) { return U2(_mm256_srli_epi64(x.a, 32), _mm256_srli_epi64(x.b, 32)); }
static inline u16 u_join(u16 x, u16 y) {
  return U2(_mm256_blend_epi32(x.a, _mm256_slli_epi64(y.a, 32), 0xAA), _mm256_blend_epi32(x.b, _mm256_slli_epi64(y.b, 32), 0xAA));
}
static inline u16 u_and(u16 x, u16 y) { return U2(_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)); }
static inline u16 u_or(u16 x, u16 y) { return U2(_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)); }
static inline u16 u_xor(u16 x, u16 y) { return U2(_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)); }
#define u_shl(x, k) U2(_mm256_slli_epi32((x).a, (k)), _mm256_slli_epi32((x).b, (k)))
#define u_shr(x, k) U2(_mm256_srli_epi32((x).a, (k)), _mm256_srli_epi32((x).b, (k)))
#define u_sar(x, k) U2(_mm256_srai_epi32((x).a, (k)), _mm256_srai_epi32((x).b, (k)))
static inline m16 u_eq(u16 x, u16 y) {
  return M2(_mm256_castsi256_ps(_mm256_cmpeq_epi32(x.a, y.a)), _mm256_castsi256_ps(_mm256_cmpeq_epi32(x.b, y.b)));
}
static inline m16 u_lt_s(u16 x, u16 y) {
  return M2(_mm256_castsi256_ps(_mm256_cmpgt_epi32(y.a, x.a)), _mm256_castsi256_ps(_mm256_cmpgt_epi32(y.b, x.b)));
}
static inline u16 u_sel(m16 m, u16 x, u16 y) { return v_bits(v_sel(m, v_from_u(x), v_from_u(y))); }
#include "ymm_double.h"
static inline d8 d_lo(v16 x) { return fl_widen8(x.a); }
