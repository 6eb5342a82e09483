/* model.c - from a table of layers to a model: shapes, layout of the flat vector, initial values. */
#include "models/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds one tensor at the end of the flat vector. */
static size_t add_tensor(fl_model *m, const char *module, const char *part, fl_role role, int layer, int ndim,
    const size_t shape[4]) {
  size_t i = m->layout.n++;
  fl_tensor *t = &m->tensor[i];
  snprintf(m->name[i], sizeof m->name[i], "%s.%s", module, part);
  *t = (fl_tensor){ m->name[i], role, layer, 0, ndim, { shape[0], shape[1], shape[2], shape[3] }, m->layout.d, 1 };
  for (int j = 0; j < ndim; j++) t->size *= shape[j];
  m->layout.d += t->size;
  return t->offset;
}

static int bind_conv(fl_model *m, fl_step *s, const fl_layer_spec *l, int layer, char *err, size_t err_size) {
  if (l->k > s->h + 2 * l->p || l->k > s->w + 2 * l->p) {
    snprintf(err, err_size, "model %s, layer %s: a %zux%zu kernel does not fit in %zux%zu with padding %zu", m->objective.name,
             l->name, l->k, l->k, s->h, s->w, l->p);
    return -1;
  }
  s->conv = (fl_conv){ s->c, s->h, s->w, l->out, l->k, l->p };
  s->out = l->out * fl_conv_oh(&s->conv) * fl_conv_ow(&s->conv);
  s->fan_in = s->c * l->k * l->k;
  s->weight = add_tensor(m, l->name, "weight", FL_CONV, layer, 4, (const size_t[4]){ l->out, s->c, l->k, l->k });
  s->bias = add_tensor(m, l->name, "bias", FL_BIAS, layer, 1, (const size_t[4]){ l->out, 0, 0, 0 });
  return 0;
}

static void bind_linear(fl_model *m, fl_step *s, const fl_layer_spec *l, int layer) {
  s->out = l->out ? l->out : m->objective.classes;
  s->fan_in = s->in;
  s->weight = add_tensor(m, l->name, "weight", l->out ? FL_MATRIX : FL_HEAD, layer, 2, (const size_t[4]){ s->out, s->in, 0, 0 });
  s->bias = add_tensor(m, l->name, "bias", FL_BIAS, layer, 1, (const size_t[4]){ s->out, 0, 0, 0 });
}

/* A convolution, ReLU and pooling in a row become one step. */
static void fuse_pooling(fl_model *m) {
  size_t n = 0;
  for (size_t i = 0; i < m->n_steps; n++) {
    fl_step s = m->step[i];
    const int three = i + 2 < m->n_steps && s.kind == FL_LAYER_CONV && m->step[i + 1].kind == FL_LAYER_RELU &&
                      m->step[i + 2].kind == FL_LAYER_MAXPOOL2;
    if (three && fl_conv_pool_fits(&s.conv)) {
      s.pooled = 1;
      s.out = m->step[i + 2].out;
      i += 2;
    }
    m->step[n] = s;
    i++;
  }
  m->n_steps = n;
}

/* Walks the layers from the shape of a sample; 0, or -1 with the layer that does not fit. */
static int bind_layers(fl_model *m, const fl_net *net, char *err, size_t err_size) {
  size_t c = m->train.c, h = m->train.h, w = m->train.w;
  int layer = 0;
  for (size_t i = 0; i < net->n; i++) {
    const fl_layer_spec *l = &net->layer[i];
    fl_step *s = &m->step[i];
    *s = (fl_step){ .kind = l->kind, .in = c * h * w, .out = c * h * w, .c = c, .h = h, .w = w };
    switch (l->kind) {
    case FL_LAYER_CONV:
      if (bind_conv(m, s, l, layer++, err, err_size)) return -1;
      c = l->out, h = fl_conv_oh(&s->conv), w = fl_conv_ow(&s->conv);
      break;
    case FL_LAYER_LINEAR:
      bind_linear(m, s, l, layer++);
      c = s->out, h = w = 1;
      break;
    case FL_LAYER_MAXPOOL2:
      if (h < 2 || w < 2) {
        snprintf(err, err_size, "model %s, layer %s: pooling 2x2 does not fit in %zux%zu", net->name, l->name, h, w);
        return -1;
      }
      h /= 2, w /= 2;
      s->out = c * h * w;
      break;
    case FL_LAYER_RELU:
      break;
    }
  }
  m->n_steps = net->n;
  fuse_pooling(m);
  m->first = m->n_steps;
  for (size_t i = m->n_steps; i-- > 0;) {
    if (m->step[i].fan_in) m->first = i;
    if (m->step[i].in > m->widest) m->widest = m->step[i].in;
    if (m->step[i].out > m->widest) m->widest = m->step[i].out;
  }
  return 0;
}

/* PyTorch's default of a layer: weight and bias uniform in +-1/sqrt(fan_in). The draw of a tensor is keyed by its number. */
static void init(void *self, uint64_t seed, float *x) {
  const fl_model *m = self;
  uint32_t number = 0;
  for (size_t i = 0; i < m->n_steps; i++) {
    if (!m->step[i].fan_in) continue;
    const float bound = (float)(1.0 / sqrt((double)m->step[i].fan_in));
    for (int part = 0; part < 2; part++, number++) {
      const fl_tensor *t = &m->tensor[number];
      const fl_key key = { seed, FL_PURPOSE_INIT, 0, number, 0 };
      fl_stream stream;
      fl_stream_init(&stream, &key);
      for (size_t j = 0; j < t->size; j++) {
        const float u = (float)(fl_stream_u32(&stream) >> 8) * 0x1p-24f;
        x[t->offset + j] = fmaf(2 * bound, u, -bound);
      }
    }
  }
}

static int check(const fl_net *net, const fl_samples *train, const fl_samples *test, double mean, double std, char *err,
                 size_t err_size) {
  if (!net || !train || !train->n || !train->c || !train->h || !train->w || net->n > FL_MAX_LAYERS)
    snprintf(err, err_size, "a model needs a network of at most %d layers and at least one training sample", FL_MAX_LAYERS);
  else if (train->classes < 2 || train->classes > 256)
    snprintf(err, err_size, "model %s: %zu classes, allowed 2 to 256", net->name, train->classes);
  else if (test && test->n && (test->c != train->c || test->h != train->h || test->w != train->w))
    snprintf(err, err_size, "model %s: test samples are %zux%zux%zu, training samples %zux%zux%zu", net->name, test->c, test->h,
             test->w, train->c, train->h, train->w);
  else if (test && test->n && test->classes > train->classes)
    snprintf(err, err_size, "model %s: %zu classes in the test set, %zu in the training set", net->name, test->classes,
        train->classes);
  else if (!(std > 0) || !isfinite(std) || !isfinite(mean))
    snprintf(err, err_size, "model %s: mean %g and deviation %g of the pixels; the deviation must be positive", net->name, mean,
        std);
  else
    return 0;
  return -1;
}

fl_model *fl_model_new(const fl_net *net, const fl_samples *train, const fl_samples *test, double mean, double std, char *err,
                       size_t err_size) {
  if (check(net, train, test, mean, std, err, err_size)) return NULL;
  fl_model *m = calloc(1, sizeof *m);
  if (!m) {
    snprintf(err, err_size, "model %s: no memory", net->name);
    return NULL;
  }
  snprintf(m->net, sizeof m->net, "%s", net->name);
  m->train = *train;
  if (test) m->test = *test;
  m->scale = (float)(1.0 / (255.0 * std));
  m->shift = (float)(-mean / std);
  m->noise_scale = (float)(1.0 / std);
  m->layout.tensor = m->tensor;
  m->objective = (fl_objective){ .name = m->net, .self = m, .layout = &m->layout, .n = train->n, .n_test = m->test.n,
    .classes = train->classes, .init = init, .work = fl_plan_work, .loss_grad = fl_plan_loss_grad,
    .sampled_grad = fl_plan_sampled_grad, .flipped_grad = fl_plan_flipped_grad,
    .evaluate = m->test.n ? fl_plan_evaluate : NULL, .evaluate_samples = fl_plan_evaluate_samples };
  if (bind_layers(m, net, err, err_size)) {
    free(m);
    return NULL;
  }
  const size_t rank = fl_net_rank(net);
  if (rank && !(m->adapters = fl_adapters_new(&m->objective, rank, err, err_size))) return fl_model_free(m), NULL;
  return m;
}

void fl_model_make_rows(fl_model *m, fl_make_row *make, const void *self) {
  m->make = make;
  m->maker = self;
}

void fl_model_free(fl_model *m) {
  if (m) fl_adapters_free(m->adapters);
  free(m);
}

void fl_model_noise(fl_model *m, const float *sigma, const fl_key *key) {
  m->sigma = sigma;
  if (sigma) m->noise_key = *key;
}

const fl_objective *fl_model_objective(const fl_model *m) {
  return m->adapters ? fl_adapters_objective(m->adapters) : &m->objective;
}

double fl_model_macs(const fl_model *m) {
  double macs = 0;
  for (size_t i = 0; i < m->n_steps; i++) {
    const fl_step *s = &m->step[i];
    const size_t out = s->pooled ? s->conv.o * fl_conv_oh(&s->conv) * fl_conv_ow(&s->conv) : s->out;
    macs += (double)out * (double)s->fan_in;
  }
  return macs;
}
