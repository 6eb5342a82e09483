/* lion.c - Lion (deep-first-order 10; Chen et al. 2023, arXiv 2302.06675, and code):
 *
 *   y <- (1 - lr*weight_decay)*y - lr*sign(beta1*m + (1 - beta1)*v)      v: the mixed gradient, m as it was
 *   m <- beta2*m + (1 - beta2)*v                                         from m = 0; sign(0) = 0
 *
 * weight_decay 0.1 is inferred: the paper takes 3 to 10 times AdamW's. Streams R{y,g,m} W{y,m}: 20 bytes. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "weight of the momentum in the direction", FL_BELOW },
  [H_BETA2] = { "beta2", 0.99, 0, 1, NULL, "decay of the momentum", FL_BELOW },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.1, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
};

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->lion(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  fl_lion_args a = { (float)h[H_BETA1], (float)(1.0 - h[H_BETA1]), (float)h[H_BETA2], (float)(1.0 - h[H_BETA2]),
                     (float)(1.0 - lo->clock.lr_decay * h[H_WEIGHT_DECAY]), (float)lo->clock.lr };
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, &a);
}

const fl_rule fl_rule_lion = { .name = "lion", .lr_decay = 1, .help = "sign of an interpolated momentum", .params = params,
                               .n_params = sizeof params / sizeof *params, .lr = 1e-4, .state = one_state, .start = start_at_zero,
                               .step = step };
