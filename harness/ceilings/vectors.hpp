// vectors.hpp - vectors for the ceilings: one struct an instruction set, every function with its target.
#ifndef FEDLANE_CEILINGS_VECTORS_HPP
#define FEDLANE_CEILINGS_VECTORS_HPP
#include <cstdint>
#include <cstring>

// Any machine: what the compiler makes of floats.
struct Plain {
  using type = float;
  static constexpr unsigned lanes = 1;
  static inline type set(float x) { return x; }
  static inline type load(const float *p) { return *p; }
  static inline type widen(const uint8_t *p) { return *p; }
  static inline void store(float *p, type x) { *p = x; }
  static inline void stream(float *p, type x) { *p = x; }
  static inline type add(type a, type b) { return a + b; }
  static inline type mul(type a, type b) { return a * b; }
  static inline type fma(type a, type b, type c) { return a * b + c; }
  static inline float first(type a) { return a; }
};

#if defined(__x86_64__)
#include <immintrin.h>
#define FL_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")))
#define FL_AVX2 __attribute__((target("avx2,fma")))
#define FL_VECTOR(name, T, LANES, attribute, SET, LOAD, WIDEN, STORE, STREAM, ADD, MUL, FMA, DIV, SQRT, FIRST)                  \
  struct name {                                                                                                          \
    using type = T;                                                                                                      \
    static constexpr unsigned lanes = LANES;                                                                             \
    attribute static inline type set(float x) { return SET(x); }                                                         \
    attribute static inline type load(const float *p) { return LOAD(p); }                                                \
    attribute static inline type widen(const uint8_t *p) { return WIDEN(reinterpret_cast<const __m128i *>(p)); }         \
    attribute static inline void store(float *p, type x) { STORE(p, x); }                                                \
    attribute static inline void stream(float *p, type x) { STREAM(p, x); }                                              \
    attribute static inline type add(type a, type b) { return ADD(a, b); }                                               \
    attribute static inline type mul(type a, type b) { return MUL(a, b); }                                               \
    attribute static inline type fma(type a, type b, type c) { return FMA(a, b, c); }                                    \
    attribute static inline type div(type a, type b) { return DIV(a, b); }                                               \
    attribute static inline type sqrt(type a) { return SQRT(a); }                                                        \
    attribute static inline float first(type a) { return FIRST(a); }                                                     \
  }
#define FL_WIDEN16(p) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)))
#define FL_WIDEN8(p) _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)))
FL_VECTOR(Wide, __m512, 16, FL_AVX512, _mm512_set1_ps, _mm512_loadu_ps, FL_WIDEN16, _mm512_storeu_ps, _mm512_stream_ps,
          _mm512_add_ps, _mm512_mul_ps, _mm512_fmadd_ps, _mm512_div_ps, _mm512_sqrt_ps, _mm512_cvtss_f32);
FL_VECTOR(Middle, __m256, 8, FL_AVX2, _mm256_set1_ps, _mm256_loadu_ps, FL_WIDEN8, _mm256_storeu_ps, _mm256_stream_ps,
          _mm256_add_ps, _mm256_mul_ps, _mm256_fmadd_ps, _mm256_div_ps, _mm256_sqrt_ps, _mm256_cvtss_f32);
#elif defined(__aarch64__)
#include <arm_neon.h>
struct Neon {
  using type = float32x4_t;
  static constexpr unsigned lanes = 4;
  static inline type set(float x) { return vdupq_n_f32(x); }
  static inline type load(const float *p) { return vld1q_f32(p); }
  static inline type widen(const uint8_t *p) {
    uint32_t four;
    std::memcpy(&four, p, sizeof four);
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
  }
  static inline void store(float *p, type x) { vst1q_f32(p, x); }
  static inline void stream(float *p, type x) { vst1q_f32(p, x); }
  static inline type add(type a, type b) { return vaddq_f32(a, b); }
  static inline type mul(type a, type b) { return vmulq_f32(a, b); }
  static inline type fma(type a, type b, type c) { return vfmaq_f32(c, a, b); }
  static inline type div(type a, type b) { return vdivq_f32(a, b); }
  static inline type sqrt(type a) { return vsqrtq_f32(a); }
  static inline float first(type a) { return vgetq_lane_f32(a, 0); }
};
#endif
#endif
