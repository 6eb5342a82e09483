/* packed.h - convolutions of any shape as products whose right factor is packed as it is needed: forward and input gradient
 * (conv.c). Lanes are neighbouring columns of one output row, of many samples one after the other, so that narrow images fill
 * vectors too; taps above and below the image are left out, those beside it are the +0 of a padded copy.
 *
 * With a stride s the padded copy holds of a row first the columns 0, s, 2s .., then 1, s+1 .., so that the columns of a tap are
 * neighbours. The input gradient goes by the s*s places (y mod s, x mod s): the taps of each are every s-th of the kernel. */
#ifndef FL_LAYER_PACKED_H
#define FL_LAYER_PACKED_H
#include "kernels/gemm/pieces.h"
#include "kernels/layer/conv.h"
#include "kernels/layer/points.h"

typedef struct {
  size_t m, planes;             /* rows of the left factor; planes of the source */
  const float *a;               /* row i, plane g, tap u of those below: a[i*ars + g*nt + u] */
  size_t ars;
  size_t ny, nx, nt;            /* taps: rows, columns, both */
  ptrdiff_t row, row_tap;       /* tap row t of output row r: source row row + r*row_step + t*row_tap */
  size_t row_step;
  ptrdiff_t col, col_tap;       /* tap column t: t%parts*part + col + t/parts*col_tap of a padded row */
  size_t parts, part;
  size_t full_y, full_x, full_step, kw, kk; /* tap (t, u) is tap (full_y + t*full_step)*kw + full_x + u*full_step of kk */
  const float *image;           /* source rows `ld` apart, planes h*ld, samples `sample` */
  size_t sample, h, ld;
  size_t samples, rows, cols;   /* of the output, of this place */
  float *out;                   /* sample, plane, row, column */
  size_t out_sample, out_plane, out_row;
  const float *bias;            /* NULL: none */
  float *pack, *c, *level;
  uint32_t *off, *tap;          /* rows of the pack; taps of this output row, in a plane of the source */
  const fl_conv *points;        /* of 1x1 kernels: the shape whose points are the columns of the one row; else NULL */
} lattice;

/* Up to 16 lanes of the panel from lane `first` on: where they are in the source, in the output. */
typedef struct { size_t first, lane, from, to, count; } packed_run;

/* The lanes of a panel from lane l0 on, by runs of one sample. */
static size_t packed_runs(const lattice *d, size_t l0, size_t lanes, packed_run *run) {
  size_t n = 0;
  for (size_t l = 0; l < lanes; n++) {
    const size_t sample = (l0 + l) / d->cols, j = (l0 + l) % d->cols;
    size_t at = j, end = d->cols;
    if (d->points && fl_conv_stride(d->points) > 1) {
      const size_t step = fl_conv_stride(d->points), ow = fl_conv_ow(d->points);
      at = (j / ow * d->points->w + j % ow) * step;
      end = j / ow * ow + ow;
    }
    size_t count = end - j < 16 ? end - j : 16;
    if (count > lanes - l) count = lanes - l;
    run[n] = (packed_run){ l0, l, sample * d->sample + at, sample * d->out_sample + j, count };
    l += count;
  }
  return n;
}

/* What the product reads for taps u0..u1 of planes g0..g1: a row of TILE_N floats each. Sixteen are written at a time: what is
 * too much is overwritten by what follows. */
TILE_INLINE void packed_fill_runs(const lattice *d, size_t g0, size_t g1, size_t u0, size_t u1, const packed_run *run,
                                  const size_t runs) {
  const size_t plane = d->h * d->ld, ahead = (PACKED_AHEAD / (u1 - u0) + 1) * plane;    /* lines too far apart to be guessed */
  const uint32_t *tap = d->tap;
  float *to = d->pack;
  for (size_t g = g0; g < g1; g++) {
    const float *image = d->image + g * plane;
    for (size_t u = u0; u < u1; u++, to += TILE_N) {
      const float *from = image + tap[u];
      for (size_t i = 0; i < runs; i++) {
        __builtin_prefetch(from + ahead + run[i].from);
        v_store(to + run[i].lane, v_load(from + run[i].from));
      }
    }
  }
}

/* Points of planes g0..g1; those of the next panel are fetched meanwhile, which lie in as many lines that nobody guesses. */
TILE_INLINE void packed_fill_points(const lattice *d, size_t g0, size_t g1, const packed_run *run, size_t runs,
                                    const size_t step) {
  packed_run next[TILE_N];
  const size_t lanes = d->samples * d->cols, l0 = run->first + TILE_N;
  const size_t nexts = l0 < lanes ? packed_runs(d, l0, lanes - l0 < TILE_N ? lanes - l0 : TILE_N, next) : 0;
  float *to = d->pack;
  for (size_t g = g0; g < g1; g++, to += TILE_N) {
    const float *image = d->image + g * d->ld;
    for (size_t i = 0; i < runs; i++) points_get(to + run[i].lane, image + run[i].from, run[i].count, step);
    for (size_t i = 0; i < nexts; i++) {
      __builtin_prefetch(image + next[i].from);
      if (step * next[i].count > 16) __builtin_prefetch(image + next[i].from + 16);
    }
  }
}

static void packed_fill(const lattice *d, size_t g0, size_t g1, size_t u0, size_t u1, const packed_run *run, size_t runs) {
  if (d->points) {
    const size_t step = fl_conv_stride(d->points);
    if (step == 1) packed_fill_points(d, g0, g1, run, runs, 1);
    else if (step == 2) packed_fill_points(d, g0, g1, run, runs, 2);
    else packed_fill_points(d, g0, g1, run, runs, step);
    return;
  }
  switch (runs) {
    case 1: packed_fill_runs(d, g0, g1, u0, u1, run, 1); break;
    case 2: packed_fill_runs(d, g0, g1, u0, u1, run, 2); break;
    case 3: packed_fill_runs(d, g0, g1, u0, u1, run, 3); break;
    case 4: packed_fill_runs(d, g0, g1, u0, u1, run, 4); break;
    default: packed_fill_runs(d, g0, g1, u0, u1, run, runs); break;
  }
}

static void packed_tiles(const lattice *d, const packed_run *run, size_t lanes, size_t t0, size_t g0, size_t g1, size_t u0,
                         size_t u1, int carry) {
  const size_t taps = u1 - u0;
  const int whole = taps == d->nt, nv = tile_vectors(lanes);
  tile_args t = { .k = whole ? (g1 - g0) * taps : taps, .ars = d->ars, .aks = 1, .b = d->pack, .ldb = TILE_N, .off = d->off,
                  .groups = g1 - g0, .agroup = d->nt, .bgroup = taps * TILE_N, .ldc = TILE_N, .cols = 16 * (size_t)nv,
                  .carry = carry };
  size_t rows;
  for (size_t i = 0; i < d->m; i += rows) {
    rows = whole ? tile_even(d->m - i, tile_most(nv)) : tile_rows(d->m - i);
    t.a = d->a + i * d->ars + g0 * d->nt + t0 * d->nx + u0;
    t.c = d->c + i * TILE_N;
    for (size_t j = 0; j < rows && d->points; j++) __builtin_prefetch(d->out + (i + j) * d->out_plane + run->to, 1);
    if (whole) tile_run((int)rows, nv, &t);
    else tile_run_shifted((int)rows, nv, &t);
  }
}

/* Taps of the valid ones whose place in the whole kernel is below `full`. */
static size_t packed_below(const lattice *d, size_t t0, size_t count, size_t full) {
  size_t u = 0;
  while (u < count) {
    const size_t ty = d->full_y + (t0 + u / d->nx) * d->full_step, tx = d->full_x + u % d->nx * d->full_step;
    if (ty * d->kw + tx >= full) break;
    u++;
  }
  return u;
}

/* One piece of k, taps f0 to f1 of all planes' kernels, of one panel. */
static void packed_piece(const lattice *d, size_t t0, size_t taps, size_t f0, size_t f1, const packed_run *run,
                         size_t runs, size_t lanes) {
  int carry = 0;
  for (size_t g = f0 / d->kk; g * d->kk < f1;) {
    const size_t begin = g * d->kk < f0 ? f0 - g * d->kk : 0, left = f1 - g * d->kk;
    const size_t whole = begin ? 0 : left / d->kk, most = PACKED_ROWS / (taps ? taps : 1);
    const size_t u0 = begin ? packed_below(d, t0, taps, begin) : 0, u1 = whole ? taps : packed_below(d, t0, taps, left);
    const size_t planes = !whole ? 1 : whole < most ? whole : most ? most : 1;
    if (u1 > u0) {
      packed_fill(d, g, g + planes, u0, u1, run, runs);
      packed_tiles(d, run, lanes, t0, g, g + planes, u0, u1, carry);
      carry = 1;
    }
    g += planes;
  }
  for (size_t i = 0; !carry && i < d->m * TILE_N; i += 16) v_store(d->c + i, v_zero());
}

static void packed_store(const lattice *d, size_t r, const float *sum, const packed_run *run, size_t runs) {
  float *out = d->out + r * d->out_row;
  for (size_t i = 0; i < d->m; i++, out += d->out_plane, sum += TILE_N) {
    const v16 add = v_set(d->bias ? d->bias[i] : 0.0f);
    for (size_t j = 0; j < runs; j++) {
      const v16 x = v_add(v_add(v_load(sum + run[j].lane), v_zero()), add);
      if (run[j].count == 16) v_store(out + run[j].to, x);
      else v_store_n(out + run[j].to, run[j].count, x);
    }
  }
}

/* The tap rows that meet the source at output row r, and where their taps are. */
static size_t packed_taps(const lattice *d, size_t r, size_t *t0) {
  const ptrdiff_t y = d->row + (ptrdiff_t)(r * d->row_step), h = (ptrdiff_t)d->h;
  size_t n = 0;
  *t0 = d->ny;
  for (size_t t = 0; t < d->ny; t++) {
    const ptrdiff_t at = y + (ptrdiff_t)t * d->row_tap;
    if (at < 0 || at >= h) continue;
    if (n == 0) *t0 = t;
    for (size_t u = 0; u < d->nx; u++) {
      const ptrdiff_t x = (ptrdiff_t)(u % d->parts * d->part) + d->col + (ptrdiff_t)(u / d->parts) * d->col_tap;
      d->tap[n++] = (uint32_t)((size_t)at * d->ld + (size_t)x);
    }
  }
  return n;
}

static void packed_rows(const lattice *d) {
  packed_run run[TILE_N];
  const size_t lanes = d->samples * d->cols, k = d->planes * d->kk;
  for (size_t r = 0; r < d->rows; r++) {
    size_t t0;
    const size_t taps = packed_taps(d, r, &t0);
    for (size_t l0 = 0; l0 < lanes; l0 += TILE_N) {
      const size_t width = lanes - l0 < TILE_N ? lanes - l0 : TILE_N, runs = packed_runs(d, l0, width, run);
      piece_sums sums = { d->level, d->m * TILE_N, 0 };
      for (size_t f = 0; f < k; f += FL_GEMM_PIECE) {
        packed_piece(d, t0, taps, f, k - f < FL_GEMM_PIECE ? k : f + FL_GEMM_PIECE, run, runs, width);
        if (k > FL_GEMM_PIECE) pieces_push(&sums, d->c);
      }
      packed_store(d, r, k > FL_GEMM_PIECE ? pieces_sum(&sums) : d->c, run, runs);
    }
  }
}

/* Columns q, q + 2 .. of a row with `left` zeros before it. Sixteen are written at a time. */
static void packed_every_other(const float *from, size_t w, size_t left, size_t q, size_t part, float *to) {
  size_t j = 0;
  for (; 2 * j + q < left; j++) to[j] = 0.0f;
  for (size_t x = 2 * j + q - left; j < part; j += 16, x += 32) {
    const size_t first = x >= w ? 0 : w - x < 16 ? w - x : 16, second = x + 16 >= w ? 0 : w - x - 16 < 16 ? w - x - 16 : 16;
    v_store(to + j, v_even(v_load_n(from + x, first, 0.0f), v_load_n(from + x + 16, second, 0.0f)));
  }
}

/* Planes (h, w) to rows of `parts` parts: part q holds columns q, q + parts .. of the row with `left` zeros before it. */
static void packed_image(const float *from, size_t planes, size_t h, size_t w, size_t left, size_t parts, size_t part,
                         float *to) {
  const size_t ld = parts * part;
  for (size_t i = 0; i < planes * h; i++, from += w, to += ld) {
    if (parts == 1) {
      const size_t width = w < part - left ? w : part - left;
      for (size_t j = 0; j < left; j++) to[j] = 0.0f;
      copy_floats(to + left, from, width);
      for (size_t j = left + width; j < part; j++) to[j] = 0.0f;
      continue;
    }
    for (size_t q = 0; q < parts; q++) {
      if (parts == 2) packed_every_other(from, w, left, q, part, to + q * part);
      else for (size_t j = 0; j < part; j++) to[q * part + j] = j * parts + q >= left && j * parts + q - left < w
                                                                  ? from[j * parts + q - left] : 0.0f;
    }
  }
}

static void packed_begin(const packed_sizes *l, lattice *d, float *work) {
  d->pack = work + l->image;
  d->c = d->pack + l->pack;
  d->level = d->c + l->c;
  d->off = (uint32_t *)(void *)(d->level + l->level);
  d->tap = d->off + l->off;
  d->image = work;
  for (size_t i = 0; i < l->off; i++) d->off[i] = (uint32_t)(i * TILE_N);
}

static inline void packed_forward(const fl_conv *shape, size_t n, const float *x, const float *w, const float *b, float *y,
                                  float *work) {
  fl_conv row;
  const fl_conv *s = packed_shape(shape, &row);
  const packed_sizes l = packed_sizes_of(shape, n, 0);
  const size_t groups = fl_conv_groups(s), c = s->c / groups, o = s->o / groups, kw = fl_conv_kw(s), kk = s->k * kw;
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), in = shape->h * shape->w, out = oh * ow;
  lattice d = { .m = o, .planes = c, .ars = c * kk, .ny = s->k, .nx = kw, .nt = kk, .row = -(ptrdiff_t)s->p, .row_tap = 1,
               .row_step = fl_conv_stride(s), .col_tap = 1, .parts = l.parts, .part = l.part, .full_step = 1, .kw = kw, .kk = kk,
               .sample = s == &row ? s->c * in : c * s->h * l.ld, .h = s->h, .ld = s == &row ? in : l.ld, .rows = oh, .cols = ow,
               .out_sample = s->o * out, .out_plane = out, .out_row = ow, .points = s == &row ? shape : NULL };
  packed_begin(&l, &d, work);
  for (size_t i = 0; i < n; i += l.samples) {
    d.samples = n - i < l.samples ? n - i : l.samples;
    for (size_t g = 0; g < groups; g++) {
      const float *from = x + (i * s->c + g * c) * in;
      if (d.points) d.image = from;
      for (size_t j = 0; j < d.samples && !d.points; j++)
        packed_image(from + j * s->c * in, c, s->h, s->w, fl_conv_pw(s), l.parts, l.part, work + j * d.sample);
      d.a = w + g * o * c * kk;
      d.bias = b ? b + g * o : NULL;
      d.out = y + (i * s->o + g * o) * out;
      packed_rows(&d);
    }
  }
}

/* The weights of one group and place (c, o, taps of the place). Some channels at a time: their weights lie side by side, and
 * what is written goes on for each. */
static void packed_turn(const lattice *d, size_t c, size_t o, const float *w, float *to) {
  enum { CHANNELS = 8 };
  for (size_t first = 0; first < c; first += CHANNELS) {
    const size_t end = c - first < CHANNELS ? c : first + CHANNELS;
    for (size_t j = 0; j < o; j++) {
      for (size_t i = first; i < end; i++) {
        const float *from = w + (j * c + i) * d->kk + d->full_y * d->kw + d->full_x;
        float *t = to + (i * o + j) * d->nt;
        for (size_t y = 0; y < d->ny; y++, from += d->full_step * d->kw)
          for (size_t x = 0; x < d->nx; x++) *t++ = from[x * d->full_step];
      }
    }
  }
}

/* Place q: inputs y, x with y mod stride = q/stride, x mod stride = q%stride, and their taps. 0: there is no such input. */
static int packed_place(const fl_conv *s, const packed_sizes *l, size_t q, lattice *d) {
  const size_t step = fl_conv_stride(s), kw = fl_conv_kw(s), pw = fl_conv_pw(s), ry = q / step, rx = q % step;
  d->nt = 0;
  if (ry >= s->h || rx >= s->w) return 0;
  d->full_y = (ry + s->p) % step;
  d->full_x = (rx + pw) % step;
  d->ny = d->full_y < s->k ? (s->k - 1 - d->full_y) / step + 1 : 0;
  d->nx = d->full_x < kw ? (kw - 1 - d->full_x) / step + 1 : 0;
  d->nt = d->ny * d->nx;
  if (!d->nt) d->ny = d->nx = 0;
  d->row = (ptrdiff_t)((ry + s->p - d->full_y) / step);
  d->col = (ptrdiff_t)(l->left + (rx + pw - d->full_x) / step);
  d->rows = (s->h - ry + step - 1) / step;
  d->cols = (s->w - rx + step - 1) / step;
  return 1;
}

/* The weights of one group, those of all places one after the other. */
static void packed_turn_places(const fl_conv *s, const packed_sizes *l, lattice *d, const float *w, float *to) {
  const size_t step = fl_conv_stride(s);
  for (size_t q = 0; q < step * step; q++) {
    if (!packed_place(s, l, q, d)) continue;
    packed_turn(d, d->m, d->planes, w, to);
    to += d->m * d->planes * d->nt;
  }
}

/* One plane of the input's gradient from its places, `place` apart. */
static void packed_merge(const fl_conv *s, const packed_sizes *l, const float *places, float *to) {
  const size_t step = fl_conv_stride(s);
  for (size_t y = 0; y < s->h; y++, to += s->w) {
    const float *row = places + y % step * step * l->place;
    for (size_t rx = 0; rx < step && rx < s->w; rx++) {
      const size_t cols = (s->w - rx + step - 1) / step;
      const float *from = row + rx * l->place + y / step * cols;
      size_t j = 0;
      if (step == 2 && rx == 0) {
        const float *odd = row + l->place + y / step * (s->w / 2);
        for (; 2 * j + 32 <= s->w; j += 16) {
          const v16 a = v_load(from + j), b = v_load(odd + j);
          v_store(to + 2 * j, v_zip_lo(a, b));
          v_store(to + 2 * j + 16, v_zip_hi(a, b));
        }
      } else if (step == 2) {
        j = s->w / 32 * 16;
      }
      for (; j < cols; j++) to[rx + j * step] = from[j];
    }
  }
}

/* All planes of some samples of one group from their places. */
static void packed_join(const fl_conv *shape, const packed_sizes *l, size_t samples, const float *places, float *to) {
  const size_t c = shape->c / fl_conv_groups(shape), in = shape->h * shape->w;
  for (size_t i = 0; i < samples; i++, to += shape->c * in) {
    const float *from = places + i * c * l->place_plane;
    if (conv_points(shape)) points_among_zeros(from, c, shape->h, shape->w, fl_conv_stride(shape), to);
    else for (size_t j = 0; j < c; j++) packed_merge(shape, l, from + j * l->place_plane, to + j * in);
  }
}

static inline void packed_grad_input(const fl_conv *shape, size_t n, const float *w, const float *dy, float *dx, float *work) {
  fl_conv row;
  const fl_conv *s = packed_shape(shape, &row);
  const packed_sizes l = packed_sizes_of(shape, n, 1);
  const size_t groups = fl_conv_groups(s), c = s->c / groups, o = s->o / groups, step = fl_conv_stride(s), kw = fl_conv_kw(s);
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), in = shape->h * shape->w, out = oh * ow;
  float *turned = work + l.turned, *places = turned + l.weights;
  lattice d = { .m = c, .planes = o, .a = turned, .row_tap = -1, .row_step = 1, .col_tap = -1, .parts = 1, .part = l.part,
               .full_step = step, .kw = kw, .kk = s->k * kw, .sample = s == &row ? s->o * out : o * oh * l.ld, .h = oh,
               .ld = l.ld, .out_sample = s->c * in, .out_plane = in, .out_row = s->w, .points = s == &row ? s : NULL };
  packed_begin(&l, &d, work);
  for (size_t g = 0; g < groups; g++) {
    packed_turn_places(s, &l, &d, w + g * o * c * d.kk, turned);
    for (size_t i = 0; i < n; i += l.samples) {
      const float *from = dy + (i * s->o + g * o) * out;
      d.samples = n - i < l.samples ? n - i : l.samples;
      if (d.points) d.image = from;
      for (size_t j = 0; j < d.samples && !d.points; j++)
        packed_image(from + j * s->o * out, o, oh, ow, l.left, 1, l.part, work + j * d.sample);
      d.a = turned;
      for (size_t q = 0; q < step * step; q++, d.a += c * o * d.nt) {
        if (!packed_place(s, &l, q, &d)) continue;
        d.ars = o * d.nt;
        d.out = dx + (i * s->c + g * c) * in;
        if (l.place) {
          d.out = places + q * l.place;
          d.out_sample = c * l.place_plane;
          d.out_plane = l.place_plane;
          d.out_row = d.cols;
        }
        packed_rows(&d);
      }
      if (l.place) packed_join(shape, &l, d.samples, places, dx + (i * s->c + g * c) * in);
    }
  }
}
#endif
