/* sequence.c - an image as a sequence: each place is a position, the channels are its features. Behind a convolution whose stride
 * is its kernel these are patches. */
#include "models/layer/layer.h"

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  m->to = (fl_shape){ FL_SEQUENCE, { m->from.dim[1] * m->from.dim[2], m->from.dim[0] } };
  return 0;
}

static void turn(const fl_kernels *k, size_t n, size_t rows, size_t cols, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) k->transpose(rows, cols, x + i * rows * cols, cols, y + i * rows * cols, rows);
}
static void forward(const fl_module *m, const fl_pass *s) { turn(s->k, s->n, m->to.dim[1], m->to.dim[0], s->x[0], s->y); }
static void backward(const fl_module *m, const fl_pass *s) {
  if (s->dx[0]) turn(s->k, s->n, m->to.dim[0], m->to.dim[1], s->dy, s->dx[0]);
}

const fl_layer fl_layer_sequence = {
  .name = "sequence", .help = "an image as a sequence: its places are positions, its channels features", .least = 1, .most = 1,
  .bind = bind, .forward = forward, .backward = backward };
