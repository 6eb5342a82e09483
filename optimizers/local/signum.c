/* signum.c - Signum, signSGD with momentum (deep-first-order 12; Bernstein et al. 2018, arXiv 1802.04434):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   m <- momentum*m + (1 - momentum)*g           from m = 0
 *   y <- y - lr*sign(m)                          sign(0) = 0
 *
 * The direction is Lion's when both of its decays are `momentum`: one kernel. Streams R{y,g,m} W{y,m}: 20 bytes. */
#include "rule.h"

enum { H_MOMENTUM, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.9, 0, 1, NULL, "weight of the average before", FL_BELOW },
  [H_WEIGHT_DECAY] = { "weight_decay", 5e-4, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->lion(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const float mu = (float)h[H_MOMENTUM], rest = (float)(1.0 - h[H_MOMENTUM]);
  fl_lion_args a = { mu, rest, mu, rest, 1.0f, (float)lo->clock.lr };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_signum = { .name = "signum", .help = "sign of the momentum", .params = params,
                                 .n_params = sizeof params / sizeof *params, .lr = 1e-4, .state = one_state,
                                 .start = start_at_zero, .step = step };
