/* sgd.c - stochastic gradient descent with coupled weight decay (federated-adaptive 2):
 *
 *   y <- (1 - lr*weight_decay)*y - lr*v          v: the mixed gradient
 *
 * Streams R{y,g} W{y}: 12 bytes a parameter. As server rule with lr = server_lr it is x + server_lr*move. */
#include <fedlane/optimizer.h>

enum { H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};
typedef struct { float decay, lr; } sgd_args;

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const sgd_args *a = arg;
  (void)offset;
  lo->k->sgd(n, y, v, a->decay, a->lr);
}

static void step(const double *h, fl_local *lo) {
  sgd_args a = { (float)(1.0 - lo->clock.lr_decay * h[H_WEIGHT_DECAY]), (float)lo->clock.lr };
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, &a);
}

const fl_rule fl_rule_sgd = { .name = "sgd", .lr_decay = 1, .help = "stochastic gradient descent", .params = params,
                              .n_params = sizeof params / sizeof *params, .step = step };
