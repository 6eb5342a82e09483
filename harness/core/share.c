/* share.c - where a round has fewer clients than the session has threads, or training is central: one thread leads each client's
 * run, and its kernels are divided over a team of threads (kernels/divide.h). Which team computes what is free. */
#include "internal.h"
#include "kernels/mark.h"
#include <stdlib.h>

static int leads(const fl_session *s, int id) { return id % s->team == 0 && id / s->team < s->teams; }
static fl_worker *leader_of(fl_session *s, int id) { return id / s->team < s->teams ? &s->worker[id / s->team * s->team] : NULL; }

void fl_share_plan(fl_session *s) {
  const size_t jobs = s->opt.central ? 1 : s->m_max + (s->own_n > 0);
  s->teams = jobs < (size_t)s->threads ? (int)jobs : s->threads;
  s->team = s->threads / s->teams;
  if (s->team == 1) return;
  /* The table that keeps accounts is one over a divided table: an account is of the thread that led. */
  s->parts = s->k == fl_marked.table ? NULL : s->k;
  if (!s->parts) return;
  fl_divided_table(s->parts, &s->divided);
  s->k = &s->divided;
}

/* The scratch that a gradient's kernels have by the objective's own count, for every part of a team. */
static size_t team_bytes(const fl_session *s, size_t work) { return (size_t)s->team * fl_arena_round(work); }
size_t fl_share_bytes(const fl_session *s, size_t work) { return s->team > 1 ? (size_t)s->teams * team_bytes(s, work) : 0; }

/* Touched as it is used. */
int fl_share_open(fl_session *s, int id, size_t work) {
  fl_worker *w = &s->worker[id];
  const size_t workers = (size_t)s->team, bytes = team_bytes(s, work);
  if (s->team == 1) return 0;
  w->alone = (fl_division){ .k = s->parts, .team = { NULL, 1, NULL } };
  if (!leads(s, id)) return 0;
  if (fl_arena_open(&w->parts, bytes) || !(w->crew = fl_crew_open(workers))) return -1;
  w->shared = (fl_division){ .k = s->parts, .team = fl_crew_team(w->crew), .memory = (float *)(void *)w->parts.base,
                             .floats = bytes / sizeof(float) };
  return 0;
}

void fl_share_close(fl_session *s) {
  for (int i = 0; s->worker && i < s->threads; i++) {
    fl_crew_close(s->worker[i].crew);
    fl_arena_close(&s->worker[i].parts);
  }
}

void fl_share_enter(const fl_session *s, const fl_worker *w) {
  if (s->team > 1) fl_divide_over(w ? &w->alone : NULL);
}

static void lead(fl_session *s, fl_worker *w, int id) {
  if (s->opt.central && id) return;
  if (s->opt.central) fl_run_epoch(s, w);       /* batch after batch, each from the x of the one before */
  else for (size_t i; (i = atomic_fetch_add(&s->next_client, 1)) < s->runs;) fl_run_client(s, w, s->order[i]);
}

/* A member's time is its leader's gradient as far as it computed, else idle. */
static void serve(fl_worker *w, fl_crew *crew) {
  const double begin = fl_now(), computed = fl_crew_serve(crew);
  w->seconds[FL_T_GRADIENT] += computed;
  w->seconds[FL_T_IDLE] += fl_now() - begin - computed;
}

void fl_share_clients(fl_session *s, fl_worker *w, int id) {
  if (s->team == 1) {
    lead(s, w, id);
  } else if (leads(s, id)) {
    fl_divide_over(&w->shared);
    lead(s, w, id);
    fl_divide_over(&w->alone);
    fl_crew_dismiss(w->crew);
  } else {
    const fl_worker *leader = leader_of(s, id);
    if (leader) serve(w, leader->crew);
  }
}
