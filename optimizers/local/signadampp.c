/* signadampp.c - signADAM++: signs of confident gradients, averaged (deep-first-order 14; Wang et al. 2019, arXiv 1907.09008):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   u  = sign(g) if |g| > threshold, else 0
 *   m <- beta1*m + (1 - beta1)*u;   y <- y - lr*m                        from m = 0
 *
 * adaptive=yes ("AW"), for every tensor, with g = v and decoupled decay:
 *   s <- conf_beta*s + (1 - conf_beta)*sqrt(var(g));   threshold = conf_scale*s;   y <- (1 - lr*weight_decay)*y - lr*m
 *
 * THE PUBLISHED CODE COMPUTES m BUT STEPS WITH u: use_momentum=no. The paper's Algorithm 3 keeps |g| = threshold: keep_equal=yes;
 * its Algorithm 1 sums m <- beta1*m + u: average=no. Inferred: var is the population variance over the entries of one tensor;
 * conf_beta 0.9 and conf_scale 0.999, which the paper names without values. Streams R{y,g,m} W{y,m}: 20 bytes; adaptive reads g
 * once more; without momentum 12. */
#include "rule.h"

enum { H_THRESHOLD, H_BETA1, H_WEIGHT_DECAY, H_USE_MOMENTUM, H_KEEP_EQUAL, H_AVERAGE, H_ADAPTIVE, H_CONF_BETA, H_CONF_SCALE };
static const fl_param params[] = {
  [H_THRESHOLD] = { "threshold", 5e-4, 0, 1e6, NULL, "gradients up to this size count as 0", 0 },
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the average of signs", FL_BELOW },
  [H_WEIGHT_DECAY] = { "weight_decay", 5e-4, 0, 1e3, NULL, "decay of the weights: coupled; decoupled when adaptive", 0 },
  [H_USE_MOMENTUM] = { "use_momentum", 1, 0, 0, "no|yes",
                       "step with the average of signs, or the signs themselves as the published code", 0 },
  [H_KEEP_EQUAL] = { "keep_equal", 0, 0, 0, "no|yes", "a gradient that equals the threshold counts", 0 },
  [H_AVERAGE] = { "average", 1, 0, 0, "no|yes", "m = beta1*m + (1 - beta1)*u, or beta1*m + u", 0 },
  [H_ADAPTIVE] = { "adaptive", 0, 0, 0, "no|yes", "threshold from the gradient's deviation, decoupled decay", 0 },
  [H_CONF_BETA] = { "conf_beta", 0.9, 0, 1, NULL, "decay of the average deviation", FL_BELOW },
  [H_CONF_SCALE] = { "conf_scale", 0.999, 0, 1e6, NULL, "threshold over the average deviation", 0 },
};
static size_t averages(const double *h, const fl_job *job) { return h[H_USE_MOMENTUM] != 0 ? job->layout->d : 0; }
static size_t state(const double *h, const fl_job *job) {      /* m, then s of every tensor */
  return averages(h, job) + (h[H_ADAPTIVE] != 0 ? job->layout->n : 0);
}
static size_t work(const double *h, const fl_job *job) { return h[H_ADAPTIVE] != 0 ? largest_tensor(job) : 0; }
static void start(const double *h, fl_local *lo, const float *theta) {
  (void)theta;
  memset(lo->state, 0, state(h, lo->job) * sizeof(float));
}

/* |g| >= t is |g| > the float before t. sign(0) = 0, so nothing changes at t = 0. */
static float threshold_of(const double *h, double t) {
  float f = (float)t;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if (h[H_KEEP_EQUAL] != 0 && f > 0.0f) bits--;
  memcpy(&f, &bits, sizeof bits);
  return f;
}

typedef struct { fl_sign_args args; int average; } call;
static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const call *c = arg;
  lo->k->sign_step(n, y, c->average ? lo->state + offset : NULL, v, &c->args);
}

static void step_tensor(const double *h, fl_local *lo, size_t i, call *c) {
  const fl_tensor *t = &lo->job->layout->tensor[i];
  const float *g = mixed_gradient(lo, t->offset, t->size);
  float *s = lo->state + averages(h, lo->job) + i;
  double mean;
  const double deviation = sqrt(lo->k->variance(t->size, g, &mean));
  const float now = (float)(h[H_CONF_BETA] * (double)*s + (1.0 - h[H_CONF_BETA]) * deviation);
  *s = now < 0x1p-126f ? 0.0f : now;
  c->args.threshold = threshold_of(h, h[H_CONF_SCALE] * (double)*s);
  plain(c, lo, t->offset, t->size, lo->y + t->offset, g);
  drift_after(lo, t->offset, t->size);
}

static void step(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  call c = { { .beta1 = (float)h[H_BETA1], .omb1 = h[H_AVERAGE] != 0 ? (float)(1.0 - h[H_BETA1]) : 1.0f, .decay = 1.0f,
               .lr = (float)lo->clock.lr, .threshold = threshold_of(h, h[H_THRESHOLD]) }, h[H_USE_MOMENTUM] != 0 };
  if (h[H_ADAPTIVE] == 0) {
    coupled_step(lo, h[H_WEIGHT_DECAY], plain, &c);
    return;
  }
  c.args.decay = (float)(1.0 - lo->clock.lr_decay * h[H_WEIGHT_DECAY]);
  for (size_t i = 0; i < l->n; i++)
    if (l->tensor[i].role != FL_BUFFER) step_tensor(h, lo, i, &c);
}

const fl_rule fl_rule_signadampp = { .name = "signadampp", .lr_decay = 1,
                                     .help = "signADAM++: average of the signs of confident gradients",
                                     .params = params, .n_params = sizeof params / sizeof *params,
                                     .needs = "threshold adaptive=no; conf_beta adaptive=yes; conf_scale adaptive=yes; beta1 "
                                              "use_momentum=yes; average use_momentum=yes",
                                     .lr = 3e-4, .state = state,
                                     .work = work, .start = start, .step = step };
