/* onednn.c - the plug-in: layers by oneDNN behind the signatures of kernels.h, in orders of addition that depend on its version,
 * the CPU and the shape. A run that uses it is marked not reproducible. */
#include "kernels/onednn/plugin.h"
#include "primitive.h"
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>

#if DNNL_VERSION_MAJOR < 3
#error "oneDNN 3 or newer is needed"
#endif

fl_kernels fl_onednn_native;
static atomic_ullong natives[FL_ONEDNN_COUNT];
void fl_onednn_count(int operation) { atomic_fetch_add_explicit(&natives[operation], 1, memory_order_relaxed); }

#define NAME(name) #name,
static const char *const operations[] = { FL_ONEDNN_OPERATIONS(NAME) NULL };

#define PUT(name) out->name = fl_onednn_##name;
static void table(const fl_kernels *native, fl_kernels *out) {
  fl_onednn_native = *out = *native;
  FL_ONEDNN_OPERATIONS(PUT)
}

static uint64_t native_calls(size_t operation) {
  return operation < FL_ONEDNN_COUNT ? atomic_load_explicit(&natives[operation], memory_order_relaxed) : 0;
}

static void version(char *text, size_t size) {
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, size, "%d.%d.%d", v->major, v->minor, v->patch);
}

static const char *library(void) {
  Dl_info info;
  return dladdr(__extension__(void *) dnnl_sgemm, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

extern const fl_onednn fl_onednn_plugin __attribute__((visibility("default")));
const fl_onednn fl_onednn_plugin = { fl_kernels_registry, operations, version, library, table, native_calls };
