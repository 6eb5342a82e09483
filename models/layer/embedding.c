/* embedding.c - a row of a table for each token. */
#include "models/layer/layer.h"

enum { TOKENS, OUT };
static const fl_param params[] = {
  { "tokens", 256, 0, 1048576, NULL, "rows of the table: tokens are below it; 0: as many as the data has classes", FL_WHOLE },
  { "out", 64, 1, 65536, NULL, "features", FL_WHOLE },
};

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  const size_t tokens = m->h[TOKENS] > 0 ? (size_t)m->h[TOKENS] : fl_bind_classes(b), out = (size_t)m->h[OUT];
  m->h[TOKENS] = (double)tokens;
  if (m->from.kind != FL_TOKENS) return fl_bind_refuse(b, "it reads %s; allowed: tokens", fl_shape_text(&m->from, text));
  const int32_t bad = fl_bind_token_outside(b, tokens);
  if (bad) return fl_bind_refuse(b, "tokens = %zu, and the data have token %d; allowed: above all of the data", tokens, bad);
  m->to = (fl_shape){ FL_SEQUENCE, { m->from.dim[0], out } };
  fl_bind_tensor(b, "weight", FL_EMBED, (fl_start){ FL_START_NORMAL, 1 }, 2, (const size_t[]){ tokens, out });
  return 0;
}

static size_t work(const fl_module *m, size_t n) {
  return fl_embed_work(n * m->from.dim[0], (size_t)m->h[TOKENS]) * sizeof(uint32_t);
}

static void forward(const fl_module *m, const fl_pass *s) {
  s->k->embed(s->n * m->from.dim[0], (size_t)m->h[OUT], s->y, (const uint32_t *)(const void *)s->x[0], s->p + m->at[0]);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const size_t t = m->from.dim[0];
  s->k->embed_grad(s->n * t, (size_t)m->h[OUT], s->dy, (const uint32_t *)(const void *)s->x[0], (size_t)m->h[TOKENS],
                   s->g + m->at[0], fl_sample_piece(t) * t, s->work);
}

const fl_layer fl_layer_embedding = {
  .name = "embedding", .help = "a row of a table for each token", .params = params, .n_params = sizeof params / sizeof *params,
  .least = 1, .most = 1, .acts = FL_KEEPS_INPUT, .bind = bind, .work = work, .forward = forward, .backward = backward };
