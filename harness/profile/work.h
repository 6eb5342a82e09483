// work.h - what a call of each kernel computes and moves: the one table, a row for each line of the registry. A row is
//   WORK_<kernel>  KNOWN, elements, FLOPs, bytes, width
// in the names of the registry's arguments. FLOPs are the additions, subtractions, multiplications, divisions and square roots
// that the call's source writes (an fma is two; comparisons, signs and conversions are none), of a product or convolution 2 for
// each multiply-add. Bytes are each array once, read and written; BY_TRAFFIC: the registry's an element. width is 2 where the
// arithmetic is in doubles. A kernel without a row has no FLOPs (-1) and no bytes, and a test fails.
#ifndef FEDLANE_PROFILE_WORK_H
#define FEDLANE_PROFILE_WORK_H
#include <fedlane/kernels.h>

#define FL_WORK_OF(...) FL_WORK_PICK(__VA_ARGS__, 0, -1, 0, 1, ~)
#define FL_WORK_PICK(tag, elements, flops, bytes, width, ...) \
  { static_cast<int64_t>(elements), static_cast<int64_t>(flops), static_cast<int64_t>(bytes), width }
#define FL_WORK_TEXT(...) FL_WORK_QUOTED(__VA_ARGS__)
#define FL_WORK_QUOTED(...) #__VA_ARGS__
#define BY_TRAFFIC -1
// Of kernels over n elements: FLOPs an element.
#define EACH(flops) KNOWN, n, (flops) * n, BY_TRAFFIC, 1
#define EACH_DOUBLE(flops) KNOWN, n, (flops) * n, BY_TRAFFIC, 2

inline size_t fl_runs_length(size_t runs, const fl_run *run) {
  size_t n = 0;
  for (size_t i = 0; i < runs; i++) { n += run[i].size; }
  return n;
}
inline size_t fl_rotations(size_t sweeps, const uint32_t *range) {
  size_t n = 0;
  for (size_t i = 0; i < sweeps; i++) { n += range[2 * i + 1]; }
  return n;
}
inline size_t fl_conv_places(const fl_conv *s, size_t n) { return n * s->o * fl_conv_oh(s) * fl_conv_ow(s); }
inline size_t fl_conv_windows(const fl_conv *s, size_t n) { return n * s->o * (fl_conv_oh(s) / 2) * (fl_conv_ow(s) / 2); }
inline size_t fl_conv_taps(const fl_conv *s) { return s->c / fl_conv_groups(s) * s->k * fl_conv_kw(s); }
inline size_t fl_conv_inputs(const fl_conv *s, size_t n) { return n * s->c * s->h * s->w; }

// ---- step -------------------------------------------------------------------------------------------------------------------
#define WORK_mix KNOWN, n, (1 + 2 * (!!y + !!q0 + !!q1)) * n, 4 * (2 + !!y + !!q0 + !!q1) * n, 1
#define WORK_axpy EACH(2)
#define WORK_scale EACH(1)
#define WORK_add EACH(1)
#define WORK_sub EACH(1)
#define WORK_sgd EACH(3)
#define WORK_momentum EACH(a->nesterov ? 8 : 6)
#define WORK_adamw EACH(13)
#define WORK_sophia EACH(a->floored ? 8 : 9)
#define WORK_curvature EACH(4)
#define WORK_muon_momentum EACH(nesterov ? 5 : 3)
#define WORK_amsgrad EACH(13)
#define WORK_yogi EACH(13)
#define WORK_signadam EACH(10)
#define WORK_rmsprop KNOWN, n, (10 + (a ? 5 : 0) + (b ? 3 : 0)) * n, 4 * (5 + 2 * (!!a + !!b)) * n, 1
#define WORK_lion EACH(8)
#define WORK_sign_step KNOWN, n, (m ? 5 : 2) * n, (m ? 20 : 12) * n, 1
#define WORK_ema EACH(3)
#define WORK_towards EACH(3)
#define WORK_stretch EACH(2)
// ---- reduce -----------------------------------------------------------------------------------------------------------------
#define WORK_sum EACH_DOUBLE(1)
#define WORK_asum EACH_DOUBLE(1)
#define WORK_dot EACH_DOUBLE(2)
#define WORK_sumsq EACH_DOUBLE(2)
#define WORK_sumsq_diff EACH_DOUBLE(3)
#define WORK_absmax EACH(0)
#define WORK_argmax EACH(0)
#define WORK_argabsmax EACH(0)
#define WORK_variance EACH_DOUBLE(4)
#define WORK_mean_runs KNOWN, fl_runs_length(runs, run), fl_runs_length(runs, run) + runs, BY_TRAFFIC, 2
#define WORK_mean_sq_runs KNOWN, fl_runs_length(runs, run), 2 * fl_runs_length(runs, run) + runs, BY_TRAFFIC, 2
#define WORK_gram KNOWN, m * (m + 1) / 2, m * (m + 1) * n, 4 * m * n + 8 * m * m, 2
#define WORK_sq_distances KNOWN, m * (m + 1) / 2, m * (m + 1) / 2 * 3 * n, 4 * m * n + 8 * m * m, 2
// ---- math: by the polynomials of kernels/math ---------------------------------------------------------------------------------
#define WORK_exp EACH(21)
#define WORK_log EACH(29)
#define WORK_expm1 EACH(27)
#define WORK_log1p EACH(39)
#define WORK_tanh EACH(36)
#define WORK_sigmoid EACH(24)
#define WORK_erf EACH(40)
#define WORK_sincospi EACH(32)
#define WORK_gelu EACH(44)
#define WORK_gelu_back EACH(70)
#define WORK_gelu_tanh EACH(28)
#define WORK_gelu_tanh_back EACH(38)
// ---- random: the words of Philox are integers; gamma: of an element accepted at its first attempt --------------------------
#define WORK_bits EACH(0)
#define WORK_uniform EACH(1)
#define WORK_gaussian EACH(31)
#define WORK_rademacher EACH(0)
#define WORK_bernoulli EACH(0)
#define WORK_gamma EACH(alpha < 1 ? 160 : 104)
// ---- gemm ---------------------------------------------------------------------------------------------------------------------
#define WORK_PRODUCT KNOWN, m * n, 2 * m * n * k, 4 * (m * k + k * n + m * n), 1
#define WORK_gemm_nn WORK_PRODUCT
#define WORK_gemm_nt WORK_PRODUCT
#define WORK_gemm_tn WORK_PRODUCT
#define WORK_gemm_syrk KNOWN, n * n, n * (n + 1) * k, 4 * (n * k + n * n), 1
#define WORK_gemm_nn_add KNOWN, m * n, 2 * m * n * k, 4 * (m * k + k * n + 2 * m * n), 1
#define WORK_gemm_tn_add KNOWN, m * n, 2 * m * n * k, 4 * (m * k + k * n + 2 * m * n), 1
// ---- factor -------------------------------------------------------------------------------------------------------------------
#define WORK_transpose KNOWN, rows * cols, 0, BY_TRAFFIC, 1
#define WORK_qr_panel KNOWN, m * n, 2 * m * n * n, 8 * m * FL_PANEL + 8 * FL_PANEL * FL_PANEL, 1
#define WORK_wy KNOWN, n * n, n * n * n / 3, 8 * FL_PANEL * FL_PANEL, 1
#define WORK_cholesky_panel KNOWN, n * cols, n * n * cols, 12 * n * cols, 1
#define WORK_rotate KNOWN, fl_rotations(sweeps, range) * FL_PANEL, 6 * fl_rotations(sweeps, range) * FL_PANEL, \
                    8 * fl_rotations(sweeps, range) * FL_PANEL, 1
// ---- layer --------------------------------------------------------------------------------------------------------------------
#define ROWS(elements, flops) KNOWN, elements, flops, BY_TRAFFIC, 1
#define WORK_bias_rows ROWS(rows * n, rows * n)
#define WORK_relu EACH(0)
#define WORK_relu_back EACH(0)
#define WORK_normalize EACH(2)
#define WORK_bias_grad ROWS(rows * n, rows * n)
#define WORK_softmax_xent ROWS(rows * classes, rows * (26 * classes + 31))
#define WORK_softmax_sample ROWS(rows * classes, rows * (24 * classes + 1))
#define WORK_argmax_rows ROWS(rows * classes, 0)
#define WORK_maxpool2 ROWS(planes * (h / 2) * (w / 2), 0)
#define WORK_maxpool2_back ROWS(planes * (h / 2) * (w / 2), 0)
inline size_t fl_pool_windows(const fl_pool *s, size_t planes) { return planes * fl_pool_oh(s) * fl_pool_ow(s); }
#define POOL(flops, bytes) KNOWN, fl_pool_windows(s, planes), (flops) * fl_pool_windows(s, planes), \
                           4 * planes * s->h * s->w + (bytes) * fl_pool_windows(s, planes), 1
#define WORK_max_pool POOL(0, 5)
#define WORK_max_pool_back POOL(s->k * s->k, 5)
#define WORK_avg_pool POOL(s->k * s->k + 1, 4)
#define WORK_avg_pool_back POOL(s->k * s->k + 1, 4)
// Inputs, weights and outputs once each; conv_pool_back: a window counts as if one of its places had a gradient, which those that
// ReLU closed have not.
#define CONV_BYTES(outputs) 4 * (fl_conv_inputs(s, n) + s->o * fl_conv_taps(s) + s->o + (outputs))
#define CONV KNOWN, fl_conv_places(s, n), 2 * fl_conv_places(s, n) * fl_conv_taps(s), CONV_BYTES(fl_conv_places(s, n)), 1
#define WORK_conv_forward CONV
#define WORK_conv_grad_weight CONV
#define WORK_conv_grad_input CONV
#define WORK_conv_pool KNOWN, fl_conv_windows(s, n), 2 * fl_conv_places(s, n) * fl_conv_taps(s), \
                       CONV_BYTES(fl_conv_windows(s, n)) + fl_conv_windows(s, n), 1
#define WORK_conv_pool_back KNOWN, fl_conv_windows(s, n), (dx ? 4 : 2) * fl_conv_windows(s, n) * fl_conv_taps(s), \
                            CONV_BYTES(fl_conv_windows(s, n)) + fl_conv_windows(s, n) + (dx ? 4 * fl_conv_inputs(s, n) : 0), 1
// Winograd's F(4x4, 3x3): 36 products a tile of 16 outputs and pair of channels; the transforms are not counted.
#define TILES(s) (n * ((fl_conv_oh(s) + 3) / 4) * ((fl_conv_ow(s) + 3) / 4))
#define WINOGRAD KNOWN, fl_conv_places(s, n), 72 * TILES(s) * s->c * s->o, CONV_BYTES(fl_conv_places(s, n)), 1
#define WORK_winograd_forward WINOGRAD
#define WORK_winograd_grad_input WINOGRAD
#define WORK_winograd_grad_weight WINOGRAD
// ---- layer: normalisation, activations, losses, dropout, embedding --------------------------------------------------
#define GROUP(flops) KNOWN, n * s->c * s->hw, (flops) * n * s->c * s->hw, BY_TRAFFIC, 1
#define PLANES(flops) KNOWN, n * c * hw, (flops) * n * c * hw, BY_TRAFFIC, 1
#define WORK_layer_norm ROWS(rows * n, rows * (8 * n + 5))
#define WORK_layer_norm_back ROWS(rows * n, rows * (16 * n + 2))
#define WORK_group_norm GROUP(7)
#define WORK_group_norm_back GROUP(s->relu ? 13 : 9)
#define WORK_batch_moments PLANES(4)
#define WORK_batch_norm PLANES(3)
#define WORK_batch_norm_grad PLANES(relu ? 6 : 4)
#define WORK_batch_norm_back PLANES(relu ? 7 : 5)
#define WORK_silu EACH(24)
#define WORK_silu_back EACH(29)
#define WORK_tanh_back EACH(3)
#define WORK_sigmoid_back EACH(3)
#define WORK_cross_entropy ROWS(rows * classes, rows * ((a->smoothing != 0 ? 31 : 27) * classes + 32))
#define WORK_binary_entropy EACH(89)
#define WORK_multi_margin ROWS(rows * classes, rows * (5 * classes + 3))
#define WORK_dropout EACH(1)
#define WORK_dropout_back EACH(1)
#define WORK_embed ROWS(rows * n, 0)
#define WORK_embed_grad ROWS(rows * n, rows * n)
// ---- layer: attention, cells of recurrent networks --------------------------------------------------------------------
// A pair is a query with a key that it sees: products with two vectors forward, with five on the way back.
inline size_t fl_attention_pairs(const fl_attention *s, size_t n) {
  return n * s->heads * (s->causal ? s->length * (s->length + 1) / 2 : s->length * s->length);
}
inline size_t fl_attention_places(const fl_attention *s, size_t n) { return n * s->length * s->heads * s->dim; }
#define WORK_attention KNOWN, fl_attention_places(s, n), \
                       fl_attention_pairs(s, n) * (4 * s->dim + 24) + fl_attention_places(s, n), 16 * fl_attention_places(s, n), 1
#define WORK_attention_back KNOWN, fl_attention_places(s, n), \
                            fl_attention_pairs(s, n) * (10 * s->dim + 27) + 2 * fl_attention_places(s, n), \
                            32 * fl_attention_places(s, n), 1
#define WORK_lstm_cell ROWS(rows * n, 152 * rows * n)
#define WORK_lstm_cell_back ROWS(rows * n, 58 * rows * n)
#define WORK_gru_cell ROWS(rows * n, 93 * rows * n)
#define WORK_gru_cell_back ROWS(rows * n, 16 * rows * n)
#endif
