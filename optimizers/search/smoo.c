/* smoo.c - the perturbation of FedSMOO (Sun et al. 2023, arXiv 2305.11584; federated-flat-private 8), which goes over the stage
 * dyn: clients agree on one perturbation by dynamic regularisation.
 *
 *   client, each step: q = grad f(y) - mu_i - s;   e = sam_rho*q/(|q|_2 + 1e-12);   mu_i <- mu_i + e - s;   g = grad f(y + e),
 *   same batch server:            a = (1/m) sum mu_i;   s <- sam_rho*a/(|a|_2 + 1e-12)
 *
 * mu_i and s begin at 0; mu_i lives on from round to round. The paper subtracts the client's last e from mu_i in a, the released
 * code does not: smoo_subtract_last. sam_rho = 0 is the stack without this stage. Down s, up mu_i, besides the others'. The loss
 * that is told is f(y). */
#include "probe.h"

enum { H_RHO, H_LAST };
enum { S_S, S_MU, S_A, S_PROBE, S_COUNT };
static const fl_param params[] = {
  [H_RHO] = { "sam_rho", 0.1, 0, 1e6, NULL, "radius of the search (0: none)", 0 },
  [H_LAST] = { "smoo_subtract_last", 0, 0, 0, "no|yes", "send mu_i less the last perturbation", 0 },
};
static const fl_slot slots[S_COUNT] = {
  [S_S] = { "s", FL_SERVER, FL_DOWN, NULL },
  [S_MU] = { "mu_i", FL_CLIENT, 0, NULL },
  [S_A] = { "a_i", FL_UP, FL_EQUAL, NULL },
  [S_PROBE] = { "probe", FL_WORK, 0, fl_whole_floats },
};

static double grad(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  float *q = lo->at[S_PROBE], *mu = lo->at[S_MU];
  const float *s = lo->at[S_S];
  const double loss = gradient_at(lo, lo->y, lo->g);
  if (h[H_RHO] == 0) return loss;
  const fl_mix_args less = { .ga = 1.0f, .gq0 = -1.0f, .gq1 = -1.0f };
  lo->k->mix(d, q, lo->g, NULL, mu, s, &less);
  const float length = radius(lo, h[H_RHO], q);
  const fl_mix_args move = { .ga = 1.0f, .gq0 = length, .gq1 = -1.0f };
  lo->k->mix(d, mu, mu, NULL, q, s, &move);
  if (h[H_LAST] != 0) {
    const fl_mix_args last = { .ga = -length, .gq0 = 1.0f };
    lo->k->mix(d, lo->at[S_A], q, NULL, mu, NULL, &last);
  }
  gradient_near(lo, q, q, length);
  return loss;
}
static void client_finish(const double *h, fl_local *lo) {
  if (h[H_LAST] == 0 || h[H_RHO] == 0 || lo->steps == 0) memcpy(lo->at[S_A], lo->at[S_MU], lo->job->layout->d * sizeof(float));
}
static void server_finish(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  const float *a = sv->at[S_A];
  sv->k->scale(d, sv->at[S_S], (float)(h[H_RHO] / (sqrt(sv->k->sumsq(d, a)) + 1e-12)), a);
}

const fl_stage fl_stage_smoo = { .name = "smoo", .help = "gradient at a worst point that the clients agree on", .params = params,
                                 .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT, .grad = grad,
                                 .client_finish = client_finish, .server_finish = server_finish };
