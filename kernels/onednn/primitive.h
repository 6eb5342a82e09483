/* primitive.h - what the files of this folder share: the native table, and oneDNN's primitives, each made once for a shape and
 * kept. Making one takes 0.3 to 50 ms, and a federated run has as many shapes as its clients have sizes of a last batch.
 *
 * Every thread has a store of its own, with its own stream and scratch, so that nothing is locked; the generated code itself is
 * shared between them by oneDNN. The least recently used primitive goes when a store is full. What oneDNN refuses is remembered
 * too, and computed by the native kernel, which is counted. */
#ifndef FL_ONEDNN_PRIMITIVE_H
#define FL_ONEDNN_PRIMITIVE_H
#include <dnnl.h>
#include <fedlane/kernels.h>

/* The kernels that oneDNN computes. */
#define FL_ONEDNN_OPERATIONS(X) \
  X(gemm_nn) X(gemm_nt) X(gemm_tn) X(gemm_nn_add) X(gemm_tn_add) X(conv_forward) X(conv_grad_weight) X(conv_grad_input) \
  X(conv_pool) X(conv_pool_back) X(maxpool2) X(maxpool2_back) X(max_pool) X(max_pool_back) X(avg_pool) X(avg_pool_back) \
  X(layer_norm) X(layer_norm_back) X(batch_norm)
#define FL_OP(family, name, ret, args, traffic, formula) ret fl_onednn_##name args;
#include <fedlane/ops.def>

extern fl_kernels fl_onednn_native;             /* takes what oneDNN refuses */
#define FL_ONEDNN_INDEX(name) FL_ONEDNN_OF_##name,
enum { FL_ONEDNN_OPERATIONS(FL_ONEDNN_INDEX) FL_ONEDNN_COUNT };
void fl_onednn_count(int operation);
/* The native kernel in the place of oneDNN's, counted. */
#define FL_ONEDNN_NATIVE(name) (fl_onednn_count(FL_ONEDNN_OF_##name), fl_onednn_native.name)

/* Inside of these two the calling thread's OpenMP regions have one thread: a worker of the team has one core, and may not open a
 * team of its own. The number is the calling thread's setting, so others do not see it. */
int fl_onednn_alone(void);
void fl_onednn_together(int threads);           /* what fl_onednn_alone gave */

/* ---- primitives ---------------------------------------------------------------------------------------------------------- */
enum { FL_ONEDNN_KEY = 16, FL_ONEDNN_OPERANDS = 9 };
/* An operation and its shape: all that its maker reads. Compared whole. */
typedef struct { int64_t of[FL_ONEDNN_KEY]; } onednn_key;
typedef struct {
  int arg, written;             /* DNNL_ARG_... */
  dnnl_memory_t given, own;     /* as the caller has it; as the primitive wants it, NULL: the same */
  dnnl_primitive_t reorder;     /* from one to the other */
  size_t at;                    /* of `own` in the scratch, in bytes */
} onednn_operand;
typedef struct {
  dnnl_primitive_t primitive;
  onednn_operand operand[FL_ONEDNN_OPERANDS];
  size_t operands, scratch;
} onednn_job;
/* 0: oneDNN refused. What it has added to the job is dropped then. */
typedef int (*onednn_maker)(const onednn_key *, onednn_job *);

/* The calling thread's job for the key, made if there is none. NULL: refused. */
onednn_job *fl_onednn_find(const onednn_key *, onednn_maker);
/* Runs it on an array an operand, in the order in which they were added. 0: it failed. */
int fl_onednn_run(onednn_job *, const void *const *array);

/* For makers. */
dnnl_engine_t fl_onednn_engine(void);
enum { FL_ONEDNN_ANY = 1, FL_ONEDNN_BYTES = 2, FL_ONEDNN_BLOCKED = 4 };
/* Dense with the last dimension innermost; with FL_ONEDNN_ANY as the primitive likes it; with FL_ONEDNN_BLOCKED, of four
 * dimensions, channels side by side, as many as a vector has lanes. NULL: no memory. */
dnnl_memory_desc_t fl_onednn_layout(int dims, const int64_t *dim, unsigned options);
/* One more operand; the caller's array is dense. */
int fl_onednn_operand(onednn_job *, const_dnnl_primitive_desc_t, int arg, int written, int dims, const int64_t *dim,
                      unsigned options);
/* A maker's end. If all was `made` so far, the primitive that `back`, or without it `forward`, describes; descriptions and
 * layouts (NULL where there is none) are dropped in any case. 0: refused. */
int fl_onednn_finish(onednn_job *, int made, dnnl_primitive_desc_t forward, dnnl_primitive_desc_t back, size_t layouts,
                     const dnnl_memory_desc_t *layout);

/* ---- scratch ------------------------------------------------------------------------------------------------------------- */
enum { FL_ONEDNN_REORDERED, FL_ONEDNN_FULL, FL_ONEDNN_SMALL, FL_ONEDNN_PLACES, FL_ONEDNN_BUFFERS };
/* The calling thread's, until it asks for more of the same. NULL: no memory. */
void *fl_onednn_buffer(int which, size_t bytes);
#endif
