/* loss.c - labels of a batch, and the loss at the end of a network: its mean with the gradient of the logits, and evaluation. A
 * row is a sample, or a position of one where samples have several labels. */
#include "models/plan.h"

static float *gradient_of_logits(const fl_batch *b) { return fl_batch_span(b, b->arena->place[b->m->n].gradient); }

/* Sum of `rows` numbers by the fixed tree over pieces of whole samples, as the gradients are cut. */
static double sum_rows(const fl_kernels *k, const float *loss, size_t n, size_t piece) {
  if (n <= piece) return k->sum(n, loss);
  const size_t leaves = (n + piece - 1) / piece;
  size_t left = 1;
  while (2 * left < leaves) left *= 2;
  return sum_rows(k, loss, left * piece, piece) + sum_rows(k, loss + left * piece, n - left * piece, piece);
}

static double sum_labels(const fl_batch *b, const float *of, size_t each) {
  const size_t labels = b->m->labels;
  return sum_rows(b->k, of, b->n * labels * each, fl_sample_piece(labels) * labels * each);
}

void fl_labels_draw(const fl_batch *b, const fl_labels *l, const float *logits, const fl_key *key) {
  b->k->uniform(l->rows, l->loss, 0, key);
  b->k->softmax_sample(l->rows, b->m->objective.classes, logits, l->loss, gradient_of_logits(b), l->byte);
}

void fl_labels_flip(const fl_batch *b, const fl_labels *l) {
  const size_t classes = b->m->objective.classes;
  const uint32_t ignore = b->m->loss.ignore;
  for (size_t r = 0; r < l->rows; r++) {
    if (b->m->train.label32) l->word[r] = l->word[r] == ignore ? ignore : (uint32_t)(classes - 1 - l->word[r]);
    else if (l->byte[r] != ignore) l->byte[r] = (uint8_t)(classes - 1 - l->byte[r]);
  }
}

static void widen(const fl_batch *b, const fl_labels *l) {
  for (size_t r = 0; !b->m->train.label32 && r < l->rows; r++) l->word[r] = l->byte[r];
}

/* What the sum of the rows' losses is divided by: how many rows count, or the sum of their classes' weights. */
static double weight_of(const fl_batch *b, const fl_labels *l) {
  const fl_module *s = &b->m->loss;
  if (s->ignore == FL_IGNORE_NONE && !s->number) return (double)l->rows;
  for (size_t r = 0; r < l->rows; r++) l->loss[r] = l->word[r] == s->ignore ? 0.0f : s->number ? s->number[l->word[r]] : 1.0f;
  return sum_labels(b, l->loss, 1);
}

static fl_loss_pass pass_of(const fl_batch *b, const fl_labels *l, const float *logits, float scale) {
  return (fl_loss_pass){ .k = b->k, .rows = l->rows, .width = b->m->outputs, .logits = logits, .byte = l->byte, .word = l->word,
                         .scale = scale, .dlogits = gradient_of_logits(b), .loss = l->loss };
}

double fl_loss_gradient(const fl_batch *b, const fl_labels *l, const float *logits) {
  const fl_module *s = &b->m->loss;
  const size_t each = fl_loss_numbers(b->m);
  if (l->word) widen(b, l);
  const double divisor = weight_of(b, l) * (double)each;
  const fl_loss_pass pass = pass_of(b, l, logits, divisor > 0 ? (float)(1.0 / divisor) : 0.0f);
  s->type->loss(s, &pass);
  return divisor > 0 ? sum_labels(b, l->loss, each) / divisor : 0;
}

double fl_loss_of_drawn(const fl_batch *b, const fl_labels *l, const float *logits) {
  b->k->softmax_xent(l->rows, b->m->outputs, logits, l->byte, (float)(1.0 / (double)l->rows), gradient_of_logits(b), l->loss);
  return sum_labels(b, l->loss, 1) / (double)l->rows;
}

static void predict(const fl_batch *b, const fl_labels *l, const float *logits) {
  if (b->m->outputs > 1) b->k->argmax_rows(l->rows, b->m->outputs, logits, l->pred);
  for (size_t r = 0; b->m->outputs == 1 && r < l->rows; r++) l->pred[r] = logits[r] != logits[r] ? -1 : logits[r] > 0;
}

void fl_loss_evaluate(const fl_batch *b, const fl_labels *l, const float *logits, fl_eval *out) {
  const fl_module *s = &b->m->loss;
  const size_t each = fl_loss_numbers(b->m);
  if (l->word) widen(b, l);
  const fl_loss_pass pass = pass_of(b, l, logits, 1.0f);
  s->type->loss(s, &pass);
  predict(b, l, logits);
  *out = (fl_eval){ .count = 0 };
  for (size_t r = 0; r < l->rows; r++) {
    const uint32_t label = l->word ? l->word[r] : l->byte[r];
    out->diverged |= l->pred[r] < 0;
    if (label == s->ignore) continue;
    out->count++;
    out->correct += l->pred[r] >= 0 && (uint32_t)l->pred[r] == label;
  }
  out->loss = sum_labels(b, l->loss, each) / (double)each;
  if (!(out->loss - out->loss == 0)) out->diverged = 1;
}
