/* cli_profile.c - fedlane profile: the runs of a configuration once more, with kernels that keep accounts; beside each the same
 * run without, a round of each in turns, which shows that the bits are the same and what the accounts cost. */
#include "cli.h"
#include "core/team.h"
#include "profile/report.h"
#include <errno.h>
#include <fedlane/divide.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
  "usage: fedlane profile CONFIG [--rounds N] [--set key=value,...] [--seeds 1,2,3] [--threads N]\n"
  "                       [--isa scalar|avx2|avx512|neon] [--backend native|onednn] [--out DIR]\n"
  "Trains as `fedlane run` does and says where the time went: by kernel and by layer, with bytes and FLOPs, beside the ceilings\n"
  "measured in the same run. Prints tables; writes profile.json, profile.folded (stacks for flamegraph.pl and speedscope) and\n"
  "figures. Trains everything twice, with accounts and without, to say what they cost. docs/profile.md explains the columns.\n"
  "  --rounds   no more than so many (of central training: epochs); schedules stay those of the whole run\n"
  "  --out      the folder for the files; default fedlane-out/NAME-profile, NAME being the configuration's file or its folder\n"
  "  others     as of fedlane run\n";

/* Pairs of rounds go on in runs of their own while there are few of them and little time has passed. */
enum { FEW_PAIRS = 21, MOST_PAIRS = 100000 };
static const double little_time = 2.0;

typedef struct { fl_session *with, *without; double *ratio; size_t n; } pairs;

typedef struct {
  fl_work *w; const fl_config *c; const fl_kernels *counting; fl_counters *counters;
  uint64_t rounds;                              /* at most */
} task;

static int open_one(const task *t, const fl_kernels *table, fl_session **s, char *err, size_t size) {
  t->w->counting = table;
  const int bad = fl_work_open(t->w, t->c, t->w->threads, NULL, s, err, size);
  t->w->counting = NULL;
  return bad;
}

/* A round of both, the first in turns. Seconds of it into took: with, without. 0; 1 over; -1 refused. */
static int round_of_both(const task *t, pairs *p, uint64_t round, fl_metrics *m, double took[2]) {
  int over = 0;
  for (int i = 0; i < 2; i++) {
    const int without = (int)(round % 2) ^ i;
    fl_metrics other;
    const double begin = fl_now();
    if (!without) fl_counters_run(t->counters, 1);
    over = fl_round(without ? p->without : p->with, without ? &other : m);
    if (!without) fl_counters_run(t->counters, 0);
    took[without] = fl_now() - begin;
    if (over) return over;
  }
  return 0;
}

/* The runs side by side, to their end. The metrics are the last round's. */
static int run_pair(const task *t, pairs *p, fl_metrics *m, char *err, size_t size) {
  if (open_one(t, t->counting, &p->with, err, size) || open_one(t, NULL, &p->without, err, size)) return -1;
  fl_profile_reset();                           /* what the opening did is no round's */
  for (uint64_t round = 0; round < t->rounds; round++) {
    double took[2];
    const int over = round_of_both(t, p, round, m, took);
    if (over < 0) return snprintf(err, size, "%s: %s", t->c->label, fl_session_error(p->with)), -1;
    if (over) break;
    if (p->n < MOST_PAIRS) p->ratio[p->n++] = took[0] / took[1];
    if (m->diverged || fl_ends_early(t->c, m)) break;
  }
  return 0;
}

static void close_pair(pairs *p) {
  fl_close(p->with);
  fl_close(p->without);
  p->with = p->without = NULL;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q) {
  const double at = q * (double)(n - 1);
  const size_t i = (size_t)at, j = i + 1 < n ? i + 1 : i;
  return sorted[i] + (at - (double)i) * (sorted[j] - sorted[i]);
}

static void tell_overhead(fl_profile *out, pairs *p) {
  if (!p->n) return;
  qsort(p->ratio, p->n, sizeof *p->ratio, by_size);
  out->pairs = p->n;
  out->overhead = quantile(p->ratio, p->n, 0.5) - 1;
  out->overhead_low = quantile(p->ratio, p->n, 0.25) - 1;
  out->overhead_high = quantile(p->ratio, p->n, 0.75) - 1;
}

static int profile_pairs(const task *t, fl_profile *out, pairs *p, fl_accounts *sum, char *err, size_t size) {
  fl_metrics m = { 0 };
  size_t n;
  const double begin = fl_now();
  const uint64_t first = fl_profile_ticks();
  if (run_pair(t, p, &m, err, size)) return -1;
  const double tick = (fl_now() - begin) / (double)(fl_profile_ticks() - first);
  const float *x = fl_averaged(p->with, &n);
  fl_params_hash(x, n, out->hash);
  fl_params_hash(fl_averaged(p->without, &n), n, out->bare_hash);
  out->threads = fl_session_threads(p->with);
  out->rounds = m.round;
  memcpy(out->part_seconds, m.thread_seconds, sizeof out->part_seconds);
  fl_counters_read(t->counters, out->counter);
  fl_profile_add(sum);
  close_pair(p);
  const double empty = fl_profile_empty();
  while (p->n < FEW_PAIRS && fl_now() - begin < little_time) {
    const size_t before = p->n;
    if (run_pair(t, p, &m, err, size)) return -1;
    close_pair(p);
    if (p->n == before) break;
  }
  tell_overhead(out, p);
  if (fl_profile_rows(out, sum, tick, empty)) return snprintf(err, size, "out of memory for the ceilings"), -1;
  return 0;
}

static int profile_one(const task *t, fl_profile *out, char *err, size_t size) {
  pairs p = { .ratio = calloc(MOST_PAIRS, sizeof *p.ratio) };
  fl_accounts *sum = calloc(1, sizeof *sum);
  int bad = p.ratio && sum ? profile_pairs(t, out, &p, sum, err, size) : (snprintf(err, size, "out of memory"), -1);
  close_pair(&p);
  free(p.ratio);
  free(sum);
  return bad;
}

/* The figures need Python with Matplotlib: without it there is everything else. */
static void draw(const char *dir) {
  fflush(NULL);
  const pid_t child = fork();
  if (!child) {
    char flag[] = "--profile";
    char *argv[] = { NULL, flag, (char *)(uintptr_t)dir, NULL };
    _exit(fl_become_report(argv));
  }
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status) fprintf(stderr, "fedlane: no figures of '%s'\n", dir);
}

typedef struct { const fl_suite *suite; fl_counters counters; int had; } everything;

static int show(fl_work *w, everything *e, size_t i, const fl_run_options *o, const char *out, char *err, size_t size) {
  const fl_config *c = &e->suite->run[i];
  const int threads = w->threads ? w->threads : fl_default_threads();
  char why[FL_ERR], dir[4096];
  if ((size_t)snprintf(dir, sizeof dir, "%s%s/%s", out, o->out ? "" : "-profile", c->folder) >= sizeof dir)
    return snprintf(err, size, "--out '%.200s...': too long", out), -1;
  if (fl_work_prepare(w, c, err, size)) return -1;
  static fl_kernels divided;                    /* an account is of the thread that calls, whoever computes with it */
  const fl_kernels *table = fl_work_kernels(w, c);
  fl_divided_table(table, &divided);
  const fl_kernels *counting = fl_profile_start(&divided, threads);
  if (!counting) return snprintf(err, size, "no memory for the accounts of %d threads", threads), -1;
  fl_not_reproducible(w, c, why, sizeof why);
  const task t = { .w = w, .c = c, .counting = counting, .counters = &e->counters,
                   .rounds = o->rounds && o->rounds < c->rounds ? o->rounds : c->rounds };
  fl_profile p = { .config = c, .model = w->model, .kernels = table, .unreproducible = *why ? why : NULL, .counters = e->had,
                   .counters_why = e->counters.why, .ceilings = { .isa = table->isa } };
  int bad = profile_one(&t, &p, err, size);
  if (!bad && i) putchar('\n');
  if (!bad && fl_profile_print(&p, stdout)) snprintf(err, size, "out of memory"), bad = -1;
  if (!bad) bad = fl_profile_write(&p, dir, err, size);
  if (!bad) draw(dir);
  const int other = !bad && strcmp(p.hash, p.bare_hash) && !p.unreproducible;
  fl_profile_free(&p);
  return other ? snprintf(err, size, "%s: the accounts changed the bits", c->label), -1 : bad;
}

static int profile(void *self, fl_work *w, const fl_run_options *o, const char *out) {
  everything *e = self;
  char err[FL_ERR] = "";
  int bad = fl_work_check(w, e->suite, err, sizeof err);
  for (size_t i = 0; !bad && i < e->suite->n; i++) bad = show(w, e, i, o, out, err, sizeof err);
  return bad ? fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(bad) : FL_EXIT_DONE;
}

int fl_cli_profile(int argc, char **argv) {
  char err[FL_ERR] = "";
  fl_suite suite;
  fl_run_options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  int code = FL_EXIT_USAGE;
  if (!o.set || fl_run_parse(argc, argv, usage, &o)) return free(o.set), code;
  everything e = { .suite = &suite };
  e.had = fl_counters_open(&e.counters);        /* before there are threads, which inherit them */
  if (fl_suite_load(&suite, o.config, o.set, o.n_set, o.seeds, err, sizeof err)) {
    fprintf(stderr, "fedlane: %s\n", err);
  } else {
    code = fl_run_with(&o, &suite, profile, &e);
    fl_suite_free(&suite);
  }
  fl_counters_close(&e.counters);
  free(o.set);
  return code;
}
