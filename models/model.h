/* model.h - networks over one flat parameter vector: layers that read one another, the layout that follows from them, and the
 * objective that a network makes with a data set. */
#ifndef FEDLANE_MODEL_H
#define FEDLANE_MODEL_H
#include <fedlane/objective.h>

/* A layer as it is written. type: `fedlane list layers`. name: prefix of the tensors ("conv1" -> conv1.weight, conv1.bias), as in
 * the state_dict of the PyTorch twin. settings: "key=value key=value" of the type's parameters. from: names of the layers that it
 * reads, separated by blanks, "input" for the samples; NULL: the layer before it. where: "file:line:column", NULL: code. */
typedef struct { const char *type, *name, *settings, *from, *where; } fl_layer_spec;
#define FL_READS(type, name, settings, from) { type, name, settings, from, NULL }
#define FL_NEXT(type, name, settings) FL_READS(type, name, settings, NULL)        /* the layer before it */
/* The last layer's output is the network's: one logit a class, or as many as the loss wants that stands behind it: a layer of
 * type cross_entropy, binary_entropy or multi_margin; without one it is cross_entropy. */
typedef struct { const char *name, *help; size_t n; const fl_layer_spec *layer; } fl_net;
enum { FL_SIZED_LAYERS = 17 };
typedef struct { fl_net net; char name[64]; fl_layer_spec layer[FL_SIZED_LAYERS]; char text[FL_SIZED_LAYERS][16]; } fl_net_sized;

size_t fl_net_count(void);
const fl_net *fl_net_at(size_t i);
/* A network of the list, or one whose name says its sizes (mlp_300_100), and either with adapters (mlp_lora8: of rank 8), which
 * is made in *room and lives as long as that. NULL when unknown; room NULL: only the list. */
const fl_net *fl_net_find(const char *name, fl_net_sized *room);
/* Adapters (adapters.c): B A of this rank, times alpha/rank. on: NULL, on every matrix but the head's; else parts of their names,
 * whole words between dots, "attn.qkv+fc1". */
typedef struct { size_t rank; double alpha; const char *on; } fl_adapter_form;
/* Those of a network, as its name ends: _loraRANK[_alphaALPHA][_on_PART[+PART ..]], alpha the rank unless it is said. 1; 0: there
 * are none, all of it is trained; -1: the name has _lora and a digit, and something else behind. */
int fl_net_adapters(const fl_net *, fl_adapter_form *);

/* Samples in memory, c*h*w numbers a row: one of pixels, bytes as in the file, whose inputs are (byte*1/255 - mean)/std, one fma;
 * features, the inputs themselves (c 1: h positions of w, with h 1 a vector); a vector with few that are not 0: row i's are
 * value[begin[i]] to value[begin[i + 1] - 1] at column[...], which rise; tokens (c and h 1), whole numbers from 0. A label a row,
 * or `positions` labels a row, one for each position of the network's output. channel: NULL, or c means and c deviations of the
 * channels of pixels, in the place of the model's mean and std. augment: bits of FL_AUGMENT_*, what a gradient that may draw does
 * to training rows of pixels: up to 4 pixels of shift, 0 beyond the edge, and a mirror image of every other one. */
enum { FL_AUGMENT_CROP = 1, FL_AUGMENT_FLIP = 2 };
enum { FL_BYTE_CLASSES = 256, FL_MOST_CLASSES = 1 << 24 };     /* of labels of a byte; of those of 32 bits */
typedef struct {
  size_t n, c, h, w, classes;
  const uint8_t *pixels, *label;
  const float *features; const int32_t *tokens;
  size_t positions;                             /* 0: one label a row */
  const double *channel;
  const uint32_t *label32;                      /* in the place of label, where classes are more than 256 */
  const size_t *begin; const uint32_t *column; const float *value;
  unsigned augment;
} fl_samples;
static inline uint32_t fl_samples_label(const fl_samples *s, size_t i) { return s->label32 ? s->label32[i] : s->label[i]; }
/* How one row is augmented: by how much it is shifted (-4 to 4), whether it is mirrored; drawn from the key of the gradient and
 * the row's number. And the row, c planes of h*w. */
typedef struct { int down, right, mirrored; } fl_augmented;
fl_augmented fl_augment_draw(unsigned augment, const fl_key *draws, uint32_t row);
void fl_augment_row(const fl_augmented *, size_t c, size_t h, size_t w, const uint8_t *from, uint8_t *to);

typedef struct fl_model fl_model;
/* Builds net for samples of train's shape; NULL with a message in err when shapes do not fit (names the layer). The
 * samples must outlive the model. mean and std are of the pixels scaled to 0..1. */
fl_model *fl_model_new(const fl_net *, const fl_samples *train, const fl_samples *test, double mean, double std, char *err,
                       size_t err_size);
/* Training rows are made when they are asked for, in place of train's pixels and labels: a pure function, called by workers. */
typedef void fl_make_row(const void *self, const fl_kernels *, uint32_t row, uint8_t *pixels, uint8_t *label);
void fl_model_make_rows(fl_model *, fl_make_row *, const void *self);
void fl_model_free(fl_model *);
/* Tensors of the network itself, without adapters; and the values, as many floats as they have, that it begins from in place of
 * random ones: they must outlive the model. */
const fl_layout *fl_model_layout(const fl_model *);
void fl_model_begin(fl_model *, const float *x);
/* The same of a model with adapters: all tensors of its objective, the adapters among them. */
void fl_model_begin_adapted(fl_model *, const float *x);
/* Gaussian noise on the inputs of training rows: row r's has standard deviation sigma[r], of pixels scaled to 0..1, and is the
 * same at every access: drawn from `key` with the row as its client. sigma (n floats) must outlive the model; NULL: no noise. */
void fl_model_noise(fl_model *, const float *sigma, const fl_key *key);
const fl_objective *fl_model_objective(const fl_model *);
/* Logits (of every row of output as many as the loss has, mostly one a class) of rows given by index (of train, or of test). */
void fl_model_logits(const fl_model *, const fl_kernels *, const float *x, const fl_samples *from, const uint32_t *index,
                     size_t count, float *logits, void *work);
/* Activation bytes at this batch and multiply-adds a sample, forward. */
size_t fl_model_activation_bytes(const fl_model *, size_t batch);
double fl_model_macs(const fl_model *);

/* An objective of adapters over another, which must outlive it; NULL with a message in err when their form does not fit. */
typedef struct fl_adapters fl_adapters;
fl_adapters *fl_adapters_new(const fl_objective *, const fl_adapter_form *, char *err, size_t err_size);
const fl_objective *fl_adapters_objective(const fl_adapters *);
void fl_adapters_begin(fl_adapters *, const float *x);      /* what init gives in place of its own values */
void fl_adapters_free(fl_adapters *);
#endif
