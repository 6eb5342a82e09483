/* restart.c - the local step size of FedSWA and FedMoSWA (Liu et al. 2025, arXiv 2507.20016; federated-flat-private 10, 11): it
 * falls along a client's round and is whole again at the beginning of the next. FedSWA is this stage with server_lr in the place
 * of its alpha.
 *
 *   eta_k = lr_r*[(1 - k/K) + (k/K)*lr_end_ratio],   k = 0 .. K-1     (lr_end_ratio*lr_r itself is not reached)
 *
 * The decay's step size and a drift fall alike. lr_end_ratio = 1 is the rule as it is. */
#include <fedlane/optimizer.h>

enum { H_END };
static const fl_param params[] = {
  [H_END] = { "lr_end_ratio", 0.1, 0, 1, NULL, "step size towards which a round's falls, over the one it begins with", 0 },
};

static void client_start(const double *h, fl_local *lo) {
  const double K = (double)lo->steps, end = h[H_END];
  lo->effective_steps = (K * (1.0 + end) + (1.0 - end)) / 2.0;
}
static void before_step(const double *h, fl_local *lo) {
  const double at = (double)(lo->clock.k - 1) / (double)lo->steps, share = (1.0 - at) + at * h[H_END];
  lo->clock.lr *= share;
  lo->clock.lr_decay *= share;
  lo->mix.cd *= share;
}

const fl_stage fl_stage_restart = { .name = "restart", .help = "a step size that falls along a client's round", .params = params,
                                    .n_params = sizeof params / sizeof *params, .client_start = client_start,
                                    .before_step = before_step, .acts = FL_FALLS };
