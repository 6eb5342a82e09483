/* needs.c - keys that act only beside a certain value of another: said once in the tables of the run, the rules and the stages
 * ("key other=value|value,stage NAME; ...": one of the conditions behind the commas is enough), refused where they would do
 * nothing. */
#include <fedlane/optimizer.h>
#include <stdio.h>
#include <string.h>

const char fl_run_needs[] = "lr_decay lr_schedule=exponential; lr_min lr_schedule=cosine; step_gamma "
                            "lr_schedule=step|multi_step; step_size lr_schedule=step; lr_offset "
                            "lr_schedule=exponential|cosine|step|multi_step; milestones lr_schedule=multi_step; "
                            "block_rule aggregate=yes,stage lada";

/* A table of parameters with its values, and the values without the settings of the configuration. */
typedef struct { const char *prefix, *needs; const fl_param *p; size_t n; const double *h, *standard; } owner;
enum { MAX_OWNERS = FL_MAX_STAGES + 3 };

static size_t owners_of(const fl_algorithm *a, const fl_algorithm *standard, owner out[MAX_OWNERS]) {
  size_t n = 0;
  out[n++] = (owner){ "", fl_run_needs, fl_run_params, FL_H_COUNT, a->h_run, standard->h_run };
  out[n++] = (owner){ "", a->rule->needs, a->rule->params, a->rule->n_params, a->h_rule, standard->h_rule };
  for (size_t i = 0; i < a->n_stages; i++)
    out[n++] = (owner){ "", a->stage[i]->needs, a->stage[i]->params, a->stage[i]->n_params, a->h_stage[i], standard->h_stage[i] };
  const fl_rule *server = a->server_rule;
  out[n++] = (owner){ "server_", server->needs, server->params, server->n_params, a->h_server, standard->h_server };
  return n;
}

/* The conditions of a key, "" of one that always acts; *length: up to the next key's. */
static const char *condition_of(const char *needs, const char *key, size_t *length) {
  for (const char *p = needs; p && *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
    const size_t n = strcspn(p, " ");
    if (strlen(key) != n || strncmp(p, key, n)) continue;
    *length = strcspn(p + n + 1, ";");
    return p + n + 1;
  }
  *length = 0;
  return "";
}

int fl_needs_text(const char *needs, const char *key, char *out, size_t size) {
  size_t length, at;
  const char *c = condition_of(needs, key, &length);
  if (!length) return 0;
  at = (size_t)snprintf(out, size, "only with ");
  for (size_t i = 0; i < length && at + 5 < size; i++) {
    const char text[2] = { c[i], 0 };
    at += (size_t)snprintf(out + at, size - at, "%s", c[i] == '=' ? " = " : c[i] == '|' || c[i] == ',' ? " or " : text);
  }
  return 1;
}

/* Whether one of a choice's names is that of the value. */
static int names_value(const char *choices, int value, const char *names, size_t length) {
  for (; value > 0; value--) choices = strchr(choices, '|') + 1;
  const size_t n = strcspn(choices, "|");
  for (size_t i = 0; i < length;) {
    const size_t word = strcspn(names + i, "|,;");
    if (word == n && !strncmp(names + i, choices, n)) return 1;
    i += word + 1;
  }
  return 0;
}

static int has_stage(const fl_algorithm *a, const char *name, size_t length) {
  for (size_t i = 0; i < a->n_stages; i++)
    if (strlen(a->stage[i]->name) == length && !strncmp(a->stage[i]->name, name, length)) return 1;
  return 0;
}

/* Whether the condition "other=value|value" or "stage NAME" holds; the server's rule looks at its own parameters alone. */
static int holds(const fl_algorithm *a, const owner *all, size_t n, const owner *own, const char *condition, size_t length) {
  const size_t key = strcspn(condition, "=");
  if (!strncmp(condition, "stage ", 6)) return !*own->prefix && has_stage(a, condition + 6, length - 6);
  for (size_t i = 0; i < n; i++) {
    if (*own->prefix ? &all[i] != own : *all[i].prefix != 0) continue;
    for (size_t j = 0; j < all[i].n; j++)
      if (all[i].p[j].choices && strlen(all[i].p[j].name) == key && !strncmp(all[i].p[j].name, condition, key))
        return names_value(all[i].p[j].choices, (int)all[i].h[j], condition + key + 1, length - key - 1);
  }
  return 0;
}

static int any_holds(const fl_algorithm *a, const owner *all, size_t n, const owner *own, const char *conditions, size_t length) {
  for (size_t i = 0; i < length;) {
    const size_t one = strcspn(conditions + i, ",;");
    if (holds(a, all, n, own, conditions + i, one)) return 1;
    i += one + 1;
  }
  return length == 0;
}

/* Some of the run's keys depend on more than a value: what such a key would need, NULL when it acts. */
static const char *run_key_needs(const fl_algorithm *a, size_t key) {
  int moves = a->h_run[FL_H_LR_SCHEDULE] != 0 || a->h_run[FL_H_WARMUP] > 0;
  int judged = 0;
  size_t terms = 0;
  for (size_t i = 0; i < a->n_stages; i++)
    moves |= a->stage[i]->after != NULL, terms += fl_terms_of(a->stage[i], a->h_stage[i]),
    judged |= a->stage[i]->combine || a->stage[i]->acts & FL_IN_PARTS;
  if (key == FL_H_UNIT && !moves) return "only with an lr_schedule, a warmup or a stage that averages (swa, ema)";
  if (key == FL_H_BLOCK_RULE && !a->rule->block_means)
    return "only with a rule that shares the means of blocks (adam, adamw, yogi, rmsprop)";
  if (key == FL_H_WEIGHTS && judged) return "only without a stage that says how much an upload counts (krum, fltrust, bcgd)";
  if (key == FL_H_CLIP && !terms) return "only with a stage whose vectors join the gradient (scaffold, cm, dyn ...)";
  return NULL;
}

int fl_setting_idle(const fl_algorithm *a, const fl_algorithm *standard, const fl_setting *s, char *err, size_t size) {
  owner all[MAX_OWNERS];
  const size_t n = owners_of(a, standard, all);
  for (size_t i = 0; i < n; i++) {
    const size_t skip = strlen(all[i].prefix);
    for (size_t j = 0; j < all[i].n; j++) {
      const char *name = all[i].p[j].name;
      size_t length;
      if (strncmp(s->key, all[i].prefix, skip) || strcmp(name, s->key + skip) || all[i].h[j] == all[i].standard[j]) continue;
      const char *conditions = condition_of(all[i].needs, name, &length);
      char text[160];
      if (!any_holds(a, all, n, &all[i], conditions, length)) {
        fl_needs_text(all[i].needs, name, text, sizeof text);
        return snprintf(err, size, "%s: %s = '%s' would do nothing; allowed: %s", s->where, s->key, s->value, text), -1;
      }
      const char *allowed = i == 0 ? run_key_needs(a, j) : NULL;
      if (allowed)
        return snprintf(err, size, "%s: %s = '%s' would do nothing; allowed: %s", s->where, s->key, s->value, allowed), -1;
    }
  }
  return 0;
}
