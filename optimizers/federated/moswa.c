/* moswa.c - the control variates of FedMoSWA (Liu et al. 2025, arXiv 2507.20016; federated-flat-private 11), over the stage
 * restart and with server_lr in the place of its alpha: the server's part is a momentum of the clients' fresh controls.
 *
 *   client: y <- y - eta_k*(g - c_i + m + weight_decay*y)
 *           c_i_new = c_i - m - Delta_i/(sum of eta_k)              option=1: c_i_new = gradient of client i at x
 *   server: m <- m + gamma*(1/|S|) sum over S of (c_i_new - m);   x <- x + server_lr*Delta
 *
 * SCAFFOLD's server instead adds (1/N)(c_i_new - c_i). c_i = m = 0 at first. Down x and m, up Delta_i and c_i_new - m (which the
 * server could form of Delta_i if it kept c_i; counted as sent). Streams R{y,g,m - c_i} W{y}: 16 bytes. */
#include "control.h"
#include <string.h>

enum { H_GAMMA = H_OWN };
enum { S_M, S_CI, S_S, S_FRESH, S_COUNT };
static const fl_param params[] = {
  [H_GAMMA] = { "gamma", 0.2, 0, 1, NULL, "weight of the clients' fresh controls in the server's", 0 },
  CONTROL_PARAMS,
};
static const fl_slot slots[S_COUNT] = {
  [S_M] = { "m", FL_SERVER, FL_DOWN, NULL },
  [S_CI] = { "c_i", FL_CLIENT, 0, NULL },
  [S_S] = { "m_minus_c_i", FL_WORK, 0, NULL },
  [S_FRESH] = { "c_i_minus_m", FL_UP, FL_EQUAL, NULL },
};

static void client_start(const double *h, fl_local *lo) {
  control_start(h, lo, lo->at[S_S], lo->at[S_M], lo->at[S_CI], lo->at[S_FRESH]);
}
static void before_step(const double *h, fl_local *lo) { control_before_step(h, lo, lo->at[S_FRESH]); }

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  float *fresh = lo->at[S_FRESH], *ci = lo->at[S_CI];
  if (lo->steps == 0) {                         /* no data: nothing moved, the control stays */
    memcpy(fresh, ci, d * sizeof *fresh);
  } else if (h[H_OPTION] == 0) {
    memcpy(ci, fresh, d * sizeof *ci);
  } else {
    control_change(lo, fresh, lo->at[S_M]);
    lo->k->add(d, ci, ci, fresh);
  }
  lo->k->sub(d, fresh, ci, lo->at[S_M]);
}

static void server_finish(const double *h, fl_server *sv) {
  sv->k->axpy(sv->job->layout->d, sv->at[S_M], (float)h[H_GAMMA], sv->at[S_FRESH]);
}

const fl_stage fl_stage_moswa = { .name = "moswa", .help = "control variates whose server part is a momentum of fresh ones",
                                  .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                  .terms = 1, .needs = CONTROL_NEEDS, .client_start = client_start,
                                  .before_step = before_step, .client_finish = client_finish,
                                  .server_finish = server_finish };
