/* adagrad.c - AdaGrad (deep-first-order 7; Duchi, Hazan, Singer 2011):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   a <- a + g^2                                 from a = initial_accumulator
 *   m <- beta1*m + (1 - beta1)*g                 from 0; beta1 = 0: m = g, and no m is kept
 *   y <- y - lr/(1 + (k - 1)*adagrad_decay) * m/(sqrt(a) + eps)
 *
 * eps outside the root, as in PyTorch; beta1 is FedAdagrad's (federated-adaptive 10). Streams R{y,g,a} W{y,a}: 20 bytes (with m
 * 28), one square root and one division. */
#include "rule.h"

enum { H_EPS, H_DECAY, H_INITIAL, H_WEIGHT_DECAY, H_BETA1 };
static const fl_param params[] = {
  [H_EPS] = { "eps", 1e-10, 1e-38, 1, NULL, "added to the root of the sum of squares", 0 },
  [H_DECAY] = { "adagrad_decay", 0, 0, 1e6, NULL, "lr of step k is lr/(1 + (k-1)*adagrad_decay)", 0 },
  [H_INITIAL] = { "initial_accumulator", 0, -1, 1e6, NULL, "sum of squares before the first step; -1: eps^2", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
  [H_BETA1] = { "beta1", 0, 0, 1, NULL, "decay of the mean of gradients that takes a gradient's place in the step", FL_BELOW },
};
static const char *setup(const double *h, const fl_job *job, int as_server) {
  return initial_refused(job, "adagrad", h[H_INITIAL], as_server);
}
static size_t state(const double *h, const fl_job *job) { return (size_t)(h[H_BETA1] != 0 ? 2 : 1) * job->layout->d; }
static void start(const double *h, fl_local *lo, const float *theta) {
  const size_t d = lo->job->layout->d;
  spread(lo, lo->state, theta, initial_of(h[H_INITIAL], h[H_EPS]));
  if (h[H_BETA1] != 0) memset(lo->state + d, 0, d * sizeof(float));
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->rmsprop(n, y, lo->state + offset, NULL, NULL, v, arg);
}
static void plain_mean(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->adamw(n, y, lo->state + lo->job->layout->d + offset, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const double lr = lo->clock.lr / (1.0 + (double)(lo->clock.k - 1) * h[H_DECAY]);
  fl_rmsprop_args a = { .beta2 = 1.0f, .omb2 = 1.0f, .in = 1.0f, .out = (float)lr, .eps_out = (float)h[H_EPS] };
  fl_adamw_args mean = { .beta1 = (float)h[H_BETA1], .omb1 = (float)(1.0 - h[H_BETA1]), .beta2 = 1.0f, .omb2 = 1.0f,
                         .decay = 1.0f, .step = (float)lr, .eps = (float)h[H_EPS] };
  if (h[H_BETA1] != 0) coupled_step(lo, h[H_WEIGHT_DECAY], plain_mean, &mean);
  else coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_adagrad = { .name = "adagrad", .help = "steps divided by the root of the sum of squared gradients",
                                  .params = params, .n_params = sizeof params / sizeof *params, .lr = 0.01, .setup = setup,
                                  .state = state,
                                  .start = start, .step = step };
