/* valid.c - whether the table of a rule, a stage or a method can be used: what the compiler cannot see of it. */
#include "registry.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static int named(const char *what, const char *name, char *err, size_t size) {
  const size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
  if (n && !name[n] && n <= FL_MAX_NAME && *name >= 'a' && *name <= 'z') return 0;
  return snprintf(err, size, "the name of %s is '%s'; allowed: a to z, 0 to 9 and _, a letter first, at most %d characters", what,
                  name ? name : "", (int)FL_MAX_NAME), -1;
}

/* ---- parameters -------------------------------------------------------------------------------------------------------- */
static size_t choices_of(const char *c) {
  size_t n = 1;
  for (; *c; c++) n += *c == '|';
  return n;
}

static int param_valid(const fl_param *p, char *err, size_t size) {
  static const char *const part[] = { "name", "stack", "rule", "server_rule", "model" };
  const unsigned known = FL_WHOLE | FL_ABOVE | FL_BELOW;
  if (named("a parameter", p->name, err, size)) return -1;
  int reserved = !strncmp(p->name, "server_", 7);
  for (size_t i = 0; i < sizeof part / sizeof *part; i++) reserved |= !strcmp(p->name, part[i]);
  for (size_t i = 0; i < FL_H_COUNT; i++) reserved |= !strcmp(p->name, fl_run_params[i].name);
  if (reserved)
    return snprintf(err, size, "parameter '%s' is a key of every algorithm; allowed: another name, not server_...", p->name), -1;
  if (!p->help) return snprintf(err, size, "parameter '%s': no help", p->name), -1;
  if (p->choices) {
    const size_t n = choices_of(p->choices);
    if (*p->choices && p->def >= 0 && p->def < (double)n && p->def == floor(p->def)) return 0;
    return snprintf(err, size, "parameter '%s': def = %g of the choices '%s'; allowed: an index, from 0 to %zu", p->name, p->def,
                    p->choices, n - 1), -1;
  }
  if (p->flags & ~known)
    return snprintf(err, size, "parameter '%s': flags = %u; allowed: FL_WHOLE, FL_ABOVE, FL_BELOW", p->name, p->flags), -1;
  if (!(p->lo <= p->hi))
    return snprintf(err, size, "parameter '%s': lo = %g and hi = %g; allowed: lo <= hi", p->name, p->lo, p->hi), -1;
  if (p->def >= p->lo && p->def <= p->hi && !(p->flags & FL_ABOVE && p->def == p->lo) &&
      !(p->flags & FL_BELOW && p->def == p->hi) && !(p->flags & FL_WHOLE && p->def != floor(p->def))) return 0;
  return snprintf(err, size, "parameter '%s': def = %g; allowed: %s %s %g %s %g", p->name, p->def,
                  p->flags & FL_WHOLE ? "a whole number" : "a number", p->flags & FL_ABOVE ? "above" : "from", p->lo,
                  p->flags & FL_BELOW ? "to below" : "to", p->hi), -1;
}

/* "key other=value|value,stage NAME; ..." */
static int needs_valid(const fl_param *p, size_t n, const char *needs, char *err, size_t size) {
  for (const char *at = needs; at && *at; at += strcspn(at, ";"), at += strspn(at, "; ")) {
    const size_t key = strcspn(at, " ;"), all = strcspn(at, ";");
    int own = 0;
    for (size_t i = 0; i < n; i++) own |= strlen(p[i].name) == key && !strncmp(p[i].name, at, key);
    int right = own && key < all;
    for (size_t c = key + 1; right && c < all;) {
      const size_t one = strcspn(at + c, ",;"), equals = strcspn(at + c, "=");
      right = !strncmp(at + c, "stage ", 6) ? one > 6 : equals > 0 && equals + 1 < one;
      c += one + 1;
    }
    if (!right)
      return snprintf(err, size, "needs = '%s' at '%.*s'; allowed: an own parameter and \"other=value|value,stage NAME\"", needs,
                      (int)all, at), -1;
  }
  return 0;
}

static int params_valid(const fl_param *p, size_t n, const char *needs, char *err, size_t size) {
  if (n > FL_MAX_PARAMS || (n && !p))
    return snprintf(err, size, "n_params = %zu%s; allowed: a table of at most %d", n, p ? "" : " of no table",
                    (int)FL_MAX_PARAMS), -1;
  for (size_t i = 0; i < n; i++) {
    if (param_valid(&p[i], err, size)) return -1;
    for (size_t j = 0; j < i; j++)
      if (!strcmp(p[i].name, p[j].name)) return snprintf(err, size, "parameter '%s' is there twice", p[i].name), -1;
  }
  return needs_valid(p, n, needs, err, size);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------- */
int fl_rule_valid(const fl_rule *r, char *err, size_t size) {
  if (named("the rule", r->name, err, size) || params_valid(r->params, r->n_params, r->needs, err, size)) return -1;
  if (!r->help) return snprintf(err, size, "no help"), -1;
  if (!r->step) return snprintf(err, size, "no step; allowed: a function, as it is what a rule does"), -1;
  if (!(r->lr >= 0 && r->lr <= fl_run_params[FL_H_LR].hi))
    return snprintf(err, size, "lr = %g; allowed: from 0 (the run's default) to %g", r->lr, fl_run_params[FL_H_LR].hi), -1;
  if (r->state && !r->start) return snprintf(err, size, "state without start; allowed: both, as start fills it"), -1;
  if (r->theta ? !r->start || !r->pack : r->pack || r->packed || r->block_means)
    return snprintf(err, size, "theta, start and pack; allowed: all three, or no theta, pack, packed and block_means"), -1;
  return 0;
}

static int slot_valid(const fl_slot *s, char *err, size_t size) {
  const unsigned known = FL_DOWN | FL_EQUAL | FL_OVER_N | FL_DERIVED | FL_FORMED | FL_ONCE;
  if (!s->name) return snprintf(err, size, "a slot without a name"), -1;
  if (s->place > FL_WORK || s->flags & ~known)
    return snprintf(err, size, "slot '%s': place = %d, flags = %u; allowed: FL_SERVER, FL_CLIENT, FL_UP, FL_WORK, and the flags "
                               "of optimizer.h", s->name, (int)s->place, s->flags), -1;
  const unsigned up = FL_EQUAL | FL_OVER_N | FL_DERIVED | FL_FORMED;
  if ((s->flags & FL_DOWN && s->place != FL_SERVER) || (s->flags & up && s->place != FL_UP) ||
      (s->flags & FL_ONCE && s->place != FL_WORK))
    return snprintf(err, size, "slot '%s': flags = %u; allowed: FL_DOWN of FL_SERVER, FL_ONCE of FL_WORK, the others of FL_UP",
                    s->name, s->flags), -1;
  return 0;
}

static int has_hook(const fl_stage *s) {
  return s->server_start || s->client_start || s->client_finish || s->combine || s->server_finish || s->malicious || s->own ||
         s->before_step || s->grad || s->after || s->model;
}

int fl_stage_valid(const fl_stage *s, char *err, size_t size) {
  const unsigned known = FL_SETS_X | FL_NORMALISES | FL_FALLS | FL_BY_SAMPLES | FL_FIXED_WEIGHTS | FL_IN_PARTS | FL_EDITS;
  if (named("the stage", s->name, err, size) || params_valid(s->params, s->n_params, s->needs, err, size)) return -1;
  if (!s->help) return snprintf(err, size, "no help"), -1;
  if (s->n_slots > FL_MAX_SLOTS || (s->n_slots && !s->slot))
    return snprintf(err, size, "n_slots = %zu%s; allowed: a table of at most %d", s->n_slots, s->slot ? "" : " of no table",
                    (int)FL_MAX_SLOTS), -1;
  for (size_t i = 0; i < s->n_slots; i++)
    if (slot_valid(&s->slot[i], err, size)) return -1;
  if (s->terms > 2 || s->drifts > 1)
    return snprintf(err, size, "terms = %zu, drifts = %zu; allowed: at most 2 and 1", s->terms, s->drifts), -1;
  if (s->acts & ~known) return snprintf(err, size, "acts = %u; allowed: the flags of optimizer.h", s->acts), -1;
  return has_hook(s) ? 0 : (snprintf(err, size, "no hook that acts; allowed: one or more"), -1);
}

int fl_method_valid(const fl_method *m, char *err, size_t size) {
  if (named("the method", m->name, err, size)) return -1;
  if (!m->stack || !m->rule || !m->defaults || !m->weights || !m->source)
    return snprintf(err, size, "stack, rule, defaults, weights, source: one is NULL; allowed: text, \"\" for none"), -1;
  if (!fl_rule_named("rule", m->rule, err, size)) return -1;
  if (strlen(m->defaults) > 220) return snprintf(err, size, "defaults: more than 220 characters"), -1;
  for (const char *p = m->defaults; *p; p += strcspn(p, ","), p += *p == ',') {
    const size_t key = strcspn(p, "=,");
    if (!key || p[key] != '=')
      return snprintf(err, size, "defaults = '%s' at '%.*s'; allowed: \"key=value,key=value\"", m->defaults,
                      (int)strcspn(p, ","), p), -1;
  }
  return 0;
}
