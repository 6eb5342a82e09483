/* objective.h - what an optimizer minimises: one flat vector with a layout, and a loss with its gradient over sample
 * indices. The models implement it; a user of the library can do so in a page of code (docs/examples/objective). */
#ifndef FEDLANE_OBJECTIVE_H
#define FEDLANE_OBJECTIVE_H
#include <stddef.h>
#include <stdint.h>
#include <fedlane/kernels.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { FL_MATRIX, FL_CONV, FL_BIAS, FL_NORM, FL_EMBED, FL_HEAD, FL_Q, FL_K, FL_V, FL_QKV, FL_O, FL_LORA_A,
               FL_LORA_B, FL_TOKEN, FL_BUFFER } fl_role;
/* One tensor of the flat vector: shape (out, in) or (out, in, kh, kw) or (n), row-major; layer: module, forward order. */
typedef struct { const char *name; fl_role role; int layer, heads, ndim; size_t shape[4], offset, size; } fl_tensor;
/* n tensors; the first d floats are trained, then `buffers` floats that are averaged and saved but not trained. */
typedef struct { size_t n, d, buffers; const fl_tensor *tensor; } fl_layout;

/* Evaluation of test rows, additive over disjoint ranges: loss is the sum of the rows' losses. Where a row has several labels,
 * each counts as a row. */
typedef struct { double loss; uint64_t correct, count; int diverged; } fl_eval;

/* What a gradient is asked of: rows index[0..count), count >= 1; with labels as sampled_grad, flipped as flipped_grad, buffers as
 * step_grad has them. draws: what a model that draws while it trains (dropout) draws from, its own for every gradient of a run;
 * NULL: the gradient without draws. */
typedef struct {
  const uint32_t *index; size_t count;
  const fl_key *labels, *draws;
  int flipped;
  float *buffers;
} fl_rows;

/* A key whose draws have nothing to do with the key's own or those of another number: its seed is words 0 and 1 of Philox at
 * (number, 0, 0, purpose*2^24) under the seed. */
fl_key fl_key_child(const fl_key *, uint32_t number);

typedef struct fl_objective {
  const char *name;
  void *self;
  const fl_layout *layout;
  size_t n, n_test, classes;                       /* samples, test rows (0: none), classes (0: not a classifier) */
  /* x (d + buffers floats) at the start; every draw from (seed, FL_PURPOSE_INIT). */
  void (*init)(void *self, uint64_t seed, float *x);
  /* Bytes of scratch that loss_grad and evaluate need for at most `batch` rows. */
  size_t (*work)(void *self, size_t batch);
  /* Mean loss over rows index[0..count) at x (d + buffers), its gradient into g (d floats, overwritten). count >= 1. Must
   * be a pure function of its arguments (self is shared by all workers and only read). */
  double (*loss_grad)(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *work);
  /* Test rows first..first+count-1, count <= the batch that work was sized for. NULL when n_test is 0. */
  void (*evaluate)(void *self, const fl_kernels *, const float *x, size_t first, size_t count, fl_eval *out, void *work);
  /* loss_grad with labels drawn from the model's softmax at x, row r's from element r of the key's uniform draw; the loss is the
   * mean over the drawn labels. NULL: the objective has no such labels. */
  double (*sampled_grad)(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, const fl_key *,
                         float *g, void *work);
  /* loss_grad with label classes - 1 - y in the place of every y, for attacks on a federation. NULL: the objective has none. */
  double (*flipped_grad)(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g,
                         void *work);
  /* As evaluate, of the samples index[0..count): what the accuracy on each client's own data is counted by. NULL: the objective
   * does not classify. */
  void (*evaluate_samples)(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, fl_eval *out,
                           void *work);
  /* loss_grad of a training step for a model whose buffers (running statistics) move: it may update `buffers` as well, those of
   * the parameters in training; x may be a point near them. Called once a step, for its first gradient on the step's batch; a
   * pure function of its arguments, the old buffers among them. NULL: buffers stay as init made them. */
  double (*step_grad)(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g,
                      float *buffers, void *work);
  /* NULL, or all the gradients above in one, for a model that draws: a session then calls this one alone. loss_grad is the same
   * without draws. */
  double (*grad)(void *self, const fl_kernels *, const float *x, const fl_rows *, float *g, void *work);
  size_t frozen;                                   /* the last so many of the buffers no client changes: they are not sent */
  double adapter_scale;                            /* by which the product B A of adapters is multiplied; 0: it has none */
} fl_objective;
#ifdef __cplusplus
}
#endif
#endif
