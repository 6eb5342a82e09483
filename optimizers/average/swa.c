/* swa.c - averages of the parameters over time, evaluated and saved in their place; they never feed back (deep-first-order 20,
 * 21).
 *
 *   swa (Izmailov et al. 2018, arXiv 1803.05407): after move t of x, t >= swa_start and (t - swa_start) mod swa_every = 0:
 *                                                  avg <- avg + (x - avg)/(n + 1), n averaged so far
 *   ema:                                           avg_0 = x_0;   avg <- decay*avg + (1 - decay)*x after every move
 *
 * A move is a round of a federated run; centrally a step or an epoch, as `unit` says. Before swa_start x itself is
 * evaluated. Buffers are x's. lr_schedule=swa is the published course of the step size to swa_lr, lr_schedule=cyclic the one that
 * falls to it before every average. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_START, H_EVERY, H_LR };
enum { H_DECAY = 0 };
enum { S_AVG, S_COUNT };
static const fl_param swa_params[] = {
  [H_START] = { "swa_start", 161, 1, 1e15, NULL, "first round, step or epoch whose parameters are averaged", FL_WHOLE },
  [H_EVERY] = { "swa_every", 1, 1, 1e15, NULL, "rounds, steps or epochs from one to the next", FL_WHOLE },
  [H_LR] = { "swa_lr", 0.05, 0, 1e6, NULL, "step size at the end of lr_schedule=swa, or of each cycle of cyclic", FL_ABOVE },
};
static const fl_param ema_params[] = {
  [H_DECAY] = { "ema_decay", 0.999, 0, 1, NULL, "weight of the average before", FL_BELOW },
};
static const fl_slot slots[S_COUNT] = { [S_AVG] = { "average", FL_SERVER, 0, fl_whole_floats } };

static const char *setup_swa(const double *h, const fl_job *job) {
  if (!job->layout || h[H_START] <= (double)job->moves) return NULL;
  return fl_why(job, "stage swa: swa_start = %.0f; allowed: 1 to %.0f, the rounds, steps or epochs of the run, or nothing would "
                     "be averaged",
                h[H_START], (double)job->moves);
}

static void copy(fl_server *sv, size_t from) {
  const fl_layout *l = sv->job->layout;
  memcpy(sv->at[S_AVG] + from, sv->x + from, (l->d + l->buffers - from) * sizeof(float));
}

static void after_swa(const double *h, fl_server *sv) {
  const uint64_t start = (uint64_t)h[H_START], every = (uint64_t)h[H_EVERY];
  if (sv->t < start || (sv->t - start) % every) return;
  const uint64_t n = (sv->t - start) / every;
  if (n > 0) sv->k->towards(sv->job->layout->d, sv->at[S_AVG], sv->x, (float)(1.0 / (double)(n + 1)));
  copy(sv, n > 0 ? sv->job->layout->d : 0);
}
static const float *model_swa(const double *h, const fl_server *sv) {
  return sv->t < (uint64_t)h[H_START] ? NULL : sv->at[S_AVG];
}

static void after_ema(const double *h, fl_server *sv) {
  if (sv->t > 0) sv->k->ema(sv->job->layout->d, sv->at[S_AVG], sv->x, (float)h[H_DECAY], (float)(1.0 - h[H_DECAY]));
  copy(sv, sv->t > 0 ? sv->job->layout->d : 0);
}
static const float *model_ema(const double *h, const fl_server *sv) { (void)h; return sv->at[S_AVG]; }

const fl_stage fl_stage_swa = { .name = "swa", .help = "mean of the later parameters, evaluated in their place",
                                .params = swa_params, .n_params = sizeof swa_params / sizeof *swa_params,
                                .needs = "swa_lr lr_schedule=swa|cyclic", .slot = slots, .n_slots = S_COUNT, .setup = setup_swa,
                                .after = after_swa, .model = model_swa };
const fl_stage fl_stage_ema = { .name = "ema", .help = "exponential average of the parameters, evaluated in their place",
                                .params = ema_params, .n_params = sizeof ema_params / sizeof *ema_params, .slot = slots,
                                .n_slots = S_COUNT, .after = after_ema, .model = model_ema };
