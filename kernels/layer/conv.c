/* conv.c - convolution: forward, alone and with ReLU and pooling; input gradient (layout of `work`: conv.h). What is here slides
 * over one padded sample; with more than few channels, and for strides and groups, packed.h does it. Weight and bias gradient:
 * conv_weight.c; the gradients with pooling: conv_pool_back.c.
 *
 * An absent tap is a product with the +0 of the padding: it can only turn an accumulator of -0 into +0, and every output is
 * stored as acc + (+0), so that the result is that of the chain without the tap. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/conv.h"
#include "kernels/layer/image.h"
#include "kernels/layer/packed.h"
#include "kernels/layer/pool.h"

static void add_bias(float *to, const float *from, size_t n, float bias) {
  const v16 b = v_set(bias);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(to + i, v_add(v_load(from + i), b));
  if (i < n) v_store_n(to + i, n - i, v_add(v_load_n(from + i, n - i, 0.0f), b));
}

/* out[m][y][x] = sum over planes, ky, kx of a[m][plane][ky][kx] times a padded image, shifted by off[ky*k + kx]. */
typedef struct {
  size_t m, planes, k;          /* k: side of the kernel */
  const float *a;
  size_t plane, wp;             /* of the padded image */
  const uint32_t *off;
  size_t rows, cols;            /* of the output */
  size_t top, h;                /* the image has h rows that are not padding, from row `top` */
  int turned;                   /* row ky of the kernel reads image row y + k-1-ky instead of y + ky */
} window;

/* The rows of the kernel that meet the image at output row y. */
static void valid_rows(const window *d, size_t y, size_t *from, size_t *count) {
  const size_t lo = d->top > y ? d->top - y : 0, end = d->top + d->h > y ? d->top + d->h - y : 0;
  const size_t hi = end < d->k ? end : d->k;
  *count = hi > lo ? hi - lo : 0;
  *from = d->turned ? d->k - hi : lo;
}

/* Row by row costs a part of a vector a row, but leaves out the taps above and below the image. Not where k is cut: a cut
 * counts the absent taps. */
static int by_rows(const window *d) {
  size_t sum = 0;
  if (d->planes * d->k * d->k > FL_GEMM_PIECE) return 0;
  for (size_t y = 0; y < d->rows; y++) {
    size_t from, count;
    valid_rows(d, y, &from, &count);
    sum += count;
  }
  return 8 * sum * (conv_round16(d->cols) / 16) < 7 * d->k * (conv_round16(d->rows * d->wp) / 16);
}

/* Taps k0 to k1 onto the tile: the end of a plane, whole planes, the beginning of a plane. */
static void run_taps(const window *d, tile_args *t, int rows, int nv, size_t k0, size_t k1) {
  const size_t kk = d->k * d->k;
  const float *a = t->a, *b = t->b;
  t->carry = 0;
  for (size_t k = k0; k < k1; t->carry = 1) {
    const size_t tap = k % kk, left = k1 - k;
    const int whole = tap == 0 && left >= kk;
    t->groups = whole ? left / kk : 1;
    t->k = whole ? kk : left < kk - tap ? left : kk - tap;
    t->off = d->off + tap;
    t->a = a + k;
    t->b = b + k / kk * d->plane;
    tile_run_shifted(rows, nv, t);
    k += t->groups * t->k;
  }
  t->a = a;
  t->b = b;
}

/* One tile where k is cut. Not inlined: its stack is only for large k. */
static __attribute__((noinline)) void tile_cut(const window *d, const tile_args *whole, size_t rows, int nv) {
  float level[PIECES_LEVELS * TILE_M * TILE_N], part[TILE_M * TILE_N];
  const size_t k = d->planes * d->k * d->k;
  piece_sums sums = { level, rows * TILE_N, 0 };
  tile_args t = *whole;
  t.c = part;
  t.ldc = TILE_N;
  t.cols = 16 * (size_t)nv;
  t.last = 0;
  for (size_t k0 = 0; k0 < k; k0 += FL_GEMM_PIECE) {
    run_taps(d, &t, (int)rows, nv, k0, k - k0 < FL_GEMM_PIECE ? k : k0 + FL_GEMM_PIECE);
    pieces_push(&sums, part);
  }
  pieces_store(&sums, rows, whole->cols, whole->c, whole->ldc);
}

static void window_tiles(const window *d, tile_args *t, size_t positions, const float *image, float *c) {
  const float *a = t->a;
  const int cut = d->planes * d->k * d->k > FL_GEMM_PIECE;
  for (size_t n0 = 0; n0 < positions; n0 += TILE_N) {
    const size_t left = positions - n0;
    const int nv = tile_vectors(left);
    size_t rows;
    t->b = image + n0;
    t->cols = left < TILE_N ? left : TILE_N;
    for (size_t i = 0; i < d->m; i += rows) {
      rows = tile_rows(d->m - i);
      t->a = a + i * t->ars;
      t->c = c + i * t->ldc + n0;
      if (cut) tile_cut(d, t, rows, nv);
      else tile_run_shifted((int)rows, nv, t);
    }
  }
}

/* m planes of `rows` rows, a row `cols` floats when by rows; else wp, of which the last are of no use, and a plane is rounded up
 * to 16. */
static void slide(const window *d, int rowwise, const float *image, float *out) {
  const size_t kk = d->k * d->k;
  tile_args t = { .k = kk, .a = d->a, .ars = d->planes * kk, .off = d->off, .groups = d->planes, .agroup = kk, .bgroup = d->plane,
                  .last = 1 };
  if (!rowwise) {
    t.ldc = conv_round16(d->rows * d->wp);
    window_tiles(d, &t, t.ldc, image, out);
    return;
  }
  t.ldc = d->rows * d->cols;
  for (size_t y = 0; y < d->rows; y++) {
    size_t from, count;
    valid_rows(d, y, &from, &count);
    t.k = count * d->k;
    t.a = d->a + from * d->k;
    t.off = d->off + from * d->k;
    window_tiles(d, &t, d->cols, image + y * d->wp, out + y * d->cols);
  }
}

/* The same into planes of rows x cols, through `flat` when not by rows. A bias, one a plane, is added after the chain. */
static void slide_planes(const window *d, int rowwise, const float *image, const float *bias, float *flat, float *out) {
  const size_t plane = d->rows * d->cols, from = conv_round16(d->rows * d->wp);
  slide(d, rowwise, image, rowwise ? out : flat);
  for (size_t i = 0; i < d->m; i++, out += plane) {
    for (size_t y = 0; !rowwise && y < d->rows; y++) {
      if (bias) add_bias(out + y * d->cols, flat + i * from + y * d->wp, d->cols, bias[i]);
      else copy_floats(out + y * d->cols, flat + i * from + y * d->wp, d->cols);
    }
    if (rowwise && bias) add_bias(out, out, plane, bias[i]);
  }
}

static void tap_offsets(size_t k, size_t wp, uint32_t *off) {
  for (size_t i = 0; i < k * k; i++) off[i] = (uint32_t)(i / k * wp + i % k);
}

void FL_FN(conv_forward)(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, float *work) {
  if (fl_conv_winograd(s)) {
    FL_FN(winograd_forward)(s, n, x, w, b, y, work);
    return;
  }
  if (!conv_few(s)) {
    packed_forward(s, n, x, w, b, y, work);
    return;
  }
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), wp = conv_wp(s), positions = oh * ow;
  float *image = work, *flat = work + conv_image(s) + s->k * s->k;
  uint32_t *off = (uint32_t *)(void *)(work + conv_image(s));
  tap_offsets(s->k, wp, off);
  memset(image, 0, conv_image(s) * sizeof *image);
  const window d = { s->o, s->c, s->k, w, conv_plane(s), wp, off, oh, ow, s->p, s->h, 0 };
  const int rowwise = by_rows(&d);
  for (size_t i = 0; i < n; i++, y += s->o * positions) {
    pad_planes(image, x + i * s->c * s->h * s->w, s->c, s->h, s->w, s->h + 2 * s->p, wp, s->p);
    slide_planes(&d, rowwise, image, b, flat, y);
  }
}

/* What pooling says of a window: the place of its maximum; 4 where that is not positive, so that nothing goes back; 8 more where
 * it is NaN. */
static u16 window_code(best16 b) {
  const u16 dead = u_sel(v_gt(b.value, v_zero()), b.at, u_set(4));
  return u_sel(v_eq(b.value, b.value), dead, u_add(b.at, u_set(8)));
}

static v16 relu16(v16 x) { return v_sel(v_lt(x, v_zero()), v_zero(), x); }

/* 2x2 windows of a plane of rows `ld` floats apart; 32 floats behind it may be read. */
static void pool_plane(size_t oh, size_t ow, const float *x, size_t ld, float bias, float *y, uint8_t *at) {
  const v16 add = v_set(bias);
  for (size_t r = 0; r < oh; r++, x += 2 * ld) {
    for (size_t j = 0; j < ow; j += 16) {
      const size_t lanes = ow - j < 16 ? ow - j : 16;
      const float *top = x + 2 * j, *low = top + ld;
      const v16 t0 = v_add(v_load(top), add), t1 = v_add(v_load(top + 16), add);
      const v16 l0 = v_add(v_load(low), add), l1 = v_add(v_load(low + 16), add);
      const best16 b = best_of(v_even(t0, t1), v_odd(t0, t1), v_even(l0, l1), v_odd(l0, l1));
      v_store_n(y + r * ow + j, lanes, relu16(b.value));
      put_places(at + r * ow + j, lanes, window_code(b));
    }
  }
}

/* out[position][o] = the chain of the taps, k ascending; the weights are packed (tap, o). */
static void across(const fl_conv *s, const float *image, const float *packed, const uint32_t *off, float *out) {
  const size_t ow = fl_conv_ow(s), o16 = conv_round16(s->o), kk = s->k * s->k;
  tile_args t = { .k = kk, .ars = 1, .ldb = o16, .off = off, .groups = s->c, .agroup = conv_plane(s), .bgroup = kk * o16,
                  .ldc = o16, .last = 1 };
  for (size_t n0 = 0; n0 < o16; n0 += TILE_N) {
    const int nv = tile_vectors(o16 - n0);
    t.b = packed + n0;
    t.cols = 16 * (size_t)nv;
    for (size_t y = 0; y < fl_conv_oh(s); y++) {
      size_t rows;
      for (size_t x = 0; x < ow; x += rows) {
        rows = tile_even(ow - x, tile_most(nv));
        t.a = image + y * conv_wp(s) + x;
        t.c = out + (y * ow + x) * o16 + n0;
        tile_run_moving((int)rows, nv, &t);
      }
    }
  }
}

/* Windows of (position, o) into values and codes (window, o), floats of their bits. */
static void pool_across(const fl_conv *s, const float *x, const float *bias, float *value, float *code) {
  const size_t oh = fl_conv_oh(s) / 2, ow = fl_conv_ow(s) / 2, o16 = conv_round16(s->o), row = fl_conv_ow(s) * o16;
  for (size_t o = 0; o < s->o; o += 16) {
    const v16 add = s->o - o < 16 ? v_load_n(bias + o, s->o - o, 0.0f) : v_load(bias + o);
    for (size_t r = 0; r < oh; r++) {
      for (size_t j = 0; j < ow; j++) {
        const float *p = x + 2 * r * row + 2 * j * o16 + o;
        const best16 b = best_of(v_add(v_load(p), add), v_add(v_load(p + o16), add), v_add(v_load(p + row), add),
                                 v_add(v_load(p + row + o16), add));
        v_store(value + (r * ow + j) * o16 + o, relu16(b.value));
        v_store(code + (r * ow + j) * o16 + o, v_from_u(window_code(b)));
      }
    }
  }
}

/* (window, o) to (o, window). */
static void turn_windows(const fl_conv *s, const float *value, const float *code, float *y, uint8_t *at) {
  const size_t windows = conv_windows(s), o16 = conv_round16(s->o);
  float square[16 * 16];
  for (size_t o = 0; o < s->o; o += 16) {
    const size_t rows = s->o - o < 16 ? s->o - o : 16;
    for (size_t j = 0; j < windows; j += 16) {
      const size_t lanes = windows - j < 16 ? windows - j : 16, from = j * o16 + o;
      v_turn(square, 16, value + from, o16, lanes);
      for (size_t i = 0; i < rows; i++) v_store_n(y + (o + i) * windows + j, lanes, v_load(square + 16 * i));
      v_turn(square, 16, code + from, o16, lanes);
      for (size_t i = 0; i < rows; i++) put_places(at + (o + i) * windows + j, lanes, v_bits(v_load(square + 16 * i)));
    }
  }
}

static void pack_across(const fl_conv *s, const float *w, float *packed) {
  const size_t taps = conv_taps(s), o16 = conv_round16(s->o);
  for (size_t i = 0; i < taps; i++) {
    for (size_t o = 0; o < o16; o++) packed[i * o16 + o] = o < s->o ? w[o * taps + i] : 0.0f;
  }
}

void FL_FN(conv_pool)(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, uint8_t *at,
                      float *work) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), wp = conv_wp(s), windows = conv_windows(s), o16 = conv_round16(s->o);
  float *image = work, *packed = image + conv_round16(conv_image(s)) + conv_round16(s->k * s->k);
  float *out = conv_across(s) ? packed + conv_taps(s) * o16 : packed, *value = out + oh * ow * o16, *code = value + windows * o16;
  uint32_t *off = (uint32_t *)(void *)(image + conv_round16(conv_image(s)));
  const window d = { s->o, s->c, s->k, w, conv_plane(s), wp, off, oh, ow, s->p, s->h, 0 };
  const int rowwise = by_rows(&d);
  const size_t ld = rowwise ? ow : wp, plane = rowwise ? oh * ow : conv_round16(oh * wp);
  tap_offsets(s->k, wp, off);
  memset(image, 0, conv_image(s) * sizeof *image);
  if (conv_across(s)) pack_across(s, w, packed);
  for (size_t i = 0; i < n; i++, y += s->o * windows, at += s->o * windows) {
    pad_planes(image, x + i * s->c * s->h * s->w, s->c, s->h, s->w, s->h + 2 * s->p, wp, s->p);
    if (conv_across(s)) {
      across(s, image, packed, off, out);
      pool_across(s, out, b, value, code);
      turn_windows(s, value, code, y, at);
    } else {
      slide(&d, rowwise, image, out);
      for (size_t o = 0; o < s->o; o++) pool_plane(oh / 2, ow / 2, out + o * plane, ld, b[o], y + o * windows, at + o * windows);
    }
  }
}

void FL_FN(conv_grad_input)(const fl_conv *s, size_t n, const float *w, const float *dy, float *dx, float *work) {
  if (fl_conv_winograd(s)) {
    FL_FN(winograd_grad_input)(s, n, w, dy, dx, work);
    return;
  }
  if (!conv_few(s)) {
    packed_grad_input(s, n, w, dy, dx, work);
    return;
  }
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), wp = conv_back_wp(s), hp = s->h + s->k - 1, kk = s->k * s->k;
  const size_t image_floats = s->o * hp * wp + CONV_SLACK, pad = s->k - 1 - s->p;
  float *image = work, *turned = image + image_floats + kk, *flat = turned + s->c * s->o * kk;
  uint32_t *off = (uint32_t *)(void *)(image + image_floats);
  for (size_t i = 0; i < kk; i++) off[i] = (uint32_t)((s->k - 1 - i / s->k) * wp + s->k - 1 - i % s->k);
  for (size_t o = 0; o < s->o; o++) {
    for (size_t c = 0; c < s->c; c++) memcpy(turned + (c * s->o + o) * kk, w + (o * s->c + c) * kk, kk * sizeof *w);
  }
  memset(image, 0, image_floats * sizeof *image);
  const window d = { s->c, s->o, s->k, turned, hp * wp, wp, off, s->h, s->w, pad, oh, 1 };
  const int rowwise = by_rows(&d);
  for (size_t i = 0; i < n; i++) {
    pad_planes(image, dy + i * s->o * oh * ow, s->o, oh, ow, hp, wp, pad);
    slide_planes(&d, rowwise, image, NULL, flat, dx + i * s->c * s->h * s->w);
  }
}
