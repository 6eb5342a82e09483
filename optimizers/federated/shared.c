/* shared.c - a shared second-order state and a pull along the global direction: FedAdamW (federated-adaptive 13) over
 * AdamW, FedMuon (16) over Muon.
 *
 *   client: the rule starts from the server's theta (block means of the second moment; momentum of the matrices);
 *           additive: y <- rule(y; lr) - lr*alpha*D        convex: y <- rule(y; (1-alpha)*lr) - lr*alpha*D
 *   server: theta <- mean theta_i;   D <- -(1/m) sum Delta_i/(K_i*lr_r);   x <- x + mean Delta
 *
 * D^0 = 0 and theta^0 = 0, so round 0 is the local rule. D is formed by the server from the change as sent (it costs no
 * upload), normalised by the lr of the round that made it and applied with the lr of the round that uses it. With convex
 * mixing over AdamW the decay stays lr*weight_decay; Muon decays by its own step, (1-alpha)*lr*muon_lr_scale, as released. */
#include <fedlane/optimizer.h>

enum { H_ALPHA, H_MIX, H_AGGREGATE };
enum { S_D, S_THETA, S_D_UP, S_THETA_UP, S_COUNT };
static const fl_param params[] = {
  [H_ALPHA] = { "alpha", 0.5, 0, 1, NULL, "weight of the global direction", 0 },
  [H_MIX] = { "mix", 0, 0, 0, "additive|convex", "add alpha*D to the local step, or weigh them alpha to 1 - alpha", 0 },
  [H_AGGREGATE] = { "aggregate", 1, 0, 0, "no|yes", "average the rule's second-order state and send it back", 0 },
};
static size_t theta_floats(const fl_job *job, const double *h) {
  return h[H_AGGREGATE] != 0 ? job->rule->theta(job->h_rule, job) : 0;
}
static const fl_slot slots[S_COUNT] = {
  [S_D] = { "D", FL_SERVER, FL_DOWN, NULL },
  [S_THETA] = { "theta", FL_SERVER, FL_DOWN, theta_floats },
  [S_D_UP] = { "D_i", FL_UP, FL_EQUAL | FL_DERIVED, NULL },
  [S_THETA_UP] = { "theta_i", FL_UP, FL_EQUAL, theta_floats },
};

static const char *setup(const double *h, const fl_job *job) {
  if (h[H_AGGREGATE] == 0) return NULL;
  if (!job->rule->theta || (job->layout && !job->rule->theta(job->h_rule, job)))
    return "stage shared: this rule has no second-order state to share (docs/optimizers.md says which have; or aggregate=no)";
  return NULL;
}

static void client_start(const double *h, fl_local *lo) {
  const double alpha = h[H_ALPHA], lr = lo->lr;
  lo->mix.drift = lo->at[S_D];
  lo->mix.cd = lr * alpha;
  if (h[H_MIX] != 0) lo->clock.lr = (1.0 - alpha) * lr;
  if (h[H_AGGREGATE] != 0) lo->theta = lo->at[S_THETA];
}

static void client_finish(const double *h, fl_local *lo) {
  for (size_t u = 1; u < lo->n_up; u++)
    if (lo->up[u].v == lo->at[S_D_UP]) lo->up[u].scale = lo->steps ? -1.0 / ((double)lo->steps * lo->lr) : 0.0;
  if (h[H_AGGREGATE] != 0) lo->job->rule->pack(lo->job->h_rule, lo, lo->at[S_THETA_UP]);
}

static void server_finish(const double *h, fl_server *sv) {
  sv->k->scale(sv->job->layout->d, sv->at[S_D], 1.0f, sv->at[S_D_UP]);
  if (h[H_AGGREGATE] != 0) sv->k->scale(theta_floats(sv->job, h), sv->at[S_THETA], 1.0f, sv->at[S_THETA_UP]);
}

const fl_stage fl_stage_shared = { .name = "shared", .help = "shared second-order state and a pull along the global direction",
                                   .params = params, .n_params = sizeof params / sizeof *params, .slot = slots,
                                   .n_slots = S_COUNT, .setup = setup, .client_start = client_start,
                                   .client_finish = client_finish, .server_finish = server_finish };
