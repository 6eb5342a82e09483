/* result_read.c - see result_read.h. */
#include "harness/result_read.h"
#include "harness/atomic.h"
#include "harness/record.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_there(const char *folder, const char *file) {
  char path[4400];
  struct stat s;
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return stat(path, &s) == 0;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const fl_recorded *)a)->name, ((const fl_recorded *)b)->name);
}

int fl_recorded_is_run(const char *folder) { return is_there(folder, "run.json"); }

static fl_recorded *one_more(fl_recorded_list *r, const char *name, const char *folder, char *err, size_t err_size) {
  fl_recorded *grown = realloc(r->run, (r->n + 1) * sizeof *grown), *run;
  if (grown) r->run = grown;
  if (!grown || strlen(name) >= sizeof run->name || strlen(folder) >= sizeof run->path) {
    snprintf(err, err_size, "cannot read '%s': %s", folder, strerror(grown ? ENAMETOOLONG : ENOMEM));
    return NULL;
  }
  run = &grown[r->n++];
  memset(run, 0, sizeof *run);
  snprintf(run->name, sizeof run->name, "%s", name);
  snprintf(run->path, sizeof run->path, "%s", folder);
  return run;
}

static int check_schema(const json_t *o, const char *path, char *err, size_t err_size) {
  const json_t *schema = json_object_get(o, "schema");
  if (json_integer_value(schema) == 1) return 0;
  snprintf(err, err_size, "'%s': \"schema\" is %" JSON_INTEGER_FORMAT ", must be 1", path, json_integer_value(schema));
  return -1;
}

/* run.json and summary.json of one folder. */
static int read_run(fl_recorded_list *r, const char *name, const char *folder, char *err, size_t err_size) {
  char path[4096];
  fl_recorded *run = one_more(r, name, folder, err, err_size);
  if (!run) return -1;
  snprintf(path, sizeof path, "%s/run.json", folder);
  if (!(run->run = fl_file_read_json(path, err, err_size)) || check_schema(run->run, path, err, err_size)) return -1;
  if (!is_there(folder, "summary.json")) {
    snprintf(err, err_size, "'%s' has no summary.json: the run has not finished (resume it with fedlane run --resume)", folder);
    return -1;
  }
  snprintf(path, sizeof path, "%s/summary.json", folder);
  return (run->summary = fl_file_read_json(path, err, err_size)) ? 0 : -1;
}

/* A run's own folder, or a folder of runs. */
int fl_recorded_read(fl_recorded_list *r, const char *path, char *err, size_t err_size) {
  r->path = path;
  if (is_there(path, "run.json")) {
    r->single = 1;
    return read_run(r, "run", path, err, err_size);
  }
  DIR *d = opendir(path);
  if (!d) {
    snprintf(err, err_size, "cannot read result folder '%s': %s", path, strerror(errno));
    return -1;
  }
  int bad = 0;
  for (const struct dirent *e; !bad && (e = readdir(d));) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/%s", path, e->d_name);
    if (e->d_name[0] != '.' && is_there(folder, "run.json")) bad = read_run(r, e->d_name, folder, err, err_size);
  }
  closedir(d);
  if (bad) return -1;
  if (r->n == 0) {
    snprintf(err, err_size, "'%s' is not a result: neither it nor a folder in it has a run.json", path);
    return -1;
  }
  qsort(r->run, r->n, sizeof *r->run, by_name);
  return 0;
}

int fl_recorded_read_summary(fl_recorded_list *r, const char *path, char *err, size_t err_size) {
  json_t *all = fl_file_read_json(path, err, err_size), *entry;
  const json_t *machines = json_object_get(all, "machines"), *runs = json_object_get(all, "runs");
  size_t i;
  int bad = !all || check_schema(all, path, err, err_size);
  if (!bad && !json_array_size(runs))
    bad = -1, snprintf(err, err_size, "'%s': no \"runs\"; allowed: what fedlane report wrote", path);
  if (!bad) json_array_foreach(runs, i, entry) {
    char name[300];
    const char *label = json_string_value(json_object_get(entry, "label"));
    snprintf(name, sizeof name, "%s, seed %" JSON_INTEGER_FORMAT, label ? label : "?",
             json_integer_value(json_object_get(entry, "seed")));
    fl_recorded *run = one_more(r, name, "", err, err_size);
    if (!run) { bad = -1; break; }
    json_t *machine = json_array_get(machines, (size_t)json_integer_value(json_object_get(entry, "machine")));
    run->summary = json_incref(entry);
    run->run = json_pack("{s:O?, s:O?, s:{s:O?}}", "config", json_object_get(entry, "config"), "machine", machine, "partition",
                         "sha256", json_object_get(entry, "partition_sha256"));
  }
  json_decref(all);
  return bad ? -1 : 0;
}

int fl_recorded_read_any(fl_recorded_list *r, const char *path, char *err, size_t err_size) {
  struct stat st;
  char inside[4400];
  snprintf(inside, sizeof inside, "%s/summary.json", path);
  const int file = !stat(path, &st) && S_ISREG(st.st_mode);
  const int summary = !is_there(path, "run.json") && is_there(path, "summary.json");
  if (!file && !summary) return fl_recorded_read(r, path, err, err_size);
  r->path = path;
  return fl_recorded_read_summary(r, file ? path : inside, err, err_size);
}

/* Of a value in a label, up to " KEY=" or " #NUMBER" behind it: a file's name may have blanks. */
static size_t value_length(const char *value) {
  for (const char *at = strchr(value, ' '); at; at = strchr(at + 1, ' ')) {
    const size_t key = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    if (at[1] == '#' || (key && at[1 + key] == '=')) return (size_t)(at - value);
  }
  return strlen(value);
}

void fl_recorded_without_model(char *label) {
  static const char word[] = " model=";
  char *at;
  while ((at = strstr(label, word))) {
    const char *value = at + sizeof word - 1, *behind = value + value_length(value);
    memmove(at, behind, strlen(behind) + 1);
  }
}

void fl_recorded_free(fl_recorded_list *r) {
  for (size_t i = 0; i < r->n; i++) {
    json_decref(r->run[i].run);
    json_decref(r->run[i].summary);
  }
  free(r->run);
}

/* ---- rounds --------------------------------------------------------------------------------------------------------------- */
int fl_rounds_keep(fl_rounds_kept *r, const fl_metrics *m) {
  if (r->n == r->room) {
    const size_t room = r->room ? 2 * r->room : 64;
    fl_metrics *grown = realloc(r->m, room * sizeof *grown);
    if (!grown) return -1;
    r->m = grown;
    r->room = room;
  }
  r->m[r->n++] = *m;
  return 0;
}

static int keep(void *self, const fl_metrics *m) { return fl_rounds_keep(self, m); }

int fl_rounds_read(const char *folder, fl_rounds_kept *r, char *err, size_t err_size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/rounds.jsonl", folder);
  const int64_t n = fl_record_each(path, UINT64_MAX, keep, r, NULL, err, err_size);
  if (n >= 0 && (size_t)n != r->n) snprintf(err, err_size, "cannot read '%s': out of memory", path);
  return n < 0 || (size_t)n != r->n ? -1 : 0;
}

void fl_rounds_differ(const fl_rounds_kept *a, const fl_rounds_kept *b, char *out, size_t size) {
  const size_t n = a->n < b->n ? a->n : b->n;
  out[0] = 0;
  for (size_t i = 0; i < n; i++) {
    for (size_t c = 0; c < FL_COLUMNS; c++) {
      const fl_column *k = &fl_columns[c];
      const uint64_t x = fl_record_bits(k, &a->m[i]), y = fl_record_bits(k, &b->m[i]);
      if (k->timed || x == y) continue;
      if (k->told && (x == FL_WORD_NAN || y == FL_WORD_NAN)) continue;
      if (k->kind == FL_COLUMN_REAL)
        snprintf(out, size, "round %zu (%s %.17g | %.17g)", i + 1, k->name, fl_double_of(x), fl_double_of(y));
      else snprintf(out, size, "round %zu (%s %" PRIu64 " | %" PRIu64 ")", i + 1, k->name, x, y);
      return;
    }
  }
  if (a->n != b->n) snprintf(out, size, "round %zu (only one has it: %zu | %zu rounds)", n + 1, a->n, b->n);
}
