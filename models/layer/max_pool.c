/* max_pool.c - the largest of each 2x2 window of an image, stride 2; the last of an odd number of rows or columns is left out. */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  if (m->from.dim[1] < 2 || m->from.dim[2] < 2)
    return fl_bind_refuse(b, "pooling 2x2 does not fit in %zux%zu", m->from.dim[1], m->from.dim[2]);
  m->to = (fl_shape){ FL_IMAGE, { m->from.dim[0], m->from.dim[1] / 2, m->from.dim[2] / 2 } };
  return 0;
}

static size_t kept(const fl_module *m) { return fl_shape_size(&m->to); }

static void forward(const fl_module *m, const fl_pass *s) {
  s->k->maxpool2(s->n * m->from.dim[0], m->from.dim[1], m->from.dim[2], s->x[0], s->y, s->kept);
}
static void backward(const fl_module *m, const fl_pass *s) {
  if (s->dx[0]) s->k->maxpool2_back(s->n * m->from.dim[0], m->from.dim[1], m->from.dim[2], s->dy, s->kept, s->dx[0]);
}

const fl_layer fl_layer_max_pool = {
  .name = "max_pool", .help = "the largest of each 2x2 window, stride 2", .least = 1, .most = 1, .bind = bind, .kept = kept,
  .forward = forward, .backward = backward };
