/* prox.c - FedProx (Li et al. 2020, arXiv 1812.06127; federated-adaptive 4): a proximal term holds the client near the server's
 * model.
 *
 *   y <- y - lr_r*(g + mu*(y - x) + weight_decay*y)              server as FedAvg
 *
 * With a rule that has momentum the term enters the buffer (the paper does not say; interface C29). mu = 0 is FedAvg. Nothing
 * more is sent. Streams R{y,g,x} W{y}: 16 bytes. */
#include <fedlane/optimizer.h>

enum { H_MU };
static const fl_param params[] = {
  [H_MU] = { "mu", 0.01, 0, 1e6, NULL, "strength of the proximal term: mu*(y - x) joins the gradient", 0 },
};

static void client_start(const double *h, fl_local *lo) {
  fl_mix_pull(lo, h[H_MU]);
}

const fl_stage fl_stage_prox = { .name = "prox", .help = "a proximal term towards the server's model", .params = params,
                                 .n_params = sizeof params / sizeof *params, .terms = 1, .acts = FL_BY_SAMPLES,
                                 .client_start = client_start };
