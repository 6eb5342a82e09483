/* scaffold.c - SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378; federated-adaptive 6). Control variates cancel drift:
 *
 *   client: y <- y - lr*(g + c - c_i + ...)                      (the rule adds q0 = c - c_i in its pass)
 *   option 2: c_i_new = c_i - c - Delta_i/(K_i*lr)     option 1: c_i_new = full gradient of client i at x
 *   server: x <- x + mean Delta;   c <- c + (1/N) sum (c_i_new - c_i)          N, not m
 *
 * A client that is not active keeps its c_i. Down x and c, up Delta_i and c_i_new - c_i. */
#include "control.h"
#include <string.h>

enum { H_OPTION };
enum { S_C, S_CI, S_S, S_DC, S_COUNT };
static const fl_param params[] = {
  [H_OPTION] = { "option", 1, 0, 0, "1|2", "how a client renews its control: 1 full gradient at x, 2 from its change", 0 },
};
static const fl_slot slots[S_COUNT] = {
  [S_C] = { "c", FL_SERVER, FL_DOWN, NULL },
  [S_CI] = { "c_i", FL_CLIENT, 0, NULL },
  [S_S] = { "c_minus_c_i", FL_WORK, 0, NULL },
  [S_DC] = { "dc", FL_UP, FL_OVER_N, NULL },
};

static void client_start(const double *h, fl_local *lo) {
  control_correct(lo, lo->at[S_S], lo->at[S_C], lo->at[S_CI]);
  if (h[H_OPTION] == 0) control_gradient(lo, lo->at[S_DC]);
}

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  float *dc = lo->at[S_DC], *ci = lo->at[S_CI];
  if (lo->steps == 0) {                         /* no data: nothing moved, the control stays */
    memset(dc, 0, d * sizeof *dc);
    return;
  }
  if (h[H_OPTION] == 0) lo->k->sub(d, dc, dc, ci);
  else control_change(lo, dc, lo->at[S_C]);
  lo->k->add(d, ci, ci, dc);
}

static void server_finish(const double *h, fl_server *sv) {
  (void)h;
  sv->k->add(sv->job->layout->d, sv->at[S_C], sv->at[S_C], sv->at[S_DC]);
}

const fl_stage fl_stage_scaffold = { .name = "scaffold", .help = "control variates against client drift", .params = params,
                                     .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT, .terms = 1,
                                     .client_start = client_start, .client_finish = client_finish,
                                     .server_finish = server_finish };
