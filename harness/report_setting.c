/* report_setting.c - what a caption says so that its numbers can be cited: the setting that the runs share, and whose times
 * these are. */
#include "harness/report.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void add(char **text, const char *between, const char *format, const char *value) {
  char *more, *longer;
  if (asprintf(&more, format, value) < 0 || asprintf(&longer, "%s%s%s", *text, **text ? between : "", more) < 0) abort();
  free(*text);
  free(more);
  *text = longer;
}

/* The value at section.key, or NULL when not all runs of the problem have the same. */
static const json_t *shared(const fl_report_runs *all, const char *problem, const char *section, const char *key) {
  const json_t *found = NULL;
  for (size_t i = 0; i < all->n; i++) {
    if (problem && strcmp(problem, all->run[i].problem)) continue;
    const json_t *at = json_object_get(all->run[i].config, section), *v = key ? json_object_get(at, key) : at;
    if (!v || (found && !json_equal(found, v))) return NULL;
    found = v;
  }
  return found;
}

/* "dirichlet (dirichlet_alpha=0.3, min_size=10, seed=42)" */
static void add_partition(char **text, const json_t *partition) {
  const char *key, *name = json_string_value(json_object_get(partition, "name"));
  char *options = strdup("");
  json_t *value;
  if (!name) {
    free(options);
    return;
  }
  json_object_foreach((json_t *)(uintptr_t)partition, key, value) {
    if (!strcmp(key, "name") || !strcmp(key, "path")) continue;
    char *v = fl_report_shown(value);
    add(&options, ", ", "%s=", key);
    add(&options, "", "%s", v);
    free(v);
  }
  add(text, ", ", "partition %s", name);
  if (*options) add(text, " ", "(%s)", options);
  free(options);
}

char *fl_report_setting(const fl_report_runs *all, const char *problem) {
  static const struct { const char *section, *key, *format; } part[] = {
    { "federated", "clients", "%s clients" }, { "federated", "participation", "participation %s" },
    { "partition", NULL, NULL }, { "federated", "rounds", "rounds: %s" }, { "federated", "local_steps", "local steps: %s" },
    { "federated", "local_epochs", "local epochs: %s" }, { "federated", "batch_size", "batch size %s" },
    { "training", "epochs", "epochs: %s" }, { "training", "batch_size", "batch size %s" } };
  char *text = strdup("");
  int in_steps = 0;
  if (!text) abort();
  for (size_t k = 0; k < sizeof part / sizeof *part; k++) {
    /* A figure's caption has the rounds that were trained. */
    if (problem && part[k].key && (!strcmp(part[k].key, "rounds") || !strcmp(part[k].key, "epochs"))) continue;
    const json_t *v = shared(all, problem, part[k].section, part[k].key);
    if (!v) continue;
    if (!part[k].key) {
      add_partition(&text, v);
      continue;
    }
    const int steps = !strcmp(part[k].key, "local_steps");
    if (steps) in_steps = json_number_value(v) > 0;       /* 0: the local epochs count */
    if (steps ? !in_steps : in_steps && !strcmp(part[k].key, "local_epochs")) continue;
    char *value = fl_report_shown(v);
    add(&text, ", ", part[k].format, value);
    free(value);
  }
  return text;
}

char *fl_report_machines(const fl_report_runs *all) {
  char *text = strdup("");
  json_t *seen = json_object();
  if (!text) abort();
  for (size_t i = 0; i < all->n; i++) {
    const fl_report_run *r = &all->run[i];
    if (r->mixed) continue;
    const json_t *isa = json_object_get(r->conditions, "isa"), *threads = json_object_get(r->conditions, "threads");
    char *count = fl_report_shown(threads ? threads : json_null()), *one = strdup("");
    add(&one, "", "%s", r->cpu);
    if (json_is_string(isa)) add(&one, ", ", "%s", json_string_value(isa));
    add(&one, ", ", json_integer_value(threads) == 1 ? "%s thread" : "%s threads", count);
    if (!json_object_get(seen, one)) add(&text, "; ", "%s", one);
    json_object_set_new(seen, one, json_true());
    free(one);
    free(count);
  }
  json_decref(seen);
  return text;
}
