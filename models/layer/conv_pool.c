/* conv_pool.c - a convolution, ReLU and 2x2 pooling as one step. No network names it: the plan puts it in the place of the three,
 * and it has the name, the parameters and the tensors of the convolution. */
#include "models/layer/pool.h"
#include <string.h>

int fl_conv_pool_replaces(const fl_module *conv, const fl_module *relu, const fl_module *pool) {
  if (strcmp(conv->type->name, "conv") || strcmp(relu->type->name, "relu") || strcmp(pool->type->name, "max_pool") ||
      !pool_is_plain(pool)) return 0;
  const fl_conv c = fl_conv_of(conv);
  return conv->n_tensors == 2 && c.stride == 1 && c.groups == 1 && !fl_conv_winograd(&c) && fl_conv_pool_fits(&c);
}

static size_t kept(const fl_module *m) { return fl_shape_size(&m->to); }
static size_t work(const fl_module *m, size_t n) {
  const fl_conv c = fl_conv_of(m);
  return fl_conv_pool_work(&c, n) * sizeof(float);
}

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_pool(&c, s->n, s->x[0], s->p + m->at[0], s->p + m->at[1], s->y, s->kept, s->work);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const fl_conv c = fl_conv_of(m);
  s->k->conv_pool_back(&c, s->n, s->x[0], s->p + m->at[0], s->dy, s->kept, s->dx[0], s->g + m->at[0], s->g + m->at[1], s->work);
}

const fl_layer fl_layer_conv_pool = {
  .name = "conv_pool", .help = "convolution, ReLU and 2x2 pooling in one", .least = 1, .most = 1, .acts = FL_KEEPS_INPUT,
  .kept = kept, .work = work, .forward = forward, .backward = backward, .macs = fl_conv_macs };
