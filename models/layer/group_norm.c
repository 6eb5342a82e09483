/* group_norm.c - a sample's channels in groups: each minus its mean, over its deviation; then a weight and a bias a channel. */
#include "models/layer/layer.h"

enum { GROUPS, EPS };
static const fl_param params[] = {
  { "groups", 1, 1, 65536, NULL, "groups of channels, each normalised by itself; they divide the channels", FL_WHOLE },
  { "eps", 1e-5, 0, 1, NULL, "added to the variance", FL_ABOVE },
};

static fl_group_norm norm_of(const fl_module *m) {
  return (fl_group_norm){ m->from.dim[0], m->from.dim[1] * m->from.dim[2], (size_t)m->h[GROUPS], (float)m->h[EPS], 0 };
}

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  const fl_group_norm s = norm_of(m);
  if (s.c % s.groups)
    return fl_bind_refuse(b, "groups = %zu of %zu channels; allowed: a number that divides them", s.groups, s.c);
  m->to = m->from;
  fl_bind_tensor(b, "weight", FL_NORM, (fl_start){ FL_START_VALUE, 1 }, 1, (const size_t[]){ s.c });
  fl_bind_tensor(b, "bias", FL_NORM, (fl_start){ FL_START_VALUE, 0 }, 1, (const size_t[]){ s.c });
  return 0;
}

static size_t kept(const fl_module *m) { return 2 * (size_t)m->h[GROUPS] * sizeof(float); }
/* Behind the sums the gradient of the input, when nobody asks for it. */
static size_t sums(const fl_module *m, size_t n) { return fl_norm_work(m->from.dim[0], n, fl_sample_piece(1)); }
static size_t work(const fl_module *m, size_t n) { return (sums(m, n) + n * fl_shape_size(&m->to)) * sizeof(float); }

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_group_norm norm = norm_of(m);
  s->k->group_norm(&norm, s->n, s->x[0], s->p + m->at[0], s->p + m->at[1], s->y, s->kept);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const fl_group_norm norm = norm_of(m);
  float *dx = s->dx[0] ? s->dx[0] : (float *)s->work + sums(m, s->n);
  s->k->group_norm_back(&norm, s->n, s->x[0], s->p + m->at[0], s->p + m->at[1], s->kept, s->dy, dx, s->g + m->at[0],
                        s->g + m->at[1], fl_sample_piece(1), s->work);
}

const fl_layer fl_layer_group_norm = {
  .name = "group_norm", .help = "normalises groups of channels of an image, sample by sample", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_IN_PLACE | FL_KEEPS_INPUT | FL_BACK_IN_PLACE,
  .bind = bind, .kept = kept, .work = work, .forward = forward, .backward = backward };
