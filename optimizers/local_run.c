/* local_run.c - the only training loop, and the one pass in which an element-wise rule applies the affine mix. */
#include "kernels/mark.h"
#include <fedlane/optimizer.h>
#include <math.h>

enum { MIX_BLOCK = 1024 };      /* 4 KB: the mixed gradient stays in the first-level cache */

static int is_plain(const fl_mix *m, float ga) {
  return ga == 1.0f && m->gb == 0.0f && !(m->q[0] && m->gq[0] != 0.0f) && !(m->q[1] && m->gq[1] != 0.0f);
}

void fl_mixed_step(fl_local *lo, size_t offset, size_t n, fl_plain_step *plain, void *arg) {
  const fl_mix *mix = &lo->mix;
  const float ga = lo->clip < 1.0 ? (float)((double)mix->ga * lo->clip) : mix->ga;
  const int use0 = mix->q[0] && mix->gq[0] != 0.0f, use1 = mix->q[1] && mix->gq[1] != 0.0f;
  const fl_mix_args a = { ga, mix->gb, mix->gq[0], mix->gq[1] };
  if (is_plain(mix, ga) && !mix->drift) {
    plain(arg, lo, offset, n, lo->y + offset, lo->g + offset);
    return;
  }
  for (size_t i = offset; i < offset + n; i += MIX_BLOCK) {
    const size_t m = offset + n - i < MIX_BLOCK ? offset + n - i : MIX_BLOCK;
    float v[MIX_BLOCK];
    const float *g = lo->g + i;
    if (!is_plain(mix, ga)) {
      lo->k->mix(m, v, g, mix->gb != 0.0f ? lo->y + i : NULL, use0 ? mix->q[0] + i : NULL, use1 ? mix->q[1] + i : NULL, &a);
      g = v;
    }
    plain(arg, lo, i, m, lo->y + i, g);
    if (mix->drift) lo->k->axpy(m, lo->y + i, (float)-mix->cd, mix->drift + i);
  }
}

/* Scale that brings the gradient's 2-norm to at most clip_norm (federated-adaptive 0.4, deep-first-order 30). A norm that is NaN
 * or infinite leaves it as it is and is told: a rule of signs would make finite steps of it, and the run must end as diverged. */
static double clip_scale(fl_local *lo, double clip_norm) {
  if (isinf(clip_norm)) return 1.0;
  const double norm = sqrt(lo->k->sumsq(lo->job->layout->d, lo->g)), s = clip_norm / (norm + 1e-6);
  if (!isfinite(norm)) lo->infinite = 1;
  return s < 1.0 && isfinite(norm) ? s : 1.0;
}

/* clip=late: what joins the gradient joins it before the norm is taken, all but the multiple of y: the decay and a proximal
 * term's own part stay outside, as in the simulator of federated-flat-private 0.8. */
static void join(fl_local *lo) {
  fl_mix *m = &lo->mix;
  if (m->ga == 1.0f && !m->q[0] && !m->q[1]) return;
  const fl_mix_args a = { m->ga, 0.0f, m->gq[0], m->gq[1] };
  lo->k->mix(lo->job->layout->d, lo->g, lo->g, NULL, m->q[0], m->q[1], &a);
  m->ga = 1.0f;
  m->q[0] = m->q[1] = NULL;
}

void fl_mix_add(fl_local *lo, const float *q, double weight) {
  const int i = lo->mix.q[0] != NULL;
  lo->mix.q[i] = q;
  lo->mix.gq[i] = (float)weight;
}

void fl_mix_pull(fl_local *lo, double mu) {
  lo->mix.gb += (float)mu;
  fl_mix_add(lo, lo->start, -mu);
}

static void before_step(fl_local *lo) {
  const fl_job *job = lo->job;
  for (size_t i = 0; i < job->n_stages; i++) {
    if (!job->stage[i]->before_step) continue;
    lo->at = lo->slots[i];
    job->stage[i]->before_step(job->h_stage[i], lo);
  }
}

static double gradient(fl_local *lo) {
  const fl_job *job = lo->job;
  const fl_ask ask = { .at = lo->y, .first = 0, .count = 0 };
  for (size_t i = 0; i < job->n_stages; i++) {
    if (!job->stage[i]->grad) continue;
    lo->at = lo->slots[i];
    return job->stage[i]->grad(job->h_stage[i], lo);
  }
  return lo->oracle->grad(lo->oracle->self, &ask, lo->g);
}

static void after_step(fl_local *lo) {
  fl_server *sv = lo->server;
  const fl_job *job = lo->job;
  sv->t = lo->clock.t;
  sv->lr = lo->lr;
  for (size_t i = 0; i < job->n_stages; i++) {
    if (!job->stage[i]->after) continue;
    sv->at = lo->slots[i];
    job->stage[i]->after(job->h_stage[i], sv);
  }
}

double fl_ask_more(fl_local *lo, const fl_ask *ask, float *g) {
  const double begin = lo->now ? lo->now() : 0;
  fl_mark(lo->k, FL_AT_GRADIENT, 0);
  const double loss = lo->oracle->grad(lo->oracle->self, ask, g);
  fl_mark(lo->k, FL_AT_OPTIMIZER, 0);
  const double spent = lo->now ? lo->now() - begin : 0;
  lo->seconds_gradient += spent;
  lo->seconds_optimizer -= spent;
  return loss;
}

void fl_local_run(fl_local *lo, double clip_norm, int clip_late, double (*clock)(void)) {
  const uint64_t k0 = lo->clock.k, t0 = lo->clock.t;
  const fl_clock begin = lo->clock;
  const fl_mix mix = lo->mix;
  double sum = 0, now = clock ? clock() : 0;
  lo->now = clock;
  for (uint64_t i = 1; i <= lo->steps; i++) {
    lo->clock = begin;
    lo->mix = mix;
    lo->clock.k = k0 + i;
    lo->clock.t = t0 + i;
    if (lo->schedule) lo->lr = lo->clock.lr = lo->clock.lr_decay = fl_lr_at(lo->schedule, lo->clock.t - 1, lo->clock.total);
    lo->key.step = (uint32_t)lo->clock.k;
    fl_mark(lo->k, FL_AT_GRADIENT, 0);
    lo->oracle->next(lo->oracle->self, i - 1);
    before_step(lo);
    const double loss = gradient(lo);
    if (!isfinite(loss)) lo->infinite = 1;
    sum += loss;
    const double after_gradient = clock ? clock() : 0;
    fl_mark(lo->k, FL_AT_OPTIMIZER, 0);
    if (clip_late) join(lo);
    lo->clip = clip_scale(lo, clip_norm);
    lo->job->rule->step(lo->job->h_rule, lo);
    if (lo->server) after_step(lo);
    const double stepped = clock ? clock() : 0;
    lo->seconds_gradient += after_gradient - now;
    lo->seconds_optimizer += stepped - after_gradient;
    now = stepped;
  }
  lo->loss = lo->steps ? sum / (double)lo->steps : 0.0;
}
