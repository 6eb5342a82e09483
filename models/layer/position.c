/* position.c - adds to each position of a sequence a row of its own. */
#include "models/layer/layer.h"
#include <string.h>

enum { STD };
static const fl_param params[] = {
  { "std", 1, 0, 1e6, NULL, "standard deviation of the initial rows", 0 },
};

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_SEQUENCE) return fl_bind_refuse(b, "it reads %s; allowed: a sequence", fl_shape_text(&m->from, text));
  m->to = m->from;
  fl_bind_tensor(b, "weight", FL_EMBED, (fl_start){ FL_START_NORMAL, m->h[STD] }, 2, m->from.dim);
  return 0;
}

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t row = fl_shape_size(&m->to);
  if (s->y != s->x[0]) memcpy(s->y, s->x[0], s->n * row * sizeof *s->y);
  s->k->bias_rows(s->n, row, s->y, s->p + m->at[0]);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t row = fl_shape_size(&m->to);
  s->k->bias_grad(s->n, row, s->dy, s->g + m->at[0], fl_sample_piece(1));
  if (s->dx[0] && s->dx[0] != s->dy) memcpy(s->dx[0], s->dy, s->n * row * sizeof *s->dy);
}

const fl_layer fl_layer_position = {
  .name = "position", .help = "adds a trained row to each position of a sequence", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1,
  .acts = FL_IN_PLACE | FL_BACK_IN_PLACE, .bind = bind, .forward = forward, .backward = backward };
