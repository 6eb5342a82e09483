/* plan.h - a network bound to a shape of sample: what every layer reads, writes and owns of the flat vector, and where its
 * buffers lie in the scratch block. Private to models/. */
#ifndef FEDLANE_PLAN_H
#define FEDLANE_PLAN_H
#include "models/model.h"

typedef struct {
  fl_layer_kind kind;
  size_t in, out;                               /* floats a sample */
  size_t c, h, w;                               /* shape of the input */
  size_t weight, bias, fan_in;                  /* offsets in the flat vector (conv, linear) */
  fl_conv conv;
  int pooled;                                   /* conv: ReLU and pooling, the next two layers, are part of this step */
} fl_step;

struct fl_model {
  fl_adapters *adapters;                        /* NULL: none */
  fl_objective objective;
  fl_layout layout;
  fl_samples train, test;
  fl_make_row *make; const void *maker;         /* of training rows, or NULL */
  float scale, shift;                           /* input = fma(byte, scale, shift) */
  const float *sigma;                           /* noise of each training row, or NULL; in inputs it is times noise_scale */
  float noise_scale;
  fl_key noise_key;
  size_t n_steps, first;                        /* first: the first layer with parameters: needs no input gradient */
  size_t widest;                                /* most floats a sample of any layer boundary */
  fl_step step[FL_MAX_LAYERS];
  fl_tensor tensor[2 * FL_MAX_LAYERS];
  char name[2 * FL_MAX_LAYERS][48], net[64];
};

/* Byte offsets of one batch's buffers in the scratch block, each on its own cache line. act[0] is the input, act[i + 1] the
 * output of layer i (ReLU works in place: the same buffer); at: choices of a pooling layer. */
typedef struct {
  size_t act[FL_MAX_LAYERS + 1], at[FL_MAX_LAYERS], gradient[2], conv, label, loss, pred, row, total;
} fl_offsets;

void fl_plan_offsets(const fl_model *, size_t batch, fl_offsets *);
size_t fl_plan_work(void *self, size_t batch);
double fl_plan_loss_grad(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g,
    void *work);
/* With labels drawn from the softmax at x by the key, as fl_objective.sampled_grad says. */
double fl_plan_sampled_grad(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, const fl_key *,
                            float *g, void *work);
double fl_plan_flipped_grad(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g,
    void *work);
void fl_plan_evaluate_samples(void *self, const fl_kernels *, const float *x, const uint32_t *index, size_t count, fl_eval *out,
    void *work);
void fl_plan_evaluate(void *self, const fl_kernels *, const float *x, size_t first, size_t count, fl_eval *out, void *work);
#endif
