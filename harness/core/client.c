/* client.c - one client's round on one worker: its batches, its oracle, its run through the stack, its leaf. */
#include "internal.h"
#include "kernels/mark.h"
#include <stdio.h>
#include <string.h>

size_t fl_client_samples(const fl_session *s, uint32_t client) {
  uint32_t first;
  if (client == s->problem.clients) return s->own_n;
  return s->problem.samples ? s->problem.samples(s->problem.self, client, &first)
                            : s->problem.offset[client + 1] - s->problem.offset[client];
}

const uint32_t *fl_client_rows(const fl_session *s, uint32_t client, size_t i, size_t count, uint32_t *room) {
  uint32_t first;
  if (client == s->problem.clients) return s->own + i;
  if (!s->problem.samples) return s->problem.index + s->problem.offset[client] + i;
  s->problem.samples(s->problem.self, client, &first);
  for (size_t k = 0; k < count; k++) room[k] = first + (uint32_t)(i + k);
  return room;
}

size_t fl_draw_batch(const fl_session *s, uint64_t round, uint32_t client, uint64_t step, uint32_t *perm, uint64_t *known,
                     uint32_t *out) {
  const size_t n = fl_client_samples(s, client), per_epoch = fl_batches_of(s, n), batch = s->opt.batch_size;
  if (s->problem.batch && client < s->problem.clients) return s->problem.batch(s->problem.self, round, client, step, out, batch);
  const uint64_t epoch = step / per_epoch;
  if (*known != epoch + 1) {
    const fl_key key = { s->opt.seed, FL_PURPOSE_SHUFFLE, (uint32_t)round, client, (uint32_t)epoch };
    fl_permutation(perm, n, &key);
    *known = epoch + 1;
  }
  const size_t first = (size_t)(step % per_epoch) * batch, count = n - first < batch ? n - first : batch;
  const int table = client == s->problem.clients || !s->problem.samples;
  uint32_t from = 0;
  if (!table) s->problem.samples(s->problem.self, client, &from);
  const uint32_t *index = table ? fl_client_rows(s, client, 0, n, NULL) : NULL;
  for (size_t i = 0; i < count; i++) out[i] = index ? index[perm[first + i]] : from + perm[first + i];
  return count;
}

/* ---- oracle --------------------------------------------------------------------------------------------------------- */
/* A caller's batch, before anything is read through it. The round goes on, so that what is told in the end is the first in
 * the order of the draw, whoever found what first. */
static void check_batch(fl_worker *w, uint64_t t) {
  const size_t most = w->s->opt.batch_size, samples = w->s->problem.objective->n;
  const int fits = w->count >= 1 && w->count <= most;
  size_t i = 0;
  fl_fpenv_enter();                             /* the caller's function may have changed the rounding */
  while (fits && i < w->count && w->rows[i] < samples) i++;
  if (fits && i == w->count) return;
  w->broken = 1;
  if (w->error[0] && w->bad_position < w->position) return;
  w->bad_position = w->position;
  const int at = snprintf(w->error, sizeof w->error, "round %u: batch of client %u, step %llu: ", w->round + 1, w->id,
                          (unsigned long long)t);
  if (fits) snprintf(w->error + at, sizeof w->error - (size_t)at, "row[%zu] = %u; allowed: 0 to %zu", i, w->rows[i], samples - 1);
  else snprintf(w->error + at, sizeof w->error - (size_t)at, "%zu rows; allowed: 1 to %zu", w->count, most);
}

static void next(void *self, uint64_t t) {
  fl_worker *w = self;
  if (w->broken) return;
  w->count = fl_draw_batch(w->s, w->round, w->id, t, w->perm, &w->epoch, w->rows);
  if (w->s->problem.batch) check_batch(w, t);
  w->oracle.batch = w->count;
  w->step = t;
  w->fresh = 1;
}

/* moves: the gradient that the step's buffers move with (a search at a second point must not count the batch twice). */
static double ask_rows(fl_worker *w, const fl_ask *ask, const uint32_t *rows, size_t count, int moves, float *g) {
  const fl_objective *o = w->s->problem.objective;
  const fl_kernels *k = w->s->k;
  const fl_key step = { w->s->opt.seed, FL_PURPOSE_MASK, w->round, w->id, (uint32_t)w->step };
  const fl_key draws = fl_key_child(&step, w->asked++);
  const fl_rows all = { rows, count, ask->labels, &draws, w->flipped && !ask->labels, moves ? w->buffers : NULL };
  const double loss = o->grad       ? o->grad(o->self, k, ask->at, &all, g, w->objective)
                      : ask->labels ? o->sampled_grad(o->self, k, ask->at, rows, count, ask->labels, g, w->objective)
                      : w->flipped  ? o->flipped_grad(o->self, k, ask->at, rows, count, g, w->objective)
                      : moves       ? o->step_grad(o->self, k, ask->at, rows, count, g, w->buffers, w->objective)
                                    : o->loss_grad(o->self, k, ask->at, rows, count, g, w->objective);
  fl_fpenv_enter();                             /* a user's objective may have changed the rounding */
  fl_mark(k, FL_AT_REST, 0);
  w->evaluations++;
  w->samples += count;
  return loss;
}

/* All local data: batches in order, weighed by their rows. */
static double ask_all(fl_worker *w, const fl_ask *ask, float *g) {
  const size_t batch = w->s->opt.batch_size, d = w->s->d;
  double loss = 0;
  memset(g, 0, d * sizeof *g);
  for (size_t i = 0; i < w->n; i += batch) {
    const size_t count = w->n - i < batch ? w->n - i : batch;
    const double share = (double)count / (double)w->n;
    loss += share * ask_rows(w, ask, fl_client_rows(w->s, w->id, i, count, w->all_rows), count, 0, w->all);
    w->s->k->axpy(d, g, (float)share, w->all);
  }
  return loss;
}

static double grad(void *self, const fl_ask *ask, float *g) {
  fl_worker *w = self;
  if (ask->count == FL_ALL) return ask_all(w, ask, g);
  if (w->broken) return memset(g, 0, w->s->d * sizeof *g), 0.0;
  const fl_objective *o = w->s->problem.objective;
  const int moves = w->fresh && !ask->labels && (o->step_grad || o->grad);
  if (moves) w->fresh = 0;
  return ask_rows(w, ask, w->rows + ask->first, ask->count ? ask->count : w->count - ask->first, moves, g);
}

/* ---- the run --------------------------------------------------------------------------------------------------------- */
const fl_oracle *fl_client_oracle(fl_session *s, fl_worker *w, uint32_t client, size_t position) {
  w->position = position;
  w->broken = w->flipped = 0;
  w->buffers = (s->opt.central ? s->x : w->y) + s->d;
  w->id = client;
  w->round = (uint32_t)s->round;
  w->n = fl_client_samples(s, client);
  w->epoch = w->step = w->asked = 0;
  w->oracle = (fl_oracle){ .self = w, .n = w->n, .next = next, .grad = grad };
  return &w->oracle;
}

void fl_place_slots(fl_session *s, fl_worker *w, float *leaf, fl_slot_table *t) {
  for (size_t i = 0; i < s->job.n_stages; i++) {
    for (size_t j = 0; j < s->job.stage[i]->n_slots; j++) {
      const fl_slot *slot = &s->job.stage[i]->slot[j];
      float *base[4] = { s->server, w->client, leaf, w->slots };
      t->v[i][j] = fl_is_once(slot) ? NULL : base[slot->place] + s->slot[i][j].offset;
    }
  }
}

static void start_local(fl_session *s, fl_worker *w, fl_local *lo, const fl_oracle *oracle, size_t position, float *leaf,
                        fl_up *up) {
  *lo = (fl_local){ .job = &s->job, .k = s->k, .oracle = oracle, .y = w->y, .g = w->g, .state = w->state, .work = w->rule_work,
                    .start = s->send, .steps = s->steps[position], .lr = s->lr, .clip = 1.0, .up = up, .n_up = s->n_up,
                    .id = w->id, .position = (uint32_t)position, .round = s->round, .weight = s->weight[position],
                    .moved = s->moved };
  lo->clock = (fl_clock){ .lr = s->lr, .lr_decay = s->lr, .k = 0, .t = s->moved * s->job.local_steps,
                          .total = s->job.rounds * s->job.local_steps };
  lo->key = (fl_key){ .seed = s->opt.seed, .round = (uint32_t)s->round, .client = w->id };
  lo->mix.ga = 1.0f;
  lo->effective_steps = (double)lo->steps;
  lo->down_bits = 32 * (uint64_t)s->down_floats;
  lo->visited = s->client_floats && s->place[position].from != FL_NO_SLOT;
  lo->malicious = s->malicious && s->malicious[w->id];
  for (size_t u = 0; u < s->n_up; u++)
    up[u] = (fl_up){ leaf + s->up[u].offset, s->up[u].floats, 1.0 };
}

/* Leaf of the tree: every upload times its weight; derived ones from the change as sent. from: the uploads, may be the leaf. */
void fl_weigh(fl_session *s, const fl_weights *w, const float *from, const double *scale, float *leaf) {
  for (size_t u = s->n_up; u-- > 0;) {
    const fl_upload *up = &s->up[u];
    const double p = up->flags & FL_EQUAL ? w->equal : up->flags & FL_OVER_N ? w->over_n : w->p;
    const int derived = (up->flags & FL_DERIVED) != 0;
    s->k->scale(up->floats, leaf + up->offset, (float)(derived ? p * scale[u] : p), from + (derived ? 0 : up->offset));
  }
}

/* A state that cannot be read or written ends the run, as a batch that is not valid does. */
static void lost_state(fl_worker *w, const char *why) {
  if (w->error[0] && w->bad_position < w->position) return;
  w->bad_position = w->position;
  snprintf(w->error, sizeof w->error, "round %u: %s", w->round + 1, why);
}

static void take_state(fl_session *s, fl_worker *w) {
  char why[400];
  const int thread = (int)(w - s->worker);
  w->client = fl_store_take(&s->store, thread, w->id, &s->place[w->position], why, sizeof why);
  if (w->client || !s->client_floats) return;
  lost_state(w, why);
  w->broken = 1;
  w->client = s->store.buffer + (size_t)thread * s->client_floats;
}

static void give_state(fl_session *s, fl_worker *w) {
  char why[400];
  if (!w->broken && fl_store_give(&s->store, w->id, &s->place[w->position], w->client, why, sizeof why)) lost_state(w, why);
}

/* What the client sends goes into the tree, or stays for the stage that judges all uploads. */
static void hand_over(fl_session *s, size_t position, const fl_up *up, float *leaf) {
  double scale[FL_MAX_UP];
  for (size_t u = 0; u < s->n_up; u++) scale[u] = up[u].scale;
  if (fl_keeps(s)) {
    memcpy(s->keep.scale + position * FL_MAX_UP, scale, s->n_up * sizeof *scale);
    return;
  }
  const fl_weights w = { s->weight[position], s->equal, 1.0 / (double)s->problem.clients };
  fl_weigh(s, &w, leaf, scale, leaf);
  fl_tree_push(&s->tree, s->k, position, leaf);
}

void fl_run_client(fl_session *s, fl_worker *w, size_t position) {
  fl_local lo;
  fl_up up[FL_MAX_UP];
  fl_slot_table slots;
  const double begin = fl_now();
  float *leaf = fl_keeps(s) ? s->keep.up + position * s->leaf_floats : fl_tree_leaf(&s->tree);
  const double start = fl_now();
  fl_mark(s->k, FL_AT_OPTIMIZER, 0);
  const fl_oracle *oracle = fl_client_oracle(s, w, s->cohort[position], position);
  take_state(s, w);
  start_local(s, w, &lo, oracle, position, leaf, up);
  fl_place_slots(s, w, leaf, &slots);
  lo.slots = slots.v;
  memcpy(w->y, s->send, s->n * sizeof *w->y);
  for (size_t i = 0; i < s->job.n_stages; i++) {
    lo.at = slots.v[i];
    if (s->job.stage[i]->client_start) s->job.stage[i]->client_start(s->job.h_stage[i], &lo);
  }
  w->flipped = lo.flipped;
  if (s->job.rule->start) s->job.rule->start(s->job.h_rule, &lo, lo.theta);
  const double ready = fl_now();
  fl_local_run(&lo, s->algorithm.h_run[FL_H_CLIP_NORM], s->algorithm.h_run[FL_H_CLIP] != 0, fl_now);
  const double ran = fl_now();
  fl_mark(s->k, FL_AT_AGGREGATION, 0);
  s->k->sub(s->n, leaf, w->y, s->send);
  const double kept = w->keeping;
  fl_mark(s->k, FL_AT_DIAGNOSTICS, 0);
  fl_diagnosis_keep(s, w, &lo, leaf);
  fl_mark(s->k, FL_AT_AGGREGATION, 0);
  for (size_t i = 0; i < s->job.n_stages; i++) {
    lo.at = slots.v[i];
    if (s->job.stage[i]->client_finish) s->job.stage[i]->client_finish(s->job.h_stage[i], &lo);
  }
  give_state(s, w);
  hand_over(s, position, up, leaf);
  if (w->id < s->problem.clients) w->bits_down += lo.down_bits;
  s->loss[position] = lo.loss;
  w->infinite |= lo.infinite;
  w->elements += lo.elements, w->unclipped += lo.unclipped;
  w->seconds[FL_T_IDLE] += start - begin;
  w->seconds[FL_T_OPTIMIZER] += ready - start + lo.seconds_optimizer;
  w->seconds[FL_T_GRADIENT] += lo.seconds_gradient;
  w->seconds[FL_T_AGGREGATION] += fl_now() - ran - (w->keeping - kept);
}
