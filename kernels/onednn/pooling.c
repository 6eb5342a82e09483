/* pooling.c - pools, and convolution, ReLU and pooling in one. oneDNN keeps the place of a maximum as the kernels do: a byte a
 * window, counted by rows. A NaN is no number larger than others to it, and it begins below the largest float: planes that hold
 * anything infinite or NaN are the native kernel's. */
#include "parts.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { OPERATION, PLANES, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, KERNEL, STRIDE, PAD, KIND };

static int make(const onednn_key *key, onednn_job *j) {
  static const dnnl_alg_kind_t kinds[] = { dnnl_alg_kind_undef, dnnl_pooling_max, dnnl_pooling_avg_include_padding,
                                           dnnl_pooling_avg_exclude_padding };
  const int64_t *v = key->of;
  const dnnl_engine_t e = fl_onednn_engine();
  const int64_t x[] = { 1, v[PLANES], v[HEIGHT], v[WIDTH] }, y[] = { 1, v[PLANES], v[OUT_HEIGHT], v[OUT_WIDTH] };
  const dnnl_dims_t step = { v[STRIDE], v[STRIDE] }, window = { v[KERNEL], v[KERNEL] }, none = { 0, 0 }, pad = { v[PAD], v[PAD] };
  const int back = v[OPERATION] == ONEDNN_POOL_BACK, places = v[KIND] == ONEDNN_MAX;
  dnnl_memory_desc_t in = fl_onednn_layout(4, x, FL_ONEDNN_BLOCKED), out = fl_onednn_layout(4, y, FL_ONEDNN_BLOCKED);
  dnnl_primitive_desc_t forward = NULL, plan = NULL;
  int made = in && out &&
    dnnl_pooling_forward_primitive_desc_create(&forward, e, dnnl_forward_training, kinds[v[KIND]], in, out, step, window, none,
                                               pad, pad, NULL) == dnnl_success;
  if (made && back)
    made = dnnl_pooling_backward_primitive_desc_create(&plan, e, kinds[v[KIND]], in, out, step, window, none, pad, pad, forward,
                                                       NULL) == dnnl_success;
  const_dnnl_primitive_desc_t d = back ? plan : forward;
  made = made && fl_onednn_operand(j, d, back ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, back, 4, x, 0) &&
         fl_onednn_operand(j, d, back ? DNNL_ARG_DIFF_DST : DNNL_ARG_DST, !back, 4, y, 0) &&
         (!places || fl_onednn_operand(j, d, DNNL_ARG_WORKSPACE, !back, 4, y, FL_ONEDNN_BYTES));
  return fl_onednn_finish(j, made, forward, plan, 2, (const dnnl_memory_desc_t[]){ in, out });
}

static onednn_job *job_of(int operation, const onednn_pool *p) {
  if (!p->planes || !p->oh || !p->ow) return NULL;
  const onednn_key key = { { operation, (int64_t)p->planes, (int64_t)p->h, (int64_t)p->w, (int64_t)p->oh, (int64_t)p->ow,
                             (int64_t)p->k, (int64_t)p->stride, (int64_t)p->pad, p->kind } };
  return fl_onednn_find(&key, make);
}

int fl_onednn_pool(const onednn_pool *p, const float *x, float *y, uint8_t *at) {
  if (p->kind == ONEDNN_MAX && !(fl_onednn_native.absmax(p->planes * p->h * p->w, x) <= FLT_MAX)) return 0;
  onednn_job *j = job_of(ONEDNN_POOL, p);
  return j && fl_onednn_run(j, (const void *const[]){ x, y, at });
}

int fl_onednn_pool_back(const onednn_pool *p, const float *dy, const uint8_t *at, float *dx) {
  onednn_job *j = job_of(ONEDNN_POOL_BACK, p);
  return j && fl_onednn_run(j, (const void *const[]){ dx, dy, at });
}

static onednn_pool twos(size_t planes, size_t h, size_t w) {
  return (onednn_pool){ planes, h, w, h / 2, w / 2, 2, 2, 0, ONEDNN_MAX };
}
void fl_onednn_maxpool2(size_t planes, size_t h, size_t w, const float *x, float *y, uint8_t *at) {
  const onednn_pool p = twos(planes, h, w);
  if (!fl_onednn_pool(&p, x, y, at)) FL_ONEDNN_NATIVE(maxpool2)(planes, h, w, x, y, at);
}
void fl_onednn_maxpool2_back(size_t planes, size_t h, size_t w, const float *dy, const uint8_t *at, float *dx) {
  const onednn_pool p = twos(planes, h, w);
  if (!fl_onednn_pool_back(&p, dy, at, dx)) FL_ONEDNN_NATIVE(maxpool2_back)(planes, h, w, dy, at, dx);
}

static onednn_pool any(const fl_pool *s, size_t planes, int kind) {
  return (onednn_pool){ planes, s->h, s->w, fl_pool_oh(s), fl_pool_ow(s), s->k, s->stride, s->pad, kind };
}
static int mean(const fl_pool *s) { return s->count_pad ? ONEDNN_MEAN : ONEDNN_MEAN_INSIDE; }
void fl_onednn_max_pool(const fl_pool *s, size_t planes, const float *x, float *y, uint8_t *at) {
  const onednn_pool p = any(s, planes, ONEDNN_MAX);
  if (!fl_onednn_pool(&p, x, y, at)) FL_ONEDNN_NATIVE(max_pool)(s, planes, x, y, at);
}
void fl_onednn_max_pool_back(const fl_pool *s, size_t planes, const float *dy, const uint8_t *at, float *dx) {
  const onednn_pool p = any(s, planes, ONEDNN_MAX);
  if (!fl_onednn_pool_back(&p, dy, at, dx)) FL_ONEDNN_NATIVE(max_pool_back)(s, planes, dy, at, dx);
}
void fl_onednn_avg_pool(const fl_pool *s, size_t planes, const float *x, float *y) {
  const onednn_pool p = any(s, planes, mean(s));
  if (!fl_onednn_pool(&p, x, y, NULL)) FL_ONEDNN_NATIVE(avg_pool)(s, planes, x, y);
}
void fl_onednn_avg_pool_back(const fl_pool *s, size_t planes, const float *dy, float *dx) {
  const onednn_pool p = any(s, planes, mean(s));
  if (!fl_onednn_pool_back(&p, dy, NULL, dx)) FL_ONEDNN_NATIVE(avg_pool_back)(s, planes, dy, dx);
}

/* ---- convolution, ReLU and pooling --------------------------------------------------------------------------------------- */
enum { CLOSED = 4, LOST = 8, PLACE = 3 };       /* of `at`, as kernels.h says */

static onednn_pool behind(const fl_conv *s, size_t n) { return twos(n * s->o, fl_conv_oh(s), fl_conv_ow(s)); }

/* ReLU of the maxima: the maximum of the ReLUs. */
static int convolve_and_pool(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, uint8_t *at) {
  const onednn_pool p = behind(s, n);
  const size_t windows = p.planes * p.oh * p.ow;
  float *full = fl_onednn_buffer(FL_ONEDNN_FULL, p.planes * p.h * p.w * sizeof *full);
  if (!full || !fl_onednn_convolve(ONEDNN_CONV, s, n, x, w, full, b) || !fl_onednn_pool(&p, full, y, at)) return 0;
  for (size_t i = 0; i < windows; i++) {
    at[i] = (uint8_t)(at[i] | (y[i] > 0 ? 0 : CLOSED));
    y[i] = y[i] < 0 ? 0.0f : y[i];
  }
  return 1;
}

void fl_onednn_conv_pool(const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, uint8_t *at,
                         float *work) {
  if (!convolve_and_pool(s, n, x, w, b, y, at)) FL_ONEDNN_NATIVE(conv_pool)(s, n, x, w, b, y, at, work);
}

/* The gradient of the convolution's output: of each window that is open, one place. 0: a window is lost, or no memory. */
static int spread(const onednn_pool *p, const float *dy, const uint8_t *at, float *full) {
  const size_t windows = p->planes * p->oh * p->ow;
  float *open = fl_onednn_buffer(FL_ONEDNN_SMALL, windows * sizeof *open);
  uint8_t *place = fl_onednn_buffer(FL_ONEDNN_PLACES, windows);
  unsigned lost = 0;
  if (!open || !place) return 0;
  for (size_t i = 0; i < windows; i++) {
    open[i] = at[i] & CLOSED ? 0.0f : dy[i];
    place[i] = at[i] & PLACE;
    lost |= at[i] & LOST;
  }
  return !lost && fl_onednn_pool_back(p, open, place, full);
}

void fl_onednn_conv_pool_back(const fl_conv *s, size_t n, const float *x, const float *w, const float *dy, const uint8_t *at,
                              float *dx, float *dw, float *db, float *work) {
  const onednn_pool p = behind(s, n);
  float *full = fl_onednn_buffer(FL_ONEDNN_FULL, p.planes * p.h * p.w * sizeof *full);
  if (!full || !spread(&p, dy, at, full) || !fl_onednn_convolve(ONEDNN_CONV_WEIGHT, s, n, x, dw, full, db) ||
      (dx && !fl_onednn_convolve(ONEDNN_CONV_INPUT, s, n, dx, w, full, NULL)))
    FL_ONEDNN_NATIVE(conv_pool_back)(s, n, x, w, dy, at, dx, dw, db, work);
}
