/* backend.h - who computes the matrix products: this library, or oneDNN, whose bits nobody promises. */
#ifndef FEDLANE_BACKEND_H
#define FEDLANE_BACKEND_H
#include <fedlane/kernels.h>
#include <jansson.h>

typedef enum { FL_BACKEND_NATIVE, FL_BACKEND_ONEDNN } fl_backend;
#define FL_BACKEND_CHOICES "native|onednn"

typedef struct {
  fl_kernels kernels;                           /* the native table with oneDNN's operations in it */
  char version[32], library[1024], operations[128];   /* operations: "gemm_nn, ..." */
  const char *const *operation;                 /* the same, one by one, ended by NULL */
} fl_onednn_backend;
/* Loads the plug-in, once. NULL with a message in err: it was not built, cannot be loaded, or belongs to another build. */
const fl_onednn_backend *fl_onednn_load(const fl_kernels *native, char *err, size_t err_size);
/* As in run.json: name, and of oneDNN version, library and operations. NULL: native. */
json_t *fl_backend_json(const fl_onednn_backend *);
#endif
