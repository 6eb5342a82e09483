/* ymm_double.h - eight doubles as two ymm, for AVX2 and AVX-512 alike. What doubles are for, reductions, is bound by the
 * conversion from float: Zen 4 makes two of ymm a cycle, but one of zmm in two; Intel one of zmm, or two of ymm from memory. */
typedef struct { __m256d a, b; } d8;
#define D2(e1, e2) ((d8){ (e1), (e2) })
static inline d8 d_set(double x) { const __m256d r = _mm256_set1_pd(x); return D2(r, r); }
static inline d8 d_add(d8 x, d8 y) { return D2(_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b)); }
static inline d8 d_sub(d8 x, d8 y) { return D2(_mm256_sub_pd(x.a, y.a), _mm256_sub_pd(x.b, y.b)); }
static inline d8 d_mul(d8 x, d8 y) { return D2(_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b)); }
static inline d8 d_fma(d8 x, d8 y, d8 z) { return D2(_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b)); }
static inline d8 d_abs(d8 x) {
  const __m256d s = _mm256_set1_pd(-0.0);
  return D2(_mm256_andnot_pd(s, x.a), _mm256_andnot_pd(s, x.b));
}
/* The upper lane goes through a statement that the compiler cannot see into: of two halvings side by side clang makes one haddpd,
 * which adds the same numbers, but which no object may hold (tests/e2e/objects.sh). */
static inline double d_halve(d8 x) {
  const __m256d h = _mm256_add_pd(x.a, x.b);
  const __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  __m128d upper = _mm_unpackhi_pd(q, q);
  __asm__("" : "+x"(upper));
  return _mm_cvtsd_f64(_mm_add_sd(q, upper));
}
static inline d8 d_widen(const float *p) { return D2(_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))); }
static inline d8 fl_widen8(__m256 x) {
  return D2(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
}
