/* keep.c - for stages that judge all uploads of a round together (combine), attack it (malicious), or train on samples of the
 * server's own (own): who and what is drawn, memory, and the way of the uploads into the tree. */
#include "internal.h"
#include "models/locale.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fl_stage *find(const fl_session *s, size_t *index, int (*has)(const fl_stage *)) {
  *index = 0;
  for (size_t i = 0; !s->opt.central && i < s->job.n_stages; i++)
    if (has(s->job.stage[i])) return *index = i, s->job.stage[i];
  return NULL;
}
static int has_combine(const fl_stage *st) { return st->combine != NULL; }
static int has_malicious(const fl_stage *st) { return st->malicious != NULL; }
static int has_own(const fl_stage *st) { return st->own != NULL; }

static size_t rows_kept(const fl_session *s) { return s->m_max + (s->own_n > 0); }

size_t fl_keep_bytes(const fl_session *s) {
  size_t i;
  return find(s, &i, has_combine) ? rows_kept(s) * s->leaf_floats * sizeof(float) : 0;
}

/* Uniform among the samples that clients hold, each at most once. */
static int draw_own(fl_session *s) {
  const fl_key key = { s->opt.seed, FL_PURPOSE_OWN, 0, 0, 0 };
  if (!(s->own = malloc(s->own_n * sizeof *s->own))) return -1;
  uint32_t *place = malloc(s->own_n * sizeof *place), room[1];
  if (place) fl_sample(place, s->own_n, s->job.samples, &key);
  size_t before = 0, n;
  for (uint32_t c = 0; place && c < s->problem.clients; c++, before += n) {
    n = fl_client_samples(s, c);
    for (size_t i = 0; i < s->own_n; i++)
      if (place[i] >= before && place[i] - before < n) s->own[i] = *fl_client_rows(s, c, place[i] - before, 1, room);
  }
  free(place);
  return place ? 0 : -1;
}

static int draw_malicious(fl_session *s, size_t count) {
  const fl_key key = { s->opt.seed, FL_PURPOSE_ATTACK, 0, 0, 0 };
  uint32_t *who = malloc((count + 1) * sizeof *who);
  s->malicious = calloc(s->problem.clients + 1, 1);         /* the server's own is the last, and honest */
  if (who && s->malicious) fl_sample(who, count, s->problem.clients, &key);
  for (size_t i = 0; who && s->malicious && i < count; i++) s->malicious[who[i]] = 1;
  free(who);
  return who && s->malicious ? 0 : -1;
}

int fl_keep_plan(fl_session *s, char *err, size_t size) {
  size_t i;
  const fl_stage *st = find(s, &i, has_own);
  s->own_n = st ? st->own(s->job.h_stage[i], &s->job) : 0;
  if (s->own_n > s->largest) s->largest = s->own_n;
  const double need = 1e-9 * (double)fl_keep_bytes(s), available = 1e-9 * (double)fl_memory_available();
  if (need <= available) return 0;
  st = find(s, &i, has_combine);
  const locale_t before = fl_locale_enter();
  snprintf(err, size, "stage %s keeps all uploads of a round, %zu x %zu bytes = %.3f GB; %.3f GB of memory are available; a "
           "smaller participation", st->name, rows_kept(s), s->leaf_floats * sizeof(float), need, available);
  fl_locale_leave(before);
  return -1;
}

int fl_keep_open(fl_session *s) {
  size_t i;
  const fl_stage *attack = find(s, &i, has_malicious);
  s->keep.admitted = s->keep.caught = s->keep.wronged = NAN;
  if (attack && draw_malicious(s, attack->malicious(s->job.h_stage[i], &s->job))) return -1;
  if (s->own_n && draw_own(s)) return -1;
  if (!find(s, &i, has_combine)) return 0;
  if (fl_arena_open(&s->keep.arena, fl_keep_bytes(s))) return -1;
  s->keep.up = (float *)(void *)s->keep.arena.base;
  s->keep.scale = calloc(rows_kept(s) * FL_MAX_UP, sizeof *s->keep.scale);
  s->keep.share = calloc(rows_kept(s), sizeof *s->keep.share);
  return s->keep.scale && s->keep.share ? 0 : -1;
}

void fl_keep_close(fl_session *s) {
  if (s->keep.up) fl_arena_close(&s->keep.arena);
  free(s->keep.scale);
  free(s->keep.share);
  free(s->malicious);
  free(s->own);
}

void fl_keep_begin(fl_session *s) {
  s->runs = s->m;
  if (!s->own_n || !s->m) return;
  s->runs++;
  s->cohort[s->m] = (uint32_t)s->problem.clients;
  s->order[s->m] = (uint32_t)s->m;
  s->steps[s->m] = fl_full_steps(s, (uint32_t)s->problem.clients);
  s->weight[s->m] = 0;
}

/* Robust methods are told by whom they reject: attackers (to be high) and others (to be low). */
static void count(fl_session *s) {
  size_t admitted = 0, all[2] = { 0 }, out[2] = { 0 };
  for (size_t p = 0; p < s->m; p++) {
    const int bad = s->malicious && s->malicious[s->cohort[p]];
    admitted += s->keep.share[p] != 0;
    all[bad]++;
    out[bad] += s->keep.share[p] == 0;
  }
  s->keep.admitted = (double)admitted;
  s->keep.wronged = all[0] ? (double)out[0] / (double)all[0] : NAN;
  s->keep.caught = all[1] ? (double)out[1] / (double)all[1] : NAN;
}

void fl_keep_judge(fl_session *s) {
  float *at[FL_MAX_SLOTS];
  size_t i;
  const fl_stage *st = find(s, &i, has_combine);
  s->keep.admitted = s->keep.caught = s->keep.wronged = NAN;
  if (!st || !s->m) return;
  for (size_t p = 0; p < s->m; p++) s->keep.share[p] = s->weight[p];
  fl_server sv = fl_server_at(s, s->round, i, at);
  sv.sent = s->keep.up + s->up[0].offset;
  sv.row = s->leaf_floats;
  sv.share = s->keep.share;
  st->combine(s->job.h_stage[i], &sv);
  for (size_t p = 0; p < s->m; p++) {
    const double share = s->keep.share[p];
    const fl_weights weights = { share, share, share * (double)s->m / (double)s->problem.clients };
    float *leaf = fl_tree_leaf(&s->tree);
    /* not 0 times it: a rejected upload may hold anything, NaN as well */
    if (share == 0) memset(leaf, 0, s->leaf_floats * sizeof *leaf);
    else fl_weigh(s, &weights, s->keep.up + p * s->leaf_floats, s->keep.scale + p * FL_MAX_UP, leaf);
    fl_tree_push(&s->tree, s->k, p, leaf);
  }
  count(s);
}
