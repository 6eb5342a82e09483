/* lesam.c - FedLESAM (Fan et al. 2024, arXiv 2405.18890; federated-flat-private 9): the worst direction is estimated by the last
 * movement of the global model as this client saw it, so that a step takes one gradient. -S is it over the stage scaffold, -D
 * over dyn.
 *
 *   client: e_i = sam_rho*(x_old_i - x)/(|x_old_i - x|_2 + 1e-12), constant in the round, 0 at the first visit;   g = grad f(y +
 *   e_i)
 *           x_old_i <- x
 *
 * The code released with the paper (as the specification records it) passes the last round's global update in the place of the
 * client's own and shifts a tensor by one scalar; here it is the paper's. sam_rho = 0 is the stack without this stage. The loss
 * that is told is at y + e_i. The client keeps x_old_i. */
#include "probe.h"

enum { H_RHO };
enum { S_OLD, S_E, S_PROBE, S_COUNT };
static const fl_param params[] = {
  [H_RHO] = { "sam_rho", 0.1, 0, 1e6, NULL, "radius of the search (0: none)", 0 },
};
static const fl_slot slots[S_COUNT] = {
  [S_OLD] = { "x_old_i", FL_CLIENT, 0, NULL },
  [S_E] = { "e_i", FL_WORK, 0, NULL },
  [S_PROBE] = { "probe", FL_WORK, 0, fl_whole_floats },
};

static void client_start(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  float *e = lo->at[S_E], *old = lo->at[S_OLD];
  if (lo->visited) {
    lo->k->sub(d, e, old, lo->start);
    lo->k->scale(d, e, radius(lo, h[H_RHO], e), e);
  } else {
    memset(e, 0, d * sizeof *e);
  }
  memcpy(old, lo->start, d * sizeof *old);
}
static double grad(const double *h, fl_local *lo) {
  if (h[H_RHO] == 0 || !lo->visited) return gradient_at(lo, lo->y, lo->g);
  return gradient_near(lo, lo->at[S_PROBE], lo->at[S_E], 1.0f);
}

const fl_stage fl_stage_lesam = { .name = "lesam", .help = "gradient at a point against the last movement of the model",
                                  .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                  .client_start = client_start, .grad = grad };
