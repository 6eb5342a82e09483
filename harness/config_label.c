/* config_label.c - how a run is called: the algorithm's label, then what was swept. */
#include "config_context.h"
#include <stdio.h>
#include <string.h>

void fl_config_folder(char *to, size_t size, const char *label, uint64_t seed) {
  size_t n = 0;
  for (; label[n] && n + 24 < size; n++) {
    const char ch = label[n];
    const int plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
        (ch && strchr("._-=+", ch));
    to[n] = plain && !(n == 0 && ch == '.') ? ch : '_';
  }
  snprintf(to + n, size - n, "-s%llu", (unsigned long long)seed);
}

/* What the algorithm's label says already. */
static int is_said(const char *key) { return !strcmp(key, "name") || !strcmp(key, "rule") || !strcmp(key, "server_rule"); }

/* Two values of the axis may be maps of one name: their other keys tell them apart. */
static void add_map(const fl_node *axis, const fl_node *map, const char *name, char *text, size_t size) {
  size_t same = 0;
  for (size_t i = 0; i < axis->n; i++) {
    const fl_node *other = axis->child[i]->kind == FL_NODE_MAP ? fl_node_get(axis->child[i], "name") : axis->child[i];
    same += other && other->text && !strcmp(other->text, name);
  }
  for (size_t i = 0; same > 1 && i < map->n; i++) {
    const fl_node *value = fl_node_now(map->child[i]);
    const size_t at = strlen(text);
    if (value && value->text && strcmp(map->child[i]->key, "name"))
      snprintf(text + at, size - at, " %s=%s", map->child[i]->key, value->text);
  }
}

/* Label: the algorithm's, then what was swept. A clash (the same method twice in the list) gets a number. */
int fl_config_label(context *c, fl_config *run, const fl_node *entry, size_t before) {
  char text[sizeof run->label];
  snprintf(text, sizeof text, "%s", run->algorithm.label);
  for (size_t i = 0; i < c->n_axes; i++) {
    const fl_node *axis = c->axis[i], *now = fl_node_now(axis), *name = now && now->kind == FL_NODE_MAP
        ? fl_node_get(now, "name") : now;
    if (axis->n < 2) continue;
    if (name) name = fl_node_now(name);
    const int named = *c->scope[i] && !strcmp(axis->key, "name"), scoped = !strcmp(axis->key, "seed");
    const size_t at = strlen(text);
    if (!strcmp(c->scope[i], "algorithms") && is_said(axis->key)) continue;
    snprintf(text + at, sizeof text - at, " %s%s%s=%s", scoped ? c->scope[i] : "", scoped ? "." : "",
             named ? c->scope[i] : axis->key, name && name->text ? name->text : "map");
    if (now && now->kind == FL_NODE_MAP && name && name->text) add_map(axis, now, name->text, text, sizeof text);
  }
  if (strlen(text) + 8 > sizeof text)
    return snprintf(c->err, c->size,
                    "%s: the names of the swept values are together longer than %zu bytes; sweep fewer keys at once",
                    entry->where, sizeof text - 8), -1;
  memcpy(run->label, text, sizeof text);
  for (unsigned number = 2, clash = 1; clash; number++) {
    clash = 0;
    fl_config_folder(run->folder, sizeof run->folder, run->label, 0);
    for (size_t i = 0; i < before && !clash; i++) {
      char other[sizeof run->folder];
      fl_config_folder(other, sizeof other, c->suite->run[i].label, 0);
      clash = !strcmp(other, run->folder);
    }
    if (clash && number > 9999) return snprintf(c->err, c->size, "%s: too many runs named '%s'", entry->where, text), -1;
    if (clash) {
      snprintf(run->label, sizeof run->label, "%s", text);
      const size_t at = strlen(run->label);
      snprintf(run->label + at, sizeof run->label - at, " #%u", number);
    }
  }
  return 0;
}
