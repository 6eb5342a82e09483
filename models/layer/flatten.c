/* flatten.c - the same numbers as one vector. */
#include "models/layer/layer.h"
#include <string.h>

static int bind(fl_module *m, fl_binder *b) {
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = (fl_shape){ FL_VECTOR, { fl_shape_size(&m->from) } };
  return 0;
}
static void forward(const fl_module *m, const fl_pass *s) {
  if (s->y != s->x[0]) memcpy(s->y, s->x[0], s->n * fl_shape_size(&m->to) * sizeof *s->y);
}

const fl_layer fl_layer_flatten = {
  .name = "flatten", .help = "an image or a sequence as one vector (linear does so with images by itself)", .least = 1, .most = 1,
  .acts = FL_IN_PLACE, .bind = bind, .forward = forward };
