/* backend.h - who computes the layers: this library, or oneDNN, whose bits nobody promises. */
#ifndef FEDLANE_BACKEND_H
#define FEDLANE_BACKEND_H
#include <fedlane/kernels.h>
#include <jansson.h>

typedef enum { FL_BACKEND_NATIVE, FL_BACKEND_ONEDNN } fl_backend;
#define FL_BACKEND_CHOICES "native|onednn"
enum { FL_BACKEND_OPERATIONS = 32 };           /* at most */

typedef struct {
  fl_kernels kernels;                           /* the native table with oneDNN's operations in it */
  char version[32], library[1024], operations[512];   /* operations: "gemm_nn, ..." */
  const char *const *operation;                 /* the same, one by one, ended by NULL */
  uint64_t (*native_calls)(size_t operation);   /* since the plug-in was loaded */
} fl_onednn_backend;
/* Loads the plug-in, once. NULL with a message in err: it was not built, cannot be loaded, or belongs to another build. */
const fl_onednn_backend *fl_onednn_load(const fl_kernels *native, char *err, size_t err_size);
/* As in run.json: name, and of oneDNN version, library and operations. NULL: native. */
json_t *fl_backend_json(const fl_onednn_backend *);
/* Calls of each operation, until now, that the native kernel computed: oneDNN refused, or could not keep to the contract. */
void fl_backend_count(const fl_onednn_backend *, uint64_t calls[FL_BACKEND_OPERATIONS]);
/* Those since `before` by operation, without zeros, as in summary.json. */
json_t *fl_backend_native_json(const fl_onednn_backend *, const uint64_t before[FL_BACKEND_OPERATIONS]);
#endif
