/* convolution.c - convolutions. In layouts of oneDNN's choice, to which images and weights are brought at each call, they take,
 * over the shapes of scripts/rivals convolutions, 1.18, 1.17, 1.24 of our time (forward, gradients of input and weights; AVX2),
 * in dense ones 1.25, 1.20, 1.23. Dense is faster for kernels of 1x1, which are plain products then, and, but for the gradient of
 * the input, where there are many weights beside the inputs: so chosen, 1.11, 1.05, 1.17. */
#include "parts.h"

enum { OPERATION, SAMPLES, CHANNELS, HEIGHT, WIDTH, OUTPUTS, KERNEL, KERNEL_WIDE, PAD, PAD_WIDE, STRIDE, GROUPS, BIAS, FREE };

/* Of a convolution: descriptions, and the dimensions of its arrays. */
typedef struct {
  int64_t x[4], w[5], b[1], y[4];
  int weights;                  /* dimensions of w */
  dnnl_memory_desc_t in, weight, bias, out;
  dnnl_primitive_desc_t forward, back;
} plan;

static void sizes_of(const int64_t *v, plan *p) {
  const int64_t g = v[GROUPS], oh = (v[HEIGHT] + 2 * v[PAD] - v[KERNEL]) / v[STRIDE] + 1;
  const int64_t ow = (v[WIDTH] + 2 * v[PAD_WIDE] - v[KERNEL_WIDE]) / v[STRIDE] + 1;
  const int64_t x[] = { v[SAMPLES], v[CHANNELS], v[HEIGHT], v[WIDTH] }, y[] = { v[SAMPLES], v[OUTPUTS], oh, ow };
  const int64_t grouped[] = { g, v[OUTPUTS] / g, v[CHANNELS] / g, v[KERNEL], v[KERNEL_WIDE] };
  p->weights = g > 1 ? 5 : 4;
  p->b[0] = v[OUTPUTS];
  for (int i = 0; i < 4; i++) p->x[i] = x[i], p->y[i] = y[i];
  for (int i = 0; i < p->weights; i++) p->w[i] = grouped[i + (g == 1)];
}

static unsigned layouts_of(const int64_t *v) {
  const int64_t taps = v[KERNEL] * v[KERNEL_WIDE], weights = v[OUTPUTS] * (v[CHANNELS] / v[GROUPS]) * taps;
  const int64_t inputs = v[SAMPLES] * v[CHANNELS] * v[HEIGHT] * v[WIDTH];
  return taps == 1 || (v[OPERATION] != ONEDNN_CONV_INPUT && 2 * weights > inputs) ? 0 : FL_ONEDNN_ANY;
}

static int describe(const int64_t *v, plan *p) {
  const dnnl_engine_t e = fl_onednn_engine();
  const dnnl_alg_kind_t algorithm = v[FREE] ? dnnl_convolution_auto : dnnl_convolution_direct;
  const dnnl_dims_t step = { v[STRIDE], v[STRIDE] }, none = { 0, 0 }, pad = { v[PAD], v[PAD_WIDE] };
  const unsigned layouts = layouts_of(v);
  p->in = fl_onednn_layout(4, p->x, layouts);
  p->weight = fl_onednn_layout(p->weights, p->w, layouts);
  p->bias = v[BIAS] ? fl_onednn_layout(1, p->b, 0) : NULL;
  p->out = fl_onednn_layout(4, p->y, layouts);
  if (!p->in || !p->weight || !p->out || (v[BIAS] && !p->bias)) return 0;
  if (dnnl_convolution_forward_primitive_desc_create(&p->forward, e, dnnl_forward_training, algorithm, p->in, p->weight, p->bias,
                                                     p->out, step, none, pad, pad, NULL) != dnnl_success) return 0;
  if (v[OPERATION] == ONEDNN_CONV_INPUT)
    return dnnl_convolution_backward_data_primitive_desc_create(&p->back, e, algorithm, p->in, p->weight, p->out, step, none, pad,
                                                                pad, p->forward, NULL) == dnnl_success;
  if (v[OPERATION] == ONEDNN_CONV_WEIGHT)
    return dnnl_convolution_backward_weights_primitive_desc_create(&p->back, e, algorithm, p->in, p->weight, p->bias, p->out,
                                                                   step, none, pad, pad, p->forward, NULL) == dnnl_success;
  return 1;
}

/* Operands in the order of convolve: x, w, y or their gradients, at last the bias. */
static int add_operands(const int64_t *v, const plan *p, onednn_job *j) {
  const int64_t operation = v[OPERATION];
  const int input = operation == ONEDNN_CONV_INPUT, weight = operation == ONEDNN_CONV_WEIGHT, back = input || weight;
  const_dnnl_primitive_desc_t d = back ? p->back : p->forward;
  return fl_onednn_operand(j, d, input ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, input, 4, p->x, 0) &&
         fl_onednn_operand(j, d, weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, weight, p->weights, p->w, 0) &&
         fl_onednn_operand(j, d, back ? DNNL_ARG_DIFF_DST : DNNL_ARG_DST, !back, 4, p->y, 0) &&
         (!v[BIAS] || fl_onednn_operand(j, d, weight ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, weight, 1, p->b, 0));
}

static int make(const onednn_key *key, onednn_job *j) {
  plan p = { 0 };
  sizes_of(key->of, &p);
  const int made = describe(key->of, &p) && add_operands(key->of, &p, j);
  return fl_onednn_finish(j, made, p.forward, p.back, 4, (const dnnl_memory_desc_t[]){ p.in, p.weight, p.bias, p.out });
}

int fl_onednn_convolve(int operation, const fl_conv *s, size_t n, const float *x, const float *w, const float *y,
                       const float *b) {
  if (!n) return 0;
  const onednn_key key = { { operation, (int64_t)n, (int64_t)s->c, (int64_t)s->h, (int64_t)s->w, (int64_t)s->o, (int64_t)s->k,
                             (int64_t)fl_conv_kw(s), (int64_t)s->p, (int64_t)fl_conv_pw(s), (int64_t)fl_conv_stride(s),
                             (int64_t)fl_conv_groups(s), b != NULL, s->winograd != 0 } };
  onednn_job *j = fl_onednn_find(&key, make);
  return j && fl_onednn_run(j, (const void *const[]){ x, w, y, b });
}

void fl_onednn_conv_forward(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, float *work) {
  if (!fl_onednn_convolve(ONEDNN_CONV, s, n, x, w, y, b)) FL_ONEDNN_NATIVE(conv_forward)(s, n, x, w, b, y, work);
}
void fl_onednn_conv_grad_weight(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *db, float *work) {
  if (!fl_onednn_convolve(ONEDNN_CONV_WEIGHT, s, n, x, dw, dy, db))
    FL_ONEDNN_NATIVE(conv_grad_weight)(s, n, x, dy, dw, db, work);
}
void fl_onednn_conv_grad_input(const fl_conv *s, size_t n, const float *w, const float *dy, float *dx, float *work) {
  if (!fl_onednn_convolve(ONEDNN_CONV_INPUT, s, n, dx, w, dy, NULL)) FL_ONEDNN_NATIVE(conv_grad_input)(s, n, w, dy, dx, work);
}
