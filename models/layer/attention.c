/* attention.c - multi-head attention of a sequence to itself: queries, keys and values from one projection, and a projection
 * of what the heads give. Names as in timm's: qkv.weight (3d, d; rows of queries, keys, values, each head after head), proj. */
#include "models/layer/layer.h"
#include <math.h>

enum { HEADS, CAUSAL, QKV_BIAS, BIAS, DROPOUT, STD };
static const fl_param params[] = {
  { "heads", 1, 1, 65536, NULL, "heads; a divisor of the features", FL_WHOLE },
  { "causal", 0, 0, 0, "no|yes", "whether a position sees itself and those before it alone", 0 },
  { "qkv_bias", 1, 0, 0, "no|yes", "whether a bias is added to queries, keys and values", 0 },
  { "bias", 1, 0, 0, "no|yes", "whether a bias is added to the output", 0 },
  { "dropout", 0, 0, 1, NULL, "chance of a probability to be dropped while it trains, behind the softmax", FL_BELOW },
  FL_PARAM_STD,
};

/* The four tensors, a missing bias left out. */
enum { QKV, PROJ };
static size_t weight_at(const fl_module *m, int which) { return m->at[which == QKV ? 0 : m->h[QKV_BIAS] > 0 ? 2 : 1]; }
static int has_bias(const fl_module *m, int which) { return m->h[which == QKV ? QKV_BIAS : BIAS] > 0; }
static size_t length(const fl_module *m) { return m->from.dim[0]; }
static size_t width(const fl_module *m) { return m->from.dim[1]; }

static void bind_projection(fl_module *m, fl_binder *b, int which, const char *weight, const char *bias, fl_role role,
                            size_t out) {
  const size_t in = width(m);
  fl_bind_tensor(b, weight, role, fl_start_weight(m->h[STD], in), 2, (const size_t[]){ out, in });
  fl_bind_heads(b, (int)m->h[HEADS]);
  if (has_bias(m, which)) fl_bind_tensor(b, bias, FL_BIAS, fl_start_bias(m->h[STD], in), 1, (const size_t[]){ out });
}

static int bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_SEQUENCE) return fl_bind_refuse(b, "it reads %s; allowed: a sequence", fl_shape_text(&m->from, text));
  if (width(m) % (size_t)m->h[HEADS])
    return fl_bind_refuse(b, "heads = %g; allowed: a divisor of the %zu features of its input", m->h[HEADS], width(m));
  m->to = m->from;
  m->draws = m->h[DROPOUT] > 0;
  bind_projection(m, b, QKV, "qkv.weight", "qkv.bias", FL_QKV, 3 * width(m));
  bind_projection(m, b, PROJ, "proj.weight", "proj.bias", FL_O, width(m));
  return 0;
}

/* draws: NULL, nothing is dropped. */
static fl_attention shape_of(const fl_module *m, const fl_key *draws) {
  const size_t heads = (size_t)m->h[HEADS], d = width(m), dim = d / heads;
  return (fl_attention){ .length = length(m), .heads = heads, .dim = dim, .ld = 3 * d, .ldo = d,
                         .scale = (float)(1.0 / sqrt((double)dim)), .causal = m->h[CAUSAL] > 0, .draws = draws,
                         .drop = m->h[DROPOUT] };
}
static fl_linear projection(const fl_module *m, size_t n, int which) {
  return (fl_linear){ n * length(m), width(m), which == QKV ? 3 * width(m) : width(m), fl_sample_piece(length(m)) * length(m) };
}

/* Kept: queries, keys and values of all samples, what the heads gave, and the maxima and sums of their softmax. */
static size_t kept(const fl_module *m) { return length(m) * (4 * width(m) + 2 * (size_t)m->h[HEADS]) * sizeof(float); }
/* Backward has the gradients of the heads' output and of queries, keys, values before the kernel's own scratch. */
static size_t work(const fl_module *m, size_t n) {
  const fl_key any = { 0 };
  const fl_attention a = shape_of(m, &any);
  return (4 * n * length(m) * width(m) + fl_attention_work(&a)) * sizeof(float);
}

static void forward(const fl_module *m, const fl_pass *s) {
  const fl_attention a = shape_of(m, s->draws);
  const fl_linear in = projection(m, s->n, QKV), out = projection(m, s->n, PROJ);
  const size_t d = width(m), size = s->n * length(m) * d;
  float *qkv = s->kept, *heads = qkv + 3 * size, *stat = heads + size;
  const float *w = s->p + weight_at(m, QKV), *v = s->p + weight_at(m, PROJ);
  fl_linear_forward(s->k, &in, s->x[0], w, has_bias(m, QKV) ? w + 3 * d * d : NULL, qkv);
  s->k->attention(&a, s->n, qkv, qkv + d, qkv + 2 * d, heads, stat, s->work);
  fl_linear_forward(s->k, &out, heads, v, has_bias(m, PROJ) ? v + d * d : NULL, s->y);
}

static void backward(const fl_module *m, const fl_pass *s) {
  const fl_attention a = shape_of(m, s->draws);
  const fl_linear in = projection(m, s->n, QKV), out = projection(m, s->n, PROJ);
  const size_t d = width(m), size = s->n * length(m) * d, qkv_at = weight_at(m, QKV), at = weight_at(m, PROJ);
  const float *qkv = s->kept, *heads = qkv + 3 * size, *stat = heads + size;
  float *dheads = s->work, *dqkv = dheads + size;
  fl_linear_back(s->k, &out, heads, s->p + at, s->dy, s->g + at, has_bias(m, PROJ) ? s->g + at + d * d : NULL, dheads);
  s->k->attention_back(&a, s->n, qkv, qkv + d, qkv + 2 * d, heads, stat, dheads, dqkv, dqkv + d, dqkv + 2 * d, dqkv + 3 * size);
  fl_linear_back(s->k, &in, s->x[0], s->p + qkv_at, dqkv, s->g + qkv_at, has_bias(m, QKV) ? s->g + qkv_at + 3 * d * d : NULL,
                 s->dx[0]);
}

static double macs(const fl_module *m) {
  const double t = (double)length(m), d = (double)width(m), pairs = m->h[CAUSAL] > 0 ? t * (t + 1) / 2 : t * t;
  return 4 * t * d * d + 2 * pairs * d;
}

const fl_layer fl_layer_attention = {
  .name = "attention", .help = "multi-head attention of a sequence to itself, with its projections", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_KEEPS_INPUT | FL_BACK_IN_PLACE, .bind = bind,
  .kept = kept, .work = work, .forward = forward, .backward = backward, .macs = macs };
