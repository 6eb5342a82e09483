/* loss.c - losses of logits with their gradients: cross-entropy with labels of 32 bits, weights and smoothing, the binary
 * one, and the margin. Up to sixteen rows at a time: their maxima, sums and logarithms are lanes of one vector. */
#include "kernels/layer/rows.h"
#include "kernels/math/log1p.h"
#include "kernels/math/logistic.h"
#include <math.h>

/* v_get whose missing lanes are -inf. */
FL_INLINE v16 get_least(const float *p, size_t lanes) { return lanes == 16 ? v_load(p) : v_load_n(p, lanes, -INFINITY); }

/* +0 in the lanes that do not exist. */
FL_INLINE v16 only(size_t lanes, v16 x) {
  return lanes == 16 ? x : v_sel(u_lt_s(u_iota(), u_set((uint32_t)lanes)), x, v_zero());
}

typedef struct { size_t classes; const float *weight; } columns;
FL_INLINE v16 weights(const columns *c, size_t i, size_t lanes) {
  return c->weight ? v_get(c->weight + i, lanes) : only(lanes, v_set(1.0f));
}

/* Of up to sixteen rows: max, sum of e = exp(x - max) (into d), sum of w*(x - max) if asked for. */
static void exponentials(size_t rows, const columns *c, const float *x, float *d, int weighted, float max[16], float sum[16],
                         float dot[16]) {
  float square[256], other[256] = { 0 };
  for (size_t r = 0; r < 16; r++) {
    v16 m = v_set(-INFINITY);
    for (size_t i = 0; r < rows && i < c->classes; i += 16) {
      const size_t lanes = c->classes - i < 16 ? c->classes - i : 16;
      m = v_keep_max(m, get_least(x + r * c->classes + i, lanes));
    }
    v_store(square + 16 * r, m);
  }
  v_store(max, rows_max(square));
  memset(square, 0, sizeof square);
  for (size_t r = 0; r < rows; r++) {
    const v16 top = v_set(max[r]), zero = v_zero();
    v16 p[4] = { zero, zero, zero, zero }, q[4] = { zero, zero, zero, zero };
    const float *row = x + r * c->classes;
    float *to = d + r * c->classes;
    FL_EACH_PART(c->classes, {
      const v16 centred = v_sub(lanes == 16 ? v_load(row + i) : v_load_n(row + i, lanes, max[r]), top);
      const v16 e = only(lanes, v_exp(centred));
      if (weighted) q[part] = v_fma(weights(c, i, lanes), centred, q[part]);
      p[part] = v_add(p[part], e);
      v_put(to + i, lanes, e);
    });
    v_store(square + 16 * r, row_fold(p));
    v_store(other + 16 * r, row_fold(q));
  }
  v_store(sum, rows_halve(square));
  v_store(dot, rows_halve(other));
}

/* One row's gradient, from e: (e/sum*mass - rest*w) - hot, times scale; hot is (1 - smoothing)*w of the label. */
FL_INLINE void gradient(const columns *c, float *d, float sum, float mass, float rest, float hot, uint32_t label, float scale) {
  const v16 s = v_set(sum), all = v_set(mass), r = v_set(rest), h = v_set(hot), by = v_set(scale);
  for (size_t i = 0; i < c->classes; i += 16) {
    const size_t lanes = c->classes - i < 16 ? c->classes - i : 16;
    const v16 own = v_sel(u_eq(u_add(u_iota(), u_set((uint32_t)i)), u_set(label)), h, v_zero());
    v16 p = v_mul(v_div(v_get(d + i, lanes), s), all);
    if (rest != 0.0f) p = v_fnma(r, weights(c, i, lanes), p);
    v_put(d + i, lanes, v_mul(v_sub(p, own), by));
  }
}

/* 64 partials, as everywhere; here the row is the weights themselves. */
static float total_weight(const columns *c) {
  float square[256] = { 0 }, sum[16];
  if (!c->weight) return (float)c->classes;
  v_store(square, row_sum((segments){ 1, 0, c->classes }, c->weight));
  v_store(sum, rows_halve(square));
  return sum[0];
}

void FL_FN(cross_entropy)(size_t rows, size_t classes, const float *logits, const uint32_t *label, const float *weight,
                          const fl_cross_entropy *a, float *dlogits, float *loss) {
  const columns c = { classes, weight };
  const int smooth = a->smoothing != 0.0f;
  const float own = 1.0f - a->smoothing, rest = a->smoothing / (float)classes, all = smooth ? total_weight(&c) : 0.0f;
  for (size_t r0 = 0; r0 < rows; r0 += 16) {
    const size_t count = rows - r0 < 16 ? rows - r0 : 16;
    const float *x = logits + r0 * classes;
    float *d = dlogits + r0 * classes, max[16], sum[16], dot[16], mine[16] = { 0 }, hot[16] = { 0 }, log[16], some[16] = { 0 };
    for (size_t r = 0; r < count; r++) {
      const uint32_t y = label[r0 + r];
      if (y == a->ignore) continue;
      mine[r] = x[r * classes + y];                     /* before d is written: d may be x */
      hot[r] = own * (weight ? weight[y] : 1.0f);
      some[r] = rest;
    }
    exponentials(count, &c, x, d, smooth, max, sum, dot);
    v_store(log, v_log(v_load(sum)));
    for (size_t r = 0; r < count; r++) {
      const uint32_t y = label[r0 + r];
      if (y == a->ignore) {
        memset(d + r * classes, 0, classes * sizeof *d);
        loss[r0 + r] = 0.0f;
        continue;
      }
      gradient(&c, d + r * classes, sum[r], fmaf(some[r], all, hot[r]), some[r], hot[r], y, a->scale);
      loss[r0 + r] = hot[r] * (log[r] - (mine[r] - max[r]));
      if (smooth) loss[r0 + r] = fmaf(rest, fmaf(all, log[r], -dot[r]), loss[r0 + r]);
    }
  }
}

FL_INLINE v16 binary_loss(v16 x, v16 t) {
  const v16 e = v_exp(v_neg(v_abs(x)));
  return v_add(v_fnma(x, t, v_max(v_zero(), x)), v_log1p(e));
}
void FL_FN(binary_entropy)(size_t n, float *dlogits, float *loss, const float *logits, const float *target, float scale) {
  FL_EACH(n, {
    const v16 x = v_get(logits + i, lanes);
    const v16 t = v_get(target + i, lanes);
    v_put(loss + i, lanes, binary_loss(x, t));
    v_put(dlogits + i, lanes, v_mul(v_sub(v_sigmoid(x), t), v_set(scale)));
  });
}

void FL_FN(multi_margin)(size_t rows, size_t classes, const float *logits, const uint32_t *label, float scale, float *dlogits,
                         float *loss) {
  const float step = scale / (float)classes;
  for (size_t r = 0; r < rows; r++, logits += classes, dlogits += classes) {
    const float own = logits[label[r]];
    const v16 mine = v_set(own), one = v_set(1.0f), zero = v_zero();
    v16 p[4] = { zero, zero, zero, zero }, q[4] = { zero, zero, zero, zero };
    float square[256] = { 0 }, sum[16];
    FL_EACH_PART(classes, {
      const v16 margin = v_add(v_sub(lanes == 16 ? v_load(logits + i) : v_load_n(logits + i, lanes, own), mine), one);
      const m16 label_too = u_eq(u_add(u_iota(), u_set((uint32_t)i)), u_set(label[r]));
      const v16 m = only(lanes, v_sel(label_too, zero, v_max(zero, margin)));
      const v16 beyond = v_sel(v_gt(m, zero), one, v_sel(v_eq(m, m), zero, m));
      p[part] = v_add(p[part], m);
      q[part] = v_add(q[part], beyond);
      v_put(dlogits + i, lanes, v_mul(beyond, v_set(step)));
    });
    v_store(square, row_fold(p));
    v_store(square + 16, row_fold(q));
    v_store(sum, rows_halve(square));
    loss[r] = sum[0] / (float)classes;
    dlogits[label[r]] = -(sum[1] * step);
  }
}
