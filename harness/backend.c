/* backend.c - finds and loads the plug-in of kernels/onednn. */
#include "backend.h"
#include "atomic.h"
#include "kernels/onednn/plugin.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside the program or one folder up (the build tree), or where the installation puts it, from the program's own place. */
static int find_plugin(char *path, size_t size) {
  static const char *const place[] = { ".", "..", FL_PLUGIN_DIR };
  char self[2048];
  fl_own_folder(self, sizeof self, 0);
  if (!*self) return -1;
  for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
    snprintf(path, size, "%s/%s/%s", self, place[i], FL_ONEDNN_FILE);
    if (!access(path, R_OK)) return 0;
  }
  return -1;
}

static int load(fl_onednn_backend *b, const fl_kernels *native, char *err, size_t size) {
  char path[4096];
  if (find_plugin(path, sizeof path))
    return snprintf(err, size, "not in this build: %s; scripts/setup --onednn fetches it, or -DFEDLANE_ONEDNN_ROOT=FOLDER names "
                               "an installation; then configure and build again", FL_ONEDNN_WHY), -1;
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const fl_onednn *plugin = handle ? dlsym(handle, FL_ONEDNN_SYMBOL) : NULL;
  if (!plugin) {
    const char *why = dlerror();
    return snprintf(err, size, "'%s' cannot be loaded: %s", path, why ? why : "it is no plug-in of fedlane"), -1;
  }
  if (strcmp(plugin->registry, fl_kernels_registry))
    return snprintf(err, size, "'%s' belongs to another build of fedlane; build or install both together", path), -1;
  plugin->version(b->version, sizeof b->version);
  snprintf(b->library, sizeof b->library, "%s", plugin->library());
  plugin->table(native, &b->kernels);
  b->operation = plugin->operations;
  b->native_calls = plugin->native_calls;
  for (const char *const *op = b->operation; *op; op++) {
    const size_t at = strlen(b->operations), room = sizeof b->operations - at;
    if (snprintf(b->operations + at, room, "%s%s", at ? ", " : "", *op) >= (int)room ||
        op - b->operation >= FL_BACKEND_OPERATIONS)
      return snprintf(err, size, "'%s' has more operations than this build of fedlane expects", path), -1;
  }
  return 0;
}

const fl_onednn_backend *fl_onednn_load(const fl_kernels *native, char *err, size_t size) {
  static fl_onednn_backend backend;
  static int loaded;
  if (!loaded && load(&backend, native, err, size)) return NULL;
  loaded = 1;
  return &backend;
}

json_t *fl_backend_json(const fl_onednn_backend *b) {
  if (!b) return json_pack("{s:s}", "name", "native");
  json_t *operations = json_array();
  for (const char *const *op = b->operation; *op; op++) json_array_append_new(operations, json_string(*op));
  return json_pack("{s:s, s:s, s:s, s:o}", "name", "onednn", "version", b->version, "library", b->library, "operations",
                   operations);
}

void fl_backend_count(const fl_onednn_backend *b, uint64_t calls[FL_BACKEND_OPERATIONS]) {
  for (size_t i = 0; b->operation[i]; i++) calls[i] = b->native_calls(i);
}

json_t *fl_backend_native_json(const fl_onednn_backend *b, const uint64_t before[FL_BACKEND_OPERATIONS]) {
  uint64_t now[FL_BACKEND_OPERATIONS];
  json_t *o = json_object();
  fl_backend_count(b, now);
  for (size_t i = 0; b->operation[i]; i++)
    if (now[i] > before[i]) json_object_set_new(o, b->operation[i], json_integer((json_int_t)(now[i] - before[i])));
  return o;
}
