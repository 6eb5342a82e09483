/* points.h - the places of images that a 1x1 kernel with a stride reads, side by side, and back among zeros. */
#ifndef FL_LAYER_POINTS_H
#define FL_LAYER_POINTS_H
#include "kernels/layer/image.h"
#include "kernels/layer/pool.h"

/* `count` <= 16 places of a row, `step` apart. Sixteen are written, but of steps above 2 no more than there are. */
static inline void points_get(float *to, const float *from, size_t count, size_t step) {
  if (step == 1) {
    v_store(to, count == 16 ? v_load(from) : v_load_n(from, count, 0.0f));
  } else if (step == 2) {
    v16 lo, hi;
    load_pair(from, 2 * count - 1, &lo, &hi);
    v_store(to, v_even(lo, hi));
  } else {
    for (size_t i = 0; i < count; i++) to[i] = from[i * step];
  }
}

/* Planes (h, w) that have these places, and zeros around them. */
static inline void points_among_zeros(const float *from, size_t planes, size_t h, size_t w, size_t step, float *to) {
  const size_t cols = (w - 1) / step + 1;
  const float *end = to + planes * h * w;
  for (size_t y = 0; to < end; to += w, y = y + 1 < h ? y + 1 : 0) {
    const int here = y % step == 0, both = here && step == 2;
    for (size_t x = 0; x < w; x += 32) {
      const v16 v = both ? v_load_n(from + x / 2, cols - x / 2 < 16 ? cols - x / 2 : 16, 0.0f) : v_zero();
      put_pair(to + x, w - x < 32 ? w - x : 32, end, v_zip_lo(v, v_zero()), v_zip_hi(v, v_zero()));
    }
    for (size_t j = 0; here && !both && j < cols; j++) to[j * step] = from[j];
    if (here) from += cols;
  }
}
#endif
