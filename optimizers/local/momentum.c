/* momentum.c - gradient descent with momentum, PyTorch's form with dampening and Nesterov's variant:
 *
 *   u <- momentum*u + (1 - dampening)*(v + weight_decay*y)
 *   d  = u, or momentum*u + (1 - dampening)*(v + weight_decay*y) with nesterov
 *   y <- y - lr*d
 *
 * The decay joins the gradient before the buffer (coupled), as in FedNova's line 1. Streams R{y,u,g} W{y,u}: 20 bytes. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_MOMENTUM, H_DAMPENING, H_NESTEROV, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.9, 0, 1, NULL, "weight of the buffer", FL_BELOW },
  [H_DAMPENING] = { "dampening", 0, 0, 1, NULL, "1 - weight of the new gradient (0: heavy ball; = momentum: average)", 0 },
  [H_NESTEROV] = { "nesterov", 0, 0, 0, "no|yes", "look-ahead direction", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
static size_t state(const double *h, const fl_job *job) { (void)h; return job->layout->d; }
static void start(const double *h, fl_local *lo, const float *theta) {
  (void)h, (void)theta;
  memset(lo->state, 0, lo->job->layout->d * sizeof(float));
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->momentum(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const fl_mix kept = lo->mix;
  fl_momentum_args a = { (float)h[H_MOMENTUM], (float)(1.0 - h[H_DAMPENING]), (float)lo->clock.lr, 1.0f, h[H_NESTEROV] != 0 };
  if (h[H_WEIGHT_DECAY] != 0) lo->mix.gb += (float)h[H_WEIGHT_DECAY];   /* coupled: part of the gradient */
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, &a);
  lo->mix = kept;
}

const fl_rule fl_rule_momentum = { .name = "momentum", .help = "gradient descent with heavy-ball or Nesterov momentum", .params = params,
                                   .n_params = sizeof params / sizeof *params, .state = state, .start = start, .step = step };
