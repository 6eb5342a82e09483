/* avg_pool.c - the mean of each window of an image. */
#include "models/layer/pool.h"

enum { COUNT_PAD = POOL_PAD + 1 };
static const fl_param params[] = {
  POOL_PARAMS(FL_POOL_MOST, "zeros"),
  { "count_pad", 1, 0, 0, "no|yes", "whether the mean is over the places around the image too", 0 },
};

static fl_pool windows(const fl_module *m) {
  fl_pool p = pool_of(m);
  p.count_pad = m->h[COUNT_PAD] > 0;
  return p;
}

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_pool p = windows(m);
  s->k->avg_pool(&p, pool_planes(m, s->n), s->x[0], s->y);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const fl_pool p = windows(m);
  if (s->dx[0]) s->k->avg_pool_back(&p, pool_planes(m, s->n), s->dy, s->dx[0]);
}

const fl_layer fl_layer_avg_pool = {
  .name = "avg_pool", .help = "the mean of each window of an image; what lies behind the last whole one is left out",
  .params = params, .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .bind = pool_bind, .forward = forward,
  .backward = backward };
