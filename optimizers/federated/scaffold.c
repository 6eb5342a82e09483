/* scaffold.c - SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378; federated-adaptive 6). Control variates cancel drift:
 *
 *   client: y <- y - lr*(g + c - c_i + ...)                      (the rule adds q0 = c - c_i in its pass)
 *   option 2: c_i_new = c_i - c - Delta_i/(K_i*lr)     option 1: c_i_new = gradient of client i at x
 *   server: x <- x + mean Delta;   c <- c + (1/N) sum (c_i_new - c_i)          N, not m
 *
 * A client that is not active keeps its c_i. Down x and c, up Delta_i and c_i_new - c_i. With derive=yes the server forms
 * sum (c_i_new - c_i) = -sum Delta_i/(K_i*lr) - (clients with steps)*c of option 2 itself, and Delta_i is all that is sent; not
 * before a stage that changes Delta_i (topk): the c_i would be renewed by one change and c by another. */
#include "control.h"
#include <string.h>

enum { H_DERIVE = H_OWN };
enum { S_C, S_CI, S_S, S_DC, S_DELTA, S_SHARE, S_COUNT };
static const fl_param params[] = {
  CONTROL_PARAMS,
  [H_DERIVE] = { "derive", 0, 0, 0, "no|yes", "the server forms the changes of the controls from those of the model", 0 },
};
static size_t sent(const fl_job *j, const double *h) { return h[H_DERIVE] != 0 ? 0 : j->layout->d; }
static size_t formed(const fl_job *j, const double *h) { return h[H_DERIVE] != 0 ? j->layout->d : 0; }
static size_t share(const fl_job *job, const double *h) { (void)job; return h[H_DERIVE] != 0; }
static const fl_slot slots[S_COUNT] = {
  [S_C] = { "c", FL_SERVER, FL_DOWN, NULL },
  [S_CI] = { "c_i", FL_CLIENT, 0, NULL },
  [S_S] = { "c_minus_c_i", FL_WORK, 0, NULL },
  [S_DC] = { "dc", FL_UP, FL_OVER_N, sent },
  [S_DELTA] = { "Delta_i", FL_UP, FL_OVER_N | FL_DERIVED, formed },
  [S_SHARE] = { "has_steps", FL_UP, FL_OVER_N | FL_FORMED, share },
};

static const char *setup(const double *h, const fl_job *job) { return control_setup(h[H_DERIVE] != 0, job); }

static void client_start(const double *h, fl_local *lo) {
  control_start(h, lo, lo->at[S_S], lo->at[S_C], lo->at[S_CI], lo->at[S_DC]);
}
static void before_step(const double *h, fl_local *lo) { control_before_step(h, lo, lo->at[S_DC]); }

/* What the server knows without being told: how Delta_i counts, and whether there were steps. */
static void let_derive(fl_local *lo) {
  for (size_t u = 1; u < lo->n_up; u++)
    if (lo->up[u].v == lo->at[S_DELTA]) lo->up[u].scale = lo->steps ? -1.0 / (lo->effective_steps * lo->lr) : 0.0;
  lo->at[S_SHARE][0] = lo->steps != 0;
}

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  const int derive = h[H_DERIVE] != 0;
  float *dc = lo->at[derive ? S_S : S_DC], *ci = lo->at[S_CI];
  if (derive) let_derive(lo);
  if (lo->steps == 0) {                         /* no data: nothing moved, the control stays */
    memset(dc, 0, d * sizeof *dc);
    return;
  }
  if (h[H_OPTION] == 0) lo->k->sub(d, dc, dc, ci);
  else control_change(lo, dc, lo->at[S_C]);
  lo->k->add(d, ci, ci, dc);
}

static void server_finish(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  float *c = sv->at[S_C];
  if (h[H_DERIVE] != 0) sv->k->axpy(d, sv->at[S_DELTA], -sv->at[S_SHARE][0], c);
  sv->k->add(d, c, c, sv->at[h[H_DERIVE] != 0 ? S_DELTA : S_DC]);
}

const fl_stage fl_stage_scaffold = {
  .name = "scaffold", .help = "control variates against client drift", .params = params,
  .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT, .terms = 1,
  .needs = CONTROL_NEEDS "; derive option=2", .setup = setup, .client_start = client_start,
  .before_step = before_step, .client_finish = client_finish, .server_finish = server_finish };
