/* pool.c - 2x2 maximum pooling with stride 2. An odd last row or column takes no part and gets a gradient of +0.
 *
 * In planes of even sides whose rows are 2, 4, 8 or 16 places the next sixteen windows are the next 64 places: v_even and v_odd
 * deal out what is left and right in a window, and blocks of as many as a row has windows what is above and below. Of other
 * planes a vector has windows of one row. */
#include "kernels/layer/pool.h"
#include "kernels/simd/blocks.h"

static inline size_t part(size_t n, size_t first) { return n <= first ? 0 : n - first < 16 ? n - first : 16; }

/* `total` windows, rows of `ow`. */
FL_INLINE void pool_dense(const size_t ow, size_t total, const float *x, float *y, uint8_t *at) {
  for (size_t i = 0; i < total; i += 16, x += 64) {
    const size_t lanes = total - i < 16 ? total - i : 16, n = 4 * lanes;
    v16 a, b, c, d;
    if (lanes == 16) a = v_load(x), b = v_load(x + 16), c = v_load(x + 32), d = v_load(x + 48);
    else a = v_load_n(x, part(n, 0), 0.0f), b = v_load_n(x + 16, part(n, 16), 0.0f), c = v_load_n(x + 32, part(n, 32), 0.0f),
         d = v_load_n(x + 48, part(n, 48), 0.0f);
    const v16 even0 = v_even(a, b), odd0 = v_odd(a, b), even1 = v_even(c, d), odd1 = v_odd(c, d);
    const best16 best = best_of(v_even_of(ow, even0, even1), v_even_of(ow, odd0, odd1), v_odd_of(ow, even0, even1),
                                v_odd_of(ow, odd0, odd1));
    v_put(y + i, lanes, best.value);
    put_places(at + i, lanes, best.at);
  }
}

static void pool_rows(size_t planes, size_t h, size_t w, const float *x, float *y, uint8_t *at) {
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
        /* Sixteen at once where there is room: what is too much is overwritten by the next row. */
        const size_t to = (c * oh + r) * ow + j, put = to + 16 <= total ? 16 : lanes;
        v_put(y + to, put, b.value);
        put_places(at + to, put, b.at);
      }
    }
  }
}

void FL_FN(maxpool2)(size_t planes, size_t h, size_t w, const float *x, float *y, uint8_t *at) {
  const size_t windows = planes * (h / 2) * (w / 2);
  switch (h % 2 ? 0 : w) {
    case 2: pool_dense(1, windows, x, y, at); break;
    case 4: pool_dense(2, windows, x, y, at); break;
    case 8: pool_dense(4, windows, x, y, at); break;
    case 16: pool_dense(8, windows, x, y, at); break;
    default: pool_rows(planes, h, w, x, y, at);
  }
}

/* Sixteen gradients where there were maxima at place k of their windows, and +0 elsewhere. */
typedef struct { v16 of[4]; } four16;
static inline four16 four_of(const float *dy, const uint8_t *at, size_t lanes, size_t there) {
  const v16 d = v_get(dy, lanes);
  const u16 k = get_places(at, lanes, there);
  return (four16){ { v_keep(u_eq(k, u_set(0)), d), v_keep(u_eq(k, u_set(1)), d), v_keep(u_eq(k, u_set(2)), d),
                     v_keep(u_eq(k, u_set(3)), d) } };
}

FL_INLINE void spread_dense(const size_t ow, size_t total, const float *dy, const uint8_t *at, float *dx) {
  for (size_t i = 0; i < total; i += 16, dx += 64) {
    const size_t lanes = total - i < 16 ? total - i : 16, n = 4 * lanes;
    const four16 d = four_of(dy + i, at + i, lanes, lanes);
    const v16 even0 = v_zip_lo_of(ow, d.of[0], d.of[2]), odd0 = v_zip_lo_of(ow, d.of[1], d.of[3]);
    const v16 even1 = v_zip_hi_of(ow, d.of[0], d.of[2]), odd1 = v_zip_hi_of(ow, d.of[1], d.of[3]);
    const v16 out[4] = { v_zip_lo(even0, odd0), v_zip_hi(even0, odd0), v_zip_lo(even1, odd1), v_zip_hi(even1, odd1) };
    if (lanes == 16) for (size_t q = 0; q < 4; q++) v_store(dx + 16 * q, out[q]);
    else for (size_t q = 0; 16 * q < n; q++) v_store_n(dx + 16 * q, part(n, 16 * q), out[q]);
  }
}

static void spread_rows(size_t planes, size_t h, size_t w, const float *dy, const uint8_t *at, float *dx) {
  const size_t oh = h / 2, ow = w / 2, total = planes * oh * ow;
  const float *end = dx + planes * h * w;
  for (size_t c = 0; c < planes; c++) {
    float *plane = dx + c * h * w;
    for (size_t r = 0; r < oh; r++) {
      float *top = plane + 2 * r * w, *low = top + w;
      for (size_t j = 0; j < ow; j += 16) {
        const size_t lanes = ow - j < 16 ? ow - j : 16, from = (c * oh + r) * ow + j;
        const four16 d = four_of(dy + from, at + from, lanes, total - from);
        put_pair(top + 2 * j, 2 * lanes, j ? low : end, v_zip_lo(d.of[0], d.of[1]), v_zip_hi(d.of[0], d.of[1]));
        put_pair(low + 2 * j, 2 * lanes, end, v_zip_lo(d.of[2], d.of[3]), v_zip_hi(d.of[2], d.of[3]));
      }
      if (w % 2) top[w - 1] = low[w - 1] = 0.0f;
    }
    if (h % 2) memset(plane + (h - 1) * w, 0, w * sizeof *plane);
  }
}

void FL_FN(maxpool2_back)(size_t planes, size_t h, size_t w, const float *dy, const uint8_t *at, float *dx) {
  const size_t windows = planes * (h / 2) * (w / 2);
  switch (h % 2 ? 0 : w) {
    case 2: spread_dense(1, windows, dy, at, dx); break;
    case 4: spread_dense(2, windows, dy, at, dx); break;
    case 8: spread_dense(4, windows, dy, at, dx); break;
    case 16: spread_dense(8, windows, dy, at, dx); break;
    default: spread_rows(planes, h, w, dy, at, dx);
  }
}
