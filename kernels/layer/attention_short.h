/* attention_short.h - attention of short sequences: a lane is a pair of sample and head, of which sixteen go side by side, so
 * that a vector is never part empty, however small head and length are. Operands are turned in and out: element (t, i) of the
 * sixteen pairs is the vector at 16*(t*dim + i). Sums have the order of the long form. */
#ifndef FL_LAYER_ATTENTION_SHORT_H
#define FL_LAYER_ATTENTION_SHORT_H
#include "kernels/layer/attention.h"
#include "kernels/layer/drop.h"
#include "kernels/math/exp.h"
#include "kernels/simd/each.h"
#include <math.h>

/* Pairs first .. first + count - 1: where each begins, its row and column. */
typedef struct { const fl_attention *s; size_t first, count, row[16], column[16]; } group;

static group group_of(const fl_attention *s, size_t first, size_t pairs) {
  group g = { s, first, pairs - first < 16 ? pairs - first : 16, { 0 }, { 0 } };
  size_t sample = first / s->heads, head = first % s->heads;
  for (size_t lane = 0; lane < g.count; lane++) {
    g.row[lane] = sample * s->length;
    g.column[lane] = head * s->dim;
    if (++head == s->heads) sample++, head = 0;
  }
  return g;
}
FL_INLINE size_t pair_place(const group *g, size_t lane, size_t ld) { return g->row[lane] * ld + g->column[lane]; }

FL_INLINE void copy_few(size_t n, float *to, const float *from) {
  if (n == 4) memcpy(to, from, 4 * sizeof *to);         /* no mask to make */
  else v_store_n(to, n, v_load_n(from, n, 0.0f));
}

#ifdef FL_FOURS
/* Heads of four, as many as there are lanes: turned without a copy between. */
static int pairs_of_four(const group *g) { return g->s->dim == 4 && g->count == 16; }
static void fours_in(const group *g, const float *x, size_t ld, float *to) {
  const float *from[16];
  for (size_t lane = 0; lane < 16; lane++) from[lane] = x + pair_place(g, lane, ld);
  for (size_t t = 0; t < g->s->length; t++) v_fours_in(to + 64 * t, from, t * ld);
}
static void fours_out(const group *g, const float *from, float *x, size_t ld) {
  float *to[16];
  for (size_t lane = 0; lane < 16; lane++) to[lane] = x + pair_place(g, lane, ld);
  for (size_t t = 0; t < g->s->length; t++) v_fours_out(to, t * ld, from + 64 * t);
}
#else
static int pairs_of_four(const group *g) { (void)g; return 0; }
static void fours_in(const group *g, const float *x, size_t ld, float *to) { (void)g, (void)x, (void)ld, (void)to; }
static void fours_out(const group *g, const float *from, float *x, size_t ld) { (void)g, (void)from, (void)x, (void)ld; }
#endif

/* `rows`: scratch, as large as the operand. */
static void pairs_in(const group *g, const float *x, size_t ld, float *rows, float *to) {
  const size_t d = g->s->dim, n = g->s->length * d, wide = (n + 15) / 16 * 16;
  if (pairs_of_four(g)) {
    fours_in(g, x, ld, to);
    return;
  }
  for (size_t lane = 0; lane < g->count; lane++) {
    const float *from = x + pair_place(g, lane, ld);
    for (size_t t = 0; t < g->s->length; t++) copy_few(d, rows + lane * wide + t * d, from + t * ld);
    for (size_t i = n; i < wide; i++) rows[lane * wide + i] = 0.0f;
  }
  for (size_t i = 0; i < n; i += 16) v_turn(to + 16 * i, 16, rows + i, wide, g->count);
}

static void pairs_out(const group *g, const float *from, float *rows, float *x, size_t ld) {
  const size_t d = g->s->dim, n = g->s->length * d, wide = (n + 15) / 16 * 16;
  if (pairs_of_four(g)) {
    fours_out(g, from, x, ld);
    return;
  }
  for (size_t i = 0; i < n; i += 16) v_turn(rows + i, wide, from + 16 * i, 16, 16);
  for (size_t lane = 0; lane < g->count; lane++) {
    float *to = x + pair_place(g, lane, ld);
    for (size_t t = 0; t < g->s->length; t++) copy_few(d, to + t * ld, rows + lane * wide + t * d);
  }
}

/* The factors of dropout of the sixteen pairs: of query t and key j the vector at 16*(16*t + j). Returns NULL where nothing is
 * dropped; `work` has room for them twice. */
static const float *pairs_factors(const group *g, const drops *d, float *work) {
  const size_t length = g->s->length, each = 16 * length;
  float *to = work, *rows = work + 16 * each;
  if (!attention_drops(g->s)) return NULL;
  for (size_t lane = 0; lane < g->count; lane++)
    drops_factors(d, attention_first(g->s, g->first + lane), each, rows + lane * each);
  for (size_t t = 0; t < length; t++) v_turn(to + 256 * t, 16, rows + 16 * t, each, g->count);
  return to;
}

/* j += j + 8, 4, 2, 1 of n <= 16 */
FL_INLINE v16 halve_few(size_t n, v16 t[16]) {
  for (size_t half = 8; half; half /= 2) {
    for (size_t j = 0; j < half && j + half < n; j++) t[j] = v_add(t[j], t[j + half]);
  }
  return t[0];
}

FL_INLINE v16 dot_few(size_t n, const float *a, const float *b) {
  v16 sum = v_zero();
  for (size_t i = 0; i < n; i++) sum = v_fma(v_load(a + 16 * i), v_load(b + 16 * i), sum);
  return sum;
}

static void pairs_forward(const fl_attention *s, const float *factor, const float *q, const float *k, const float *v, float *y,
                          float *max, float *inverse) {
  const size_t d = s->dim;
  const v16 scale = v_set(s->scale);
  for (size_t t = 0; t < s->length; t++) {
    const size_t keys = s->causal ? t + 1 : s->length;
    v16 e[16], sum[16], top = v_set(-INFINITY);
    for (size_t j = 0; j < keys; j++) {
      e[j] = dot_few(d, q + 16 * t * d, k + 16 * j * d);
      top = v_keep_max(top, e[j]);
    }
    top = v_mul(top, scale);
    for (size_t j = 0; j < keys; j++) sum[j] = e[j] = v_exp(v_fma(e[j], scale, v_neg(top)));
    const v16 by = v_div(v_set(1.0f), halve_few(keys, sum));
    for (size_t j = 0; factor && j < keys; j++) e[j] = v_mul(e[j], v_load(factor + 16 * (16 * t + j)));
    for (size_t i = 0; i < d; i++) {
      v16 o = v_zero();
      for (size_t j = 0; j < keys; j++) o = v_fma(e[j], v_load(v + 16 * (j * d + i)), o);
      v_store(y + 16 * (t * d + i), v_mul(o, by));
    }
    v_store(max + 16 * t, top);
    v_store(inverse + 16 * t, by);
  }
}

/* stat (t of each pair, pairs behind each other) from vectors, and back */
static void stat_out(const group *g, const float *from, float *stat) {
  float rows[256];
  v_turn(rows, 16, from, 16, 16);
  for (size_t lane = 0; lane < g->count; lane++)
    v_store_n(stat + (g->first + lane) * g->s->length, g->s->length, v_load(rows + 16 * lane));
}
static void stat_in(const group *g, const float *stat, float *to) {
  float rows[256] = { 0 };
  for (size_t lane = 0; lane < g->count; lane++)
    v_store(rows + 16 * lane, v_load_n(stat + (g->first + lane) * g->s->length, g->s->length, 0.0f));
  v_turn(to, 16, rows, 16, 16);
}

static void attention_pairs(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, float *y,
                            float *stat, float *work) {
  const size_t pairs = n * s->heads, size = attention_operand(s);
  float *at[5], max[256], inverse[256];
  for (size_t i = 0; i < 5; i++) at[i] = work + i * size;
  const drops d = attention_drops(s) ? drops_of(s->draws, s->drop) : (drops){ .all = 0 };
  for (size_t p = 0; p < pairs; p += 16) {
    const group g = group_of(s, p, pairs);
    pairs_in(&g, q, s->ld, at[4], at[0]);
    pairs_in(&g, k, s->ld, at[4], at[1]);
    pairs_in(&g, v, s->ld, at[4], at[2]);
    pairs_forward(s, pairs_factors(&g, &d, work + 9 * size), at[0], at[1], at[2], at[3], max, inverse);
    pairs_out(&g, at[3], at[4], y, s->ldo);
    stat_out(&g, max, stat);
    stat_out(&g, inverse, stat + pairs * s->length);
  }
}

/* x: q, k, v, y, dy, dq, dk, dv */
static void pairs_backward(const fl_attention *s, const float *factor, float *const x[8], const float *max,
                           const float *inverse) {
  const size_t d = s->dim;
  const v16 scale = v_set(s->scale);
  memset(x[6], 0, 16 * s->length * d * sizeof *x[6]);
  memset(x[7], 0, 16 * s->length * d * sizeof *x[7]);
  for (size_t t = 0; t < s->length; t++) {
    const size_t keys = s->causal ? t + 1 : s->length, at = 16 * t * d;
    const v16 top = v_neg(v_load(max + 16 * t)), by = v_load(inverse + 16 * t);
    v16 own[16], slope[16];
    for (size_t i = 0; i < d; i++) own[i] = v_fma(v_load(x[4] + at + 16 * i), v_load(x[3] + at + 16 * i), v_zero());
    const v16 dot = halve_few(d, own);
    for (size_t j = 0; j < keys; j++) {
      v16 p = v_mul(v_exp(v_fma(dot_few(d, x[0] + at, x[1] + 16 * j * d), scale, top)), by);
      v16 dp = dot_few(d, x[4] + at, x[2] + 16 * j * d);
      if (factor) dp = v_mul(dp, v_load(factor + 16 * (16 * t + j)));
      slope[j] = v_mul(v_mul(p, v_sub(dp, dot)), scale);
      if (factor) p = v_mul(p, v_load(factor + 16 * (16 * t + j)));
      for (size_t i = 0; i < d; i++) {
        float *dk = x[6] + 16 * (j * d + i), *dv = x[7] + 16 * (j * d + i);
        v_store(dv, v_fma(p, v_load(x[4] + at + 16 * i), v_load(dv)));
        v_store(dk, v_fma(slope[j], v_load(x[0] + at + 16 * i), v_load(dk)));
      }
    }
    for (size_t i = 0; i < d; i++) {
      v16 sum = v_zero();
      for (size_t j = 0; j < keys; j++) sum = v_fma(slope[j], v_load(x[1] + 16 * (j * d + i)), sum);
      v_store(x[5] + at + 16 * i, sum);
    }
  }
}

static void attention_pairs_back(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, const float *y,
                                 const float *stat, const float *dy, float *dq, float *dk, float *dv, float *work) {
  const size_t pairs = n * s->heads, size = attention_operand(s);
  float *x[8], *rows = work + 8 * size, max[256], inverse[256];
  for (size_t i = 0; i < 8; i++) x[i] = work + i * size;
  const drops d = attention_drops(s) ? drops_of(s->draws, s->drop) : (drops){ .all = 0 };
  for (size_t p = 0; p < pairs; p += 16) {
    const group g = group_of(s, p, pairs);
    pairs_in(&g, q, s->ld, rows, x[0]);
    pairs_in(&g, k, s->ld, rows, x[1]);
    pairs_in(&g, v, s->ld, rows, x[2]);
    pairs_in(&g, y, s->ldo, rows, x[3]);
    pairs_in(&g, dy, s->ldo, rows, x[4]);
    stat_in(&g, stat, max);
    stat_in(&g, stat + pairs * s->length, inverse);
    pairs_backward(s, pairs_factors(&g, &d, work + 9 * size), x, max, inverse);
    pairs_out(&g, x[5], rows, dq, s->ld);
    pairs_out(&g, x[6], rows, dk, s->ld);
    pairs_out(&g, x[7], rows, dv, s->ld);
  }
}
#endif
