/* each.h - loops over n elements, sixteen lanes at a time. A body is an inline function of `lanes`; it is expanded once for
 * 16 lanes, where the count folds away, and once for the tail. */
#ifndef FL_SIMD_EACH_H
#define FL_SIMD_EACH_H
#include "kernels/simd/decl.h"

#define FL_INLINE static inline __attribute__((always_inline))

FL_INLINE v16 v_get(const float *p, size_t lanes) { return lanes == 16 ? v_load(p) : v_load_n(p, lanes, 0.0f); }
FL_INLINE void v_put(float *p, size_t lanes, v16 x) {
  if (lanes == 16) { v_store(p, x); } else { v_store_n(p, lanes, x); }
}

/* Runs `call` with size_t i and lanes, for i = 0, 16, ...; two a turn, so that loop control costs little. */
#define FL_EACH(n, call) do { \
  size_t i = 0; \
  for (; (n) - i >= 32; i += 16) { { const size_t lanes = 16; call; } i += 16; { const size_t lanes = 16; call; } } \
  if ((n) - i >= 16) { const size_t lanes = 16; call; i += 16; } \
  if (i < (n)) { const size_t lanes = (n) - i; call; } \
} while (0)

/* The same in two parts: `first` makes a T, `second` uses it as `half`, one vector later. For chains with a division or a root:
 * while they wait they would hold the places of the scheduler that the next vector needs. */
#define FL_EACH_SPLIT(n, T, first, second) do { \
  size_t at = 0; \
  if ((n) >= 16) { \
    T half; \
    { const size_t i = 0, lanes = 16; half = first; } \
    for (at = 16; (n) - at >= 16; at += 16) { \
      T next; \
      { const size_t i = at, lanes = 16; next = first; } \
      { const size_t i = at - 16, lanes = 16; second; } \
      half = next; \
    } \
    { const size_t i = at - 16, lanes = 16; second; } \
  } \
  if (at < (n)) { const size_t i = at, lanes = (n) - at; const T half = first; second; } \
} while (0)
#endif
