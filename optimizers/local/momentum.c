/* momentum.c - heavy ball, PyTorch's form (deep-first-order 2 A; Polyak 1964), and Nesterov's variant (3; Sutskever et al. 2013):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   u <- g at the first step, then momentum*u + (1 - dampening)*g
 *   y <- y - lr*u, or with nesterov y - lr*(g + momentum*u)
 *
 * The buffer begins with the raw gradient, so dampening acts from the second step on. With nesterov y is the look-ahead point
 * itself. The decay joins the gradient before the buffer (coupled), as in FedNova's line 1. momentum_ema and momentum_velocity
 * are the other two forms. Streams R{y,u,g} W{y,u}: 20 bytes. */
#include "rule.h"

enum { H_MOMENTUM, H_DAMPENING, H_NESTEROV, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.9, 0, 1, NULL, "weight of the buffer", FL_BELOW },
  [H_DAMPENING] = { "dampening", 0, 0, 1, NULL, "1 - weight of the new gradient, from the second step on", 0 },
  [H_NESTEROV] = { "nesterov", 0, 0, 0, "no|yes", "look-ahead direction", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
static const char *setup(const double *h, const fl_job *job, int as_server) {
  const char *s = as_server ? "server_" : "";
  if (h[H_NESTEROV] == 0 || (h[H_DAMPENING] == 0 && h[H_MOMENTUM] > 0)) return NULL;
  return fl_why(job, "rule momentum: %snesterov = yes with %smomentum = %g and %sdampening = %g; allowed: above 0, and 0", s, s,
                h[H_MOMENTUM], s, h[H_DAMPENING]);
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->momentum(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const double fresh = lo->clock.k == 1 ? 1.0 : 1.0 - h[H_DAMPENING];
  fl_momentum_args a = { (float)h[H_MOMENTUM], (float)fresh, (float)lo->clock.lr, 1.0f, h[H_NESTEROV] != 0 };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_momentum = { .name = "momentum", .help = "gradient descent with heavy-ball or Nesterov momentum",
                                   .params = params, .n_params = sizeof params / sizeof *params, .setup = setup,
                                   .state = one_state, .start = start_at_zero, .step = step };
