/* acg.c - FedACG (Kim, Kim, Han 2024, arXiv 2201.03172; federated-adaptive 9): clients start from a look-ahead point, and the
 * proximal term is anchored there.
 *
 *   server: z = x + momentum*u is broadcast in place of x
 *   client: y = z;   y <- y - lr_r*(g + mu*(y - z) + weight_decay*y);   Delta_i = y - z
 *   server: u <- momentum*u + (1/m) sum Delta_i;   x <- x + u                      (the mean of the clients' models)
 *
 * u^0 = 0. acg_momentum = 0 is FedProx, mu = 0 Nesterov's momentum on the server. The code released with the paper (as the
 * specification records it) writes the term without the half, hence mu = 0.002 for its 0.001. x, not z, is evaluated. Streams
 * R{y,g,z} W{y}: 16 bytes. */
#include "averaging.h"
#include <string.h>

enum { H_MOMENTUM, H_MU };
enum { S_U, S_Z, S_COUNT };
static const fl_param params[] = {
  [H_MOMENTUM] = { "acg_momentum", 0.85, 0, 1, NULL, "how far the look-ahead goes along the last change", FL_BELOW },
  [H_MU] = { "mu", 0.002, 0, 1e6, NULL, "strength of the proximal term: mu*(y - z) joins the gradient", 0 },
};
static const fl_slot slots[S_COUNT] = { [S_U] = { "u", FL_SERVER, 0, NULL }, [S_Z] = { "z", FL_SERVER, 0, fl_whole_floats } };

static const char *setup(const double *h, const fl_job *job) { (void)h; return averaging_only(job, "stage acg"); }

static void server_start(const double *h, fl_server *sv) {
  const fl_layout *l = sv->job->layout;
  float *z = sv->at[S_Z];
  memcpy(z, sv->x, (l->d + l->buffers) * sizeof *z);
  sv->k->axpy(l->d, z, (float)h[H_MOMENTUM], sv->at[S_U]);
  sv->send = z;
}
static void client_start(const double *h, fl_local *lo) {
  fl_mix_pull(lo, h[H_MU]);
}
static void server_finish(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  float *u = sv->at[S_U];
  sv->k->scale(d, u, (float)h[H_MOMENTUM], u);
  sv->k->add(d, u, u, sv->move);
  sv->k->scale(d, sv->move, 1.0f, u);
}

const fl_stage fl_stage_acg = { .name = "acg", .help = "clients start from a look-ahead point along the last change",
                                .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                .terms = 1, .acts = FL_SETS_X, .setup = setup,
                                .server_start = server_start, .client_start = client_start,
                                .server_finish = server_finish };
