/* class_token.c - a trained row in front of a sequence, as the same first position of every sample. */
#include "models/layer/layer.h"
#include <string.h>

enum { STD };
static const fl_param params[] = {
  { "std", 1, 0, 1e6, NULL, "standard deviation of the initial row", 0 },
};

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_SEQUENCE) return fl_bind_refuse(b, "it reads %s; allowed: a sequence", fl_shape_text(&m->from, text));
  m->to = (fl_shape){ FL_SEQUENCE, { m->from.dim[0] + 1, m->from.dim[1] } };
  fl_bind_tensor(b, "weight", FL_TOKEN, (fl_start){ FL_START_NORMAL, m->h[STD] }, 1, (const size_t[]){ m->from.dim[1] });
  return 0;
}

/* The rows' gradients, one behind the other. */
static size_t work(const fl_module *m, size_t n) { return n * m->to.dim[1] * sizeof(float); }

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t d = m->to.dim[1], from = fl_shape_size(&m->from), to = fl_shape_size(&m->to);
  for (size_t i = 0; i < s->n; i++) {
    memcpy(s->y + i * to, s->p + m->at[0], d * sizeof *s->y);
    memcpy(s->y + i * to + d, s->x[0] + i * from, from * sizeof *s->y);
  }
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t d = m->to.dim[1], from = fl_shape_size(&m->from), to = fl_shape_size(&m->to);
  float *row = s->work;
  for (size_t i = 0; i < s->n; i++) {
    memcpy(row + i * d, s->dy + i * to, d * sizeof *row);
    if (s->dx[0]) memcpy(s->dx[0] + i * from, s->dy + i * to + d, from * sizeof *row);
  }
  s->k->bias_grad(s->n, d, row, s->g + m->at[0], fl_sample_piece(1));
}

const fl_layer fl_layer_class_token = {
  .name = "class_token", .help = "a trained row in front of a sequence", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .bind = bind, .work = work, .forward = forward,
  .backward = backward };
