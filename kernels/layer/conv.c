/* conv.c - stride-1 convolution: forward, weight and bias gradient, input gradient (layout of `work`: conv.h).
 *
 * An absent tap is a product with the +0 of the padding: it can only turn an accumulator of -0 into +0, and every output is
 * stored as acc + (+0), so that the result is that of the chain without the tap. */
#include "kernels/gemm/tile.h"
#include "kernels/layer/conv.h"

static void copy_floats(float *to, const float *from, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(to + i, v_load(from + i));
  if (i < n) v_store_n(to + i, n - i, v_load_n(from + i, n - i, 0.0f));
}

/* Planes (h, w) into the middle of planes (hp, wp), `pad` rows above and columns to the left; the rest is zero already. */
static void pad_planes(float *to, const float *from, size_t planes, size_t h, size_t w, size_t hp, size_t wp, size_t pad) {
  for (size_t c = 0; c < planes; c++) {
    for (size_t y = 0; y < h; y++) copy_floats(to + (c * hp + y + pad) * wp + pad, from + (c * h + y) * w, w);
  }
}

/* C (m x positions, rows ldc apart, a multiple of 16) = A (m x k) times the shifted images. */
static void multiply_shifted(size_t m, size_t positions, size_t k, const float *a, const float *image, const uint32_t *off,
                             float *c, size_t ldc) {
  tile_args t = { .k = k, .ars = k, .aks = 1, .off = off, .ldc = ldc, .last = 1 };
  for (size_t n0 = 0; n0 < positions; n0 += TILE_N) {
    const int nv = tile_vectors(positions - n0);
    size_t rows;
    t.b = image + n0;
    t.cols = 16 * (size_t)nv;
    for (size_t i = 0; i < m; i += rows) {
      rows = tile_rows(m - i);
      t.a = a + i * k;
      t.c = c + i * ldc + n0;
      tile_run_shifted((int)rows, nv, &t);
    }
  }
}

void FL_FN(conv_forward)(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, float *work) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), wp = conv_wp(s), taps = conv_taps(s);
  const size_t ldc = conv_round16(oh * wp);
  float *image = work, *out = work + conv_image(s) + taps;
  uint32_t *off = (uint32_t *)(void *)(work + conv_image(s));
  for (size_t c = 0, i = 0; c < s->c; c++) {
    for (size_t ky = 0; ky < s->k; ky++) {
      for (size_t kx = 0; kx < s->k; kx++) off[i++] = (uint32_t)(c * conv_plane(s) + ky * wp + kx);
    }
  }
  memset(image, 0, conv_image(s) * sizeof *image);
  for (size_t i = 0; i < n; i++) {
    pad_planes(image, x + i * s->c * s->h * s->w, s->c, s->h, s->w, s->h + 2 * s->p, wp, s->p);
    multiply_shifted(s->o, oh * wp, taps, w, image, off, out, ldc);
    for (size_t o = 0; o < s->o; o++) {
      const v16 bias = v_set(b[o]);
      for (size_t r = 0; r < oh; r++) {
        const float *from = out + o * ldc + r * wp;
        float *to = y + ((i * s->o + o) * oh + r) * ow;
        size_t j = 0;
        for (; j + 16 <= ow; j += 16) v_store(to + j, v_add(v_load(from + j), bias));
        if (j < ow) v_store_n(to + j, ow - j, v_add(v_load_n(from + j, ow - j, 0.0f), bias));
      }
    }
  }
}

void FL_FN(conv_grad_input)(const fl_conv *s, size_t n, const float *w, const float *dy, float *dx, float *work) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), wp = conv_back_wp(s), hp = s->h + s->k - 1, kk = s->k * s->k;
  const size_t k = s->o * kk, ldc = conv_round16(s->h * wp), image_floats = s->o * hp * wp + CONV_SLACK;
  float *image = work, *turned = image + image_floats + k, *out = turned + s->c * k;
  uint32_t *off = (uint32_t *)(void *)(image + image_floats);
  for (size_t o = 0, i = 0; o < s->o; o++) {
    for (size_t c = 0; c < s->c; c++) memcpy(turned + c * k + o * kk, w + (o * s->c + c) * kk, kk * sizeof *w);
    for (size_t ky = 0; ky < s->k; ky++) {
      for (size_t kx = 0; kx < s->k; kx++) off[i++] = (uint32_t)((o * hp + s->k - 1 - ky) * wp + s->k - 1 - kx);
    }
  }
  memset(image, 0, image_floats * sizeof *image);
  for (size_t i = 0; i < n; i++) {
    pad_planes(image, dy + i * s->o * oh * ow, s->o, oh, ow, hp, wp, s->k - 1 - s->p);
    multiply_shifted(s->c, s->h * wp, k, turned, image, off, out, ldc);
    for (size_t c = 0; c < s->c; c++) {
      for (size_t r = 0; r < s->h; r++) copy_floats(dx + ((i * s->c + c) * s->h + r) * s->w, out + c * ldc + r * wp, s->w);
    }
  }
}

/* The taps of the positions of `rows` output rows from y0, one row of `columns` floats a position, and a one for the bias.
 * Short rows of taps are copied as 8 or 16 floats: what is written too much is overwritten by the next copy. */
static void build_columns(const fl_conv *s, const float *image, size_t y0, size_t rows, float *to) {
  const size_t ow = fl_conv_ow(s), wp = conv_wp(s), plane = conv_plane(s), columns = conv_columns(s), k = s->k;
  for (size_t y = y0; y < y0 + rows; y++) {
    for (size_t x = 0; x < ow; x++, to += columns) {
      float *t = to;
      for (size_t c = 0; c < s->c; c++) {
        const float *from = image + c * plane + y * wp + x;
        if (k <= 8) for (size_t ky = 0; ky < k; ky++, t += k) memcpy(t, from + ky * wp, 8 * sizeof *t);
        else for (size_t ky = 0; ky < k; ky++, t += k) copy_floats(t, from + ky * wp, k);
      }
      *t = 1.0f;
    }
  }
}

/* acc (o x columns) = or += the products of one sample. */
static void sample_gradient(const fl_conv *s, const float *image, const float *dy, float *cols, float *acc, int carry) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), columns = conv_columns(s), chunk = conv_chunk_rows(s);
  for (size_t y = 0; y < oh; y += chunk) {
    const size_t rows = oh - y < chunk ? oh - y : chunk;
    build_columns(s, image, y, rows, cols);
    tile_args t = { .k = rows * ow, .ars = oh * ow, .aks = 1, .ldb = columns, .ldc = columns, .carry = carry || y > 0 };
    for (size_t n0 = 0; n0 < columns; n0 += TILE_N) {
      const int nv = tile_vectors(columns - n0);
      size_t m;
      t.b = cols + n0;
      t.cols = 16 * (size_t)nv;
      for (size_t o = 0; o < s->o; o += m) {
        m = tile_rows(s->o - o);
        t.a = dy + o * oh * ow + y * ow;
        t.c = acc + o * columns + n0;
        tile_run((int)m, nv, &t);
      }
    }
  }
}

static void add_to(float *right, const float *left, size_t n) {
  for (size_t i = 0; i < n; i += 16) v_store(right + i, v_add(v_load(left + i), v_load(right + i)));
}

void FL_FN(conv_grad_weight)(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *db, float *work) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), taps = conv_taps(s), columns = conv_columns(s), size = s->o * columns;
  const size_t piece = fl_sample_piece(oh * ow);
  float *image = work, *cols = image + conv_image(s), *acc = cols + conv_chunk_rows(s) * ow * columns + 32, *level = acc + size;
  memset(image, 0, conv_image(s) * sizeof *image);
  memset(acc, 0, size * sizeof *acc);
  /* Finished partial sums, as a binary counter holds them: the fixed tree. */
  uint64_t have = 0;
  for (size_t i0 = 0; i0 < n; i0 += piece) {
    for (size_t i = i0; i < n && i < i0 + piece; i++) {
      pad_planes(image, x + i * s->c * s->h * s->w, s->c, s->h, s->w, s->h + 2 * s->p, conv_wp(s), s->p);
      sample_gradient(s, image, dy + i * s->o * oh * ow, cols, acc, i > i0);
    }
    size_t l = 0;
    for (; have >> l & 1; l++) add_to(acc, level + l * size, size);
    have += 1;
    memcpy(level + l * size, acc, size * sizeof *acc);
  }
  int first = 1;
  for (size_t l = 0; have >> l; l++) {
    if (!(have >> l & 1)) continue;
    if (first) memcpy(acc, level + l * size, size * sizeof *acc);
    else add_to(acc, level + l * size, size);
    first = 0;
  }
  for (size_t o = 0; o < s->o; o++) {
    for (size_t t = 0; t < taps; t++) dw[o * taps + t] = acc[o * columns + t] + 0.0f;
    db[o] = acc[o * columns + taps] + 0.0f;
  }
}
