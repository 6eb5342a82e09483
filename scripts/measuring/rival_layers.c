/* rival_layers.c - microseconds of our pools, norms, activations and recurrent layers, of the same through the second backend
 * (fedlane's plug-in: our layouts at the borders of every call), and of oneDNN's primitives on arrays in layouts of its choice,
 * which lie ready: batches of 50 as LeNet-5, VGG-11, ResNet-18, ViT-Tiny and the character LSTM have them. One thread, in turns.
 * Built and run by scripts/rivals against oneDNN 3. Prints one JSON object of "SIDE LAYER SHAPE": the best of some repetitions,
 * by the thread's own time, and the geometric means of the other sides' times over ours. usage: rival_layers [PLUG-IN] */
#include "rival_onednn.h"
#include <math.h>

enum { BATCH = 50, TURNS = 9, ARRAYS = 10, NATIVE = 0, BACKEND, ONEDNN, SIDES };
static const char *const side_name[] = { "native", "backend", "onednn" };
static const float eps = 1e-5f;

typedef void call(const fl_kernels *, const size_t *d, float *const *a);
typedef void maker(const size_t *d, rival *forward, rival *back);
/* A layer forward and back; floats: of the largest of its arrays, d being the row's. */
typedef struct {
  const char *name;
  call *forward, *back;
  maker *make;
  size_t (*floats)(const size_t *d);
} layer;

/* ---- pooling: planes, h, w ----------------------------------------------------------------------------------------------- */
static size_t of_planes(const size_t *d) { return d[0] * d[1] * d[2]; }
static void pool(const fl_kernels *k, const size_t *d, float *const *a) {
  k->maxpool2(d[0], d[1], d[2], a[0], a[1], (uint8_t *)a[2]);
}
static void pool_back(const fl_kernels *k, const size_t *d, float *const *a) {
  k->maxpool2_back(d[0], d[1], d[2], a[1], (const uint8_t *)a[2], a[3]);
}
static void pools(const size_t *d, rival *forward, rival *back) {
  const dnnl_dims_t x = { BATCH, (int64_t)(d[0] / BATCH), (int64_t)d[1], (int64_t)d[2] };
  const dnnl_dims_t y = { x[0], x[1], x[2] / 2, x[3] / 2 }, two = { 2, 2 }, none = { 0, 0 };
  /* As a convolution before it leaves them; six channels are eight. */
  const dnnl_format_tag_t tag = strcmp(kernels->name, "avx512") ? dnnl_nChw8c : dnnl_nChw16c;
  dnnl_memory_desc_t in = layout(4, x, tag), out = layout(4, y, dnnl_format_tag_any);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_pooling_forward_primitive_desc_create(&p, engine, dnnl_forward_training, dnnl_pooling_max, in, out, two, two, none,
                                                none, none, NULL), "pooling");
  out = layout(4, y, tag);
  ok(dnnl_pooling_backward_primitive_desc_create(&q, engine, dnnl_pooling_max, in, out, two, two, none, none, none, p, NULL),
     "pooling back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}

/* ---- convolution, ReLU and pooling: channels, side, outputs, kernel, padding ---------------------------------------------- */
static fl_conv conv_of(const size_t *d) { return (fl_conv)FL_CONV_OF(d[0], d[1], d[1], d[2], d[3], d[4]); }
static size_t of_conv(const size_t *d) {
  const fl_conv s = conv_of(d);
  const size_t x = BATCH * s.c * s.h * s.w, y = BATCH * s.o * fl_conv_oh(&s) * fl_conv_ow(&s);
  const size_t data = x > y ? x : y, work = fl_conv_pool_work(&s, BATCH);
  return data > work ? data : work;
}
static void conv_pool(const fl_kernels *k, const size_t *d, float *const *a) {
  const fl_conv s = conv_of(d);
  k->conv_pool(&s, BATCH, a[0], a[4], a[5], a[1], (uint8_t *)a[2], a[8]);
}
static void conv_pool_back(const fl_kernels *k, const size_t *d, float *const *a) {
  const fl_conv s = conv_of(d);
  k->conv_pool_back(&s, BATCH, a[0], a[4], a[1], (const uint8_t *)a[2], a[3], a[6], a[7], a[8]);
}
/* The ReLU is the convolution's; on the way back it is a step of its own. */
static void conv_pools(const size_t *d, rival *forward, rival *back) {
  const fl_conv s = conv_of(d);
  const int64_t side = (int64_t)fl_conv_oh(&s), k = (int64_t)s.k;
  const dnnl_dims_t x = { BATCH, (int64_t)s.c, (int64_t)s.h, (int64_t)s.w }, w = { (int64_t)s.o, (int64_t)s.c, k, k };
  const dnnl_dims_t y = { BATCH, (int64_t)s.o, side, side }, half = { BATCH, (int64_t)s.o, side / 2, side / 2 };
  const dnnl_dims_t one = { 1, 1 }, two = { 2, 2 }, none = { 0, 0 }, pad = { (int64_t)s.p, (int64_t)s.p };
  dnnl_memory_desc_t mx = layout(4, x, dnnl_format_tag_any), mw = layout(4, w, dnnl_format_tag_any);
  dnnl_memory_desc_t my = layout(4, y, dnnl_format_tag_any), pooled = layout(4, half, dnnl_format_tag_any);
  dnnl_memory_desc_t mb = layout(1, w, dnnl_a);
  dnnl_primitive_desc_t conv, weight, input, pool, pool_way_back, relu, relu_back;
  dnnl_post_ops_t behind;
  dnnl_primitive_attr_t with_relu;
  ok(dnnl_post_ops_create(&behind), "post-op");
  ok(dnnl_post_ops_append_eltwise(behind, dnnl_eltwise_relu, 0, 0), "post-op");
  ok(dnnl_primitive_attr_create(&with_relu), "attributes");
  ok(dnnl_primitive_attr_set_post_ops(with_relu, behind), "attributes");
  ok(dnnl_convolution_forward_primitive_desc_create(&conv, engine, dnnl_forward_training, dnnl_convolution_direct, mx, mw, mb, my,
                                                    one, none, pad, pad, with_relu), "convolution");
  const_dnnl_memory_desc_t full = dnnl_primitive_desc_query_md(conv, dnnl_query_dst_md, 0);
  ok(dnnl_pooling_forward_primitive_desc_create(&pool, engine, dnnl_forward_training, dnnl_pooling_max, full, pooled, two, two,
                                                none, none, none, NULL), "pooling");
  const_dnnl_memory_desc_t out = dnnl_primitive_desc_query_md(pool, dnnl_query_dst_md, 0);
  ok(dnnl_pooling_backward_primitive_desc_create(&pool_way_back, engine, dnnl_pooling_max, full, out, two, two, none, none, none,
                                                 pool, NULL), "pooling back");
  ok(dnnl_eltwise_forward_primitive_desc_create(&relu, engine, dnnl_forward_training, dnnl_eltwise_relu_use_dst_for_bwd, full,
                                                full, 0, 0, NULL), "relu");
  ok(dnnl_eltwise_backward_primitive_desc_create(&relu_back, engine, dnnl_eltwise_relu_use_dst_for_bwd, full, full, full, 0, 0,
                                                 relu, NULL), "relu back");
  ok(dnnl_convolution_backward_weights_primitive_desc_create(&weight, engine, dnnl_convolution_direct, mx, mw, mb, my, one, none,
                                                             pad, pad, conv, NULL), "backward weights");
  ok(dnnl_convolution_backward_data_primitive_desc_create(&input, engine, dnnl_convolution_direct, mx, mw, my, one, none, pad,
                                                          pad, conv, NULL), "backward data");
  ready(forward, conv, NULL);
  ready(rival_then(forward), pool, NULL);
  ready(back, pool_way_back, forward->then);
  ready(rival_then(back), relu_back, NULL);
  ready(rival_then(back->then), weight, NULL);
  ready(rival_then(back->then->then), input, NULL);
  dnnl_primitive_desc_destroy(relu);
}

/* ---- layer norm: rows, n ------------------------------------------------------------------------------------------------- */
static size_t of_rows(const size_t *d) { return d[0] * d[1]; }
static void rows_norm(const fl_kernels *k, const size_t *d, float *const *a) {
  k->layer_norm(d[0], d[1], a[0], a[4], a[5], eps, a[1], a[2]);
}
static void rows_back(const fl_kernels *k, const size_t *d, float *const *a) {
  k->layer_norm_back(d[0], d[1], a[0], a[4], a[2], a[1], a[3], a[6], a[7], 32, a[8]);
}
static void rows_norms(const size_t *d, rival *forward, rival *back) {
  const dnnl_dims_t x = { (int64_t)d[0], (int64_t)d[1] };
  dnnl_memory_desc_t data = layout(2, x, dnnl_ab), stat = layout(1, x, dnnl_a);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_layer_normalization_forward_primitive_desc_create(&p, engine, dnnl_forward_training, data, data, stat, eps,
                                                            dnnl_use_scale | dnnl_use_shift, NULL), "layer norm");
  ok(dnnl_layer_normalization_backward_primitive_desc_create(&q, engine, dnnl_backward, data, data, data, stat, eps,
                                                             dnnl_use_scale | dnnl_use_shift, p, NULL), "layer norm back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}

/* ---- batch norm while it trains: c, hw ----------------------------------------------------------------------------------- */
static size_t of_channels(const size_t *d) { return BATCH * d[0] * d[1]; }
static void batch_norm(const fl_kernels *k, const size_t *d, float *const *a) {
  double *moments = (double *)a[8];
  k->batch_moments(BATCH, d[0], d[1], a[0], fl_sample_piece(d[1]), moments);
  fl_batch_stat(d[0], BATCH * d[1], moments, eps, a[2]);
  k->batch_norm(BATCH, d[0], d[1], a[0], a[2], a[4], a[5], 0, a[1]);
}
static void batch_back(const fl_kernels *k, const size_t *d, float *const *a) {
  k->batch_norm_grad(BATCH, d[0], d[1], a[0], a[2], a[4], a[5], 0, a[1], a[6], a[7], fl_sample_piece(d[1]));
  k->batch_norm_back(BATCH, d[0], d[1], a[0], a[2], a[4], a[5], 0, a[1], a[6], a[7], BATCH * d[1], a[3]);
}
static void batch_norms(const size_t *d, rival *forward, rival *back) {
  const int64_t side = (int64_t)sqrt((double)d[1]);
  const dnnl_dims_t x = { BATCH, (int64_t)d[0], side, (int64_t)d[1] / side };
  dnnl_memory_desc_t data = layout(4, x, !strcmp(kernels->name, "avx512") ? dnnl_nChw16c : dnnl_nChw8c);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_batch_normalization_forward_primitive_desc_create(&p, engine, dnnl_forward_training, data, data, eps,
                                                            dnnl_use_scale | dnnl_use_shift, NULL), "batch norm");
  ok(dnnl_batch_normalization_backward_primitive_desc_create(&q, engine, dnnl_backward, data, data, data, eps,
                                                             dnnl_use_scale | dnnl_use_shift, p, NULL), "batch norm back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}

/* ---- activations: n ------------------------------------------------------------------------------------------------------ */
static size_t of_elements(const size_t *d) { return d[0]; }
static void gelu(const fl_kernels *k, const size_t *d, float *const *a) { k->gelu(d[0], a[1], a[0]); }
static void gelu_back(const fl_kernels *k, const size_t *d, float *const *a) { k->gelu_back(d[0], a[3], a[1], a[0]); }
static void gelu_tanh(const fl_kernels *k, const size_t *d, float *const *a) { k->gelu_tanh(d[0], a[1], a[0]); }
static void gelu_tanh_back(const fl_kernels *k, const size_t *d, float *const *a) { k->gelu_tanh_back(d[0], a[3], a[1], a[0]); }
/* SiLU's way back reads what forward read, those of the other three what it gave. */
static void silu(const fl_kernels *k, const size_t *d, float *const *a) { k->silu(d[0], a[1], a[0]); }
static void silu_back(const fl_kernels *k, const size_t *d, float *const *a) { k->silu_back(d[0], a[3], a[1], a[0]); }
static void relu(const fl_kernels *k, const size_t *d, float *const *a) { k->relu(d[0], a[1], a[0]); }
static void relu_back(const fl_kernels *k, const size_t *d, float *const *a) { k->relu_back(d[0], a[3], a[0], a[1]); }
static void hyperbolic(const fl_kernels *k, const size_t *d, float *const *a) { k->tanh(d[0], a[1], a[0]); }
static void hyperbolic_back(const fl_kernels *k, const size_t *d, float *const *a) { k->tanh_back(d[0], a[3], a[0], a[1]); }
static void sigmoid(const fl_kernels *k, const size_t *d, float *const *a) { k->sigmoid(d[0], a[1], a[0]); }
static void sigmoid_back(const fl_kernels *k, const size_t *d, float *const *a) { k->sigmoid_back(d[0], a[3], a[0], a[1]); }
static void elements(const size_t *d, dnnl_alg_kind_t kind, float alpha, rival *forward, rival *back) {
  const dnnl_dims_t x = { (int64_t)d[0] };
  dnnl_memory_desc_t data = layout(1, x, dnnl_a);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_eltwise_forward_primitive_desc_create(&p, engine, dnnl_forward_training, kind, data, data, alpha, 0, NULL), "eltwise");
  ok(dnnl_eltwise_backward_primitive_desc_create(&q, engine, kind, data, data, data, alpha, 0, p, NULL), "eltwise back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}
static void gelus(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_gelu_erf, 0, f, b); }
static void gelu_tanhs(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_gelu_tanh, 0, f, b); }
static void silus(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_swish, 1, f, b); }
static void relus(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_relu_use_dst_for_bwd, 0, f, b); }
static void hyperbolics(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_tanh_use_dst_for_bwd, 0, f, b); }
static void sigmoids(const size_t *d, rival *f, rival *b) { elements(d, dnnl_eltwise_logistic_use_dst_for_bwd, 0, f, b); }

/* ---- LSTM, GRU: length, in, hidden --------------------------------------------------------------------------------------- */
static size_t of_sequence(const size_t *d) {
  const fl_recurrent s = { d[0], d[1], d[2] };
  const size_t gates = BATCH * d[0] * 4 * d[2], work = fl_recurrent_work(&s, BATCH);
  return gates > work ? gates : work;
}
static fl_recurrent_weights weights(const size_t *d, const float *w) {
  const float *hidden = w + 4 * d[2] * d[1], *bias = hidden + 4 * d[2] * d[2];
  return (fl_recurrent_weights){ w, hidden, bias, bias + 4 * d[2] };
}
static fl_recurrent_gradients gradients(const size_t *d, float *g) {
  float *hidden = g + 4 * d[2] * d[1], *bias = hidden + 4 * d[2] * d[2];
  return (fl_recurrent_gradients){ g, hidden, bias, bias + 4 * d[2] };
}
#define RECURRENT(name) \
  static void name(const fl_kernels *k, const size_t *d, float *const *a) { \
    const fl_recurrent s = { d[0], d[1], d[2] }; \
    const fl_recurrent_weights w = weights(d, a[4]); \
    fl_##name(k, &s, BATCH, a[0], &w, a[1], a[2], a[5], a[8]); \
  } \
  static void name##_back(const fl_kernels *k, const size_t *d, float *const *a) { \
    const fl_recurrent s = { d[0], d[1], d[2] }; \
    const fl_recurrent_weights w = weights(d, a[4]); \
    const fl_recurrent_gradients to = gradients(d, a[6]); \
    fl_##name##_back(k, &s, BATCH, a[0], &w, a[1], a[2], a[5], a[7], a[3], &to, a[8]); \
  }
RECURRENT(lstm)
RECURRENT(gru)
static void lstms(const size_t *d, rival *forward, rival *back) {
  const int64_t t = (int64_t)d[0], in = (int64_t)d[1], h = (int64_t)d[2];
  const dnnl_dims_t x = { t, BATCH, in }, y = { t, BATCH, h }, b = { 1, 1, 4, h };
  const dnnl_dims_t wx = { 1, 1, in, 4, h }, wh = { 1, 1, h, 4, h };
  dnnl_memory_desc_t mx = layout(3, x, dnnl_tnc), my = layout(3, y, dnnl_tnc), mb = layout(4, b, dnnl_ldgo);
  dnnl_memory_desc_t mwx = layout(5, wx, dnnl_format_tag_any), mwh = layout(5, wh, dnnl_format_tag_any);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_lstm_forward_primitive_desc_create(&p, engine, dnnl_forward_training, dnnl_unidirectional_left2right, mx, NULL, NULL,
                                             mwx, mwh, NULL, NULL, mb, my, NULL, NULL, 0, NULL), "LSTM");
  ok(dnnl_lstm_backward_primitive_desc_create(&q, engine, dnnl_backward, dnnl_unidirectional_left2right, mx, NULL, NULL, mwx, mwh,
                                              NULL, NULL, mb, my, NULL, NULL, mx, NULL, NULL, mwx, mwh, NULL, NULL, mb, my, NULL,
                                              NULL, dnnl_rnn_flags_diff_weights_overwrite, p, NULL), "LSTM back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}

/* "Linear before reset" is PyTorch's form, and ours. */
static void grus(const size_t *d, rival *forward, rival *back) {
  const int64_t t = (int64_t)d[0], in = (int64_t)d[1], h = (int64_t)d[2];
  const dnnl_dims_t x = { t, BATCH, in }, y = { t, BATCH, h }, b = { 1, 1, 4, h };
  const dnnl_dims_t wx = { 1, 1, in, 3, h }, wh = { 1, 1, h, 3, h };
  dnnl_memory_desc_t mx = layout(3, x, dnnl_tnc), my = layout(3, y, dnnl_tnc), mb = layout(4, b, dnnl_ldgo);
  dnnl_memory_desc_t mwx = layout(5, wx, dnnl_format_tag_any), mwh = layout(5, wh, dnnl_format_tag_any);
  dnnl_primitive_desc_t p, q;
  ok(dnnl_lbr_gru_forward_primitive_desc_create(&p, engine, dnnl_forward_training, dnnl_unidirectional_left2right, mx, NULL, mwx,
                                                mwh, mb, my, NULL, 0, NULL), "GRU");
  ok(dnnl_lbr_gru_backward_primitive_desc_create(&q, engine, dnnl_backward, dnnl_unidirectional_left2right, mx, NULL, mwx, mwh,
                                                 mb, my, NULL, mx, NULL, mwx, mwh, mb, my, NULL,
                                                 dnnl_rnn_flags_diff_weights_overwrite, p, NULL), "GRU back");
  ready(forward, p, NULL);
  ready(back, q, forward);
}

/* ---- all ----------------------------------------------------------------------------------------------------------------- */
enum { POOL, CONV_POOL, ROWS, CHANNELS, GELU, GELU_TANH, SILU, RELU, TANH, SIGMOID, LSTM, GRU, LAYERS };
static const layer layers[] = {
  [POOL] = { "max_pool", pool, pool_back, pools, of_planes },
  [CONV_POOL] = { "conv_pool", conv_pool, conv_pool_back, conv_pools, of_conv },
  [ROWS] = { "layer_norm", rows_norm, rows_back, rows_norms, of_rows },
  [CHANNELS] = { "batch_norm", batch_norm, batch_back, batch_norms, of_channels },
  [GELU] = { "gelu", gelu, gelu_back, gelus, of_elements },
  [GELU_TANH] = { "gelu_tanh", gelu_tanh, gelu_tanh_back, gelu_tanhs, of_elements },
  [SILU] = { "silu", silu, silu_back, silus, of_elements },
  [RELU] = { "relu", relu, relu_back, relus, of_elements },
  [TANH] = { "tanh", hyperbolic, hyperbolic_back, hyperbolics, of_elements },
  [SIGMOID] = { "sigmoid", sigmoid, sigmoid_back, sigmoids, of_elements },
  [LSTM] = { "lstm", lstm, lstm_back, lstms, of_sequence },
  [GRU] = { "gru", gru, gru_back, grus, of_sequence },
};
static const struct { int layer; size_t d[5]; } rows[] = {
  { POOL, { 50 * 6, 28, 28 } }, { POOL, { 50 * 64, 32, 32 } }, { POOL, { 50 * 128, 16, 16 } }, { POOL, { 50 * 512, 4, 4 } },
  { POOL, { 50 * 512, 2, 2 } }, { CONV_POOL, { 1, 28, 6, 5, 2 } }, { CONV_POOL, { 6, 14, 16, 5, 0 } },
  { CONV_POOL, { 32, 32, 64, 3, 0 } }, { ROWS, { 50 * 65, 192 } }, { CHANNELS, { 64, 1024 } }, { CHANNELS, { 128, 256 } },
  { CHANNELS, { 256, 64 } }, { CHANNELS, { 512, 16 } }, { GELU, { 50 * 65 * 768 } }, { GELU_TANH, { 50 * 65 * 768 } },
  { SILU, { 50 * 6 * 784 } }, { RELU, { 50 * 6 * 784 } }, { TANH, { 50 * 6 * 784 } }, { SIGMOID, { 50 * 6 * 784 } },
  { LSTM, { 80, 8, 256 } }, { LSTM, { 80, 256, 256 } },
  { GRU, { 80, 8, 256 } }, { GRU, { 80, 256, 256 } } };
enum { ALL = sizeof rows / sizeof *rows };

static double total[SIDES][LAYERS][2];
static size_t counted[LAYERS];

static void measure(size_t i, const fl_kernels *const *table, float *const *array) {
  const layer *l = &layers[rows[i].layer];
  const size_t *d = rows[i].d;
  rival made[2];
  memset(made, 0, sizeof made);
  for (int a = 0; a < ARRAYS; a++) fill(array[a], l->floats(d), a == 4 || a == 6 ? 16 : 1);
  l->make(d, &made[0], &made[1]);
  for (int back = 0; back < 2; back++) {
    double best[SIDES] = { 1e30, 1e30, 1e30 };
    int calls = 1;
    for (int turn = -1; turn < TURNS; turn++) {
      for (int side = 0; side < SIDES; side++) {
        if (side != ONEDNN && !table[side]) continue;
        double took = 0;
        for (int c = 0; c < calls; c++) {
          /* What the way back overwrites is made anew, and that is not timed. */
          if (back && side != ONEDNN) l->forward(table[side], d, array);
          const double t = own_seconds();
          if (side == ONEDNN) run_rival(&made[back]);
          else (back ? l->back : l->forward)(table[side], d, array);
          took += own_seconds() - t;
        }
        took /= calls;
        if (turn < 0 && side == NATIVE) calls = 1 + (int)(2e-3 / took);
        if (turn >= 0 && took < best[side]) best[side] = took;
      }
    }
    for (int side = 0; side < SIDES; side++) {
      if (best[side] > 1e29) continue;
      printf(",\n \"%s %s%s %zu", side_name[side], l->name, back ? " back" : "", d[0]);
      for (int j = 1; j < 5 && d[j]; j++) printf("x%zu", d[j]);
      printf("\": %.1f", best[side] * 1e6);
      total[side][rows[i].layer][back] += log(best[side] / best[NATIVE]);
    }
  }
  counted[rows[i].layer]++;
  drop_rival(&made[1], &made[0]);
  drop_rival(&made[0], NULL);
}

int main(int argc, char **argv) {
  float *array[ARRAYS];
  size_t most = 0;
  start_onednn();
  const fl_kernels *const table[] = { kernels, argc > 1 ? backend_table(argv[1]) : NULL };
  for (size_t i = 0; i < ALL; i++) {
    const size_t n = layers[rows[i].layer].floats(rows[i].d);
    most = n > most ? n : most;
  }
  arrays(ARRAYS, most, array);
  print_head();
  for (size_t i = 0; i < ALL; i++) measure(i, table, array);
  for (int side = BACKEND; side < SIDES; side++) {
    for (int l = 0; l < LAYERS; l++) {
      for (int back = 0; back < 2 && (side == ONEDNN || table[side]); back++)
        printf(",\n \"geometric mean %s %s%s\": %.3f", side_name[side], layers[l].name, back ? " back" : "",
               exp(total[side][l][back] / (double)counted[l]));
    }
  }
  printf("}\n");
  return 0;
}
