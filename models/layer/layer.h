/* layer.h - what a type of layer is: a table of functions over one module of a network, bound to a shape of sample. A new type is
 * one file of this folder that defines its table, and one line of layers.def. */
#ifndef FEDLANE_LAYER_H
#define FEDLANE_LAYER_H
#include <fedlane/objective.h>
#include <fedlane/param.h>

enum { FL_LAYER_PARAMS = 12, FL_LAYER_INPUTS = 4, FL_LAYER_TENSORS = 16, FL_LAYER_BUFFERS = 4 };

/* What one sample is between two layers. A vector has one size; an image channels, rows, columns; a sequence positions and
 * features; tokens are positions of one 32-bit integer each. */
typedef enum { FL_VECTOR = 1, FL_SEQUENCE, FL_IMAGE, FL_TOKENS } fl_shape_kind;
typedef struct { fl_shape_kind kind; size_t dim[3]; } fl_shape;
static inline size_t fl_shape_size(const fl_shape *s) {
  const size_t n = s->dim[0] * (s->kind == FL_SEQUENCE || s->kind == FL_IMAGE ? s->dim[1] : 1);
  return s->kind == FL_IMAGE ? n * s->dim[2] : n;
}

typedef struct fl_layer fl_layer;
/* A layer of a network. `in`: values that it reads, 0 the samples, i + 1 the output of module i. at: where its tensors begin in
 * the flat vector, in the order in which bind added them. */
typedef struct {
  const fl_layer *type;
  const char *name, *where;                     /* where: "file:line:column", NULL: a table in code */
  double h[FL_LAYER_PARAMS];
  size_t n_in, in[FL_LAYER_INPUTS];
  fl_shape from, to;                            /* of the first input, of the output */
  size_t n_tensors, at[FL_LAYER_TENSORS];
  size_t n_buffers, buffer[FL_LAYER_BUFFERS];   /* the same of its buffers: behind the trained floats */
  int draws;                                    /* it draws while it trains: set by bind */
  int trains;                                   /* it, or what it reads, has parameters: its backward runs */
  size_t n_numbers; float *number;              /* of its parameter that is a list (FL_NUMBERS) */
  int words; uint32_t ignore;                   /* of a loss: it takes labels of 32 bits; the label that does not count */
} fl_module;

/* One call of a module over n samples. Arrays of samples are dense, a sample after the other. */
typedef struct {
  const fl_kernels *k;
  size_t n;
  const float *p;                               /* the flat vector and its buffers; in backward also its gradient g */
  float *g;
  float *moves;                                 /* NULL, or the buffers that forward moves: a training step; at buffer[i] - d */
  size_t d;
  const fl_key *draws;                          /* NULL: nothing is drawn; else this layer's own */
  int training;                                 /* forward: statistics of the batch, not the running ones */
  const float *x[FL_LAYER_INPUTS];
  float *y;                                     /* x[0], if the type works in place and nobody else reads that */
  void *kept, *work;                            /* from forward to backward; of this call alone */
  const float *dy;
  float *dx[FL_LAYER_INPUTS];                   /* NULL: nobody asks for it; dx[0] may be dy where the type says so */
} fl_pass;

/* One call of a loss: rows of `width` logits and their labels, as bytes or, where the module or the data want words, as words. */
typedef struct {
  const fl_kernels *k;
  size_t rows, width;
  const float *logits;
  const uint8_t *byte; const uint32_t *word;    /* word NULL: the bytes count */
  float scale, *dlogits, *loss;                 /* the gradient of the sum times scale; the losses of the rows */
} fl_loss_pass;

/* What bind tells about a module, beside its `to`. */
typedef struct fl_binder fl_binder;
/* How a tensor begins. */
typedef enum {
  FL_START_UNIFORM,                             /* in +-1/sqrt(of): of the fan-in */
  FL_START_VALUE,                               /* `of` itself */
  FL_START_NORMAL                               /* Gaussian with deviation `of` */
} fl_start_kind;
typedef struct { fl_start_kind kind; double of; } fl_start;
/* Matrices and biases of layers that have this parameter. */
#define FL_PARAM_STD \
  { "std", 0, 0, 1e6, NULL, "standard deviation of the initial weights, biases 0; 0: all uniform in +-1/sqrt(inputs)", 0 }
static inline fl_start fl_start_weight(double std, size_t in) {
  return std > 0 ? (fl_start){ FL_START_NORMAL, std } : (fl_start){ FL_START_UNIFORM, (double)in };
}
static inline fl_start fl_start_bias(double std, size_t in) {
  return std > 0 ? (fl_start){ FL_START_VALUE, 0 } : (fl_start){ FL_START_UNIFORM, (double)in };
}
/* One more tensor, named MODULE.part. */
void fl_bind_tensor(fl_binder *, const char *part, fl_role, fl_start, int ndim, const size_t *shape);
/* The last tensor's rows or columns are those of so many heads. */
void fl_bind_heads(fl_binder *, int heads);
/* One more buffer, that is not trained, but moves with training steps, is averaged and saved; it begins at `start`. */
void fl_bind_buffer(fl_binder *, const char *part, double start, int ndim, const size_t *shape);
/* -1, with the network, the layer and the text as the message. */
int fl_bind_refuse(fl_binder *, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t fl_bind_classes(const fl_binder *);
int fl_bind_direct(const fl_binder *);           /* whether the network's name says that no convolution is by Winograd */
size_t fl_bind_positions(const fl_binder *);     /* labels of a row of the data; 0: one of the whole row */
/* Numbers of a row of the network's output, as its loss wants them: one a class, of some losses one. */
size_t fl_bind_outputs(const fl_binder *);
/* Shape of input i, which are fl_module.n_in. */
const fl_shape *fl_bind_input(const fl_binder *, size_t i);
/* A token of the data that is not in 0..tokens-1, 0: there is none. */
int32_t fl_bind_token_outside(const fl_binder *, size_t tokens);
/* "3x32x32" and the like. */
const char *fl_shape_text(const fl_shape *, char out[64]);

enum { FL_IN_PLACE = 1,                         /* forward: y may be x[0] */
       FL_KEEPS_INPUT = 2, FL_KEEPS_OUTPUT = 4, /* backward reads x, y */
       FL_BACK_IN_PLACE = 8,                    /* backward: dx[0] may be dy */
       FL_LOSS_OF_LOGITS = 16,                  /* a loss of which every logit has a number, not every row */
       FL_SOFTMAX = 32 };                       /* a loss of the softmax: labels can be drawn from that */
struct fl_layer {
  const char *name, *help;
  const fl_param *params; size_t n_params;
  size_t least, most;                           /* inputs */
  unsigned acts;
  /* Sets m->to from m->from (and the other inputs) and m->h; adds tensors. 0, or -1 by fl_bind_refuse. */
  int (*bind)(fl_module *m, fl_binder *);
  size_t (*kept)(const fl_module *);            /* bytes a sample; NULL: none */
  size_t (*work)(const fl_module *, size_t n);  /* bytes of scratch, forward and backward; NULL: none */
  void (*forward)(const fl_module *, const fl_pass *);
  /* Writes the gradients of its tensors and every dx that is asked for. NULL: every input's gradient is dy. */
  void (*backward)(const fl_module *, const fl_pass *);
  double (*macs)(const fl_module *);            /* multiply-adds a sample, forward; NULL: 0 */
  /* A loss stands behind the last layer, and has these in the place of the three above. logits of a row; NULL: one a class. */
  size_t (*logits)(size_t classes);
  void (*loss)(const fl_module *, const fl_loss_pass *);
};

size_t fl_layer_count(void);
const fl_layer *fl_layer_at(size_t i);
const fl_layer *fl_layer_find(const char *name);

/* conv_pool.c: what the plan makes of a convolution, ReLU and pooling in a row, where its kernel fits. */
extern const fl_layer fl_layer_conv_pool;
int fl_conv_pool_replaces(const fl_module *conv, const fl_module *relu, const fl_module *pool);
/* linear.c: y = x W^T + b of rows of `in` numbers, W (out, in), and its way back, weight gradients cut at `piece` rows; b, db, dx
 * NULL: none. */
typedef struct { size_t rows, in, out, piece; } fl_linear;
void fl_linear_forward(const fl_kernels *, const fl_linear *, const float *x, const float *w, const float *b, float *y);
void fl_linear_back(const fl_kernels *, const fl_linear *, const float *x, const float *w, const float *dy, float *dw,
                    float *db, float *dx);
/* conv.c: the shape as the kernels take it, and its multiply-adds a sample. */
fl_conv fl_conv_of(const fl_module *);
double fl_conv_macs(const fl_module *);
#endif
