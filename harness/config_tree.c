/* config_tree.c - YAML events to nodes. Aliases, tags, second documents and duplicate keys are refused: a configuration
 * is small, and each of them hides what a run is made of. */
#include "config_tree.h"
#include <fedlane/optimizer.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { MAX_DEPTH = 12, MAX_NODES = 100000, MAX_TEXT = 4096 };
typedef struct { yaml_parser_t yaml; const char *name; int from_set; size_t nodes; char *err; size_t size; } source;

static char *copy(const char *s) {
  const size_t n = strlen(s) + 1;
  char *p = malloc(n);
  if (p) memcpy(p, s, n);
  return p;
}

static char *place(const source *s, const yaml_mark_t *m) {
  char text[700];
  if (s->from_set) return copy(s->name);
  snprintf(text, sizeof text, "%.600s:%zu:%zu", s->name, m->line + 1, m->column + 1);
  return copy(text);
}

static void *refuse(source *s, const yaml_mark_t *m, const char *what) {
  char *w = place(s, m);
  snprintf(s->err, s->size, "%s: %s", w ? w : s->name, what);
  free(w);
  return NULL;
}

void fl_node_free(fl_node *n) {
  if (!n) return;
  for (size_t i = 0; i < n->n; i++) fl_node_free(n->child[i]);
  free(n->child); free(n->text); free(n->where); free(n->key); free(n->key_where); free(n);
}

static fl_node *fresh(fl_node_kind kind, char *where, int from_set) {
  fl_node *n = calloc(1, sizeof *n);
  if (!n || !where) return free(n), free(where), NULL;
  n->kind = kind; n->where = where; n->from_set = from_set; n->pick = -1;
  return n;
}

static int append(fl_node *to, fl_node *child) {
  if (to->n == to->room) {
    const size_t room = to->room ? 2 * to->room : 8;
    fl_node **c = realloc(to->child, room * sizeof *c);
    if (!c) return -1;
    to->child = c; to->room = room;
  }
  to->child[to->n++] = child;
  return 0;
}

fl_node *fl_node_get(const fl_node *map, const char *key) {
  for (size_t i = 0; map && map->kind == FL_NODE_MAP && i < map->n; i++)
    if (!strcmp(map->child[i]->key, key)) return map->child[i];
  return NULL;
}

int fl_node_put(fl_node *map, const char *key, fl_node *value) {
  if (!value) return -1;
  free(value->key); free(value->key_where);
  value->key = copy(key);
  value->key_where = copy(value->where);
  for (size_t i = 0; i < map->n; i++)
    if (!strcmp(map->child[i]->key, key)) {
      fl_node_free(map->child[i]);
      map->child[i] = value;
      return value->key && value->key_where ? 0 : -1;
    }
  if (!value->key || !value->key_where || append(map, value)) return fl_node_free(value), -1;
  return 0;
}

fl_node *fl_node_clone(const fl_node *a) {
  fl_node *b = fresh(a->kind, copy(a->where), a->from_set);
  if (!b) return NULL;
  if (a->text && !(b->text = copy(a->text))) return fl_node_free(b), NULL;
  for (size_t i = 0; i < a->n; i++) {
    fl_node *c = fl_node_clone(a->child[i]);
    if (!c || append(b, c)) return fl_node_free(c), fl_node_free(b), NULL;
    if (a->child[i]->key && (!(c->key = copy(a->child[i]->key)) || !(c->key_where = copy(a->child[i]->key_where))))
      return fl_node_free(b), NULL;
  }
  return b;
}

fl_node *fl_node_scalar(const char *text, const char *where) {
  fl_node *n = fresh(FL_NODE_SCALAR, copy(where), 0);
  if (n && !(n->text = copy(text))) return fl_node_free(n), NULL;
  return n;
}

void fl_node_drop(fl_node *map, const char *key) {
  for (size_t i = 0; map && i < map->n; i++) {
    if (strcmp(map->child[i]->key, key)) continue;
    fl_node_free(map->child[i]);
    memmove(&map->child[i], &map->child[i + 1], (--map->n - i) * sizeof *map->child);
    return;
  }
}

int fl_node_as_map(fl_node *a) {
  if (a->kind != FL_NODE_SCALAR) return 0;
  fl_node *name = fl_node_clone(a);
  if (!name) return -1;
  free(a->text);
  a->text = NULL;
  a->kind = FL_NODE_MAP;
  return fl_node_put(a, "name", name);
}

/* ---- events -------------------------------------------------------------------------------------------------------- */
static int next(source *s, yaml_event_t *e) {
  if (yaml_parser_parse(&s->yaml, e)) return 0;
  const yaml_mark_t m = s->yaml.problem_mark;
  char text[400];
  snprintf(text, sizeof text, "not YAML: %s%s%s", s->yaml.problem ? s->yaml.problem : "unreadable",
           s->yaml.context ? ", " : "", s->yaml.context ? s->yaml.context : "");
  refuse(s, &m, text);
  return -1;
}

static fl_node *value_of(source *, yaml_event_t *, int depth);

static fl_node *scalar(source *s, const yaml_event_t *e) {
  const size_t n = e->data.scalar.length;
  const char *v = (const char *)e->data.scalar.value;
  if (memchr(v, 0, n) || n >= MAX_TEXT) return refuse(s, &e->start_mark, "a value with a zero byte, or of more than 4095 bytes");
  fl_node *node = fresh(FL_NODE_SCALAR, place(s, &e->start_mark), s->from_set);
  if (node && !(node->text = copy(v))) return fl_node_free(node), NULL;
  return node;
}

static int add_pair(source *s, fl_node *map, const yaml_event_t *key, int depth) {
  if (key->type != YAML_SCALAR_EVENT || key->data.scalar.length > 200)
    return refuse(s, &key->start_mark, "a key must be a word"), -1;
  const char *name = (const char *)key->data.scalar.value;
  const fl_node *old = fl_node_get(map, name);
  if (old) {
    char text[1000];
    snprintf(text, sizeof text, "key '%s' given twice, first at %s", name, old->key_where);
    return refuse(s, &key->start_mark, text), -1;
  }
  yaml_event_t e;
  if (next(s, &e)) return -1;
  fl_node *child = value_of(s, &e, depth + 1);
  yaml_event_delete(&e);
  if (!child) return -1;
  child->key = copy(name);
  child->key_where = place(s, &key->start_mark);
  if (!child->key || !child->key_where || append(map, child)) return fl_node_free(child), -1;
  return 0;
}

static fl_node *collection(source *s, const yaml_event_t *begin, int depth) {
  const int map = begin->type == YAML_MAPPING_START_EVENT;
  fl_node *node = fresh(map ? FL_NODE_MAP : FL_NODE_LIST, place(s, &begin->start_mark), s->from_set);
  for (;;) {
    yaml_event_t e;
    if (!node || next(s, &e)) break;
    if (e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT) {
      yaml_event_delete(&e);
      return node;
    }
    int failed;
    if (map) {
      failed = add_pair(s, node, &e, depth);
    } else {
      fl_node *child = value_of(s, &e, depth + 1);
      failed = !child || append(node, child);
      if (child && failed) fl_node_free(child);
    }
    yaml_event_delete(&e);
    if (failed) break;
  }
  fl_node_free(node);
  return NULL;
}

static fl_node *value_of(source *s, yaml_event_t *e, int depth) {
  if (depth > MAX_DEPTH || ++s->nodes > MAX_NODES)
    return refuse(s, &e->start_mark, "nested too deep (12), or too many values (100000)");
  switch (e->type) {
    case YAML_ALIAS_EVENT: return refuse(s, &e->start_mark, "an alias (*name) is not allowed; write the value");
    case YAML_SCALAR_EVENT:
      if (e->data.scalar.anchor || e->data.scalar.tag) break;
      return scalar(s, e);
    case YAML_SEQUENCE_START_EVENT:
      if (e->data.sequence_start.anchor || e->data.sequence_start.tag) break;
      return collection(s, e, depth);
    case YAML_MAPPING_START_EVENT:
      if (e->data.mapping_start.anchor || e->data.mapping_start.tag) break;
      return collection(s, e, depth);
    default: return refuse(s, &e->start_mark, "a value is missing");
  }
  return refuse(s, &e->start_mark, "an anchor (&name) or a tag (!name) is not allowed; write the plain value");
}

static fl_node *document(source *s) {
  fl_node *root = NULL;
  yaml_event_t e;
  for (;;) {
    if (next(s, &e)) return fl_node_free(root), NULL;
    const yaml_event_type_t type = e.type;
    if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
      yaml_event_delete(&e);
      if (type != YAML_STREAM_END_EVENT) continue;
      if (!root) snprintf(s->err, s->size, "%s: empty; allowed: keys with values, in a configuration data, model, "
                            "algorithms ..., of a network layers", s->name);
      return root;
    }
    if (type == YAML_DOCUMENT_START_EVENT && root) {
      refuse(s, &e.start_mark, "a second document; one file is one configuration");
      yaml_event_delete(&e);
      return fl_node_free(root), NULL;
    }
    if (type != YAML_DOCUMENT_START_EVENT) root = value_of(s, &e, 0);
    yaml_event_delete(&e);
    if (type != YAML_DOCUMENT_START_EVENT && !root) return NULL;
  }
}

fl_node *fl_node_read_file(const char *path, char *err, size_t size) {
  source s = { .name = path, .err = err, .size = size };
  struct stat st;
  snprintf(err, size, "%s: out of memory", path);
  if (stat(path, &st)) return snprintf(err, size, "%s: cannot open: %s", path, strerror(errno)), NULL;
  if (S_ISDIR(st.st_mode)) return snprintf(err, size, "%s: a folder; a configuration is a YAML file", path), NULL;
  if (st.st_size > (1 << 22))
    return snprintf(err, size, "%s: %lld bytes; a configuration has at most 4 MiB", path, (long long)st.st_size), NULL;
  FILE *f = fopen(path, "rb");
  if (!f) return snprintf(err, size, "%s: cannot open: %s", path, strerror(errno)), NULL;
  fl_node *root = NULL;
  if (yaml_parser_initialize(&s.yaml)) {
    yaml_parser_set_input_file(&s.yaml, f);
    root = document(&s);
    yaml_parser_delete(&s.yaml);
  }
  fclose(f);
  return root;
}

fl_node *fl_node_read_text(const char *text, const char *where, char *err, size_t size) {
  source s = { .name = where, .from_set = 1, .err = err, .size = size };
  snprintf(err, size, "%s: out of memory", where);
  if (!yaml_parser_initialize(&s.yaml)) return NULL;
  yaml_parser_set_input_string(&s.yaml, (const unsigned char *)text, strlen(text));
  fl_node *root = document(&s);
  yaml_parser_delete(&s.yaml);
  return root;
}

const fl_node *fl_node_now(const fl_node *n) {
  while (n && n->kind == FL_NODE_LIST) n = n->pick < 0 ? NULL : n->child[n->pick];
  return n;
}

/* ---- overrides ------------------------------------------------------------------------------------------------------ */
static int no_such_algorithm(const fl_node *list, const char *rest, const char *where, char *err, size_t size) {
  const char *names[64], *dot = strchr(rest, '.');
  char word[64];
  size_t n = 0;
  for (size_t i = 0; list && i < list->n && n < 64; i++) {
    const fl_node *name = fl_node_get(list->child[i], "name");
    if (name && name->text) names[n++] = name->text;
  }
  snprintf(word, sizeof word, "%.*s", dot ? (int)(dot - rest) : 0, rest);
  return fl_unknown(where, "algorithm of the configuration", word, names, n, err, size);
}

static int set_algorithms(fl_node *root, const char *rest, fl_node *value, const char *where, char *err, size_t size) {
  fl_node *list = fl_node_get(root, "algorithms");
  const char *dot = strchr(rest, '.');
  const char *key = dot ? dot + 1 : rest;
  size_t hit = 0;
  for (size_t i = 0; list && list->kind == FL_NODE_LIST && i < list->n; i++) {
    fl_node *a = list->child[i];
    if (fl_node_as_map(a)) return fl_node_free(value), -1;
    if (a->kind != FL_NODE_MAP) continue;
    const fl_node *name = fl_node_get(a, "name");
    if (dot && !(name && name->text && strlen(name->text) == (size_t)(dot - rest) &&
                 !strncmp(name->text, rest, (size_t)(dot - rest))))
      continue;
    if (fl_node_put(a, key, fl_node_clone(value))) return fl_node_free(value), -1;
    hit++;
  }
  fl_node_free(value);
  return hit ? 0 : no_such_algorithm(list, rest, where, err, size);
}

static int set_one(fl_node *root, char *text, char *err, size_t size) {
  char where[300];
  snprintf(where, sizeof where, "--set %.280s", text);
  char *eq = strchr(text, '=');
  if (!eq || eq == text) return snprintf(err, size, "%s: allowed: key=value, e.g. federated.rounds=5", where), -1;
  *eq = 0;
  if (!eq[1]) return snprintf(err, size, "%s: key '%s' has no value", where, text), -1;
  fl_node *value = fl_node_read_text(eq + 1, where, err, size);
  if (!value) return -1;
  char *dot = strchr(text, '.');
  if (!dot) return fl_node_put(root, text, value);
  *dot = 0;
  if (!strcmp(text, "algorithms")) return set_algorithms(root, dot + 1, value, where, err, size);
  fl_node *map = fl_node_get(root, text);
  if (map && map->kind != FL_NODE_MAP) {
    fl_node_free(value);
    return snprintf(err, size, "%s: '%s' is not a map of keys (%s)", where, text, map->where), -1;
  }
  if (!map) {
    map = fresh(FL_NODE_MAP, copy(where), 1);
    if (!map || fl_node_put(root, text, map)) return fl_node_free(value), -1;
  }
  return fl_node_put(map, dot + 1, value);
}

int fl_node_set(fl_node *root, const char *text, char *err, size_t size) {
  char *all = copy(text), *from = all;
  if (!all) return -1;
  int depth = 0, failed = 0;
  for (char *p = all; !failed; p++) {           /* commas inside [..] or {..} belong to the value */
    if (*p == '[' || *p == '{') depth++;
    if (*p == ']' || *p == '}') depth--;
    if (*p && (*p != ',' || depth > 0)) continue;
    const int last = !*p;
    *p = 0;
    failed = set_one(root, from, err, size);
    from = p + 1;
    if (last) break;
  }
  free(all);
  return failed;
}

const fl_node *fl_node_joined(const fl_node *node, char *out, size_t size) {
  const int list = node->kind == FL_NODE_LIST;
  *out = 0;
  for (size_t i = 0; i < (list ? node->n : 1); i++) {
    const fl_node *name = list ? node->child[i] : node;
    const size_t used = strlen(out);
    if (name->kind != FL_NODE_SCALAR || used + strlen(name->text) + 2 > size) return name;
    snprintf(out + used, size - used, "%s%s", i ? "+" : "", name->text);
  }
  return NULL;
}
