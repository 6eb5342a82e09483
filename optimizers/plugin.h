/* plugin.h - rules, stages and methods of a user's own, beside those of the catalogue: registered in memory by a program that
 * links the library, or defined in a shared object that `fedlane --plugin` loads (docs/examples/my_method). */
#ifndef FEDLANE_PLUGIN_H
#define FEDLANE_PLUGIN_H
#include <fedlane/optimizer.h>
#include <fedlane/registry.h>
#ifdef __cplusplus
extern "C" {
#endif

/* What is added. The tables must outlive every use of the library. */
typedef struct {
  const fl_rule *const *rule; size_t n_rules;
  const fl_stage *const *stage; size_t n_stages;
  const fl_method *method; size_t n_methods;
} fl_catalogue;
enum { FL_MAX_REGISTERED = 64,                  /* rules, stages and methods, of each, in all */
       FL_MAX_NAME = 32 };                      /* characters of a name: a to z, 0 to 9 and _, a letter first */
/* All of it, or, where a table has a field that is not valid or a name is there already, nothing: 0, or -1 and one message in
 * err. from: what messages call the source. From then on everything that takes a name finds these, as fl_rule_at and its like do.
 * The catalogue is the process's own and has no lock: register before any other thread uses the library, so before the first
 * session is opened. Nothing can be taken back. */
int fl_register(const fl_catalogue *, const char *from, char *err, size_t err_size);

/* ---- the binary interface ------------------------------------------------------------------------------------------------ */
/* Raised when the meaning of a public struct, hook or function changes. Sizes and kernels are compared besides. */
enum { FL_ABI = 1 };
/* The structs that a rule, a stage or a kernel's argument is made of. */
#define FL_ABI_TYPES(X) X(fl_kernels) X(fl_key) X(fl_run) X(fl_mix_args) X(fl_momentum_args) X(fl_adamw_args) X(fl_rmsprop_args) \
  X(fl_lion_args) X(fl_sign_args) X(fl_sophia_args) X(fl_conv) X(fl_tensor) X(fl_layout) X(fl_param) X(fl_blocks) X(fl_ask) \
  X(fl_oracle) X(fl_clock) X(fl_mix) X(fl_rule) X(fl_slot) X(fl_up) X(fl_local) X(fl_server) X(fl_stage) X(fl_job) \
  X(fl_method) X(fl_setting) X(fl_algorithm) X(fl_catalogue)
typedef struct { const char *name; size_t size; } fl_abi_type;
/* The one symbol that a shared object exports, and what it was built against; the number comes first in every version. */
typedef struct {
  uint32_t abi, n_types; const fl_abi_type *type;
  const char *kernels;                          /* fl_kernels_registry */
  const fl_catalogue *catalogue;
} fl_plugin;
#define FL_PLUGIN_SYMBOL "fl_plugin_table"
/* fl_register of a plug-in's catalogue, when it was built against these headers; else -1 and both numbers in err. */
int fl_plugin_register(const fl_plugin *, const char *from, char *err, size_t err_size);

/* In one file of the shared object: FL_PLUGIN(.rule = rules, .n_rules = 1, .stage = ..., .method = ...) */
#define FL_ABI_ENTRY(type) { #type, sizeof(type) },
#define FL_PLUGIN(...) \
  static const fl_abi_type fl_plugin_types[] = { FL_ABI_TYPES(FL_ABI_ENTRY) }; \
  static const fl_catalogue fl_plugin_catalogue = { __VA_ARGS__ }; \
  const fl_plugin fl_plugin_table = \
    { FL_ABI, sizeof fl_plugin_types / sizeof *fl_plugin_types, fl_plugin_types, fl_kernels_registry, &fl_plugin_catalogue }
extern __attribute__((visibility("default"))) const fl_plugin fl_plugin_table;      /* the plug-in defines it by FL_PLUGIN */
#ifdef __cplusplus
}
#endif
#endif
