/* nova.c - FedNova (Wang et al. 2020, arXiv 2007.07481; federated-adaptive 5): every change is divided by what the client's steps
 * add up to, so that clients with more steps do not pull the solution towards themselves.
 *
 *   client: y <- y - lr_r*(buf + nova_mu*(y - x)),   buf of the rule (sgd, momentum);   sends Delta_i/a_i and a scalar
 *           a_i = sum over the steps of what one gradient still moves: K_i for sgd; q <- momentum*q + 1, a <- a + q for momentum;
 *                 a <- a*(1 - lr_r*nova_mu) + 1 with the proximal term
 *   server: x <- x + tau*sum p_i*Delta_i/a_i,   tau = sum p_i*a_i   (nova_mu = 0)   or   sum p_i*K_i   (nova_mu > 0, as released)
 *
 * Momentum with the proximal term has no a_i (the released recurrence adds both) and is refused. "gmf" is server_rule=momentum.
 * With equal K_i it is FedAvg with the same rule. Up d + 1 floats. Streams as the rule's (+ R{x} with the proximal term). */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_MU };
enum { S_TAU, S_COUNT };
static const fl_param params[] = {
  [H_MU] = { "nova_mu", 0, 0, 1e6, NULL, "strength of a proximal term: nova_mu*(y - x) joins the gradient", 0 },
};
static size_t one(const fl_job *job, const double *h) { (void)job, (void)h; return 1; }
static const fl_slot slots[S_COUNT] = { [S_TAU] = { "tau_i", FL_UP, 0, one } };

static const char *setup(const double *h, const fl_job *job) {
  const int momentum = !strcmp(job->rule->name, "momentum");
  if (strcmp(job->rule->name, "sgd") && !momentum)
    return "stage nova: what a step adds up to is known for the rules sgd and momentum";
  if (momentum && (fl_of_rule(job, "nesterov") != 0 || fl_of_rule(job, "dampening") != 0))
    return "stage nova: what a step adds up to is known for momentum without nesterov and dampening";
  if (h[H_MU] != 0 && fl_of_rule(job, "momentum") != 0) return "stage nova: nova_mu > 0 with momentum > 0; allowed: one of them";
  for (size_t i = 0; i < job->n_stages; i++)
    if (!strcmp(job->stage[i]->name, "prox"))
      return "stage nova has the proximal term itself (nova_mu); leave the stage prox out";
  return NULL;
}

static size_t terms_of(const double *h) { return h[H_MU] != 0; }

static void client_start(const double *h, fl_local *lo) {
  if (h[H_MU] != 0) fl_mix_pull(lo, h[H_MU]);
}

static void client_finish(const double *h, fl_local *lo) {
  const double momentum = fl_of_rule(lo->job, "momentum"), mu = h[H_MU];
  double a = 0, q = 0;
  for (uint64_t k = 0; k < lo->steps; k++) {
    q = momentum * q + 1;
    a = mu != 0 ? a * (1 - lo->lr * mu) + 1 : a + q;
  }
  lo->at[S_TAU][0] = (float)(mu != 0 ? (double)lo->steps : a);
  if (a > 0) lo->k->scale(lo->job->layout->d, lo->up[0].v, (float)(1.0 / a), lo->up[0].v);
}

static void server_finish(const double *h, fl_server *sv) {
  (void)h;
  sv->k->scale(sv->job->layout->d, sv->move, sv->at[S_TAU][0], sv->move);
}

const fl_stage fl_stage_nova = { .name = "nova", .help = "changes normalised by what each client's steps add up to",
                                 .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                 .acts = FL_NORMALISES | FL_BY_SAMPLES,
                                 .terms_of = terms_of, .setup = setup, .client_start = client_start,
                                 .client_finish = client_finish, .server_finish = server_finish };
