/* stream.h - arrays that are only written and too large to stay in any cache: stored past the caches, so that their lines are not
 * read first. The bits are those of FL_EACH. */
#ifndef FL_SIMD_STREAM_H
#define FL_SIMD_STREAM_H
#include "kernels/simd/each.h"

#define FL_FAR ((size_t)1 << 23) /* floats */

/* v_stream: p is at a multiple of 64 bytes. v_streamed: after the last, before another thread may read. */
#if FL_SIMD_ISA == 3
static inline void v_stream(float *p, v16 a) { _mm512_stream_ps(p, a); }
static inline void v_streamed(void) { _mm_sfence(); }
#elif FL_SIMD_ISA == 2
static inline void v_stream(float *p, v16 x) { _mm256_stream_ps(p, x.a); _mm256_stream_ps(p + 8, x.b); }
static inline void v_streamed(void) { _mm_sfence(); }
#else
static inline void v_stream(float *p, v16 a) { v_store(p, a); }
static inline void v_streamed(void) {}
#endif

FL_INLINE void v_out(float *p, size_t lanes, v16 x, const int past) {
  if (past) { v_stream(p, x); } else { v_put(p, lanes, x); }
}

/* FL_EACH where `call` writes the array `out` by v_out(..., past) and nothing reads it; in_place: it is an input, too, and
 * its lines are there already. */
#define FL_EACH_OUT(n, out, in_place, call) do { \
  if ((n) < FL_FAR || (in_place)) { \
    const int past = 0; \
    FL_EACH(n, call); \
    break; \
  } \
  size_t i = (64 - (uintptr_t)(out) % 64) / 4 % 16; \
  if (i) { const int past = 0; const size_t lanes = i; i = 0; call; i = lanes; } \
  for (; (n) - i >= 16; i += 16) { const int past = 1; const size_t lanes = 16; call; } \
  v_streamed(); \
  if (i < (n)) { const int past = 0; const size_t lanes = (n) - i; call; } \
} while (0)
#endif
