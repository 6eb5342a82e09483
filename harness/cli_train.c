/* cli_train.c - one run into its folder: rounds, progress, checkpoints, target, time budget, signals. */
#include "cli.h"
#include "core/team.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

volatile sig_atomic_t fl_signal;

typedef struct {
  const fl_config *c; const char *dir;
  fl_result *result; fl_progress *progress;
  fl_metrics last; double accuracy, checkpointed;
  uint64_t saved;                               /* round of the checkpoint in the folder */
  int failed, stopped;
  char *err; size_t size;
} training;

static const char *unit_of(const fl_config *c) { return c->central ? "epoch" : "round"; }

static void show(training *t, const fl_metrics *m, int end) {
  fl_progress *p = t->progress;
  const double now = fl_now(), pause = p->tty ? 0.1 : 5.0;
  p->work_run += p->work_round;
  if (!end && now - p->last_line < pause) return;
  const double left = p->work_all - p->work_before - p->work_round * (double)m->round;
  const double eta = left > 0 ? (now - p->started) / p->work_run * left : 0;
  char accuracy[32] = "-", loss[32] = "-", time[32] = "";
  p->last_line = now;
  if (t->accuracy >= 0) snprintf(accuracy, sizeof accuracy, "%.2f %%", 100 * t->accuracy);
  if (isfinite(m->train_loss)) snprintf(loss, sizeof loss, "%.4f", m->train_loss);
  if (p->work_all > 0) snprintf(time, sizeof time, ", %d:%02d left", (int)(eta / 60), (int)fmod(eta, 60));
  fprintf(stderr, "%s[%zu/%zu] %s, seed %llu: %s %llu/%llu, accuracy %s, loss %s%s%s", p->tty ? "\r\033[K" : "",
          p->index + 1, p->count, t->c->label, (unsigned long long)t->c->seed, unit_of(t->c), (unsigned long long)m->round,
          (unsigned long long)t->c->rounds, accuracy, loss, time, p->tty ? "" : "\n");
}

static int save(training *t, fl_session *s, const fl_metrics *m) {
  if (fl_checkpoint_save(t->dir, t->c, s, m, t->err, t->size)) return t->failed = 1;
  fl_session_kept(s);
  t->checkpointed = fl_now();
  t->saved = m->round;
  return 0;
}

/* Told by the round's record alone, so that a resume from the checkpoint of the stopping round stops there as well. */
int fl_ends_early(const fl_config *c, const fl_metrics *m) {
  return (c->stop_at_target && c->target_accuracy > 0 && m->evaluated && m->accuracy >= c->target_accuracy) ||
         (c->time_budget > 0 && m->seconds >= c->time_budget);
}

static int after_round(void *self, fl_session *s, const fl_metrics *m) {
  training *t = self;
  t->last = *m;
  if (m->evaluated) t->accuracy = m->accuracy;
  if (fl_result_round(t->result, m, t->err, t->size)) return t->failed = 1;
  const int over = m->diverged || m->round >= t->c->rounds;
  show(t, m, over);
  if (over) return 0;
  t->stopped = fl_ends_early(t->c, m);
  if ((fl_signal || fl_now() - t->checkpointed >= t->c->checkpoint_seconds) && save(t, s, m)) return 1;
  return t->stopped || fl_signal;
}

json_t *fl_run_summary(const fl_work *w, const fl_config *c, const char *dir) {
  char path[4096], id[17];
  snprintf(path, sizeof path, "%s/%s/summary.json", dir, c->folder);
  json_t *s = json_load_file(path, 0, NULL);
  const char *was = json_string_value(json_object_get(s, "run_id"));
  fl_run_id(c, &w->data, &w->split, id);
  if (was && !strcmp(was, id)) return s;
  json_decref(s);
  return NULL;
}

/* Where the run begins: from the checkpoint when there is one and it is wanted, else from nothing. */
static int begin(training *t, fl_session *s, int resume) {
  int r = resume ? fl_checkpoint_load(t->dir, t->c, s, &t->last, t->err, t->size) : 1;
  if (r < 0) return -1;
  if (r) memset(&t->last, 0, sizeof t->last);
  t->saved = t->last.round;
  t->stopped = r == 0 && t->last.round < t->c->rounds && fl_ends_early(t->c, &t->last);
  if (r == 0 && t->last.evaluated) t->accuracy = t->last.accuracy;
  if (fl_result_cut(t->result, t->last.round, t->err, t->size)) return -1;
  if (r == 0)
    fprintf(stderr, "%s, seed %llu: continued after %s %llu\n", t->c->label, (unsigned long long)t->c->seed, unit_of(t->c),
            (unsigned long long)t->last.round);
  return 0;
}

void fl_not_reproducible(const fl_work *w, const fl_config *c, char *why, size_t size) {
  const fl_onednn_backend *b = fl_work_backend(w, c);
  snprintf(why, size, "%s", w->not_reproducible ? w->not_reproducible : "");
  if (c->time_budget > 0)
    snprintf(why + strlen(why), size - strlen(why), "%stime_budget: the number of rounds depends on the speed", *why ? "; " : "");
  if (b)
    snprintf(why + strlen(why), size - strlen(why), "%sbackend onednn: oneDNN %s computes %s, in an order of its own",
             *why ? "; " : "", b->version, b->operations);
}

int fl_train(fl_work *w, const fl_config *c, const char *out, int resume, fl_progress *progress, char *err, size_t size) {
  char dir[3500], states[3600], hash[65], trajectory[65];
  fl_session *s = NULL;
  if ((size_t)snprintf(dir, sizeof dir, "%s/%s", out, c->folder) >= sizeof dir)
    return snprintf(err, size, "--out '%.200s...': too long", out), -1;
  if (fl_work_prepare(w, c, err, size)) return -1;
  json_t *finished = resume ? fl_run_summary(w, c, out) : NULL;
  if (finished) {
    json_decref(finished);
    fprintf(stderr, "[%zu/%zu] %s, seed %llu: finished already\n", progress->index + 1, progress->count, c->label,
            (unsigned long long)c->seed);
    return 0;
  }
  snprintf(states, sizeof states, "%s/states.bin", dir);
  if (fl_work_open(w, c, w->threads, states, &s, err, size)) return -1;
  if (fl_session_team(s) > 1 && !progress->told++)
    fprintf(stderr, "%s: %d threads for %s\n", c->central ? "central training" : "fewer clients than threads", fl_session_team(s),
            c->central ? "its gradients and steps" : "each client");
  char why[FL_ERR];
  fl_not_reproducible(w, c, why, sizeof why);
  training t = { .c = c, .dir = dir, .progress = progress, .accuracy = -1, .err = err, .size = size };
  t.result = fl_result_open(dir, c, &w->data, &w->split, fl_model_objective(w->model)->layout, fl_work_kernels(w, c),
                            fl_work_backend(w, c), fl_session_threads(s), fl_session_team(s), w->shared, why[0] ? why : NULL,
                            err, size);
  int r = !t.result || begin(&t, s, resume) ? -1 : 0;
  if (!r) {
    t.checkpointed = fl_now();
    const int refused = !t.stopped && fl_rounds(s, after_round, &t) < 0;
    if (progress->tty && t.last.round) fputs("\n", stderr);
    const int ended = t.last.diverged || t.last.round >= c->rounds || t.stopped;
    /* More rounds, or more time, may be asked for later; after a divergence there is nothing to go on from. */
    const int keep = (ended || refused) && !t.failed && !t.last.diverged && t.saved != t.last.round;
    if (keep) save(&t, s, &t.last);
    if (refused && !t.failed) {
      t.failed = 1;
      snprintf(err, size, "%s, seed %llu: %s", c->label, (unsigned long long)c->seed, fl_session_error(s));
    }
    r = t.failed ? -1 : !ended;
    const char *status = t.last.diverged ? "diverged" : t.stopped ? "stopped" : "done";
    if (!r) r = fl_result_finish(t.result, fl_averaged(s, NULL), &t.last, status, hash, trajectory, err, size) ? -1 : 0;
    if (!r && t.last.round) fl_tell_order(c->label, t.last.epsilon_order);
    if (!r && t.last.diverged)
      fprintf(stderr, "%s, seed %llu: diverged in %s %llu\n", c->label, (unsigned long long)c->seed, unit_of(c),
              (unsigned long long)t.last.round);
  }
  fl_result_close(t.result);
  fl_close(s);
  return r;
}
