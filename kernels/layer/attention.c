/* attention.c - multi-head attention, forward and backward, for any length: tiles of queries against blocks of keys, so that
 * memory grows with the length alone. The products are the table's; the way back computes the scores again. */
#include "kernels/layer/attention.h"
#include "kernels/layer/attention_short.h"
#include "kernels/layer/drop.h"
#include "kernels/layer/rows.h"
#include "kernels/math/exp.h"
#include <math.h>

/* A tile of queries q0.. against keys k0..; of row r the first count_of(r) keys are seen. */
typedef struct { const fl_attention *s; size_t q0, rows, k0, keys, lds; } tile;
static size_t count_of(const tile *t, size_t r) {
  const size_t seen = t->q0 + r + 1;
  if (!t->s->causal) return t->keys;
  return seen < t->k0 ? 0 : seen - t->k0 < t->keys ? seen - t->k0 : t->keys;
}
static tile tile_of(const fl_attention *s, size_t q0, size_t rows, size_t k0) {
  size_t keys = s->length - k0 < ATTENTION_KEYS ? s->length - k0 : ATTENTION_KEYS;
  if (s->causal && keys > q0 + rows - k0) keys = q0 + rows - k0;
  return (tile){ s, q0, rows, k0, keys, attention_columns(s) };
}

/* Of up to sixteen rows of scores from r0 on the maxima, times scale. */
static v16 tile_max(const tile *t, size_t r0, size_t count, const float *score) {
  float square[256];
  for (size_t r = 0; r < 16; r++) {
    const size_t n = r < count ? count_of(t, r0 + r) : 0;
    const float *from = score + (r0 + r) * t->lds;
    v16 m = v_set(-INFINITY);
    for (size_t i = 0; i < n; i += 16) m = v_keep_max(m, n - i >= 16 ? v_load(from + i) : v_load_n(from + i, n - i, -INFINITY));
    v_store(square + 16 * r, m);
  }
  return v_mul(rows_max(square), v_set(t->s->scale));
}

/* A row's e = exp(score*scale - max), +0 where a key is not seen; sixteen partials of its sum. */
FL_INLINE v16 row_exp(const tile *t, size_t r, float *score, float max) {
  const v16 scale = v_set(t->s->scale), top = v_set(-max), zero = v_zero();
  const size_t n = count_of(t, r);
  v16 p[4] = { zero, zero, zero, zero };
  FL_EACH_PART(t->keys, {
    v16 e = v_exp(v_fma(v_load(score + i), scale, top));
    if (i + lanes > n || lanes < 16) e = v_sel(u_lt_s(u_add(u_iota(), u_set((uint32_t)i)), u_set((uint32_t)n)), e, zero);
    v_store(score + i, e);
    p[part] = v_add(p[part], e);
  });
  return row_fold(p);
}

FL_INLINE void row_scale(size_t n, float *y, float by) { FL_EACH(n, v_put(y + i, lanes, v_mul(v_get(y + i, lanes), v_set(by)))); }

/* Scores become e; max, sum and what was summed into y before go on to the new maximum. */
static void tile_softmax(const tile *t, float *score, float *y, float *max, float *sum) {
  const int first = t->k0 == 0;
  for (size_t r0 = 0; r0 < t->rows; r0 += 16) {
    const size_t count = t->rows - r0 < 16 ? t->rows - r0 : 16;
    float square[256] = { 0 }, top[16], less[16];
    v16 m = tile_max(t, r0, count, score);
    if (!first) m = v_keep_max(v_load_n(max + r0, count, 0.0f), m);
    v_store(top, m);
    for (size_t r = 0; r < count; r++) v_store(square + 16 * r, row_exp(t, r0 + r, score + (r0 + r) * t->lds, top[r]));
    v16 l = rows_halve(square);
    if (!first) {
      const v16 c = v_exp(v_sub(v_load_n(max + r0, count, 0.0f), m));
      l = v_fma(v_load_n(sum + r0, count, 0.0f), c, l);
      v_store(less, c);
      for (size_t r = 0; r < count; r++) row_scale(t->s->dim, y + (r0 + r) * t->s->ldo, less[r]);
    }
    v_store_n(max + r0, count, m);
    v_store_n(sum + r0, count, l);
  }
}

/* Where the elements of a row of a tile begin; `first`: those of the pair of sample and head. */
FL_INLINE size_t row_drawn(const tile *t, size_t first, size_t r) {
  return first + (t->q0 + r) * ((t->s->length + 15) / 16 * 16) + t->k0;
}

/* What is dropped of the sums' e goes into no product. */
static void tile_drop(const tile *t, const drops *d, size_t first, float *score) {
  float factor[ATTENTION_KEYS];
  for (size_t r = 0; r < t->rows; r++) {
    float *e = score + r * t->lds;
    drops_factors(d, row_drawn(t, first, r), t->keys, factor);
    for (size_t i = 0; i < t->keys; i += 16) v_store(e + i, v_mul(v_load(e + i), v_load(factor + i)));
  }
}

/* drop NULL: nothing is dropped; first: of the pair's elements. */
static void forward(const fl_attention *s, const drops *drop, size_t first, const float *q, const float *k, const float *v,
                    float *y, float *max, float *scale, float *score) {
  const size_t most = attention_rows(s), d = s->dim;
  for (size_t q0 = 0; q0 < s->length; q0 += most) {
    const size_t rows = s->length - q0 < most ? s->length - q0 : most;
    float *to = y + q0 * s->ldo;
    for (size_t k0 = 0; k0 < s->length && (!s->causal || k0 < q0 + rows); k0 += ATTENTION_KEYS) {
      const tile t = tile_of(s, q0, rows, k0);
      FL_FN(gemm_nt)(rows, t.keys, d, q + q0 * s->ld, s->ld, k + k0 * s->ld, s->ld, score, t.lds, FL_GEMM_PIECE);
      tile_softmax(&t, score, to, max + q0, scale + q0);
      if (drop) tile_drop(&t, drop, first, score);
      if (k0) FL_FN(gemm_nn_add)(rows, d, t.keys, score, t.lds, v + k0 * s->ld, s->ld, to, s->ldo);
      else FL_FN(gemm_nn)(rows, d, t.keys, score, t.lds, v, s->ld, to, s->ldo, FL_GEMM_PIECE);
    }
    for (size_t r = q0; r < q0 + rows; r++) {
      scale[r] = 1.0f / scale[r];
      row_scale(d, y + r * s->ldo, scale[r]);
    }
  }
}

void FL_FN(attention)(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, float *y, float *stat,
                      float *work) {
  const size_t pairs = n * s->heads, all = pairs * s->length;
  if (attention_short(s)) {
    attention_pairs(s, n, q, k, v, y, stat, work);
    return;
  }
  const drops d = attention_drops(s) ? drops_of(s->draws, s->drop) : (drops){ .all = 0 };
  for (size_t p = 0; p < pairs; p++) {
    const size_t row = p / s->heads * s->length, at = row * s->ld + p % s->heads * s->dim;
    float *to = y + row * s->ldo + p % s->heads * s->dim;
    forward(s, attention_drops(s) ? &d : NULL, attention_first(s, p), q + at, k + at, v + at, to, stat + p * s->length,
            stat + all + p * s->length, work);
  }
}

/* ---- backward --------------------------------------------------------------------------------------------------------- */
typedef struct {
  const fl_attention *s;
  const drops *drop; size_t first;              /* as of forward */
  const float *q, *k, *v, *y, *max, *scale, *dy;
  float *dq, *dk, *dv, *dot, *score, *slope;    /* dot: of each query's dy and y */
} back;

static void dots(const back *b) {
  const fl_attention *s = b->s;
  const v16 zero = v_zero();
  float square[256] = { 0 };
  for (size_t r0 = 0; r0 < s->length; r0 += 16) {
    const size_t count = s->length - r0 < 16 ? s->length - r0 : 16;
    for (size_t r = 0; r < count; r++) {
      const float *y = b->y + (r0 + r) * s->ldo, *dy = b->dy + (r0 + r) * s->ldo;
      v16 p[4] = { zero, zero, zero, zero };
      FL_EACH_PART(s->dim, p[part] = v_fma(v_get(dy + i, lanes), v_get(y + i, lanes), p[part]));
      v_store(square + 16 * r, row_fold(p));
    }
    v_store_n(b->dot + r0, count, rows_halve(square));
  }
}

/* Scores become the probabilities. */
static void tile_probabilities(const back *b, const tile *t) {
  for (size_t r = 0; r < t->rows; r++) {
    float *p = b->score + r * t->lds;
    row_exp(t, r, p, b->max[t->q0 + r]);
    row_scale((t->keys + 15) / 16 * 16, p, b->scale[t->q0 + r]);
  }
}

/* slope, which holds dy v^T, becomes p*(dy v^T - dot)*scale. Of what is dropped: p*(dy v^T*f - dot)*scale, and p becomes p*f. */
static void tile_slope(const back *b, const tile *t) {
  const v16 scale = v_set(t->s->scale);
  float factor[ATTENTION_KEYS];
  for (size_t r = 0; r < t->rows; r++) {
    const v16 dot = v_set(b->dot[t->q0 + r]);
    float *p = b->score + r * t->lds, *d = b->slope + r * t->lds;
    const size_t n = count_of(t, r);
    if (b->drop) drops_factors(b->drop, row_drawn(t, b->first, r), t->keys, factor);
    for (size_t i = 0; i < t->keys; i += 16) {
      const v16 of = v_load(p + i);
      v16 dp = v_load(d + i);
      if (b->drop) {
        dp = v_mul(dp, v_load(factor + i));
        v_store(p + i, v_mul(of, v_load(factor + i)));
      }
      const v16 x = v_mul(v_mul(of, v_sub(dp, dot)), scale);
      v_store(d + i, i + 16 <= n ? x : v_sel(u_lt_s(u_add(u_iota(), u_set((uint32_t)i)), u_set((uint32_t)n)), x, v_zero()));
    }
  }
}

static void clear(size_t rows, size_t n, float *y, size_t ld) {
  for (size_t r = 0; r < rows; r++) memset(y + r * ld, 0, n * sizeof *y);
}

static void backward(const back *b) {
  const fl_attention *s = b->s;
  const size_t most = attention_rows(s), d = s->dim, ld = s->ld;
  dots(b);
  clear(s->length, d, b->dq, ld);
  clear(s->length, d, b->dk, ld);
  clear(s->length, d, b->dv, ld);
  for (size_t q0 = 0; q0 < s->length; q0 += most) {
    const size_t rows = s->length - q0 < most ? s->length - q0 : most;
    const float *q = b->q + q0 * ld, *dy = b->dy + q0 * s->ldo;
    for (size_t k0 = 0; k0 < s->length && (!s->causal || k0 < q0 + rows); k0 += ATTENTION_KEYS) {
      const tile t = tile_of(s, q0, rows, k0);
      FL_FN(gemm_nt)(rows, t.keys, d, q, ld, b->k + k0 * ld, ld, b->score, t.lds, FL_GEMM_PIECE);
      tile_probabilities(b, &t);
      FL_FN(gemm_nt)(rows, t.keys, d, dy, s->ldo, b->v + k0 * ld, ld, b->slope, t.lds, FL_GEMM_PIECE);
      tile_slope(b, &t);
      FL_FN(gemm_tn_add)(t.keys, d, rows, b->score, t.lds, dy, s->ldo, b->dv + k0 * ld, ld);
      FL_FN(gemm_nn_add)(rows, d, t.keys, b->slope, t.lds, b->k + k0 * ld, ld, b->dq + q0 * ld, ld);
      FL_FN(gemm_tn_add)(t.keys, d, rows, b->slope, t.lds, q, ld, b->dk + k0 * ld, ld);
    }
  }
}

void FL_FN(attention_back)(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, const float *y,
                           const float *stat, const float *dy, float *dq, float *dk, float *dv, float *work) {
  const size_t pairs = n * s->heads, all = pairs * s->length, scores = attention_rows(s) * attention_columns(s);
  if (attention_short(s)) {
    attention_pairs_back(s, n, q, k, v, y, stat, dy, dq, dk, dv, work);
    return;
  }
  const drops dropped = attention_drops(s) ? drops_of(s->draws, s->drop) : (drops){ .all = 0 };
  for (size_t p = 0; p < pairs; p++) {
    const size_t row = p / s->heads * s->length, in = row * s->ld + p % s->heads * s->dim;
    const size_t out = row * s->ldo + p % s->heads * s->dim;
    const back b = { s, attention_drops(s) ? &dropped : NULL, attention_first(s, p), q + in, k + in, v + in, y + out,
                     stat + p * s->length, stat + all + p * s->length, dy + out, dq + in, dk + in, dv + in, work + 2 * scores,
                     work, work + scores };
    backward(&b);
  }
}
