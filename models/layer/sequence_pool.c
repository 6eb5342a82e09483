/* sequence_pool.c - one vector of a sequence: the mean of its positions, the first (a class token's) or the last. */
#include "models/layer/layer.h"
#include <string.h>

enum { OF };
enum { MEAN, FIRST, LAST };
static const fl_param params[] = {
  { "of", MEAN, 0, 0, "mean|first|last", "the mean of all positions, or one of them", 0 },
};

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_SEQUENCE) return fl_bind_refuse(b, "it reads %s; allowed: a sequence", fl_shape_text(&m->from, text));
  m->to = (fl_shape){ FL_VECTOR, { m->from.dim[1] } };
  return 0;
}

static size_t place(const fl_module *m) { return m->h[OF] == LAST ? m->from.dim[0] - 1 : 0; }

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t t = m->from.dim[0], d = m->from.dim[1];
  for (size_t i = 0; i < s->n; i++) {
    const float *x = s->x[0] + i * t * d;
    if (m->h[OF] == MEAN) s->k->bias_grad(t, d, x, s->y + i * d, t);
    else memcpy(s->y + i * d, x + place(m) * d, d * sizeof *x);
  }
  if (m->h[OF] == MEAN) s->k->scale(s->n * d, s->y, 1.0f / (float)t, s->y);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t t = m->from.dim[0], d = m->from.dim[1];
  if (!s->dx[0]) return;
  if (m->h[OF] != MEAN) memset(s->dx[0], 0, s->n * t * d * sizeof *s->dy);
  for (size_t i = 0; i < s->n; i++) {
    float *dx = s->dx[0] + i * t * d;
    if (m->h[OF] != MEAN) memcpy(dx + place(m) * d, s->dy + i * d, d * sizeof *dx);
    else s->k->scale(d, dx, 1.0f / (float)t, s->dy + i * d);
    for (size_t r = 1; m->h[OF] == MEAN && r < t; r++) memcpy(dx + r * d, dx, d * sizeof *dx);
  }
}

const fl_layer fl_layer_sequence_pool = {
  .name = "sequence_pool", .help = "one vector of a sequence", .params = params, .n_params = sizeof params / sizeof *params,
  .least = 1, .most = 1, .bind = bind, .forward = forward, .backward = backward };
