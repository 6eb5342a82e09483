/* sigmoid.c - 1/(1 + exp(-x)). */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = m->from;
  return 0;
}
static void forward(const fl_module *m, const fl_pass *s) { s->k->sigmoid(s->n * fl_shape_size(&m->to), s->y, s->x[0]); }
static void backward(const fl_module *m, const fl_pass *s) {
  if (s->dx[0]) s->k->sigmoid_back(s->n * fl_shape_size(&m->to), s->dx[0], s->dy, s->y);
}

const fl_layer fl_layer_sigmoid = {
  .name = "sigmoid", .help = "1/(1 + exp(-x))", .least = 1, .most = 1, .acts = FL_IN_PLACE | FL_KEEPS_OUTPUT | FL_BACK_IN_PLACE,
  .bind = bind, .forward = forward, .backward = backward };
