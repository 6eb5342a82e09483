/* divide_table.c - which kernels divide themselves: the one table, a row for each line of the registry. DIVIDED:
 * fl_divided_<kernel> is its divided form (divide_elements.c, divide_sums.c, divide_layers.c). SERIAL: its calls stay on one
 * thread, because they are short where they occur, or their sums go on from place to place. A kernel without a row does not
 * compile. */
#include "kernels/divide_parts.h"

#define DIVIDED(name) table->name = fl_divided_##name;
#define SERIAL(name)
/* step */
#define RULE_mix DIVIDED
#define RULE_axpy DIVIDED
#define RULE_scale DIVIDED
#define RULE_add DIVIDED
#define RULE_sub DIVIDED
#define RULE_sgd DIVIDED
#define RULE_momentum DIVIDED
#define RULE_adamw DIVIDED
#define RULE_sophia DIVIDED
#define RULE_curvature DIVIDED
#define RULE_muon_momentum DIVIDED
#define RULE_amsgrad DIVIDED
#define RULE_yogi DIVIDED
#define RULE_signadam DIVIDED
#define RULE_rmsprop DIVIDED
#define RULE_lion DIVIDED
#define RULE_sign_step DIVIDED
#define RULE_ema DIVIDED
#define RULE_towards DIVIDED
#define RULE_stretch DIVIDED
/* reduce */
#define RULE_sum DIVIDED
#define RULE_asum DIVIDED
#define RULE_dot DIVIDED
#define RULE_sumsq DIVIDED
#define RULE_sumsq_diff DIVIDED
#define RULE_absmax DIVIDED
#define RULE_argmax SERIAL
#define RULE_argabsmax SERIAL
#define RULE_variance SERIAL
#define RULE_mean_runs SERIAL
#define RULE_mean_sq_runs SERIAL
#define RULE_gram SERIAL
#define RULE_sq_distances SERIAL
/* math */
#define RULE_exp DIVIDED
#define RULE_log DIVIDED
#define RULE_expm1 DIVIDED
#define RULE_log1p DIVIDED
#define RULE_tanh DIVIDED
#define RULE_sigmoid DIVIDED
#define RULE_erf DIVIDED
#define RULE_sincospi DIVIDED
#define RULE_gelu DIVIDED
#define RULE_gelu_back DIVIDED
#define RULE_gelu_tanh DIVIDED
#define RULE_gelu_tanh_back DIVIDED
/* random */
#define RULE_bits DIVIDED
#define RULE_uniform DIVIDED
#define RULE_gaussian DIVIDED
#define RULE_rademacher DIVIDED
#define RULE_bernoulli DIVIDED
#define RULE_gamma DIVIDED
/* gemm */
#define RULE_gemm_nn DIVIDED
#define RULE_gemm_nt DIVIDED
#define RULE_gemm_tn DIVIDED
#define RULE_gemm_syrk SERIAL
#define RULE_gemm_nn_add DIVIDED
#define RULE_gemm_tn_add DIVIDED
/* factor */
#define RULE_transpose DIVIDED
#define RULE_qr_panel SERIAL
#define RULE_wy SERIAL
#define RULE_cholesky_panel SERIAL
#define RULE_rotate SERIAL
/* layer */
#define RULE_bias_rows DIVIDED
#define RULE_relu DIVIDED
#define RULE_relu_back DIVIDED
#define RULE_normalize DIVIDED
#define RULE_bias_grad DIVIDED
#define RULE_softmax_xent DIVIDED
#define RULE_softmax_sample SERIAL
#define RULE_argmax_rows DIVIDED
#define RULE_maxpool2 DIVIDED
#define RULE_maxpool2_back DIVIDED
#define RULE_conv_forward DIVIDED
#define RULE_conv_grad_weight DIVIDED
#define RULE_conv_grad_input DIVIDED
#define RULE_conv_pool DIVIDED
#define RULE_conv_pool_back DIVIDED
#define RULE_layer_norm DIVIDED
#define RULE_layer_norm_back DIVIDED
#define RULE_group_norm DIVIDED
#define RULE_group_norm_back DIVIDED
#define RULE_batch_moments DIVIDED
#define RULE_batch_norm DIVIDED
#define RULE_batch_norm_grad DIVIDED
#define RULE_batch_norm_back DIVIDED
#define RULE_silu DIVIDED
#define RULE_silu_back DIVIDED
#define RULE_tanh_back DIVIDED
#define RULE_sigmoid_back DIVIDED
#define RULE_cross_entropy DIVIDED
#define RULE_binary_entropy DIVIDED
#define RULE_multi_margin DIVIDED
#define RULE_dropout DIVIDED
#define RULE_dropout_back DIVIDED
#define RULE_embed DIVIDED
#define RULE_embed_grad SERIAL
#define RULE_attention DIVIDED
#define RULE_attention_back DIVIDED
#define RULE_lstm_cell DIVIDED
#define RULE_lstm_cell_back DIVIDED
#define RULE_gru_cell DIVIDED
#define RULE_gru_cell_back DIVIDED
#define RULE_winograd_forward DIVIDED
#define RULE_winograd_grad_input DIVIDED
#define RULE_winograd_grad_weight DIVIDED
#define RULE_max_pool DIVIDED
#define RULE_max_pool_back DIVIDED
#define RULE_avg_pool DIVIDED
#define RULE_avg_pool_back DIVIDED

void fl_divided_table(const fl_kernels *k, fl_kernels *table) {
  fl_divided_alone(k);
  *table = *k;
#define FL_OP(family, name, ret, args, traffic, formula) RULE_##name(name)
#include <fedlane/ops.def>
}
