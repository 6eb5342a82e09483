/* cli_tune.c - fedlane tune: trials are the runs of a suite; when all are there, the choice. */
#include "cli.h"
#include "tune.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: fedlane tune CONFIG [--set key=value,...] [--seeds 1,2,3] [--threads N] [--isa scalar|avx2|avx512|neon]\n"
  "                    [--backend native|onednn] [--out DIR | --resume DIR] [--jobs J] [--shard I/N]\n"
  "                    [--plugin FILE.so]... [--dry-run]\n"
  "Trains every method with the values that `tune:` in CONFIG says, the same number of trials each, and chooses by rows held\n"
  "out of the training rows. Into DIR: all trials (tune.csv), and for fedlane run the configuration with the chosen values\n"
  "(chosen.yaml). The options are those of fedlane run:\n"
  "  --resume    continues the search in that folder; trials that are finished are not run again\n"
  "  --shard     every N-th trial, into the same folder: the shard that finds all trials there chooses\n"
  "  --dry-run   prints the trials and how long they will take, and trains nothing\n"
  "  --seeds     a trial's score is the mean over them\n"
  "Exit code: 0 done, 1 failed, or every trial of a method diverged, 2 usage, 130 and 143 interrupted.\n";

/* The results of a trial's seeds that are of this configuration. */
static int score_of(fl_work *w, const fl_tune *t, const fl_config *run, const char *out, fl_tune_score *s, char *err,
                    size_t size) {
  double sum = 0;
  char *hashes = calloc(t->seeds, 65);
  memset(s, 0, sizeof *s);
  if (!hashes) return snprintf(err, size, "out of memory"), -1;
  for (size_t i = 0; i < t->seeds; i++) {
    if (fl_work_prepare(w, &run[i], err, size)) return free(hashes), -1;
    json_t *summary = fl_run_summary(w, &run[i], out);
    const json_t *value = json_object_get(summary, t->metric == FL_TUNE_LOSS ? "final_loss" : fl_tune_metric_name(t));
    const char *status = json_string_value(json_object_get(summary, "status")),
        *hash = json_string_value(json_object_get(summary, "hash"));
    s->missing += !summary;
    s->diverged += status && !strcmp(status, "diverged");
    sum += json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (hash && strlen(hash) == 64) memcpy(hashes + 64 * i, hash, 64), memcpy(s->hash, hash, 65);
    json_decref(summary);
  }
  if (t->seeds > 1) fl_sha256(hashes, 64 * t->seeds, s->hash);
  s->score = s->diverged ? (double)NAN : sum / (double)t->seeds;
  free(hashes);
  return 0;
}

/* The choice, when every trial is there. */
static int choose(fl_work *w, const fl_tune *t, const char *out, char *err, size_t size) {
  const size_t trials = t->suite.n / t->seeds;
  size_t missing = 0;
  fl_tune_score *score = malloc(trials * sizeof *score);
  int bad = score ? 0 : (snprintf(err, size, "out of memory"), -1);
  for (size_t i = 0; !bad && i < trials; i++) {
    bad = score_of(w, t, &t->suite.run[i * t->seeds], out, &score[i], err, size);
    missing += !bad && score[i].missing;
  }
  if (!bad && missing) {
    fprintf(stderr, "%zu of %zu trials are not there yet: the choice follows the last of them (the other shards', or "
            "--resume %s)\n", missing, trials, out);
  } else if (!bad) {
    bad = fl_tune_report(t, score, out, err, size);
    if (bad >= 0) fprintf(stderr, "all trials: %s/tune.csv; the chosen values, for fedlane run: %s/chosen.yaml\n", out, out);
  }
  free(score);
  return bad;
}

static int search(void *self, fl_work *w, const fl_run_options *o, const char *out) {
  const fl_tune *t = self;
  char err[FL_ERR] = "";
  int code = fl_suite_train(w, &t->suite, o, out);
  if (code) return code;
  code = choose(w, t, out, err, sizeof err);
  if (code < 0) fprintf(stderr, "fedlane: %s\n", err);
  return code ? FL_EXIT_FAILED : FL_EXIT_DONE;
}

/* Seconds of all trials by a few rounds of each method's first; negative: not known. */
static double estimate(fl_work *w, const fl_tune *t) {
  fl_suite first = { .n = t->n_methods, .run = malloc(t->n_methods * sizeof *first.run) };
  double *seconds = malloc(t->n_methods * sizeof *seconds), all = -1;
  for (size_t m = 0; first.run && m < t->n_methods; m++) first.run[m] = t->suite.run[t->method[m].first];
  if (first.run && seconds && fl_estimate(w, &first, 1, seconds) >= 0) {
    all = 0;
    for (size_t m = 0; m < t->n_methods; m++) all += seconds[m] * (double)(t->space[t->method[m].entry].trials * t->seeds);
  }
  fl_work_end(w);                               /* what it holds belongs to `first` */
  free(first.run);
  free(seconds);
  return all;
}

static int dry_run(void *self, fl_work *w, const fl_run_options *o, const char *out) {
  const fl_tune *t = self;
  char err[FL_ERR] = "";
  (void)o, (void)out;
  const int refused = fl_work_check(w, &t->suite, err, sizeof err);
  if (refused) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(refused);
  for (size_t m = 0; m < t->n_methods; m++) {
    const fl_tune_space *s = &t->space[t->method[m].entry];
    printf("%s: %zu trial%s\n", t->method[m].label, s->trials, s->trials == 1 ? "" : "s");
    for (size_t i = 0; s->n_keys && i < s->trials; i++) {
      printf("  %zu", i + 1);
      for (size_t k = 0; k < s->n_keys; k++) printf(" %s=%s", s->key[k]->key, s->value[i * s->n_keys + k]);
      putchar('\n');
    }
  }
  const double seconds = estimate(w, t);
  fprintf(stderr, "%zu trials of %zu methods, %zu runs; ", t->suite.n / t->seeds, t->n_methods, t->suite.n);
  if (seconds < 0) fputs("how long they will take cannot be told\n", stderr);
  else if (seconds < 60) fprintf(stderr, "about %.0f s, by the first rounds of each method\n", ceil(seconds));
  else
    fprintf(stderr, "about %d h %02d min, by the first rounds of each method\n", (int)(seconds / 3600),
            (int)(seconds / 60) % 60);
  return FL_EXIT_DONE;
}

int fl_cli_tune(int argc, char **argv) {
  char err[FL_ERR] = "";
  fl_tune t;
  fl_run_options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  int code = FL_EXIT_USAGE;
  if (!o.set || fl_run_parse(argc, argv, usage, &o)) return free(o.set), code;
  if (o.verify || o.export_plan) {
    fputs("fedlane: tune has no --verify and no --export-plan; allowed: of the chosen configuration, in fedlane run\n", stderr);
  } else if (fl_tune_load(&t, o.config, o.set, o.n_set, o.seeds, err, sizeof err)) {
    fprintf(stderr, "fedlane: %s\n", err);
  } else {
    code = fl_run_with(&o, &t.suite, o.dry_run ? dry_run : search, &t);
    fl_tune_free(&t);
  }
  free(o.set);
  return code;
}
