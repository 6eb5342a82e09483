/* rotate.c - sweeps of plane rotations over the rows of a panel: the row that two neighbours share stays in registers. */
#include "kernels/factor/panel.h"

void FL_FN(rotate)(size_t sweeps, const uint32_t *range, const float *cs, float *z) {
  for (size_t s = 0; s < sweeps; s++) {
    float *p = z + (size_t)FL_PANEL * range[2 * s];
    row32 x = row_load(p);
    for (size_t i = range[2 * s + 1]; i > 0; i--, cs += 2) {
      const v16 c = v_set(cs[0]), t = v_set(cs[1]);
      const row32 y = row_load(p - FL_PANEL);
      row_store(p, row_fma(t, y, row_scale(c, x)));
      x = row_fnma(t, x, row_scale(c, y));
      p -= FL_PANEL;
    }
    row_store(p, x);
  }
}
