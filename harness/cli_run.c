/* cli_run.c - fedlane run: options, the loop over a suite's runs, what a signal leaves behind. */
#include "cli.h"
#include "core/team.h"
#include "atomic.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
  "usage: fedlane run CONFIG [--set key=value,...] [--seeds 1,2,3] [--threads N] [--isa scalar|avx2|avx512|neon]\n"
  "                   [--backend native|onednn] [--out DIR | --resume DIR] [--dry-run] [--verify] [--export-plan DIR]\n"
  "  --set          overrides the file, e.g. federated.rounds=5, algorithms.fedavg.lr=[0.03,0.1] (a list: a run each)\n"
  "  --out          the folder for the results; default fedlane-out/NAME, NAME being the file's or its folder's\n"
  "  --resume       continues the runs in that folder, after an interruption or with more rounds\n"
  "  --dry-run      prints the runs, their resolved configurations (as JSON) and bytes, and trains nothing\n"
  "  --verify       runs everything twice with different numbers of threads, and compares the hashes\n"
  "  --export-plan  writes initial parameters, cohorts and batches of every run, for a replay by another program\n"
  "  --backend      who computes the matrix products; with onednn the bits are not promised, and the results say so\n"
  "  --threads      default: the physical cores allowed; the number changes no bit, nor does --isa\n";

static void on_signal(int number) {
  if (fl_signal) _exit(128 + number);           /* the second one does not wait for the round */
  fl_signal = number;
}

int fl_parse_threads(const char *option, int *threads) {
  char *end;
  const long n = strtol(option, &end, 10);
  if (end == option || *end || n < 1 || n > 1024)
    return fprintf(stderr, "fedlane: --threads '%s'; allowed: a whole number from 1 to 1024\n", option), -1;
  *threads = (int)n;
  return 0;
}

static int parse(int argc, char **argv, fl_run_options *o) {
  static const struct option longs[] = {
    { "set", 1, NULL, 's' }, { "seeds", 1, NULL, 'e' }, { "threads", 1, NULL, 't' }, { "isa", 1, NULL, 'i' },
        { "out", 1, NULL, 'o' },
    { "backend", 1, NULL, 'b' },
    { "resume", 1, NULL, 'r' }, { "dry-run", 0, NULL, 'd' }, { "verify", 0, NULL, 'v' }, { "export-plan", 1, NULL, 'p' },
    { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
    case 's': o->set[o->n_set++] = optarg; break;
    case 'e': o->seeds = optarg; break;
    case 't':
      if (fl_parse_threads(optarg, &o->threads)) return -1;
      break;
    case 'i': o->isa = optarg; break;
    case 'b':                                   /* the key of that name: it decides the bits */
      snprintf(o->backend, sizeof o->backend, "backend=%s", optarg);
      o->set[o->n_set++] = o->backend;
      break;
    case 'o': o->out = optarg; break;
    case 'r': o->resume = optarg; break;
    case 'd': o->dry_run = 1; break;
    case 'v': o->verify = 1; break;
    case 'p': o->export_plan = optarg; break;
    case 'h': fputs(usage, stdout); exit(FL_EXIT_DONE);
    default: fputs(usage, stderr); return -1;
  }
  if (optind + 1 != argc)
    return fprintf(stderr, "fedlane: run takes one configuration, %d given\n%s", argc - optind, usage), -1;
  if (o->out && o->resume)
    return fputs("fedlane: --out and --resume exclude each other (--resume continues in its folder)\n", stderr), -1;
  if ((o->out && !*o->out) || (o->resume && !*o->resume))
    return fputs("fedlane: --out, --resume: an empty path; allowed: a folder\n", stderr), -1;
  if (o->dry_run + o->verify + !!o->export_plan > 1)
    return fputs("fedlane: --dry-run, --verify and --export-plan exclude each other\n", stderr), -1;
  o->config = argv[optind];
  return 0;
}

/* fedlane-out/NAME: the file's name, or its folder's when it is called config.yaml. */
static void default_out(const char *config, char *out, size_t size) {
  char full[4000], *real = realpath(config, NULL);
  snprintf(full, sizeof full, "%s", real ? real : config);
  free(real);
  char *slash = strrchr(full, '/'), *name = slash ? slash + 1 : full, *dot = strrchr(name, '.');
  if (dot && dot != name) *dot = 0;
  if (!strcmp(name, "config") && slash) {
    *slash = 0;
    name = strrchr(full, '/') ? strrchr(full, '/') + 1 : full;
  }
  snprintf(out, size, "fedlane-out/%s", *name ? name : "config");
}

static void quoted(const char *s) {
  const int plain = *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=,:+-")];
  if (plain) { fprintf(stderr, " %s", s); return; }
  fputs(" '", stderr);
  for (; *s; s++) fprintf(stderr, *s == '\'' ? "'\\''" : "%c", *s);
  fputc('\'', stderr);
}

static void print_resume(const fl_run_options *o, const char *out) {
  fputs("interrupted; to continue: fedlane run", stderr);
  quoted(o->config);
  for (size_t i = 0; i < o->n_set; i++) fputs(" --set", stderr), quoted(o->set[i]);
  if (o->seeds) fputs(" --seeds", stderr), quoted(o->seeds);
  if (o->isa) fputs(" --isa", stderr), quoted(o->isa);
  if (o->threads) fprintf(stderr, " --threads %d", o->threads);
  fputs(" --resume", stderr);
  quoted(out);
  fputc('\n', stderr);
}

/* What each run will take, and says how long that is when it can be told. */
static double *plan_work(fl_work *w, const fl_suite *suite, fl_progress *p) {
  double *work = malloc(suite->n * sizeof *work);
  const double seconds = work ? fl_estimate(w, suite, work) : -1;
  for (size_t i = 0; work && i < suite->n; i++) {
    if (seconds < 0) work[i] = (double)suite->run[i].rounds;
    p->work_all += work[i];
  }
  if (seconds >= 60)
    fprintf(stderr, "about %d h %02d min, by the first rounds of each\n", (int)(seconds / 3600), (int)(seconds / 60) % 60);
  return work;
}

static int train_all(fl_work *w, const fl_suite *suite, const fl_run_options *o, const char *out) {
  char err[FL_ERR] = "";
  fl_progress p = { .count = suite->n, .started = fl_now(), .tty = isatty(2) };
  const struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
  sigaction(SIGINT, &act, NULL);
  sigaction(SIGTERM, &act, NULL);
  char suite_file[4200];
  snprintf(suite_file, sizeof suite_file, "%s/suite.json", out);
  if (!o->resume && !access(suite_file, F_OK))
    fprintf(stderr, "'%s' holds an earlier result; its runs of the same names are computed anew and replaced\n", out);
  int r = fl_work_check(w, suite, err, sizeof err);
  if (!r && (fl_folder_make(out, err, sizeof err) || fl_suite_write(suite, o->resume != NULL, out, err, sizeof err))) r = -1;
  if (!r) fprintf(stderr, "%zu runs into %s\n", suite->n, out);
  double *work = r ? NULL : plan_work(w, suite, &p);
  if (!r && !work) r = -1, snprintf(err, sizeof err, "out of memory");
  p.started = fl_now();
  for (size_t i = 0; i < suite->n && !r; i++) {
    p.index = i;
    p.work_round = work[i] / (double)suite->run[i].rounds;
    if (fl_signal) r = 1;
    else r = fl_train(w, &suite->run[i], out, o->resume != NULL, &p, err, sizeof err);
    p.work_before += work[i];
  }
  free(work);
  if (r > 0) {
    print_resume(o, out);
    return 128 + fl_signal;
  }
  if (!r) r = fl_table_print(suite, out, err, sizeof err);
  if (r) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(r);
  fprintf(stderr, "results: %s\n", out);
  return FL_EXIT_DONE;
}

int fl_cli_run(int argc, char **argv) {
  char err[FL_ERR] = "", out[4096];
  fl_suite suite;
  fl_work w;
  fl_run_options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  if (!o.set || parse(argc, argv, &o)) return free(o.set), FL_EXIT_USAGE;
  int code = FL_EXIT_USAGE;
  if (fl_suite_load(&suite, o.config, o.set, o.n_set, o.seeds, err, sizeof err)) {
    fprintf(stderr, "fedlane: %s\n", err);
  } else {
    if (fl_work_start(&w, o.isa, o.threads, err, sizeof err) || fl_work_backends(&w, &suite, err, sizeof err)) {
      fprintf(stderr, "fedlane: %s\n", err);
    } else {
      if (o.resume || o.out) snprintf(out, sizeof out, "%s", o.resume ? o.resume : o.out);
      else default_out(o.config, out, sizeof out);
      if (o.resume && access(o.resume, F_OK)) {
        fprintf(stderr, "fedlane: --resume '%s': no such folder; allowed: the --out folder of an earlier run\n", o.resume);
      } else {
        code = o.dry_run ? fl_dry_run(&w, &suite) : o.verify ? fl_verify(&w, &suite, o.threads)
               : o.export_plan ? fl_plan_export(&w, &suite, o.export_plan) : train_all(&w, &suite, &o, out);
      }
      fl_work_end(&w);
    }
    fl_suite_free(&suite);
  }
  free(o.set);
  return code;
}
