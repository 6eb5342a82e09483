/* schedule.c - the learning rate as a pure function of round, step or epoch t (federated-adaptive 0.3, deep-first-order 20 and
 * 29). Doubles by own functions only, since a learning rate reaches the bits of a run. */
#include "models/locale.h"
#include <fedlane/optimizer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONSTANT, EXPONENTIAL, COSINE, STEP, MULTI_STEP, SWA, CYCLIC };

/* A parameter of one of the stack's stages by name; NULL: no stage has it. */
static const double *of_stage(const fl_algorithm *a, const char *key) {
  for (size_t i = 0; i < a->n_stages; i++)
    for (size_t j = 0; j < a->stage[i]->n_params; j++)
      if (!strcmp(a->stage[i]->params[j].name, key)) return &a->h_stage[i][j];
  return NULL;
}

/* 20.3: lr until half of the way to the first average, then linear down to swa_lr at nine tenths. */
static double swa_at(const fl_algorithm *a, double lr, uint64_t t) {
  const double x = (double)t / *of_stage(a, "swa_start"), low = *of_stage(a, "swa_lr");
  return x <= 0.5 ? lr : x <= 0.9 ? lr + (low - lr) * ((x - 0.5) / 0.4) : low;
}

/* lr, and from a period before the first average on linear down to swa_lr in every period of swa_every: at its end an average is
 * taken (federated-flat-private 4). */
static double cyclic_at(const fl_algorithm *a, double lr, uint64_t t) {
  const uint64_t start = (uint64_t)*of_stage(a, "swa_start"), every = (uint64_t)*of_stage(a, "swa_every");
  if (t + every < start) return lr;
  const double x = (double)((t + every - start) % every + 1) / (double)every;
  return lr + (*of_stage(a, "swa_lr") - lr) * x;
}

/* Published numbers of the schedules by factors, and of SWA, count epochs; constant and cosine have none. */
int fl_counts_epochs(const fl_algorithm *a) {
  const int kind = (int)a->h_run[FL_H_LR_SCHEDULE];
  return (kind != CONSTANT && kind != COSINE) || of_stage(a, "swa_start");
}

double fl_lr_at(const fl_algorithm *a, uint64_t t, uint64_t total) {
  const double *h = a->h_run, lr = h[FL_H_LR];
  const uint64_t warmup = (uint64_t)h[FL_H_WARMUP];
  if (t < warmup) return lr * (double)(t + 1) / (double)warmup;
  t -= warmup;
  total = total > warmup ? total - warmup : 1;
  if (h[FL_H_LR_OFFSET] > 0) t += (uint64_t)h[FL_H_LR_OFFSET];
  uint64_t passed = 0;
  switch ((int)h[FL_H_LR_SCHEDULE]) {
    case EXPONENTIAL: return lr * fl_pow_int(h[FL_H_LR_DECAY], t);
    case COSINE:
      if (t > total) t = total;
      return h[FL_H_LR_MIN] + 0.5 * (lr - h[FL_H_LR_MIN]) * (1.0 + fl_cos_pi((double)t / (double)total));
    case STEP: return lr * fl_pow_int(h[FL_H_STEP_GAMMA], t / (uint64_t)h[FL_H_STEP_SIZE]);
    case MULTI_STEP:
      while (passed < (uint64_t)h[FL_H_MILESTONES] && a->milestone[passed] <= (double)t) passed++;
      return lr * fl_pow_int(h[FL_H_STEP_GAMMA], passed);
    case SWA: return swa_at(a, lr, t);
    case CYCLIC: return cyclic_at(a, lr, t);
    default: return lr;
  }
}

int fl_counts_steps(const fl_algorithm *a, int central) { return central && a->h_run[FL_H_UNIT] == 0; }

#define REFUSE(...) return snprintf(why, size, __VA_ARGS__), -1
int fl_schedule_refuse(const fl_algorithm *a, int central, uint64_t moves, char *why, size_t size) {
  const double *h = a->h_run;
  const char *unit = !central ? "rounds" : fl_counts_steps(a, central) ? "steps" : "epochs";
  if (h[FL_H_LR_SCHEDULE] == MULTI_STEP && h[FL_H_MILESTONES] == 0)
    REFUSE("lr_schedule multi_step: milestones is missing, e.g. 100+150");
  const int swa = h[FL_H_LR_SCHEDULE] == SWA;
  if ((swa || h[FL_H_LR_SCHEDULE] == CYCLIC) && !of_stage(a, "swa_lr"))
    REFUSE("lr_schedule %s: the stack has no stage swa, whose swa_start and swa_lr it takes", swa ? "swa" : "cyclic");
  if (h[FL_H_LR_SCHEDULE] == COSINE && h[FL_H_LR_MIN] > h[FL_H_LR])
    REFUSE("lr_schedule cosine: lr_min is above lr: %g; allowed: 0 to %g", h[FL_H_LR_MIN], h[FL_H_LR]);
  if (moves && h[FL_H_WARMUP] >= (double)moves)
    REFUSE("warmup = %.0f; allowed: 0 to %llu, as the run has %llu %s and lr would never be reached", h[FL_H_WARMUP],
           (unsigned long long)(moves - 1), (unsigned long long)moves, unit);
  return 0;
}

/* ---- milestones: "100+150" ---------------------------------------------------------------------------------------- */
int fl_milestones_read(const fl_setting *s, fl_algorithm *a, char *err, size_t size) {
  const char *p = s->value;
  size_t n = 0;
  if (!strcmp(p, "none")) return a->h_run[FL_H_MILESTONES] = 0, 0;
  for (;; p++) {
    char *end = NULL;
    const unsigned long long v = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : 0;
    if (v < 1 || v > (1ull << 53) || (n && (double)v <= a->milestone[n - 1]) || n == FL_MAX_MILESTONES || (*end && *end != '+'))
      return snprintf(err, size, "%s: %s = '%s'; allowed: none, or at most %d whole numbers from 1, rising, joined by +: 100+150",
                      s->where, s->key, s->value, FL_MAX_MILESTONES), -1;
    a->milestone[n++] = (double)v;
    p = end;
    if (!*p) break;
  }
  a->h_run[FL_H_MILESTONES] = (double)n;
  return 0;
}

void fl_milestones_text(const fl_algorithm *a, char *out, size_t size) {
  const locale_t before = fl_locale_enter();
  snprintf(out, size, "none");
  for (size_t i = 0, at = 0; i < (size_t)a->h_run[FL_H_MILESTONES] && at < size; i++)
    at += (size_t)snprintf(out + at, size - at, "%s%.0f", i ? "+" : "", a->milestone[i]);
  fl_locale_leave(before);
}
