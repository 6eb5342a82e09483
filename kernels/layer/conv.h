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
#endif
