/* cli_table.c - the table at the end of a suite, read back from the summaries: one line per label, over its seeds. */
#include "cli.h"
#include "atomic.h"
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { size_t n; double sum; } series;
static void add(series *s, double v) { s->n++; s->sum += v; }
static double mean(const series *s) { return s->n ? s->sum / (double)s->n : (double)NAN; }

typedef struct {
  const char *label;
  size_t runs, missed, diverged, mixed;         /* mixed: times of different threads or machines, or of several runs at once */
  double *accuracy; size_t n_accuracy;          /* room for all runs of the suite */
  series rounds, seconds, rate, up, down;
  char *hashes; size_t n_hashes;                /* 64 characters each, one after the other */
} row;

static json_t *summary_of(const fl_config *c, const char *dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s/summary.json", dir, c->folder);
  return json_load_file(path, 0, NULL);
}

static void take(row *r, const json_t *s) {
  const json_t *accuracy = json_object_get(s, "accuracy"), *rounds = json_object_get(s, "rounds_to_target");
  const char *hash = json_string_value(json_object_get(s, "hash")), *status = json_string_value(json_object_get(s, "status"));
  if (json_is_number(accuracy)) r->accuracy[r->n_accuracy++] = json_number_value(accuracy);
  if (json_is_number(rounds)) {
    add(&r->rounds, json_number_value(rounds));
    add(&r->seconds, json_number_value(json_object_get(s, "seconds_to_target")));
  } else {
    r->missed++;
  }
  add(&r->rate, json_number_value(json_object_get(s, "samples_per_second")));
  add(&r->up, json_number_value(json_object_get(s, "bytes_up")));
  add(&r->down, json_number_value(json_object_get(s, "bytes_down")));
  if (status && !strcmp(status, "diverged")) r->diverged++;
  if (json_integer_value(json_object_get(s, "parts")) > 1 || json_object_get(s, "timing")) r->mixed++;
  if (hash && strlen(hash) == 64) memcpy(r->hashes + 64 * r->n_hashes++, hash, 64);
  r->runs++;
}

/* A target that one seed missed is missed: "inf", as in a report. "-": no target, or no times of one machine alone. */
static void print_row(const row *r, int width, int target) {
  char accuracy[48] = "-", rounds[24] = "-", seconds[24] = "-", rate[24] = "-", up[32], down[32], hash[65];
  const fl_spread over = fl_spread_of(r->accuracy, r->n_accuracy);
  if (over.n > 1) snprintf(accuracy, sizeof accuracy, "%.2f +- %.2f", 100 * over.mean, 100 * over.deviation);
  if (over.n == 1) snprintf(accuracy, sizeof accuracy, "%.2f", 100 * over.mean);
  if (r->diverged) snprintf(accuracy, sizeof accuracy, "diverged (%zu)", r->diverged);
  if (target && r->missed) strcpy(rounds, "inf"), strcpy(seconds, "inf");
  if (!r->missed) snprintf(rounds, sizeof rounds, "%.1f", mean(&r->rounds));
  if (!r->missed && !r->mixed) snprintf(seconds, sizeof seconds, "%.2f", mean(&r->seconds));
  if (!r->mixed) snprintf(rate, sizeof rate, "%.0f", mean(&r->rate));
  if (r->n_hashes == 1) memcpy(hash, r->hashes, 64), hash[64] = 0;
  else fl_sha256(r->hashes, 64 * r->n_hashes, hash);
  printf("%-*s  %5zu  %15s  %9s  %9s  %9s  %9s  %9s  %.12s\n", width, r->label, r->runs, accuracy, rounds, seconds, rate,
         fl_human_bytes(mean(&r->up), up), fl_human_bytes(mean(&r->down), down), hash);
}

/* The folder alone is enough for a report, so the published figures go into it. */
static int copy_published(const fl_suite *suite, const char *dir, char *err, size_t size) {
  char path[4096];
  unsigned char *bytes;
  size_t n;
  if (!suite->published[0]) return 0;
  if (fl_file_read(suite->published, &bytes, &n, err, size)) return -1;
  snprintf(path, sizeof path, "%s/published.csv", dir);
  const int bad = fl_file_write(path, bytes, n, err, size);
  free(bytes);
  return bad;
}

int fl_suite_write(const fl_suite *suite, int resume, const char *dir, char *err, size_t size) {
  char path[4096], ignored[64];
  snprintf(path, sizeof path, "%s/suite.json", dir);
  json_t *was = resume ? fl_file_read_json(path, ignored, sizeof ignored) : NULL, *name;
  json_t *runs = json_is_array(json_object_get(was, "runs")) ? json_incref(json_object_get(was, "runs")) : json_array(),
      *o = json_object();
  json_decref(was);
  json_t *named = json_object();                /* a set: a suite may have 100,000 runs */
  size_t k;
  json_array_foreach(runs, k, name) if (json_is_string(name)) json_object_set_new(named, json_string_value(name), json_true());
  for (size_t i = 0; i < suite->n; i++)
    if (!json_object_get(named, suite->run[i].folder)) json_array_append_new(runs, json_string(suite->run[i].folder));
  json_decref(named);
  json_object_set_new(o, "schema", json_integer(1));
  json_object_set_new(o, "runs", runs);
  if (suite->published[0]) json_object_set_new(o, "published", json_string("published.csv"));
  const int bad = copy_published(suite, dir, err, size) || fl_file_write_json(path, o, err, size) ? -1 : 0;
  json_decref(o);
  return bad;
}

int fl_table_print(const fl_suite *suite, const char *dir, char *err, size_t size) {
  int width = 9, mixed = 0;
  const double target = suite->run[0].target_accuracy;
  row r, none = { .accuracy = malloc(suite->n * sizeof(double)), .hashes = malloc(64 * suite->n) };
  if (!none.accuracy || !none.hashes) return free(none.accuracy), free(none.hashes), snprintf(err, size, "out of memory"), -1;
  for (size_t i = 0; i < suite->n; i++)
    if ((int)strlen(suite->run[i].label) > width) width = (int)strlen(suite->run[i].label);
  printf("%-*s  %5s  %15s  %9s  %9s  %9s  %9s  %9s  %s\n", width, "algorithm", "seeds", "accuracy %",
         suite->run[0].central ? "epochs to" : "rounds to", "s to", "samples/s", "up", "down", "hash");
  for (size_t i = 0; i < suite->n;) {           /* the seeds of a label follow each other */
    r = none;
    r.label = suite->run[i].label;
    for (; i < suite->n && !strcmp(suite->run[i].label, r.label); i++) {
      json_t *s = summary_of(&suite->run[i], dir);
      if (s) take(&r, s);
      json_decref(s);
    }
    mixed |= r.mixed > 0;
    if (r.runs) print_row(&r, width, target > 0);
  }
  printf("accuracy: mean of the last 5 evaluations, mean +- sample deviation over seeds");
  if (target > 0)
    printf("; %s and seconds to %.3g %% (inf: a seed missed it)", suite->run[0].central ? "epochs" : "rounds", 100 * target);
  if (mixed) printf("; no times (-) of runs that were trained beside others, or resumed with other threads or elsewhere");
  printf("; bytes of a run; hash over all seeds\n");
  free(none.accuracy);
  free(none.hashes);
  return 0;
}
