/* config_data.c - keys to values, and the section data. */
#include "config_context.h"
#include <stdio.h>
#include <string.h>

/* ---- messages -------------------------------------------------------------------------------------------------------- */
int fl_config_fail(context *c, const char *where, const char *key, const char *value, const char *allowed) {
  return snprintf(c->err, c->size, "%s: %s = '%s'; allowed: %s", where, key, value, allowed), -1;
}

int fl_config_known(context *c, const fl_node *map, const char *what, const char *const *names, size_t n) {
  for (size_t i = 0; i < map->n; i++) {
    size_t j = 0;
    while (j < n && strcmp(names[j], map->child[i]->key)) j++;
    const char *section = j == n && map == c->root ? fl_section_with(map->child[i]->key, c->central) : NULL;
    if (section)
      return snprintf(c->err, c->size, "%s: '%s' belongs to '%s'; did you mean '%s.%s'?", map->child[i]->key_where,
                      map->child[i]->key, section, section, map->child[i]->key), -1;
    if (j == n) return fl_unknown(map->child[i]->key_where, what, map->child[i]->key, names, n, c->err, c->size);
  }
  return 0;
}

/* Text of a scalar key under the current picks; NULL with *bad set (and the message written) when it is a map or empty. */
const char *fl_config_text(context *c, const fl_node *child, const char **where, int *bad) {
  const fl_node *now = fl_node_now(child);
  if (!now || now->kind != FL_NODE_SCALAR || !*now->text) {
    const fl_node *at = now ? now : child;
    snprintf(c->err, c->size, "%s: %s %s; allowed: one value, or a list of values (a run each)", at->where, child->key,
             now && now->kind == FL_NODE_MAP ? "is a map" : "has no value");
    *bad = 1;
    return NULL;
  }
  *where = now == child ? child->key_where : now->where;
  return now->text;
}

int fl_config_copy(context *c, char *to, size_t room, const char *where, const char *key, const char *value) {
  char allowed[80];
  snprintf(allowed, sizeof allowed, "at most %zu bytes", room - 1);
  if (strlen(value) >= room) return fl_config_fail(c, where, key, value, allowed);
  memcpy(to, value, strlen(value) + 1);
  return 0;
}

/* Paths in the file are relative to its folder, so that a study can be run from anywhere; those of --set to the caller's. */
int fl_config_path(context *c, char *to, size_t room, const char *where, const char *key, const char *value, int from_set) {
  const char *slash = strrchr(c->path, '/');
  if (*value == '/' || from_set || !slash) return fl_config_copy(c, to, room, where, key, value);
  char joined[2048];
  snprintf(joined, sizeof joined, "%.*s/%s", (int)(slash - c->path), c->path, value);
  return fl_config_copy(c, to, room, where, key, joined);
}

int fl_config_key(context *c, const fl_key_entry *k, fl_config *run, const char *where, const char *text) {
  char *field = (char *)run + k->offset;
  const fl_setting set = { k->param.name, text, where };
  double v;
  if (fl_param_read(&k->param, &set, &v, c->err, c->size)) return -1;
  if (k->kind == FL_KEY_FLAG || k->kind == FL_KEY_CHOICE) *(int *)field = (int)v;
  if (k->kind == FL_KEY_REAL) *(double *)field = v;
  if (k->kind == FL_KEY_SIZE) *(size_t *)field = (size_t)v;
  if (k->kind == FL_KEY_U64) *(uint64_t *)field = (uint64_t)v;
  return 0;
}

/* ---- sections -------------------------------------------------------------------------------------------------------- */
/* Those of the run's format, or their defaults; others are refused. */
static int format_keys(context *c, const fl_node *map, fl_config *run, const char *format) {
  int bad = 0;
  for (size_t i = 0; i < fl_format_key_count; i++) {
    const fl_key_entry *k = &fl_format_keys[i].key;
    const fl_node *child = map->kind == FL_NODE_MAP ? fl_node_get(map, k->param.name) : NULL;
    const int own = fl_format_has(&fl_format_keys[i], format);
    if (child && !own)
      return snprintf(c->err, c->size, "%s: %s would do nothing; allowed: only with format = %s", child->key_where, child->key,
                      fl_format_keys[i].formats), -1;
    if (!own) continue;
    const char *where = c->path, *text = child ? fl_config_text(c, child, &where, &bad) : NULL;
    char def[40];
    snprintf(def, sizeof def, "%.17g", k->param.def);
    if (bad) return -1;
    if (!text && k->param.choices) continue;    /* its first one, which is 0 */
    if (fl_config_key(c, k, run, where, text ? text : def)) return -1;
  }
  return 0;
}

/* format: synthetic. v, at: of fl_data_keys. */
static int population_keys(context *c, fl_config *run, const char *const v[], const char *const at[]) {
  for (size_t i = 2; i < 8; i++)
    if (v[i] && (i < 5 || i == 7)) return fl_config_fail(c, at[i], fl_data_keys[i].name, v[i], "not beside 'format: synthetic'");
  const fl_node *partition = fl_node_get(c->root, "partition");
  if (partition)
    return snprintf(c->err, c->size, "%s: partition beside 'format: synthetic'; allowed: none, its clients have samples already",
                    partition->key_where), -1;
  if (c->central)
    return snprintf(c->err, c->size, "%s: format = 'synthetic'; allowed: only in a federated run", at[1]), -1;
  run->population.seed = run->data_options.seed;
  const char *name = v[0] ? v[0] : v[1];
  return fl_config_copy(c, run->data_name, sizeof run->data_name, at[v[0] ? 0 : 1], "name", name) ||
         fl_config_copy(c, run->data_format, sizeof run->data_format, at[1], "format", v[1]) ? -1 : 0;
}

static int validation_from(context *c, fl_config *run, const char *value, const char *where) {
  static const fl_param from = { "validation_from", FL_VALIDATION_ROWS, 0, 0, FL_VALIDATION_CHOICES, "", 0 };
  const fl_setting set = { from.name, value, where };
  double index;
  if (fl_param_read(&from, &set, &index, c->err, c->size)) return -1;
  run->validation_from = (int)index;
  if (index == FL_VALIDATION_CLIENTS && c->central)
    return fl_config_fail(c, where, from.name, value, "only in a federated run; in central training: rows");
  return run->validation > 0 ? 0 : fl_config_fail(c, where, from.name, value, "only with a validation above 0");
}

/* A set known by name. */
static int known_set(context *c, fl_config *run, const char *where, const char *const v[], const char *const at[]) {
  if (!v[0]) return snprintf(c->err, c->size, "%s: data has no name; allowed: name, or format and train", where), -1;
  const size_t n = fl_dataset_known_count();
  size_t j = 0;
  const char *sets[32];
  for (size_t i = 0; i < n && i < 32; i++) sets[i] = fl_dataset_known(i, NULL);
  while (j < n && j < 32 && strcmp(sets[j], v[0])) j++;
  if (j == n) return fl_unknown(at[0], "data set", v[0], sets, n < 32 ? n : 32, c->err, c->size);
  if (v[2] || v[3])
    return fl_config_fail(c, v[2] ? at[2] : at[3], v[2] ? "train" : "test", v[2] ? v[2] : v[3], "only beside a 'format'");
  return fl_config_copy(c, run->data_name, sizeof run->data_name, at[0], "name", v[0]);
}

static int files(context *c, fl_config *run, const char *const v[], const char *const at[], const int from_set[]) {
  const char *formats[24];
  const size_t n = fl_data_format_count;
  size_t f = 0;
  for (size_t i = 0; i < n; i++) formats[i] = fl_data_formats[i];
  formats[n] = "synthetic";
  while (f < n && strcmp(v[1], formats[f])) f++;
  if (f == n) return fl_unknown(at[1], "format", v[1], formats, n + 1, c->err, c->size);
  const int made = fl_format_is_made(v[1]);
  if (made && (v[2] || v[3]))
    return fl_config_fail(c, v[2] ? at[2] : at[3], v[2] ? "train" : "test", v[2] ? v[2] : v[3], "none, as its rows are made");
  if (!v[2] && !made) return snprintf(c->err, c->size, "%s: data has format '%s' but no 'train' (a path)", at[1], v[1]), -1;
  return fl_config_copy(c, run->data_name, sizeof run->data_name, v[0] ? at[0] : at[1], "name", v[0] ? v[0] : v[1]) ||
         fl_config_copy(c, run->data_format, sizeof run->data_format, at[1], "format", v[1]) ||
         (v[2] && fl_config_path(c, run->data_train, sizeof run->data_train, at[2], "train", v[2], from_set[2])) ||
         (v[3] && fl_config_path(c, run->data_test, sizeof run->data_test, at[3], "test", v[3], from_set[3])) ? -1 : 0;
}

int fl_config_data(context *c, fl_config *run) {
  const fl_node *map = fl_node_now(fl_node_get(c->root, "data"));
  const char *names[40], *where = map->where, *v[8] = { 0 }, *at[8] = { 0 };
  int bad = 0, from_set[8] = { 0 };
  if (map->kind == FL_NODE_SCALAR) {
    v[0] = map->text; at[0] = where;
  } else {
    for (size_t i = 0; i < fl_data_key_count; i++) names[i] = fl_data_keys[i].name;
    for (size_t i = 0; i < fl_format_key_count; i++) names[fl_data_key_count + i] = fl_format_keys[i].key.param.name;
    if (fl_config_known(c, map, "key of data", names, fl_data_key_count + fl_format_key_count)) return -1;
    for (size_t i = 0; i < fl_data_key_count; i++) {
      const fl_node *child = fl_node_get(map, names[i]);
      if (child) v[i] = fl_config_text(c, child, &at[i], &bad), from_set[i] = child->from_set;
      if (bad) return -1;
    }
  }
  static const fl_param validation = { "validation", 0, 0, 1, NULL, "", FL_BELOW };
  const fl_setting part = { "validation", v[4], at[4] };
  if (v[4] && fl_param_read(&validation, &part, &run->validation, c->err, c->size)) return -1;
  if (v[5] && validation_from(c, run, v[5], at[5])) return -1;
  static const fl_param scaling = { "scaling", FL_SCALING_STANDARD, 0, 0, FL_SCALING_CHOICES, "", 0 };
  const fl_setting how = { "scaling", v[6], at[6] };
  double index = FL_SCALING_STANDARD;
  if (v[6] && fl_param_read(&scaling, &how, &index, c->err, c->size)) return -1;
  run->scaling = (fl_scaling)index;
  static const fl_param augment = { "augment", 0, 0, 0, FL_AUGMENT_CHOICES, "", 0 };
  const fl_setting drawn = { "augment", v[7], at[7] };
  index = 0;
  if (v[7] && fl_param_read(&augment, &drawn, &index, c->err, c->size)) return -1;
  run->augment = (unsigned)index;
  if (format_keys(c, map, run, v[1] ? v[1] : v[0] ? v[0] : "")) return -1;     /* a known set: as the format of its name */
  if (v[1] && !strcmp(v[1], "synthetic")) return population_keys(c, run, v, at);
  return v[1] ? files(c, run, v, at, from_set) : known_set(c, run, where, v, at);
}
