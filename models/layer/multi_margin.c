/* multi_margin.c - the margin by which the label's logit is above the others, one wanted: a support vector machine. */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  (void)b;
  m->words = 1;
  return 0;
}

static void loss(const fl_module *m, const fl_loss_pass *s) {
  (void)m;
  s->k->multi_margin(s->rows, s->width, s->logits, s->word, s->scale, s->dlogits, s->loss);
}

const fl_layer fl_layer_multi_margin = {
  .name = "multi_margin", .help = "loss: mean over the classes of max(0, 1 + their logit - the label's)", .least = 1, .most = 1,
  .bind = bind, .loss = loss };
