/* signsgd.c - signSGD (deep-first-order 11; Bernstein et al. 2018, arXiv 1802.04434):
 *
 *   y <- y - lr*sign(v + weight_decay*y)         v: the mixed gradient
 *
 * sign(0) = 0 as in the original experiments; +1, as in the follow-up with majority votes, by sign_of_zero=plus.
 * Streams R{y,g} W{y}: 12 bytes. */
#include "rule.h"

enum { H_WEIGHT_DECAY, H_SIGN_OF_ZERO };
static const fl_param params[] = {
  [H_WEIGHT_DECAY] = { "weight_decay", 5e-4, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
  [H_SIGN_OF_ZERO] = { "sign_of_zero", 0, 0, 0, "zero|plus", "sign of a gradient of 0", 0 },
};

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  (void)offset;
  lo->k->sign_step(n, y, NULL, v, arg);
}

static void step(const double *h, fl_local *lo) {
  fl_sign_args a = { .decay = 1.0f, .lr = (float)lo->clock.lr, .threshold = 0.0f, .below = h[H_SIGN_OF_ZERO] != 0 ? 1.0f : 0.0f };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_signsgd = { .name = "signsgd", .help = "steps of equal size along the gradient's sign", .params = params,
                                  .n_params = sizeof params / sizeof *params, .lr = 1e-4, .step = step };
