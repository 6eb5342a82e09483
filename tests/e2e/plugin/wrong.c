/* wrong.c - plug-ins that must be refused, by what WRONG is; 0: one that is right, a copy of sgd. */
#include <fedlane/plugin.h>

enum { RIGHT, ABI, SIZE, KERNELS, TAKEN, FIELD, MISSING, SYMBOL, METHOD, RACE };

enum { H_WEIGHT_DECAY };
static const fl_param params[] = {
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, WRONG == FIELD ? -1 : 1e3, NULL, "decay of the weights", 0 },
};
typedef struct { float decay, lr; } arguments;
static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  const arguments *a = arg;
  (void)offset;
  lo->k->sgd(n, y, v, a->decay, a->lr);
}

void not_in_fedlane(void);
static _Thread_local unsigned steps;            /* what a hook must not have: a state that depends on the thread */

static void step(const double *h, fl_local *lo) {
  arguments a = { (float)(1.0 - lo->clock.lr_decay * h[H_WEIGHT_DECAY]), (float)lo->clock.lr };
  if (WRONG == RACE) a.lr *= 1.0f + 0x1p-10f * (float)(steps++ % 16);
#if WRONG == 6
  not_in_fedlane();
#endif
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, &a);
}

static const fl_rule copy = { .name = WRONG == TAKEN ? "adamw" : "my_sgd", .lr_decay = 1, .help = "a copy of sgd",
                              .params = params, .n_params = 1, .step = step };
static const fl_rule *const rules[] = { &copy };
static const fl_method methods[] = { { "my_fedavg", "", "my_sgd", WRONG == METHOD ? "lr=-1" : "lr=0.1", "samples", "none" } };

#if WRONG == 0 || WRONG == 4 || WRONG == 5 || WRONG == 6 || WRONG == 8 || WRONG == 9
FL_PLUGIN(.rule = rules, .n_rules = 1, .method = methods, .n_methods = WRONG != TAKEN);
#elif WRONG != 7
static const fl_catalogue catalogue = { .rule = rules, .n_rules = 1, .method = methods };
static const fl_abi_type types[] = {
#define ENTRY(type) { #type, sizeof(type) + (WRONG == SIZE && sizeof(type) == sizeof(fl_rule)) },
  FL_ABI_TYPES(ENTRY)
};
const fl_plugin fl_plugin_table = {
  FL_ABI + (WRONG == ABI), sizeof types / sizeof *types, types, WRONG == KERNELS ? "void other(void);" : fl_kernels_registry,
  &catalogue };
#else
__attribute__((visibility("default"))) const void *const unrelated[] = { rules, methods };
#endif
