/* guard_file.c - the file of --save: what Google Benchmark's JSON has, one entry a row, so that its readers take it, and every
 * sample besides. */
#include "atomic.h"
#include "guard.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const metric_word[] = { "time", "counter", "callgrind" };

static json_t *reals(const double *v, size_t n, double scale) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real(v[i] * scale));
  return list;
}

static json_t *judged(const fl_judgement *j) {
  json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "decision", fl_verdict_word[j->verdict], "before", j->before,
                        "now", j->now, "effect", j->effect, "low", j->low, "high", j->high);
  if (o && isfinite(j->p)) json_object_set_new(o, "p", json_real(j->p));
  return o;
}

static json_t *row_json(const fl_guard *g, const fl_row *r) {
  const int side = g->program[1] != NULL;
  const int time = g->metric == FL_TIME;
  const double value = fl_median(r->side[side].value, r->n) * (time ? 1e9 : 1);
  json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:i}", "name", r->name, "run_name", r->name, "run_type", "iteration",
                        "threads", r->threads, "iterations", (json_int_t)r->calls, "parts", r->parts);
  if (time) {
    json_object_set_new(o, "real_time", json_real(value));
    json_object_set_new(o, "cpu_time", json_real(value));
    json_object_set_new(o, "time_unit", json_string("ns"));
  } else {
    json_object_set_new(o, "instructions", json_real(value));
  }
  json_object_set_new(o, "samples", reals(r->side[side].value, r->n, time ? 1e9 : 1));
  if (r->beside) {
    json_object_set_new(o, "beside", json_string(r->beside));
    json_object_set_new(o, "beside_samples", reals(r->side[side].beside, r->n, 1e9));
  }
  if (r->looks) json_object_set_new(o, "verdict", judged(&r->judgement));
  return o;
}

int fl_guard_save(const fl_guard *g, const char *path, char *err, size_t err_size) {
  char date[64];
  const time_t now = time(NULL);
  struct tm t;
  json_t *context = json_deep_copy(g->context[g->program[1] != NULL]);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &t));
  json_object_set_new(context, "date", json_string(date));
  json_object_set_new(context, "metric", json_string(metric_word[g->metric]));
  char *text = NULL;
  size_t size = 0, rows = 0;
  FILE *f = open_memstream(&text, &size);       /* a row a line: short, and fit for version control */
  if (!f) abort();
  fputs("{\"context\": ", f);
  json_dumpf(context, f, JSON_INDENT(1));
  fputs(",\n\"benchmarks\": [", f);
  for (size_t i = 0; i < g->n; i++) {
    if (g->row[i].n == 0) continue;
    json_t *row = row_json(g, &g->row[i]);
    fputs(rows++ ? ",\n" : "\n", f);
    json_dumpf(row, f, JSON_REAL_PRECISION(6));
    json_decref(row);
  }
  fputs("\n]}\n", f);
  fclose(f);
  json_decref(context);
  const int bad = fl_file_write(path, text, size, err, err_size);
  free(text);
  return bad;
}

json_t *fl_guard_load(const char *path, char *err, size_t err_size) {
  json_t *saved = fl_file_read_json(path, err, err_size), *row;
  if (!saved) return NULL;
  json_t *rows = json_object_get(saved, "benchmarks");
  const char *metric = json_string_value(json_object_get(json_object_get(saved, "context"), "metric"));
  int good = json_is_array(rows) && metric;
  size_t i;
  json_array_foreach(rows, i, row)
    good = good && json_is_string(json_object_get(row, "name")) && json_is_array(json_object_get(row, "samples")) &&
           json_integer_value(json_object_get(row, "iterations")) > 0 && json_integer_value(json_object_get(row, "parts")) > 0;
  if (good) return saved;
  snprintf(err, err_size, "'%s' is no baseline; allowed: what fedlane bench --save wrote", path);
  json_decref(saved);
  return NULL;
}

int fl_guard_differs(const json_t *saved, const json_t *here, char *what, size_t size) {
  static const char *const key[] = { "machine_cpu", "machine_architecture", "machine_isa_used", "machine_threads",
                                     "machine_compiler", "machine_flags", "pages", "metric" };
  const char *metric = json_string_value(json_object_get(here, "metric"));
  const int time = metric && !strcmp(metric, metric_word[FL_TIME]);
  what[0] = 0;
  for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
    const char *a = json_string_value(json_object_get(saved, key[i])), *b = json_string_value(json_object_get(here, key[i]));
    if ((a && b && !strcmp(a, b)) || (!time && !strcmp(key[i], "machine_threads"))) continue;
    const size_t n = strlen(what);
    snprintf(what + n, size - n, "%s%s is %s there, %s here", n ? "; " : "", key[i], a ? a : "unknown", b ? b : "unknown");
  }
  return what[0] != 0;
}
