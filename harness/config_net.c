/* config_net.c - see config_net.h. A use of a block is written out: the names of its layers get its own before them, and $NAME is
 * what the use says of it. */
#include "config_net.h"
#include "models/layer/layer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 4096, MAX_DEPTH = 8, MAX_VARIABLES = 16, MAX_REPEAT = 1000, TEXT = 1024,
       USE_KEYS = 3 };                          /* of a block's use: name, from, repeat */

/* Names as they are seen inside one list of layers, and in full; the full name of a block is its last layer's. A scope finds an
 * alias by what is seen (`place`: its number), and knows the last number that each kind of layer was given. */
typedef struct { char *seen, *full; } alias;
typedef struct { const char *key; char value[64]; } variable;
typedef struct scope {
  const char *prefix;                           /* "layer1.0." */
  const char *input;                            /* what the list reads first: a full name */
  variable variable[MAX_VARIABLES]; size_t n_variables;
  alias *alias; size_t n, room;
  json_t *place, *given;                        /* NULL: nothing yet */
  int depth;
} scope;
typedef struct { fl_net *net; fl_layer_spec *layer; size_t room; const fl_node *blocks; char *err; size_t size; } reader;

static int refuse(reader *r, const char *where, const char *what, const char *allowed) {
  return snprintf(r->err, r->size, "%s: %s; allowed: %s", where, what, allowed), -1;
}
static int refuse_name(reader *r, const fl_node *node, const char *text, const char *without) {
  return snprintf(r->err, r->size, "%s: name = '%.100s'; allowed: up to 60 bytes without blanks and %s", node->where, text,
                  without), -1;
}
static int no_memory(reader *r, const char *where) { return snprintf(r->err, r->size, "%s: out of memory", where), -1; }

static const alias *find_alias(const scope *s, const char *seen) {
  const json_t *at = json_object_get(s->place, seen);
  return at ? &s->alias[json_integer_value(at)] : NULL;
}

/* number under the name; a name may be any bytes. */
static int note(json_t **in, const char *name, size_t number) {
  if (!*in) *in = json_object();
  return json_object_set_new_nocheck(*in, name, json_integer((json_int_t)number));
}

static int add_alias(reader *r, scope *s, const char *where, const char *seen, const char *full) {
  if (find_alias(s, seen) || !strcmp(seen, "input"))
    return snprintf(r->err, r->size, "%s: name = '%s'; allowed: a name of its own, not 'input'", where, seen), -1;
  if (s->n == s->room) {
    const size_t room = s->room ? 2 * s->room : 16;
    alias *a = realloc(s->alias, room * sizeof *a);
    if (!a) return no_memory(r, where);
    s->alias = a, s->room = room;
  }
  s->alias[s->n] = (alias){ strdup(seen), strdup(full) };
  if (!s->alias[s->n].seen || !s->alias[s->n].full) return s->n++, no_memory(r, where);
  return note(&s->place, seen, s->n++) ? no_memory(r, where) : 0;
}

static void free_scope(scope *s) {
  json_decref(s->place);
  json_decref(s->given);
  for (size_t i = 0; i < s->n; i++) free(s->alias[i].seen), free(s->alias[i].full);
  free(s->alias);
}

/* A value's text, with a variable replaced; NULL with a message. */
static const char *text_of(reader *r, const scope *s, const fl_node *node) {
  char allowed[400] = "";
  if (node->kind != FL_NODE_SCALAR || !*node->text)
    return snprintf(r->err, r->size, "%s: %s; allowed: one value", node->where, node->key ? node->key : "a layer"), NULL;
  if (node->text[0] != '$') return node->text;
  for (size_t i = 0; i < s->n_variables; i++)
    if (!strcmp(s->variable[i].key, node->text + 1)) return s->variable[i].value;
  for (size_t i = 0; i < s->n_variables; i++)
    snprintf(allowed + strlen(allowed), sizeof allowed - strlen(allowed), "%s$%s", i ? ", " : "", s->variable[i].key);
  return snprintf(r->err, r->size, "%s: %s = '%s'; allowed: a value%s%s", node->where, node->key ? node->key : "a layer",
                  node->text, *allowed ? ", or " : ", as no use of a block gives variables here", allowed), NULL;
}

/* from: a name or a list of names of this scope -> full names, separated by blanks. */
static int read_from(reader *r, const scope *s, const fl_node *node, char out[TEXT]) {
  const size_t n = node->kind == FL_NODE_LIST ? node->n : 1;
  *out = 0;
  for (size_t i = 0; i < n; i++) {
    const fl_node *one = node->kind == FL_NODE_LIST ? node->child[i] : node;
    const char *name = text_of(r, s, one), *full = s->input;
    if (!name) return -1;
    if (strcmp(name, "input")) {
      const alias *a = find_alias(s, name);
      const char *names[65] = { "input" };
      size_t known = 1;
      for (size_t k = s->n; k-- > 0 && known < 65;) names[known++] = s->alias[k].seen;
      if (!a) return fl_unknown(one->where, "layer", name, names, known, r->err, r->size);
      full = a->full;
    }
    if (strlen(out) + strlen(full) + 2 > TEXT) return refuse(r, one->where, "from is too long", "fewer names");
    snprintf(out + strlen(out), TEXT - strlen(out), "%s%s", i ? " " : "", full);
  }
  return n ? 0 : refuse(r, node->where, "from is empty", "a name or a list of names");
}

/* NAME, or the kind and the first number that makes it new: names are only added, so that is behind the last one given. */
static const char *name_of(reader *r, scope *s, const fl_node *map, const char *kind, char out[128]) {
  const fl_node *node = fl_node_get(map, "name");
  const char *text = node ? text_of(r, s, node) : NULL;
  if (node && !text) return NULL;
  if (text && (strlen(text) > 60 || strpbrk(text, " \t$")))
    return refuse_name(r, node, text, "$"), NULL;
  if (text) return strcpy(out, text);
  size_t i = (size_t)json_integer_value(json_object_get(s->given, kind));
  do snprintf(out, 128, "%.60s%zu", kind, ++i);
  while (find_alias(s, out));
  return note(&s->given, kind, i) ? no_memory(r, map ? map->where : kind), NULL : out;
}

/* ---- one layer ----------------------------------------------------------------------------------------------------------- */
static fl_layer_spec *new_layer(reader *r, const char *where) {
  if (r->net->n == MAX_LAYERS) return refuse(r, where, "more than 4096 layers", "fewer"), NULL;
  if (r->net->n == r->room) {
    const size_t room = r->room ? 2 * r->room : 32;
    fl_layer_spec *p = realloc(r->layer, room * sizeof *p);
    if (!p) return no_memory(r, where), NULL;
    r->layer = p, r->room = room;
    r->net->layer = p;
  }
  r->layer[r->net->n] = (fl_layer_spec){ NULL, NULL, NULL, NULL, NULL };
  return &r->layer[r->net->n++];
}

/* name=value, behind a blank; -1: there is no room. */
static int append(char out[TEXT], const char *name, const char *value, size_t length) {
  const size_t at = strlen(out), own = strlen(name);
  if (at + own + length + 3 > TEXT) return -1;
  char *end = out + at;
  if (at) *end++ = ' ';
  memcpy(end, name, own);
  end[own] = '=';
  memcpy(end + own + 1, value, length);
  end[own + 1 + length] = 0;
  return 0;
}

/* [1, 0.5, 2] as 1+0.5+2 */
static const char *list_of(reader *r, const scope *s, const fl_node *node, char out[TEXT]) {
  *out = 0;
  for (size_t i = 0; i < node->n; i++) {
    const char *one = text_of(r, s, node->child[i]);
    if (!one) return NULL;
    if (strlen(out) + strlen(one) + 2 > TEXT) return refuse(r, node->where, node->key, "a shorter list"), NULL;
    snprintf(out + strlen(out), TEXT - strlen(out), "%s%s", i ? "+" : "", one);
  }
  return *out ? out : (refuse(r, node->where, node->key, "one number or more"), NULL);
}

/* The parameters that are not at their defaults, as text. */
static int read_params(reader *r, const scope *s, const fl_layer *type, const fl_node *map, char out[TEXT]) {
  const char *names[FL_LAYER_PARAMS + 2] = { "name", "from" };
  char what[80];
  *out = 0;
  for (size_t i = 0; i < type->n_params; i++) names[2 + i] = type->params[i].name;
  snprintf(what, sizeof what, "key of %s", type->name);
  for (size_t c = 0; map && c < map->n; c++) {
    const fl_node *child = map->child[c];
    size_t i = 0;
    double v;
    while (i < type->n_params + 2 && strcmp(names[i], child->key)) i++;
    if (i == type->n_params + 2) return fl_unknown(child->key_where, what, child->key, names, i, r->err, r->size);
    if (i < 2) continue;
    const fl_param *p = &type->params[i - 2];
    char list[TEXT];
    const char *text = p->flags & FL_NUMBERS && child->kind == FL_NODE_LIST ? list_of(r, s, child, list) : text_of(r, s, child);
    if (!text || fl_param_read(p, &(fl_setting){ p->name, text, child->where }, &v, r->err, r->size)) return -1;
    const char *choice = p->choices;
    for (int k = 0; choice && k < (int)v; k++) choice = strchr(choice, '|') + 1;
    if (v == p->def) continue;
    char number[32];
    snprintf(number, sizeof number, "%.17g", v);
    if (choice ? append(out, p->name, choice, strcspn(choice, "|"))
               : append(out, p->name, p->flags & FL_NUMBERS ? text : number, strlen(p->flags & FL_NUMBERS ? text : number)))
      return refuse(r, child->where, p->name, "a shorter value");
  }
  return 0;
}

/* input: the full name of what it reads when it does not say. */
static int add_layer(reader *r, scope *s, const fl_layer *type, const fl_node *item, const fl_node *map, const char *input) {
  char seen[128], full[256], from[TEXT], settings[TEXT];
  const fl_node *reads = fl_node_get(map, "from");
  const char *last = r->net->n ? r->layer[r->net->n - 1].name : "input";
  if (!name_of(r, s, map, type->name, seen) || read_params(r, s, type, map, settings)) return -1;
  if (reads ? read_from(r, s, reads, from) : 0) return -1;
  if (!reads) snprintf(from, sizeof from, "%s", input);
  snprintf(full, sizeof full, "%s%s", s->prefix, seen);
  if (strlen(full) > 100) return refuse(r, item->where, "the name with those of its blocks before it", "up to 100 bytes");
  if (add_alias(r, s, item->where, seen, full)) return -1;
  fl_layer_spec *l = new_layer(r, item->where);
  if (!l) return -1;
  if (strcmp(from, last) && !(l->from = strdup(from))) return no_memory(r, item->where);
  l->type = type->name, l->name = strdup(full), l->settings = strdup(settings), l->where = strdup(item->where);
  return l->name && l->settings && l->where ? 0 : no_memory(r, item->where);
}

/* ---- blocks -------------------------------------------------------------------------------------------------------------- */
static int add_list(reader *r, scope *s, const fl_node *list);

/* One use of a block's list; input: a full name. */
static int write_out(reader *r, const scope *outer, const fl_node *list, const fl_node *map, const char *prefix,
                     const char *input) {
  scope s = { .prefix = prefix, .input = input, .depth = outer->depth + 1 };
  int bad = 0;
  if (s.depth > MAX_DEPTH) return refuse(r, list->where, "blocks inside blocks, more than 8 deep", "fewer");
  for (size_t c = 0; map && c < map->n && !bad; c++) {
    const fl_node *child = map->child[c];
    if (!strcmp(child->key, "name") || !strcmp(child->key, "from") || !strcmp(child->key, "repeat")) continue;
    const char *text = text_of(r, outer, child);
    if (!text) return -1;
    if (s.n_variables == MAX_VARIABLES) return refuse(r, child->where, "more than 16 variables", "fewer");
    if (strlen(text) >= sizeof s.variable->value) return refuse(r, child->where, child->key, "a value of up to 63 bytes");
    s.variable[s.n_variables].key = child->key;
    strcpy(s.variable[s.n_variables++].value, text);
  }
  bad = add_list(r, &s, list);
  free_scope(&s);
  return bad;
}

/* The variables in a block's list, behind those that stand already in names; their number in all, or -1: there is no room. */
static int find_variables(const fl_node *node, const char **names, int n) {
  if (node->kind != FL_NODE_SCALAR) {
    for (size_t c = 0; c < node->n && n >= 0; c++) n = find_variables(node->child[c], names, n);
    return n;
  }
  if (node->text[0] != '$') return n;
  for (int i = 0; i < n; i++)
    if (!strcmp(names[i], node->text + 1)) return n;
  if (n == USE_KEYS + MAX_VARIABLES) return -1;
  names[n] = node->text + 1;
  return n + 1;
}

/* A use says all variables of its block and nothing else: what is misspelled would silently do nothing. */
static int check_use(reader *r, const fl_node *list, const fl_node *item, const fl_node *map) {
  const char *names[USE_KEYS + MAX_VARIABLES] = { "name", "from", "repeat" };
  const int n = find_variables(list, names, USE_KEYS);
  char what[80];
  if (n < 0) return refuse(r, list->where, "a block with more than 16 variables", "fewer");
  snprintf(what, sizeof what, "key of block %.60s", list->key);
  for (size_t c = 0; map && c < map->n; c++) {
    int i = 0;
    while (i < n && strcmp(names[i], map->child[c]->key)) i++;
    if (i == n) return fl_unknown(map->child[c]->key_where, what, map->child[c]->key, names, (size_t)n, r->err, r->size);
  }
  for (int i = USE_KEYS; i < n; i++)
    if (!map || !fl_node_get(map, names[i]))
      return snprintf(r->err, r->size, "%s: block %.60s without a value of %.60s; allowed: {%.60s: {%.60s: VALUE, ...}}",
                      item->where, list->key, names[i], list->key, names[i]), -1;
  return 0;
}

static int use_block(reader *r, scope *s, const fl_node *list, const fl_node *item, const fl_node *map, const char *input) {
  static const fl_param repeat = { "repeat", 1, 1, MAX_REPEAT, NULL, "", FL_WHOLE };
  char seen[128], prefix[256], from[TEXT];
  const fl_node *reads = fl_node_get(map, "from"), *times = fl_node_get(map, "repeat");
  double n = 1;
  if (check_use(r, list, item, map) || !name_of(r, s, map, list->key, seen)) return -1;
  if (reads ? read_from(r, s, reads, from) : 0) return -1;
  if (!reads) snprintf(from, sizeof from, "%s", input);
  if (strchr(from, ' ')) return refuse(r, reads->where, "a block reads several layers", "one");
  const char *text = times ? text_of(r, s, times) : "1";
  if (!text || fl_param_read(&repeat, &(fl_setting){ "repeat", text, times ? times->where : "" }, &n, r->err, r->size)) return -1;
  for (unsigned i = 0; i < (unsigned)n; i++) {
    const size_t before = r->net->n;
    if (times) snprintf(prefix, sizeof prefix, "%.150s%.60s.%u.", s->prefix, seen, i);
    else snprintf(prefix, sizeof prefix, "%.150s%.60s.", s->prefix, seen);
    if (write_out(r, s, list, map, prefix, from)) return -1;
    if (r->net->n == before) return refuse(r, list->where, "a block without a layer", "one or more");
    snprintf(from, sizeof from, "%s", r->layer[r->net->n - 1].name);
  }
  return add_alias(r, s, item->where, seen, from);
}

static int add_item(reader *r, scope *s, const fl_node *item, const char *input) {
  const fl_node *one = item->kind == FL_NODE_MAP && item->n == 1 ? item->child[0] : NULL;
  if (item->kind == FL_NODE_LIST || (item->kind == FL_NODE_MAP && !one) || (one && one->kind == FL_NODE_LIST))
    return refuse(r, item->where, "a layer", "TYPE, or {TYPE: {parameters, name, from}}, TYPE a type of layer or a block");
  const char *kind = one ? one->key : item->text;
  const fl_node *map = one && one->kind == FL_NODE_MAP ? one : NULL;
  if (one && !map && *one->text) return refuse(r, one->where, kind, "a map of its parameters, or nothing");
  const fl_node *block = fl_node_get(r->blocks, kind);
  const fl_layer *type = fl_layer_find(kind);
  if (type) return add_layer(r, s, type, item, map, input);
  if (block) return use_block(r, s, block, item, map, input);
  const char *names[96];
  size_t n = 0;
  for (; n < fl_layer_count() && n < 64; n++) names[n] = fl_layer_at(n)->name;
  for (size_t i = 0; r->blocks && i < r->blocks->n && n < 96; i++) names[n++] = r->blocks->child[i]->key;
  return fl_unknown(one ? one->key_where : item->where, "type of layer", kind, names, n, r->err, r->size);
}

static int add_list(reader *r, scope *s, const fl_node *list) {
  char input[TEXT];
  if (list->kind != FL_NODE_LIST || !list->n) return refuse(r, list->where, list->key, "a list of one layer or more");
  snprintf(input, sizeof input, "%s", s->input);
  for (size_t i = 0; i < list->n; i++) {
    if (add_item(r, s, list->child[i], input)) return -1;
    snprintf(input, sizeof input, "%s", s->alias[s->n - 1].full);
  }
  return 0;
}

/* ---- the network --------------------------------------------------------------------------------------------------------- */
static int read_network(reader *r, const fl_node *map, const char *given) {
  static const char *const names[] = { "name", "blocks", "layers" };
  scope s = { .prefix = "", .input = "input" };
  const fl_node *layers = fl_node_get(map, "layers"), *name = fl_node_get(map, "name");
  for (size_t i = 0; i < map->n; i++)
    if (strcmp(map->child[i]->key, names[0]) && strcmp(map->child[i]->key, names[1]) && strcmp(map->child[i]->key, names[2]))
      return fl_unknown(map->child[i]->key_where, "key of model", map->child[i]->key, names, 3, r->err, r->size);
  if (!layers) return refuse(r, map->where, "a model without layers", "a name (fedlane list models), or {layers: [...]}");
  const char *text = name ? text_of(r, &s, name) : given ? given : "network";
  if (!text || (name && (strlen(text) > 60 || strpbrk(text, " /\t"))))
    return text ? refuse_name(r, name, text, "/") : -1;
  r->blocks = fl_node_get(map, "blocks");
  if (r->blocks && r->blocks->kind != FL_NODE_MAP) return refuse(r, r->blocks->where, "blocks", "a map {NAME: [layers], ...}");
  for (size_t i = 0; r->blocks && i < r->blocks->n; i++)
    if (fl_layer_find(r->blocks->child[i]->key))
      return refuse(r, r->blocks->child[i]->key_where, "a block with the name of a type of layer", "another name");
  char short_name[61];
  snprintf(short_name, sizeof short_name, "%s", text);
  if (!(r->net->name = strdup(short_name))) return no_memory(r, map->where);
  const int bad = add_list(r, &s, layers);
  free_scope(&s);
  return bad;
}

fl_net *fl_net_read(const fl_node *map, const char *name, char *err, size_t size) {
  reader r = { .net = calloc(1, sizeof *r.net), .err = err, .size = size };
  if (!r.net) return snprintf(err, size, "%s: out of memory", map->where), NULL;
  r.net->help = "the layers of a configuration";
  if (map->kind != FL_NODE_MAP) {
    refuse(&r, map->where, "a model", "a name (fedlane list models), FILE.yaml, or {layers: [...]}");
    return fl_net_free(r.net), NULL;
  }
  return read_network(&r, map, name) ? fl_net_free(r.net), NULL : r.net;
}

int fl_net_is_file(const char *model) {
  const size_t n = strlen(model);
  return n > 5 && !strcmp(model + n - 5, ".yaml");
}

fl_net *fl_net_read_file(const char *path, char *err, size_t size) {
  char name[61];
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  fl_node *map = fl_node_read_file(path, err, size);
  if (!map) return NULL;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
  fl_net *net = fl_net_read(map, name, err, size);
  fl_node_free(map);
  return net;
}

/* What read_network made with strdup. */
static void drop(const char *text) { free((char *)(uintptr_t)text); }

void fl_net_free(fl_net *net) {
  if (!net) return;
  for (size_t i = 0; i < net->n; i++) {
    const fl_layer_spec *l = &net->layer[i];
    drop(l->name), drop(l->settings), drop(l->from), drop(l->where);
  }
  free((fl_layer_spec *)(uintptr_t)net->layer);
  drop(net->name);
  free(net);
}

static json_t *layer_json(const fl_layer_spec *l) {
  json_t *o = json_pack("{s:s}", "name", l->name);
  for (const char *at = l->settings; *(at += strspn(at, " "));) {
    const size_t key = strcspn(at, "="), end = strcspn(at, " ");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)key, at);
    json_object_set_new(o, name, json_stringn(at + key + 1, end - key - 1));
    at += end;
  }
  if (l->from) {
    json_t *from = json_array();
    for (const char *at = l->from; *(at += strspn(at, " ")); at += strcspn(at, " "))
      json_array_append_new(from, json_stringn(at, strcspn(at, " ")));
    json_object_set_new(o, "from", from);
  }
  return json_pack("{s:o}", l->type, o);
}

json_t *fl_net_json(const fl_net *net) {
  json_t *layers = json_array();
  for (size_t i = 0; i < net->n; i++) json_array_append_new(layers, layer_json(&net->layer[i]));
  return json_pack("{s:s, s:o}", "name", net->name, "layers", layers);
}

int fl_net_same(const fl_net *a, const fl_net *b) {
  json_t *x = fl_net_json(a), *y = fl_net_json(b);
  const int same = json_equal(x, y);
  json_decref(x);
  json_decref(y);
  return same;
}
