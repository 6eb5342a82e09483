/* central.c - central training: an epoch over all data moves x in place, by one rule whose state lives as long as the session;
 * and, for rounds as well, what follows when x has moved: the stages' `after` and `model`. */
#include "internal.h"
#include "kernels/mark.h"
#include <math.h>
#include <string.h>

static int by_step(const fl_session *s) { return fl_counts_steps(&s->algorithm, s->opt.central); }

uint64_t fl_moves(const fl_session *s, uint64_t rounds) { return by_step(s) ? rounds * s->job.local_steps : rounds; }

double fl_session_lr(const fl_session *s, uint64_t round, uint64_t step) {
  return fl_lr_at(&s->algorithm, by_step(s) ? fl_moves(s, round) + step : round, s->job.moves);
}

const fl_rule *fl_mover(const fl_session *s, const double **h) {
  *h = s->opt.central ? s->job.h_rule : s->job.h_server;
  return s->opt.central ? s->job.rule : s->job.server_rule;
}

fl_local fl_mover_local(fl_session *s, uint64_t t) {
  const double lr = s->opt.central ? s->lr : s->algorithm.h_run[FL_H_SERVER_LR];
  fl_local lo = { .job = &s->job, .k = s->k, .y = s->x, .state = s->state, .clip = 1.0, .start = s->x, .round = s->round,
                  .lr = lr,
                  .moved = s->moved };
  lo.mix.ga = 1.0f;
  lo.clock = (fl_clock){ .lr = lr, .lr_decay = lr, .k = t, .t = t,
                         .total = s->opt.rounds * (s->opt.central ? s->job.local_steps : 1) };
  lo.key = (fl_key){ .seed = s->opt.seed, .round = (uint32_t)s->round };
  return lo;
}

fl_server fl_server_of(const fl_session *s, uint64_t rounds) {
  return (fl_server){ .job = &s->job, .k = s->k, .round = s->round, .lr = s->lr, .m = s->m, .t = fl_moves(s, rounds), .x = s->x,
                      .moved = s->moved, .send = s->x,
                      .key = { .seed = s->opt.seed, .round = (uint32_t)s->round, .client = UINT32_MAX } };
}

void fl_run_epoch(fl_session *s, fl_worker *w) {
  fl_slot_table slots;
  fl_server sv = fl_server_of(s, s->round);
  const fl_oracle *oracle = fl_client_oracle(s, w, 0, 0);
  const double begin = fl_now();
  fl_mark(s->k, FL_AT_OPTIMIZER, 0);
  memcpy(w->y, s->x, s->n * sizeof *w->y);      /* where the epoch began */
  fl_place_slots(s, w, NULL, &slots);
  fl_local lo = fl_mover_local(s, s->round * s->job.local_steps);
  lo.oracle = oracle;
  lo.g = w->g;
  lo.work = w->rule_work;
  lo.start = w->y;
  lo.steps = s->steps[0];
  lo.effective_steps = (double)lo.steps;
  lo.slots = slots.v;
  lo.weight = 1.0;
  if (by_step(s)) {
    lo.schedule = &s->algorithm;
    lo.server = &sv;
  }
  const double ready = fl_now();
  fl_local_run(&lo, s->algorithm.h_run[FL_H_CLIP_NORM], s->algorithm.h_run[FL_H_CLIP] != 0, fl_now);
  fl_mark(s->k, FL_AT_OTHER, 0);
  s->loss[0] = lo.loss;
  w->infinite |= lo.infinite;
  w->elements += lo.elements, w->unclipped += lo.unclipped;
  s->lr = lo.lr;
  s->metrics.update_norm = sqrt(s->k->sumsq_diff(s->d, s->x, w->y));
  w->seconds[FL_T_GRADIENT] += lo.seconds_gradient;
  w->seconds[FL_T_OPTIMIZER] += ready - begin + lo.seconds_optimizer;
}

/* By step it was called after every one; what is left is the start of the run. */
void fl_after(fl_session *s, uint64_t rounds) {
  float *at[FL_MAX_SLOTS];
  if (by_step(s) && rounds) return;
  for (size_t i = 0; i < s->job.n_stages; i++) {
    if (!s->job.stage[i]->after) continue;
    fl_server sv = fl_server_at(s, rounds, i, at);
    s->job.stage[i]->after(s->job.h_stage[i], &sv);
  }
}

const float *fl_point(const fl_session *s, uint64_t rounds) {
  float *at[FL_MAX_SLOTS];
  for (size_t i = 0; i < s->job.n_stages; i++) {
    if (!s->job.stage[i]->model) continue;
    const fl_server sv = fl_server_at(s, rounds, i, at);
    const float *p = s->job.stage[i]->model(s->job.h_stage[i], &sv);
    if (p) return p;
  }
  return s->x;
}
