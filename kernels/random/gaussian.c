#include "kernels/random/normal.h"

FL_INLINE void gaussian_group(float y[FL_GROUP], size_t group, const philox *p) {
  v16 x[4];
  v_normal_group(x, group, p);
  for (int j = 0; j < 4; j++)
    v_store(y + 16 * j, x[j]);
}

void FL_FN(gaussian)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, gaussian_group(out, group, p)); }
