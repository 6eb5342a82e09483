/* conv.h - where the convolution kernels keep things in `work`; shared with fl_conv_work. No vectors here.
 *
 * All three run on a zero-padded copy of one sample, rows `wp` apart. A tap is then a constant shift of the flattened
 * image, so that 16 neighbouring positions are one load and no im2col is needed; the positions at a row's end that wrap
 * into the padding are computed and thrown away. */
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
