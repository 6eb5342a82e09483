/* dropout.c - while it trains, every number is dropped with a chance, and those that stay are divided by the chance to stay. What
 * is dropped is drawn from the gradient's own key; without one nothing is. */
#include "models/layer/layer.h"
#include <string.h>

enum { DROP };
static const fl_param params[] = {
  { "drop", 0.5, 0, 1, NULL, "chance of a number to be dropped while it trains", FL_BELOW },
};

static int bind(fl_module *m, fl_binder *b) {
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = m->from;
  m->draws = 1;
  return 0;
}
static size_t kept(const fl_module *m) { return fl_dropout_words(fl_shape_size(&m->to)) * sizeof(uint32_t); }

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t n = s->n * fl_shape_size(&m->to);
  if (s->draws) s->k->dropout(n, s->y, s->x[0], 0, s->draws, m->h[DROP], s->kept);
  else if (s->y != s->x[0]) memcpy(s->y, s->x[0], n * sizeof *s->y);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t n = s->n * fl_shape_size(&m->to);
  if (!s->dx[0]) return;
  if (s->draws) s->k->dropout_back(n, s->dx[0], s->dy, m->h[DROP], s->kept);
  else if (s->dx[0] != s->dy) memcpy(s->dx[0], s->dy, n * sizeof *s->dy);
}

const fl_layer fl_layer_dropout = {
  .name = "dropout", .help = "drops numbers at random while it trains", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_IN_PLACE | FL_BACK_IN_PLACE,
  .bind = bind, .kept = kept, .forward = forward, .backward = backward };
