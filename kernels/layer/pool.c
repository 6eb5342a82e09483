/* pool.c - 2x2 maximum pooling with stride 2. An odd last row or column takes no part and gets a gradient of +0. */
#include "kernels/layer/pool.h"

void FL_FN(maxpool2)(size_t planes, size_t h, size_t w, const float *x, float *y, uint8_t *at) {
  const size_t oh = h / 2, ow = w / 2, total = planes * oh * ow;
  for (size_t c = 0; c < planes; c++) {
    for (size_t r = 0; r < oh; r++) {
      const float *top = x + (c * h + 2 * r) * w, *low = top + w;
      for (size_t j = 0; j < ow; j += 16) {
        const size_t lanes = ow - j < 16 ? ow - j : 16;
        v16 t0, t1, l0, l1;
        load_pair(top + 2 * j, 2 * lanes, &t0, &t1);
        load_pair(low + 2 * j, 2 * lanes, &l0, &l1);
        const best16 b = best_of(v_even(t0, t1), v_odd(t0, t1), v_even(l0, l1), v_odd(l0, l1));
        const size_t to = (c * oh + r) * ow + j;
        v_store_n(y + to, lanes, b.value);
        /* Sixteen at once where there is room: what is too much is overwritten by the next row. */
        put_places(at + to, to + 16 <= total ? 16 : lanes, b.at);
      }
    }
  }
}

void FL_FN(maxpool2_back)(size_t planes, size_t h, size_t w, const float *dy, const uint8_t *at, float *dx) {
  const size_t oh = h / 2, ow = w / 2, total = planes * oh * ow;
  for (size_t c = 0; c < planes; c++) {
    float *plane = dx + c * h * w;
    for (size_t r = 0; r < oh; r++) {
      float *top = plane + 2 * r * w, *low = top + w;
      for (size_t j = 0; j < ow; j += 16) {
        const size_t lanes = ow - j < 16 ? ow - j : 16, from = (c * oh + r) * ow + j;
        uint8_t bytes[16] = { 0 };
        uint32_t index[16];
        if (from + 16 <= total) memcpy(bytes, at + from, 16);
        else memcpy(bytes, at + from, lanes);
        for (int i = 0; i < 16; i++) index[i] = bytes[i];
        const v16 d = v_load_n(dy + from, lanes, 0.0f), zero = v_zero();
        const u16 k = u_load(index);
        const v16 d0 = v_sel(u_eq(k, u_set(0)), d, zero), d1 = v_sel(u_eq(k, u_set(1)), d, zero);
        const v16 d2 = v_sel(u_eq(k, u_set(2)), d, zero), d3 = v_sel(u_eq(k, u_set(3)), d, zero);
        store_pair(top + 2 * j, 2 * lanes, v_zip_lo(d0, d1), v_zip_hi(d0, d1));
        store_pair(low + 2 * j, 2 * lanes, v_zip_lo(d2, d3), v_zip_hi(d2, d3));
      }
      if (w % 2) top[w - 1] = low[w - 1] = 0.0f;
    }
    if (h % 2) memset(plane + (h - 1) * w, 0, w * sizeof *plane);
  }
}
