/* bytes.h - sixteen numbers below 256 of a u16 to bytes and back. What compilers make of a loop takes each number for itself. */
#ifndef FL_SIMD_BYTES_H
#define FL_SIMD_BYTES_H
#include "kernels/simd/decl.h"

#if FL_SIMD_ISA == 3
static inline void u_put_bytes(uint8_t to[16], u16 x) { _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(x)); }
static inline u16 u_get_bytes(const uint8_t from[16]) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}
#elif FL_SIMD_ISA == 2
static inline void u_put_bytes(uint8_t to[16], u16 x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(x.a, x.b), 0xD8);
  _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
static inline u16 u_get_bytes(const uint8_t from[16]) {
  const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
  return U2(_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
}
#elif FL_SIMD_ISA == 4
static inline void u_put_bytes(uint8_t to[16], u16 x) {
  const uint16x8_t lo = vcombine_u16(vmovn_u32(x.q[0]), vmovn_u32(x.q[1]));
  const uint16x8_t hi = vcombine_u16(vmovn_u32(x.q[2]), vmovn_u32(x.q[3]));
  vst1q_u8(to, vcombine_u8(vmovn_u16(lo), vmovn_u16(hi)));
}
static inline u16 u_get_bytes(const uint8_t from[16]) {
  const uint8x16_t bytes = vld1q_u8(from);
  const uint16x8_t lo = vmovl_u8(vget_low_u8(bytes)), hi = vmovl_high_u8(bytes);
  return Q4(u16, vmovl_u16(vget_low_u16(lo)), vmovl_high_u16(lo), vmovl_u16(vget_low_u16(hi)), vmovl_high_u16(hi));
}
#else
static inline void u_put_bytes(uint8_t to[16], u16 x) {
  for (int i = 0; i < 16; i++) to[i] = (uint8_t)x.u[i];
}
static inline u16 u_get_bytes(const uint8_t from[16]) {
  u16 r;
  for (int i = 0; i < 16; i++) r.u[i] = from[i];
  return r;
}
#endif
#endif
