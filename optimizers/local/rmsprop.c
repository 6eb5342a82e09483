/* rmsprop.c - RMSprop (deep-first-order 8; Tieleman, Hinton 2012; centred: Graves 2013, arXiv 1308.0850):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   s <- beta2*s + (1 - beta2)*g^2;   q = s      centred: a <- beta2*a + (1 - beta2)*g,  q = max(0, s - a^2)
 *   d  = g/(sqrt(q) + eps)                       momentum > 0: b <- momentum*b + d,  d = b
 *   y <- y - lr*d                                no bias correction
 *
 * form=tensorflow: d = g/sqrt(q + eps), b <- momentum*b + lr*d, y <- y - b. PyTorch does not clamp q at 0. theta as in adamw.c.
 * Streams R{y,g,s} W{y,s}: 20 bytes; centred or with momentum 28, both 36; one square root and one division. */
#include "rule.h"

enum { H_BETA2, H_EPS, H_MOMENTUM, H_CENTRED, H_FORM, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_BETA2] = { "beta2", 0.99, 0, 1, NULL, "decay of the second moment (alpha in PyTorch)", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 1e-38, 1, NULL, "added to the root of the second moment", 0 },
  [H_MOMENTUM] = { "momentum", 0, 0, 1, NULL, "weight of the buffer of steps", FL_BELOW },
  [H_CENTRED] = { "centred", 0, 0, 0, "no|yes", "second moment around the mean gradient", 0 },
  [H_FORM] = { "form", 0, 0, 0, "pytorch|tensorflow", "eps outside, or inside the root and lr inside the buffer", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
/* s, then a when centred, then b with momentum: d floats each. */
static size_t parts(const double *h) { return 1u + (h[H_CENTRED] != 0) + (h[H_MOMENTUM] > 0); }
static size_t state(const double *h, const fl_job *job) { return parts(h) * job->layout->d; }
static void start(const double *h, fl_local *lo, const float *theta) {
  memset(lo->state, 0, state(h, lo->job) * sizeof(float));
  spread(lo, lo->state, theta, 0.0);
}
/* Centred, s alone is no variance without a, which begins anew. */
static size_t theta_floats(const double *h, const fl_job *job) { return h[H_CENTRED] != 0 ? 0 : block_count(h, job); }
static void pack(const double *h, const fl_local *lo, float *theta) { (void)h; block_means(lo, lo->state, theta); }

typedef struct { fl_rmsprop_args args; const double *h; } call;
static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const call *c = arg;
  const size_t d = lo->job->layout->d;
  float *s = lo->state + offset;
  lo->k->rmsprop(n, y, s, c->h[H_CENTRED] != 0 ? s + d : NULL, c->h[H_MOMENTUM] > 0 ? s + (parts(c->h) - 1) * d : NULL, v,
                 &c->args);
}

static void step(const double *h, fl_local *lo) {
  const int inside = h[H_FORM] != 0;
  const float lr = (float)lo->clock.lr, eps = (float)h[H_EPS];
  call c = { { .beta2 = (float)h[H_BETA2], .omb2 = (float)(1.0 - h[H_BETA2]), .momentum = (float)h[H_MOMENTUM],
               .eps_in = inside ? eps : 0.0f, .eps_out = inside ? 0.0f : eps }, h };
  c.args.in = inside && h[H_MOMENTUM] > 0 ? lr : 1.0f;
  c.args.out = inside && h[H_MOMENTUM] > 0 ? 1.0f : lr;
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &c);
}

const fl_rule fl_rule_rmsprop = { .name = "rmsprop", .help = "steps divided by the root of the mean squared gradient",
                                  .params = params, .n_params = sizeof params / sizeof *params, .lr = 0.01, .state = state,
                                  .block_means = 1, .theta = theta_floats, .start = start, .pack = pack, .step = step };
