/* conv.c - convolution of an image with square kernels. */
#include "models/layer/layer.h"

enum { OUT, KERNEL, PAD };
static const fl_param params[] = {
  { "out", 1, 1, 65536, NULL, "output channels", FL_WHOLE },
  { "kernel", 3, 1, 64, NULL, "rows and columns of a kernel", FL_WHOLE },
  { "pad", 0, 0, 64, NULL, "rows and columns of zeros around the image", FL_WHOLE },
};

fl_conv fl_conv_of(const fl_module *m) {
  const size_t *in = m->from.dim;
  return (fl_conv){ .c = in[0], .h = in[1], .w = in[2], .o = (size_t)m->h[OUT], .k = (size_t)m->h[KERNEL],
                    .p = (size_t)m->h[PAD] };
}

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  const fl_conv c = fl_conv_of(m);
  if (c.k > c.h + 2 * c.p || c.k > c.w + 2 * c.p)
    return fl_bind_refuse(b, "a %zux%zu kernel does not fit in %zux%zu with padding %zu", c.k, c.k, c.h, c.w, c.p);
  m->to = (fl_shape){ FL_IMAGE, { c.o, fl_conv_oh(&c), fl_conv_ow(&c) } };
  const fl_start start = { FL_START_UNIFORM, (double)(c.c * c.k * c.k) };
  fl_bind_tensor(b, "weight", FL_CONV, start, 4, (const size_t[]){ c.o, c.c, c.k, c.k });
  fl_bind_tensor(b, "bias", FL_BIAS, start, 1, (const size_t[]){ c.o });
  return 0;
}

static size_t work(const fl_module *m, size_t n) {
  const fl_conv c = fl_conv_of(m);
  return fl_conv_work(&c, n) * sizeof(float);
}

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_forward(&c, s->n, s->x[0], s->p + m->at[0], s->p + m->at[1], s->y, s->work);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_grad_weight(&c, s->n, s->x[0], s->dy, s->g + m->at[0], s->g + m->at[1], s->work);
  if (s->dx[0]) s->k->conv_grad_input(&c, s->n, s->p + m->at[0], s->dy, s->dx[0], s->work);
}

static double macs(const fl_module *m) {
  const fl_conv c = fl_conv_of(m);
  return (double)(c.o * fl_conv_oh(&c) * fl_conv_ow(&c)) * (double)(c.c * c.k * c.k);
}

const fl_layer fl_layer_conv = {
  .name = "conv", .help = "convolution of an image", .params = params, .n_params = sizeof params / sizeof *params, .least = 1,
  .most = 1, .acts = FL_KEEPS_INPUT, .bind = bind, .work = work, .forward = forward, .backward = backward, .macs = macs };
