/* catalogue.c - an algorithm from key = value settings, and what refuses it. Every key of a
 * configuration's algorithm is found in the tables of parameters of the run, the rule and the stages: there is no other list. */
#include "models/locale.h"
#include "registry.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const fl_param fl_run_params[FL_H_COUNT] = {
  [FL_H_LR] = { "lr", 0.1, 0, 1e6, NULL, "step size: a client's, or that of central training", FL_ABOVE },
  [FL_H_LR_SCHEDULE] = { "lr_schedule", 0, 0, 0, "constant|exponential|cosine|step|multi_step|swa|cyclic",
                         "lr at t of T rounds (central: steps or epochs): lr; lr*lr_decay^t; lr_min + (lr - lr_min)*(1 + "
                         "cos(pi*t/T))/2; lr*step_gamma^floor(t/step_size); a factor step_gamma at each of milestones; down to "
                         "the stage swa's swa_lr, once or before every average", 0 },
  [FL_H_LR_DECAY] = { "lr_decay", 0.998, 0, 1, NULL, "factor of the exponential schedule", FL_ABOVE },
  [FL_H_LR_MIN] = { "lr_min", 0, 0, 1e6, NULL, "where the cosine schedule ends", 0 },
  [FL_H_STEP_GAMMA] = { "step_gamma", 0.1, 0, 1, NULL, "factor of the schedules step and multi_step", FL_ABOVE },
  [FL_H_STEP_SIZE] = { "step_size", 30, 1, 1e15, NULL, "rounds, steps or epochs to a factor of the schedule step", FL_WHOLE },
  [FL_H_MILESTONES] = { "milestones", 0, 0, 0, NULL, "where the schedule multi_step takes its factors, joined by +: 100+150",
                        FL_LIST },
  [FL_H_WARMUP] = { "warmup", 0, 0, 1e15, NULL, "lr*(t + 1)/warmup for t < warmup; the schedule begins after it", FL_WHOLE },
  [FL_H_LR_OFFSET] = { "lr_offset", 0, 0, 1e15, NULL,
                       "t of the schedule at the run's beginning: 1 where a code decays before the first round", FL_WHOLE },
  [FL_H_UNIT] = { "unit", 0, 0, 0, "step|epoch",
                  "what schedules and averages count in central training; not given: epochs with swa and the schedules by "
                  "factors (federated: rounds)", FL_CENTRAL },
  [FL_H_CLIP_NORM] = { "clip_norm", 10, 0, INFINITY, NULL, "2-norm to which the raw mini-batch gradient is clipped (.inf: off)",
                       0 },
  [FL_H_CLIP] = { "clip", 0, 0, 0, "raw|late",
                  "what is clipped: the mini-batch gradient, or with it all that joins it but multiples of y", 0 },
  [FL_H_SERVER_LR] = { "server_lr", 1, 0, 1e6, NULL, "server step size", FL_FEDERATED },
  [FL_H_WEIGHTS] = { "weights", 0, 0, 0, "samples|equal",
                     "aggregation weight of a client: its samples, or 1/m (of a stack, not given: equal with a "
                      "stage that acts on clients, other than prox and nova)", FL_FEDERATED },
  [FL_H_BLOCK_RULE] = { "block_rule", 0, 0, 0, "head|neuron|tensor|full", "second-moment blocks that are shared", 0 },
};

/* ---- values ------------------------------------------------------------------------------------------------------- */
static int set_in(const fl_param *p, size_t n, double *h, const fl_setting *s, char *err, size_t size) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(p[i].name, s->key)) return fl_param_read(&p[i], s, &h[i], err, size) ? -1 : 1;
  return 0;
}

static void defaults_of(const fl_param *p, size_t n, double *h) {
  for (size_t i = 0; i < n; i++) h[i] = p[i].def;
}

/* A parameter of the server rule: its own name with server_ before. */
static int set_server(fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  if (strncmp(s->key, "server_", 7)) return 0;
  for (size_t i = 0; i < a->server_rule->n_params; i++) {
    fl_param p = a->server_rule->params[i];
    if (strcmp(p.name, s->key + 7)) continue;
    p.name = s->key;
    return fl_param_read(&p, s, &a->h_server[i], err, size) ? -1 : 1;
  }
  return 0;
}

static int unknown_parameter(const fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  const char *names[FL_MAX_PARAMS * (FL_MAX_STAGES + 2) + FL_H_COUNT];
  char server[FL_MAX_PARAMS][64];
  size_t n = 0;
  for (size_t i = 0; i < FL_H_COUNT; i++) names[n++] = fl_run_params[i].name;
  for (size_t i = 0; i < a->rule->n_params; i++) names[n++] = a->rule->params[i].name;
  for (size_t j = 0; j < a->n_stages; j++)
    for (size_t i = 0; i < a->stage[j]->n_params; i++) names[n++] = a->stage[j]->params[i].name;
  for (size_t i = 0; i < a->server_rule->n_params; i++) {
    snprintf(server[i], sizeof server[i], "server_%s", a->server_rule->params[i].name);
    names[n++] = server[i];
  }
  return fl_unknown(s->where, "parameter", s->key, names, n, err, size);
}

static int set_one(fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  if (!strcmp(s->key, fl_run_params[FL_H_MILESTONES].name)) return fl_milestones_read(s, a, err, size);
  int r = set_in(fl_run_params, FL_H_COUNT, a->h_run, s, err, size);
  if (!r) r = set_in(a->rule->params, a->rule->n_params, a->h_rule, s, err, size);
  for (size_t i = 0; !r && i < a->n_stages; i++)
    r = set_in(a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i], s, err, size);
  if (!r) r = set_server(a, s, err, size);
  if (r) return r < 0 ? -1 : 0;
  return unknown_parameter(a, s, err, size);
}

/* Stack "a+b" (also "a,b" and "[a, b]" with blanks) into a->stage. */
static int parse_stack(fl_algorithm *a, const fl_setting *s, char *err, size_t size) {
  const char *p = s->value;
  for (;;) {
    p += strspn(p, "+,[] \t");
    if (!*p) return 0;
    const size_t n = strcspn(p, "+,[] \t");
    const fl_stage *st = fl_stage_named(s->where, p, n, err, size);
    if (!st) return -1;
    if (a->n_stages == FL_MAX_STAGES)
      return snprintf(err, size, "%s: stack = '%s'; allowed: at most %d stages", s->where, s->value, FL_MAX_STAGES), -1;
    for (size_t i = 0; i < a->n_stages; i++)
      if (a->stage[i] == st)
        return snprintf(err, size, "%s: stack = '%s'; allowed: each stage once", s->where, s->value), -1;
    a->stage[a->n_stages++] = st;
    p += n;
  }
}

/* ---- an algorithm -------------------------------------------------------------------------------------------------- */
/* The server rule of a method's defaults, "" for sgd. */
static void server_default(const fl_method *m, char out[64]) {
  const char *p = m ? strstr(m->defaults, "server_rule=") : NULL;
  snprintf(out, 64, "%.*s", p ? (int)strcspn(p + 12, ",") : 3, p ? p + 12 : "sgd");
}

/* Keys that name parts; the others are parameters of these. */
enum { K_NAME, K_STACK, K_RULE, K_SERVER_RULE, K_COUNT };
static const char *const part_key[K_COUNT] = { "name", "stack", "rule", "server_rule" };
static int is_part(const char *key) {
  for (size_t i = 0; i < K_COUNT; i++)
    if (!strcmp(key, part_key[i])) return 1;
  return 0;
}

static const fl_rule *rule_of(const fl_setting *s, char *err, size_t size) {
  return fl_rule_named(s->where, s->value, err, size);
}

/* A name beside a stack or a rule: how the method is written without its name, so that one of the two can be another. */
static int either(const fl_method *m, const char *where, char *err, size_t size) {
  char stack[FL_MAX_STAGES * (FL_MAX_NAME + 2)] = "";
  for (const char *p = m ? m->stack : ""; *p; p++)
    snprintf(stack + strlen(stack), sizeof stack - strlen(stack), *p == '+' ? ", " : "%c", *p);
  if (!m) return snprintf(err, size, "%s: an algorithm has either 'name' or 'stack' and 'rule'", where), -1;
  return snprintf(err, size, "%s: an algorithm has either 'name' or 'stack' and 'rule'; '%s' is {stack: [%s], rule: %s} with "
                             "weights=%s%s%s", where, m->name, stack, m->rule, m->weights, *m->defaults ? "," : "",
                             m->defaults), -1;
}

static int choose(fl_algorithm *a, const fl_method **method, const fl_setting *set, size_t n, char *err, size_t size) {
  const fl_setting *part[K_COUNT] = { NULL };
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < K_COUNT; k++) {
      if (strcmp(set[i].key, part_key[k])) continue;
      if (part[k]) return snprintf(err, size, "%s: key '%s' given twice", set[i].where, set[i].key), -1;
      part[k] = &set[i];
    }
  const fl_setting *name = part[K_NAME], *stack = part[K_STACK], *rule = part[K_RULE];
  const char *where = n ? set[0].where : "algorithms";
  if (name && !(*method = fl_method_named(name->where, name->value, err, size))) return -1;
  if (!name == !(stack || rule)) return either(*method, where, err, size);
  char server[64];
  server_default(*method, server);
  const fl_setting default_server = { part_key[K_SERVER_RULE], server, "catalogue" };
  if (!(a->server_rule = rule_of(part[K_SERVER_RULE] ? part[K_SERVER_RULE] : &default_server, err, size))) return -1;
  if (name) {
    const fl_setting s = { "stack", (*method)->stack, "catalogue" };
    a->rule = fl_rule_named("catalogue", (*method)->rule, err, size);
    return parse_stack(a, &s, err, size);
  }
  if (!rule) return snprintf(err, size, "%s: 'rule' is missing beside 'stack' (fedlane list optimizers)", where), -1;
  return !(a->rule = rule_of(rule, err, size)) || (stack && parse_stack(a, stack, err, size)) ? -1 : 0;
}

/* The defaults for another server rule than the one that was chosen do not count. */
static int apply_defaults(fl_algorithm *a, const fl_method *m, char *err, size_t size) {
  char text[256], server[64], *save = NULL;
  server_default(m, server);
  const int other = strcmp(server, a->server_rule->name) != 0;
  snprintf(text, sizeof text, "%s%sweights=%s", m->defaults, *m->defaults ? "," : "", m->weights);
  for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
    char *eq = strchr(p, '=');
    *eq = 0;
    const fl_setting s = { p, eq + 1, "catalogue" };
    if (is_part(p) || (other && !strncmp(p, "server_", 7))) continue;
    if (set_one(a, &s, err, size)) return -1;
  }
  return 0;
}

static void name_it(fl_algorithm *a, const fl_method *m) {
  char server[64];
  snprintf(a->name, sizeof a->name, "%s", m ? m->name : "custom");
  snprintf(a->label, sizeof a->label, "%s", m ? m->name : "");
  for (size_t i = 0; !m && i < a->n_stages; i++) {
    const size_t at = strlen(a->label);
    snprintf(a->label + at, sizeof a->label - at, "%s+", a->stage[i]->name);
  }
  size_t at = strlen(a->label);
  if (!m) snprintf(a->label + at, sizeof a->label - at, "%s", a->rule->name);
  at = strlen(a->label);
  server_default(m, server);
  if (strcmp(server, a->server_rule->name))
    snprintf(a->label + at, sizeof a->label - at, " server_rule=%s", a->server_rule->name);
}

/* A stage that acts on clients or on what they send. */
static int needs_clients(const fl_stage *s) {
  int yes = s->client_start || s->client_finish || s->server_finish || s->combine;
  for (size_t j = 0; j < s->n_slots; j++) yes |= s->slot[j].place == FL_CLIENT || s->slot[j].place == FL_UP;
  return yes;
}

static int is_given(const char *key, const fl_setting *set, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(set[i].key, key)) return 1;
  return 0;
}

int fl_algorithm_build(const fl_setting *set, size_t n, fl_algorithm *a, char *err, size_t size) {
  const fl_method *method = NULL;
  memset(a, 0, sizeof *a);
  if (choose(a, &method, set, n, err, size)) return -1;
  defaults_of(fl_run_params, FL_H_COUNT, a->h_run);
  defaults_of(a->rule->params, a->rule->n_params, a->h_rule);
  defaults_of(a->server_rule->params, a->server_rule->n_params, a->h_server);
  for (size_t i = 0; i < a->n_stages; i++) defaults_of(a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i]);
  if (a->rule->lr > 0) a->h_run[FL_H_LR] = a->rule->lr;
  for (size_t i = 0; !method && i < a->n_stages; i++)
    if (needs_clients(a->stage[i]) && !(a->stage[i]->acts & FL_BY_SAMPLES)) a->h_run[FL_H_WEIGHTS] = 1;
  if (method && apply_defaults(a, method, err, size)) return -1;
  name_it(a, method);
  const fl_algorithm standard = *a;
  for (size_t i = 0; i < n; i++) {
    if (is_part(set[i].key)) continue;
    for (size_t j = 0; j < i; j++)
      if (!strcmp(set[i].key, set[j].key)) return snprintf(err, size, "%s: key '%s' given twice", set[i].where, set[i].key), -1;
    if (set_one(a, &set[i], err, size)) return -1;
  }
  for (size_t i = 0; i < n; i++)
    if (fl_setting_idle(a, &standard, &set[i], err, size)) return -1;
  if (!is_given(fl_run_params[FL_H_UNIT].name, set, n)) a->h_run[FL_H_UNIT] = fl_counts_epochs(a);
  char server[64];
  server_default(method, server);               /* a method's own server rule comes with its step size */
  if (strcmp(a->server_rule->name, server) && strcmp(a->server_rule->name, "sgd") &&
      !is_given(fl_run_params[FL_H_SERVER_LR].name, set, n))
    return snprintf(err, size, "%s: server_rule %s without server_lr: the default, 1, is that of averaging; give it (1 for "
                               "momentum, 0.01 to 0.1 for the adaptive rules)", n ? set[0].where : "algorithm",
                               a->server_rule->name), -1;
  /* Before any data is read, and with the place in the file: the last method of a long suite must not fail after hours.
   * fl_open asks again, as an algorithm need not come from here and a stage may look at the layout. */
  char why[400];
  if (fl_algorithm_refuse(a, 0, why, sizeof why)) return snprintf(err, size, "%s: %s", n ? set[0].where : "algorithm", why), -1;
  return 0;
}

int fl_key_applies(const char *key, int central) {
  if (central && !strncmp(key, "server_", 7)) return 0;
  for (size_t i = 0; i < FL_H_COUNT; i++)
    if (!strcmp(fl_run_params[i].name, key)) return !(fl_run_params[i].flags & (central ? FL_FEDERATED : FL_CENTRAL));
  return 1;
}

/* ---- what cannot run ----------------------------------------------------------------------------------------------- */
const char *fl_why(const fl_job *job, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(job->why, FL_WHY, format, args);
  va_end(args);
  return job->why;
}

double fl_of_rule(const fl_job *job, const char *name) {
  for (size_t i = 0; i < job->rule->n_params; i++)
    if (!strcmp(job->rule->params[i].name, name)) return job->h_rule[i];
  return 0;
}

const fl_stage *fl_edited_after(const fl_job *job, const char *stage) {
  int behind = 0;
  for (size_t i = 0; i < job->n_stages; i++) {
    if (behind && job->stage[i]->acts & FL_EDITS) return job->stage[i];
    behind |= !strcmp(job->stage[i]->name, stage);
  }
  return NULL;
}

static const char *rules_refuse(const fl_job *job) {
  const char *why = job->rule->setup ? job->rule->setup(job->h_rule, job, 0) : NULL;
  if (!why && !job->central && job->server_rule && job->server_rule->setup) why = job->server_rule->setup(job->h_server, job, 1);
  return why;
}

/* A key that two parts of the stack would take: the first would have it, the second its default. */
static int same_key(const fl_job *job, char *err, size_t size) {
  for (size_t i = 0; i < job->n_stages; i++)
    for (size_t p = 0; p < job->stage[i]->n_params; p++) {
      const char *key = job->stage[i]->params[p].name, *other = NULL;
      for (size_t q = 0; q < job->rule->n_params; q++)
        if (!strcmp(key, job->rule->params[q].name)) other = job->rule->name;
      for (size_t j = 0; j < i; j++)
        for (size_t q = 0; q < job->stage[j]->n_params; q++)
          if (!strcmp(key, job->stage[j]->params[q].name)) other = job->stage[j]->name;
      if (other)
        return snprintf(err, size, "'%s' is a parameter of %s and of stage %s; allowed: one of them", key, other,
                        job->stage[i]->name), -1;
    }
  return 0;
}

/* Stages of which each is right alone and that together are neither method. */
static int two_meanings(const fl_job *job, char *err, size_t size) {
  for (size_t i = 0; i < job->n_stages; i++)
    for (size_t j = 0; j < job->n_stages; j++) {
      const fl_stage *a = job->stage[i], *b = job->stage[j];
      if (i < j && a->acts & b->acts & FL_SETS_X)
        return snprintf(err, size, "stages %s and %s both set x; allowed: one of them", a->name, b->name), -1;
      if (i != j && a->combine && b->acts & FL_FIXED_WEIGHTS)
        return snprintf(err, size, "stages %s and %s both say how much an upload counts; allowed: one of them", a->name,
                        b->name), -1;
      if (i != j && a->acts & FL_IN_PARTS && (b->client_finish || b->combine || b->acts & FL_SETS_X))
        return snprintf(err, size, "stage %s sends its change in parts, stage %s takes it as a whole; allowed: one of them",
                        a->name, b->name), -1;
      if (i != j && a->acts & FL_NORMALISES && (b->client_finish || b->combine || b->acts & (FL_SETS_X | FL_FALLS)))
        return snprintf(err, size, "stage %s sends each change divided by what the steps add up to, stage %s takes changes and "
                                   "steps as they are; allowed: one of them", a->name, b->name), -1;
    }
  return 0;
}

int fl_job_refuse(const fl_job *asked, char *err, size_t size) {
  char text[FL_WHY];
  fl_job own = *asked;
  own.why = text;
  const fl_job *job = &own;
  const char *grad = NULL, *model = NULL, *drift = NULL, *combine = NULL, *why = rules_refuse(job);
  size_t terms = 0;
  if (why) return snprintf(err, size, "%s", why), -1;
  for (size_t i = 0; i < job->n_stages; i++) {
    const fl_stage *s = job->stage[i];
    if (job->central && needs_clients(s))
      return snprintf(err, size, "stage %s acts on clients and what they send; central training ('training') has none: give a "
                                 "'federated' block, or leave the stage out", s->name), -1;
    if ((why = s->setup ? s->setup(job->h_stage[i], job) : NULL))
      return snprintf(err, size, "%s; rule is '%s'", why, job->rule->name), -1;
    if (s->grad && grad)
      return snprintf(err, size, "stages %s and %s both make the gradient; allowed: one of them", grad, s->name), -1;
    if (s->combine && combine)
      return snprintf(err, size, "stages %s and %s both say how much an upload counts; allowed: one of them", combine,
                      s->name), -1;
    if (s->model && model)
      return snprintf(err, size, "stages %s and %s both say what is evaluated; allowed: one of them", model, s->name), -1;
    if ((terms += fl_terms_of(s, job->h_stage[i])) > 2)
      return snprintf(err, size, "stage %s: %zu vectors of the stack join the gradient; allowed: 2", s->name, terms), -1;
    if (s->drifts && drift)
      return snprintf(err, size, "stages %s and %s both pull along a direction after the step; allowed: one of them", drift,
                      s->name), -1;
    if (s->drifts) drift = s->name;
    if (s->grad) grad = s->name;
    if (s->combine) combine = s->name;
    if (s->model) model = s->name;
  }
  return two_meanings(job, err, size) || same_key(job, err, size) ? -1 : 0;
}

int fl_algorithm_refuse(const fl_algorithm *a, int central, char *err, size_t size) {
  fl_job job = { .central = central, .rule = a->rule, .h_rule = a->h_rule, .server_rule = a->server_rule, .h_server = a->h_server,
                 .n_stages = a->n_stages, .server_lr = a->h_run[FL_H_SERVER_LR] };
  for (size_t i = 0; i < a->n_stages; i++) job.stage[i] = a->stage[i], job.h_stage[i] = a->h_stage[i];
  for (size_t i = 0; i < a->n_stages; i++)
    if (a->stage[i]->acts & FL_FIXED_WEIGHTS && a->h_run[FL_H_WEIGHTS] == 0)
      return snprintf(err, size, "weights = samples with stage %s, which bounds what each client counts; allowed: equal",
                      a->stage[i]->name), -1;
  return fl_schedule_refuse(a, central, 0, err, size) ? -1 : fl_job_refuse(&job, err, size);
}

/* ---- all parameters as text ---------------------------------------------------------------------------------------- */
typedef void each_setting(void *self, const char *key, const char *value, int is_number);

static void each_in(const char *prefix, const fl_param *p, size_t n, const double *h, each_setting *each, void *self) {
  for (size_t i = 0; i < n; i++) {
    char text[64], key[80];
    if (p[i].flags & FL_LIST) continue;
    if (p[i].choices) {
      const char *c = p[i].choices;
      for (int k = 0; k < (int)h[i]; k++) c = strchr(c, '|') + 1;
      snprintf(text, sizeof text, "%.*s", (int)strcspn(c, "|"), c);
    } else {
      const locale_t before = fl_locale_enter();
      snprintf(text, sizeof text, "%.17g", h[i]);
      fl_locale_leave(before);
    }
    snprintf(key, sizeof key, "%s%s", prefix, p[i].name);
    each(self, key, text, !p[i].choices && isfinite(h[i]));
  }
}

void fl_algorithm_each(const fl_algorithm *a, each_setting *each, void *self) {
  char stack[FL_MAX_STAGES * (FL_MAX_NAME + 1)] = "", milestones[FL_MAX_MILESTONES * 20];
  for (size_t i = 0; i < a->n_stages; i++) {
    const size_t at = strlen(stack);
    snprintf(stack + at, sizeof stack - at, "%s%s", i ? "+" : "", a->stage[i]->name);
  }
  each(self, "name", a->name, 0);
  each(self, "stack", stack, 0);
  each(self, "rule", a->rule->name, 0);
  each(self, "server_rule", a->server_rule->name, 0);
  each_in("", fl_run_params, FL_H_COUNT, a->h_run, each, self);
  fl_milestones_text(a, milestones, sizeof milestones);
  each(self, fl_run_params[FL_H_MILESTONES].name, milestones, 0);
  each_in("", a->rule->params, a->rule->n_params, a->h_rule, each, self);
  for (size_t i = 0; i < a->n_stages; i++) each_in("", a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i], each, self);
  each_in("server_", a->server_rule->params, a->server_rule->n_params, a->h_server, each, self);
}
