/* cli_suite.c - the runs of a suite: one after the other, a shard of them, or several at once; what a signal leaves behind. */
#include "cli.h"
#include "atomic.h"
#include "core/team.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_signal(int number) {
  if (fl_signal) _exit(128 + number);           /* the second one does not wait for the round */
  fl_signal = number;
}
static void catch_signals(int flags) {
  const struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };
  sigaction(SIGINT, &act, NULL);
  sigaction(SIGTERM, &act, NULL);
}

static int is_mine(const fl_run_options *o, size_t i) {
  return !o->shards || i % (size_t)o->shards == (size_t)o->shard - 1;
}

/* What each run will take, and says how long that is when it can be told. */
static double *plan_work(fl_work *w, const fl_suite *suite, const fl_run_options *o, fl_progress *p) {
  double *work = malloc(suite->n * sizeof *work);
  const double seconds = work ? fl_estimate(w, suite, FL_WORTH, work) : -1;
  for (size_t i = 0; work && i < suite->n; i++) {
    if (seconds < 0) work[i] = (double)suite->run[i].rounds;
    if (is_mine(o, i)) p->work_all += work[i];
  }
  if (seconds >= 60)
    fprintf(stderr, "about %d h %02d min, by the first rounds of each\n", (int)(p->work_all / 3600),
            (int)(p->work_all / 60) % 60);
  return work;
}

typedef struct {
  fl_work *w; const fl_suite *suite; const fl_run_options *o; const char *out;
  const double *work;                           /* by run, or NULL */
  atomic_size_t *next;                          /* the first run that nobody has taken */
} runs;

/* Runs until there is none left: 0, 1 interrupted, negative with a message. */
static int train(const runs *a, fl_progress *p, char *err, size_t size) {
  int r = 0;
  for (size_t i; !r && (i = atomic_fetch_add(a->next, 1)) < a->suite->n;) {
    if (!is_mine(a->o, i)) continue;
    p->index = i;
    p->work_round = a->work ? a->work[i] / (double)a->suite->run[i].rounds : 0;
    r = fl_signal ? 1 : fl_train(a->w, &a->suite->run[i], a->out, a->o->resume != NULL, p, err, size);
    p->work_before += a->work ? a->work[i] : 0;
  }
  return r;
}

/* ---- several at once ------------------------------------------------------------------------------------------------------ */
/* In a process of its own: what OpenMP has started in this one would be missing in a child. */
static pid_t start(const runs *a, int job, fl_progress p) {
  const pid_t parent = getpid(), pid = fork();
  char err[FL_ERR] = "";
  if (pid) return pid;
  setpgid(0, 0);                                /* a terminal's signal comes by way of the parent, and once */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(128 + SIGTERM);
  catch_signals(SA_RESTART);
  const int r = job < 0 ? fl_work_check(a->w, a->suite, err, sizeof err) : train(a, &p, err, sizeof err);
  if (r < 0) fprintf(stderr, "fedlane: %s\n", err);
  fflush(NULL);
  _exit(r < 0 ? fl_work_exit(r) : r > 0 ? 128 + fl_signal : FL_EXIT_DONE);
}

/* Waits for n processes (0: not started), and hands a signal on; the largest exit code. */
static int wait_for(pid_t *pid, int n, atomic_size_t *next) {
  int worst = 0, status, told = 0;
  for (int left = n; left > 0;) {
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended < 0 && errno != EINTR) break;
    if (fl_signal && !told++)
      for (int i = 0; i < n; i++) if (pid[i] > 0) kill(pid[i], fl_signal);
    if (ended < 0) continue;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    for (int i = 0; i < n; i++) if (pid[i] == ended) pid[i] = 0, left--;
    if (WIFSIGNALED(status)) fprintf(stderr, "fedlane: a job was ended by signal %d\n", WTERMSIG(status));
    if (code) atomic_store(next, SIZE_MAX / 2); /* the others end what they have begun */
    if (code > worst) worst = code;
  }
  return worst;
}

static int train_jobs(const runs *a, fl_progress *p) {
  const int n = a->o->jobs;
  pid_t *pid = calloc((size_t)n, sizeof *pid);
  int code = pid ? 0 : FL_EXIT_FAILED, started = 0;
  catch_signals(0);
  a->w->threads = a->o->threads ? a->o->threads : a->w->threads > n ? a->w->threads / n : 1;
  a->w->shared = 1;
  p->tty = 0;
  for (; !code && started < n; started++)
    if ((pid[started] = start(a, started, *p)) < 0) {
      fprintf(stderr, "fedlane: cannot start job %d of %d: %s\n", started + 1, n, strerror(errno));
      atomic_store(a->next, SIZE_MAX / 2);
      code = FL_EXIT_FAILED;
      break;
    }
  const int worst = wait_for(pid, started, a->next);
  free(pid);
  return worst > code ? worst : code;
}

/* The same check as before one run after the other, but in a child, so that this process stays without threads. */
static int check_apart(const runs *a) {
  pid_t pid = start(a, -1, (fl_progress){ 0 });
  if (pid < 0) return fprintf(stderr, "fedlane: cannot start a process: %s\n", strerror(errno)), FL_EXIT_FAILED;
  return wait_for(&pid, 1, a->next);
}

/* ---- the suite ------------------------------------------------------------------------------------------------------------ */
/* An earlier search's choice in the same folder would look like that of one which was stopped since. */
static void drop_choice(const char *out) {
  static const char *const name[] = { "tune.csv", "chosen.yaml" };
  char path[4200];
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    snprintf(path, sizeof path, "%s/%s", out, name[i]);
    remove(path);
  }
}

static int begin(const runs *a, char *err, size_t size) {
  char suite_file[4200];
  snprintf(suite_file, sizeof suite_file, "%s/suite.json", a->out);
  if (!a->o->resume && !a->o->shards && !access(suite_file, F_OK))
    fprintf(stderr, "'%s' holds an earlier result; its runs of the same names are computed anew and replaced\n", a->out);
  if (fl_folder_make(a->out, err, size) || fl_suite_write(a->suite, a->o->resume != NULL, a->out, err, size)) return -1;
  drop_choice(a->out);
  size_t mine = 0;
  for (size_t i = 0; i < a->suite->n; i++) mine += (size_t)is_mine(a->o, i);
  fprintf(stderr, "%zu runs into %s\n", mine, a->out);
  return 0;
}

static int one_by_one(runs *a, fl_progress *p, char *err, size_t size) {
  double *work = plan_work(a->w, a->suite, a->o, p);
  if (!work) return snprintf(err, size, "out of memory"), -1;
  p->started = fl_now();
  a->work = work;
  const int r = train(a, p, err, size);
  free(work);
  return r;
}

int fl_suite_train(fl_work *w, const fl_suite *suite, const fl_run_options *o, const char *out) {
  char err[FL_ERR] = "";
  fl_progress p = { .count = suite->n, .started = fl_now(), .tty = isatty(2) };
  atomic_size_t *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (next == MAP_FAILED) return fprintf(stderr, "fedlane: out of memory\n"), FL_EXIT_FAILED;
  atomic_init(next, 0);
  runs a = { w, suite, o, out, NULL, next };
  int r, code = 0;
  catch_signals(SA_RESTART);
  if (o->jobs > 1) {
    if (!(code = check_apart(&a)) && (r = begin(&a, err, sizeof err))) code = FL_EXIT_FAILED;
    if (!code) code = train_jobs(&a, &p);
  } else {
    if (!(r = fl_work_check(w, suite, err, sizeof err)) && !(r = begin(&a, err, sizeof err)))
      r = one_by_one(&a, &p, err, sizeof err);
    if (r) code = r > 0 ? 128 + fl_signal : fl_work_exit(r);
  }
  munmap(next, sizeof *next);
  if (fl_signal) return fl_print_resume(o, out), 128 + fl_signal;
  if (err[0]) fprintf(stderr, "fedlane: %s\n", err);
  return code;
}
