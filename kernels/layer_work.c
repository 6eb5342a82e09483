/* layer_work.c - the scratch of the convolution kernels. */
#include "kernels/layer/conv.h"

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

size_t fl_conv_work(const fl_conv *s, size_t n) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), kk = s->k * s->k;
  const size_t forward = conv_image(s) + kk + s->o * conv_round16(oh * conv_wp(s));
  const size_t piece = fl_sample_piece(oh * ow), pieces = (n + piece - 1) / piece;
  const size_t weight = conv_image(s) + conv_chunk_rows(s) * ow * conv_columns(s) + 32 +
                        (1 + conv_levels(pieces)) * s->o * conv_columns(s);
  const size_t input = s->o * conv_back_plane(s) + CONV_SLACK + kk + s->c * s->o * kk +
                       s->c * conv_round16(s->h * conv_back_wp(s));
  return max_of(forward, max_of(weight, input));
}
