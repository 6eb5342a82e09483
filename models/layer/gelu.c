/* gelu.c - x Phi(x), by erf or by its approximation with tanh. */
#include "models/layer/layer.h"

enum { FORM };
static const fl_param params[] = {
  { "form", 0, 0, 0, "erf|tanh", "Phi by erf, or the approximation by tanh", 0 },
};

static int bind(fl_module *m, fl_binder *b) {
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = m->from;
  return 0;
}
static void forward(const fl_module *m, const fl_pass *s) {
  const size_t n = s->n * fl_shape_size(&m->to);
  (m->h[FORM] > 0 ? s->k->gelu_tanh : s->k->gelu)(n, s->y, s->x[0]);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t n = s->n * fl_shape_size(&m->to);
  if (s->dx[0]) (m->h[FORM] > 0 ? s->k->gelu_tanh_back : s->k->gelu_back)(n, s->dx[0], s->dy, s->x[0]);
}

const fl_layer fl_layer_gelu = {
  .name = "gelu", .help = "x Phi(x)", .params = params, .n_params = sizeof params / sizeof *params, .least = 1, .most = 1,
  .acts = FL_IN_PLACE | FL_KEEPS_INPUT | FL_BACK_IN_PLACE, .bind = bind, .forward = forward, .backward = backward };
