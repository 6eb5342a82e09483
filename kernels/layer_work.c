/* layer_work.c - the scratch of the layers' kernels. */
#include "kernels/layer/attention.h"
#include "kernels/layer/conv.h"

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

int fl_conv_winograd(const fl_conv *s) {
  const int shape = s->k == 3 && fl_conv_kw(s) == 3 && fl_conv_stride(s) == 1 && fl_conv_groups(s) == 1 && s->p == 1 &&
                    fl_conv_pw(s) == 1;
  const size_t places = s->h * s->w, tiles = (s->h + 3) / 4 * ((s->w + 3) / 4);
  return s->winograd && shape && s->c % 16 == 0 && s->o % 16 == 0 && s->c <= FL_GEMM_PIECE && s->o <= FL_GEMM_PIECE &&
         places <= FL_GEMM_PIECE && 8 * tiles <= places;
}

size_t fl_conv_work(const fl_conv *s, size_t n) {
  if (fl_conv_winograd(s)) {
    const size_t both = max_of(wino_sizes_of(s, n, 0).total, wino_sizes_of(s, n, 1).total);
    return max_of(both, wino_weight_sizes_of(s, n).total);
  }
  if (!conv_few(s)) {
    const size_t packed = max_of(packed_sizes_of(s, n, 0).total, packed_sizes_of(s, n, 1).total);
    return max_of(packed, conv_points(s) ? points_sizes_of(s, n).total : weight_sizes_of(s, n).total);
  }
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), kk = s->k * s->k;
  const size_t forward = conv_image(s) + kk + s->o * conv_round16(oh * conv_wp(s));
  const size_t piece = fl_sample_piece(oh * ow), pieces = (n + piece - 1) / piece;
  const size_t weight = conv_image(s) + conv_chunk_rows(s) * ow * conv_columns(s) + 32 +
                        (1 + conv_levels(pieces)) * s->o * conv_columns(s);
  const size_t input = s->o * conv_back_plane(s) + CONV_SLACK + kk + s->c * s->o * kk +
                       s->c * conv_round16(s->h * conv_back_wp(s));
  return max_of(forward, max_of(weight, input));
}

int fl_conv_pool_fits(const fl_conv *s) {
  const size_t kk = s->k * s->k;
  return s->c * kk <= FL_GEMM_PIECE && s->o * kk <= FL_GEMM_PIECE;
}

size_t fl_conv_pool_work(const fl_conv *s, size_t n) {
  const conv_sparse l = conv_sparse_of(s);
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), o16 = conv_round16(s->o);
  const size_t piece = fl_sample_piece(oh * ow), pieces = (n + piece - 1) / piece, image = conv_round16(conv_image(s));
  const size_t forward = image + conv_round16(s->k * s->k) +
    (conv_across(s) ? (conv_taps(s) + oh * ow + 2 * conv_windows(s)) * o16 : s->o * conv_round16(oh * conv_wp(s)) + 32);
  const size_t back = image + l.turned + l.strips + l.columns + conv_listing(s) + (1 + conv_levels(pieces)) * s->o * l.columns +
                      l.sums + l.table;
  return max_of(forward, back);
}

size_t fl_norm_work(size_t n, size_t rows, size_t piece) {
  const size_t wide = (n + 15) / 16 * 16;
  return (1 + conv_levels((rows + piece - 1) / piece)) * 2 * wide;
}

size_t fl_attention_work(const fl_attention *s) {
  if (attention_short(s)) return 9 * attention_operand(s) + (attention_drops(s) ? 512 * s->length : 0);
  return 2 * attention_rows(s) * attention_columns(s) + s->length;
}
