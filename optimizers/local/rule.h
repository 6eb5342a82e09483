/* rule.h - what several rules share: coupled decay, the mixed gradient of a whole tensor, and second moments with their block
 * means as the shareable part theta (federated-adaptive 13). */
#ifndef FL_LOCAL_RULE_H
#define FL_LOCAL_RULE_H
#include <fedlane/optimizer.h>
#include <math.h>
#include <string.h>

/* One float a parameter, from 0. */
static inline size_t one_state(const double *h, const fl_job *job) { (void)h; return job->layout->d; }
static inline void start_at_zero(const double *h, fl_local *lo, const float *theta) {
  (void)h, (void)theta;
  memset(lo->state, 0, lo->job->layout->d * sizeof(float));
}

/* g <- g + weight_decay*y before anything else: one more term of the mix. */
static inline void coupled_step(fl_local *lo, double weight_decay, fl_plain_step *plain, void *arg) {
  const float kept = lo->mix.gb;
  if (weight_decay != 0) lo->mix.gb += (float)weight_decay;
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, arg);
  lo->mix.gb = kept;
}

/* The mixed gradient of n elements at once, for decisions over all of them: g itself when the mix is plain, else in
 * work (n floats). The drift is left to drift_after. */
typedef struct { size_t offset; const float *v; } mixed_run;
static inline void collect_run(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  mixed_run *r = arg;
  (void)y;
  if (v == lo->g + offset) return;
  memcpy(lo->work + (offset - r->offset), v, n * sizeof(float));
  r->v = lo->work;
}
static inline const float *mixed_gradient(fl_local *lo, size_t offset, size_t n) {
  mixed_run r = { offset, lo->g + offset };
  const float *drift = lo->mix.drift;
  lo->mix.drift = NULL;
  fl_mixed_step(lo, offset, n, collect_run, &r);
  lo->mix.drift = drift;
  return r.v;
}
static inline void drift_after(fl_local *lo, size_t offset, size_t n) {
  if (lo->mix.drift) lo->k->axpy(n, lo->y + offset, (float)-lo->mix.cd, lo->mix.drift + offset);
}
/* What a second moment begins at: initial_accumulator, or -1 for eps^2. */
#define INITIAL_HELP "second moment before the first step; -1: eps^2"
static inline double initial_of(double initial, double eps) { return initial < 0 ? eps * eps : initial; }
static inline const char *initial_refused(const fl_job *job, const char *rule, double initial, int as_server) {
  return initial >= 0 || initial == -1 ? NULL
         : fl_why(job, "rule %s: %sinitial_accumulator = %g; allowed: from 0, or -1, which is eps^2", rule,
                  as_server ? "server_" : "", initial);
}
static inline size_t largest_tensor(const fl_job *job) {
  size_t most = 0;
  for (size_t i = 0; i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (t->role != FL_BUFFER && t->size > most) most = t->size;
  }
  return most;
}

/* ---- second moments: state is m, s and, with AMSGrad, the maximum of s, d floats each -------------------------------- */
static inline size_t moment_floats(const fl_job *job, int amsgrad) { return (size_t)(amsgrad ? 3 : 2) * job->layout->d; }
static inline size_t block_count(const double *h, const fl_job *job) { (void)h; return job->blocks.n; }

/* s from `initial`, or from a mean a block. Before anybody has sent one the server's zeros are not the initial state. */
static inline void spread(const fl_local *lo, float *s, const float *theta, double initial) {
  if (lo->moved == 0) theta = NULL;
  for (size_t i = 0; !theta && i < lo->job->layout->d; i++) s[i] = (float)initial;
  for (size_t b = 0; theta && b < lo->job->blocks.n; b++) {
    const fl_run r = lo->job->blocks.run[b];
    for (size_t i = 0; i < r.size; i++) s[r.offset + i] = theta[b];
  }
}
static inline void block_means(const fl_local *lo, const float *s, float *theta) {
  lo->k->mean_runs(lo->job->blocks.n, lo->job->blocks.run, s, theta);
}
static inline void start_moments(fl_local *lo, const float *theta, double initial, int amsgrad) {
  const size_t d = lo->job->layout->d;
  memset(lo->state, 0, d * sizeof(float));
  spread(lo, lo->state + d, theta, initial);
  if (amsgrad) memcpy(lo->state + 2 * d, lo->state + d, d * sizeof(float));
}

/* The step lr*(m/c1)/(sqrt(s)/c2 + eps) as (lr*c2/c1)*m/(sqrt(s) + c2*eps); c2 is a root already. */
static inline fl_adamw_args adam_args(double beta1, double beta2, double eps, double lr, double c1, double c2, double decay) {
  return (fl_adamw_args){ .beta1 = (float)beta1, .omb1 = (float)(1.0 - beta1), .beta2 = (float)beta2,
                          .omb2 = (float)(1.0 - beta2), .decay = (float)decay, .step = (float)(lr * c2 / c1),
                          .eps = (float)(eps * c2) };
}
static inline void plain_adamw(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  lo->k->adamw(n, y, lo->state + offset, lo->state + lo->job->layout->d + offset, v, arg);
}
static inline void plain_amsgrad(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const size_t d = lo->job->layout->d;
  lo->k->amsgrad(n, y, lo->state + offset, lo->state + d + offset, lo->state + 2 * d + offset, v, arg);
}
#endif
