/* cm.c - FedCM (Xu et al. 2021, arXiv 2106.10874; federated-adaptive 8) and, over the stage sam, MoFedSAM (Qu et al. 2022, arXiv
 * 2206.02618; federated-flat-private 5): every step of a client is mixed with the last round's global direction.
 *
 *   client: y <- y - lr_r*(alpha*g + (1 - alpha)*D + weight_decay*y)
 *   server: D <- -(1/m) sum Delta_i/(K_i*lr_r);   x <- x + server_lr*Delta
 *
 * alpha is the weight of the LOCAL gradient; the decay is not scaled by it. D^0 = 0, so round 0 is FedAvg at alpha*lr. alpha = 1
 * is FedAvg. Down x and D, up Delta_i. Streams R{y,g,D} W{y}: 16 bytes. */
#include "direction.h"

enum { H_ALPHA };
enum { S_D, S_D_UP, S_COUNT };
static const fl_param params[] = {
  [H_ALPHA] = { "alpha", 0.1, 0, 1, NULL, "weight of the local gradient (1 - alpha: of the global direction)", FL_ABOVE },
};
static const fl_slot slots[S_COUNT] = {
  [S_D] = { "D", FL_SERVER, FL_DOWN, NULL },
  [S_D_UP] = { "D_i", FL_UP, FL_EQUAL | FL_DERIVED, NULL },
};

static void client_start(const double *h, fl_local *lo) {
  lo->mix.ga *= (float)h[H_ALPHA];
  fl_mix_add(lo, lo->at[S_D], 1.0 - h[H_ALPHA]);
}
static void client_finish(const double *h, fl_local *lo) {
  (void)h;
  direction_send(lo, lo->at[S_D_UP], lo->effective_steps * lo->lr);
}
static void server_finish(const double *h, fl_server *sv) {
  (void)h;
  direction_keep(sv, sv->at[S_D], sv->at[S_D_UP]);
}

const fl_stage fl_stage_cm = { .name = "cm", .help = "local gradients mixed with the global direction", .params = params,
                               .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT, .terms = 1,
                               .client_start = client_start, .client_finish = client_finish, .server_finish = server_finish };
