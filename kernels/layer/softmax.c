/* softmax.c - softmax with cross-entropy, and the prediction of a row. */
#include "kernels/gemm/tile.h"
#include "kernels/math/exp.h"
#include "kernels/math/log.h"
#include <math.h>

static float row_max(size_t n, const float *x) {
  float lane[16];
  v16 m = v_set(-INFINITY);
  for (size_t i = 0; i < n; i += 16) m = v_keep_max(m, n - i >= 16 ? v_load(x + i) : v_load_n(x + i, n - i, -INFINITY));
  v_store(lane, m);
  for (int half = 8; half; half /= 2) {
    for (int j = 0; j < half; j++)
      lane[j] = lane[j + half] > lane[j] || lane[j + half] != lane[j + half] ? lane[j + half] : lane[j];
  }
  return lane[0];
}

/* e = exp(x - max) into e[]; returns the sum: 64 partials, element i to partial i%64, then halving. */
static float row_exp(size_t n, const float *x, float max, float *e) {
  v16 part[4] = { v_zero(), v_zero(), v_zero(), v_zero() };
  float lane[16];
  for (size_t i = 0; i < n; i += 16) {
    const size_t lanes = n - i < 16 ? n - i : 16;
    v16 v = v_exp(v_sub(lanes == 16 ? v_load(x + i) : v_load_n(x + i, lanes, 0.0f), v_set(max)));
    if (lanes < 16) v = v_sel(u_lt_s(u_iota(), u_set((uint32_t)lanes)), v, v_zero());
    v_store_n(e + i, lanes, v);
    part[i / 16 % 4] = v_add(part[i / 16 % 4], v);
  }
  v_store(lane, v_add(v_add(part[0], part[2]), v_add(part[1], part[3])));
  for (int half = 8; half; half /= 2) {
    for (int j = 0; j < half; j++) lane[j] += lane[j + half];
  }
  return lane[0];
}

/* Up to sixteen rows of up to sixteen classes, turned: a lane is a row, and what follows is the arithmetic of row_max and
 * row_exp, whose missing lanes are -inf and +0. */
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

void FL_FN(softmax_xent)(size_t rows, size_t classes, const float *logits, const uint8_t *label, float scale, float *dlogits,
                         float *loss) {
  for (size_t r0 = 0; r0 < rows; r0 += 16) {
    const size_t count = rows - r0 < 16 ? rows - r0 : 16;
    float sums[16] = { 0 }, own[16] = { 0 };
    if (classes <= 16) {
      few_classes(count, classes, logits + r0 * classes, label + r0, scale, dlogits + r0 * classes, loss + r0);
      continue;
    }
    for (size_t r = 0; r < count; r++) {
      const float *x = logits + (r0 + r) * classes;
      float *d = dlogits + (r0 + r) * classes;
      const size_t mine = label[r0 + r];
      const float max = row_max(classes, x);
      own[r] = x[mine] - max; /* before d is written: d may be x */
      sums[r] = row_exp(classes, x, max, d);
      const v16 sum = v_set(sums[r]), s = v_set(scale);
      for (size_t i = 0; i < classes; i += 16) {
        const size_t lanes = classes - i < 16 ? classes - i : 16;
        const v16 hot = v_sel(u_eq(u_add(u_iota(), u_set((uint32_t)i)), u_set((uint32_t)mine)), v_set(1.0f), v_zero());
        const v16 p = v_div(v_load_n(d + i, lanes, 0.0f), sum);
        v_store_n(d + i, lanes, v_mul(v_sub(p, hot), s));
      }
    }
    v_store_n(loss + r0, count, v_sub(v_log(v_load_n(sums, count, 1.0f)), v_load(own)));
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
    row_exp(classes, logits, row_max(classes, logits), work);
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
