/* linear.c - y = W x + b: of a vector, of an image as one vector, or of every position of a sequence. */
#include "models/layer/layer.h"
#include <math.h>

enum { OUT, BIAS };
static const fl_param params[] = {
  { "out", 0, 0, 65536, NULL, "features; 0: as many as the data has classes", FL_WHOLE },
  { "bias", 1, 0, 0, "no|yes", "whether a bias is added", 0 },
};

static size_t positions(const fl_module *m) { return m->from.kind == FL_SEQUENCE ? m->from.dim[0] : 1; }
static size_t width(const fl_module *m) { return fl_shape_size(&m->from) / positions(m); }
static size_t outputs(const fl_module *m) { return m->to.dim[m->to.kind == FL_SEQUENCE]; }

static int bind(fl_module *m, fl_binder *b) {
  const size_t in = width(m), out = m->h[OUT] > 0 ? (size_t)m->h[OUT] : fl_bind_classes(b);
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = m->from.kind == FL_SEQUENCE ? (fl_shape){ FL_SEQUENCE, { m->from.dim[0], out } } : (fl_shape){ FL_VECTOR, { out } };
  const fl_start start = { FL_START_UNIFORM, (double)in };
  fl_bind_tensor(b, "weight", m->h[OUT] > 0 ? FL_MATRIX : FL_HEAD, start, 2, (const size_t[]){ out, in });
  if (m->h[BIAS] > 0) fl_bind_tensor(b, "bias", FL_BIAS, start, 1, (const size_t[]){ out });
  return 0;
}

static void forward(const fl_module *m, const fl_pass *s) {
  const size_t rows = s->n * positions(m), in = width(m), out = outputs(m);
  s->k->gemm_nt(rows, out, in, s->x[0], in, s->p + m->at[0], in, s->y, out, FL_GEMM_PIECE);
  if (m->h[BIAS] > 0) s->k->bias_rows(rows, out, s->y, s->p + m->at[1]);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const size_t rows = s->n * positions(m), in = width(m), out = outputs(m), piece = fl_sample_piece(positions(m)) * positions(m);
  s->k->gemm_tn(out, in, rows, s->dy, out, s->x[0], in, s->g + m->at[0], in, piece);
  if (m->h[BIAS] > 0) s->k->bias_grad(rows, out, s->dy, s->g + m->at[1], piece);
  if (s->dx[0]) s->k->gemm_nn(rows, in, out, s->dy, out, s->p + m->at[0], in, s->dx[0], in, FL_GEMM_PIECE);
}

static double macs(const fl_module *m) { return (double)positions(m) * (double)width(m) * (double)outputs(m); }

const fl_layer fl_layer_linear = {
  .name = "linear", .help = "W x + b; an image counts as one vector, of a sequence every position", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_KEEPS_INPUT, .bind = bind, .forward = forward,
  .backward = backward, .macs = macs };
