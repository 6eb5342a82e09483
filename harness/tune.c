/* tune.c - `tune:` of a configuration into a suite of trials. */
#include "tune.h"
#include "config_context.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS "accuracy|best_accuracy|loss"
static const char *const metric_name[] = { "accuracy", "best_accuracy", "loss" };
const char *fl_tune_metric_name(const fl_tune *t) { return metric_name[t->metric]; }

/* ---- tune: -------------------------------------------------------------------------------------------------------------- */
/* A number or choice under a key; the default where there is none. */
static int read_value(context *c, const fl_node *map, const fl_param *p, double *out) {
  const fl_node *node = fl_node_get(map, p->name);
  fl_setting set = { p->name, NULL, NULL };
  int bad = 0;
  *out = p->def;
  if (!node) return 0;
  if (!(set.value = fl_config_text(c, node, &set.where, &bad))) return -1;
  return fl_param_read(p, &set, out, c->err, c->size);
}

static int read_range(context *c, fl_tune_key *k, const fl_node *range) {
  const unsigned flags = (k->log ? FL_ABOVE : 0u) | (k->whole ? FL_WHOLE : 0u);
  const fl_param end = { range->key, 0, k->log ? 0 : -1e300, 1e300, NULL, "", flags };
  double v[2];
  if (range->kind != FL_NODE_LIST || range->n != 2 || range->child[0]->kind != FL_NODE_SCALAR ||
      range->child[1]->kind != FL_NODE_SCALAR)
    return snprintf(c->err, c->size, "%s: %s; allowed: [lo, hi]", range->key_where, range->key), -1;
  for (int i = 0; i < 2; i++) {
    const fl_setting set = { range->key, range->child[i]->text, range->child[i]->where };
    if (fl_param_read(&end, &set, &v[i], c->err, c->size)) return -1;
  }
  if (!(v[0] < v[1]))
    return snprintf(c->err, c->size, "%s: %s = [%s, %s]; allowed: lo below hi", range->key_where, range->key,
                    range->child[0]->text, range->child[1]->text), -1;
  k->lo = v[0];
  k->hi = v[1];
  return 0;
}

static int read_map(context *c, fl_tune_key *k) {
  static const char *const names[] = { "log", "linear", "points", "whole" };
  static const fl_param points = { "points", 0, 2, FL_TUNE_TRIALS, NULL, "", FL_WHOLE },
      whole = { "whole", 0, 0, 1, "no|yes", "", 0 };
  const fl_node *log = fl_node_get(k->node, "log"), *linear = fl_node_get(k->node, "linear");
  double v;
  if (fl_config_known(c, k->node, "key of a range", names, 4)) return -1;
  if (!log == !linear) return snprintf(c->err, c->size, "%s: %s; allowed: {log: [lo, hi]} or {linear: [lo, hi]}", k->node->where,
                                       k->node->key), -1;
  k->log = log != NULL;
  if (read_value(c, k->node, &whole, &v)) return -1;
  k->whole = v > 0;
  if (read_range(c, k, log ? log : linear) || read_value(c, k->node, &points, &v)) return -1;
  k->n = (size_t)v;
  char one[FL_TUNE_VALUE] = "", next[FL_TUNE_VALUE];
  for (size_t i = 0; i < k->n; i++, memcpy(one, next, sizeof one)) {
    fl_tune_point(k, i, next);
    if (!strcmp(one, next))
      return snprintf(c->err, c->size, "%s: %zu points, of which two are %s; allowed: fewer points", k->node->key_where, k->n,
                      one), -1;
  }
  return 0;
}

static int read_list(context *c, fl_tune_key *k) {
  const fl_node *list = k->node;
  if (!list->n) return snprintf(c->err, c->size, "%s: %s is empty; allowed: one value or more", list->key_where, list->key), -1;
  k->list = 1;
  k->n = list->n;
  for (size_t i = 0; i < list->n; i++) {
    const fl_node *v = list->child[i];
    if (v->kind != FL_NODE_SCALAR || !*v->text || strlen(v->text) >= FL_TUNE_VALUE)
      return snprintf(c->err, c->size, "%s: a value of %s; allowed: a number or a name below %d bytes", v->where, list->key,
                      (int)FL_TUNE_VALUE), -1;
    for (size_t j = 0; j < i; j++)
      if (!strcmp(v->text, list->child[j]->text))
        return snprintf(c->err, c->size, "%s: %s = '%s' twice; allowed: each value once", v->where, list->key, v->text), -1;
  }
  return 0;
}

static int read_space(context *c, fl_tune *t) {
  static const char form[] = "allowed: algorithms.KEY or algorithms.METHOD.KEY with a list or a range";
  const fl_node *space = fl_node_get(t->tune, "space");
  if (!space || space->kind != FL_NODE_MAP || !space->n)
    return snprintf(c->err, c->size, "%s: tune has no space; %s", space ? space->where : t->tune->where, form), -1;
  if (space->n > FL_TUNE_KEYS)
    return snprintf(c->err, c->size, "%s: %zu keys; allowed: at most %d", space->where, space->n, (int)FL_TUNE_KEYS), -1;
  for (size_t i = 0; i < space->n; i++) {
    fl_tune_key *k = &t->key[t->n_keys++];
    const fl_node *node = k->node = space->child[i];
    const char *rest = strncmp(node->key, "algorithms.", 11) ? "" : node->key + 11, *dot = strchr(rest, '.');
    const char *key = dot ? dot + 1 : rest;
    const size_t method = dot ? (size_t)(dot - rest) : 0;
    if (!*key || strchr(key, '.') || (dot && !method) || method >= sizeof k->method || strlen(key) >= sizeof k->key)
      return snprintf(c->err, c->size, "%s: '%s'; %s", node->key_where, node->key, form), -1;
    memcpy(k->method, rest, method);
    snprintf(k->key, sizeof k->key, "%s", key);
    if (node->kind == FL_NODE_SCALAR) return snprintf(c->err, c->size, "%s: %s = '%s' is one value; %s", node->where, node->key,
                                                      node->text, form), -1;
    if (node->kind == FL_NODE_MAP ? read_map(c, k) : read_list(c, k)) return -1;
  }
  return 0;
}

/* The held-out rows: `data` as a map, with what tune says, unless the configuration holds some out already. */
static int hold_out(context *c, fl_tune *t) {
  static const fl_param validation = { "validation", 0.1, 0, 1, NULL, "", FL_ABOVE | FL_BELOW };
  const fl_node *given = fl_node_get(t->tune, "validation");
  double part;
  fl_node *data = fl_node_get(t->root, "data"), *own = fl_node_get(data, "validation");
  if (!data) return 0;                          /* the expansion says so */
  if (own && given)
    return snprintf(c->err, c->size, "%s: validation beside data.validation; allowed: one of them", given->key_where), -1;
  if (own) return 0;
  if (read_value(c, t->tune, &validation, &part)) return -1;
  const char *where = given ? given->where : t->tune->where;
  if (data->kind == FL_NODE_SCALAR) {
    fl_node *map = fl_node_read_text("{}", data->where, c->err, c->size);
    if (!map || fl_node_put(map, "name", fl_node_clone(data)) || fl_node_put(t->root, "data", map)) return -1;
    data = map;
  }
  if (fl_node_put(data, "validation", fl_node_scalar(given ? given->text : "0.1", where))) return -1;
  return c->central ? 0 : fl_node_put(data, "validation_from", fl_node_scalar("clients", where));
}

static int read_tune(context *c, fl_tune *t) {
  static const char *const names[] = { "trials", "space", "validation", "metric", "seed" };
  static const fl_param trials = { "trials", 0, 1, FL_TUNE_TRIALS, NULL, "", FL_WHOLE },
      metric = { "metric", FL_TUNE_ACCURACY, 0, 0, METRICS, "", 0 },
      seed = { "seed", 1, 0, 9007199254740992.0, NULL, "", FL_WHOLE };
  fl_node *tune = fl_node_get(t->root, "tune");
  double v;
  if (!tune)
    return snprintf(c->err, c->size, "%s: key 'tune' is missing; allowed: tune: {trials: 20, space: {...}}", t->path), -1;
  t->tune = fl_node_clone(tune);
  if (!t->tune || !(t->tune->key_where = strdup(tune->key_where))) return snprintf(c->err, c->size, "out of memory"), -1;
  fl_node_drop(t->root, "tune");
  tune = t->tune;
  if (tune->kind != FL_NODE_MAP)
    return snprintf(c->err, c->size, "%s: tune; allowed: a map {trials: 20, space: {...}}", tune->where), -1;
  if (fl_config_known(c, tune, "key of tune", names, sizeof names / sizeof *names)) return -1;
  if (!fl_node_get(tune, "trials"))
    return snprintf(c->err, c->size, "%s: tune has no trials; allowed: 1 to %d, of every method", tune->where,
                    (int)FL_TUNE_TRIALS), -1;
  if (read_value(c, tune, &trials, &v)) return -1;
  t->trials = (size_t)v;
  if (read_value(c, tune, &metric, &v)) return -1;
  t->metric = (fl_tune_metric)v;
  if (read_value(c, tune, &seed, &v)) return -1;
  t->seed = (uint64_t)v;
  return read_space(c, t);
}

/* ---- what each method tries --------------------------------------------------------------------------------------------- */
typedef struct { const char *key; int found; } sought;

static void look_at(void *self, const char *key, const char *value, int is_number) {
  static const char *const no_parameter[] = { "name", "stack", "rule", "server_rule" };
  sought *k = self;
  (void)value, (void)is_number;
  for (size_t i = 0; i < sizeof no_parameter / sizeof *no_parameter; i++) if (!strcmp(key, no_parameter[i])) return;
  if (!strcmp(key, k->key)) k->found = 1;
}

static int has_key(const fl_config *run, const char *key) {
  sought k = { .key = key };
  if (fl_key_applies(key, run->central)) fl_algorithm_each(&run->algorithm, look_at, &k);
  return k.found;
}

/* As tune.space calls it: the method, or where there is none the rule. */
static const char *name_of(const fl_node *entry) {
  if (entry->kind == FL_NODE_SCALAR) return entry->text;
  const fl_node *name = fl_node_get(entry, "name"), *rule = name ? name : fl_node_get(entry, "rule");
  return rule && rule->kind == FL_NODE_SCALAR ? rule->text : "";
}

/* What is tried stands in tune.space alone: a list elsewhere would be another problem, or another method. */
static int refuse_lists(context *c, const fl_tune *t) {
  static const char *const section[] = { "data", "partition", "backend", "federated", "training" };
  fl_node *list = fl_node_get(t->root, "algorithms");
  const fl_node *open = NULL;
  for (size_t i = 0; !open && i < sizeof section / sizeof *section; i++)
    open = fl_config_open(fl_node_get(t->root, section[i]), 0);
  for (size_t i = 0; list && !open && i < list->n; i++)
    if (list->child[i]->kind == FL_NODE_MAP) open = fl_config_open(list->child[i], 1);
  return open ? snprintf(c->err, c->size, "%s: a list in a search; allowed: for seeds, model and stack; what is tried goes into "
                         "tune.space, and another problem is another search", open->where), -1 : 0;
}

static int unknown_key(context *c, const fl_tune *t, const fl_tune_key *k) {
  const fl_node *list = fl_node_get(t->root, "algorithms");
  const char *names[64];
  size_t n = 0;
  int there = !*k->method;
  for (size_t i = 0; i < list->n && n < 64; i++) {
    names[n++] = name_of(list->child[i]);
    there |= !strcmp(names[n - 1], k->method);
  }
  if (!there) return fl_unknown(k->node->key_where, "algorithm of the configuration", k->method, names, n, c->err, c->size);
  return snprintf(c->err, c->size, "%s: %s%s has no parameter '%s'; allowed: a parameter of it (docs/configuration.md), not a "
                  "name, rule or stack", k->node->key_where, *k->method ? "" : "every algorithm", k->method, k->key), -1;
}

/* The keys of an entry: those of its own before those of all. */
static int take_keys(context *c, fl_tune *t, const fl_config *run, int *used) {
  const fl_node *entry = fl_node_get(t->root, "algorithms")->child[run->entry];
  fl_tune_space *s = &t->space[run->entry];
  for (size_t i = 0; i < t->n_keys; i++) {
    const fl_tune_key *k = &t->key[i];
    int own = 0;
    if ((*k->method && strcmp(k->method, name_of(entry))) || !has_key(run, k->key)) continue;
    used[i] = 1;
    for (size_t j = 0; !*k->method && j < t->n_keys; j++)
      own |= !strcmp(t->key[j].key, k->key) && !strcmp(t->key[j].method, name_of(entry));
    if (own) continue;
    const fl_node *fixed = fl_node_get(entry, k->key);
    if (fixed)
      return snprintf(c->err, c->size, "%s: %s is fixed here, and tried by tune.space (%s); allowed: one of them",
                      fixed->key_where, k->key, k->node->key_where), -1;
    s->key[s->n_keys++] = k;
  }
  return fl_tune_fill(s, t->trials, t->seed) ? snprintf(c->err, c->size, "out of memory"), -1 : 0;
}

/* ---- the trials --------------------------------------------------------------------------------------------------------- */
/* The configuration with every entry's values of that trial; of an entry that has fewer, of its last. */
static fl_node *with_values(const fl_tune *t, size_t trial) {
  fl_node *root = fl_node_clone(t->root), *list = fl_node_get(root, "algorithms");
  for (size_t e = 0; list && e < t->n_entries; e++) {
    const fl_tune_space *s = &t->space[e];
    const size_t at = (trial < s->trials ? trial : s->trials - 1) * s->n_keys;
    if (s->n_keys && fl_node_as_map(list->child[e])) return fl_node_free(root), NULL;
    for (size_t k = 0; k < s->n_keys; k++)
      if (fl_node_put(list->child[e], s->key[k]->key, fl_node_scalar(s->value[at + k], s->key[k]->node->key_where)))
        return fl_node_free(root), NULL;
  }
  return root;
}

/* Methods and rooms for their runs, from the suite as it is without a search. */
static int lay_out(context *c, fl_tune *t, const fl_suite *plain) {
  size_t runs = 0;
  int used[FL_TUNE_KEYS] = { 0 };
  t->seeds = 0;
  while (t->seeds < plain->n && !strcmp(plain->run[t->seeds].label, plain->run[0].label)) t->seeds++;
  t->n_methods = plain->n / t->seeds;
  t->n_entries = fl_node_get(t->root, "algorithms")->n;
  t->method = calloc(t->n_methods, sizeof *t->method);
  t->space = calloc(t->n_entries, sizeof *t->space);
  if (!t->method || !t->space) return snprintf(c->err, c->size, "out of memory"), -1;
  for (size_t m = 0; m < t->n_methods; m++) {
    const fl_config *run = &plain->run[m * t->seeds];
    if (!(run->validation > 0))
      return snprintf(c->err, c->size, "%s: data.validation = 0; allowed: above 0, as a search never sees the test rows",
                      fl_node_get(fl_node_get(t->root, "data"), "validation")->where), -1;
    if (!t->space[run->entry].value && take_keys(c, t, run, used)) return -1;
    t->method[m].entry = run->entry;
    t->method[m].first = runs;
    memcpy(t->method[m].label, run->label, sizeof run->label);
    runs += t->space[run->entry].trials * t->seeds;
  }
  for (size_t i = 0; i < t->n_keys; i++)
    if (!used[i]) return unknown_key(c, t, &t->key[i]);
  if (runs > MAX_RUNS) return snprintf(c->err, c->size, "%s: %zu runs; allowed: at most %d", t->path, runs, (int)MAX_RUNS), -1;
  t->suite.run = calloc(runs, sizeof *t->suite.run);
  t->suite.n = runs;
  return t->suite.run ? 0 : (snprintf(c->err, c->size, "out of memory"), -1);
}

static int place(context *c, fl_tune *t, const fl_suite *tried, size_t trial) {
  for (size_t m = 0; m < t->n_methods; m++) {
    if (trial >= t->space[t->method[m].entry].trials) continue;
    for (size_t s = 0; s < t->seeds; s++) {
      fl_config *run = &t->suite.run[t->method[m].first + trial * t->seeds + s];
      *run = tried->run[m * t->seeds + s];
      const size_t at = strlen(run->label);
      if (at + 16 > sizeof run->label)
        return snprintf(c->err, c->size, "%s: the label '%s' is too long", run->where, run->label), -1;
      snprintf(run->label + at, sizeof run->label - at, " trial=%zu", trial + 1);
      fl_config_folder(run->folder, sizeof run->folder, run->label, run->seed);
    }
  }
  return 0;
}

/* First without values: which methods there are, and who has which keys. */
static int expand(context *c, fl_tune *t, const char *seeds) {
  size_t most = 0;
  fl_suite some;
  if (fl_config_expand(&some, fl_node_clone(t->root), t->path, seeds, c->err, c->size)) return -1;
  int bad = lay_out(c, t, &some);
  fl_suite_free(&some);
  for (size_t e = 0; !bad && e < t->n_entries; e++) most = t->space[e].trials > most ? t->space[e].trials : most;
  for (size_t trial = 0; !bad && trial < most; trial++) {
    if (fl_config_expand(&some, with_values(t, trial), t->path, seeds, c->err, c->size)) return -1;
    bad = place(c, t, &some, trial) || fl_suite_take_nets(&t->suite, &some, c->err, c->size);
    fl_suite_free(&some);
  }
  return bad;
}

int fl_tune_load(fl_tune *t, const char *path, const char *const *set, size_t n_set, const char *seeds, char *err, size_t size) {
  memset(t, 0, sizeof *t);
  t->path = path;
  if (!(t->root = fl_config_read(path, set, n_set, err, size))) return -1;
  context c = { .root = t->root, .path = path, .central = !fl_node_get(t->root, "federated"), .err = err, .size = size };
  if (!read_tune(&c, t) && !refuse_lists(&c, t) && !hold_out(&c, t) && !expand(&c, t, seeds)) return 0;
  fl_tune_free(t);
  return -1;
}

void fl_tune_free(fl_tune *t) {
  for (size_t e = 0; t->space && e < t->n_entries; e++) free(t->space[e].value);
  free(t->space);
  free(t->method);
  fl_node_free(t->root);
  fl_node_free(t->tune);
  fl_suite_free(&t->suite);
  memset(t, 0, sizeof *t);
}
