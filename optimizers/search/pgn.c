/* pgn.c - penalised gradient norm (Zhao, Zhang, Hu 2022, arXiv 2202.03599; federated-flat-private 3a), and the blend of FedSpeed
 * (7):
 *
 *   g1 = grad f(y)     g2 = grad f(y + sam_rho*g1/(|g1|_2 + 1e-12)), same batch     g = (1 - pgn_alpha)*g1 + pgn_alpha*g2
 *
 * pgn_alpha = lambda/sam_rho of the penalty lambda*|grad f|. pgn_alpha = 1 is the stage sam; 0, or sam_rho = 0, is the rule alone
 * with one gradient a step instead of two. FedSpeed's paper, as recalled, does not normalise the way up: pgn_ascent=gradient is
 * sam_rho*g1. The JAX code blends with g1/|g1|_2 in the place of g1: pgn_blend=unit. The loss that is told is f(y). 8 streams
 * besides the rule's. */
#include "probe.h"

enum { H_RHO, H_ALPHA, H_ASCENT, H_BLEND };
enum { S_PROBE, S_FIRST, S_COUNT };
static const fl_param params[] = {
  [H_RHO] = { "sam_rho", 0.1, 0, 1e6, NULL, "radius of the search (0: none)", 0 },
  [H_ALPHA] = { "pgn_alpha", 0.8, 0, 1, NULL, "weight of the gradient at the worst point", 0 },
  [H_ASCENT] = { "pgn_ascent", 0, 0, 0, "unit|gradient", "way to the worst point: of length sam_rho, or sam_rho*gradient", 0 },
  [H_BLEND] = { "pgn_blend", 0, 0, 0, "gradient|unit", "what is blended with it: the point's gradient, or its direction", 0 },
};
static const fl_slot slots[S_COUNT] = { [S_PROBE] = { "probe", FL_WORK, 0, fl_whole_floats },
                                        [S_FIRST] = { "g1", FL_WORK, 0, NULL } };

static const char *setup(const double *h, const fl_job *job) {
  return h[H_BLEND] == 0 || h[H_ALPHA] < 1 ? NULL
         : fl_why(job, "stage pgn: pgn_blend = unit with pgn_alpha = 1, which blends nothing; allowed: gradient, or "
                       "pgn_alpha below 1");
}

static double grad(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  const int plain = h[H_RHO] == 0 || h[H_ALPHA] == 0;
  const double loss = gradient_at(lo, lo->y, lo->g), alpha = h[H_ALPHA];
  if (plain) return loss;
  memcpy(lo->at[S_FIRST], lo->g, d * sizeof(float));
  const double first = h[H_BLEND] != 0 ? (double)radius(lo, 1.0, lo->g) : 1.0;
  gradient_near(lo, lo->at[S_PROBE], lo->g, h[H_ASCENT] != 0 ? (float)h[H_RHO] : radius(lo, h[H_RHO], lo->g));
  if (alpha == 1) return loss;
  const fl_mix_args blend = { .ga = (float)alpha, .gq0 = (float)((1.0 - alpha) * first) };
  lo->k->mix(d, lo->g, lo->g, NULL, lo->at[S_FIRST], NULL, &blend);
  return loss;
}

const fl_stage fl_stage_pgn = { .name = "pgn", .help = "gradients at the point and at the worst point nearby, blended",
                                .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                .setup = setup, .grad = grad };
