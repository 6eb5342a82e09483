// shapes.h - kernels whose arguments are shapes: each has its own cases. Anything that is not listed here is element-wise.
#ifndef FEDLANE_BENCH_SHAPES_H
#define FEDLANE_BENCH_SHAPES_H
#include "bench.h"

namespace bench {

using ceilings::Traffic;

struct Op {
  const char *family, *name, *formula;
  Traffic traffic;
  const char *variant = ""; // of a call that leaves arrays out: what the line's name says
  unsigned absent = 0;      // these arrays, a bit each
};

// One call: its name behind kernel/isa/, what it computes, arrays of `floats` each, and the call itself.
struct Shape {
  std::string name;
  double elements, flops;
  size_t floats, arrays;
  std::function<void(const fl_kernels *, float *const *)> call;
  unsigned in_place = 0; // arrays that are read and written
  unsigned threads = 1;  // of the call itself
  double double_fmas = 0;
  bool streams = true;   // false: no stream binds it
};
void add_shape(Book &book, const Op &op, const Shape &shape);     // on every instruction set
std::string dimension(const char *name, size_t value);

#define FL_OP(family, name, ret, args, traffic, formula) struct tag_##name {};
#include <fedlane/ops.def>

#define FL_SHAPED(name) void cases(tag_##name, Book &book, const Op &op, \
                                   [[maybe_unused]] decltype(fl_kernels::name) fl_kernels::*member)
FL_SHAPED(mean_runs);
FL_SHAPED(mean_sq_runs);
FL_SHAPED(gram);
FL_SHAPED(sq_distances);
FL_SHAPED(gemm_nn);
FL_SHAPED(gemm_nt);
FL_SHAPED(gemm_tn);
FL_SHAPED(gemm_syrk);
FL_SHAPED(gemm_nn_add);
FL_SHAPED(gemm_tn_add);
FL_SHAPED(transpose);
FL_SHAPED(qr_panel);
FL_SHAPED(wy);
FL_SHAPED(cholesky_panel);
FL_SHAPED(rotate);
FL_SHAPED(bias_rows);
FL_SHAPED(bias_grad);
FL_SHAPED(softmax_xent);
FL_SHAPED(softmax_sample);
FL_SHAPED(argmax_rows);
FL_SHAPED(maxpool2);
FL_SHAPED(maxpool2_back);
FL_SHAPED(conv_forward);
FL_SHAPED(conv_grad_weight);
FL_SHAPED(conv_grad_input);
FL_SHAPED(conv_pool);
FL_SHAPED(conv_pool_back);
// Normalisation (norms.cpp).
FL_SHAPED(layer_norm);
FL_SHAPED(layer_norm_back);
FL_SHAPED(group_norm);
FL_SHAPED(group_norm_back);
FL_SHAPED(batch_moments);
FL_SHAPED(batch_norm);
FL_SHAPED(batch_norm_grad);
FL_SHAPED(batch_norm_back);
// Pooling, losses, embeddings (layers.cpp).
FL_SHAPED(max_pool);
FL_SHAPED(max_pool_back);
FL_SHAPED(avg_pool);
FL_SHAPED(avg_pool_back);
FL_SHAPED(cross_entropy);
FL_SHAPED(multi_margin);
FL_SHAPED(embed);
FL_SHAPED(embed_grad);
// Attention, recurrent networks (sequences.cpp).
FL_SHAPED(attention);
FL_SHAPED(attention_back);
FL_SHAPED(lstm_cell);
FL_SHAPED(lstm_cell_back);
FL_SHAPED(gru_cell);
FL_SHAPED(gru_cell_back);
void add_sequences(Book &);
FL_SHAPED(winograd_forward);
FL_SHAPED(winograd_grad_weight);
FL_SHAPED(winograd_grad_input);

} // namespace bench
#endif
