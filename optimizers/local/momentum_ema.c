/* momentum_ema.c - momentum as a moving average (deep-first-order 2 B):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   m <- momentum*m + (1 - momentum)*g           from m = 0
 *   y <- y - lr*m                                bias_correction: lr*m/(1 - momentum^k)
 *
 * Equal to heavy ball with lr*(1 - momentum), but not to heavy ball with dampening = momentum, whose buffer begins with all
 * of the first gradient. Streams R{y,m,g} W{y,m}: 20 bytes. */
#include "rule.h"

enum { H_MOMENTUM, H_BIAS_CORRECTION, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.9, 0, 1, NULL, "weight of the average before", FL_BELOW },
  [H_BIAS_CORRECTION] = { "bias_correction", 0, 0, 0, "no|yes", "divide the average by 1 - momentum^k", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->momentum(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const double mu = h[H_MOMENTUM], c = h[H_BIAS_CORRECTION] != 0 ? 1.0 - fl_pow_int(mu, lo->clock.k) : 1.0;
  fl_momentum_args a = { (float)mu, (float)(1.0 - mu), (float)(lo->clock.lr / c), 1.0f, 0 };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_momentum_ema = { .name = "momentum_ema", .help = "gradient descent along a moving average of gradients",
                                       .params = params, .n_params = sizeof params / sizeof *params, .state = one_state,
                                       .start = start_at_zero, .step = step };
