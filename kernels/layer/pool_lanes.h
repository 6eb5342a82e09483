/* pool_lanes.h - pooling of small planes: lanes are sixteen planes, turned so that one place of all of them is a vector. Windows
 * may then be of any size and stride, and those at a border leave out what lies beyond it. Numbers of places are turned as floats
 * of their bits, and kept as such: compilers may read an array of another type before it is written. */
#ifndef FL_LAYER_POOL_LANES_H
#define FL_LAYER_POOL_LANES_H
#include "kernels/gemm/tile.h"
#include "kernels/layer/pool.h"
#include "kernels/simd/each.h"
#include <math.h>

enum { LANES_PLACES = 1024, LANES_LEAST = 6 };  /* of a plane at most; fewer planes are better taken one by one */

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Places of a window at o that lie in a row of `size`: [0, k) without padding. */
typedef struct { size_t lo, hi; } span;
static inline span inside(const fl_pool *s, size_t o, size_t size) {
  const size_t at = o * s->stride;
  return (span){ at < s->pad ? s->pad - at : 0, least(s->k, size + s->pad - at) };
}

/* The first place of a window in turned planes. */
static inline size_t lanes_first(const fl_pool *s, size_t oy, span rows, size_t ox, span cols) {
  return 16 * ((oy * s->stride + rows.lo - s->pad) * s->w + ox * s->stride + cols.lo - s->pad);
}
static inline v16 lanes_count(const fl_pool *s, span rows, span cols) {
  return v_set((float)(s->count_pad ? s->k * s->k : (rows.hi - rows.lo) * (cols.hi - cols.lo)));
}

/* at NULL: the mean. */
FL_INLINE void pool_lanes(const fl_pool *s, size_t lanes, const float *x, float *y, uint8_t *at) {
  const size_t oh = fl_pool_oh(s), ow = fl_pool_ow(s), windows = oh * ow, in = s->h * s->w;
  float room[16 * LANES_PLACES], value[256], place[256], turned[256];
  for (size_t j = 0; j < in; j += 16) turn_part(lanes, least(in - j, 16), x + j, in, room + 16 * j, 16, 16);
  for (size_t q = 0; q < windows; q++) {
    const span rows = inside(s, q / ow, s->h), cols = inside(s, q % ow, s->w);
    const float *from = room + lanes_first(s, q / ow, rows, q % ow, cols);
    best16 b = { v_set(-INFINITY), u_set((uint32_t)(rows.lo * s->k + cols.lo)) };
    v16 sum = v_zero();
    for (size_t i = rows.lo; i < rows.hi; i++, from += 16 * s->w) {
      const float *row = from;
      for (size_t j = cols.lo; j < cols.hi; j++, row += 16) {
        if (at) b = better(b, v_load(row), (uint32_t)(i * s->k + j));
        else sum = v_add(sum, v_load(row));
      }
    }
    v_store(value + q % 16 * 16, at ? b.value : v_div(sum, lanes_count(s, rows, cols)));
    if (at) v_store(place + q % 16 * 16, v_from_u(b.at));
    if (q % 16 < 15 && q + 1 < windows) continue;
    const size_t n = q % 16 + 1, first = q + 1 - n;
    turn_part(n, lanes, value, 16, y + first, windows, n);
    if (at) v_turn(turned, 16, place, 16, n);
    for (size_t l = 0; at && l < lanes; l++) put_places(at + l * windows + first, n, v_bits(v_load(turned + 16 * l)));
  }
}

/* dx of each place sums over the windows in their order; at NULL: of the mean. */
FL_INLINE void pool_lanes_back(const fl_pool *s, size_t lanes, const float *dy, const uint8_t *at, float *dx) {
  const size_t oh = fl_pool_oh(s), ow = fl_pool_ow(s), windows = oh * ow, in = s->h * s->w;
  float room[16 * LANES_PLACES], value[256], codes[256], place[256];
  for (size_t j = 0; j < in; j++) v_store(room + 16 * j, v_zero());
  for (size_t q = 0; q < windows; q++) {
    if (q % 16 == 0) {
      const size_t n = least(windows - q, 16);
      turn_part(lanes, n, dy + q, windows, value, 16, 16);
      for (size_t l = 0; at && l < lanes; l++)
        v_store(codes + 16 * l, v_from_u(get_places(at + l * windows + q, n, (lanes - l) * windows - q)));
      if (at) v_turn(place, 16, codes, 16, lanes);
    }
    const span rows = inside(s, q / ow, s->h), cols = inside(s, q % ow, s->w);
    float *to = room + lanes_first(s, q / ow, rows, q % ow, cols);
    const v16 d = at ? v_load(value + q % 16 * 16) : v_div(v_load(value + q % 16 * 16), lanes_count(s, rows, cols));
    const u16 where = at ? v_bits(v_load(place + q % 16 * 16)) : u_set(0);
    for (size_t i = rows.lo; i < rows.hi; i++, to += 16 * s->w) {
      float *row = to;
      for (size_t j = cols.lo; j < cols.hi; j++, row += 16)
        v_store(row, v_add(v_load(row), at ? v_keep(u_eq(where, u_set((uint32_t)(i * s->k + j))), d) : d));
    }
  }
  for (size_t j = 0; j < in; j += 16) turn_part(least(in - j, 16), lanes, room + 16 * j, 16, dx + j, in, least(in - j, 16));
}

/* So many of the planes are taken side by side. Where steps are short, rows of many windows are as good or better. */
static inline size_t lanes_planes(const fl_pool *s, size_t planes, int max, int back) {
  const size_t ow = fl_pool_ow(s), row = (ow + 15) / 16 * 16;
  const int rows = back ? s->w >= 32 && s->stride <= 2 && (max || s->k <= s->stride) : max && s->stride == 1 && 8 * ow >= 7 * row;
  if (s->h * s->w > LANES_PLACES || rows) return 0;
  return planes % 16 < LANES_LEAST ? planes - planes % 16 : planes;
}
#endif
