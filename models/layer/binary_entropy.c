/* binary_entropy.c - a sigmoid and the binary cross-entropy of each logit: of one logit when there are two classes, of one a
 * class, that class against all others, when there are more. */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  (void)b;
  m->words = 1;
  return 0;
}

static size_t logits(size_t classes) { return classes == 2 ? 1 : classes; }

/* The kernel reads a target before it writes the gradient that lies there. */
static void loss(const fl_module *m, const fl_loss_pass *s) {
  (void)m;
  for (size_t r = 0; r < s->rows; r++) {
    float *target = s->dlogits + r * s->width;
    for (size_t j = 0; j < s->width; j++) target[j] = s->word[r] == (s->width == 1 ? 1 : j) ? 1.0f : 0.0f;
  }
  s->k->binary_entropy(s->rows * s->width, s->dlogits, s->loss, s->logits, s->dlogits, s->scale);
}

const fl_layer fl_layer_binary_entropy = {
  .name = "binary_entropy", .help = "loss: binary cross-entropy; of two classes one logit, of more one a class",
  .least = 1, .most = 1, .acts = FL_LOSS_OF_LOGITS, .bind = bind, .logits = logits, .loss = loss };
