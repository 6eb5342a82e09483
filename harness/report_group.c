/* report_group.c - runs into series of seeds: what each is about, and what its label must say so that no two are alike. */
#include "harness/report.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char *made(const char *format, const char *a, const char *b) {
  char *text;
  if (asprintf(&text, format, a, b) < 0) abort();
  return text;
}

static void add_leaves(json_t *out, const char *path, const json_t *v, const char *but) {
  const char *key;
  json_t *child;
  if (!json_is_object(v)) {
    json_object_set(out, path, (json_t *)(uintptr_t)v);
    return;
  }
  json_object_foreach((json_t *)(uintptr_t)v, key, child) {
    if (but && !strcmp(key, but)) continue;
    char *deeper = *path ? made("%s.%s", path, key) : made("%s%s", key, "");
    add_leaves(out, deeper, child, NULL);
    free(deeper);
  }
}

json_t *fl_report_leaves(const json_t *config, const char *but) {
  json_t *out = json_object();
  add_leaves(out, "", config, but);
  return out;
}

/* As a person writes it: a real with the fewest digits that give it back, a flag as yes or no. */
char *fl_report_shown(const json_t *v) {
  if (json_is_string(v)) return made("%s%s", json_string_value(v), "");
  if (json_is_boolean(v)) return made("%s%s", json_is_true(v) ? "yes" : "no", "");
  if (!json_is_real(v)) {
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS), *own = made("%s%s", text ? text : "?", "");
    free(text);
    return own;
  }
  char text[40];
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, json_real_value(v));
    if (strtod(text, NULL) == json_real_value(v)) break;
  }
  return made("%s%s", text, "");
}

/* Text as a key, and whether two values are the same: their JSON. */
static char *key_of(const json_t *v) {
  char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
  if (!text) abort();
  return text;
}

static void append(char **text, const char *between, const char *more) {
  char *longer;
  if (asprintf(&longer, "%s%s%s", *text, **text ? between : "", more) < 0) abort();
  free(*text);
  *text = longer;
}

/* ---- what a run is about --------------------------------------------------------------------------------------------------- */
static const json_t *partition_of(const fl_report_run *r) { return json_object_get(r->config, "partition"); }

static const char *kind_of(const json_t *partition) {
  const char *name = json_string_value(json_object_get(partition, "name"));
  return name ? name : "";
}

/* "dirichlet dirichlet_alpha=0.3": the kind, and what partitions of its kind do not share. all: the partitions that there are. */
static char *partition_text(const json_t *partition, const json_t *all) {
  char *text = made("%s%s", kind_of(partition), "");
  const char *key, *other_key;
  json_t *value, *other;
  json_object_foreach((json_t *)(uintptr_t)partition, key, value) {
    int differs = 0;
    json_object_foreach((json_t *)(uintptr_t)all, other_key, other)
      differs |= !strcmp(kind_of(other), kind_of(partition)) && !json_equal(json_object_get(other, key), value);
    if (!differs) continue;
    char *v = fl_report_shown(value), *word = made("%s=%s", key, v);
    append(&text, " ", word);
    free(v);
    free(word);
  }
  return text;
}

/* The label's words without the partition's swept keys. */
static void drop_words(char *label, const json_t *partition) {
  char *to = label;
  for (const char *p = label, *end; *p; p = end + (*end == ' ')) {
    char word[128];
    end = p + strcspn(p, " ");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(p, "= "), p);
    if (!strcmp(word, "partition") || json_object_get(partition, word)) continue;
    if (to != label) *to++ = ' ';
    memmove(to, p, (size_t)(end - p));
    to += end - p;
  }
  *to = 0;
}

static void name_problems(fl_report_runs *all) {
  json_t *partitions = json_object();
  for (size_t i = 0; i < all->n; i++) {
    if (!json_is_object(partition_of(&all->run[i]))) continue;
    char *key = key_of(partition_of(&all->run[i]));
    json_object_set(partitions, key, (json_t *)(uintptr_t)partition_of(&all->run[i]));
    free(key);
  }
  for (size_t i = 0; i < all->n; i++) {
    fl_report_run *r = &all->run[i];
    r->problem = made("%s, %s", r->data, r->model);
    if (json_object_size(partitions) < 2 || !json_is_object(partition_of(r))) continue;
    char *text = partition_text(partition_of(r), partitions);
    append(&r->problem, ", ", text);
    free(text);
    drop_words(r->label, partition_of(r));
  }
  json_decref(partitions);
}

/* ---- series ---------------------------------------------------------------------------------------------------------------- */
typedef struct { size_t first, alike, repeat, *run, n; } part;   /* first: its first run; alike: the number of its label */

static size_t number(json_t *of, const char *key, int *new) {
  const json_t *v = json_object_get(of, key);
  *new = !v;
  if (!v) json_object_set_new(of, key, json_integer((json_int_t)json_object_size(of)));
  return (size_t)json_integer_value(v ? v : json_object_get(of, key));
}

/* What of the conditions is not the same in all n parts of one label, e.g. "rounds=200, batch_size=5". */
static char *difference(const fl_report_runs *all, const part *parts, const size_t *alike, size_t n, const part *mine) {
  char *text = made("%s%s", "", "");
  const char *key;
  json_t *value;
  json_object_foreach(all->run[mine->first].conditions, key, value) {
    int differs = 0;
    for (size_t i = 0; i < n && !differs; i++)
      differs = !json_equal(json_object_get(all->run[parts[alike[i]].first].conditions, key), value);
    if (!differs) continue;
    const char *dot = strrchr(key, '.');
    char *v = fl_report_shown(value);
    if (strspn(v, "0123456789abcdef") == 64 && !v[64]) v[8] = 0;        /* a file by its SHA-256 (init) */
    char *word = made("%s=%s", dot ? dot + 1 : key, v);
    append(&text, ", ", word);
    free(v);
    free(word);
  }
  return text;
}

static const fl_report_runs *sorted_runs;
static int by_seed(const void *a, const void *b) {
  const json_int_t x = sorted_runs->run[*(const size_t *)a].seed, y = sorted_runs->run[*(const size_t *)b].seed;
  return (x > y) - (x < y);
}

static size_t make_parts(const fl_report_runs *all, part *parts) {
  json_t *labels = json_object(), *keys = json_object(), *repeats = json_object();
  size_t n = 0;
  int new;
  for (size_t i = 0; i < all->n; i++) {
    const fl_report_run *r = &all->run[i];
    char *conditions = key_of(r->conditions), *label = made("%s\x1f%s", r->problem, r->cpu), *key, *again;
    append(&label, "\x1f", r->label);
    if (asprintf(&again, "%s\x1f%s\x1f%" JSON_INTEGER_FORMAT, label, conditions, r->seed) < 0) abort();
    const size_t repeat = 1 + (size_t)json_integer_value(json_object_get(repeats, again));
    json_object_set_new(repeats, again, json_integer((json_int_t)repeat));
    if (asprintf(&key, "%s\x1f%s\x1f%zu", label, conditions, repeat) < 0) abort();
    const size_t at = number(keys, key, &new);
    if (new) parts[n++] = (part){ .first = i, .repeat = repeat };
    parts[at].alike = number(labels, label, &new);
    if (!(parts[at].run = realloc(parts[at].run, (parts[at].n + 1) * sizeof(size_t)))) abort();
    parts[at].run[parts[at].n++] = i;
    free(conditions); free(label); free(key); free(again);
  }
  json_decref(labels); json_decref(keys); json_decref(repeats);
  return n;
}

static char *label_of(const fl_report_runs *all, const part *parts, const size_t *alike, size_t n, const part *p, int machines) {
  const fl_report_run *r = &all->run[p->first];
  char *notes = made("%s%s", machines ? r->cpu : "", ""), repeat[40] = "";
  if (n > 1) {
    char *differs = difference(all, parts, alike, n, p);
    if (*differs) append(&notes, ", ", differs);
    free(differs);
  }
  if (p->repeat > 1) snprintf(repeat, sizeof repeat, "repeat %zu", p->repeat), append(&notes, ", ", repeat);
  char *label = *notes ? made("%s (%s", r->label, notes) : made("%s%s", r->label, "");
  if (*notes) append(&label, "", ")");
  free(notes);
  return label;
}

/* By problem, then by label, then by what else differs, each in the order of its first run. */
fl_report_groups fl_report_group(fl_report_runs *all) {
  name_problems(all);
  part *parts = calloc(all->n + 1, sizeof *parts);
  size_t *end = calloc(all->n + 2, sizeof *end), *begin = calloc(all->n + 2, sizeof *begin);
  size_t *order = calloc(all->n + 1, sizeof *order), *problem = calloc(all->n + 1, sizeof *problem);
  json_t *problems = json_object();
  int machines = 0, new;
  if (!parts || !end || !begin || !order || !problem) abort();
  const size_t n = make_parts(all, parts);
  fl_report_groups g = { .series = calloc(n + 1, sizeof *g.series) };
  if (!g.series) abort();
  for (size_t i = 1; i < all->n; i++) machines |= strcmp(all->run[i].cpu, all->run[0].cpu) != 0;
  for (size_t i = 0; i < n; i++) {
    begin[parts[i].alike + 1]++;
    problem[i] = number(problems, all->run[parts[i].first].problem, &new);
  }
  g.problems = json_object_size(problems);
  for (size_t i = 0; i < n; i++) begin[i + 1] += begin[i], end[i + 1] = begin[i + 1];
  for (size_t i = 0; i < n; i++) order[end[parts[i].alike]++] = i;       /* a label's parts one behind the other */
  sorted_runs = all;
  for (size_t k = 0; k < g.problems; k++)
    for (size_t j = 0; j < n; j++) {
      part *p = &parts[order[j]];
      const fl_report_run *r = &all->run[p->first];
      const size_t from = begin[p->alike], count = begin[p->alike + 1] - from;
      if (problem[order[j]] != k) continue;
      qsort(p->run, p->n, sizeof *p->run, by_seed);
      g.series[g.n++] = (fl_report_series){ label_of(all, parts, order + from, count, p, machines), r->problem, r->cpu, p->run,
                                            p->n };
    }
  free(begin); free(end); free(order); free(parts); free(problem);
  json_decref(problems);
  return g;
}

void fl_report_groups_free(fl_report_groups *g) {
  for (size_t i = 0; i < g->n; i++) {
    free(g->series[i].label);
    free(g->series[i].run);
  }
  free(g->series);
}
