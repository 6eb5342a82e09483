/* registry.c - every rule, stage and method by name: catalogue.def's, and behind them what was registered. */
#include "registry.h"
#include <stdio.h>
#include <string.h>

#define FL_RULE(name) extern const fl_rule fl_rule_##name;
#define FL_STAGE(name) extern const fl_stage fl_stage_##name;
#include "catalogue.def"
static const fl_rule *const own_rules[] = {
#define FL_RULE(name) &fl_rule_##name,
#include "catalogue.def"
};
static const fl_stage *const own_stages[] = {
#define FL_STAGE(name) &fl_stage_##name,
#include "catalogue.def"
};
static const fl_method own_methods[] = {
#define FL_METHOD(name, stack, rule, defaults, weights, source) { #name, stack, rule, defaults, weights, source },
#include "catalogue.def"
};
enum { N_RULES = sizeof own_rules / sizeof *own_rules, N_STAGES = sizeof own_stages / sizeof *own_stages,
       N_METHODS = sizeof own_methods / sizeof *own_methods };
static const fl_rule *more_rules[FL_MAX_REGISTERED];
static const fl_stage *more_stages[FL_MAX_REGISTERED];
static const fl_method *more_methods[FL_MAX_REGISTERED];
static size_t n_rules, n_stages, n_methods;     /* of what was registered */

size_t fl_rule_count(void) { return N_RULES + n_rules; }
size_t fl_stage_count(void) { return N_STAGES + n_stages; }
size_t fl_method_count(void) { return N_METHODS + n_methods; }
const fl_rule *fl_rule_at(size_t i) { return i < N_RULES ? own_rules[i] : more_rules[i - N_RULES]; }
const fl_stage *fl_stage_at(size_t i) { return i < N_STAGES ? own_stages[i] : more_stages[i - N_STAGES]; }
const fl_method *fl_method_at(size_t i) { return i < N_METHODS ? &own_methods[i] : more_methods[i - N_METHODS]; }

/* ---- by name ----------------------------------------------------------------------------------------------------------- */
static int is(const char *a, const char *b, size_t n) { return strlen(a) == n && !strncmp(a, b, n); }

const fl_rule *fl_rule_named(const char *where, const char *name, char *err, size_t size) {
  const char *names[N_RULES + FL_MAX_REGISTERED];
  for (size_t i = 0; i < fl_rule_count(); i++) {
    if (!strcmp(names[i] = fl_rule_at(i)->name, name)) return fl_rule_at(i);
  }
  return fl_unknown(where, "rule", name, names, fl_rule_count(), err, size), NULL;
}

const fl_stage *fl_stage_named(const char *where, const char *name, size_t n, char *err, size_t size) {
  const char *names[N_STAGES + FL_MAX_REGISTERED];
  char word[64];
  for (size_t i = 0; i < fl_stage_count(); i++) {
    if (is(names[i] = fl_stage_at(i)->name, name, n)) return fl_stage_at(i);
  }
  snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word, name);
  return fl_unknown(where, "stage", word, names, fl_stage_count(), err, size), NULL;
}

const fl_method *fl_method_named(const char *where, const char *name, char *err, size_t size) {
  const char *names[N_METHODS + FL_MAX_REGISTERED];
  for (size_t i = 0; i < fl_method_count(); i++) {
    if (!strcmp(names[i] = fl_method_at(i)->name, name)) return fl_method_at(i);
  }
  return fl_unknown(where, "algorithm", name, names, fl_method_count(), err, size), NULL;
}

/* ---- registration -------------------------------------------------------------------------------------------------------- */
static int taken(const char *what, const char *name, size_t known, size_t room, const char *from, char *err, size_t size) {
  if (known) return snprintf(err, size, "%s: %s '%s' is there already; allowed: another name", from, what, name), -1;
  if (room == FL_MAX_REGISTERED)
    return snprintf(err, size, "%s: %s '%s': more than %d are registered", from, what, name, (int)FL_MAX_REGISTERED), -1;
  return 0;
}

/* Whatever is missing at the first of three places: the table, its name, or what makes it valid. */
static int bad(const char *from, const char *what, size_t i, const char *name, const char *why, char *err, size_t size) {
  return name ? snprintf(err, size, "%s: %s '%s': %s", from, what, name, why)
              : snprintf(err, size, "%s: %s %zu: %s", from, what, i + 1, why), -1;
}

static int add_rule(const fl_rule *r, size_t i, const char *from, char *err, size_t size) {
  char why[400];
  if (!r || !r->name) return bad(from, "rule", i, NULL, "no table, or one without a name", err, size);
  if (fl_rule_valid(r, why, sizeof why)) return bad(from, "rule", i, r->name, why, err, size);
  if (taken("rule", r->name, fl_rule_named("", r->name, why, sizeof why) != NULL, n_rules, from, err, size)) return -1;
  more_rules[n_rules++] = r;
  return 0;
}

static int add_stage(const fl_stage *s, size_t i, const char *from, char *err, size_t size) {
  char why[400];
  if (!s || !s->name) return bad(from, "stage", i, NULL, "no table, or one without a name", err, size);
  if (fl_stage_valid(s, why, sizeof why)) return bad(from, "stage", i, s->name, why, err, size);
  const int known = fl_stage_named("", s->name, strlen(s->name), why, sizeof why) != NULL;
  if (taken("stage", s->name, known, n_stages, from, err, size)) return -1;
  more_stages[n_stages++] = s;
  return 0;
}

static int add_method(const fl_method *m, size_t i, const char *from, char *err, size_t size) {
  char why[400];
  if (!m->name) return bad(from, "method", i, NULL, "no name", err, size);
  if (fl_method_valid(m, why, sizeof why)) return bad(from, "method", i, m->name, why, err, size);
  if (taken("method", m->name, fl_method_named("", m->name, why, sizeof why) != NULL, n_methods, from, err, size)) return -1;
  more_methods[n_methods++] = m;
  /* Its defaults are settings as a configuration's are: the first run must not find out. */
  const fl_setting name = { "name", m->name, "catalogue" };
  fl_algorithm a;
  return fl_algorithm_build(&name, 1, &a, why, sizeof why) ? bad(from, "method", i, m->name, why, err, size) : 0;
}

int fl_register(const fl_catalogue *c, const char *from, char *err, size_t size) {
  const size_t rules = n_rules, stages = n_stages, methods = n_methods;
  int failed = 0;
  if (!c || (c->n_rules && !c->rule) || (c->n_stages && !c->stage) || (c->n_methods && !c->method))
    return snprintf(err, size, "%s: a catalogue with a count and no table; allowed: both, or neither", from), -1;
  if (!c->n_rules && !c->n_stages && !c->n_methods)
    return snprintf(err, size, "%s: an empty catalogue; allowed: a rule, a stage or a method", from), -1;
  for (size_t i = 0; i < c->n_rules && !failed; i++) failed = add_rule(c->rule[i], i, from, err, size);
  for (size_t i = 0; i < c->n_stages && !failed; i++) failed = add_stage(c->stage[i], i, from, err, size);
  for (size_t i = 0; i < c->n_methods && !failed; i++) failed = add_method(&c->method[i], i, from, err, size);
  if (failed) n_rules = rules, n_stages = stages, n_methods = methods;
  return failed ? -1 : 0;
}

int fl_plugin_register(const fl_plugin *p, const char *from, char *err, size_t size) {
  static const fl_abi_type here[] = { FL_ABI_TYPES(FL_ABI_ENTRY) };
  enum { N_TYPES = sizeof here / sizeof *here };
  if (p->abi != FL_ABI)
    return snprintf(err, size, "%s: built for ABI %u, this fedlane has ABI %d; build it against the headers of this one", from,
                    (unsigned)p->abi, (int)FL_ABI), -1;
  for (size_t i = 0; i < N_TYPES; i++) {
    const char *name = i < p->n_types ? p->type[i].name : "-";
    const size_t bytes = i < p->n_types ? p->type[i].size : 0;
    if (strcmp(name, here[i].name) || bytes != here[i].size)
      return snprintf(err, size, "%s: built against other headers (ABI %d in both): its %s has %zu bytes, %s has %zu in this "
                                 "fedlane; build it against the headers of this one", from, (int)FL_ABI, name, bytes,
                                 here[i].name, here[i].size), -1;
  }
  if (strcmp(p->kernels, fl_kernels_registry))
    return snprintf(err, size, "%s: built against another table of kernels (ABI %d in both); build it against the headers of "
                               "this fedlane", from, (int)FL_ABI), -1;
  return fl_register(p->catalogue, from, err, size);
}
