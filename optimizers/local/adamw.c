/* adamw.c - AdamW (federated-adaptive 12), and its second moment as the shareable part theta (13):
 *
 *   m <- beta1*m + (1 - beta1)*v;   s <- beta2*s + (1 - beta2)*v^2
 *   y <- (1 - lr*weight_decay)*y - lr * (m/(1 - beta1^k)) / (sqrt(s/(1 - beta2^t)) + eps)
 *
 * v the mixed gradient; k counts the steps of this run; t = k when s started at 0, and the global index r*K + k when s
 * started from the server's block means, because s then carries over the rounds. theta: one mean of s a block.
 * Streams R{y,g,m,s} W{y,m,s}: 28 bytes a parameter, one square root and one division. */
#include <fedlane/optimizer.h>
#include <math.h>
#include <string.h>

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY, H_M_INDEX };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 0, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.01, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_M_INDEX] = { "m_index", 0, 0, 0, "local|global", "index in the first moment's bias correction: step of the round, or global", 0 },
};
static size_t state(const double *h, const fl_job *job) { (void)h; return 2 * job->layout->d; }
static size_t theta_floats(const double *h, const fl_job *job) { (void)h; return job->blocks.n; }

static void start(const double *h, fl_local *lo, const float *theta) {
  const size_t d = lo->job->layout->d;
  float *s = lo->state + d;
  (void)h;
  memset(lo->state, 0, 2 * d * sizeof(float));
  for (size_t b = 0; theta && b < lo->job->blocks.n; b++) {
    const fl_run r = lo->job->blocks.run[b];
    for (size_t i = 0; i < r.size; i++) s[r.offset + i] = theta[b];
  }
}

static void pack(const double *h, const fl_local *lo, float *theta) {
  const float *s = lo->state + lo->job->layout->d;
  (void)h;
  lo->k->mean_runs(lo->job->blocks.n, lo->job->blocks.run, s, theta);
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->adamw(n, y, lo->state + offset, lo->state + lo->job->layout->d + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const fl_clock c = lo->clock;
  const double c1 = 1.0 - fl_pow_int(h[H_BETA1], h[H_M_INDEX] != 0 ? c.t : c.k);
  const double c2 = sqrt(1.0 - fl_pow_int(h[H_BETA2], lo->theta ? c.t : c.k));
  fl_adamw_args a = { .beta1 = (float)h[H_BETA1], .omb1 = (float)(1.0 - h[H_BETA1]),
                      .beta2 = (float)h[H_BETA2], .omb2 = (float)(1.0 - h[H_BETA2]),
                      .decay = (float)(1.0 - c.lr_decay * h[H_WEIGHT_DECAY]),
                      .step = (float)(c.lr * c2 / c1), .eps = (float)(h[H_EPS] * c2) };
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, &a);
}

const fl_rule fl_rule_adamw = { .name = "adamw", .help = "Adam with decoupled weight decay", .params = params,
                                .n_params = sizeof params / sizeof *params, .state = state, .theta = theta_floats,
                                .start = start, .pack = pack, .step = step };
