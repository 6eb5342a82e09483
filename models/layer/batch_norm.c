/* batch_norm.c - each channel of an image minus its mean, over its deviation: those of the batch while it trains, running
 * averages, which are buffers, in evaluation; then a weight and a bias a channel. */
#include "models/layer/layer.h"

enum { EPS, MOMENTUM };
static const fl_param params[] = {
  { "eps", 1e-5, 0, 1, NULL, "added to the variance", FL_ABOVE },
  { "momentum", 0.1, 0, 1, NULL, "how much of a batch goes into the running averages", 0 },
};

static size_t channels(const fl_module *m) { return m->from.dim[0]; }
static size_t positions(const fl_module *m) { return m->from.dim[1] * m->from.dim[2]; }

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  const size_t c[] = { channels(m) };
  m->to = m->from;
  fl_bind_tensor(b, "weight", FL_NORM, (fl_start){ FL_START_VALUE, 1 }, 1, c);
  fl_bind_tensor(b, "bias", FL_NORM, (fl_start){ FL_START_VALUE, 0 }, 1, c);
  fl_bind_buffer(b, "running_mean", 0, 1, c);
  fl_bind_buffer(b, "running_var", 1, 1, c);
  return 0;
}

static size_t kept(const fl_module *m) { return 2 * channels(m) * sizeof(float); }
/* The moments; backward the gradient of the input, when nobody asks for it. */
static size_t work(const fl_module *m, size_t n) {
  const size_t moments = 2 * channels(m) * sizeof(double), dx = n * fl_shape_size(&m->to) * sizeof(float);
  return moments > dx ? moments : dx;
}

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t c = channels(m), hw = positions(m), count = s->n * hw;
  const float *mean = s->p + m->buffer[0], *variance = s->p + m->buffer[1];
  double *moments = s->work;
  if (s->training) s->k->batch_moments(s->n, c, hw, s->x[0], fl_sample_piece(hw), moments);
  if (s->training) fl_batch_stat(c, count, moments, (float)m->h[EPS], s->kept);
  else fl_batch_evaluate(c, mean, variance, (float)m->h[EPS], s->kept);
  if (s->training && s->moves && count > 1)     /* one number has no variance */
    fl_batch_running(c, count, moments, m->h[MOMENTUM], s->moves + (m->buffer[0] - s->d), s->moves + (m->buffer[1] - s->d));
  s->k->batch_norm(s->n, c, hw, s->x[0], s->kept, s->p + m->at[0], s->p + m->at[1], 0, s->y);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const size_t c = channels(m), hw = positions(m);
  const float *gamma = s->p + m->at[0], *beta = s->p + m->at[1];
  float *dgamma = s->g + m->at[0], *dbeta = s->g + m->at[1];
  s->k->batch_norm_grad(s->n, c, hw, s->x[0], s->kept, gamma, beta, 0, s->dy, dgamma, dbeta, fl_sample_piece(hw));
  s->k->batch_norm_back(s->n, c, hw, s->x[0], s->kept, gamma, beta, 0, s->dy, dgamma, dbeta, s->n * hw,
                        s->dx[0] ? s->dx[0] : s->work);
}

const fl_layer fl_layer_batch_norm = {
  .name = "batch_norm", .help = "normalises each channel of an image over the batch", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_IN_PLACE | FL_KEEPS_INPUT | FL_BACK_IN_PLACE,
  .bind = bind, .kept = kept, .work = work, .forward = forward, .backward = backward };
