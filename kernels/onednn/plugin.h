/* plugin.h - what the program and the plug-in of the second backend say to each other. oneDNN is 50 MB with a C++ run time: as
 * a dependency of the program every run would load it. So it is linked to a shared object of its own, which is loaded when a
 * configuration asks for it; and unlike looking up the library's functions by name, that leaves the compiler its header. */
#ifndef FL_ONEDNN_PLUGIN_H
#define FL_ONEDNN_PLUGIN_H
#include <fedlane/kernels.h>
#include <fedlane/registry.h>

#define FL_ONEDNN_FILE "fedlane-onednn.so"
#define FL_ONEDNN_SYMBOL "fl_onednn_plugin"
typedef struct {
  const char *registry;                         /* fl_kernels_registry when it was built */
  const char *const *operations;                /* the kernels that oneDNN computes, ended by NULL */
  void (*version)(char *text, size_t size);     /* of the library in use */
  const char *(*library)(void);                 /* its file */
  void (*table)(const fl_kernels *native, fl_kernels *out);
  uint64_t (*native_calls)(size_t operation);   /* so far, that oneDNN refused or could not compute as the contract wants */
} fl_onednn;
#endif
