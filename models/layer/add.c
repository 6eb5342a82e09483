/* add.c - the sum of two to four values of one shape, from left to right: residual connections. */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  char text[64], other[64];
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  for (size_t i = 1; i < m->n_in; i++) {
    const fl_shape *s = fl_bind_input(b, i);
    if (s->kind != m->from.kind || s->dim[0] != m->from.dim[0] || s->dim[1] != m->from.dim[1] || s->dim[2] != m->from.dim[2])
      return fl_bind_refuse(b, "it adds %s to %s; allowed: equal shapes", fl_shape_text(s, text), fl_shape_text(&m->from, other));
  }
  m->to = m->from;
  return 0;
}

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t n = s->n * fl_shape_size(&m->to);
  s->k->add(n, s->y, s->x[0], s->x[1]);
  for (size_t i = 2; i < m->n_in; i++) s->k->add(n, s->y, s->y, s->x[i]);
}

const fl_layer fl_layer_add = {
  .name = "add", .help = "the sum of what it reads (from: [NAME, NAME ...]), from left to right", .least = 2,
  .most = FL_LAYER_INPUTS, .acts = FL_IN_PLACE, .bind = bind, .forward = forward };
