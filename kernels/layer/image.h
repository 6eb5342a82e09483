/* image.h - copies between images and their padded form. */
#ifndef FL_LAYER_IMAGE_H
#define FL_LAYER_IMAGE_H
#include "kernels/simd/decl.h"

static inline void copy_floats(float *to, const float *from, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(to + i, v_load(from + i));
  if (i < n) v_store_n(to + i, n - i, v_load_n(from + i, n - i, 0.0f));
}

/* Planes (h, w) into the middle of planes (hp, wp), `pad` rows above and columns to the left; the rest is zero already. */
static inline void pad_planes(float *to, const float *from, size_t planes, size_t h, size_t w, size_t hp, size_t wp, size_t pad) {
  for (size_t c = 0; c < planes; c++) {
    for (size_t y = 0; y < h; y++) copy_floats(to + (c * hp + y + pad) * wp + pad, from + (c * h + y) * w, w);
  }
}
#endif
