/* private.c - what a run with a private stage has spent so far, by the way in which its cohorts are drawn. */
#include "internal.h"
#include <math.h>

/* Cohorts that are not drawn anew among all clients hide nobody: a client is then taken to be in every round. Where the size is
 * fixed, another takes the place of a client that is left out, so that the sum still changes by up to 2C. */
static int is_drawn(const fl_session *s) {
  return !s->problem.cohort && s->opt.partial.sampling != FL_SAMPLE_FIXED && s->opt.partial.availability == FL_AVAILABLE_ALWAYS;
}

void fl_plan_privacy(fl_session *s) {
  const int poisson = s->opt.partial.sampling == FL_SAMPLE_POISSON;
  const double q = s->job.expected / (double)s->problem.clients;
  for (size_t i = 0; i < s->job.n_stages; i++) {
    if (!s->job.stage[i]->privacy) continue;
    double delta;
    const double noise = s->job.stage[i]->privacy(s->job.h_stage[i], &s->job, &delta);
    if (!(noise > 0) || !(delta < 1)) continue;
    s->delta = delta;
    s->told_as_poisson = is_drawn(s) && !poisson;
    fl_accountant_start(&s->spends);
    fl_accountant_start(&s->as_poisson);
    fl_accountant_add(&s->as_poisson, FL_POISSON, q, noise, 1);
    fl_accountant_add(&s->spends, poisson ? FL_POISSON : FL_FIXED_SIZE, poisson || is_drawn(s) ? q : 1, noise, 1);
  }
}

static double after(const fl_accountant *one, double delta, uint64_t rounds, double *order) {
  fl_accountant all = *one;
  for (int i = 0; i < FL_ORDERS; i++) all.rdp[i] *= (double)rounds;
  return fl_accountant_epsilon(&all, FL_IMPROVED, delta, order);
}

void fl_tell_privacy(const fl_session *s, uint64_t rounds, fl_metrics *m) {
  m->epsilon_order = NAN;
  m->epsilon = s->delta > 0 ? after(&s->spends, s->delta, rounds, &m->epsilon_order) : NAN;
  m->epsilon_as_poisson = s->delta > 0 && s->told_as_poisson ? after(&s->as_poisson, s->delta, rounds, NULL) : NAN;
}
