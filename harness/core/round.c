/* round.c - what every thread does in a round: clients from an atomic counter, the server step by one, evaluation in chunks.
 * Barriers separate the phases; threads only choose who computes, never what. */
#include "internal.h"
#include "kernels/mark.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- before the clients ------------------------------------------------------------------------------------------------ */
static double weight_sum(const fl_session *s) {
  double sum = 0;
  for (size_t p = 0; p < s->m; p++) sum += (double)fl_client_samples(s, s->cohort[p]);
  return sum;
}

static double work_of(const fl_session *s, size_t p) {    /* samples that the client will pass, up to a batch */
  const double n = (double)fl_client_samples(s, s->cohort[p]), batch = (double)s->opt.batch_size;
  const double per_epoch = ceil(n / batch), steps = (double)s->steps[p];
  return per_epoch > 0 ? steps * n / per_epoch : 0;
}

size_t fl_window(const fl_session *s) {
  const size_t four = 4 * (size_t)s->threads;
  return four > 16 ? four : 16;
}

/* Longest first inside each window, ties in order of position. */
static void make_order(fl_session *s) {
  const size_t window = fl_window(s);
  double load[1024] = { 0 };
  const size_t bins = s->threads < 1024 ? (size_t)s->threads : 1024;
  for (size_t w = 0; w < s->m; w += window) {
    const size_t end = w + window < s->m ? w + window : s->m;
    for (size_t p = w; p < end; p++) {
      size_t at = p;
      while (at > w && work_of(s, s->order[at - 1]) < work_of(s, p)) s->order[at] = s->order[at - 1], at--;
      s->order[at] = (uint32_t)p;
    }
  }
  double longest = 0, total = 0;
  for (size_t i = 0; i < s->m; i++) {
    size_t least = 0;
    for (size_t b = 1; b < bins; b++)
      if (load[b] < load[least]) least = b;
    load[least] += work_of(s, s->order[i]);
    total += work_of(s, s->order[i]);
    if (load[least] > longest) longest = load[least];
  }
  s->work_total += total;
  s->work_longest += longest;
}

/* Position of the first client that was drawn before, m: none. Two workers must never write one client's state. */
static size_t first_repeat(fl_session *s) {
  size_t p = 0;
  for (; p < s->m; p++) {
    uint64_t *word = &s->drawn[s->cohort[p] / 64], bit = (uint64_t)1 << s->cohort[p] % 64;
    if (*word & bit) break;
    *word |= bit;
  }
  for (size_t i = 0; i < p; i++) s->drawn[s->cohort[i] / 64] = 0;
  return p;
}

/* What a caller's own draw may get wrong, and memory for the states of those that were never drawn before. */
static int check_cohort(fl_session *s) {
  char what[40];
  snprintf(what, sizeof what, "round %llu", (unsigned long long)s->round + 1);
  if (s->m == SIZE_MAX) return snprintf(s->error, sizeof s->error, "%s: no memory to draw the clients", what), -1;
  if ((s->m < 1 && s->problem.cohort && !s->dropped) || s->m > s->m_max)
    return snprintf(s->error, sizeof s->error, "%s: a cohort of %zu clients; allowed: 1 to %zu", what, s->m, s->m_max), -1;
  for (size_t p = 0; p < s->m; p++)
    if (s->cohort[p] >= s->problem.clients)
      return snprintf(s->error, sizeof s->error, "%s: cohort[%zu] = %u; allowed: 0 to %zu", what, p, s->cohort[p],
                      s->problem.clients - 1), -1;
  const size_t twice = s->drawn ? first_repeat(s) : s->m;
  if (twice < s->m)
    return snprintf(s->error, sizeof s->error, "%s: client %u is in the cohort more than once; allowed: each client once", what,
                    s->cohort[twice]), -1;
  return fl_store_begin(&s->store, s->cohort, s->m, s->place, what, s->error, sizeof s->error);
}

static void start_server(fl_session *s) {
  float *at[FL_MAX_SLOTS];
  for (size_t i = 0; !s->opt.central && i < s->job.n_stages; i++) {
    if (!s->job.stage[i]->server_start) continue;
    fl_server sv = fl_server_at(s, s->round, i, at);
    sv.send = s->send;
    s->job.stage[i]->server_start(s->job.h_stage[i], &sv);
    s->send = sv.send;
  }
}

static int begin_round(fl_session *s) {
  fl_mark(s->k, FL_AT_OTHER, 0);
  s->lr = fl_session_lr(s, s->round, 0);
  s->m = fl_draw_cohort(s, s->round, s->cohort, &s->dropped);
  if (s->problem.cohort) fl_fpenv_enter();      /* the caller's function may have changed the rounding */
  if (check_cohort(s)) return -1;
  const double sum = weight_sum(s);
  const int fixed = fl_has_fixed_weights(s), equal = fixed || s->algorithm.h_run[FL_H_WEIGHTS] != 0;
  s->equal = fixed ? 1.0 / s->job.expected : s->m ? 1.0 / (double)s->m : 0.0;
  for (size_t p = 0; p < s->m; p++) {
    s->steps[p] = fl_steps_of(s, s->round, s->cohort[p]);
    s->weight[p] = equal ? s->equal : sum > 0 ? (double)fl_client_samples(s, s->cohort[p]) / sum : 0.0;
  }
  make_order(s);
  fl_keep_begin(s);
  s->send = s->x;
  if (s->m || fixed) start_server(s);
  fl_diagnosis_begin(s);
  if (!s->opt.central) fl_tree_begin(&s->tree, s->m);
  atomic_store(&s->next_client, 0);
  atomic_store(&s->next_chunk, 0);
  return 0;
}

/* ---- after the clients ------------------------------------------------------------------------------------------------- */
fl_server fl_server_at(const fl_session *s, uint64_t rounds, size_t stage, float **at) {
  fl_server sv = fl_server_of(s, rounds);
  sv.at = at;
  for (size_t j = 0; j < s->job.stage[stage]->n_slots; j++) {
    const fl_slot_at *slot = &s->slot[stage][j];
    const fl_slot *kind = &s->job.stage[stage]->slot[j];
    const fl_place place = kind->place;
    at[j] = place == FL_SERVER ? s->server + slot->offset : place == FL_UP && s->tree.root ? s->tree.root + slot->offset
            : place == FL_WORK ? (fl_is_once(kind) ? s->once : s->worker[0].slots) + slot->offset : NULL;
  }
  return sv;
}

extern const fl_rule fl_rule_sgd;

/* Nobody came: x stays, and so does what the stages and the server's rule keep; only noise for a fixed number still comes. */
static int nobody_came(fl_session *s) {
  if (s->m) return 0;
  s->metrics.update_norm = 0;
  if (!fl_has_fixed_weights(s)) return 1;
  s->tree.root = fl_tree_leaf(&s->tree);
  memset(s->tree.root, 0, s->leaf_floats * sizeof *s->tree.root);
  return 0;
}

static void server_step(fl_session *s, fl_worker *w) {
  if (nobody_came(s)) return;
  float *move = s->tree.root, *at[FL_MAX_SLOTS];
  const double *h;
  const fl_rule *rule = fl_mover(s, &h);
  for (size_t i = 0; i < s->job.n_stages; i++) {
    fl_server sv = fl_server_at(s, s->round, i, at);
    sv.move = move;
    if (fl_keeps(s)) sv.sent = s->keep.up + s->up[0].offset, sv.row = s->leaf_floats;
    if (s->job.stage[i]->server_finish) s->job.stage[i]->server_finish(s->job.h_stage[i], &sv);
  }
  const int plain = rule == &fl_rule_sgd && h[0] == 0;
  if (plain) s->metrics.update_norm = s->algorithm.h_run[FL_H_SERVER_LR] * sqrt(s->k->sumsq(s->d, move));   /* how far x moves */
  else memcpy(w->y, s->x, s->d * sizeof *w->y);
  if (s->n > s->d) s->k->add(s->n - s->d, s->x + s->d, s->x + s->d, move + s->d);
  s->k->scale(s->d, move, -1.0f, move);
  fl_local lo = fl_mover_local(s, s->moved + 1);
  lo.g = move;
  lo.work = w->rule_work;
  rule->step(h, &lo);
  w->elements += lo.elements, w->unclipped += lo.unclipped;
  if (!plain) s->metrics.update_norm = sqrt(s->k->sumsq_diff(s->d, s->x, w->y));
  fl_tree_release(&s->tree);
  s->moved++;
}

static void round_metrics(fl_session *s) {
  fl_metrics *m = &s->metrics;
  m->round = s->round + 1;
  m->lr = s->lr;
  m->cohort = s->m;
  m->bytes_up = 0;
  m->train_loss = 0;
  double share = 0;
  for (size_t p = 0; p < s->m; p++) {
    m->bytes_up += fl_message_bytes(s, s->cohort[p], p);
    if (s->steps[p]) m->train_loss += s->weight[p] * s->loss[p], share += s->weight[p];
  }
  m->train_loss = share > 0 ? m->train_loss / share : NAN;
  m->bytes_down = 4 * (uint64_t)s->down_floats * s->dropped;
  for (int w = 0; w < s->threads; w++) m->bytes_down += s->worker[w].bits_down / 8, s->worker[w].bits_down = 0;
  uint64_t steps = 0;
  for (size_t p = 0; p < s->m; p++) steps += s->steps[p];
  m->local_steps = s->opt.partial.stragglers > 0 ? (double)steps : NAN;
  m->dropped = s->opt.partial.dropout > 0 ? (double)s->dropped : NAN;
  m->total_bytes_up += m->bytes_up;
  m->total_bytes_down += m->bytes_down;
  uint64_t elements = 0, unclipped = 0;
  for (int w = 0; w < s->threads; w++) {
    m->gradient_evaluations += s->worker[w].evaluations;
    m->samples += s->worker[w].samples;
    elements += s->worker[w].elements;
    unclipped += s->worker[w].unclipped;
    s->worker[w].evaluations = s->worker[w].samples = s->worker[w].elements = s->worker[w].unclipped = 0;
  }
  m->unclipped = elements ? (double)unclipped / (double)elements : NAN;
  m->bound = s->work_longest > 0 ? s->work_total / s->work_longest : 1.0;
  m->diverged = !isfinite(s->k->absmax(s->n, s->x));
  for (int w = 0; w < s->threads; w++) {
    m->diverged |= s->worker[w].infinite;
    s->worker[w].infinite = 0;
  }
  m->admitted = s->keep.admitted, m->rejected_malicious = s->keep.caught, m->rejected_benign = s->keep.wronged;
  fl_tell_privacy(s, m->round, m);
  m->evaluated = 0;
  m->test_loss = m->accuracy = NAN;
  fl_diagnosis_clear(m);
  s->diagnose = s->keeps && !m->diverged;
  const uint64_t every = s->opt.eval_every;
  s->evaluate = s->eval_chunks > 0 && (m->round == s->opt.rounds || (every && m->round % every == 0));
}

/* ---- evaluation ------------------------------------------------------------------------------------------------------------ */
static void evaluate_chunks(fl_session *s, fl_worker *w) {
  const fl_objective *o = s->problem.objective;
  fl_mark(s->k, FL_AT_EVALUATION, 0);
  for (size_t c; (c = atomic_fetch_add(&s->next_chunk, 1)) < s->eval_chunks;) {
    const size_t first = c * FL_EVAL_ROWS, count = o->n_test - first < FL_EVAL_ROWS ? o->n_test - first : FL_EVAL_ROWS;
    memset(&s->eval[c], 0, sizeof s->eval[c]);
    o->evaluate(o->self, s->k, s->point, first, count, &s->eval[c], w->objective);
    fl_fpenv_enter();
  }
}

static void combine_evaluation(fl_session *s) {
  fl_metrics *m = &s->metrics;
  fl_eval sum = { 0 };
  for (size_t c = 0; c < s->eval_chunks; c++) {
    sum.loss += s->eval[c].loss;
    sum.correct += s->eval[c].correct;
    sum.count += s->eval[c].count;
    sum.diverged |= s->eval[c].diverged;
  }
  m->evaluated = 1;
  m->test_loss = sum.count ? sum.loss / (double)sum.count : NAN;
  m->accuracy = sum.count ? (double)sum.correct / (double)sum.count : NAN;
  m->diverged |= sum.diverged;
}

/* ---- a thread -------------------------------------------------------------------------------------------------------------- */
/* A wait inside a round. Its time is credited by the caller, that of the round's last wait by thread 0: between this barrier
 * and the next round's first it reads and writes the clocks of all. */
static void wait_here(fl_session *s, fl_worker *w) {
  w->arrived = fl_now();
  fl_barrier_wait(&s->barrier);
}

/* Every clock's parts lie inside the round's wall and do not overlap, so that `other`, what no clock claims, is not negative,
 * and a round adds threads x wall to the totals, whatever number of threads earlier rounds had. */
static void close_round(fl_session *s, double served, double evaluated, double end) {
  fl_metrics *m = &s->metrics;
  double other = s->threads * (end - s->begin), keeping = 0;
  for (int w = 0; w < s->threads; w++) {
    s->worker[w].seconds[FL_T_DIAGNOSTICS] += s->worker[w].keeping;
    keeping += s->worker[w].keeping / s->threads;
    s->worker[w].keeping = 0;
  }
  m->seconds += served - s->begin - keeping;
  m->seconds_evaluation += evaluated - served;
  if (s->diagnosis) m->seconds_diagnostics += end - evaluated + keeping;
  for (int w = 0; w < s->threads; w++) s->worker[w].seconds[FL_T_IDLE] += end - s->worker[w].arrived;
  for (int t = 0; t < FL_T_COUNT; t++) {
    if (t == FL_T_OTHER) continue;
    double sum = 0;
    for (int w = 0; w < s->threads; w++) sum += s->worker[w].seconds[t], s->worker[w].seconds[t] = 0;
    m->thread_seconds[t] += sum;
    other -= sum;
  }
  m->thread_seconds[FL_T_OTHER] += other > 0 ? other : 0;   /* a rounding error below 0 when the clocks claim everything */
  s->round++;
  s->over = m->diverged || s->round == s->opt.rounds;
}

/* Thread 0, after all clients: 1 when a batch was not valid. The first in the order of the draw is told. */
static int has_failed(fl_session *s) {
  const fl_worker *first = NULL;
  for (int w = 0; w < s->threads; w++)
    if (s->worker[w].error[0] && (!first || s->worker[w].bad_position < first->bad_position)) first = &s->worker[w];
  if (!first) return 0;
  snprintf(s->error, sizeof s->error, "%s", first->error);
  return s->failed = 1;
}

/* Thread 0, between two barriers: the server's step. When its part ended. */
static double serve(fl_session *s, fl_worker *w) {
  const double t = fl_now();
  fl_mark(s->k, FL_AT_AGGREGATION, 0);
  if (has_failed(s)) return t;
  if (fl_keeps(s)) fl_keep_judge(s);
  if (!s->opt.central) server_step(s, w);
  fl_after(s, s->round + 1);
  round_metrics(s);
  s->point = fl_point(s, s->round + 1);
  const double served = fl_now();
  w->seconds[FL_T_AGGREGATION] += served - t;
  return served;
}

void fl_run_worker(fl_session *s, int id, int (*each)(void *, fl_session *, const fl_metrics *), void *self) {
  fl_worker *w = &s->worker[id];
  const uint64_t env = fl_fpenv_enter();
  double served = 0, evaluated = 0, t;
  fl_share_enter(s, w);
  for (;;) {
    if (id == 0) {
      s->stop = s->stop || s->over || s->round == s->limit;
      s->begin = fl_now();
      if (!s->stop && begin_round(s)) s->stop = 1;
    }
    t = fl_now();                               /* not w->arrived: thread 0 may still close the round before */
    fl_barrier_wait(&s->barrier);
    if (s->stop) break;
    w->seconds[FL_T_IDLE] += fl_now() - (t > s->begin ? t : s->begin);
    fl_share_clients(s, w, id);
    wait_here(s, w);
    w->seconds[FL_T_IDLE] += fl_now() - w->arrived;
    if (id == 0) served = serve(s, w);
    wait_here(s, w);
    if (s->failed) break;
    if (s->evaluate) {
      t = fl_now();
      w->seconds[FL_T_IDLE] += t - w->arrived;
      evaluate_chunks(s, w);
      w->seconds[FL_T_EVALUATION] += fl_now() - t;
      wait_here(s, w);
    }
    evaluated = s->evaluate ? fl_now() : served;
    if (s->diagnose) {
      t = fl_now();
      w->seconds[FL_T_IDLE] += t - w->arrived;
      fl_mark(s->k, FL_AT_DIAGNOSTICS, 0);
      fl_diagnose(s, w, id);
      w->seconds[FL_T_DIAGNOSTICS] += fl_now() - t;
      wait_here(s, w);
    }
    if (id == 0) {
      t = fl_now();
      if (s->evaluate) combine_evaluation(s);
      close_round(s, served, s->diagnose ? evaluated : t, t);
      if (each && each(self, s, &s->metrics)) s->stop = 1;
      fl_fpenv_enter();
    }
  }
  fl_share_enter(s, NULL);
  fl_fpenv_restore(env);
}
