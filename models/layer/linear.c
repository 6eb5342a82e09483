/* linear.c - y = W x + b: of a vector, of an image as one vector, or of every position of a sequence. */
#include "models/layer/layer.h"
#include <math.h>

enum { OUT, BIAS, STD };
static const fl_param params[] = {
  { "out", 0, 0, 65536, NULL, "features; 0: as many as the loss wants, one a class", FL_WHOLE },
  { "bias", 1, 0, 0, "no|yes", "whether a bias is added", 0 },
  FL_PARAM_STD,
};

static size_t positions(const fl_module *m) { return m->from.kind == FL_SEQUENCE ? m->from.dim[0] : 1; }
static size_t width(const fl_module *m) { return fl_shape_size(&m->from) / positions(m); }
static size_t outputs(const fl_module *m) { return m->to.dim[m->to.kind == FL_SEQUENCE]; }

static int bind(fl_module *m, fl_binder *b) {
  const size_t in = width(m), out = m->h[OUT] > 0 ? (size_t)m->h[OUT] : fl_bind_outputs(b);
  if (m->from.kind == FL_TOKENS) return fl_bind_refuse(b, "it reads tokens; allowed: numbers");
  m->to = m->from.kind == FL_SEQUENCE ? (fl_shape){ FL_SEQUENCE, { m->from.dim[0], out } } : (fl_shape){ FL_VECTOR, { out } };
  const fl_role role = m->h[OUT] > 0 ? FL_MATRIX : FL_HEAD;
  fl_bind_tensor(b, "weight", role, fl_start_weight(m->h[STD], in), 2, (const size_t[]){ out, in });
  if (m->h[BIAS] > 0) fl_bind_tensor(b, "bias", FL_BIAS, fl_start_bias(m->h[STD], in), 1, (const size_t[]){ out });
  return 0;
}

void fl_linear_forward(const fl_kernels *k, const fl_linear *l, const float *x, const float *w, const float *b, float *y) {
  k->gemm_nt(l->rows, l->out, l->in, x, l->in, w, l->in, y, l->out, FL_GEMM_PIECE);
  if (b) k->bias_rows(l->rows, l->out, y, b);
}
void fl_linear_back(const fl_kernels *k, const fl_linear *l, const float *x, const float *w, const float *dy, float *dw,
                    float *db, float *dx) {
  k->gemm_tn(l->out, l->in, l->rows, dy, l->out, x, l->in, dw, l->in, l->piece);
  if (db) k->bias_grad(l->rows, l->out, dy, db, l->piece);
  if (dx) k->gemm_nn(l->rows, l->in, l->out, dy, l->out, w, l->in, dx, l->in, FL_GEMM_PIECE);
}

static fl_linear shape_of(const fl_module *m, size_t n) {
  return (fl_linear){ n * positions(m), width(m), outputs(m), fl_sample_piece(positions(m)) * positions(m) };
}
static void forward(const fl_module *m, const fl_pass *s) {
  const fl_linear l = shape_of(m, s->n);
  fl_linear_forward(s->k, &l, s->x[0], s->p + m->at[0], m->h[BIAS] > 0 ? s->p + m->at[1] : NULL, s->y);
}
static void backward(const fl_module *m, const fl_pass *s) {
  const fl_linear l = shape_of(m, s->n);
  fl_linear_back(s->k, &l, s->x[0], s->p + m->at[0], s->dy, s->g + m->at[0], m->h[BIAS] > 0 ? s->g + m->at[1] : NULL, s->dx[0]);
}

static double macs(const fl_module *m) { return (double)positions(m) * (double)width(m) * (double)outputs(m); }

const fl_layer fl_layer_linear = {
  .name = "linear", .help = "W x + b; an image counts as one vector, of a sequence every position", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_KEEPS_INPUT, .bind = bind, .forward = forward,
  .backward = backward, .macs = macs };
