/* adagrad.c - AdaGrad (deep-first-order 7; Duchi, Hazan, Singer 2011):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   a <- a + g^2                                 from a = initial_accumulator
 *   y <- y - lr/(1 + (k - 1)*adagrad_decay) * g/(sqrt(a) + eps)
 *
 * eps outside the root, as in PyTorch. Streams R{y,g,a} W{y,a}: 20 bytes, one square root and one division. */
#include "rule.h"

enum { H_EPS, H_DECAY, H_INITIAL, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_EPS] = { "eps", 1e-10, 1e-38, 1, NULL, "added to the root of the sum of squares", 0 },
  [H_DECAY] = { "adagrad_decay", 0, 0, 1e6, NULL, "lr of step k is lr/(1 + (k-1)*adagrad_decay)", 0 },
  [H_INITIAL] = { "initial_accumulator", 0, 0, 1e6, NULL, "sum of squares before the first step", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
static void start(const double *h, fl_local *lo, const float *theta) { spread(lo, lo->state, theta, h[H_INITIAL]); }

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->rmsprop(n, y, lo->state + offset, NULL, NULL, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const double lr = lo->clock.lr / (1.0 + (double)(lo->clock.k - 1) * h[H_DECAY]);
  fl_rmsprop_args a = { .beta2 = 1.0f, .omb2 = 1.0f, .in = 1.0f, .out = (float)lr, .eps_out = (float)h[H_EPS] };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_adagrad = { .name = "adagrad", .help = "steps divided by the root of the sum of squared gradients",
                                  .params = params, .n_params = sizeof params / sizeof *params, .lr = 0.01, .state = one_state,
                                  .start = start, .step = step };
