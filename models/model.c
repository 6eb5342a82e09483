/* model.c - from a network and a data set to an objective: initial values, checks, costs. */
#include "models/names.h"
#include "models/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PyTorch's default of a layer: weight and bias uniform in +-1/sqrt(fan_in). The draw of a tensor is keyed by its number. */
static void init(void *self, uint64_t seed, float *x) {
  const fl_model *m = self;
  if (m->begin) memcpy(x, m->begin, (m->layout.d + m->layout.buffers) * sizeof *x);
  for (size_t i = 0; !m->begin && i < m->layout.n; i++) {
    const fl_tensor *t = &m->tensor[i];
    const fl_key key = { seed, FL_PURPOSE_INIT, 0, (uint32_t)i, 0 };
    const float bound = (float)(1.0 / sqrt(m->start[i].of));
    fl_stream stream;
    fl_stream_init(&stream, &key);
    for (size_t j = 0; j < t->size; j++) {
      float *at = &x[t->offset + j];
      if (m->start[i].kind == FL_START_VALUE) *at = (float)m->start[i].of;
      else if (m->start[i].kind == FL_START_NORMAL) *at = (float)(m->start[i].of * fl_stream_gaussian(&stream));
      else *at = fmaf(2 * bound, (float)(fl_stream_u32(&stream) >> 8) * 0x1p-24f, -bound);
    }
  }
}

/* Pixels, features (however they lie) or tokens. */
static int kind_of(const fl_samples *s) { return s->tokens ? FL_TOKENS : s->features || s->begin ? FL_VECTOR : FL_IMAGE; }

static int check(const fl_net *net, const fl_samples *train, const fl_samples *test, double mean, double std, char *err,
                 size_t err_size) {
  const size_t most = train && train->label32 ? FL_MOST_CLASSES : FL_BYTE_CLASSES;
  if (!net || !net->n || !train || !train->n || !train->c || !train->h || !train->w)
    snprintf(err, err_size, "a model needs a network of one layer or more and at least one training sample");
  else if (train->classes < 2 || train->classes > most)
    snprintf(err, err_size, "model %s: %zu classes, allowed 2 to %zu", net->name, train->classes, most);
  else if (test && test->n && (test->c != train->c || test->h != train->h || test->w != train->w))
    snprintf(err, err_size, "model %s: test samples are %zux%zux%zu, training samples %zux%zux%zu", net->name, test->c, test->h,
             test->w, train->c, train->h, train->w);
  else if (test && test->n && test->classes > train->classes)
    snprintf(err, err_size, "model %s: %zu classes in the test set, %zu in the training set", net->name, test->classes,
        train->classes);
  else if (test && test->n && (test->positions != train->positions || kind_of(test) != kind_of(train) ||
                               !test->label32 != !train->label32))
    snprintf(err, err_size, "model %s: rows or labels of the test samples are of another kind than of the training samples",
             net->name);
  else if (!(std > 0) || !isfinite(std) || !isfinite(mean))
    snprintf(err, err_size, "model %s: mean %g and deviation %g of the pixels; the deviation must be positive", net->name, mean,
        std);
  else
    return 0;
  return -1;
}

/* All channels alike, unless the samples say otherwise: one run of the row then. */
static int scale_channels(fl_model *m, double mean, double std) {
  const double *own = m->train.channel;
  m->channels = own ? m->train.c : 1;
  if (!(m->scale = calloc(3 * m->channels, sizeof *m->scale))) return -1;
  m->shift = m->scale + m->channels, m->noise_scale = m->shift + m->channels;
  for (size_t c = 0; c < m->channels; c++) {
    const double a = own ? own[c] : mean, b = own ? own[m->channels + c] : std;
    m->scale[c] = (float)(1.0 / (255.0 * b));
    m->shift[c] = (float)(-a / b);
    m->noise_scale[c] = (float)(1.0 / b);
  }
  return 0;
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
  m->labels = train->positions ? train->positions : 1;
  if (scale_channels(m, mean, std)) return fl_model_free(m), snprintf(err, err_size, "model %s: no memory", net->name), NULL;
  m->objective = (fl_objective){ .name = m->net, .self = m, .layout = &m->layout, .n = train->n, .n_test = m->test.n,
    .classes = train->classes, .init = init, .work = fl_plan_work, .loss_grad = fl_plan_loss_grad,
    .sampled_grad = fl_plan_sampled_grad, .flipped_grad = fl_plan_flipped_grad,
    .evaluate = m->test.n ? fl_plan_evaluate : NULL, .evaluate_samples = fl_plan_evaluate_samples };
  if (fl_bind(m, net, err, err_size)) return fl_model_free(m), NULL;
  if (!fl_loss_draws(m)) m->objective.sampled_grad = NULL;
  if (fl_arena_plan(&m->arena[0], m->module, m->n, &m->input, 0) || fl_arena_plan(&m->arena[1], m->module, m->n, &m->input, 1))
    return fl_model_free(m), snprintf(err, err_size, "model %s: no memory", net->name), NULL;
  fl_adapter_form form;
  const int adapters = fl_net_adapters(net, &form);
  if (adapters < 0)
    snprintf(err, err_size, "model %s: its name says adapters, but not which; allowed: NAME_loraRANK[_alphaALPHA][_on_PART[+PART"
             "..]], rank 1 to 4096, alpha 1 to 65536, such as NAME_lora8_alpha16_on_attn", net->name);
  if (adapters < 0 || (adapters && !(m->adapters = fl_adapters_new(&m->objective, &form, err, err_size))))
    return fl_model_free(m), NULL;
  return m;
}

void fl_model_make_rows(fl_model *m, fl_make_row *make, const void *self) {
  m->make = make;
  m->maker = self;
}

void fl_model_free(fl_model *m) {
  if (!m) return;
  fl_adapters_free(m->adapters);
  for (size_t i = 0; i < 2; i++) fl_arena_free(&m->arena[i]);
  for (size_t i = 0; i < m->n; i++) free(m->module[i].number);
  free(m->loss.number);
  free(m->module);
  free(m->tensor);
  free(m->start);
  free(m->text);
  free(m->scale);
  free(m);
}

void fl_model_noise(fl_model *m, const float *sigma, const fl_key *key) {
  m->sigma = sigma;
  if (sigma) m->noise_key = *key;
}

const fl_objective *fl_model_objective(const fl_model *m) {
  return m->adapters ? fl_adapters_objective(m->adapters) : &m->objective;
}

const fl_layout *fl_model_layout(const fl_model *m) { return &m->layout; }

void fl_model_begin(fl_model *m, const float *x) { m->begin = x; }

void fl_model_begin_adapted(fl_model *m, const float *x) { fl_adapters_begin(m->adapters, x); }

double fl_model_macs(const fl_model *m) {
  double macs = 0;
  for (size_t i = 0; i < m->n; i++)
    if (m->module[i].type->macs) macs += m->module[i].type->macs(&m->module[i]);
  return macs;
}

void fl_model_layer_name(const fl_model *m, size_t i, char *name, size_t size) {
  const fl_module *s = i < m->n ? &m->module[i] : NULL;
  const char *type = s ? s->type->name : "layer", *own = s && s->name ? s->name : type;
  if (strcmp(own, type)) snprintf(name, size, "%zu %s (%s)", i + 1, own, type);
  else snprintf(name, size, "%zu %s", i + 1, type);
}
