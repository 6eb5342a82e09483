/* config.c - from the tree of nodes to runs. A list where one value is expected stays "open" until the expansion picks an
 * element, so lists may stand anywhere, also inside the elements of other lists. */
#include "config_context.h"
#include "atomic.h"
#include "config_net.h"
#include "plugin.h"
#include "published.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- sections -------------------------------------------------------------------------------------------------------- */
/* All keys of a map as settings; `skip` is left out; stack: [a, b] is one value, joined by '+'. */
static int settings_of(context *c, const fl_node *map, const char *skip, fl_setting *out, size_t *n, char *stack,
                       size_t stack_size) {
  int bad = 0;
  *n = 0;
  for (size_t i = 0; i < map->n; i++) {
    const fl_node *child = map->child[i];
    if (skip && !strcmp(child->key, skip)) continue;
    if (*n == MAX_SETTINGS) return snprintf(c->err, c->size, "%s: more than %d keys", map->where, (int)MAX_SETTINGS), -1;
    fl_setting *s = &out[*n];
    s->key = child->key;
    if (stack && !strcmp(child->key, "stack") && child->kind == FL_NODE_LIST) {
      const fl_node *bad_name = fl_node_joined(child, stack, stack_size);
      if (bad_name) return snprintf(c->err, c->size, "%s: stack; allowed: a list of names of stages", bad_name->where), -1;
      s->value = stack;
      s->where = child->key_where;
    } else if (!(s->value = fl_config_text(c, child, &s->where, &bad))) {
      return -1;
    }
    (*n)++;
  }
  return 0;
}

static int partition_section(context *c, fl_config *run) {
  const fl_node *node = fl_node_get(c->root, "partition"), *map = fl_node_now(node);
  fl_setting set[MAX_SETTINGS];
  size_t n = 1;
  if (!node || map->kind == FL_NODE_SCALAR)
    set[0] = (fl_setting){ "name", node ? map->text : "iid", node ? map->where : c->path };
  else if (settings_of(c, map, NULL, set, &n, NULL, 0))
    return -1;
  if (fl_partition_build(set, n, &run->partition, c->err, c->size)) return -1;
  if (!run->partition.path[0]) return 0;
  const fl_node *path = fl_node_get(map, "path");
  char text[sizeof run->partition.path];
  memcpy(text, run->partition.path, sizeof text);
  return fl_config_path(c, run->partition.path, sizeof run->partition.path, path ? path->where : c->path, "path", text,
                   path && path->from_set);
}

/* federated or training: which of them there is decides what a run is. */
static int main_section(context *c, fl_config *run) {
  const fl_section_keys *own = fl_section_of(c->central);
  const fl_node *map = fl_node_now(fl_node_get(c->root, own->name));
  const char *names[32];
  char def[40], what[120];
  int bad = 0;
  run->central = c->central;
  run->clients = 1;
  run->participation = 1;
  run->local_epochs = 1;
  for (size_t i = 0; i < own->n; i++) {
    const fl_key_entry *k = &own->key[i];
    names[i] = k->param.name;
    snprintf(def, sizeof def, "%.17g", k->param.def);
    if (k->param.choices) *(int *)(void *)((char *)run + k->offset) = (int)k->param.def;
    else if (fl_config_key(c, k, run, c->path, def)) return -1;
  }
  if (!map) return 0;
  if (map->kind != FL_NODE_MAP)
    return snprintf(c->err, c->size, "%s: %s; allowed: a map {%s, %s, ...}", map->where, own->name, names[0], names[1]), -1;
  snprintf(what, sizeof what, "key of %s", own->name);
  if (fl_config_known(c, map, what, names, own->n)) return -1;
  for (size_t i = 0; i < own->n; i++) {
    const fl_node *child = fl_node_get(map, names[i]);
    if (child && own->key[i].kind == FL_KEY_SET) {
      if (fl_key_set_read(&own->key[i], child, (char *)run + own->key[i].offset, c->err, c->size)) return -1;
      continue;
    }
    const char *where, *text = child ? fl_config_text(c, child, &where, &bad) : NULL;
    if (bad || (text && fl_config_key(c, &own->key[i], run, where, text))) return -1;
  }
  const char *idle = fl_key_idle(own, run, what, sizeof what);
  if (idle)
    return snprintf(c->err, c->size, "%s: %s would do nothing; allowed: only with %s", fl_node_get(map, idle)->key_where, idle,
                    what), -1;
  const fl_node *stop = fl_node_get(map, "stop_at_target");
  if (run->stop_at_target && !(run->target_accuracy > 0))      /* it would never stop anything, and nobody would be told */
    return fl_config_fail(c, stop->key_where, "stop_at_target", "yes", "only with a target_accuracy above 0");
  return 0;
}

/* Takes the network over, NULL: there was a message. The runs of the suite share it. */
static int own_network(context *c, fl_config *run, fl_net *net, const char *where) {
  fl_net **all = net ? realloc(c->suite->net, (c->suite->n_nets + 1) * sizeof *all) : NULL;
  if (net && !all) fl_net_free(net), snprintf(c->err, c->size, "%s: out of memory", where);
  if (!all) return -1;
  c->suite->net = all;
  all[c->suite->n_nets++] = net;
  run->net = net;
  return fl_config_copy(c, run->model, sizeof run->model, where, "name", net->name);
}

static int check_model(context *c, const char *where, const char *name) {
  fl_net_sized room;
  return fl_net_named(where, name, &room, c->err, c->size) ? 0 : -1;
}

/* A network that is spelled out, here or in a file; NULL: what stands there is a name, or there was a message. */
static fl_net *spelled_out(context *c, const fl_node *m, const char *where, int from_set) {
  char path[2048];
  if (m->kind == FL_NODE_MAP) return fl_net_read(m, NULL, c->err, c->size);
  return m->kind == FL_NODE_SCALAR && fl_net_is_file(m->text) &&
      !fl_config_path(c, path, sizeof path, where, "model", m->text, from_set) ? fl_net_read_file(path, c->err, c->size) : NULL;
}

static int model_section(context *c, fl_config *run) {
  const fl_node *node = fl_node_get(c->root, "model"), *now = fl_node_now(node);
  const char *where;
  int bad = 0;
  if (now && now->kind == FL_NODE_MAP) return own_network(c, run, spelled_out(c, now, now->where, 0), now->where);
  const char *name = fl_config_text(c, node, &where, &bad);
  if (name && fl_net_is_file(name)) return own_network(c, run, spelled_out(c, now, where, node->from_set), where);
  return !name || check_model(c, where, name) || fl_config_copy(c, run->model, sizeof run->model, where, "model", name) ? -1 : 0;
}

/* init: a file of parameters, which counts by what is in it, not by where it lies; `none` is as if the key were not there. */
static int init_section(context *c, fl_config *run) {
  const fl_node *node = fl_node_get(c->root, "init");
  const char *where;
  int bad = 0;
  if (node && node->kind == FL_NODE_LIST)
    return snprintf(c->err, c->size, "%s: init is a list; allowed: one safetensors file, or none", node->where), -1;
  const char *path = node ? fl_config_text(c, node, &where, &bad) : NULL;
  if (!path || !strcmp(path, "none")) return bad;
  if (fl_config_path(c, run->init, sizeof run->init, where, "init", path, node->from_set)) return -1;
  unsigned char *bytes;
  size_t n;
  char why[700];
  if (fl_file_read(run->init, &bytes, &n, why, sizeof why))
    return snprintf(c->err, c->size, "%s: init: %s; allowed: a safetensors file, or none", where, why), -1;
  fl_sha256(bytes, n, run->init_sha256);
  free(bytes);
  return 0;
}

static int backend_section(context *c, fl_config *run) {
  static const fl_param backend = { "backend", FL_BACKEND_NATIVE, 0, 0, FL_BACKEND_CHOICES, "", 0 };
  const fl_node *node = fl_node_get(c->root, "backend");
  fl_setting set = { "backend", NULL, NULL };
  int bad = 0;
  double v = backend.def;
  if (node && (!(set.value = fl_config_text(c, node, &set.where, &bad)) || fl_param_read(&backend, &set, &v, c->err, c->size)))
    return -1;
  run->backend = v == FL_BACKEND_ONEDNN ? FL_BACKEND_ONEDNN : FL_BACKEND_NATIVE;
  return 0;
}

/* ---- expansion -------------------------------------------------------------------------------------------------------- */
/* What has no meaning in this kind of run must not look as if it had. */
static int check_kind(context *c, const fl_setting *set, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (c->central && !strcmp(set[i].key, "name"))
      return snprintf(c->err, c->size,
                      "%s: algorithm '%s' is a federated method, and there is no 'federated' block ('federated: {}' takes its "
                      "defaults); allowed in central training: {rule: NAME, stack: [...]} (fedlane list optimizers)",
                      set[i].where, set[i].value), -1;
    if (!fl_key_applies(set[i].key, c->central))
      return snprintf(c->err, c->size, "%s: %s = '%s'; allowed: only in %s", set[i].where, set[i].key, set[i].value,
                      c->central ? "a federated run (this one has no 'federated' block)"
                      : "central training ('training', no 'federated')"), -1;
  }
  return 0;
}

static int emit(context *c, const fl_config *shared, const fl_node *entry) {
  fl_config run = *shared;
  fl_setting set[MAX_SETTINGS];
  char stack[FL_MAX_STAGES * (FL_MAX_NAME + 1)];
  size_t n = 1;
  if (entry->kind == FL_NODE_SCALAR)
    set[0] = (fl_setting){ "name", entry->text, entry->where };
  else if (settings_of(c, entry, "model", set, &n, stack, sizeof stack))
    return -1;
  char why[400];
  if (check_kind(c, set, n) || fl_algorithm_build(set, n, &run.algorithm, c->err, c->size)) return -1;
  if (c->central && fl_algorithm_refuse(&run.algorithm, 1, why, sizeof why))
    return snprintf(c->err, c->size, "%s: %s", set[0].where, why), -1;
  snprintf(run.where, sizeof run.where, "%.*s", (int)sizeof run.where - 1, set[0].where);
  const size_t before = c->suite->n;
  if (fl_config_label(c, &run, entry, before)) return -1;
  for (size_t i = 0; i < c->n_seeds; i++) {
    if (c->suite->n == MAX_RUNS)
      return snprintf(c->err, c->size, "%s: more than %d runs; sweep fewer values", c->path, (int)MAX_RUNS), -1;
    if (c->suite->n == c->room) {
      const size_t room = c->room ? 2 * c->room : 16;
      fl_config *p = realloc(c->suite->run, room * sizeof *p);
      if (!p) return snprintf(c->err, c->size, "%s: out of memory", c->path), -1;
      c->suite->run = p; c->room = room;
    }
    run.seed = c->seed[i];
    fl_config_folder(run.folder, sizeof run.folder, run.label, run.seed);
    c->suite->run[c->suite->n++] = run;
  }
  return 0;
}

fl_node *fl_config_open(fl_node *node, int algorithm) {
  if (!node) return NULL;
  if (node->kind == FL_NODE_LIST) {
    if (node->pick < 0) return node;
    return fl_config_open(node->child[node->pick], algorithm);
  }
  for (size_t i = 0; i < node->n; i++) {
    fl_node *child = node->child[i];
    static const char *const is_list[2][3] = { { "diagnostics", "layers", "blocks" }, { "model", "stack", "stack" } };
    const char *const *own = is_list[algorithm != 0];
    if (!strcmp(child->key, own[0]) || !strcmp(child->key, own[1]) || !strcmp(child->key, own[2])) continue;
    fl_node *open = fl_config_open(child, algorithm);
    if (open) return open;
  }
  return NULL;
}

static int pick_each(context *c, fl_node *open, const char *scope, int (*then)(context *, const fl_config *, fl_node *),
                     const fl_config *shared, fl_node *arg) {
  if (!open->n) return snprintf(c->err, c->size, "%s: an empty list; allowed: one value or more", open->where), -1;
  if (c->n_axes == MAX_AXES) return snprintf(c->err, c->size, "%s: more than %d swept keys", open->where, (int)MAX_AXES), -1;
  if (!open->key) return snprintf(c->err, c->size, "%s: a list inside a list; allowed: a value", open->where), -1;
  c->axis[c->n_axes] = open;
  c->scope[c->n_axes++] = scope;
  int failed = 0;
  for (size_t i = 0; i < open->n && !failed; i++) {
    open->pick = (int)i;
    failed = then(c, shared, arg);
  }
  open->pick = -1;
  c->n_axes--;
  return failed;
}

/* Whether the configuration spells a network of that name out, which another run of it may be of. */
static int is_own_network(context *c, const char *name) {
  const fl_node *node = fl_node_get(c->root, "model");
  const size_t n = node->kind == FL_NODE_LIST ? node->n : 1;
  int same = 0;
  for (size_t i = 0; i < n && !same; i++) {
    const fl_node *m = node->kind == FL_NODE_LIST ? node->child[i] : node;
    fl_net *net = spelled_out(c, m, m->where, m->from_set);
    same = net && !strcmp(net->name, name);
    if (net) fl_net_free(net);
  }
  return same;
}

static int expand_algorithm(context *c, const fl_config *shared, fl_node *entry) {
  if (entry->kind == FL_NODE_MAP) {
    const fl_node *only = fl_node_get(entry, "model");
    int match = !only;
    for (size_t i = 0; only && i < (only->kind == FL_NODE_LIST ? only->n : 1); i++) {
      const fl_node *m = only->kind == FL_NODE_LIST ? only->child[i] : only;
      if (m->kind != FL_NODE_SCALAR)
        return snprintf(c->err, c->size, "%s: model; allowed: a name or a list of names", m->where), -1;
      if (fl_net_is_file(m->text)) {
        fl_net *net = spelled_out(c, m, m->where, m->from_set);
        if (!net) return -1;
        match |= !strcmp(net->name, shared->model);
        fl_net_free(net);
        continue;
      }
      const int same = !strcmp(m->text, shared->model);
      if (!same && !is_own_network(c, m->text) && check_model(c, m->where, m->text)) return -1;
      match |= same;
    }
    if (!match) return 0;
  } else if (entry->kind == FL_NODE_LIST) {
    return snprintf(c->err, c->size, "%s: a list inside algorithms; allowed: a name or a map", entry->where), -1;
  }
  fl_node *open = entry->kind == FL_NODE_MAP ? fl_config_open(entry, 1) : NULL;
  return open ? pick_each(c, open, "algorithms", expand_algorithm, shared, entry) : emit(c, shared, entry);
}

static int expand_shared(context *c, const fl_config *unused, fl_node *root) {
  static const char *const section[] = { "data", "partition", "model", "backend", "federated", "training" };
  for (size_t i = 0; i < sizeof section / sizeof *section; i++) {
    fl_node *open = fl_config_open(fl_node_get(root, section[i]), 0);
    if (open)
      return pick_each(c, open, open->key && !strcmp(open->key, section[i]) ? "" : section[i], expand_shared, unused, root);
  }
  fl_config shared;
  memset(&shared, 0, sizeof shared);
  if (fl_config_data(c, &shared) || main_section(c, &shared) || (!c->central && partition_section(c, &shared)) ||
      model_section(c, &shared) || init_section(c, &shared) || backend_section(c, &shared)) return -1;
  fl_node *list = fl_node_get(root, "algorithms");
  for (shared.entry = 0; shared.entry < list->n; shared.entry++)
    if (expand_algorithm(c, &shared, list->child[shared.entry])) return -1;
  return 0;
}

/* Not of a run: it changes no bit. The file must be there, and be what it must, before hours of training, not after them. */
static int published(context *c) {
  const fl_node *node = fl_node_get(c->root, "published");
  const char *where;
  int bad = 0;
  const char *path = node ? fl_config_text(c, node, &where, &bad) : NULL;
  if (!path) return bad;
  if (fl_config_path(c, c->suite->published, sizeof c->suite->published, where, "published", path, node->from_set)) return -1;
  return access(c->suite->published, R_OK)
      ? fl_config_fail(c, where, "published", c->suite->published, "a CSV file that can be read") : 0;
}
static int check_published(context *c) {
  if (!c->suite->published[0]) return 0;
  json_t *known = json_object();
  for (size_t i = 0; i < c->suite->n; i++) {
    json_t *config = fl_config_json(&c->suite->run[i]), *leaves = fl_report_leaves(config, NULL);
    json_object_update_missing(known, leaves);
    json_decref(config);
    json_decref(leaves);
  }
  const int bad = fl_published_check(c->suite->published, known, c->err, c->size);
  json_decref(known);
  return bad;
}

/* Not of a run either: what a run uses of them its algorithm says. */
static int plugins(context *c) {
  const fl_node *node = fl_node_get(c->root, "plugins");
  const size_t n = !node ? 0 : node->kind == FL_NODE_LIST ? node->n : 1;
  for (size_t i = 0; i < n; i++) {
    const fl_node *one = node->kind == FL_NODE_LIST ? node->child[i] : node;
    char path[4096];
    if (one->kind != FL_NODE_SCALAR)
      return snprintf(c->err, c->size, "%s: plugins; allowed: a path or a list of paths", one->where), -1;
    if (fl_config_path(c, path, sizeof path, one->where, "plugins", one->text, node->from_set) ||
        fl_plugin_load(path, one->where, 0, c->err, c->size)) return -1;
  }
  return 0;
}

/* ---- the whole file -------------------------------------------------------------------------------------------------- */
static int read_seed(context *c, const char *where, const char *text) {
  char *end;
  const unsigned long long v = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || v > (1ull << 53))
    return fl_config_fail(c, where, "seeds", text, "whole numbers from 0 to 2^53");
  for (size_t i = 0; i < c->n_seeds; i++)
    if (c->seed[i] == v) return fl_config_fail(c, where, "seeds", text, "each seed once");
  if (c->n_seeds == MAX_SEEDS) return fl_config_fail(c, where, "seeds", text, "at most 10000 seeds");
  c->seed[c->n_seeds++] = v;
  return 0;
}

static int read_seeds(context *c, const char *option) {
  const fl_node *node = fl_node_get(c->root, "seeds");
  if (option) {
    static const char between[] = ", []";
    for (const char *p = option + strspn(option, between), *end; *p; p = end + strspn(end, between)) {
      char word[64];
      end = p + strcspn(p, between);
      snprintf(word, sizeof word, "%.*s", (int)(end - p), p);
      if ((size_t)(end - p) >= sizeof word) return fl_config_fail(c, "--seeds", "seeds", word, "whole numbers from 0 to 2^53");
      if (read_seed(c, "--seeds", word)) return -1;
    }
    return c->n_seeds ? 0 : fl_config_fail(c, "--seeds", "seeds", option, "whole numbers from 0 to 2^53, joined by commas");
  }
  if (!node) return read_seed(c, c->path, "1");
  const size_t n = node->kind == FL_NODE_LIST ? node->n : 1;
  for (size_t i = 0; i < n; i++) {
    const fl_node *s = node->kind == FL_NODE_LIST ? node->child[i] : node;
    if (s->kind != FL_NODE_SCALAR) return fl_config_fail(c, s->where, "seeds", "a map or list", "whole numbers, e.g. [1, 2, 3]");
    if (read_seed(c, s->where, s->text)) return -1;
  }
  return n ? 0 : fl_config_fail(c, node->where, "seeds", "[]", "one seed or more");
}

static int check_root(context *c, int complete) {
  const char *names[16];
  static const char *const needed[] = { "data", "model", "algorithms" };
  if (c->root->kind != FL_NODE_MAP)
    return snprintf(c->err, c->size, "%s: not a map; allowed: key: value lines", c->root->where), -1;
  for (size_t i = 0; i < fl_top_key_count; i++) names[i] = fl_top_keys[i].name;
  if (complete && fl_config_known(c, c->root, "key", names, fl_top_key_count)) return -1;
  const fl_node *tune = fl_node_get(c->root, "tune");
  if (complete && tune)
    return snprintf(c->err, c->size, "%s: 'tune' is a search for parameters; allowed: in fedlane tune", tune->key_where), -1;
  for (size_t i = 0; complete && i < 3; i++)
    if (!fl_node_get(c->root, needed[i])) return snprintf(c->err, c->size, "%s: key '%s' is missing", c->path, needed[i]), -1;
  const fl_node *training = fl_node_get(c->root, "training"), *partition = fl_node_get(c->root, "partition");
  c->central = !fl_node_get(c->root, "federated");
  if (complete && training && !c->central)
    return snprintf(c->err, c->size, "%s: 'training' beside 'federated'; allowed: one of them, 'training' is central",
                    training->key_where), -1;
  if (complete && partition && c->central)
    return snprintf(c->err, c->size,
                    "%s: 'partition' without 'federated'; allowed: only in a federated run, as central training has no clients "
                    "('federated: {}' takes its defaults)", partition->key_where), -1;
  fl_node *list = fl_node_get(c->root, "algorithms");
  if (!list) return 0;
  if (list->kind != FL_NODE_LIST) {                    /* one name or one map: a list of one */
    fl_node *one = fl_node_clone(list), *wrap = fl_node_read_text("[]", list->where, c->err, c->size);
    if (!one || !wrap || !(wrap->child = calloc(1, sizeof *wrap->child))) return fl_node_free(one), fl_node_free(wrap), -1;
    wrap->child[0] = one;
    wrap->n = wrap->room = 1;
    if (fl_node_put((fl_node *)(uintptr_t)c->root, "algorithms", wrap)) return -1;
  } else if (!list->n) {
    return snprintf(c->err, c->size, "%s: algorithms is empty; allowed: one or more (fedlane list algorithms)", list->where), -1;
  }
  return 0;
}

/* The list of algorithms, so that --set finds each; then --set. */
static int overridden(context *c, const char *const *set, size_t n) {
  int failed = check_root(c, 0);
  for (size_t i = 0; i < n && !failed; i++) failed = fl_node_set((fl_node *)(uintptr_t)c->root, set[i], c->err, c->size);
  return failed;
}

fl_node *fl_config_read(const char *path, const char *const *set, size_t n_set, char *err, size_t size) {
  fl_node *root = fl_node_read_file(path, err, size);
  context c = { .root = root, .path = path, .err = err, .size = size };
  if (root && (overridden(&c, set, n_set) || check_root(&c, 0))) return fl_node_free(root), NULL;
  return root;
}

/* Takes the root over. */
static int load(fl_suite *suite, fl_node *root, const char *path, const char *const *set, size_t n_set, const char *seeds,
                char *err, size_t size) {
  memset(suite, 0, sizeof *suite);
  if (!root) return -1;
  context *c = calloc(1, sizeof *c);
  int failed = !c || !(c->seed = calloc(MAX_SEEDS, sizeof *c->seed));
  if (failed) snprintf(err, size, "%s: out of memory", path);
  if (!failed) {
    c->suite = suite; c->root = root; c->path = path; c->err = err; c->size = size;
    failed = overridden(c, set, n_set) || check_root(c, 1) || plugins(c) || read_seeds(c, seeds) || published(c) ||
             expand_shared(c, NULL, root) || check_published(c);
    if (!failed && !suite->n) {
      snprintf(err, size, "%s: no run: every algorithm is restricted to another model", path);
      failed = 1;
    }
    free(c->seed);
  }
  free(c);
  fl_node_free(root);
  if (failed) fl_suite_free(suite);
  return failed ? -1 : 0;
}

int fl_config_expand(fl_suite *suite, fl_node *root, const char *path, const char *seeds, char *err, size_t size) {
  return load(suite, root, path, NULL, 0, seeds, err, size);
}

int fl_suite_load(fl_suite *suite, const char *path, const char *const *set, size_t n_set, const char *seeds, char *err,
                  size_t size) {
  return load(suite, fl_node_read_file(path, err, size), path, set, n_set, seeds, err, size);
}

int fl_suite_load_json(fl_suite *suite, const json_t *config, const char *path, const char *const *set, size_t n_set, char *err,
                       size_t size) {
  json_t *whole = json_copy((json_t *)(uintptr_t)config), *algorithm = json_copy(json_object_get(config, "algorithm"));
  const char *name = json_string_value(json_object_get(algorithm, "name"));
  /* a resolved algorithm says what its name stands for as well */
  if (name && strcmp(name, "custom")) json_object_del(algorithm, "stack"), json_object_del(algorithm, "rule");
  else json_object_del(algorithm, "name");
  if (!json_string_length(json_object_get(algorithm, "stack"))) json_object_del(algorithm, "stack");
  json_object_set_new(whole, "algorithms", json_pack("[o]", algorithm));
  json_object_set_new(whole, "seeds", json_pack("[O]", json_object_get(config, "seed")));
  json_object_del(whole, "algorithm");
  json_object_del(whole, "plugins");             /* sums: where the files are, a result cannot know */
  json_object_del(whole, "seed");
  char *text = json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(17));
  json_decref(whole);
  const int bad = load(suite, text ? fl_node_read_text(text, path, err, size) : NULL, path, set, n_set, NULL, err, size);
  if (!text) snprintf(err, size, "%s: no configuration of a run", path);
  free(text);
  return bad;
}

int fl_suite_take_nets(fl_suite *to, fl_suite *from, char *err, size_t size) {
  if (!from->n_nets) return 0;
  fl_net **all = realloc(to->net, (to->n_nets + from->n_nets) * sizeof *all);
  if (!all) return snprintf(err, size, "out of memory for %zu networks", from->n_nets), -1;
  memcpy(all + to->n_nets, from->net, from->n_nets * sizeof *all);
  to->net = all;
  to->n_nets += from->n_nets;
  from->n_nets = 0;
  return 0;
}

void fl_suite_free(fl_suite *s) {
  free(s->run);
  for (size_t i = 0; i < s->n_nets; i++) fl_net_free(s->net[i]);
  free(s->net);
  memset(s, 0, sizeof *s);
}
