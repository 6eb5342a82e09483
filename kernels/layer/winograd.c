/* winograd.c - 3x3 convolution by winograd.h: forward and input gradient, which is a forward convolution with the kernel turned
 * round and the channels exchanged.
 *
 * A block of tiles: its input is turned to (y, x, channel), transformed with sixteen channels in lanes to 36 matrices V (tile,
 * channel in). For each panel of TILE_N channels out, 36 products with the matrices U (channel in, channel out) of the kernel
 * give (tile, channel out), which are transformed to the output, and turned back. U is made once where there are several blocks,
 * else panel by panel, so that it stays in the caches. */
#include "kernels/layer/winograd.h"

WINO_TILE(wino_input, 6, 6)
WINO_TILE(wino_kernel, 3, 6)
WINO_TILE(wino_output, 6, 4)

/* U of a panel, channels out j0.., row below row, matrix below matrix. w: (o, c, 3, 3). Forward rows are c and lanes o; back,
 * rows are o and lanes c, and the kernel is turned round. */
static void kernel_matrices(const fl_conv *s, const wino_sizes *l, int back, const float *w, size_t j0, size_t width, float *u) {
  const size_t apart = back ? 9 : 9 * s->c;
  for (size_t row = 0; row < l->in; row++, u += width) {
    for (size_t j = j0; j < j0 + width; j += 16) {
      float taps[16 * 16];
      v16 to[6][6];
      const size_t skip = row + 1 == l->in && j + 16 == l->out ? 7 : 0; /* do not read beyond the end */
      v_turn(taps, 16, w + (back ? row * s->c + j : j * s->c + row) * 9 - skip, apart, 16);
      if (back) wino_kernel_tile(taps + (skip + 8) * 16, -48, -16, to);
      else wino_kernel_tile(taps + skip * 16, 48, 16, to);
      for (size_t i = 0; i < 36; i++) v_store(u + i * l->in * width + j - j0, to[i / 6][i % 6]);
    }
  }
}

/* Rows of tiles r0.. of one sample to V from tile t on. Rows of the stage outside the image are zero. */
static void input_tiles(const fl_conv *s, const wino_sizes *l, const float *x, size_t r0, size_t rows, float *stage, float *v,
                        size_t t) {
  const size_t first = r0 ? 4 * r0 - 1 : 0, end = 4 * (r0 + rows) + 1 < s->h ? 4 * (r0 + rows) + 1 : s->h;
  const size_t top = r0 ? 0 : 1, row = l->wp * l->in, below = top + end - first;
  if (top) memset(stage, 0, row * sizeof *stage);
  if (below < 4 * rows + 2) memset(stage + below * row, 0, (4 * rows + 2 - below) * row * sizeof *stage);
  turn_planes(x + first * s->w, l->in, s->h * s->w, end - first, s->w, stage, top, 1, l->wp, l->in);
  for (size_t r = 0; r < rows; r++) {
    for (size_t q = 0; q < l->tw; q++, t++) {
      for (size_t c = 0; c < l->in; c += 16) {
        v16 to[6][6];
        float *place = v + t * (l->in + WINO_GAP) + c;
        wino_input_tile(stage + 4 * r * row + 4 * q * l->in + c, row, l->in, to);
        TILE_UNROLL
        for (size_t i = 0; i < 36; i++) v_store(place + i * l->in_step, to[i / 6][i % 6]);
      }
    }
  }
}

/* All tiles, one panel of channels out. */
static void products(const wino_sizes *l, size_t tiles, size_t width, const float *u, const float *v, float *m) {
  tile_args t = { .k = l->in, .ars = l->in + WINO_GAP, .aks = 1, .ldb = width, .ldc = TILE_N, .cols = width };
  const int nv = tile_vectors(width);
  for (size_t p = 0; p < 36; p++, u += l->in * width, v += l->in_step, m += l->out_step) {
    size_t rows;
    t.b = u;
    for (size_t i = 0; i < tiles; i += rows) {
      rows = tile_even(tiles - i, tile_most(nv));
      t.a = v + i * t.ars;
      t.c = m + i * TILE_N;
      tile_run((int)rows, nv, &t);
    }
  }
}

/* Tiles from t on to rows of tiles r0.. of one sample of the output: of the panel's channels, whose first is y's. */
static void output_tiles(const fl_conv *s, const wino_sizes *l, const float *m, size_t t, size_t r0, size_t rows, size_t width,
                         const float *bias, float *turned, float *y) {
  const size_t step = l->out_step, plane = s->h * s->w;
  const size_t high = 4 * (r0 + rows) < s->h ? 4 * rows : s->h - 4 * r0, places = high * s->w;
  for (size_t r = 0; r < rows; r++) {
    for (size_t q = 0; q < l->tw; q++, t++) {
      const size_t h = high - 4 * r < 4 ? high - 4 * r : 4, w = s->w - 4 * q < 4 ? s->w - 4 * q : 4;
      for (size_t c = 0; c < width; c += 16) {
        v16 to[4][4];
        const v16 add = bias ? v_load(bias + c) : v_zero();
        float *place = turned + (4 * r * s->w + 4 * q) * width + c;
        wino_output_tile(m + t * TILE_N + c, 6 * (ptrdiff_t)step, (ptrdiff_t)step, to);
        for (size_t i = 0; i < h; i++) {
          for (size_t j = 0; j < w; j++) v_store(place + (i * s->w + j) * width, v_add(to[i][j], add));
        }
      }
    }
  }
  for (size_t c = 0; c < width; c += 16) {
    float *to = y + c * plane + 4 * r0 * s->w;
    for (size_t j = 0; j < places; j += 16) {
      const size_t lanes = places - j < 16 ? places - j : 16;
      turn_part(lanes, 16, turned + j * width + c, width, to + j, plane, lanes);
    }
  }
}

static void convolve(const fl_conv *s, size_t n, int back, const float *x, const float *w, const float *b, float *y,
                     float *work) {
  const wino_sizes l = wino_sizes_of(s, n, back);
  const size_t plane = s->h * s->w;
  float *stage = work, *turned = stage + l.stage, *u = turned + l.turned, *v = u + l.u, *m = v + l.v;
  memset(stage, 0, l.stage * sizeof *stage);
  for (size_t j = 0; l.blocks > 1 && j < l.out; j += TILE_N)
    kernel_matrices(s, &l, back, w, j, l.out - j < TILE_N ? l.out - j : TILE_N, u + 36 * l.in * j);
  for (size_t i = 0; i < n; i += l.samples) {
    const size_t samples = n - i < l.samples ? n - i : l.samples;
    for (size_t r = 0; r < l.th; r += l.rows) {
      const size_t rows = l.th - r < l.rows ? l.th - r : l.rows, each = rows * l.tw;
      for (size_t k = 0; k < samples; k++) input_tiles(s, &l, x + (i + k) * l.in * plane, r, rows, stage, v, k * each);
      for (size_t j = 0; j < l.out; j += TILE_N) {
        const size_t width = l.out - j < TILE_N ? l.out - j : TILE_N;
        if (l.blocks == 1) kernel_matrices(s, &l, back, w, j, width, u);
        products(&l, samples * each, width, l.blocks == 1 ? u : u + 36 * l.in * j, v, m);
        for (size_t k = 0; k < samples; k++)
          output_tiles(s, &l, m, k * each, r, rows, width, b ? b + j : NULL, turned, y + ((i + k) * l.out + j) * plane);
      }
    }
  }
}

void FL_FN(winograd_forward)(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, float *work) {
  convolve(s, n, 0, x, w, b, y, work);
}

void FL_FN(winograd_grad_input)(const fl_conv *s, size_t n, const float *w, const float *dy, float *dx, float *work) {
  convolve(s, n, 1, dy, w, NULL, dx, work);
}
