/* shared.c - a shared second-order state and a pull along the global direction: FedAdamW (federated-adaptive 13) over AdamW,
 * FedMuon (16) and all of FedPAC (20) over Muon, SOAP, Sophia and Shampoo; as the stage lada FedLADA (11) over Adam with the
 * maximum of its second moment.
 *
 *   client: the rule starts from the server's theta (block means of the second moment; momentum of the matrices);
 *           additive: y <- rule(y; lr) - lr*alpha*D        convex: y <- rule(y; (1-alpha)*lr) - lr*alpha*D
 *   server: theta <- mean theta_i;   D <- -(1/m) sum Delta_i/(K_i*lr_r);   x <- x + mean Delta
 *
 * D^0 = 0 and theta^0 = 0, so round 0 is the local rule. D is formed by the server from the change as sent (it costs no
 * upload), normalised by the lr of the round that made it and applied with the lr of the round that uses it. With convex
 * mixing over AdamW the decay stays lr*weight_decay (convex_decay=mixed: (1-alpha)*lr*weight_decay, FedAdamW's first release);
 * Muon decays by its own step, (1-alpha)*lr*muon_lr_scale, as released. rescale_correction=no pulls by alpha*Delta/K a step
 * whatever the lr has become.
 *
 * lada is convex with theta, and its alpha is the weight of the LOCAL step, as in that paper. FedPAC-Shampoo is our extension
 * (inferred). */
#include "direction.h"

enum { H_ALPHA, H_MIX, H_AGGREGATE, H_RESCALE, H_DECAY };
enum { S_D, S_THETA, S_D_UP, S_THETA_UP, S_COUNT };
static const fl_param params[] = {
  [H_ALPHA] = { "alpha", 0.5, 0, 1, NULL, "weight of the global direction", 0 },
  [H_MIX] = { "mix", 0, 0, 0, "additive|convex", "add alpha*D to the local step, or weigh them alpha to 1 - alpha", 0 },
  [H_AGGREGATE] = { "aggregate", 1, 0, 0, "no|yes", "average the rule's second-order state and send it back", 0 },
  [H_RESCALE] = { "rescale_correction", 1, 0, 0, "no|yes", "the pull falls with the step size, as lr_r/lr_(r-1)", 0 },
  [H_DECAY] = { "convex_decay", 0, 0, 0, "lr|mixed",
                "step size that decays the weights with mix=convex, where the rule lets it differ", 0 },
};
static const fl_param lada_params[] = {
  [H_ALPHA] = { "alpha", 0.1, 0, 1, NULL, "weight of the local step (1 - alpha: of the global direction)", FL_ABOVE },
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
  if (h[H_DECAY] != 0 && !job->rule->lr_decay)
    return fl_why(job, "stage shared: convex_decay = mixed with rule %s, which decays by its own step size: it would do nothing; "
                       "allowed: lr", job->rule->name);
  if (h[H_AGGREGATE] == 0) return NULL;
  if (!job->rule->theta || (job->layout && !job->rule->theta(job->h_rule, job)))
    return "stage shared: this rule has no second-order state to share (docs/optimizers.md says which have; or aggregate=no)";
  return NULL;
}

static void client_start(const double *h, fl_local *lo) {
  const double alpha = h[H_ALPHA], lr = lo->lr;
  lo->mix.drift = lo->at[S_D];
  lo->mix.cd = h[H_RESCALE] != 0 ? lr * alpha : alpha;
  if (h[H_MIX] != 0) lo->clock.lr = (1.0 - alpha) * lr;
  if (h[H_MIX] != 0 && h[H_DECAY] != 0) lo->clock.lr_decay = lo->clock.lr;
  if (h[H_AGGREGATE] != 0) lo->theta = lo->at[S_THETA];
}

static void client_finish(const double *h, fl_local *lo) {
  direction_send(lo, lo->at[S_D_UP], h[H_RESCALE] != 0 ? lo->effective_steps * lo->lr : lo->effective_steps);
  if (h[H_AGGREGATE] != 0) lo->job->rule->pack(lo->job->h_rule, lo, lo->at[S_THETA_UP]);
}

static void message(const double *h, const fl_job *job, uint32_t id, size_t at, uint64_t *change, uint64_t *own) {
  (void)id, (void)at, (void)change;
  if (h[H_AGGREGATE] != 0 && job->rule->packed) own[S_THETA_UP] = 32 * (uint64_t)job->rule->packed(job->h_rule, job);
}

static void server_finish(const double *h, fl_server *sv) {
  direction_keep(sv, sv->at[S_D], sv->at[S_D_UP]);
  if (h[H_AGGREGATE] != 0) sv->k->scale(theta_floats(sv->job, h), sv->at[S_THETA], 1.0f, sv->at[S_THETA_UP]);
}

const fl_stage fl_stage_shared = { .name = "shared", .help = "shared second-order state and a pull along the global direction",
                                   .params = params, .n_params = sizeof params / sizeof *params, .slot = slots,
                                   .n_slots = S_COUNT, .drifts = 1, .needs = "convex_decay mix=convex", .setup = setup,
                                   .client_start = client_start, .client_finish = client_finish, .message = message,
                                   .server_finish = server_finish };

/* lada's one parameter as shared's five. */
typedef struct { double h[5]; } shared_h;
static shared_h of_lada(const double *h) {
  return (shared_h){ { [H_ALPHA] = 1.0 - h[H_ALPHA], [H_MIX] = 1, [H_AGGREGATE] = 1, [H_RESCALE] = 1 } };
}
static size_t lada_theta(const fl_job *job, const double *h) { return theta_floats(job, of_lada(h).h); }
/* The largest second moment is divided by alone: its beginning is the paper's eps^2, and the one eps there is. */
static const char *lada_setup(const double *h, const fl_job *job) {
  const double eps = fl_of_rule(job, "eps"), begin = fl_of_rule(job, "initial_accumulator");
  if (fl_of_rule(job, "amsgrad") != 0 && eps > 0 && begin != 0)
    return fl_why(job, "stage lada: eps = %g beside initial_accumulator = %g, which is FedLADA's eps^2; allowed: eps = 0 with "
                       "another initial_accumulator, or amsgrad = no", eps, begin);
  return setup(of_lada(h).h, job);
}
static void lada_start(const double *h, fl_local *lo) { client_start(of_lada(h).h, lo); }
static void lada_finish(const double *h, fl_local *lo) { client_finish(of_lada(h).h, lo); }
static void lada_message(const double *h, const fl_job *job, uint32_t id, size_t at, uint64_t *change, uint64_t *own) {
  message(of_lada(h).h, job, id, at, change, own);
}
static void lada_server(const double *h, fl_server *sv) { server_finish(of_lada(h).h, sv); }
static const fl_slot lada_slots[S_COUNT] = {
  [S_D] = { "D", FL_SERVER, FL_DOWN, NULL },
  [S_THETA] = { "theta", FL_SERVER, FL_DOWN, lada_theta },
  [S_D_UP] = { "D_i", FL_UP, FL_EQUAL | FL_DERIVED, NULL },
  [S_THETA_UP] = { "theta_i", FL_UP, FL_EQUAL, lada_theta },
};
const fl_stage fl_stage_lada = { .name = "lada", .help = "as shared, the paper's weights of FedLADA", .params = lada_params,
                                 .n_params = sizeof lada_params / sizeof *lada_params, .slot = lada_slots, .n_slots = S_COUNT,
                                 .drifts = 1, .setup = lada_setup, .client_start = lada_start, .client_finish = lada_finish,
                                 .message = lada_message, .server_finish = lada_server };
