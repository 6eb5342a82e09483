/* plugin.c - see plugin.h. What was loaded stays: the catalogue has its tables. */
#include "plugin.h"
#include "atomic.h"
#include "data.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fl_loaded_plugin *loaded;
static size_t n_loaded;

size_t fl_plugin_count(void) { return n_loaded; }
const fl_loaded_plugin *fl_plugin_at(size_t i) { return &loaded[i]; }

/* Whether half of the smallest normal number is a number here: what -ffast-math links into a shared object turns that off. */
static int has_subnormals(void) {
  volatile float smallest = 0x1p-126f, half = smallest * 0.5f;  /* kept apart: a compiler compares the factor alone */
  return half > 0;
}

/* Into the catalogue; the handle stays open also where that fails, as a message may be a text of the plug-in's. */
static int take(fl_loaded_plugin *p, const char *where, char *err, size_t size) {
  char from[5000];
  snprintf(from, sizeof from, "%s: plug-in '%s'", where, p->path);
  void *handle = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return snprintf(err, size, "%s cannot be loaded: %s", from, dlerror()), -1;
  if (!has_subnormals())
    return snprintf(err, size, "%s was linked with -ffast-math, which changes the arithmetic of the whole process; allowed: "
                               "-fno-fast-math (CMake: Fedlane::plugin)", from), -1;
  const fl_plugin *plugin = dlsym(handle, FL_PLUGIN_SYMBOL);
  if (!plugin)
    return snprintf(err, size, "%s has no symbol " FL_PLUGIN_SYMBOL "; allowed: a shared object with FL_PLUGIN "
                               "(fedlane/plugin.h) in one of its files", from), -1;
  p->abi = plugin->abi;
  if (fl_plugin_register(plugin, from, err, size)) return -1;
  p->catalogue = plugin->catalogue;
  return 0;
}

int fl_plugin_load(const char *path, const char *where, int from_option, char *err, size_t size) {
  fl_loaded_plugin p = { .from_option = from_option };
  unsigned char *bytes;
  size_t n;
  char *real = realpath(path, NULL), why[4500];
  if (!real || strlen(real) >= sizeof p.path) {
    snprintf(err, size, "%s: plug-in '%s': %s; allowed: the path of a shared object", where, path,
             strerror(real ? ENAMETOOLONG : errno));
    return free(real), -1;
  }
  snprintf(p.path, sizeof p.path, "%s", real);
  free(real);
  if (fl_file_read(p.path, &bytes, &n, why, sizeof why)) return snprintf(err, size, "%s: plug-in: %s", where, why), -1;
  fl_sha256(bytes, n, p.sha256);
  free(bytes);
  for (size_t i = 0; i < n_loaded; i++)
    if (!strcmp(loaded[i].sha256, p.sha256)) return loaded[i].from_option |= from_option, 0;
  fl_loaded_plugin *grown = realloc(loaded, (n_loaded + 1) * sizeof *grown);
  if (!grown) return snprintf(err, size, "%s: out of memory", where), -1;
  loaded = grown;
  if (take(&p, where, err, size)) return -1;
  loaded[n_loaded++] = p;
  return 0;
}

int fl_plugins_take(int *argc, char **argv, char *err, size_t size) {
  int kept = 0;
  for (int i = 0; i < *argc; i++) {
    const char *path = !strncmp(argv[i], "--plugin=", 9) ? argv[i] + 9 : NULL;
    if (!strcmp(argv[i], "--plugin")) {
      if (i + 1 == *argc) return snprintf(err, size, "--plugin: no path; allowed: --plugin FILE.so"), -1;
      path = argv[++i];
    }
    if (!path) argv[kept++] = argv[i];
    else if (fl_plugin_load(path, "--plugin", 1, err, size)) return -1;
  }
  argv[*argc = kept] = NULL;
  return 0;
}

/* ---- what results say ---------------------------------------------------------------------------------------------------- */
const fl_loaded_plugin *fl_plugin_of(const void *table) {
  for (size_t i = 0; i < n_loaded; i++) {
    const fl_catalogue *c = loaded[i].catalogue;
    for (size_t k = 0; k < c->n_rules; k++) if (c->rule[k] == table) return &loaded[i];
    for (size_t k = 0; k < c->n_stages; k++) if (c->stage[k] == table) return &loaded[i];
    for (size_t k = 0; k < c->n_methods; k++) if (&c->method[k] == table) return &loaded[i];
  }
  return NULL;
}

static int uses(const fl_algorithm *a, const fl_loaded_plugin *p) {
  int yes = fl_plugin_of(a->rule) == p || fl_plugin_of(a->server_rule) == p;
  for (size_t i = 0; i < a->n_stages; i++) yes |= fl_plugin_of(a->stage[i]) == p;
  for (size_t i = 0; i < p->catalogue->n_methods; i++) yes |= !strcmp(p->catalogue->method[i].name, a->name);
  return yes;
}

static int by_sum(const void *a, const void *b) {
  return strcmp((*(const fl_loaded_plugin *const *)a)->sha256, (*(const fl_loaded_plugin *const *)b)->sha256);
}

static json_t *list(const fl_algorithm *a, int sums) {
  const fl_loaded_plugin **used = calloc(n_loaded + 1, sizeof *used);
  size_t n = 0;
  if (!used) abort();                           /* a run_id without them would be another run's */
  for (size_t i = 0; i < n_loaded; i++)
    if (uses(a, &loaded[i])) used[n++] = &loaded[i];
  qsort(used, n, sizeof *used, by_sum);
  json_t *out = n ? json_array() : NULL;
  for (size_t i = 0; i < n; i++)
    json_array_append_new(out, sums ? json_string(used[i]->sha256)
                               : json_pack("{s:s, s:s, s:I}", "path", used[i]->path, "sha256", used[i]->sha256, "abi",
                                           (json_int_t)used[i]->abi));
  free(used);
  return out;
}

json_t *fl_plugins_json(const fl_algorithm *a) { return list(a, 0); }
json_t *fl_plugins_sums(const fl_algorithm *a) { return list(a, 1); }
