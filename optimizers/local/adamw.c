/* adamw.c - AdamW (deep-first-order 6, federated-adaptive 12; Loshchilov, Hutter 2019, arXiv 1711.05101), and its second moment
 * as the shareable part theta (federated-adaptive 13):
 *
 *   m <- beta1*m + (1 - beta1)*v;   s <- beta2*s + (1 - beta2)*v^2;   amsgrad: top <- max(top, s) takes the place of s below
 *   y <- (1 - lr*weight_decay)*y - lr * (m/(1 - beta1^k)) / (sqrt(s/(1 - beta2^t)) + eps)
 *
 * v the mixed gradient; k counts the steps of this run; t = k when s started at 0, and the global index r*K + k when s
 * started from the server's block means, because s then carries over the rounds. theta: one mean of s (amsgrad: of top) a block.
 * The paper's decay, by the schedule's multiplier alone, is weight_decay divided by the first lr.
 * Streams R{y,g,m,s} W{y,m,s}: 28 bytes a parameter (amsgrad 36), one square root and one division. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY, H_M_INDEX, H_AMSGRAD };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 1e-38, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.01, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_M_INDEX] = { "m_index", 0, 0, 0, "local|global", "index in the first moment's bias correction: step of the round, or global",
                  0 },
  [H_AMSGRAD] = { "amsgrad", 0, 0, 0, "no|yes", "divide by the largest second moment so far", 0 },
};
static size_t state(const double *h, const fl_job *job) { return moment_floats(job, h[H_AMSGRAD] != 0); }
static void start(const double *h, fl_local *lo, const float *theta) { start_moments(lo, theta, 0.0, h[H_AMSGRAD] != 0); }
static void pack(const double *h, const fl_local *lo, float *theta) {
  block_means(lo, lo->state + (size_t)(h[H_AMSGRAD] != 0 ? 2 : 1) * lo->job->layout->d, theta);
}

static void step(const double *h, fl_local *lo) {
  const fl_clock c = lo->clock;
  const double c1 = 1.0 - fl_pow_int(h[H_BETA1], h[H_M_INDEX] != 0 ? c.t : c.k);
  const double c2 = sqrt(1.0 - fl_pow_int(h[H_BETA2], lo->theta ? c.t : c.k));
  fl_adamw_args a = adam_args(h[H_BETA1], h[H_BETA2], h[H_EPS], c.lr, c1, c2, 1.0 - c.lr_decay * h[H_WEIGHT_DECAY]);
  fl_mixed_step(lo, 0, lo->job->layout->d, h[H_AMSGRAD] != 0 ? plain_amsgrad : plain_adamw, &a);
}

const fl_rule fl_rule_adamw = { .name = "adamw", .lr_decay = 1, .help = "Adam with decoupled weight decay", .params = params,
                                .n_params = sizeof params / sizeof *params,
                                .needs = "m_index aggregate=yes,stage lada",
                                .lr = 1e-3, .state = state, .block_means = 1, .theta = block_count,
                                .start = start, .pack = pack, .step = step };
