/* conv.c - convolution of an image with square kernels. */
#include "models/layer/layer.h"

enum { OUT, KERNEL, PAD, STRIDE, GROUPS, BIAS, WINOGRAD };
static const fl_param params[] = {
  { "out", 1, 1, 65536, NULL, "output channels", FL_WHOLE },
  { "kernel", 3, 1, 64, NULL, "rows and columns of a kernel", FL_WHOLE },
  { "pad", 0, 0, 64, NULL, "rows and columns of zeros around the image", FL_WHOLE },
  { "stride", 1, 1, 64, NULL, "rows and columns from one place of the kernel to the next", FL_WHOLE },
  { "groups", 1, 1, 65536, NULL, "an output channel reads the input channels of its group alone; as many as channels: depth-wise",
    FL_WHOLE },
  { "bias", 1, 0, 0, "no|yes", "whether a bias is added", 0 },
  { "winograd", 1, 0, 0, "no|yes", "F(4x4, 3x3) at the shapes at which it is faster: other bits, a larger rounding error", 0 },
};

fl_conv fl_conv_of(const fl_module *m) {
  const size_t *in = m->from.dim;
  return (fl_conv){ .c = in[0], .h = in[1], .w = in[2], .o = (size_t)m->h[OUT], .k = (size_t)m->h[KERNEL],
                    .p = (size_t)m->h[PAD], .stride = (size_t)m->h[STRIDE], .groups = (size_t)m->h[GROUPS],
                    .winograd = m->h[WINOGRAD] > 0 };
}

/* NULL: it adds none. */
static const float *bias(const fl_module *m, const float *p) { return m->h[BIAS] > 0 ? p + m->at[1] : NULL; }

double fl_conv_macs(const fl_module *m) {
  const fl_conv c = fl_conv_of(m);
  return (double)(c.o * fl_conv_oh(&c) * fl_conv_ow(&c)) * (double)(c.c / c.groups * c.k * c.k);
}

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  if (fl_bind_direct(b)) m->h[WINOGRAD] = 0;
  const fl_conv c = fl_conv_of(m);
  if (c.k > c.h + 2 * c.p || c.k > c.w + 2 * c.p)
    return fl_bind_refuse(b, "a %zux%zu kernel does not fit in %zux%zu with padding %zu", c.k, c.k, c.h, c.w, c.p);
  if (c.c % c.groups || c.o % c.groups)
    return fl_bind_refuse(b, "groups = %zu; allowed: a divisor of its %zu input and %zu output channels", c.groups, c.c, c.o);
  m->to = (fl_shape){ FL_IMAGE, { c.o, fl_conv_oh(&c), fl_conv_ow(&c) } };
  const fl_start start = { FL_START_UNIFORM, (double)(c.c / c.groups * c.k * c.k) };
  fl_bind_tensor(b, "weight", FL_CONV, start, 4, (const size_t[]){ c.o, c.c / c.groups, c.k, c.k });
  if (m->h[BIAS] > 0) fl_bind_tensor(b, "bias", FL_BIAS, start, 1, (const size_t[]){ c.o });
  return 0;
}

static size_t work(const fl_module *m, size_t n) {
  const fl_conv c = fl_conv_of(m);
  return fl_conv_work(&c, n) * sizeof(float);
}

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_forward(&c, s->n, s->x[0], s->p + m->at[0], bias(m, s->p), s->y, s->work);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_grad_weight(&c, s->n, s->x[0], s->dy, s->g + m->at[0], m->h[BIAS] > 0 ? s->g + m->at[1] : NULL, s->work);
  if (s->dx[0]) s->k->conv_grad_input(&c, s->n, s->p + m->at[0], s->dy, s->dx[0], s->work);
}

const fl_layer fl_layer_conv = {
  .name = "conv", .help = "convolution of an image", .params = params, .n_params = sizeof params / sizeof *params, .least = 1,
  .most = 1, .acts = FL_KEEPS_INPUT, .bind = bind, .work = work, .forward = forward, .backward = backward,
  .macs = fl_conv_macs };
