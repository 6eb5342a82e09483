/* max_pool.c - the largest of each window of an image. Windows of 2x2 with stride 2 have kernels of their own, and become one
 * step with a convolution and ReLU before them (conv_pool.c). */
#include "models/layer/pool.h"

static const fl_param params[] = { POOL_PARAMS(FL_POOL_MOST_AT, "never the largest") };

static size_t kept(const fl_module *m) { return fl_shape_size(&m->to); }

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_pool p = pool_of(m);
  if (pool_is_plain(m)) s->k->maxpool2(pool_planes(m, s->n), p.h, p.w, s->x[0], s->y, s->kept);
  else s->k->max_pool(&p, pool_planes(m, s->n), s->x[0], s->y, s->kept);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const fl_pool p = pool_of(m);
  if (!s->dx[0]) return;
  if (pool_is_plain(m)) s->k->maxpool2_back(pool_planes(m, s->n), p.h, p.w, s->dy, s->kept, s->dx[0]);
  else s->k->max_pool_back(&p, pool_planes(m, s->n), s->dy, s->kept, s->dx[0]);
}

const fl_layer fl_layer_max_pool = {
  .name = "max_pool", .help = "the largest of each window of an image; what lies behind the last whole one is left out",
  .params = params, .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .bind = pool_bind, .kept = kept,
  .forward = forward, .backward = backward };
