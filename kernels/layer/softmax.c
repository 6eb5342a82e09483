/* softmax.c - softmax with cross-entropy, and the prediction of a row. */
#include "kernels/gemm/tile.h"
#include "kernels/layer/rows.h"
#include "kernels/math/exp.h"
#include "kernels/math/log.h"
#include <math.h>

/* Sixteen partials of a row's maximum. */
static v16 part_max(size_t n, const float *x) {
  v16 m = v_set(-INFINITY);
  for (size_t i = 0; i < n; i += 16) m = v_keep_max(m, n - i >= 16 ? v_load(x + i) : v_load_n(x + i, n - i, -INFINITY));
  return m;
}

static float row_max(size_t n, const float *x) {
  float lane[16];
  v_store(lane, part_max(n, x));
  for (int half = 8; half; half /= 2) {
    for (int j = 0; j < half; j++)
      lane[j] = lane[j + half] > lane[j] || lane[j + half] != lane[j + half] ? lane[j + half] : lane[j];
  }
  return lane[0];
}

/* e = exp(x - max) into e[]; returns sixteen partials of the sum: 64, element i to partial i%64, halved twice. */
static v16 part_exp(size_t n, const float *x, float max, float *e) {
  const v16 top = v_set(max);
  v16 p[4] = { v_zero(), v_zero(), v_zero(), v_zero() };
  FL_EACH_PART(n, {
    v16 v = v_exp(v_sub(v_get(x + i, lanes), top));
    if (lanes < 16) v = v_sel(u_lt_s(u_iota(), u_set((uint32_t)lanes)), v, v_zero());
    v_put(e + i, lanes, v);
    p[part] = v_add(p[part], v);
  });
  return row_fold(p);
}

/* Up to sixteen rows of up to sixteen classes, turned: a lane is a row, and what follows is the arithmetic of part_max
 * and part_exp, whose missing lanes are -inf and +0. */
static void few_classes(size_t rows, size_t classes, const float *x, const uint8_t *label, float scale, float *d, float *loss) {
  float turned[16 * 16], max[16], own[16] = { 0 };
  v16 e[16], t[16];
  uint32_t mine[16] = { 0 };
  turn_part(rows, classes, x, classes, turned, 16, 16);
  for (size_t j = 0; j < 16; j++) t[j] = j < classes ? v_load(turned + 16 * j) : v_set(-INFINITY);
  for (size_t half = 8; half; half /= 2) {
    for (size_t j = 0; j < half; j++) t[j] = v_keep_max(t[j], t[j + half]);
  }
  v_store(max, t[0]);
  for (size_t r = 0; r < rows; r++) {
    mine[r] = label[r];
    own[r] = x[r * classes + label[r]] - max[r];
  }
  const v16 top = t[0], s = v_set(scale);
  for (size_t j = 0; j < 16; j++) t[j] = e[j] = j < classes ? v_exp(v_sub(v_load(turned + 16 * j), top)) : v_zero();
  for (size_t half = 8; half; half /= 2) {
    for (size_t j = 0; j < half; j++) t[j] = v_add(t[j], t[j + half]);
  }
  const u16 hot = u_load(mine);
  for (size_t j = 0; j < classes; j++) {
    const v16 one = v_sel(u_eq(hot, u_set((uint32_t)j)), v_set(1.0f), v_zero());
    v_store(turned + 16 * j, v_mul(v_sub(v_div(e[j], t[0]), one), s));
  }
  turn_part(classes, rows, turned, 16, d, classes, classes);
  v_store_n(loss, rows, v_sub(v_log(t[0]), v_load(own)));
}

/* Up to sixteen rows of more classes: what of each row goes together at its end, of sixteen does so at once. d may be x. */
static void many_classes(size_t rows, size_t classes, const float *x, const uint8_t *label, float scale, float *d, float *loss) {
  float square[256] = { 0 }, max[16], sums[16], own[16] = { 0 };
  for (size_t r = 0; r < rows; r++) v_store(square + 16 * r, part_max(classes, x + r * classes));
  v_store(max, rows_max(square));
  memset(square, 0, sizeof square);
  for (size_t r = 0; r < rows; r++) {
    own[r] = x[r * classes + label[r]] - max[r];
    v_store(square + 16 * r, part_exp(classes, x + r * classes, max[r], d + r * classes));
  }
  v_store(sums, rows_halve(square));
  const v16 s = v_set(scale);
  for (size_t r = 0; r < rows; r++, d += classes) {
    const v16 sum = v_set(sums[r]);
    const u16 mine = u_set(label[r]);
    FL_EACH(classes, {
      const v16 hot = v_sel(u_eq(u_add(u_iota(), u_set((uint32_t)i)), mine), v_set(1.0f), v_zero());
      v_put(d + i, lanes, v_mul(v_sub(v_div(v_get(d + i, lanes), sum), hot), s));
    });
  }
  v_store_n(loss, rows, v_sub(v_log(v_load_n(sums, rows, 1.0f)), v_load(own)));
}

void FL_FN(softmax_xent)(size_t rows, size_t classes, const float *logits, const uint8_t *label, float scale, float *dlogits,
                         float *loss) {
  for (size_t r = 0; r < rows; r += 16) {
    const size_t count = rows - r < 16 ? rows - r : 16, at = r * classes;
    if (classes <= 16) few_classes(count, classes, logits + at, label + r, scale, dlogits + at, loss + r);
    else many_classes(count, classes, logits + at, label + r, scale, dlogits + at, loss + r);
  }
}

/* Where `max` stands first: of each lane the first place, then the smallest. */
static int32_t row_place(size_t n, const float *x, float max) {
  uint32_t lane[16];
  u16 first = u_set(INT32_MAX);
  for (size_t i = 0; i < n; i += 16) {
    const u16 at = u_add(u_iota(), u_set((uint32_t)i));
    const m16 hit = v_eq(n - i >= 16 ? v_load(x + i) : v_load_n(x + i, n - i, -INFINITY), v_set(max));
    first = u_sel(m_and(hit, u_lt_s(at, first)), at, first);
  }
  u_store(lane, first);
  for (int half = 8; half; half /= 2) {
    for (int j = 0; j < half; j++) lane[j] = lane[j + half] < lane[j] ? lane[j + half] : lane[j];
  }
  return (int32_t)lane[0];
}

/* The running sum goes from class 0 on in float; a row with NaN gets the last class (its gradient is NaN anyway). */
void FL_FN(softmax_sample)(size_t rows, size_t classes, const float *logits, const float *uniform, float *work, uint8_t *label) {
  for (size_t r = 0; r < rows; r++, logits += classes) {
    float sum = 0, total = 0;
    size_t c = 0;
    part_exp(classes, logits, row_max(classes, logits), work);
    for (size_t i = 0; i < classes; i++) total += work[i];
    const float bound = uniform[r] * total;
    for (; c + 1 < classes; c++) {
      sum += work[c];
      if (sum > bound) break;
    }
    label[r] = (uint8_t)c;
  }
}

void FL_FN(argmax_rows)(size_t rows, size_t classes, const float *logits, int32_t *pred) {
  for (size_t r = 0; r < rows; r++, logits += classes) {
    const float max = row_max(classes, logits);
    pred[r] = max != max ? -1 : row_place(classes, logits, max);
  }
}
