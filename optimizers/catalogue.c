/* catalogue.c - rules, stages and methods by name, and an algorithm from key = value settings. Every key of a
 * configuration's algorithm is found in the tables of parameters of the run, the rule and the stages: there is no other list. */
#include "locale.h"
#include <fedlane/optimizer.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FL_RULE(name) extern const fl_rule fl_rule_##name;
#define FL_STAGE(name) extern const fl_stage fl_stage_##name;
#include "catalogue.def"
static const fl_rule *const rules[] = {
#define FL_RULE(name) &fl_rule_##name,
#include "catalogue.def"
};
static const fl_stage *const stages[] = {
#define FL_STAGE(name) &fl_stage_##name,
#include "catalogue.def"
};
static const fl_method methods[] = {
#define FL_METHOD(name, stack, rule, defaults, weights, source) { #name, stack, rule, defaults, weights, source },
#include "catalogue.def"
};
enum { N_RULES = sizeof rules / sizeof *rules, N_STAGES = sizeof stages / sizeof *stages,
       N_METHODS = sizeof methods / sizeof *methods };

size_t fl_rule_count(void) { return N_RULES; }
size_t fl_stage_count(void) { return N_STAGES; }
size_t fl_method_count(void) { return N_METHODS; }
const fl_rule *fl_rule_at(size_t i) { return rules[i]; }
const fl_stage *fl_stage_at(size_t i) { return stages[i]; }
const fl_method *fl_method_at(size_t i) { return &methods[i]; }

const fl_param fl_run_params[FL_H_COUNT] = {
  [FL_H_LR] = { "lr", 0.1, 0, 1e6, NULL, "client step size", FL_ABOVE },
  [FL_H_LR_SCHEDULE] = { "lr_schedule", 0, 0, 0, "constant|exponential|cosine", "lr of round r: lr; lr*lr_decay^r; lr*(1 + cos(pi*r/rounds))/2", 0 },
  [FL_H_LR_DECAY] = { "lr_decay", 0.998, 0, 1, NULL, "factor a round of the exponential schedule", FL_ABOVE },
  [FL_H_CLIP_NORM] = { "clip_norm", 10, 0, INFINITY, NULL, "2-norm to which the raw mini-batch gradient is clipped (.inf: off)", 0 },
  [FL_H_SERVER_LR] = { "server_lr", 1, 0, 1e6, NULL, "server step size", 0 },
  [FL_H_WEIGHTS] = { "weights", 0, 0, 0, "samples|equal", "aggregation weight of a client: its samples, or 1/m", 0 },
  [FL_H_BLOCK_RULE] = { "block_rule", 0, 0, 0, "head|neuron|tensor|full", "second-moment blocks that are shared", 0 },
};

/* ---- names -------------------------------------------------------------------------------------------------------- */
static const fl_rule *find_rule(const char *name) {
  for (size_t i = 0; i < N_RULES; i++)
    if (!strcmp(rules[i]->name, name)) return rules[i];
  return NULL;
}
static const fl_stage *find_stage(const char *name, size_t n) {
  for (size_t i = 0; i < N_STAGES; i++)
    if (strlen(stages[i]->name) == n && !strncmp(stages[i]->name, name, n)) return stages[i];
  return NULL;
}
static const fl_method *find_method(const char *name) {
  for (size_t i = 0; i < N_METHODS; i++)
    if (!strcmp(methods[i].name, name)) return &methods[i];
  return NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */
static int set_in(const fl_param *p, size_t n, double *h, const fl_setting *s, char *err, size_t size) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(p[i].name, s->key)) return fl_param_read(&p[i], s, &h[i], err, size) ? -1 : 1;
  return 0;
}

static void defaults_of(const fl_param *p, size_t n, double *h) {
  for (size_t i = 0; i < n; i++) h[i] = p[i].def;
}

static int set_one(fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  int r = set_in(fl_run_params, FL_H_COUNT, a->h_run, s, err, size);
  if (!r) r = set_in(a->rule->params, a->rule->n_params, a->h_rule, s, err, size);
  for (size_t i = 0; !r && i < a->n_stages; i++)
    r = set_in(a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i], s, err, size);
  if (r) return r < 0 ? -1 : 0;
  const char *names[FL_MAX_PARAMS * (FL_MAX_STAGES + 2) + FL_H_COUNT];
  size_t n = 0;
  for (size_t i = 0; i < FL_H_COUNT; i++) names[n++] = fl_run_params[i].name;
  for (size_t i = 0; i < a->rule->n_params; i++) names[n++] = a->rule->params[i].name;
  for (size_t j = 0; j < a->n_stages; j++)
    for (size_t i = 0; i < a->stage[j]->n_params; i++) names[n++] = a->stage[j]->params[i].name;
  return fl_unknown(s->where, "parameter", s->key, names, n, err, size);
}

/* Stack "a+b" (also "a,b" and "[a, b]" with blanks) into a->stage. */
static int parse_stack(fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  const char *p = s->value;
  for (;;) {
    p += strspn(p, "+,[] \t");
    if (!*p) return 0;
    const size_t n = strcspn(p, "+,[] \t");
    const fl_stage *st = find_stage(p, n);
    if (!st || a->n_stages == FL_MAX_STAGES) {
      const char *names[N_STAGES];
      char word[64];
      snprintf(word, sizeof word, "%.*s", (int)n, p);
      for (size_t i = 0; i < N_STAGES; i++) names[i] = stages[i]->name;
      if (st) return snprintf(err, size, "%s: stack = '%s'; allowed: at most %d stages", s->where, s->value, FL_MAX_STAGES), -1;
      return fl_unknown(s->where, "stage", word, names, N_STAGES, err, size);
    }
    for (size_t i = 0; i < a->n_stages; i++)
      if (a->stage[i] == st)
        return snprintf(err, size, "%s: stack = '%s'; allowed: each stage once", s->where, s->value), -1;
    a->stage[a->n_stages++] = st;
    p += n;
  }
}

/* ---- an algorithm -------------------------------------------------------------------------------------------------- */
static int choose(fl_algorithm *a, const fl_method **method, const fl_setting *set, size_t n, char *err, size_t size) {
  const fl_setting *name = NULL, *stack = NULL, *rule = NULL;
  for (size_t i = 0; i < n; i++) {
    const fl_setting **slot = !strcmp(set[i].key, "name") ? &name : !strcmp(set[i].key, "stack") ? &stack
                              : !strcmp(set[i].key, "rule") ? &rule : NULL;
    if (slot && *slot) return snprintf(err, size, "%s: key '%s' given twice", set[i].where, set[i].key), -1;
    if (slot) *slot = &set[i];
  }
  const char *where = n ? set[0].where : "algorithms";
  if (!name == !(stack || rule))
    return snprintf(err, size, "%s: an algorithm has either 'name' or 'stack' and 'rule'", where), -1;
  if (name) {
    *method = find_method(name->value);
    if (!*method) {
      const char *names[N_METHODS];
      for (size_t i = 0; i < N_METHODS; i++) names[i] = methods[i].name;
      return fl_unknown(name->where, "algorithm", name->value, names, N_METHODS, err, size);
    }
    const fl_setting s = { "stack", (*method)->stack, "catalogue" };
    a->rule = find_rule((*method)->rule);
    return parse_stack(a, &s, err, size);
  }
  if (!rule) return snprintf(err, size, "%s: 'rule' is missing beside 'stack' (fedlane list optimizers)", where), -1;
  a->rule = find_rule(rule->value);
  if (!a->rule) {
    const char *names[N_RULES];
    for (size_t i = 0; i < N_RULES; i++) names[i] = rules[i]->name;
    return fl_unknown(rule->where, "rule", rule->value, names, N_RULES, err, size);
  }
  return stack ? parse_stack(a, stack, err, size) : 0;
}

static int apply_defaults(fl_algorithm *a, const fl_method *m, char *err, size_t size) {
  char text[256], *save = NULL;
  snprintf(text, sizeof text, "%s%sweights=%s", m->defaults, *m->defaults ? "," : "", m->weights);
  for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
    char *eq = strchr(p, '=');
    *eq = 0;
    const fl_setting s = { p, eq + 1, "catalogue" };
    if (set_one(a, &s, err, size)) return -1;
  }
  return 0;
}

static void name_it(fl_algorithm *a, const fl_method *m) {
  if (m) {
    snprintf(a->name, sizeof a->name, "%s", m->name);
    snprintf(a->label, sizeof a->label, "%s", m->name);
    return;
  }
  snprintf(a->name, sizeof a->name, "custom");
  a->label[0] = 0;
  for (size_t i = 0; i < a->n_stages; i++) {
    const size_t at = strlen(a->label);
    snprintf(a->label + at, sizeof a->label - at, "%s+", a->stage[i]->name);
  }
  const size_t at = strlen(a->label);
  snprintf(a->label + at, sizeof a->label - at, "%s", a->rule->name);
}

const char *fl_rules_refuse(const fl_job *job) {
  const char *why = job->rule->setup ? job->rule->setup(job->h_rule, job, 0) : NULL;
  if (!why && job->server_rule && job->server_rule->setup) why = job->server_rule->setup(job->h_server, job, 1);
  return why;
}

int fl_algorithm_build(const fl_setting *set, size_t n, fl_algorithm *a, char *err, size_t size) {
  const fl_method *method = NULL;
  memset(a, 0, sizeof *a);
  if (choose(a, &method, set, n, err, size)) return -1;
  a->server_rule = find_rule("sgd");
  defaults_of(fl_run_params, FL_H_COUNT, a->h_run);
  defaults_of(a->rule->params, a->rule->n_params, a->h_rule);
  defaults_of(a->server_rule->params, a->server_rule->n_params, a->h_server);
  for (size_t i = 0; i < a->n_stages; i++) defaults_of(a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i]);
  if (a->rule->lr > 0) a->h_run[FL_H_LR] = a->rule->lr;
  if (!method && a->n_stages) a->h_run[FL_H_WEIGHTS] = 1;
  if (method && apply_defaults(a, method, err, size)) return -1;
  name_it(a, method);
  for (size_t i = 0; i < n; i++) {
    if (!strcmp(set[i].key, "name") || !strcmp(set[i].key, "stack") || !strcmp(set[i].key, "rule")) continue;
    for (size_t j = 0; j < i; j++)
      if (!strcmp(set[i].key, set[j].key)) return snprintf(err, size, "%s: key '%s' given twice", set[i].where, set[i].key), -1;
    if (set_one(a, &set[i], err, size)) return -1;
  }
  /* Before any data is read, and with the place in the file: the last method of a long suite must not fail after hours.
   * fl_open asks again, as an algorithm need not come from here and a stage may look at the layout. */
  const fl_job job = { .rule = a->rule, .h_rule = a->h_rule, .server_rule = a->server_rule, .h_server = a->h_server,
                       .n_stages = a->n_stages };
  const char *refused = fl_rules_refuse(&job);
  if (refused) return snprintf(err, size, "%s: %s", n ? set[0].where : "algorithm", refused), -1;
  for (size_t i = 0; i < a->n_stages; i++) {
    const char *why = a->stage[i]->setup ? a->stage[i]->setup(a->h_stage[i], &job) : NULL;
    if (why) return snprintf(err, size, "%s: %s; rule is '%s'", n ? set[0].where : "algorithm", why, a->rule->name), -1;
  }
  return 0;
}

static void each_in(const fl_param *p, size_t n, const double *h, void (*each)(void *, const char *, const char *, int), void *self) {
  for (size_t i = 0; i < n; i++) {
    char text[64];
    if (p[i].choices) {
      const char *c = p[i].choices;
      for (int k = 0; k < (int)h[i]; k++) c = strchr(c, '|') + 1;
      snprintf(text, sizeof text, "%.*s", (int)strcspn(c, "|"), c);
    } else {
      const locale_t before = fl_locale_enter();
      snprintf(text, sizeof text, "%.17g", h[i]);
      fl_locale_leave(before);
    }
    each(self, p[i].name, text, !p[i].choices && isfinite(h[i]));
  }
}

void fl_algorithm_each(const fl_algorithm *a, void (*each)(void *, const char *, const char *, int), void *self) {
  char stack[160] = "";
  for (size_t i = 0; i < a->n_stages; i++) {
    const size_t at = strlen(stack);
    snprintf(stack + at, sizeof stack - at, "%s%s", i ? "+" : "", a->stage[i]->name);
  }
  each(self, "name", a->name, 0);
  each(self, "stack", stack, 0);
  each(self, "rule", a->rule->name, 0);
  each_in(fl_run_params, FL_H_COUNT, a->h_run, each, self);
  each_in(a->rule->params, a->rule->n_params, a->h_rule, each, self);
  for (size_t i = 0; i < a->n_stages; i++) each_in(a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i], each, self);
}

double fl_lr_at(const fl_algorithm *a, uint64_t round, uint64_t rounds) {
  const double lr = a->h_run[FL_H_LR];
  switch ((int)a->h_run[FL_H_LR_SCHEDULE]) {
    case 1: return lr * fl_pow_int(a->h_run[FL_H_LR_DECAY], round);
    case 2: return 0.5 * lr * (1.0 + fl_cos_pi((double)round / (double)rounds));
    default: return lr;
  }
}
