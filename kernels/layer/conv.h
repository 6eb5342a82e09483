/* conv.h - where the convolution kernels keep things in `work`; shared with fl_conv_work. No vectors here.
 *
 * With few channels (conv_few) all three run on a zero-padded copy of one sample, rows `wp` apart. A tap is then a
 * constant shift of the flattened image, so that 16 neighbouring positions are one load and no im2col is needed; the positions at
 * a row's end that wrap into the padding are computed and thrown away. */
#ifndef FL_LAYER_CONV_H
#define FL_LAYER_CONV_H
#include <fedlane/kernels.h>

#define CONV_SLACK 64           /* floats behind an image that a shifted vector may read */
#define CONV_CHUNK 6144         /* floats of columns that a weight gradient builds at once: fits L1 */

static inline size_t conv_round16(size_t n) { return (n + 15) / 16 * 16; }
static inline size_t conv_taps(const fl_conv *s) { return s->c * s->k * s->k; }
/* Padded image of the forward pass and of the weight gradient: (c, h + 2p, w + 2p). */
static inline size_t conv_wp(const fl_conv *s) { return s->w + 2 * s->p; }
static inline size_t conv_plane(const fl_conv *s) { return (s->h + 2 * s->p) * conv_wp(s); }
static inline size_t conv_image(const fl_conv *s) { return s->c * conv_plane(s) + CONV_SLACK; }
/* Padded gradient of the output: (o, h + k - 1, w + k - 1). */
static inline size_t conv_back_wp(const fl_conv *s) { return s->w + s->k - 1; }
static inline size_t conv_back_plane(const fl_conv *s) { return (s->h + s->k - 1) * conv_back_wp(s); }
/* Columns of the weight gradient: the taps, a one for the bias, rounded up. */
static inline size_t conv_columns(const fl_conv *s) { return conv_round16(conv_taps(s) + 1); }
static inline size_t conv_chunk_rows(const fl_conv *s) {
  const size_t rows = CONV_CHUNK / (fl_conv_ow(s) * conv_columns(s));
  return rows ? rows : 1;
}
static inline size_t conv_levels(size_t pieces) {
  size_t n = 1;
  while (pieces >>= 1) n++;
  return n;
}

/* A 1x1 kernel without padding reads places `stride` apart and no others: points. Of these alone it is a product, whatever the
 * sides of the image; nothing is copied before it is packed (packed.h, points.h). */
static inline int conv_points(const fl_conv *s) {
  return s->k == 1 && fl_conv_kw(s) == 1 && s->p == 0 && fl_conv_pw(s) == 0;
}
static inline fl_conv conv_points_row(const fl_conv *s) {
  return (fl_conv){ .c = s->c, .h = 1, .w = fl_conv_oh(s) * fl_conv_ow(s), .o = s->o, .k = 1, .groups = s->groups };
}

/* ---- any shape (packed.h, conv_weight.c) ----------------------------------------------------------------------------- */
#define PACKED_ROWS 512         /* rows of a right factor packed at once, TILE_N floats each */
#define PACKED_AHEAD 16         /* rows of it that are fetched ahead, about */
#define PACKED_LANES 48         /* of no instruction set more */
#define PACKED_IMAGE (1u << 18) /* floats of padded images at once: what the second cache holds */
#define POINTS_APART (1u << 16) /* floats of points at once that are spread among zeros */
typedef struct {
  size_t samples;               /* at once */
  size_t parts, part, ld, left; /* of a row of the padded copy; zeros before it (backward) */
  size_t image, pack, c, level, off, weights;   /* floats of each */
  size_t place_plane, place;    /* backward, of a place in the stride: a plane's, all planes' of all samples */
  size_t turned, total;         /* turned: where the weights begin */
} packed_sizes;

/* The least samples whose rows of `cols` fill whole panels. */
static inline size_t conv_full_panels(size_t cols) {
  size_t n = PACKED_LANES;
  while (n % 2 == 0 && cols % 2 == 0) n /= 2, cols /= 2;
  return cols % 3 ? n : n / 3;
}

/* The shape as it is computed, s or `row`. */
static inline const fl_conv *packed_shape(const fl_conv *s, fl_conv *row) {
  *row = conv_points_row(s);
  return conv_points(s) ? row : s;
}

static inline packed_sizes packed_sizes_of(const fl_conv *shape, size_t n, int back) {
  fl_conv row;
  const fl_conv *s = packed_shape(shape, &row);
  const size_t step = fl_conv_stride(s), groups = fl_conv_groups(s), kw = fl_conv_kw(s), pw = fl_conv_pw(s), kk = s->k * kw;
  const size_t c = s->c / groups, o = s->o / groups, ow = fl_conv_ow(s), m = back ? c : o, planes = back ? o : c;
  const size_t ends = (s->w - 1 + pw) / step + 1;
  packed_sizes l = { .parts = back ? 1 : step };
  l.left = kw > pw + 1 ? (kw - 1 - pw + step - 1) / step : 0;
  l.part = back ? l.left + (ow > ends ? ow : ends) : ow + (kw - 1) / step;
  l.ld = l.parts * l.part;
  const size_t sample = planes * (back ? fl_conv_oh(s) : s->h) * l.ld, apart = back ? c * ow : 0;
  const size_t cols = back ? (s->w + step - 1) / step : ow, full = conv_full_panels(cols);
  l.samples = sample < PACKED_IMAGE ? PACKED_IMAGE / sample : 1;
  if (s == &row) l.samples = fl_conv_stride(shape) == 1 || !back ? n : apart < POINTS_APART ? POINTS_APART / apart : 1;
  if (l.samples > full) l.samples -= l.samples % full;
  if (l.samples > n) l.samples = n;
  l.image = s == &row ? 0 : conv_round16(l.samples * sample + CONV_SLACK);
  l.off = conv_round16(PACKED_ROWS + kk);
  l.pack = l.off * PACKED_LANES + 16;
  l.c = m * PACKED_LANES;
  l.level = planes * kk > FL_GEMM_PIECE ? l.c * conv_levels(planes * kk / FL_GEMM_PIECE + 1) : 0;
  l.turned = l.image + l.pack + l.c + l.level + l.off + conv_round16(kk);
  l.weights = back ? c * o * kk : 0;
  l.place_plane = back && fl_conv_stride(shape) > 1 ? ((s->h + step - 1) / step) * ((s->w + step - 1) / step) : 0;
  l.place = l.samples * c * l.place_plane;
  l.total = l.turned + l.weights + step * step * l.place;
  return l;
}

#define WEIGHT_ROWS 1024        /* positions packed at once */
#define WEIGHT_APART 48         /* taps of a kernel's row that are packed apart from the other rows' */
typedef struct { size_t piece, kw, wp, sample, image, pack, acc, off, level, total; } weight_sizes;

static inline weight_sizes weight_sizes_of(const fl_conv *s, size_t n) {
  const size_t groups = fl_conv_groups(s), c = s->c / groups, o = s->o / groups, ow = fl_conv_ow(s);
  weight_sizes l = { .piece = fl_sample_piece(fl_conv_oh(s) * ow), .kw = fl_conv_kw(s) };
  const size_t row = l.kw * c, pieces = (n + l.piece - 1) / l.piece;
  l.wp = s->w + 2 * fl_conv_pw(s);
  l.sample = (s->h + 2 * s->p) * l.wp * c;
  l.image = conv_round16((n < l.piece ? n : l.piece) * l.sample + CONV_SLACK);
  l.off = conv_round16(WEIGHT_ROWS > ow ? WEIGHT_ROWS : ow);
  l.pack = l.off * PACKED_LANES + 16;
  l.acc = o * PACKED_LANES;
  l.level = (row < WEIGHT_APART ? (s->k * row + 47) / 48 : s->k * ((row + 47) / 48)) * o * PACKED_LANES;
  l.total = l.image + l.pack + l.acc + l.off + conv_levels(pieces) * l.level;
  return l;
}

#define POINTS_ROWS 256         /* positions of a weight gradient of points packed at once */
typedef struct { size_t piece, samples, rows, most, line, pack, off, level, total; } points_sizes;

static inline points_sizes points_sizes_of(const fl_conv *s, size_t n) {
  const size_t groups = fl_conv_groups(s), panels = (s->c / groups + PACKED_LANES - 1) / PACKED_LANES, ow = fl_conv_ow(s);
  const size_t oh = fl_conv_oh(s), positions = oh * ow;
  points_sizes l = { .piece = fl_sample_piece(positions) };
  const size_t pieces = (n + l.piece - 1) / l.piece;
  l.samples = positions < POINTS_ROWS ? POINTS_ROWS / positions : 1;
  l.rows = positions <= POINTS_ROWS ? oh : ow < POINTS_ROWS ? POINTS_ROWS / ow : 1;
  l.most = l.rows * ow;                 /* positions of a sample */
  l.line = conv_round16(l.most) + 16;   /* of a channel among sixteen */
  l.off = conv_round16(l.most);
  l.pack = l.samples * l.most * PACKED_LANES + 16;
  l.level = panels * (s->o / groups) * PACKED_LANES;
  l.total = 16 * l.line + l.pack + l.off + (1 + conv_levels(pieces)) * l.level;
  return l;
}

/* ---- Winograd (winograd.c, winograd_weight.c) ---------------------------------------------------------------------------
 * Tiles of 4x4 places of the result; of the input 6x6, two beyond. A block is whole samples, or some rows of tiles of one. */
#define WINO_FLOATS 4096        /* so many channels in and out of all tiles of a block, */
#define WINO_TILES 64           /* but at least so many tiles, unless there are fewer */
#define WINO_ROWS 32            /* output channels of a block of the weight gradient */
#define WINO_GAP 16             /* behind rows of channels, which would else lie powers of two apart */
typedef struct {
  size_t in, out;               /* channels */
  size_t th, tw, wp;            /* tiles; places in a padded row */
  size_t rows, samples, tiles;  /* rows of tiles, samples, tiles of a block */
  size_t blocks;                /* of all samples */
  size_t in_step, out_step;     /* from a matrix (tile, channel) to the next; an odd number of lines, which spreads them */
  size_t stage, turned, u, v, m, acc, level, total;
} wino_sizes;

static inline size_t wino_step(size_t floats) { return (floats / 16 | 1) * 16; }

static inline wino_sizes wino_sizes_of(const fl_conv *s, size_t n, int back) {
  wino_sizes l = { .in = back ? s->o : s->c, .out = back ? s->c : s->o, .th = (s->h + 3) / 4, .tw = (s->w + 3) / 4 };
  const size_t fit = WINO_FLOATS / (l.in + l.out), most = fit > WINO_TILES ? fit : WINO_TILES, each = l.th * l.tw;
  l.wp = 4 * l.tw + 2;
  l.rows = each <= most ? l.th : most / l.tw ? most / l.tw : 1;
  l.samples = each <= most ? most / each : 1;
  if (l.samples > n) l.samples = n ? n : 1;
  l.tiles = l.samples * l.rows * l.tw;
  l.blocks = (n + l.samples - 1) / l.samples * ((l.th + l.rows - 1) / l.rows);
  l.in_step = wino_step(l.tiles * (l.in + WINO_GAP));
  l.out_step = wino_step(l.tiles * PACKED_LANES);
  l.stage = conv_round16((4 * l.rows + 2) * l.wp * l.in);
  l.turned = conv_round16(4 * l.rows * s->w * PACKED_LANES);
  l.u = 36 * l.in * (l.blocks == 1 && l.out > PACKED_LANES ? PACKED_LANES : l.out);
  l.v = 36 * l.in_step;
  l.m = 36 * l.out_step;
  l.total = l.stage + l.turned + l.u + l.v + l.m;
  return l;
}

/* Of the weight gradient: v and m are the tiles of a piece, acc those of some channels, a level is (o, tap, c). */
static inline wino_sizes wino_weight_sizes_of(const fl_conv *s, size_t n) {
  wino_sizes l = { .in = s->c, .out = s->o, .th = (s->h + 3) / 4, .tw = (s->w + 3) / 4 };
  const size_t piece = fl_sample_piece(s->h * s->w), pieces = (n + piece - 1) / piece;
  l.wp = 4 * l.tw + 2;
  l.rows = l.th;
  l.samples = n < piece ? n : piece;
  l.tiles = l.samples * l.th * l.tw;
  l.in_step = wino_step(l.tiles * (s->c + WINO_GAP));
  l.out_step = wino_step(l.tiles * (s->o + WINO_GAP));
  l.stage = conv_round16((4 * l.th + 2) * l.wp * s->c);
  l.turned = conv_round16(16 * l.th * l.tw * s->o);
  l.v = 36 * l.in_step;
  l.m = 36 * l.out_step;
  l.acc = 36 * (WINO_ROWS * PACKED_LANES + WINO_GAP);
  l.level = 9 * s->c * s->o;
  l.total = l.stage + l.turned + l.v + l.m + l.acc + conv_levels(pieces) * l.level;
  return l;
}

/* Few channels: nothing is packed, one padded sample at a time. With more padding than k - 1 the way back would have to cut the
 * gradient's edge off, where this pads it. */
static inline int conv_few(const fl_conv *s) {
  return fl_conv_stride(s) == 1 && fl_conv_groups(s) == 1 && fl_conv_kw(s) == s->k && fl_conv_pw(s) == s->p && s->p < s->k &&
         s->c * s->o < 1024;
}

/* ---- convolution, ReLU and pooling in one ----------------------------------------------------------------------------
 * Forward: lanes are output channels where that takes fewer vectors than neighbouring positions do. */
static inline int conv_across(const fl_conv *s) {
  return fl_conv_oh(s) * fl_conv_ow(s) * conv_round16(s->o) < s->o * conv_round16(fl_conv_oh(s) * conv_wp(s));
}
static inline size_t conv_windows(const fl_conv *s) { return fl_conv_oh(s) / 2 * (fl_conv_ow(s) / 2); }

/* Backward: of a window at most one position has a gradient, so that products are by position, its taps the lanes.
 *
 * Weight gradient: strip g holds for every column x of the padded image the rows that output rows g*rows .. g*rows + rows-1
 * need, all channels, so that the taps of a position are neighbours, ordered (kx, ky, c), and the last lane is free for the bias.
 * Strips are cut from the turned image (x, y, c). Input gradient: sums lie as (y, x, c); a position adds to k rows, in whole
 * vectors that begin at a multiple of 16, so that a kernel's row is kept once for each place in a vector where it may begin. */
typedef struct {
  size_t rows, step, columns, strip;    /* output rows of a strip; floats from x to x+1, of all taps, of a strip */
  size_t side, turned, strips;          /* of a turned image's x; of it; of all strips without the patch of zeros behind */
  size_t channels, starts, wide, row;   /* of a sum's (y, x); places; of a kernel's row; of a row of sums */
  size_t sums, table;
} conv_sparse;

static inline size_t conv_columns_at(const fl_conv *s, size_t step) { return conv_round16((s->k - 1) * step + s->k * s->c + 1); }
static inline conv_sparse conv_sparse_of(const fl_conv *s) {
  conv_sparse l = { .rows = 1, .step = s->c * s->k };
  const size_t least = conv_columns_at(s, l.step);
  if (conv_columns_at(s, l.step + s->c) == least) l.rows = 2, l.step += s->c;           /* two rows at no cost */
  if (conv_columns_at(s, conv_round16(l.step)) == least) l.step = conv_round16(l.step); /* aligned at no cost */
  l.columns = least;
  l.strip = conv_wp(s) * l.step;
  l.side = conv_round16((s->h + 2 * s->p) * s->c + 16);
  l.turned = conv_round16(conv_wp(s)) * l.side + 16;
  l.strips = conv_round16(fl_conv_oh(s) / 2 * 2 / l.rows * l.strip + s->c + 16);
  l.channels = 1;
  while (l.channels < s->c && l.channels < 16) l.channels *= 2;
  if (l.channels < s->c) l.channels = conv_round16(s->c);
  l.starts = l.channels < 16 ? 16 / l.channels : 1;
  l.wide = conv_round16((l.starts - 1 + s->k) * l.channels);
  l.row = (fl_conv_ow(s) - 1) * l.channels / 16 * 16 + l.wide;
  l.sums = (s->h + 2 * s->p) * l.row + 16;
  l.table = s->o * l.starts * s->k * l.wide;
  return l;
}
#define CONV_LISTS 8            /* output channels whose positions are listed at once */
typedef struct { uint32_t at; float value; uint32_t place; } conv_entry; /* taps at `at` of the strips; place of a window */
typedef struct { uint32_t sum, kernel; } conv_target;                  /* of a place: its sums, its kernel in a table */
/* Bytes of two bits a window. */
static inline size_t conv_bits(const fl_conv *s) { return 2 * ((conv_windows(s) / 8 + 16) / 8 * 8); }
static inline size_t conv_listing(const fl_conv *s) {                   /* floats of all that */
  const size_t bytes = CONV_LISTS * sizeof(conv_entry) + 4 * (sizeof(conv_target) + sizeof(uint32_t));
  return (conv_windows(s) * bytes + conv_bits(s)) / sizeof(float);
}
#endif
