/* yogi.c - Yogi, as in FedYogi (federated-adaptive 10; Reddi et al. 2021, arXiv 2003.00295; Zaheer et al. 2018):
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient
 *   m <- beta1*m + (1 - beta1)*g;   s <- s - (1 - beta2)*g^2*sign(s - g^2)
 *   y <- y - lr*m/(sqrt(s) + eps)                bias_correction: as Adam
 *
 * from m = 0, s = initial_accumulator, by default eps^2. theta as in adamw.c. Streams R{y,g,m,s} W{y,m,s}: 28 bytes. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY, H_BIAS_CORRECTION, H_INITIAL };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.99, 0, 1, NULL, "1 - largest relative change of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-3, 1e-38, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
  [H_BIAS_CORRECTION] = { "bias_correction", 0, 0, 0, "no|yes", "divide the moments by 1 - beta^k", 0 },
  [H_INITIAL] = { "initial_accumulator", -1, -1, 1e6, NULL, INITIAL_HELP, 0 },
};
static const char *setup(const double *h, const fl_job *job, int as_server) {
  return initial_refused(job, "yogi", h[H_INITIAL], as_server);
}
static size_t state(const double *h, const fl_job *job) { (void)h; return moment_floats(job, 0); }
static void start(const double *h, fl_local *lo, const float *theta) {
  start_moments(lo, theta, initial_of(h[H_INITIAL], h[H_EPS]), 0);
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  (void)h;
  block_means(lo, lo->state + lo->job->layout->d, theta);
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->yogi(n, y, lo->state + offset, lo->state + lo->job->layout->d + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const int corrected = h[H_BIAS_CORRECTION] != 0;
  const double c1 = corrected ? 1.0 - fl_pow_int(h[H_BETA1], lo->clock.k) : 1.0;
  const double c2 = corrected ? sqrt(1.0 - fl_pow_int(h[H_BETA2], lo->theta ? lo->clock.t : lo->clock.k)) : 1.0;
  fl_adamw_args a = adam_args(h[H_BETA1], h[H_BETA2], h[H_EPS], lo->clock.lr, c1, c2, 1.0);
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_yogi = { .name = "yogi", .help = "Adam whose second moment changes by steps of bounded size",
                               .params = params, .n_params = sizeof params / sizeof *params, .lr = 0.01, .setup = setup,
                               .state = state,
                               .block_means = 1, .theta = block_count, .start = start, .pack = pack, .step = step };
