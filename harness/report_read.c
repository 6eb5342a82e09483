/* report_read.c - the runs at or below result folders: of each its configuration, and what of its rounds the tables need. */
#include "harness/report.h"
#include "harness/atomic.h"
#include "harness/data.h"
#include "harness/record.h"
#include "harness/result_read.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *copy_of(const char *s) {
  char *c = strdup(s);
  if (!c) abort();
  return c;
}

static char *joined(const char *folder, const char *name) {
  char *path;
  if (asprintf(&path, "%s/%s", folder, name) < 0) abort();
  return path;
}

static int is_there(const char *folder, const char *file) {
  char *path = joined(folder, file);
  struct stat s;
  const int there = stat(path, &s) == 0;
  free(path);
  return there;
}

static json_t *read_in(const char *folder, const char *file, char *err, size_t size) {
  char *path = joined(folder, file);
  json_t *o = fl_file_read_json(path, err, size);
  free(path);
  return o;
}

static const char *text_or(const json_t *v, const char *otherwise) {
  const char *s = json_string_value(v);
  return s && *s ? s : otherwise;
}

/* config.model, config.data: a name, or a map with a name. */
static void name_of(const json_t *v, const char *otherwise, char *out, size_t size) {
  snprintf(out, size, "%s", text_or(json_is_object(v) ? json_object_get(v, "name") : v, otherwise));
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */
typedef struct { fl_report_run *run; double last[FL_LAST_EVALUATIONS]; size_t evaluations; int reached; fl_metrics m; } scan;

static int take(void *self, const fl_metrics *m) {
  scan *s = self;
  s->m = *m;
  if (!m->evaluated || !isfinite(m->accuracy)) return 0;
  s->last[s->evaluations++ % FL_LAST_EVALUATIONS] = m->accuracy;
  if (s->reached || !(m->accuracy >= s->run->target)) return 0;
  s->reached = 1;
  s->run->reach[FL_COST_ROUNDS] = (double)m->round;
  s->run->reach[FL_COST_SECONDS] = m->seconds;
  s->run->reach[FL_COST_BYTES] = (double)(m->total_bytes_up + m->total_bytes_down);
  s->run->reach[FL_COST_GRADIENTS] = (double)m->gradient_evaluations;
  return 0;
}

/* Mean of the last five evaluations, oldest first as summary.json has it: less chance in it than in the last or the best one. */
static double mean_of_last(const scan *s) {
  const size_t n = s->evaluations < FL_LAST_EVALUATIONS ? s->evaluations : FL_LAST_EVALUATIONS;
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += s->last[(s->evaluations - n + i) % FL_LAST_EVALUATIONS];
  return n ? sum / (double)n : (double)NAN;
}

static int read_rounds(fl_report_run *r, char *err, size_t size) {
  scan s = { .run = r };
  for (int k = 0; k < FL_COSTS; k++) r->reach[k] = (double)NAN;
  r->accuracy = r->rate = r->up = r->down = (double)NAN;
  if (!is_there(r->folder, "rounds.jsonl")) return 0;
  char *path = joined(r->folder, "rounds.jsonl");
  const int64_t n = fl_record_each(path, UINT64_MAX, take, &s, NULL, err, size);
  free(path);
  if (n <= 0) return n ? -1 : 0;
  if (!r->mixed && s.m.samples && s.m.seconds > 0) r->rate = (double)s.m.samples / s.m.seconds;
  if (r->mixed) r->reach[FL_COST_SECONDS] = (double)NAN;
  if (r->unfinished) return 0;                  /* what its first rounds came to is no result, nor what they sent */
  if (strcmp(r->status, "diverged")) r->accuracy = mean_of_last(&s);
  r->up = (double)s.m.total_bytes_up;
  r->down = (double)s.m.total_bytes_down;
  return 0;
}

/* ---- one run --------------------------------------------------------------------------------------------------------------- */
/* The label as recorded, without the model, which is part of the problem already. */
static char *label_of(const fl_report_run *r, const json_t *run, const json_t *summary) {
  const char *name = strrchr(r->folder, '/');
  const char *given = text_or(json_object_get(run, "label"), text_or(json_object_get(summary, "label"), NULL));
  char *label = copy_of(given ? given : name ? name + 1 : r->folder);
  fl_recorded_without_model(label);
  return label;
}

/* "3+1": what each part of a resumed run was made with. */
static json_t *of_parts(const json_t *parts, const char *key) {
  char text[256] = "";
  json_t *part;
  size_t i;
  json_array_foreach(parts, i, part) {
    const json_t *v = json_object_get(part, key);
    const size_t at = strlen(text);
    if (json_is_string(v)) snprintf(text + at, sizeof text - at, "%s%s", i ? "+" : "", json_string_value(v));
    else snprintf(text + at, sizeof text - at, "%s%" JSON_INTEGER_FORMAT, i ? "+" : "", json_integer_value(v));
  }
  return json_string(text);
}

/* What made it: another version may have other bits, another compiler or other flags another speed. */
static void add_program(json_t *all, const json_t *machine) {
  const char *flags = text_or(json_object_get(machine, "flags"), "?");
  char text[300], sum[65];
  snprintf(text, sizeof text, "%s %.7s%s", text_or(json_object_get(machine, "version"), "?"),
           text_or(json_object_get(machine, "commit"), "?"), json_is_true(json_object_get(machine, "dirty")) ? "+" : "");
  json_object_set_new(all, "version", json_string(text));
  json_object_set_new(all, "compiler", json_string(text_or(json_object_get(machine, "compiler"), "?")));
  fl_sha256(flags, strlen(flags), sum);
  sum[8] = 0;
  json_object_set_new(all, "flags", json_string(sum));
}

static json_t *conditions_of(const fl_report_run *r, const json_t *run) {
  json_t *all = fl_report_leaves(r->config, "seed"), *file;
  const json_t *files = json_object_get(json_object_get(run, "data"), "files"), *machine = json_object_get(run, "machine");
  char sums[400] = "", part[16] = "";
  size_t i;
  json_array_foreach(files, i, file)
    snprintf(sums + strlen(sums), sizeof sums - strlen(sums), "%s%.8s", i ? " " : "",
             text_or(json_object_get(file, "sha256"), "?"));
  json_object_set_new(all, "data files", json_string(sums));
  snprintf(part, sizeof part, "%.8s", text_or(json_object_get(json_object_get(run, "partition"), "sha256"), "?"));
  json_object_set_new(all, "partition", json_string(part));
  const json_t *parts = json_object_get(run, "parts");
  json_t *isa = json_object_get(machine, "isa_used"), *threads = json_object_get(run, "threads");
  json_object_set_new(all, "threads", r->mixed ? of_parts(parts, "threads") : threads ? json_incref(threads) : json_null());
  json_object_set_new(all, "isa", r->mixed ? of_parts(parts, "isa") : isa ? json_incref(isa) : json_null());
  add_program(all, machine);
  return all;
}

static int fill(fl_report_run *r, json_t *run, const json_t *summary, char *err, size_t size) {
  static const char *const section[] = { "federated", "training" };
  r->config = json_incref(json_object_get(run, "config"));
  if (!json_is_object(r->config))
    return snprintf(err, size, "%s/run.json: no \"config\"; allowed: what fedlane run wrote", r->folder), -1;
  name_of(json_object_get(r->config, "model"), "model", r->model, sizeof r->model);
  name_of(json_object_get(r->config, "data"), "data", r->data, sizeof r->data);
  snprintf(r->cpu, sizeof r->cpu, "%s", text_or(json_object_get(json_object_get(run, "machine"), "cpu"), "unknown CPU"));
  snprintf(r->status, sizeof r->status, "%s", text_or(json_object_get(summary, "status"), "unfinished"));
  r->unfinished = !strcmp(r->status, "unfinished");
  r->seed = json_integer_value(json_object_get(r->config, "seed"));
  r->central = json_object_get(r->config, "training") != NULL;
  r->mixed = json_array_size(json_object_get(run, "parts")) > 1 || json_object_get(run, "timing");
  const json_t *target = json_object_get(json_object_get(r->config, section[r->central]), "target_accuracy");
  r->target = json_number_value(target) > 0 ? json_number_value(target) : (double)NAN;
  r->label = label_of(r, run, summary);
  r->conditions = conditions_of(r, run);
  return read_rounds(r, err, size);
}

static int load(fl_report_run *r, char *err, size_t size) {
  json_t *run = read_in(r->folder, "run.json", err, size), *summary = NULL;
  if (!run) return -1;
  const int finished = is_there(r->folder, "summary.json");
  if (finished) summary = read_in(r->folder, "summary.json", err, size);
  const int bad = (finished && !summary) || fill(r, run, summary, err, size);
  json_decref(run);
  json_decref(summary);
  return bad ? -1 : 0;
}

/* Thousands of runs are a gigabyte of JSON, so all processors read. Of several failures the first run's is told. */
static int load_all(fl_report_runs *all, char *err, size_t size) {
  size_t first = all->n;
#pragma omp parallel for schedule(dynamic, 8)
  for (size_t i = 0; i < all->n; i++) {
    char why[3000] = "";
    if (!load(&all->run[i], why, sizeof why)) continue;
#pragma omp critical
    if (i < first) first = i, snprintf(err, size, "%s", why);
  }
  return first < all->n ? -1 : 0;
}

/* ---- folders --------------------------------------------------------------------------------------------------------------- */
static int is_folder(const struct dirent *e) { return e->d_name[0] != '.' && e->d_type != DT_REG; }

/* The folders in `top` to go into: all by name, or those that the suite names in its order. */
static json_t *below(const char *top, const json_t *suite, char *err, size_t size) {
  struct dirent **entry;
  const int n = scandir(top, &entry, is_folder, alphasort);
  if (n < 0) return snprintf(err, size, "%s: %s", top, strerror(errno)), NULL;
  json_t *there = json_object(), *names = json_array(), *name;
  const json_t *runs = json_object_get(suite, "runs");
  size_t i;
  for (int k = 0; k < n; k++)                   /* series.json could not name what is no UTF-8 */
    if (json_object_set_new(there, entry[k]->d_name, json_true()))
      fprintf(stderr, "report: %s/%s left out: its name is not UTF-8\n", top, entry[k]->d_name);
  json_array_foreach(runs, i, name) {
    if (json_object_get(there, json_string_value(name))) json_array_append(names, name);
    json_object_set_new(there, json_string_value(name), json_false());
  }
  for (int k = 0; k < n; k++) {
    char *path = joined(top, entry[k]->d_name);
    if (!suite) json_array_append_new(names, json_string(entry[k]->d_name));
    else if (json_is_true(json_object_get(there, entry[k]->d_name)) && is_there(path, "run.json"))
      fprintf(stderr, "report: %s left out: suite.json beside it does not name it\n", path);
    free(path);
    free(entry[k]);
  }
  free(entry);
  json_decref(there);
  return names;
}

/* Goes through the folders; on_run of those with a run.json, on_suite of those with a suite.json. */
typedef struct {
  int (*on_run)(void *self, const char *folder, char *err, size_t size);
  int (*on_suite)(void *self, const char *folder, const json_t *suite, char *err, size_t size);
  void *self;
} visitor;
static int visit(const visitor *v, const char *top, int depth, char *err, size_t size) {
  json_t *suite = NULL, *name;
  size_t i;
  struct stat s;
  if (depth > 32 || stat(top, &s) || !S_ISDIR(s.st_mode)) return 0;
  if (v->on_run && is_there(top, "run.json") && v->on_run(v->self, top, err, size)) return -1;
  if (is_there(top, "suite.json") && !(suite = read_in(top, "suite.json", err, size))) return -1;
  int bad = suite && v->on_suite && v->on_suite(v->self, top, suite, err, size);
  json_t *names = bad ? NULL : below(top, suite, err, size);
  bad = !names;
  json_array_foreach(names, i, name) {
    if (bad) break;
    char *path = joined(top, json_string_value(name));
    bad = visit(v, path, depth + 1, err, size);
    free(path);
  }
  json_decref(names);
  json_decref(suite);
  return bad ? -1 : 0;
}

/* A folder that was given twice counts once. */
static int on_run(void *self, const char *folder, char *err, size_t size) {
  fl_report_runs *all = self;
  char *real = realpath(folder, NULL);
  (void)err, (void)size;
  const int twice = !real || json_object_get(all->seen, real);
  all->met++;
  if (!twice) json_object_set_new(all->seen, real, json_true());
  free(real);
  if (twice) return 0;
  if (all->n == all->room) {
    all->room = all->room ? 2 * all->room : 64;
    if (!(all->run = realloc(all->run, all->room * sizeof *all->run))) abort();
  }
  all->run[all->n] = (fl_report_run){ .folder = copy_of(folder) };
  all->n++;
  return 0;
}

int fl_report_read(fl_report_runs *all, char *const *top, size_t n, char *err, size_t size) {
  const visitor v = { .on_run = on_run, .self = all };
  all->seen = json_object();
  for (size_t i = 0; i < n; i++) {
    char folder[4096];
    struct stat s;
    const size_t before = all->met;
    if ((size_t)snprintf(folder, sizeof folder, "%s", top[i]) >= sizeof folder || stat(top[i], &s) || !S_ISDIR(s.st_mode))
      return snprintf(err, size, "%s: no such folder", top[i]), -1;
    for (size_t k = strlen(folder); k > 1 && folder[k - 1] == '/';) folder[--k] = 0;
    json_t *name = json_string(folder);
    if (!name) return snprintf(err, size, "%s: the folder's name is not UTF-8; allowed: a path in UTF-8", folder), -1;
    json_decref(name);
    if (visit(&v, folder, 0, err, size)) return -1;
    if (all->met == before)
      return snprintf(err, size, "%s: no run.json in it or below; a result folder is what `fedlane run` wrote", top[i]), -1;
  }
  return load_all(all, err, size);
}

typedef struct { int (*each)(void *, const char *, char *, size_t); void *self; } found;
static int on_suite(void *self, const char *folder, const json_t *suite, char *err, size_t size) {
  const found *f = self;
  const char *name = json_string_value(json_object_get(suite, "published")), *slash = name ? strrchr(name, '/') : NULL;
  if (!name) return 0;
  char *path = joined(folder, slash ? slash + 1 : name);
  const int bad = f->each(f->self, path, err, size);
  free(path);
  return bad;
}

int fl_report_published(const char *top, int (*each)(void *, const char *, char *, size_t), void *self, char *err, size_t size) {
  found f = { each, self };
  const visitor v = { .on_suite = on_suite, .self = &f };
  return visit(&v, top, 0, err, size);
}

void fl_report_free(fl_report_runs *all) {
  for (size_t i = 0; i < all->n; i++) {
    free(all->run[i].folder);
    free(all->run[i].label);
    free(all->run[i].problem);
    json_decref(all->run[i].config);
    json_decref(all->run[i].conditions);
  }
  free(all->run);
  json_decref(all->seen);
}
