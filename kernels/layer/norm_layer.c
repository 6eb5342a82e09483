/* norm_layer.c - layer normalisation of rows, forward and backward. Up to sixteen rows at a time: their statistics are lanes of
 * one vector, so that divisions and roots are of sixteen rows, and in the way back a column's sums stay in registers. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/moments.h"

/* Rows of few elements, each a partial of its own: sixteen are turned, so that a lane is a row, and no vector is part empty. */
#define NARROW_LEAST 16
#define NARROW_MOST 64

static void turn_rows(size_t rows, size_t n, const float *x, float *to) {
  for (size_t j = 0; j < n; j += 16) {
    const size_t at = j + 16 <= n ? j : n - 16;         /* the last sixteen, some of them again */
    v_turn(to + 16 * at, 16, x + at, n, rows);
  }
}

/* The sum of a row's partials, those beyond n missing. t is used up. */
static v16 narrow_sum(size_t n, float *t) {
  for (size_t half = 32; half; half /= 2) {
    for (size_t j = 0; j < half && j + half < n; j++) v_store(t + 16 * j, v_add(v_load(t + 16 * j), v_load(t + 16 * (j + half))));
  }
  return v_load(t);
}

static void narrow_norm(size_t rows, size_t n, const float *x, const float *gamma, const float *beta, float eps, float *y,
                        float *mean, float *scale) {
  float t[NARROW_MOST * 16], part[NARROW_MOST * 16];
  const v16 count = v_set((float)n);
  turn_rows(rows, n, x, t);
  for (size_t j = 0; j < 16 * n; j += 16) v_store(part + j, v_add(v_load(t + j), v_zero()));
  const v16 m = v_div(narrow_sum(n, part), count);
  for (size_t j = 0; j < 16 * n; j += 16) {
    const v16 d = v_sub(v_load(t + j), m);
    v_store(part + j, v_fma(d, d, v_zero()));
  }
  const v16 s = v_div(v_set(1.0f), v_sqrt(v_add(v_div(narrow_sum(n, part), count), v_set(eps))));
  v_store_n(mean, rows, m);
  v_store_n(scale, rows, s);
  for (size_t j = 0; j < n; j++) {
    const v16 h = v_mul(v_sub(v_load(t + 16 * j), m), s);
    v_store(t + 16 * j, v_fma(h, v_set(gamma[j]), v_set(beta[j])));
  }
  for (size_t j = 0; j < n; j += 16) {
    const size_t at = j + 16 <= n ? j : n - 16;
    if (rows == 16) v_turn(y + at, n, t + 16 * at, 16, 16);
    else v_turn(part, 16, t + 16 * at, 16, 16);
    for (size_t r = 0; rows < 16 && r < rows; r++) v_store(y + r * n + at, v_load(part + 16 * r));
  }
}

void FL_FN(layer_norm)(size_t rows, size_t n, const float *x, const float *gamma, const float *beta, float eps, float *y,
                       float *stat) {
  float *mean = stat, *scale = stat + rows;
  size_t count;
  for (size_t r0 = 0; r0 < rows; r0 += count) {
    count = rows_together(rows - r0, n);
    if (n >= NARROW_LEAST && n <= NARROW_MOST) {
      narrow_norm(count, n, x + r0 * n, gamma, beta, eps, y + r0 * n, mean + r0, scale + r0);
      continue;
    }
    norm_rows(count, n, x + r0 * n, eps, mean + r0, scale + r0);
    for (size_t r = r0; r < r0 + count; r++) {
      const v16 m = v_set(mean[r]), s = v_set(scale[r]);
      FL_EACH(n, {
        const v16 h = v_mul(v_sub(v_get(x + r * n + i, lanes), m), s);
        v_put(y + r * n + i, lanes, v_fma(h, v_get(gamma + i, lanes), v_get(beta + i, lanes)));
      });
    }
  }
}

/* Of a row's chunk, g = dy*gamma and h the normalised x: sixteen partials of sum g and of sum g*h. */
FL_INLINE void back_sums(size_t n, const float *x, const float *gamma, const float *dy, float mean, float scale, float *g_to,
                         float *h_to) {
  const v16 m = v_set(mean), s = v_set(scale), zero = v_zero();
  v16 p[4] = { zero, zero, zero, zero }, q[4] = { zero, zero, zero, zero };
  FL_EACH_PART(n, {
    const v16 h = v_mul(v_sub(v_get(x + i, lanes), m), s), g = v_mul(v_get(dy + i, lanes), v_get(gamma + i, lanes));
    p[part] = v_add(p[part], g);
    q[part] = v_fma(g, h, q[part]);
  });
  v_store(g_to, row_fold(p));
  v_store(h_to, row_fold(q));
}

typedef struct { size_t rows, n; const float *x, *gamma, *mean, *scale, *dy; float *dx; } back;

static void narrow_back(const back *t, float a[16], float b[16]) {
  float x[NARROW_MOST * 16], dy[NARROW_MOST * 16];
  const v16 mean = v_load_n(t->mean, t->rows, 0.0f), scale = v_load_n(t->scale, t->rows, 0.0f), n = v_set((float)t->n);
  turn_rows(t->rows, t->n, t->x, x);
  turn_rows(t->rows, t->n, t->dy, dy);
  for (size_t j = 0; j < t->n; j++) {
    const v16 h = v_mul(v_sub(v_load(x + 16 * j), mean), scale), g = v_mul(v_load(dy + 16 * j), v_set(t->gamma[j]));
    v_store(dy + 16 * j, v_add(v_zero(), g));
    v_store(x + 16 * j, v_fma(g, h, v_zero()));
  }
  v_store(a, v_div(narrow_sum(t->n, dy), n));
  v_store(b, v_div(narrow_sum(t->n, x), n));
}

/* a, b: (sum g)/n and (sum g*h)/n of up to sixteen rows. */
static void back_rows(const back *t, float a[16], float b[16]) {
  float g[256] = { 0 }, h[256] = { 0 }, glevel[PIECES_LEVELS * 16], hlevel[PIECES_LEVELS * 16];
  piece_sums gs = { glevel, 16, 0 }, hs = { hlevel, 16, 0 };
  const v16 n = v_set((float)t->n);
  for (size_t at = 0; at < t->n; at += FL_CHUNK) {
    const size_t part = t->n - at < FL_CHUNK ? t->n - at : FL_CHUNK;
    for (size_t r = 0; r < t->rows; r++) {
      const size_t from = r * t->n + at;
      back_sums(part, t->x + from, t->gamma + at, t->dy + from, t->mean[r], t->scale[r], g + 16 * r, h + 16 * r);
    }
    v_store(a, rows_halve(g));
    v_store(b, rows_halve(h));
    if (t->n > FL_CHUNK) {
      pieces_push(&gs, a);
      pieces_push(&hs, b);
    }
  }
  v_store(a, v_div(v_load(t->n > FL_CHUNK ? pieces_sum(&gs) : a), n));
  v_store(b, v_div(v_load(t->n > FL_CHUNK ? pieces_sum(&hs) : b), n));
}

/* Columns from j on: dx, and what the rows add to the sums of dgamma and dbeta. */
FL_INLINE void back_column(const back *t, size_t j, size_t lanes, const float a[16], const float b[16], float *dgamma,
                           float *dbeta) {
  const v16 gamma = v_get(t->gamma + j, lanes);
  v16 dg = v_load(dgamma + j), db = v_load(dbeta + j);
  for (size_t r = 0; r < t->rows; r++) {
    const size_t at = r * t->n + j;
    const v16 scale = v_set(t->scale[r]), h = v_mul(v_sub(v_get(t->x + at, lanes), v_set(t->mean[r])), scale);
    const v16 dy = v_get(t->dy + at, lanes), g = v_mul(dy, gamma);
    db = v_add(db, dy);
    dg = v_fma(dy, h, dg);
    v_put(t->dx + at, lanes, v_mul(v_fnma(h, v_set(b[r]), v_sub(g, v_set(a[r]))), scale));
  }
  v_store(dgamma + j, dg);
  v_store(dbeta + j, db);
}

void FL_FN(layer_norm_back)(size_t rows, size_t n, const float *x, const float *gamma, const float *stat, const float *dy,
                            float *dx, float *dgamma, float *dbeta, size_t piece, float *work) {
  const size_t wide = (n + 15) / 16 * 16, floats = 2 * wide;
  piece_sums sums = { work + floats, floats, 0 };
  float *part = work, a[16], b[16];
  size_t count;
  memset(part, 0, floats * sizeof *part);
  for (size_t p0 = 0; p0 < rows; p0 += piece) {
    const size_t end = rows - p0 < piece ? rows : p0 + piece;
    memset(part, 0, floats * sizeof *part);
    for (size_t r0 = p0; r0 < end; r0 += count) {
      count = rows_together(end - r0, n);
      const back t = { count, n, x + r0 * n, gamma, stat + r0, stat + rows + r0, dy + r0 * n, dx + r0 * n };
      if (n >= NARROW_LEAST && n <= NARROW_MOST) narrow_back(&t, a, b);
      else back_rows(&t, a, b);
      FL_EACH(n, back_column(&t, i, lanes, a, b, part, part + wide));
    }
    pieces_push(&sums, part);
  }
  const float *total = rows ? pieces_sum(&sums) : part;
  FL_EACH(n, {
    v_put(dgamma + i, lanes, v_add(v_load(total + i), v_zero()));
    v_put(dbeta + i, lanes, v_add(v_load(total + wide + i), v_zero()));
  });
}
