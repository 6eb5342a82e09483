/* blocks.h - blocks of b neighbouring floats (b = 1, 2, 4, 8, known when compiled) dealt out and put together, as v_even, v_odd,
 * v_zip_lo and v_zip_hi do with single ones: v_even_of(b, x, y) has the even blocks of the 32 floats x, y. */
#ifndef FL_SIMD_BLOCKS_H
#define FL_SIMD_BLOCKS_H
#include "kernels/simd/each.h"

#if FL_SIMD_ISA == 3
#define FL_PAIRS(x, y, ...) _mm512_castpd_ps(_mm512_permutex2var_pd(_mm512_castps_pd(x), _mm512_setr_epi64(__VA_ARGS__), \
                                                                    _mm512_castps_pd(y)))
static inline v16 fl_even_of_2(v16 x, v16 y) { return FL_PAIRS(x, y, 0, 2, 4, 6, 8, 10, 12, 14); }
static inline v16 fl_odd_of_2(v16 x, v16 y) { return FL_PAIRS(x, y, 1, 3, 5, 7, 9, 11, 13, 15); }
static inline v16 fl_even_of_4(v16 x, v16 y) { return _mm512_shuffle_f32x4(x, y, 0x88); }
static inline v16 fl_odd_of_4(v16 x, v16 y) { return _mm512_shuffle_f32x4(x, y, 0xDD); }
static inline v16 fl_even_of_8(v16 x, v16 y) { return _mm512_shuffle_f32x4(x, y, 0x44); }
static inline v16 fl_odd_of_8(v16 x, v16 y) { return _mm512_shuffle_f32x4(x, y, 0xEE); }
static inline v16 fl_zip_lo_of_2(v16 x, v16 y) { return FL_PAIRS(x, y, 0, 8, 1, 9, 2, 10, 3, 11); }
static inline v16 fl_zip_hi_of_2(v16 x, v16 y) { return FL_PAIRS(x, y, 4, 12, 5, 13, 6, 14, 7, 15); }
static inline v16 fl_zip_lo_of_4(v16 x, v16 y) { return FL_PAIRS(x, y, 0, 1, 8, 9, 2, 3, 10, 11); }
static inline v16 fl_zip_hi_of_4(v16 x, v16 y) { return FL_PAIRS(x, y, 4, 5, 12, 13, 6, 7, 14, 15); }
#elif FL_SIMD_ISA == 2
static inline __m256 fl_pairs_in_order(__m256 x) {      /* from 0, 2, 1, 3 */
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xD8));
}
static inline __m256 fl_pairs_lo(__m256 x, __m256 y) {
  return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
}
static inline __m256 fl_pairs_hi(__m256 x, __m256 y) {
  return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
}
static inline v16 fl_even_of_2(v16 x, v16 y) {
  return V2(fl_pairs_in_order(fl_pairs_lo(x.a, x.b)), fl_pairs_in_order(fl_pairs_lo(y.a, y.b)));
}
static inline v16 fl_odd_of_2(v16 x, v16 y) {
  return V2(fl_pairs_in_order(fl_pairs_hi(x.a, x.b)), fl_pairs_in_order(fl_pairs_hi(y.a, y.b)));
}
static inline v16 fl_even_of_4(v16 x, v16 y) {
  return V2(_mm256_permute2f128_ps(x.a, x.b, 0x20), _mm256_permute2f128_ps(y.a, y.b, 0x20));
}
static inline v16 fl_odd_of_4(v16 x, v16 y) {
  return V2(_mm256_permute2f128_ps(x.a, x.b, 0x31), _mm256_permute2f128_ps(y.a, y.b, 0x31));
}
static inline v16 fl_even_of_8(v16 x, v16 y) { return V2(x.a, y.a); }
static inline v16 fl_odd_of_8(v16 x, v16 y) { return V2(x.b, y.b); }
static inline v16 fl_zip_pairs(__m256 x, __m256 y) {
  const __m256 lo = fl_pairs_lo(x, y), hi = fl_pairs_hi(x, y);
  return V2(_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31));
}
static inline v16 fl_zip_lo_of_2(v16 x, v16 y) { return fl_zip_pairs(x.a, y.a); }
static inline v16 fl_zip_hi_of_2(v16 x, v16 y) { return fl_zip_pairs(x.b, y.b); }
static inline v16 fl_zip_lo_of_4(v16 x, v16 y) {
  return V2(_mm256_permute2f128_ps(x.a, y.a, 0x20), _mm256_permute2f128_ps(x.a, y.a, 0x31));
}
static inline v16 fl_zip_hi_of_4(v16 x, v16 y) {
  return V2(_mm256_permute2f128_ps(x.b, y.b, 0x20), _mm256_permute2f128_ps(x.b, y.b, 0x31));
}
#elif FL_SIMD_ISA == 4
static inline float32x4_t fl_pairs_lo(float32x4_t x, float32x4_t y) {
  return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
}
static inline float32x4_t fl_pairs_hi(float32x4_t x, float32x4_t y) {
  return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
}
static inline v16 fl_even_of_2(v16 x, v16 y) {
  return Q4(v16, fl_pairs_lo(x.q[0], x.q[1]), fl_pairs_lo(x.q[2], x.q[3]), fl_pairs_lo(y.q[0], y.q[1]),
            fl_pairs_lo(y.q[2], y.q[3]));
}
static inline v16 fl_odd_of_2(v16 x, v16 y) {
  return Q4(v16, fl_pairs_hi(x.q[0], x.q[1]), fl_pairs_hi(x.q[2], x.q[3]), fl_pairs_hi(y.q[0], y.q[1]),
            fl_pairs_hi(y.q[2], y.q[3]));
}
static inline v16 fl_even_of_4(v16 x, v16 y) { return Q4(v16, x.q[0], x.q[2], y.q[0], y.q[2]); }
static inline v16 fl_odd_of_4(v16 x, v16 y) { return Q4(v16, x.q[1], x.q[3], y.q[1], y.q[3]); }
static inline v16 fl_even_of_8(v16 x, v16 y) { return Q4(v16, x.q[0], x.q[1], y.q[0], y.q[1]); }
static inline v16 fl_odd_of_8(v16 x, v16 y) { return Q4(v16, x.q[2], x.q[3], y.q[2], y.q[3]); }
static inline v16 fl_zip_lo_of_2(v16 x, v16 y) {
  return Q4(v16, fl_pairs_lo(x.q[0], y.q[0]), fl_pairs_hi(x.q[0], y.q[0]), fl_pairs_lo(x.q[1], y.q[1]),
            fl_pairs_hi(x.q[1], y.q[1]));
}
static inline v16 fl_zip_hi_of_2(v16 x, v16 y) {
  return Q4(v16, fl_pairs_lo(x.q[2], y.q[2]), fl_pairs_hi(x.q[2], y.q[2]), fl_pairs_lo(x.q[3], y.q[3]),
            fl_pairs_hi(x.q[3], y.q[3]));
}
static inline v16 fl_zip_lo_of_4(v16 x, v16 y) { return Q4(v16, x.q[0], y.q[0], x.q[1], y.q[1]); }
static inline v16 fl_zip_hi_of_4(v16 x, v16 y) { return Q4(v16, x.q[2], y.q[2], x.q[3], y.q[3]); }
#else
static inline v16 fl_deal(size_t b, size_t first, v16 x, v16 y) {
  v16 r;
  for (size_t i = 0; i < 16; i++) {
    const size_t from = (2 * (i / b) + first) * b + i % b;
    r.f[i] = from < 16 ? x.f[from] : y.f[from - 16];
  }
  return r;
}
static inline v16 fl_join(size_t b, size_t first, v16 x, v16 y) {
  v16 r;
  for (size_t i = 0; i < 16; i++) {
    const size_t from = first + i / b / 2 * b + i % b;
    r.f[i] = i / b % 2 ? y.f[from] : x.f[from];
  }
  return r;
}
static inline v16 fl_even_of_2(v16 x, v16 y) { return fl_deal(2, 0, x, y); }
static inline v16 fl_odd_of_2(v16 x, v16 y) { return fl_deal(2, 1, x, y); }
static inline v16 fl_even_of_4(v16 x, v16 y) { return fl_deal(4, 0, x, y); }
static inline v16 fl_odd_of_4(v16 x, v16 y) { return fl_deal(4, 1, x, y); }
static inline v16 fl_even_of_8(v16 x, v16 y) { return fl_deal(8, 0, x, y); }
static inline v16 fl_odd_of_8(v16 x, v16 y) { return fl_deal(8, 1, x, y); }
static inline v16 fl_zip_lo_of_2(v16 x, v16 y) { return fl_join(2, 0, x, y); }
static inline v16 fl_zip_hi_of_2(v16 x, v16 y) { return fl_join(2, 8, x, y); }
static inline v16 fl_zip_lo_of_4(v16 x, v16 y) { return fl_join(4, 0, x, y); }
static inline v16 fl_zip_hi_of_4(v16 x, v16 y) { return fl_join(4, 8, x, y); }
#endif

FL_INLINE v16 v_even_of(const size_t b, v16 x, v16 y) {
  return b == 1 ? v_even(x, y) : b == 2 ? fl_even_of_2(x, y) : b == 4 ? fl_even_of_4(x, y) : fl_even_of_8(x, y);
}
FL_INLINE v16 v_odd_of(const size_t b, v16 x, v16 y) {
  return b == 1 ? v_odd(x, y) : b == 2 ? fl_odd_of_2(x, y) : b == 4 ? fl_odd_of_4(x, y) : fl_odd_of_8(x, y);
}
/* Of eights there are two in a vector: these are as good as dealt out. */
FL_INLINE v16 v_zip_lo_of(const size_t b, v16 x, v16 y) {
  return b == 1 ? v_zip_lo(x, y) : b == 2 ? fl_zip_lo_of_2(x, y) : b == 4 ? fl_zip_lo_of_4(x, y) : fl_even_of_8(x, y);
}
FL_INLINE v16 v_zip_hi_of(const size_t b, v16 x, v16 y) {
  return b == 1 ? v_zip_hi(x, y) : b == 2 ? fl_zip_hi_of_2(x, y) : b == 4 ? fl_zip_hi_of_4(x, y) : fl_odd_of_8(x, y);
}
#endif
