/* adam.c - Adam (deep-first-order 5; Kingma, Ba 2015, arXiv 1412.6980), in the order of PyTorch, and AMSGrad:
 *
 *   g  = v + weight_decay*y                      v: the mixed gradient; coupled decay
 *   m <- beta1*m + (1 - beta1)*g;   s <- beta2*s + (1 - beta2)*g^2;   amsgrad: top <- max(top, s) takes the place of s below
 *   y <- y - lr * (m/(1 - beta1^k)) / (sqrt(s)/sqrt(1 - beta2^t) + eps)
 *
 * from m = 0, s = initial_accumulator; k, t and theta as in adamw.c. eps_form=compact writes sqrt(s) + eps with the corrections
 * in lr: another method while k is small. bias_correction=no with initial_accumulator=-1, eps^2, on the server is FedAdam
 * (federated-adaptive 10). Streams R{y,g,m,s} W{y,m,s}: 28 bytes (amsgrad 36), one square root and one division. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY, H_AMSGRAD, H_BIAS_CORRECTION, H_EPS_FORM, H_INITIAL };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 0, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
  [H_AMSGRAD] = { "amsgrad", 0, 0, 0, "no|yes", "divide by the largest second moment so far", 0 },
  [H_BIAS_CORRECTION] = { "bias_correction", 1, 0, 0, "no|yes", "divide the moments by 1 - beta^k", 0 },
  [H_EPS_FORM] = { "eps_form", 0, 0, 0, "corrected|compact", "eps beside the corrected, or the uncorrected second moment's root",
                   0 },
  [H_INITIAL] = { "initial_accumulator", 0, -1, 1e6, NULL, INITIAL_HELP, 0 },
};
/* FedLADA divides by a root that begins above 0 and never falls (federated-adaptive 11); without such a root eps keeps it from
 * 0. */
static const char *setup(const double *h, const fl_job *job, int as_server) {
  const char *s = as_server ? "server_" : "";
  if ((float)h[H_EPS] > 0.0f || (h[H_AMSGRAD] != 0 && h[H_INITIAL] > 0))
    return initial_refused(job, "adam", h[H_INITIAL], as_server);
  return fl_why(job, "rule adam: %seps = %g; allowed: from 1e-38, or 0 with %samsgrad = yes and %sinitial_accumulator above 0", s,
                h[H_EPS], s, s);
}
static size_t state(const double *h, const fl_job *job) { return moment_floats(job, h[H_AMSGRAD] != 0); }
static void start(const double *h, fl_local *lo, const float *theta) {
  start_moments(lo, theta, initial_of(h[H_INITIAL], h[H_EPS]), h[H_AMSGRAD] != 0);
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  block_means(lo, lo->state + (size_t)(h[H_AMSGRAD] != 0 ? 2 : 1) * lo->job->layout->d, theta);
}

static void step(const double *h, fl_local *lo) {
  const int corrected = h[H_BIAS_CORRECTION] != 0;
  const double c1 = corrected ? 1.0 - fl_pow_int(h[H_BETA1], lo->clock.k) : 1.0;
  const double c2 = corrected ? sqrt(1.0 - fl_pow_int(h[H_BETA2], lo->theta ? lo->clock.t : lo->clock.k)) : 1.0;
  fl_adamw_args a = adam_args(h[H_BETA1], h[H_BETA2], h[H_EPS], lo->clock.lr, c1, c2, 1.0);
  if (h[H_EPS_FORM] != 0) a.eps = (float)h[H_EPS];
  coupled_step(lo, h[H_WEIGHT_DECAY], h[H_AMSGRAD] != 0 ? plain_amsgrad : plain_adamw, &a);
}

const fl_rule fl_rule_adam = { .name = "adam", .help = "moments of the gradient, bias-corrected; AMSGrad", .params = params,
                               .n_params = sizeof params / sizeof *params,
                               .needs = "eps_form bias_correction=yes",
                               .lr = 1e-3, .setup = setup, .state = state, .block_means = 1, .theta = block_count,
                               .start = start, .pack = pack, .step = step };
