/* qr_panel.c - Householder reflectors of a panel, one pass over its rows a column; and the triangle that joins them.
 *
 * A pass applies the reflector of column j-1 to a row and at once adds the row, times its entry j, to the sums of column j:
 * those sums are v_j^T a_c for the columns to come, and v_j^T v_c for those before. */
#include "kernels/factor/panel.h"
#include "kernels/factor/reflector.h"

typedef struct { float s[FL_PANEL]; double ss; } column_sums;

/* Rows first .. m-1: row -= v[p]*w when `update` (p = j-1), then s[c] += a_ij*a_ic, ss += a_ij^2: partial 0 takes the first
 * row, the third, ... and partial 1 the others; s = 0 + 1. */
FL_INLINE void sum_pass(const int update, const int high, size_t first, size_t m, size_t j, float *v, row32 w, column_sums *out) {
  row32 s[2] = { row_zero(), row_zero() };
  double ss[2] = { 0.0, 0.0 };
  for (size_t i = first; i < m; i += 2) {
    for (size_t l = 0; l < 2 && i + l < m; l++) {
      float *a = v + FL_PANEL * (i + l);
      row32 x = row_load(a);
      if (update) {
        const v16 f = v_set(a[j - 1]);
        if (!high) {
          x.lo = v_fnma(f, w.lo, x.lo);
          v_store(a, x.lo);
        }
        x.hi = v_fnma(f, w.hi, x.hi);
        v_store(a + 16, x.hi);
      }
      const double d = (double)a[j];
      s[l] = row_fma(v_set(a[j]), x, s[l]);
      ss[l] += d * d;
    }
  }
  row_store(out->s, (row32){ v_add(s[0].lo, s[1].lo), v_add(s[0].hi, s[1].hi) });
  out->ss = ss[0] + ss[1];
}

/* The reflector p = j-1 on row j, which is in no sum, and on the rows below with the sums of column j. */
static void update_pass(size_t m, size_t j, float *v, row32 w, column_sums *out) {
  const int high = j > 16; /* then w.lo is zero: nothing of columns 0-15 changes */
  float *a = v + FL_PANEL * j;
  const v16 f = v_set(a[j - 1]);
  if (!high) v_store(a, v_fnma(f, w.lo, v_load(a)));
  v_store(a + 16, v_fnma(f, w.hi, v_load(a + 16)));
  if (high) sum_pass(1, 1, j + 1, m, j, v, w, out);
  else sum_pass(1, 0, j + 1, m, j, v, w, out);
}

/* Each column by the power of two that brings its largest entry to [1, 2); back[c] undoes it. */
static void scale_columns(size_t m, float *v, float back[FL_PANEL]) {
  uint32_t big[FL_PANEL];
  float scale[FL_PANEL];
  u16 lo = u_set(0), hi = u_set(0);
  for (size_t i = 0; i < m; i++) {
    const row32 x = row_load(v + FL_PANEL * i);
    const u16 a = v_bits(v_abs(x.lo)), b = v_bits(v_abs(x.hi));
    lo = u_sel(u_lt_s(lo, a), a, lo);
    hi = u_sel(u_lt_s(hi, b), b, hi);
  }
  u_store(big, lo);
  u_store(big + 16, hi);
  for (size_t c = 0; c < FL_PANEL; c++) {
    const int e = scale_exponent(big[c]);
    scale[c] = power_of_two(e);
    back[c] = power_of_two(-e);
  }
  const row32 f = row_load(scale);
  for (size_t i = 0; i < m; i++) row_store(v + FL_PANEL * i, row_mul(f, row_load(v + FL_PANEL * i)));
}

/* Column j from row j on by a power of two, and its sums made anew. Returns what undoes it. */
static float rescale(size_t m, size_t j, float *v, column_sums *c, int exponent) {
  const float f = power_of_two(exponent);
  for (size_t i = j; i < m; i++) v[FL_PANEL * i + j] *= f;
  sum_pass(0, 0, j + 1, m, j, v, row_zero(), c);
  return power_of_two(-exponent);
}

void FL_FN(qr_panel)(size_t m, size_t n, float *v, float *r, float *g) {
  float back[FL_PANEL];
  column_sums c;
  row32 w = row_zero();
  memset(r, 0, sizeof *r * FL_PANEL * FL_PANEL);
  memset(g, 0, sizeof *g * FL_PANEL * FL_PANEL);
  scale_columns(m, v, back);
  for (size_t j = 0; j < n; j++) {
    float *a = v + FL_PANEL * j, unscale = 1.0f;
    if (j) update_pass(m, j, v, w, &c);
    else sum_pass(0, 0, 1, m, 0, v, w, &c);
    const int exponent = reflector_exponent(a[j], c.ss);
    if (exponent) unscale = rescale(m, j, v, &c, exponent);
    const reflector h = reflector_of(a[j], c.ss);
    const row32 x = row_load(a), dot = row_fma(v_set(h.v0), x, row_load(c.s));
    w = row_after(j, row_scale(v_set(h.tau), dot), row_zero());
    row_store(r + FL_PANEL * j, row_mul(row_load(back), row_after(j, row_fnma(v_set(h.v0), w, x), row_zero())));
    r[FL_PANEL * j + j] = (float)h.beta * unscale * back[j];
    row_store(g + FL_PANEL * j, row_after(j, row_zero(), dot));
    g[FL_PANEL * j + j] = h.tau;
    row_store(a, row_after(j, row_zero(), x));
    a[j] = h.v0;
  }
}

void FL_FN(wy)(size_t n, const float *g, float *t) {
  memset(t, 0, sizeof *t * FL_PANEL * FL_PANEL);
  for (size_t j = 0; j < n; j++) {
    float *to = t + FL_PANEL * j;
    row32 s = row_zero();
    for (size_t k = 0; k < j; k++) s = row_fma(v_set(g[FL_PANEL * j + k]), row_load(t + FL_PANEL * k), s);
    row_store(to, s);
    to[j] = 1.0f;
    row_store(to, row_scale(v_set(-g[FL_PANEL * j + j]), row_load(to)));
  }
}
