/* dyn.c - dynamic regularisation: FedDyn (Acar et al. 2021, arXiv 2111.04263; federated-adaptive 7); FedSpeed over the stage pgn
 * (Sun et al. 2023, arXiv 2302.10429; federated-flat-private 7); FedSMOO over smoo (8); FedLESAM-D over lesam (9).
 *
 *   client: y <- y - lr_r*(g + alpha*(y - x) + alpha*z_i + weight_decay*y);   z_i <- z_i + Delta_i
 *   server: zbar <- zbar + (1/N) sum Delta_i;   x <- mean of the active y_i + zbar                 dyn_average=all
 *           x <- mean over the active of y_i + z_i                                                 dyn_average=active
 *
 * in model units: z_i = -h_i/alpha and zbar = -H/alpha of FedDyn, h_i of FedSpeed, whose lamb is alpha. FedDyn's and the released
 * FedSpeed are dyn_average=all; FedSpeed's paper, as recalled, uses the active clients alone. With unequal clients
 * alpha*mean(n)/n_i takes the place of alpha on the client, as in FedDyn's code (dyn_sizes=no: alpha for all). The mean of the
 * active clients' models is evaluated, as the authors do (x while none has come); dyn_evaluate=broadcast evaluates x. Down x, up
 * Delta_i. Streams R{y,g,q} W{y}: 16 bytes. */
#include "averaging.h"

enum { H_ALPHA, H_AVERAGE, H_EVALUATE, H_SIZES };
enum { S_Z, S_ZBAR, S_MEAN, S_Q, S_DELTA, S_Z_UP, S_COUNT };
static const fl_param params[] = {
  [H_ALPHA] = { "alpha", 0.1, 0, 1e6, NULL, "strength of the regulariser (lamb of FedSpeed)", 0 },
  [H_AVERAGE] = { "dyn_average", 0, 0, 0, "all|active", "whose past changes move x: all clients', or those of this round's", 0 },
  [H_EVALUATE] = { "dyn_evaluate", 0, 0, 0, "mean|broadcast", "what is evaluated: mean of the active, or x", 0 },
  [H_SIZES] = { "dyn_sizes", 1, 0, 0, "no|yes", "alpha*mean(n)/n_i for client i, not alpha", 0 },
};
static size_t mean_floats(const fl_job *job, const double *h) {
  return h[H_EVALUATE] == 0 ? fl_whole_floats(job, h) : 0;
}
static size_t all(const fl_job *j, const double *h) { return h[H_AVERAGE] != 0 ? 0 : j->layout->d; }
static size_t active(const fl_job *j, const double *h) { return h[H_AVERAGE] != 0 ? j->layout->d : 0; }
static const fl_slot slots[S_COUNT] = {
  [S_Z] = { "z_i", FL_CLIENT, 0, NULL },
  [S_ZBAR] = { "zbar", FL_SERVER, 0, all },
  [S_MEAN] = { "mean", FL_SERVER, 0, mean_floats },
  [S_Q] = { "z_minus_x", FL_WORK, 0, NULL },
  [S_DELTA] = { "Delta_i", FL_UP, FL_OVER_N | FL_DERIVED, all },
  [S_Z_UP] = { "z_i", FL_UP, FL_EQUAL | FL_FORMED, active },
};

static const char *setup(const double *h, const fl_job *job) { (void)h; return averaging_only(job, "stage dyn"); }

static void client_start(const double *h, fl_local *lo) {
  const double mean = (double)lo->job->samples / (double)lo->job->clients;
  const double alpha = h[H_SIZES] != 0 && lo->oracle->n ? h[H_ALPHA] * mean / (double)lo->oracle->n : h[H_ALPHA];
  lo->k->sub(lo->job->layout->d, lo->at[S_Q], lo->at[S_Z], lo->start);
  lo->mix.gb += (float)alpha;
  fl_mix_add(lo, lo->at[S_Q], alpha);
}
static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  lo->k->add(d, lo->at[S_Z], lo->at[S_Z], lo->up[0].v);
  /* y_i + z_i is sent as one vector; kept apart here for the mean of the y_i */
  if (h[H_AVERAGE] != 0) memcpy(lo->at[S_Z_UP], lo->at[S_Z], d * sizeof(float));
}
static void server_finish(const double *h, fl_server *sv) {
  const fl_layout *l = sv->job->layout;
  float *mean = sv->at[S_MEAN];
  if (h[H_EVALUATE] == 0) sv->k->add(l->d + l->buffers, mean, sv->x, sv->move);
  if (h[H_AVERAGE] == 0) sv->k->add(l->d, sv->at[S_ZBAR], sv->at[S_ZBAR], sv->at[S_DELTA]);
  sv->k->add(l->d, sv->move, sv->move, sv->at[h[H_AVERAGE] == 0 ? S_ZBAR : S_Z_UP]);
}
static const float *model(const double *h, const fl_server *sv) {
  return h[H_EVALUATE] == 0 && sv->moved > 0 ? sv->at[S_MEAN] : NULL;
}

const fl_stage fl_stage_dyn = { .name = "dyn", .help = "a regulariser that remembers each client's past changes",
                                .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                .terms = 1, .acts = FL_SETS_X, .setup = setup,
                                .client_start = client_start, .client_finish = client_finish,
                                .server_finish = server_finish, .model = model };
