/* hwc.h - images turned to (y, x, channel), so that the channels of a place are neighbours. */
#ifndef FL_LAYER_HWC_H
#define FL_LAYER_HWC_H
#include "kernels/gemm/tile.h"
#include "kernels/layer/conv.h"

/* `rows` rows of w places of planes `plane` apart into rows of wp places: place (y, x) at to[((y + top)*wp + x + left)*ld], the
 * planes side by side. Nothing else is written. */
static void turn_planes(const float *from, size_t planes, size_t plane, size_t rows, size_t w, float *to, size_t top, size_t left,
                        size_t wp, size_t ld) {
  const size_t places = rows * w;
  float square[16 * 16];
  if (planes < 8) {
    for (size_t c = 0; c < planes; c++) {
      for (size_t i = 0; i < places; i++) to[((i / w + top) * wp + i % w + left) * ld + c] = from[c * plane + i];
    }
    return;
  }
  for (size_t c = 0; c < planes; c += 16) {
    const size_t wide = planes - c < 16 ? planes - c : 16;
    float *place = to + (top * wp + left) * ld + c;
    size_t x = 0;
    for (size_t j = 0; j < places; j += 16) {
      const size_t lanes = places - j < 16 ? places - j : 16;
      turn_part(wide, lanes, from + c * plane + j, plane, square, 16, 16);
      for (size_t i = 0; i < lanes; i++) {
        if (wide == 16) v_store(place, v_load(square + 16 * i));
        else v_store_n(place, wide, v_load(square + 16 * i));
        place += ld;
        if (++x == w) x = 0, place += (wp - w) * ld;
      }
    }
  }
}

/* Where a piece's sum goes: into `to`, above those it carries, or, of the last piece, all that wait are added. */
typedef struct { float *level; size_t floats; uint64_t have; int end; } sum_tree;
static inline size_t tree_level(const sum_tree *t) {
  size_t up = 0;
  while (t->have >> up & 1) up++;
  return up;
}
static inline uint64_t tree_adds(const sum_tree *t) {
  return t->end ? t->have : t->have & (((uint64_t)1 << tree_level(t)) - 1);
}
/* x, the sum of this piece at `at`, with the left neighbours that it carries. */
static inline v16 tree_sum(const sum_tree *t, uint64_t adds, size_t at, v16 x) {
  const float *left = t->level + at;
  for (; adds; adds >>= 1, left += t->floats) {
    if (adds & 1) x = v_add(v_load(left), x);
  }
  return x;
}
#endif
