/* largest.c - the maximum norm, and where the largest element lies. */
#include "kernels/simd/each.h"

/* Without their sign, floats order as integers, and every NaN is above infinity: the integer maximum keeps it. */
FL_INLINE u16 max16(u16 m, v16 x) {
  const u16 a = v_bits(v_abs(x));
  return u_sel(u_lt_s(m, a), a, m);
}

float FL_FN(absmax)(size_t n, const float *x) {
  u16 m[4] = { u_set(0), u_set(0), u_set(0), u_set(0) };
  size_t i = 0;
  for (; n - i >= 64; i += 64) {
    m[0] = max16(m[0], v_load(x + i));
    m[1] = max16(m[1], v_load(x + i + 16));
    m[2] = max16(m[2], v_load(x + i + 32));
    m[3] = max16(m[3], v_load(x + i + 48));
  }
  for (; i < n; i += 16) { m[0] = max16(m[0], v_load_n(x + i, n - i < 16 ? n - i : 16, 0.0f)); }
  for (int k = 1; k < 4; k++) { m[0] = max16(m[0], v_from_u(m[k])); }
  uint32_t w[16], best = 0;
  u_store(w, m[0]);
  for (int k = 0; k < 16; k++) { best = w[k] > best ? w[k] : best; }
  float r;
  memcpy(&r, &best, sizeof r);
  return r;
}

/* The best of every sixteenth element, and the turn in which it came: only a larger one replaces it, so it is the first. */
typedef struct { v16 best; u16 turn; m16 ordered; } lane_best;
FL_INLINE lane_best update(lane_best b, v16 x, u16 turn) {
  const m16 more = v_gt(x, b.best);
  return (lane_best){ v_max(x, b.best), u_sel(more, turn, b.turn), m_and(b.ordered, v_eq(x, x)) };
}
FL_INLINE v16 key16(int absolute, v16 x) { return absolute ? v_abs(x) : x; }

FL_INLINE size_t first_nan(size_t n, const float *x) {
  size_t i = 0;
  while (i < n && x[i] == x[i]) { i++; }
  return i;
}

FL_INLINE size_t largest(int absolute, size_t n, const float *x) {
  /* what is missing is not larger than what is there, and comes after it */
  const float fill = absolute ? 0.0f : -__builtin_inff();
  const v16 low = v_set(-__builtin_inff());
  const lane_best none = { low, u_set(0), v_eq(low, low) };
  lane_best b[4] = { none, none, none, none };
  uint32_t t = 0;
  size_t i = 0;
  for (; n - i >= 64; i += 64, t++) {
    const u16 turn = u_set(t);
    for (int j = 0; j < 4; j++) { b[j] = update(b[j], key16(absolute, v_load(x + i + 16 * (size_t)j)), turn); }
  }
  for (int j = 0; i < n; i += 16, j++) {
    b[j] = update(b[j], key16(absolute, v_load_n(x + i, n - i < 16 ? n - i : 16, fill)), u_set(t));
  }
  const v16 nan = v_from_u(u_set(0x7fc00000u));
  float best = -__builtin_inff();
  size_t at = 0;
  for (size_t j = 0; j < 4; j++) {
    float value[16];
    uint32_t turn[16];
    v_store(value, v_sel(b[j].ordered, b[j].best, nan));
    u_store(turn, b[j].turn);
    for (size_t lane = 0; lane < 16; lane++) {
      const size_t place = 64 * (size_t)turn[lane] + 16 * j + lane;
      if (value[lane] != value[lane]) { return first_nan(n, x); }
      if (value[lane] > best || (value[lane] == best && place < at)) {
        best = value[lane];
        at = place;
      }
    }
  }
  return at;
}
size_t FL_FN(argmax)(size_t n, const float *x) { return largest(0, n, x); }
size_t FL_FN(argabsmax)(size_t n, const float *x) { return largest(1, n, x); }
