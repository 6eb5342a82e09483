/* rival_onednn.h - what the programs that time oneDNN's layers share: its engine, its primitives on arrays of their own, and the
 * second backend's table of kernels. */
#ifndef FEDLANE_RIVAL_ONEDNN_H
#define FEDLANE_RIVAL_ONEDNN_H
#include "../../kernels/onednn/plugin.h"
#include "rivals.h"
#include <dnnl.h>
#include <fedlane/kernels.h>

static const fl_kernels *kernels;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static inline void ok(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return;
  fprintf(stderr, "rivals: oneDNN: %s failed (%d)\n", what, (int)status);
  exit(1);
}

static inline void start_onednn(void) {
  const char *error;
  if (!(kernels = fl_kernels_select(NULL, &error))) die("kernels", error);
  ok(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
}

static inline void print_head(void) {
  const dnnl_version_t *v = dnnl_version();
  printf("{\"onednn\": \"oneDNN %d.%d.%d\", \"isa\": \"%s\"", v->major, v->minor, v->patch, kernels->name);
}

/* Of this thread alone: what the machine's other programs take does not count. */
static inline double own_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* In +-1/over. */
static inline void fill(float *p, size_t n, float over) {
  for (size_t i = 0; i < n; i++) p[i] = ((float)(i * 2654435761u >> 13 & 1023) / 512 - 1) / over;
}

/* The native table with the plug-in's operations in it. */
static inline const fl_kernels *backend_table(const char *path) {
  static fl_kernels made;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const fl_onednn *plugin = library ? dlsym(library, FL_ONEDNN_SYMBOL) : NULL;
  if (!plugin) die(path, dlerror());
  if (strcmp(plugin->registry, fl_kernels_registry)) die(path, "it belongs to another build");
  plugin->table(kernels, &made);
  return &made;
}

/* ---- primitives on arrays of their own ------------------------------------------------------------------------------------ */
enum { RIVAL_OPERANDS = 24 };
typedef struct rival {
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t arg[RIVAL_OPERANDS];
  int args;
  struct rival *then;                           /* a layer of several primitives; NULL: the last */
} rival;

static inline rival *rival_then(rival *r) {
  if (!(r->then = calloc(1, sizeof *r))) die("memory", "none left");
  return r->then;
}

static inline dnnl_memory_desc_t layout(int dims, const dnnl_dims_t dim, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t made;
  ok(dnnl_memory_desc_create_with_tag(&made, dims, dim, dnnl_f32, tag), "descriptor");
  return made;
}

static inline dnnl_memory_t memory_for(const_dnnl_memory_desc_t wanted, float over) {
  dnnl_memory_t m;
  void *data;
  ok(dnnl_memory_create(&m, wanted, engine, DNNL_MEMORY_ALLOCATE), "memory");
  ok(dnnl_memory_get_data_handle(m, &data), "data");
  fill(data, dnnl_memory_desc_get_size(wanted) / sizeof(float), over);
  return m;
}

/* The primitive with an array for every operand; those of the way back that forward has in the same layout are forward's. */
static inline void ready(rival *r, dnnl_primitive_desc_t plan, const rival *forward) {
  static const int all[] = {
    DNNL_ARG_SRC_0, DNNL_ARG_SRC_1, DNNL_ARG_SRC_2, DNNL_ARG_DST_0, DNNL_ARG_DST_1, DNNL_ARG_DST_2, DNNL_ARG_WEIGHTS_0,
    DNNL_ARG_WEIGHTS_1, DNNL_ARG_BIAS, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE, DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_WORKSPACE,
    DNNL_ARG_DIFF_SRC_0, DNNL_ARG_DIFF_DST_0, DNNL_ARG_DIFF_WEIGHTS_0, DNNL_ARG_DIFF_WEIGHTS_1, DNNL_ARG_DIFF_BIAS,
    DNNL_ARG_DIFF_SCALE, DNNL_ARG_DIFF_SHIFT };
  int inputs;
  ok(dnnl_primitive_desc_query(plan, dnnl_query_num_of_inputs_s32, 0, &inputs), "inputs");
  ok(dnnl_primitive_create(&r->primitive, plan), "primitive");
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const_dnnl_memory_desc_t wanted = dnnl_primitive_desc_query_md(plan, dnnl_query_exec_arg_md, all[i]);
    if (!wanted || !dnnl_memory_desc_get_size(wanted)) continue;
    /* The way back of layer norm counts the shift among its inputs, that of batch norm describes it alone. */
    if (forward && all[i] == DNNL_ARG_SHIFT && inputs < 6) continue;
    dnnl_memory_t m = NULL;
    for (int j = 0; forward && j < forward->args; j++) {
      const_dnnl_memory_desc_t had;
      ok(dnnl_memory_get_memory_desc(forward->arg[j].memory, &had), "descriptor");
      if (forward->arg[j].arg == all[i] && dnnl_memory_desc_equal(had, wanted)) m = forward->arg[j].memory;
    }
    const int small = all[i] == DNNL_ARG_WEIGHTS_0 || all[i] == DNNL_ARG_WEIGHTS_1;
    r->arg[r->args++] = (dnnl_exec_arg_t){ all[i], m ? m : memory_for(wanted, small ? 16 : 1) };
  }
  dnnl_primitive_desc_destroy(plan);
  if (forward) {
    ok(dnnl_primitive_execute(forward->primitive, stream, forward->args, forward->arg), "forward");
    ok(dnnl_stream_wait(stream), "wait");
  }
}

static inline void run_rival(const rival *r) {
  for (; r; r = r->then) ok(dnnl_primitive_execute(r->primitive, stream, r->args, r->arg), "execute");
  ok(dnnl_stream_wait(stream), "wait");
}

/* All but what it shares with forward's. */
static inline void drop_rival(rival *r, const rival *forward) {
  for (int i = 0; i < r->args; i++) {
    int shared = 0;
    for (const rival *f = forward; f; f = f->then)
      for (int j = 0; j < f->args; j++) shared |= f->arg[j].memory == r->arg[i].memory;
    if (!shared) dnnl_memory_destroy(r->arg[i].memory);
  }
  dnnl_primitive_destroy(r->primitive);
  if (!r->then) return;
  drop_rival(r->then, forward);
  free(r->then);
}
#endif
