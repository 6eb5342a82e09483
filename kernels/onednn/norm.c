/* norm.c - layer norm, and the map of batch norm. The kernels keep 1/sqrt(variance + eps) for the way back, oneDNN the variance:
 * it is handed 1/scale^2 as that, and an eps of 0. */
#include "parts.h"
#include <math.h>
#include <string.h>

enum { OPERATION, ROWS, COLUMNS, PLACES, OPTIONS, EPS };
enum { NO_SHIFT = 1 };
enum { FLAGS = dnnl_use_scale | dnnl_use_shift };

static int64_t bits_of(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static float float_of(int64_t bits) {
  const int32_t low = (int32_t)bits;
  float x;
  memcpy(&x, &low, sizeof x);
  return x;
}

/* 1/scale^2, n of them, in the thread's scratch. */
static const float *variances(size_t n, const float *scale) {
  float *v = fl_onednn_buffer(FL_ONEDNN_SMALL, n * sizeof *v);
  for (size_t i = 0; v && i < n; i++) v[i] = 1.0f / (scale[i] * scale[i]);
  return v;
}

/* ---- layer norm ---------------------------------------------------------------------------------------------------------- */
/* Its way back counts the shift among its inputs, and reads nothing of it. */
enum { BACK_INPUTS = 5 };
static int wants_shift(const_dnnl_primitive_desc_t d) {
  int inputs = 0;
  return dnnl_primitive_desc_query(d, dnnl_query_num_of_inputs_s32, 0, &inputs) == dnnl_success && inputs > BACK_INPUTS;
}

static int add_rows(onednn_job *j, const_dnnl_primitive_desc_t d, int back, const int64_t *x, const int64_t *row,
                    const int64_t *column) {
  if (!fl_onednn_operand(j, d, DNNL_ARG_SRC, 0, 2, x, 0) || !fl_onednn_operand(j, d, DNNL_ARG_MEAN, !back, 1, row, 0) ||
      !fl_onednn_operand(j, d, DNNL_ARG_VARIANCE, !back, 1, row, 0) ||
      !fl_onednn_operand(j, d, DNNL_ARG_SCALE, 0, 1, column, 0)) return 0;
  if (!back)
    return fl_onednn_operand(j, d, DNNL_ARG_SHIFT, 0, 1, column, 0) && fl_onednn_operand(j, d, DNNL_ARG_DST, 1, 2, x, 0);
  return fl_onednn_operand(j, d, DNNL_ARG_DIFF_DST, 0, 2, x, 0) && fl_onednn_operand(j, d, DNNL_ARG_DIFF_SRC, 1, 2, x, 0) &&
         fl_onednn_operand(j, d, DNNL_ARG_DIFF_SCALE, 1, 1, column, 0) &&
         fl_onednn_operand(j, d, DNNL_ARG_DIFF_SHIFT, 1, 1, column, 0) &&
         (!wants_shift(d) || fl_onednn_operand(j, d, DNNL_ARG_SHIFT, 0, 1, column, 0));
}

static int make_rows(const onednn_key *key, onednn_job *j) {
  const int64_t x[] = { key->of[ROWS], key->of[COLUMNS] };
  const dnnl_engine_t e = fl_onednn_engine();
  const float eps = float_of(key->of[EPS]);
  const int back = key->of[OPERATION] == ONEDNN_LAYER_NORM_BACK;
  dnnl_memory_desc_t data = fl_onednn_layout(2, x, 0), stat = fl_onednn_layout(1, x, 0);
  dnnl_primitive_desc_t forward = NULL, plan = NULL;
  int made = data && stat &&
    dnnl_layer_normalization_forward_primitive_desc_create(&forward, e, dnnl_forward_training, data, data, stat, eps, FLAGS,
                                                           NULL) == dnnl_success;
  if (made && back)
    made = dnnl_layer_normalization_backward_primitive_desc_create(&plan, e, dnnl_backward, data, data, data, stat, eps, FLAGS,
                                                                   forward, NULL) == dnnl_success;
  made = made && add_rows(j, back ? plan : forward, back, x, x, x + 1);
  return fl_onednn_finish(j, made, forward, plan, 2, (const dnnl_memory_desc_t[]){ data, stat });
}

static onednn_job *rows_job(int operation, size_t rows, size_t n, float eps) {
  const onednn_key key = { { operation, (int64_t)rows, (int64_t)n, 0, 0, bits_of(eps) } };
  return rows && n ? fl_onednn_find(&key, make_rows) : NULL;
}

void fl_onednn_layer_norm(size_t rows, size_t n, const float *x, const float *gamma, const float *beta, float eps, float *y,
                          float *stat) {
  onednn_job *j = rows_job(ONEDNN_LAYER_NORM, rows, n, eps);
  float *scale = stat + rows;                   /* the variance at first */
  if (!j || !fl_onednn_run(j, (const void *const[]){ x, stat, scale, gamma, beta, y })) {
    FL_ONEDNN_NATIVE(layer_norm)(rows, n, x, gamma, beta, eps, y, stat);
    return;
  }
  for (size_t r = 0; r < rows; r++) scale[r] = 1.0f / sqrtf(scale[r] + eps);
}

void fl_onednn_layer_norm_back(size_t rows, size_t n, const float *x, const float *gamma, const float *stat, const float *dy,
                               float *dx, float *dgamma, float *dbeta, size_t piece, float *work) {
  onednn_job *j = rows_job(ONEDNN_LAYER_NORM_BACK, rows, n, 0.0f);
  const float *variance = j ? variances(rows, stat + rows) : NULL;
  if (!variance || !fl_onednn_run(j, (const void *const[]){ x, stat, variance, gamma, dy, dx, dgamma, dbeta, gamma }))
    FL_ONEDNN_NATIVE(layer_norm_back)(rows, n, x, gamma, stat, dy, dx, dgamma, dbeta, piece, work);
}

/* ---- batch norm ---------------------------------------------------------------------------------------------------------- */
/* With given statistics, those of the batch or the running ones. Its moments and its way back in two parts, with sums that may be
 * of more samples than these, are no operations of oneDNN's. */
static int make_batch(const onednn_key *key, onednn_job *j) {
  const int64_t x[] = { key->of[ROWS], key->of[COLUMNS], key->of[PLACES], 1 }, *c = x + 1;
  const int shift = !(key->of[OPTIONS] & NO_SHIFT);
  const unsigned flags = (unsigned)(dnnl_use_global_stats | dnnl_use_scale | (shift ? dnnl_use_shift : 0));
  dnnl_memory_desc_t data = fl_onednn_layout(4, x, FL_ONEDNN_BLOCKED);
  dnnl_primitive_desc_t d = NULL;
  int made = data && dnnl_batch_normalization_forward_primitive_desc_create(&d, fl_onednn_engine(), dnnl_forward_inference, data,
                                                                            data, 0.0f, flags, NULL) == dnnl_success;
  made = made && fl_onednn_operand(j, d, DNNL_ARG_SRC, 0, 4, x, 0) && fl_onednn_operand(j, d, DNNL_ARG_MEAN, 0, 1, c, 0) &&
         fl_onednn_operand(j, d, DNNL_ARG_VARIANCE, 0, 1, c, 0) && fl_onednn_operand(j, d, DNNL_ARG_SCALE, 0, 1, c, 0) &&
         fl_onednn_operand(j, d, DNNL_ARG_DST, 1, 4, x, 0) &&
         (!shift || fl_onednn_operand(j, d, DNNL_ARG_SHIFT, 0, 1, c, 0));
  return fl_onednn_finish(j, made, d, NULL, 1, &data);
}

void fl_onednn_batch_norm(size_t n, size_t c, size_t hw, const float *x, const float *stat, const float *gamma, const float *beta,
                          int relu, float *y) {
  const onednn_key key = { { ONEDNN_BATCH_NORM, (int64_t)n, (int64_t)c, (int64_t)hw, beta ? 0 : NO_SHIFT } };
  onednn_job *j = n && c && hw ? fl_onednn_find(&key, make_batch) : NULL;
  const float *variance = j ? variances(c, stat + c) : NULL;
  if (!variance || !fl_onednn_run(j, (const void *const[]){ x, stat, variance, gamma, y, beta })) {
    FL_ONEDNN_NATIVE(batch_norm)(n, c, hw, x, stat, gamma, beta, relu, y);
    return;
  }
  if (relu) fl_onednn_native.relu(n * c * hw, y, y);
}
