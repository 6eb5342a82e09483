/* config_json.c - a run's resolved configuration as JSON. What cannot change a bit of the result (paths, threads, ISA,
 * checkpoint interval) is not in it, so the run_id made of it is the same on every machine. */
#include "config.h"
#include "config_keys.h"
#include "config_net.h"
#include "plugin.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(double v) {
  if (!isfinite(v)) return json_string(v > 0 ? ".inf" : "-.inf");
  return v == (double)(json_int_t)v && fabs(v) < 9e15 ? json_integer((json_int_t)v) : json_real(v);
}

typedef struct { json_t *to; int central; } settings;

static void put_setting(void *self, const char *key, const char *value, int is_number) {
  const settings *s = self;
  if (fl_key_applies(key, s->central))
    json_object_set_new(s->to, key, is_number ? number(strtod(value, NULL)) : json_string(value));
}

static json_t *choice(const char *choices, int index) {
  for (; index > 0 && strchr(choices, '|'); index--) choices = strchr(choices, '|') + 1;
  return json_stringn(choices, strcspn(choices, "|"));
}

static json_t *partition_json(const fl_partition_config *p) {
  json_t *o = json_object();
  json_object_set_new(o, "name", json_string(p->kind->name));
  json_object_set_new(o, "seed", json_integer((json_int_t)p->seed));
  for (size_t i = 0; i < p->kind->n_params; i++) {
    const fl_param *q = &p->kind->params[i];
    json_object_set_new(o, q->name, q->choices ? choice(q->choices, (int)p->h[i]) : number(p->h[i]));
  }
  return o;
}

static json_t *names_json(const char *choices, unsigned set) {
  json_t *list = json_array();
  for (int i = 0; set >> i; i++)
    if (set >> i & 1) json_array_append_new(list, choice(choices, i));
  return list;
}

static json_t *section_json(const fl_config *c, const fl_section_keys *own) {
  json_t *o = json_object();
  for (size_t i = 0; i < own->n; i++) {
    const fl_key_entry *k = &own->key[i];
    const char *field = (const char *)c + k->offset;
    json_t *v = NULL;
    if (!strcmp(k->param.name, "checkpoint_seconds") || !strcmp(k->param.name, "client_state_memory")) continue;
    if (fl_key_is_later(k->param.name) && fl_key_get(k, c) == k->param.def) continue;
    const unsigned needs = k->kind == FL_KEY_SET ? ~0u : fl_key_needs(k->param.name);
    if (needs && !(c->diagnostics & needs)) continue;
    if (k->kind == FL_KEY_REAL) v = number(*(const double *)field);
    if (k->kind == FL_KEY_SIZE) v = json_integer((json_int_t)*(const size_t *)field);
    if (k->kind == FL_KEY_U64) v = json_integer((json_int_t)*(const uint64_t *)field);
    if (k->kind == FL_KEY_CHOICE) v = choice(k->param.choices, *(const int *)field);
    if (k->kind == FL_KEY_FLAG) v = json_boolean(*(const int *)field);
    if (k->kind == FL_KEY_SET) v = names_json(k->param.choices, *(const unsigned *)field);
    json_object_set_new(o, k->param.name, v);
  }
  return o;
}

json_t *fl_config_json(const fl_config *c) {
  json_t *o = json_object(), *data = json_object(), *algorithm = json_object();
  json_object_set_new(o, "seed", json_integer((json_int_t)c->seed));
  json_object_set_new(data, "name", json_string(c->data_name));
  if (c->data_format[0]) json_object_set_new(data, "format", json_string(c->data_format));
  const int made = !strcmp(c->data_format, "synthetic");
  for (size_t i = 0; i < fl_format_key_count; i++) {
    const fl_key_entry *k = &fl_format_keys[i].key;
    if (!fl_format_has(&fl_format_keys[i], *c->data_format ? c->data_format : c->data_name)) continue;
    const double v = fl_key_get(k, c);
    if (v == k->param.def && !strcmp(k->param.name, "labels")) continue;        /* older runs keep their run_id */
    json_object_set_new(data, k->param.name, k->param.choices ? choice(k->param.choices, (int)v) : number(v));
  }
  if (c->validation > 0) json_object_set_new(data, "validation", json_real(c->validation));
  if (c->validation_from != FL_VALIDATION_ROWS)
    json_object_set_new(data, "validation_from", choice(FL_VALIDATION_CHOICES, c->validation_from));
  if (c->scaling != FL_SCALING_STANDARD) json_object_set_new(data, "scaling", choice(FL_SCALING_CHOICES, (int)c->scaling));
  if (c->augment) json_object_set_new(data, "augment", choice(FL_AUGMENT_CHOICES, (int)c->augment));
  json_object_set_new(o, "data", data);
  const fl_section_keys *own = fl_section_of(c->central);
  settings s = { algorithm, c->central };
  if (!c->central && !made) json_object_set_new(o, "partition", partition_json(&c->partition));
  json_object_set_new(o, "model", c->net ? fl_net_json(c->net) : json_string(c->model));
  if (c->init[0]) json_object_set_new(o, "init", json_string(c->init_sha256));
  /* the native bits need no name */
  if (c->backend == FL_BACKEND_ONEDNN) json_object_set_new(o, "backend", json_string("onednn"));
  json_object_set_new(o, own->name, section_json(c, own));
  fl_algorithm_each(&c->algorithm, put_setting, &s);
  json_object_set_new(o, "algorithm", algorithm);
  json_t *plugins = fl_plugins_sums(&c->algorithm);
  if (plugins) json_object_set_new(o, "plugins", plugins);
  return o;
}

/* Every number that is not whole as the text of 17 digits: how a JSON library writes one differs by library and version. */
static json_t *with_digits(json_t *v) {
  char text[40];
  const char *key;
  json_t *item, *out;
  size_t i;
  if (json_is_real(v)) {
    snprintf(text, sizeof text, "%.17g", json_real_value(v));
    return json_string(text);
  }
  if (json_is_array(v)) {
    out = json_array();
    json_array_foreach(v, i, item) json_array_append_new(out, with_digits(item));
    return out;
  }
  if (!json_is_object(v)) return json_incref(v);
  out = json_object();
  json_object_foreach(v, key, item) json_object_set_new(out, key, with_digits(item));
  return out;
}

void fl_run_id(const fl_config *c, const fl_dataset *data, const fl_split *split, char out[17]) {
  char hex[65];
  json_t *o = json_object(), *files = json_array();
  for (size_t i = 0; i < data->n_files; i++) json_array_append_new(files, json_string(data->file[i].sha256));
  json_object_set_new(o, "config", fl_config_json(c));
  json_object_set_new(o, "data", files);
  json_object_set_new(o, "partition", json_string(split->sha256));
  json_t *named = with_digits(o);
  char *text = json_dumps(named, JSON_COMPACT | JSON_SORT_KEYS);
  fl_sha256(text ? text : "", text ? strlen(text) : 0, hex);
  memcpy(out, hex, 16);
  out[16] = 0;
  free(text);
  json_decref(named);
  json_decref(o);
}
