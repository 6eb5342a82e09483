/* my_ngd.c - a rule: normalised gradient descent with momentum; the step has the length lr, whatever that of the gradient is.
 *
 *   m <- my_beta*m + (1 - my_beta)*v              v: the mixed gradient
 *   y <- (1 - lr*my_decay)*y - lr*m/max(|m|, my_floor)
 *
 * |m| is known only after the whole of m, so there are two passes. */
#include "my_method.h"
#include <math.h>
#include <string.h>

enum { H_BETA, H_FLOOR, H_DECAY };
static const fl_param params[] = {
  [H_BETA] = { "my_beta", 0.9, 0, 1, NULL, "decay of the momentum", FL_BELOW },
  [H_FLOOR] = { "my_floor", 1e-12, 0, 1e6, NULL, "length of the momentum below which the step is shorter than lr", FL_ABOVE },
  [H_DECAY] = { "my_decay", 0, 0, 1e3, NULL, "decay of the weights", 0 },
};

/* One float a parameter, which lives for a client's round (of a server rule, or in central training: for the run). */
static size_t state(const double *h, const fl_job *job) {
  (void)h;
  return job->layout->d;
}
static void start(const double *h, fl_local *lo, const float *theta) {
  (void)h, (void)theta;
  memset(lo->state, 0, lo->job->layout->d * sizeof(float));
}

/* n elements of the mixed gradient, from `offset` on. The kernel `ema` stores +0 for what is smaller than any normal number. */
static void gather(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const double *beta = arg;
  (void)y;
  lo->k->ema(n, lo->state + offset, v, (float)*beta, (float)(1.0 - *beta));
}

static void step(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  double beta = h[H_BETA];
  const float *drift = lo->mix.drift;
  lo->mix.drift = NULL;                         /* it follows the step, which comes after this pass */
  fl_mixed_step(lo, 0, d, gather, &beta);
  lo->mix.drift = drift;
  const double norm = sqrt(lo->k->sumsq(d, lo->state));         /* a norm that is NaN must stay one: the run has diverged */
  const double length = norm < h[H_FLOOR] ? h[H_FLOOR] : norm;
  lo->k->sgd(d, lo->y, lo->state, (float)(1.0 - lo->clock.lr_decay * h[H_DECAY]), (float)(lo->clock.lr / length));
  if (drift) lo->k->axpy(d, lo->y, (float)-lo->mix.cd, drift);
}

const fl_rule my_ngd = { .name = "my_ngd", .help = "normalised gradient descent with momentum", .lr = 0.1, .lr_decay = 1,
                         .params = params, .n_params = sizeof params / sizeof *params, .state = state, .start = start,
                         .step = step };
