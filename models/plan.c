/* plan.c - forward, backward and evaluation of a bound network over one batch. No call allocates: all buffers lie in the
 * scratch block of the caller. What a sample contributes does not depend on the batch that it is in. */
#include "models/plan.h"
#include <string.h>

#define LINE 64u
#define AHEAD 4u     /* rows fetched ahead of their use */

static size_t take(size_t *at, size_t bytes) {
  size_t begin = *at;
  *at += (bytes + LINE - 1) / LINE * LINE;
  return begin;
}

void fl_plan_offsets(const fl_model *m, size_t batch, fl_offsets *o) {
  size_t at = 0, conv = 0;
  o->act[0] = take(&at, batch * m->train.c * m->train.h * m->train.w * sizeof(float));
  for (size_t i = 0; i < m->n_steps; i++) {
    const fl_step *s = &m->step[i];
    o->act[i + 1] = s->kind == FL_LAYER_RELU ? o->act[i] : take(&at, batch * s->out * sizeof(float));
    o->at[i] = s->kind == FL_LAYER_MAXPOOL2 || s->pooled ? take(&at, batch * s->out) : at;
    if (s->kind == FL_LAYER_CONV) {
      size_t need = s->pooled ? fl_conv_pool_work(&s->conv, batch) : fl_conv_work(&s->conv, batch);
      if (need > conv) conv = need;
    }
  }
  o->gradient[0] = take(&at, batch * m->widest * sizeof(float));
  o->gradient[1] = take(&at, batch * m->widest * sizeof(float));
  o->conv = take(&at, conv * sizeof(float));
  o->label = take(&at, batch);
  o->loss = take(&at, batch * sizeof(float));
  o->pred = take(&at, batch * sizeof(int32_t));
  o->row = take(&at, m->make ? m->train.c * m->train.h * m->train.w : 0);
  o->total = at;
}

size_t fl_plan_work(void *self, size_t batch) {
  fl_offsets o;
  fl_plan_offsets(self, batch, &o);
  return o.total + LINE;                        /* the block given may lie anywhere */
}

size_t fl_model_activation_bytes(const fl_model *m, size_t batch) {
  fl_offsets o;
  fl_plan_offsets(m, batch, &o);
  return o.gradient[0];
}

static char *aligned(void *work) { return (char *)work + (size_t)(-(uintptr_t)work % LINE); }
static float *floats(char *base, size_t offset) { return (float *)(void *)(base + offset); }

/* The rows of a batch lie anywhere in the data: without this each waits for the memory in its turn. */
static void fetch(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i += LINE) __builtin_prefetch(p + i);
  __builtin_prefetch(p + n - 1);
}

/* The gradients' buffer is free until the loss. */
static void add_noise(const fl_model *m, const fl_kernels *k, size_t row, size_t in, float *x, float *scratch) {
  fl_key key = m->noise_key;
  key.client = (uint32_t)row;
  k->gaussian(in, scratch, 0, &key);
  k->axpy(in, x, m->sigma[row] * m->noise_scale, scratch);
}

static void gather(const fl_model *m, const fl_kernels *k, const fl_samples *from, const uint32_t *index, size_t first,
                   size_t count, const fl_offsets *o, char *base) {
  const size_t in = from->c * from->h * from->w;
  uint8_t *label = (uint8_t *)base + o->label;
  if (from == &m->train && m->make) {
    uint8_t *made = (uint8_t *)base + o->row;
    for (size_t r = 0; r < count; r++) {
      m->make(m->maker, k, index ? index[r] : (uint32_t)(first + r), made, &label[r]);
      k->normalize(in, floats(base, o->act[0]) + r * in, made, m->scale, m->shift);
    }
    return;
  }
  const int noisy = m->sigma && from->pixels == m->train.pixels;
  for (size_t r = 0; index && r < count && r < AHEAD; r++) fetch(from->pixels + index[r] * in, in);
  for (size_t r = 0; r < count; r++) {
    if (index && r + AHEAD < count) fetch(from->pixels + index[r + AHEAD] * in, in);
    const size_t row = index ? index[r] : first + r;
    k->normalize(in, floats(base, o->act[0]) + r * in, from->pixels + row * in, m->scale, m->shift);
    if (noisy && m->sigma[row] > 0) add_noise(m, k, row, in, floats(base, o->act[0]) + r * in, floats(base, o->gradient[0]));
    label[r] = from->label[row];
  }
}

static const float *forward(const fl_model *m, const fl_kernels *k, const float *p, size_t n, const fl_offsets *o, char *base) {
  for (size_t i = 0; i < m->n_steps; i++) {
    const fl_step *s = &m->step[i];
    const float *x = floats(base, o->act[i]);
    float *y = floats(base, o->act[i + 1]);
    switch (s->kind) {
    case FL_LAYER_CONV:
      if (s->pooled)
        k->conv_pool(&s->conv, n, x, p + s->weight, p + s->bias, y, (uint8_t *)base + o->at[i], floats(base, o->conv));
      else
        k->conv_forward(&s->conv, n, x, p + s->weight, p + s->bias, y, floats(base, o->conv));
      break;
    case FL_LAYER_LINEAR:
      k->gemm_nt(n, s->out, s->in, x, s->in, p + s->weight, s->in, y, s->out, FL_GEMM_PIECE);
      k->bias_rows(n, s->out, y, p + s->bias);
      break;
    case FL_LAYER_MAXPOOL2:
      k->maxpool2(n * s->c, s->h, s->w, x, y, (uint8_t *)base + o->at[i]);
      break;
    case FL_LAYER_RELU:
      k->relu(n * s->out, y, x);
      break;
    }
  }
  return floats(base, o->act[m->n_steps]);
}

/* From the gradient of the logits in gradient[0] back to the first layer with parameters. */
static void backward(const fl_model *m, const fl_kernels *k, const float *p, size_t n, float *g, const fl_offsets *o,
    char *base) {
  const size_t piece = fl_sample_piece(1);
  float *dy = floats(base, o->gradient[0]), *dx = floats(base, o->gradient[1]);
  for (size_t i = m->n_steps; i-- > m->first;) {
    const fl_step *s = &m->step[i];
    const float *x = floats(base, o->act[i]);
    if (s->kind == FL_LAYER_RELU) {
      k->relu_back(n * s->out, dy, dy, floats(base, o->act[i + 1]));
      continue;
    }
    if (s->pooled) {
      k->conv_pool_back(&s->conv, n, x, p + s->weight, dy, (const uint8_t *)base + o->at[i], i > m->first ? dx : NULL,
                        g + s->weight, g + s->bias, floats(base, o->conv));
    } else if (s->kind == FL_LAYER_CONV) {
      k->conv_grad_weight(&s->conv, n, x, dy, g + s->weight, g + s->bias, floats(base, o->conv));
      if (i > m->first) k->conv_grad_input(&s->conv, n, p + s->weight, dy, dx, floats(base, o->conv));
    } else if (s->kind == FL_LAYER_LINEAR) {
      k->gemm_tn(s->out, s->in, n, dy, s->out, x, s->in, g + s->weight, s->in, piece);
      k->bias_grad(n, s->out, dy, g + s->bias, piece);
      if (i > m->first) k->gemm_nn(n, s->in, s->out, dy, s->out, p + s->weight, s->in, dx, s->in, FL_GEMM_PIECE);
    } else {
      k->maxpool2_back(n * s->c, s->h, s->w, dy, (const uint8_t *)base + o->at[i], dx);
    }
    float *swap = dy;
    dy = dx, dx = swap;
  }
}

/* Sum of row losses by the fixed tree over pieces of whole samples, as the gradients are cut. */
static double sum_rows(const fl_kernels *k, const float *loss, size_t n, size_t piece) {
  if (n <= piece) return k->sum(n, loss);
  const size_t leaves = (n + piece - 1) / piece;
  size_t left = 1;
  while (2 * left < leaves) left *= 2;
  return sum_rows(k, loss, left * piece, piece) + sum_rows(k, loss + left * piece, n - left * piece, piece);
}

/* Labels of the batch drawn from the softmax, instead of the data's. */
static void draw_labels(const fl_model *m, const fl_kernels *k, const float *logits, size_t n, const fl_key *key,
                        const fl_offsets *o, char *base) {
  float *uniform = floats(base, o->loss);
  k->uniform(n, uniform, 0, key);
  k->softmax_sample(n, m->objective.classes, logits, uniform, floats(base, o->gradient[0]), (uint8_t *)base + o->label);
}

static void flip_labels(const fl_model *m, size_t n, const fl_offsets *o, char *base) {
  uint8_t *label = (uint8_t *)base + o->label;
  for (size_t r = 0; r < n; r++) label[r] = (uint8_t)(m->objective.classes - 1 - label[r]);
}

static double loss_grad(const fl_model *m, const fl_kernels *k, const float *x, const uint32_t *index, size_t count,
                        const fl_key *labels, int flipped, float *g, void *work) {
  char *base = aligned(work);
  fl_offsets o;
  fl_plan_offsets(m, count, &o);
  gather(m, k, &m->train, index, 0, count, &o, base);
  const float *logits = forward(m, k, x, count, &o, base);
  if (labels) draw_labels(m, k, logits, count, labels, &o, base);
  if (flipped) flip_labels(m, count, &o, base);
  k->softmax_xent(count, m->objective.classes, logits, (const uint8_t *)base + o.label, (float)(1.0 / (double)count),
                  floats(base, o.gradient[0]), floats(base, o.loss));
  backward(m, k, x, count, g, &o, base);
  return sum_rows(k, floats(base, o.loss), count, fl_sample_piece(1)) / (double)count;
}

double fl_plan_loss_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                         void *work) {
  return loss_grad(self, k, x, index, count, NULL, 0, g, work);
}
double fl_plan_sampled_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count,
                            const fl_key *key, float *g, void *work) {
  return loss_grad(self, k, x, index, count, key, 0, g, work);
}
double fl_plan_flipped_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                            void *work) {
  return loss_grad(self, k, x, index, count, NULL, 1, g, work);
}

/* Rows of `from`: those of index, or with NULL first..first+count-1. */
static void evaluate(const fl_model *m, const fl_kernels *k, const float *x, const fl_samples *from, const uint32_t *index,
                     size_t first, size_t count, fl_eval *out, void *work) {
  char *base = aligned(work);
  const uint8_t *label;
  fl_offsets o;
  *out = (fl_eval){ .count = count };
  if (!count) return;
  fl_plan_offsets(m, count, &o);
  label = (const uint8_t *)base + o.label;
  gather(m, k, from, index, first, count, &o, base);
  const float *logits = forward(m, k, x, count, &o, base);
  int32_t *pred = (int32_t *)(void *)(base + o.pred);
  k->softmax_xent(count, m->objective.classes, logits, label, 1.0f, floats(base, o.gradient[0]), floats(base, o.loss));
  k->argmax_rows(count, m->objective.classes, logits, pred);
  for (size_t r = 0; r < count; r++) {
    out->correct += pred[r] == label[r];
    out->diverged |= pred[r] < 0;
  }
  out->loss = sum_rows(k, floats(base, o.loss), count, fl_sample_piece(1));
  if (!(out->loss - out->loss == 0)) out->diverged = 1;
}

void fl_plan_evaluate(void *self, const fl_kernels *k, const float *x, size_t first, size_t count, fl_eval *out, void *work) {
  const fl_model *m = self;
  evaluate(m, k, x, &m->test, NULL, first, count, out, work);
}
void fl_plan_evaluate_samples(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, fl_eval *out,
                              void *work) {
  const fl_model *m = self;
  evaluate(m, k, x, &m->train, index, 0, count, out, work);
}

void fl_model_logits(const fl_model *m, const fl_kernels *k, const float *x, const fl_samples *from, const uint32_t *index,
                     size_t count, float *logits, void *work) {
  char *base = aligned(work);
  fl_offsets o;
  fl_plan_offsets(m, count, &o);
  gather(m, k, from, index, 0, count, &o, base);
  memcpy(logits, forward(m, k, x, count, &o, base), count * m->objective.classes * sizeof(float));
}
