/* plan.h - a network bound to a shape of sample: its modules, the layout of the flat vector, and where every array lies in the
 * scratch block. Private to models/. */
#ifndef FEDLANE_PLAN_H
#define FEDLANE_PLAN_H
#include "models/layer/layer.h"
#include "models/model.h"

/* An array of the scratch block that is needed from step `first` to step `last`: 0 takes the samples in, i + 1 is module i
 * forward, n + 1 the loss, 2n + 1 - i module i backward. bytes, offset: a sample's; of a batch both are times the batch. */
typedef struct { size_t first, last, bytes, offset; } fl_span;
enum { FL_NOWHERE = -1 };
/* Spans by number, FL_NOWHERE: none. Of module i: its output (i + 1; 0: the samples), what it keeps, the gradient of its
 * output, and where a gradient waits that is added to another one. makes: bit j, nobody behind it has a gradient of input j. */
typedef struct { int value, kept, gradient, apart[FL_LAYER_INPUTS]; unsigned makes; } fl_place_of;
/* Where what lies while it trains, or while it only goes forward. place: of the samples, then of the n modules. */
typedef struct { size_t n_spans, bytes; fl_span *span; fl_place_of *place; } fl_arena;
/* Finds offsets at which spans that are needed at the same time do not meet; returns the bytes of all. */
size_t fl_spans_place(fl_span *, size_t n);
/* 0, or -1: no memory. */
int fl_arena_plan(fl_arena *, const fl_module *, size_t n, const fl_shape *input, int training);
void fl_arena_free(fl_arena *);

struct fl_model {
  fl_adapters *adapters;                        /* NULL: none */
  fl_objective objective;
  fl_layout layout;
  fl_samples train, test;
  fl_make_row *make; const void *maker;         /* of training rows, or NULL */
  size_t channels; float *scale, *shift, *noise_scale;  /* of each: input = fma(byte, scale, shift) */
  const float *sigma;                           /* noise of each training row, or NULL; in inputs it is times noise_scale */
  size_t labels;                                /* of a row */
  fl_module loss;
  size_t outputs;                               /* logits of a label */
  fl_key noise_key;
  size_t n; fl_module *module;
  fl_shape input;
  fl_arena arena[2];                            /* of evaluation, of training */
  fl_tensor *tensor; fl_start *start;
  const float *begin;                           /* in place of the starts, or NULL */
  unsigned draws;                               /* a layer draws */
  char *text;                                   /* names of layers and tensors */
  char net[64];
};

/* bind.c: modules, shapes and layout of the network; 0, or -1 with the layer that does not fit. */
int fl_bind(fl_model *, const fl_net *, char *err, size_t err_size);

/* A batch on its way through the network: what the loops of plan.c go over, a module at a time. */
typedef struct {
  const fl_model *m; const fl_arena *arena; const fl_kernels *k;
  const float *p; float *g, *moves;
  const fl_key *draws;
  int training;
  size_t n;                                     /* samples */
  char *base, *work;                            /* the arena; the modules' scratch */
} fl_batch;
void fl_batch_forward(const fl_batch *, size_t module);
void fl_batch_backward(const fl_batch *, size_t module);
/* loss.c. The labels of a batch, a byte each or, word not NULL, a word each; the losses' numbers; predictions. */
typedef struct { size_t rows; uint8_t *byte; uint32_t *word; float *loss; int32_t *pred; } fl_labels;
/* Numbers of loss of a row. */
static inline size_t fl_loss_numbers(const fl_model *m) { return m->loss.type->acts & FL_LOSS_OF_LOGITS ? m->outputs : 1; }
static inline int fl_label_words(const fl_model *m) { return m->loss.words || m->train.label32; }
/* Whether labels can be drawn: from a softmax, for every row one of up to 256 classes. */
static inline int fl_loss_draws(const fl_model *m) {
  return m->loss.type->acts & FL_SOFTMAX && m->loss.ignore == FL_IGNORE_NONE && !m->train.label32;
}
/* Labels drawn from the softmax of the logits, instead of the data's; classes - 1 - label, in the place of each. */
void fl_labels_draw(const fl_batch *, const fl_labels *, const float *logits, const fl_key *);
void fl_labels_flip(const fl_batch *, const fl_labels *);
/* Mean loss; the logits' gradient is written. Of drawn labels: cross-entropy without weights and smoothing. */
double fl_loss_gradient(const fl_batch *, const fl_labels *, const float *logits);
double fl_loss_of_drawn(const fl_batch *, const fl_labels *, const float *logits);
void fl_loss_evaluate(const fl_batch *, const fl_labels *, const float *logits, fl_eval *);

static inline float *fl_batch_span(const fl_batch *b, int span) {
  return span == FL_NOWHERE ? NULL : (float *)(void *)(b->base + b->arena->span[span].offset * b->n);
}

size_t fl_plan_work(void *self, size_t batch);
double fl_plan_grad(void *self, const fl_kernels *, const float *x, const fl_rows *, float *g, void *work);
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
