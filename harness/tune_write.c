/* tune_write.c - the configuration with the chosen values, as YAML that `fedlane run` takes from any folder. */
#include "tune.h"
#include "atomic.h"
#include "config_net.h"
#include "plugin.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { FILE *f; const fl_tune *t; } writer;

/* Bare where YAML would read the same text back, else in double quotes. */
static void put_text(FILE *f, const char *s) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  if (*s && !s[strspn(s, plain)] && strcmp(s, "-") && strncmp(s, "---", 3)) {
    fputs(s, f);
    return;
  }
  fputc('"', f);
  for (; *s; s++) {
    if ((unsigned char)*s < 32) fprintf(f, "\\x%02x", (unsigned char)*s);
    else fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
  }
  fputc('"', f);
}

/* Paths of the file are relative to its folder, those of the command line to the caller's: whole in the new file. The end may be
 * a prefix of names, which is no file itself. */
static void put_path(const writer *w, const fl_node *n) {
  char joined[PATH_MAX], real[PATH_MAX], whole[2 * PATH_MAX];
  const char *slash = strrchr(w->t->path, '/');
  const int folder = !n->from_set && *n->text != '/' && slash ? (int)(slash - w->t->path) + 1 : 0;
  snprintf(joined, sizeof joined, "%.*s%s", folder, w->t->path, n->text);
  if (realpath(joined, real)) { put_text(w->f, real); return; }
  char *end = strrchr(joined, '/'), *name = end ? end + 1 : joined;
  if (end) *end = 0;
  snprintf(whole, sizeof whole, "%s/%s", realpath(end ? joined : ".", real) ? real : "", name);
  put_text(w->f, whole);
}

static int is_path(const fl_node *n, const char *section) {
  if (!strcmp(section, "model")) return n->kind == FL_NODE_SCALAR && fl_net_is_file(n->text);
  if (n->kind != FL_NODE_SCALAR || !n->key) return 0;
  return (!strcmp(section, "data") && (!strcmp(n->key, "train") || !strcmp(n->key, "test"))) ||
         (!strcmp(section, "partition") && !strcmp(n->key, "path")) || !strcmp(n->key, "published");
}

static void put_node(const writer *w, const fl_node *n, const char *section) {
  if (n->kind == FL_NODE_SCALAR) {
    if (is_path(n, section)) put_path(w, n);
    else put_text(w->f, n->text);
    return;
  }
  fputc(n->kind == FL_NODE_MAP ? '{' : '[', w->f);
  for (size_t i = 0; i < n->n; i++) {
    if (i) fputs(", ", w->f);
    if (n->kind == FL_NODE_MAP) put_text(w->f, n->child[i]->key), fputs(": ", w->f);
    put_node(w, n->child[i], section);
  }
  fputc(n->kind == FL_NODE_MAP ? '}' : ']', w->f);
}

/* One entry a method: of several models, restricted to its own. */
static int put_method(const writer *w, const fl_tune_method *m, size_t trial, int models) {
  const fl_tune *t = w->t;
  const fl_tune_space *s = &t->space[m->entry];
  fl_node *e = fl_node_clone(fl_node_get(t->root, "algorithms")->child[m->entry]);
  int bad = !e || fl_node_as_map(e);
  if (!bad && models > 1) bad = fl_node_put(e, "model", fl_node_scalar(t->suite.run[m->first].model, e->where));
  for (size_t k = 0; !bad && k < s->n_keys; k++)
    bad = fl_node_put(e, s->key[k]->key, fl_node_scalar(s->value[trial * s->n_keys + k], e->where));
  if (!bad) fputs("  - ", w->f), put_node(w, e, ""), fputc('\n', w->f);
  fl_node_free(e);
  return bad;
}

/* All that were loaded, those of the command line too: the file must run by itself. */
static void put_plugins(FILE *f) {
  for (size_t i = 0; i < fl_plugin_count(); i++) fputs(i ? ", " : "plugins: [", f), put_text(f, fl_plugin_at(i)->path);
  if (fl_plugin_count()) fputs("]\n", f);
}

int fl_tune_write(const fl_tune *t, const size_t *chosen, const char *notes, const char *path, char *err, size_t size) {
  char *text = NULL;
  size_t length = 0;
  const fl_node *model = fl_node_get(t->root, "model");
  const int models = model->kind == FL_NODE_LIST ? (int)model->n : 1;
  fl_node *data = fl_node_get(t->root, "data");
  fl_node_drop(data, "validation");             /* what is held out to choose by is trained on afterwards */
  fl_node_drop(data, "validation_from");
  writer w = { open_memstream(&text, &length), t };
  if (!w.f) return snprintf(err, size, "out of memory"), -1;
  int bad = 0;
  fputs(notes, w.f);
  for (size_t i = 0; i < t->root->n; i++) {
    const fl_node *n = t->root->child[i];
    if (!strcmp(n->key, "algorithms") || !strcmp(n->key, "plugins")) continue;
    put_text(w.f, n->key), fputs(": ", w.f), put_node(&w, n, n->key), fputc('\n', w.f);
  }
  put_plugins(w.f);
  fputs("algorithms:\n", w.f);
  for (size_t m = 0; !bad && m < t->n_methods; m++)
    if (chosen[m] != SIZE_MAX) bad = put_method(&w, &t->method[m], chosen[m], models);
  bad |= ferror(w.f) != 0;
  bad |= fclose(w.f) != 0;
  if (bad) snprintf(err, size, "out of memory");
  else bad = fl_file_write(path, text, length, err, size);
  free(text);
  return bad ? -1 : 0;
}
