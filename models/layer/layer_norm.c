/* layer_norm.c - a vector, or each position of a sequence, minus its mean, over its deviation; then a weight and a bias. */
#include "models/layer/layer.h"

enum { EPS };
static const fl_param params[] = { { "eps", 1e-5, 0, 1, NULL, "added to the variance", FL_ABOVE } };

static size_t positions(const fl_module *m) { return m->from.kind == FL_SEQUENCE ? m->from.dim[0] : 1; }
static size_t width(const fl_module *m) { return fl_shape_size(&m->from) / positions(m); }

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_VECTOR && m->from.kind != FL_SEQUENCE)
    return fl_bind_refuse(b, "it reads %s; allowed: a vector or a sequence", fl_shape_text(&m->from, text));
  m->to = m->from;
  fl_bind_tensor(b, "weight", FL_NORM, (fl_start){ FL_START_VALUE, 1 }, 1, (const size_t[]){ width(m) });
  fl_bind_tensor(b, "bias", FL_NORM, (fl_start){ FL_START_VALUE, 0 }, 1, (const size_t[]){ width(m) });
  return 0;
}

static size_t kept(const fl_module *m) { return 2 * positions(m) * sizeof(float); }
static size_t piece_of(const fl_module *m) { return fl_sample_piece(positions(m)) * positions(m); }
/* Behind the sums the gradient of the input, when nobody asks for it. */
static size_t sums(const fl_module *m, size_t n) { return fl_norm_work(width(m), n * positions(m), piece_of(m)); }
static size_t work(const fl_module *m, size_t n) { return (sums(m, n) + n * fl_shape_size(&m->to)) * sizeof(float); }

static void forward(const fl_module *m, const fl_pass *s) {
  s->k->layer_norm(s->n * positions(m), width(m), s->x[0], s->p + m->at[0], s->p + m->at[1], (float)m->h[EPS], s->y, s->kept);
}
static void backward(const fl_module *m, const fl_pass *s) {
  float *dx = s->dx[0] ? s->dx[0] : (float *)s->work + sums(m, s->n);
  s->k->layer_norm_back(s->n * positions(m), width(m), s->x[0], s->p + m->at[0], s->kept, s->dy, dx, s->g + m->at[0],
                        s->g + m->at[1], piece_of(m), s->work);
}

const fl_layer fl_layer_layer_norm = {
  .name = "layer_norm", .help = "normalises a vector, or each position of a sequence", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_IN_PLACE | FL_KEEPS_INPUT | FL_BACK_IN_PLACE,
  .bind = bind, .kept = kept, .work = work, .forward = forward, .backward = backward };
