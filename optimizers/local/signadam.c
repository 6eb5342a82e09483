/* signadam.c - signADAM: Adam on the signs of the gradient (deep-first-order 13; Wang et al. 2019, arXiv 1907.09008):
 *
 *   u  = sign(v + weight_decay*y)                v: the mixed gradient; sign(0) = 0
 *   m <- beta1*m + (1 - beta1)*u;   s <- beta2*s + (1 - beta2)*u^2
 *   y <- y - lr*m/(sqrt(s) + eps)                no bias correction: the first step is 3.16*lr with the defaults
 *
 * lr 1e-4 is the paper's for the methods compared with; its own is not stated. Streams R{y,g,m,s} W{y,m,s}: 28 bytes. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 1e-38, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 5e-4, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
static size_t state(const double *h, const fl_job *job) { (void)h; return moment_floats(job, 0); }
static void start(const double *h, fl_local *lo, const float *theta) { (void)h, (void)theta; start_moments(lo, NULL, 0.0, 0); }

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->signadam(n, y, lo->state + offset, lo->state + lo->job->layout->d + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  fl_adamw_args a = adam_args(h[H_BETA1], h[H_BETA2], h[H_EPS], lo->clock.lr, 1.0, 1.0, 1.0);
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_signadam = { .name = "signadam", .help = "Adam on the signs of the gradient", .params = params,
                                   .n_params = sizeof params / sizeof *params, .lr = 1e-4, .state = state, .start = start,
                                   .step = step };
