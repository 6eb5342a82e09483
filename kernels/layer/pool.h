/* pool.h - the largest, the first of equals, and which it was; a NaN is larger than all before it. Pairs of vectors of a row. */
#ifndef FL_LAYER_POOL_H
#define FL_LAYER_POOL_H
#include "kernels/simd/bytes.h"

typedef struct { v16 value; u16 at; } best16;

static inline best16 better(best16 b, v16 x, uint32_t at) {
  const m16 m = m_or(v_gt(x, b.value), m_not(v_eq(x, x)));
  return (best16){ v_sel(m, x, b.value), u_sel(m, u_set(at), b.at) };
}

static inline best16 best_of(v16 x0, v16 x1, v16 x2, v16 x3) {
  return better(better(better((best16){ x0, u_set(0) }, x1, 1), x2, 2), x3, 3);
}

/* 32 floats of a row, of which n exist. */
static inline void load_pair(const float *p, size_t n, v16 *lo, v16 *hi) {
  *lo = n >= 16 ? v_load(p) : v_load_n(p, n, 0.0f);
  *hi = n >= 32 ? v_load(p + 16) : v_load_n(n > 16 ? p + 16 : p, n > 16 ? n - 16 : 0, 0.0f);
}

/* n floats of a row; what is too much goes to places that are written later, up to `end`. */
static inline void put_pair(float *p, size_t n, const float *end, v16 lo, v16 hi) {
  const size_t room = (size_t)(end - p);
  if (n >= 16 || room >= 16) v_store(p, lo);
  else v_store_n(p, n, lo);
  if (n <= 16) return;
  if (room >= 32) v_store(p + 16, hi);
  else v_store_n(p + 16, n - 16, hi);
}

/* So many places; those of lanes beyond n are 0, but where 16 are `there`, these. */
static inline u16 get_places(const uint8_t *at, size_t n, size_t there) {
  uint8_t bytes[16] = { 0 };
  if (there >= 16) return u_get_bytes(at);
  memcpy(bytes, at, n);
  return u_get_bytes(bytes);
}

static inline void put_places(uint8_t *at, size_t n, u16 places) {
  uint8_t bytes[16];
  if (n >= 16) {
    u_put_bytes(at, places);
    return;
  }
  u_put_bytes(bytes, places);
  memcpy(at, bytes, n);
}
#endif
