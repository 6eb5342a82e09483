/* plan.c - forward, backward and evaluation of a bound network over one batch. No call allocates: all arrays lie in the
 * scratch block of the caller. What a sample contributes does not depend on the batch that it is in. */
#include "models/plan.h"
#include "kernels/mark.h"
#include <string.h>

#define LINE 64u
#define AHEAD 4u     /* rows fetched ahead of their use */

/* What lies behind the arena: labels, losses and predictions of the rows, one row as it is made or its noise, the scratch of the
 * modules. Offsets in bytes. */
typedef struct { size_t label, word, loss, pred, row, work, total; } tail;

static size_t take(size_t *at, size_t bytes) {
  size_t begin = *at;
  *at += (bytes + LINE - 1) / LINE * LINE;
  return begin;
}

static tail tail_of(const fl_model *m, const fl_arena *a, size_t batch) {
  tail t;
  size_t at = a->bytes * batch;
  t.label = take(&at, batch * m->labels);
  t.word = take(&at, fl_label_words(m) ? batch * m->labels * sizeof(uint32_t) : 0);
  t.loss = take(&at, batch * m->labels * fl_loss_numbers(m) * sizeof(float));
  t.pred = take(&at, batch * m->labels * sizeof(int32_t));
  t.row = take(&at, fl_shape_size(&m->input) * sizeof(float));
  t.work = at;
  for (size_t i = 0; i < m->n; i++) {
    const size_t need = m->module[i].type->work ? m->module[i].type->work(&m->module[i], batch) : 0;
    if (t.work + need > at) at = t.work + need;
  }
  t.total = at;
  return t;
}

size_t fl_plan_work(void *self, size_t batch) {
  const fl_model *m = self;
  const size_t a = tail_of(m, &m->arena[0], batch).total, b = tail_of(m, &m->arena[1], batch).total;
  return (a > b ? a : b) + LINE;                /* the block given may lie anywhere */
}

size_t fl_model_activation_bytes(const fl_model *m, size_t batch) { return m->arena[1].bytes * batch; }

static char *aligned(void *work) { return (char *)work + (size_t)(-(uintptr_t)work % LINE); }
static float *floats(char *base, size_t offset) { return (float *)(void *)(base + offset); }

/* The rows of a batch lie anywhere in the data: without this each waits for the memory in its turn. */
static void fetch(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i += LINE) __builtin_prefetch(p + i);
  __builtin_prefetch(p + n - 1);
}

/* Of pixels: every channel with its own scale. */
static void scale_row(const fl_model *m, const fl_kernels *k, const uint8_t *pixels, float *x) {
  const size_t run = fl_shape_size(&m->input) / m->channels;
  for (size_t c = 0; c < m->channels; c++) k->normalize(run, x + c * run, pixels + c * run, m->scale[c], m->shift[c]);
}

static void add_noise(const fl_model *m, const fl_kernels *k, size_t row, float *x, float *scratch) {
  const size_t in = fl_shape_size(&m->input), run = in / m->channels;
  fl_key key = m->noise_key;
  key.client = (uint32_t)row;
  k->gaussian(in, scratch, 0, &key);
  for (size_t c = 0; c < m->channels; c++)
    k->axpy(run, x + c * run, m->sigma[row] * m->noise_scale[c], scratch + c * run);
}

/* Where row r begins, and its bytes: what is fetched. */
static void fetch_row(const fl_samples *from, size_t r, size_t in) {
  if (from->begin) {
    const size_t at = from->begin[r], n = from->begin[r + 1] - at;
    if (n) fetch((const uint8_t *)(from->column + at), 4 * n), fetch((const uint8_t *)(from->value + at), 4 * n);
  } else if (from->pixels) {
    fetch(from->pixels + r * in, in);
  } else {
    fetch(from->features ? (const uint8_t *)(from->features + r * in) : (const uint8_t *)(from->tokens + r * in), 4 * in);
  }
}

/* scratch: of a row as it was augmented. draws: NULL, nothing is. */
static void take_row(const fl_model *m, const fl_kernels *k, const fl_samples *from, size_t r, size_t in, const fl_key *draws,
                     float *x, void *scratch) {
  if (from->begin) {
    memset(x, 0, in * sizeof *x);
    for (size_t i = from->begin[r]; i < from->begin[r + 1]; i++) x[from->column[i]] = from->value[i];
  } else if (from->pixels && draws && from->augment && from == &m->train) {
    const fl_augmented how = fl_augment_draw(from->augment, draws, (uint32_t)r);
    fl_augment_row(&how, from->c, from->h, from->w, from->pixels + r * in, scratch);
    scale_row(m, k, scratch, x);
  } else if (from->pixels) {
    scale_row(m, k, from->pixels + r * in, x);
  } else if (from->features) {
    memcpy(x, from->features + r * in, in * sizeof *x);
  } else {
    memcpy(x, from->tokens + r * in, in * sizeof *x);
  }
}

static void gather(const fl_batch *b, const tail *t, const fl_samples *from, const uint32_t *index, size_t first) {
  const fl_model *m = b->m;
  const fl_kernels *k = b->k;
  const size_t in = fl_shape_size(&m->input);
  uint8_t *label = (uint8_t *)b->base + t->label;
  uint32_t *word = (uint32_t *)(void *)(b->base + t->word);
  float *x = fl_batch_span(b, b->arena->place[0].value), *row_scratch = floats(b->base, t->row);
  fl_mark(k, FL_AT_INPUT, 0);
  if (from == &m->train && m->make) {
    uint8_t *made = (uint8_t *)b->base + t->row;
    for (size_t r = 0; r < b->n; r++) {
      m->make(m->maker, k, index ? index[r] : (uint32_t)(first + r), made, &label[r]);
      scale_row(m, k, made, x + r * in);
    }
    return;
  }
  const int noisy = m->sigma && from->pixels && from->pixels == m->train.pixels;
  for (size_t r = 0; index && r < b->n && r < AHEAD; r++) fetch_row(from, index[r], in);
  for (size_t r = 0; r < b->n; r++) {
    if (index && r + AHEAD < b->n) fetch_row(from, index[r + AHEAD], in);
    const size_t row = index ? index[r] : first + r;
    take_row(m, k, from, row, in, b->draws, x + r * in, row_scratch);
    if (noisy && m->sigma[row] > 0) add_noise(m, k, row, x + r * in, row_scratch);
    if (from->label32) memcpy(word + r * m->labels, from->label32 + row * m->labels, m->labels * sizeof *word);
    else memcpy(label + r * m->labels, from->label + row * m->labels, m->labels);
  }
}

/* ---- the loops over modules ---------------------------------------------------------------------------------------------- */
static fl_pass pass_of(const fl_batch *b, size_t i, fl_key *draws) {
  const fl_module *s = &b->m->module[i];
  const fl_place_of *place = b->arena->place;
  fl_pass pass = { .k = b->k, .n = b->n, .p = b->p, .g = b->g, .moves = b->moves, .d = b->m->layout.d, .training = b->training,
                   .y = fl_batch_span(b, place[i + 1].value), .kept = fl_batch_span(b, place[i + 1].kept), .work = b->work };
  for (size_t j = 0; j < s->n_in; j++) pass.x[j] = fl_batch_span(b, place[s->in[j]].value);
  if (b->draws && s->draws) *draws = fl_key_child(b->draws, (uint32_t)i), pass.draws = draws;
  return pass;
}

void fl_batch_forward(const fl_batch *b, size_t i) {
  fl_key draws;
  const fl_pass pass = pass_of(b, i, &draws);
  fl_mark(b->k, FL_AT_FORWARD, i);
  b->m->module[i].type->forward(&b->m->module[i], &pass);
}

/* The gradient of every input is that of the output. */
static void hand_on(const fl_batch *b, size_t i, const float *dy, float *dx, unsigned makes) {
  const size_t n = b->n * fl_shape_size(&b->m->module[i].to);
  if (!makes) b->k->add(n, dx, dx, dy);
  else if (dx != dy) memcpy(dx, dy, n * sizeof *dx);
}

void fl_batch_backward(const fl_batch *b, size_t i) {
  const fl_module *s = &b->m->module[i];
  const fl_place_of *place = b->arena->place, *own = &place[i + 1];
  fl_key draws;
  if (!s->trains) return;
  fl_pass pass = pass_of(b, i, &draws);
  fl_mark(b->k, FL_AT_BACKWARD, i);
  pass.dy = fl_batch_span(b, own->gradient);
  for (size_t j = s->n_in; j-- > 0;) {
    float *dx = fl_batch_span(b, place[s->in[j]].gradient);
    pass.dx[j] = own->apart[j] != FL_NOWHERE ? fl_batch_span(b, own->apart[j]) : dx;
    if (dx && !s->type->backward) hand_on(b, i, pass.dy, dx, own->makes >> j & 1);
  }
  if (!s->type->backward) return;
  s->type->backward(s, &pass);
  for (size_t j = s->n_in; j-- > 0;) {
    if (own->apart[j] == FL_NOWHERE) continue;
    float *dx = fl_batch_span(b, place[s->in[j]].gradient);
    b->k->add(b->n * fl_shape_size(&b->m->module[s->in[j] - 1].to), dx, dx, pass.dx[j]);
  }
}

static const float *forward(const fl_batch *b) {
  for (size_t i = 0; i < b->m->n; i++) fl_batch_forward(b, i);
  fl_mark(b->k, FL_AT_LOSS, 0);
  return fl_batch_span(b, b->arena->place[b->m->n].value);
}

static fl_batch enter(const fl_model *m, const fl_kernels *k, const float *p, size_t count, int training, void *work, tail *t) {
  const fl_arena *a = &m->arena[training];
  char *base = aligned(work);
  *t = tail_of(m, a, count);
  return (fl_batch){ .m = m, .arena = a, .k = k, .p = p, .training = training, .n = count, .base = base, .work = base + t->work };
}

static fl_labels labels_of(const fl_batch *b, const tail *t) {
  char *base = b->base;
  return (fl_labels){ .rows = b->n * b->m->labels, .byte = (uint8_t *)base + t->label, .loss = floats(base, t->loss),
                      .word = fl_label_words(b->m) ? (uint32_t *)(void *)(base + t->word) : NULL,
                      .pred = (int32_t *)(void *)(base + t->pred) };
}

double fl_plan_grad(void *self, const fl_kernels *k, const float *x, const fl_rows *rows, float *g, void *work) {
  const fl_model *m = self;
  tail t;
  fl_batch b = enter(m, k, x, rows->count, 1, work, &t);
  const fl_labels labels = labels_of(&b, &t);
  b.g = g, b.draws = rows->draws, b.moves = rows->buffers;
  gather(&b, &t, &m->train, rows->index, 0);
  const float *logits = forward(&b);
  if (rows->labels) fl_labels_draw(&b, &labels, logits, rows->labels);
  if (rows->flipped) fl_labels_flip(&b, &labels);
  const double loss = rows->labels ? fl_loss_of_drawn(&b, &labels, logits) : fl_loss_gradient(&b, &labels, logits);
  for (size_t i = m->n; i-- > 0;) fl_batch_backward(&b, i);
  return loss;
}

double fl_plan_loss_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                         void *work) {
  return fl_plan_grad(self, k, x, &(fl_rows){ .index = index, .count = count }, g, work);
}
double fl_plan_sampled_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count,
                            const fl_key *key, float *g, void *work) {
  return fl_plan_grad(self, k, x, &(fl_rows){ .index = index, .count = count, .labels = key }, g, work);
}
double fl_plan_flipped_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                            void *work) {
  return fl_plan_grad(self, k, x, &(fl_rows){ .index = index, .count = count, .flipped = 1 }, g, work);
}

/* Rows of `from`: those of index, or with NULL first..first+count-1. */
static void evaluate(const fl_model *m, const fl_kernels *k, const float *x, const fl_samples *from, const uint32_t *index,
                     size_t first, size_t count, fl_eval *out, void *work) {
  tail t;
  *out = (fl_eval){ .count = 0 };
  if (!count) return;
  const fl_batch b = enter(m, k, x, count, 0, work, &t);
  const fl_labels labels = labels_of(&b, &t);
  gather(&b, &t, from, index, first);
  fl_loss_evaluate(&b, &labels, forward(&b), out);
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
  tail t;
  const fl_batch b = enter(m, k, x, count, 0, work, &t);
  gather(&b, &t, from, index, 0);
  memcpy(logits, forward(&b), count * m->labels * m->outputs * sizeof(float));
}
