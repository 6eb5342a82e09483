/* momentum_velocity.c - momentum as a velocity that holds the step size (deep-first-order 2 C):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   w <- momentum*w - lr*g                       from w = 0
 *   y <- y + w
 *
 * Equal to heavy ball only while lr is constant: here a change of lr leaves the velocity as it is. The state is -w, which
 * makes it a heavy ball with gradient lr*g and step size 1. Streams R{y,w,g} W{y,w}: 20 bytes. */
#include "rule.h"

enum { H_MOMENTUM, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.9, 0, 1, NULL, "part of the velocity that is kept", FL_BELOW },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->momentum(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  fl_momentum_args a = { (float)h[H_MOMENTUM], (float)lo->clock.lr, 1.0f, 1.0f, 0 };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_momentum_velocity = { .name = "momentum_velocity", .help = "momentum whose velocity holds the step size",
                                            .params = params, .n_params = sizeof params / sizeof *params, .state = one_state,
                                            .start = start_at_zero, .step = step };
