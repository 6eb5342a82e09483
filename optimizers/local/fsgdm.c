/* fsgdm.c - FSGDM: momentum whose low-pass gain grows in stages (deep-first-order 4; Li et al. 2025, arXiv 2411.19671, and code):
 *
 *   delta = floor(total_steps/n_stages);  tau = floor(t/delta)*delta;  u = tau/(tau + c*total_steps)
 *   m <- u*m + v*g;  y <- y - lr*m               g: the mixed gradient + weight_decay*y; m = 0 before t = 1
 *
 * u is 0 in the first stage and at most 1/(1 + c). The published code begins with m = g instead of v*g: first_step=raw.
 * t counts the steps of the whole run, also on a client whose m starts anew. Its filter is drawn by scripts/filters.
 * Streams R{y,m,g} W{y,m}: 20 bytes. */
#include "rule.h"

enum { H_C, H_V, H_N_STAGES, H_TOTAL_STEPS, H_FIRST_STEP, H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_C] = { "c", 0.033, 0, 1e6, NULL, "the momentum ends at 1/(1 + c)", FL_ABOVE },
  [H_V] = { "v", 1, 0, 1e6, NULL, "weight of the new gradient", FL_ABOVE },
  [H_N_STAGES] = { "n_stages", 300, 1, 1e9, NULL, "stages of constant momentum", FL_WHOLE },
  [H_TOTAL_STEPS] = { "total_steps", 0, 0, 1e15, NULL, "steps that the stages divide (0: those of the run)", FL_WHOLE },
  [H_FIRST_STEP] = { "first_step", 0, 0, 0, "filtered|raw", "the buffer begins with v*g, or with g as in the published code", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 5e-4, 0, 1e3, NULL, "decay of the weights, in units of the gradient", 0 },
};

static const char *setup(const double *h, const fl_job *job, int as_server) {
  const double total = h[H_TOTAL_STEPS], steps = (double)(as_server ? job->rounds : job->rounds * job->local_steps);
  const char *s = as_server ? "server_" : "";
  if (total == 0 && !job->layout) return NULL;  /* the run's steps are not known yet */
  if (job->layout && total > 0 && total < steps)
    return fl_why(job, "rule fsgdm: %stotal_steps = %.0f; allowed: 0, or the %.0f steps of the run or more, as u would pass 1/(1 "
                       "+ c)", s,
                  total, steps);
  if (h[H_N_STAGES] <= (total > 0 ? total : steps)) return NULL;
  return fl_why(job, "rule fsgdm: %sn_stages = %.0f; allowed: 1 to %.0f, the %s", s, h[H_N_STAGES], total > 0 ? total : steps,
                total > 0 ? "total_steps" : "steps of the run");
}

static int planned(const double *h) { return h[H_TOTAL_STEPS] == 0; }

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->momentum(n, y, lo->state + offset, v, arg);
}

static void step(const double *h, fl_local *lo) {
  const uint64_t total = h[H_TOTAL_STEPS] > 0 ? (uint64_t)h[H_TOTAL_STEPS] : lo->clock.total;
  const uint64_t delta = total / (uint64_t)h[H_N_STAGES];
  const double tau = (double)(lo->clock.t / delta * delta), u = tau / (tau + h[H_C] * (double)total);
  const double fresh = lo->clock.k == 1 && h[H_FIRST_STEP] != 0 ? 1.0 : h[H_V];
  fl_momentum_args a = { (float)u, (float)fresh, (float)lo->clock.lr, 1.0f, 0 };
  coupled_step(lo, h[H_WEIGHT_DECAY], plain, &a);
}

const fl_rule fl_rule_fsgdm = { .name = "fsgdm", .help = "momentum whose low-pass gain grows in stages", .params = params,
                                .n_params = sizeof params / sizeof *params, .setup = setup, .planned = planned,
                                .state = one_state, .start = start_at_zero, .step = step };
