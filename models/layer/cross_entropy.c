/* cross_entropy.c - softmax and cross-entropy: what a network ends with that says nothing else. */
#include "models/layer/layer.h"

enum { SMOOTHING, WEIGHTS, IGNORE };
static const fl_param params[] = {
  { "smoothing", 0, 0, 1, NULL, "share of a label that all classes get alike", FL_BELOW },
  { "weights", 0, 0, 1e6, NULL, "of the classes: a list, or 1+0.5+2", FL_NUMBERS },
  { "ignore", -1, -1, 4294967294, NULL, "a label that does not count; -1: none", FL_WHOLE },
};

/* The plain form takes labels of bytes as they are. */
static int bind(fl_module *m, fl_binder *b) {
  const size_t classes = fl_bind_classes(b);
  if (m->n_numbers && m->n_numbers != classes)
    return fl_bind_refuse(b, "weights = %zu numbers; allowed: %zu, one for each class", m->n_numbers, classes);
  double sum = 0;
  for (size_t i = 0; i < m->n_numbers; i++) sum += (double)m->number[i];
  if (m->n_numbers && !(sum > 0)) return fl_bind_refuse(b, "weights are all 0; allowed: one class or more that counts");
  m->words = m->h[SMOOTHING] > 0 || m->n_numbers || m->h[IGNORE] >= 0;
  m->ignore = m->h[IGNORE] >= 0 ? (uint32_t)m->h[IGNORE] : FL_IGNORE_NONE;
  return 0;
}

static void loss(const fl_module *m, const fl_loss_pass *s) {
  const fl_cross_entropy a = { s->scale, (float)m->h[SMOOTHING], m->ignore };
  if (s->word) s->k->cross_entropy(s->rows, s->width, s->logits, s->word, m->number, &a, s->dlogits, s->loss);
  else s->k->softmax_xent(s->rows, s->width, s->logits, s->byte, s->scale, s->dlogits, s->loss);
}

const fl_layer fl_layer_cross_entropy = {
  .name = "cross_entropy", .help = "loss: softmax and cross-entropy; a network ends with it that names no loss", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_SOFTMAX,
  .bind = bind, .loss = loss };
