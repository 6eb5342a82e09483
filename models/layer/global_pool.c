/* global_pool.c - the mean of each channel of an image over all its positions. */
#include "models/layer/layer.h"

static size_t positions(const fl_module *m) { return m->from.dim[1] * m->from.dim[2]; }

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  m->to = (fl_shape){ FL_VECTOR, { m->from.dim[0] } };
  return 0;
}

static size_t work(const fl_module *m, size_t n) { return n * m->from.dim[0] * sizeof(fl_run); }

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t planes = s->n * m->from.dim[0], size = positions(m);
  fl_run *run = s->work;
  for (size_t i = 0; i < planes; i++) run[i] = (fl_run){ i * size, size };
  s->k->mean_runs(planes, run, s->x[0], s->y);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const size_t planes = s->n * m->from.dim[0], size = positions(m);
  const float all = (float)size;
  for (size_t i = 0; s->dx[0] && i < planes; i++) {
    const float d = s->dy[i] / all;
    for (size_t j = 0; j < size; j++) s->dx[0][i * size + j] = d;
  }
}

const fl_layer fl_layer_global_pool = {
  .name = "global_pool", .help = "the mean of each channel of an image, a vector", .least = 1, .most = 1, .bind = bind,
  .work = work, .forward = forward, .backward = backward };
