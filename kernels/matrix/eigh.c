/* eigh.c - symmetric eigen decomposition: tridiagonal form by Householder reflectors (panels of FL_PANEL columns), implicit QL
 * with double scalars, its rotations collected and applied to the eigenvectors' rows in batches. */
#include <math.h>
#include <string.h>
#include "kernels/factor/reflector.h"
#include "kernels/matrix/sizes.h"

enum { MAX_SWEEPS = 40, BATCH = 16 }; /* sweeps an eigenvalue; rotations of a batch, times n */

typedef struct {
  const fl_kernels *k;
  size_t n, wide, ld;           /* wide: n rounded up to panels; ld: floats from row to row */
  double *d, *e;                /* the tridiagonal matrix: diagonal, and e[i] between i and i+1 */
  float *m;                     /* wide rows: the matrix; then the product of the reflectors */
  float *v;                     /* a row a reflector; then the eigenvectors in strips of FL_PANEL components */
  float *l, *r;                 /* 2*FL_PANEL rows: v_0, w_0, v_1, ... and -w_0, -v_0, ... of the panel */
  float *w, *w2;                /* FL_PANEL rows */
  float *g, *t;                 /* FL_PANEL^2 */
  float *tau, *cs;
  uint32_t *range, *order;
} eigh_state;

/* Places the parts one behind the other, each at a multiple of 64 bytes (doubles need their alignment), in `work` when it is not
 * NULL. Returns the floats that takes at most. */
static size_t lay_out(eigh_state *s, size_t n, float *work) {
  size_t used = work ? (16 - (uintptr_t)work / sizeof *work % 16) % 16 : 15;
  s->n = n;
  s->wide = round_up(n, FL_PANEL);
  s->ld = row_floats(n);
#define PART(member, type, floats) do { \
    if (work) { s->member = (type *)(void *)(work + used); } \
    used += round_up(floats, 16); \
  } while (0)
  PART(d, double, 2 * n);
  PART(e, double, 2 * n);
  PART(m, float, s->wide * s->ld);
  PART(v, float, s->wide * s->ld);
  PART(l, float, 2 * FL_PANEL * s->ld);
  PART(r, float, 2 * FL_PANEL * s->ld);
  PART(w, float, FL_PANEL * s->ld);
  PART(w2, float, FL_PANEL * s->ld);
  PART(g, float, PANEL_SQUARE);
  PART(t, float, PANEL_SQUARE);
  PART(tau, float, n);
  PART(cs, float, 2 * (BATCH + 1) * n);
  PART(range, uint32_t, 2 * (BATCH + 1) * n);
  PART(order, uint32_t, n);
#undef PART
  return used;
}

size_t fl_eigh_work(size_t n) {
  eigh_state s;
  return lay_out(&s, n, NULL);
}

/* m = the symmetric matrix times a power of two that brings its largest entry to [1, 2), padded with +0. *back undoes it.
 * 0 when an entry is not finite. */
static int take(eigh_state *s, const float *a, double *back) {
  const size_t n = s->n, ld = s->ld;
  float big = 0.0f;
  for (size_t i = 0; i < n; i++) {
    const float x = s->k->absmax(i + 1, a + i * n);
    if (!(x < INFINITY)) { return 0; }
    big = x > big ? x : big;
  }
  uint32_t u;
  memcpy(&u, &big, sizeof u);
  const int up = scale_exponent(u);
  *back = (double)power_of_two(-up);
  memset(s->m, 0, s->wide * ld * sizeof *s->m);
  for (size_t i = 0; i < n; i++) { s->k->scale(i + 1, s->m + i * ld, power_of_two(up), a + i * n); }
  for (size_t j = 0; j < n; j += FL_PANEL) { /* the upper triangle; first below the squares of the diagonal, then these */
    const size_t nb = least(FL_PANEL, n - j);
    if (n - j > nb) { s->k->transpose(n - j - nb, nb, s->m + (j + nb) * ld + j, ld, s->m + j * ld + j + nb, ld); }
    for (size_t i = j; i < j + nb; i++) {
      for (size_t c = i + 1; c < j + nb; c++) { s->m[i * ld + c] = s->m[c * ld + i]; }
    }
  }
  return 1;
}

/* v = the reflector that takes the n floats of x to (*beta, 0, ...), brought near 1 first when x is tiny. Returns its tau. */
static float reflect(const fl_kernels *k, size_t n, const float *x, float *v, double *beta) {
  double ss = k->sumsq(n - 1, x + 1);
  const int up = reflector_exponent(x[0], ss);
  k->scale(n, v, power_of_two(up), x);
  if (up) { ss = k->sumsq(n - 1, v + 1); }
  const reflector h = reflector_of(v[0], ss);
  *beta = h.beta * (double)power_of_two(-up);
  v[0] = h.v0; /* ss = 0: all of v is 0 */
  return h.tau;
}

/* Row j of m, brought up to date by the `have` reflectors of the panel before it, gives d_j, e_j, v_j; then w_j = tau(M v_j) less
 * tau/2 (w_j . v_j) v_j, with M as it would be after those reflectors. */
static void reduce_row(eigh_state *s, size_t j, size_t have) {
  const fl_kernels *k = s->k;
  const size_t n = s->n, ld = s->ld, at = (j + 1) / 16 * 16, cols = s->wide - at;
  float *x = s->m + j * ld, *v = s->l + 2 * have * ld, *w = v + ld, *minus_w = s->r + 2 * have * ld, *minus_v = minus_w + ld;
  float coef[2 * FL_PANEL];
  if (have) {
    for (size_t i = 0; i < 2 * have; i++) { coef[i] = s->l[i * ld + j]; }
    k->gemm_nn_add(1, s->wide - j / 16 * 16, 2 * have, coef, 2 * have, s->r + j / 16 * 16, ld, x + j / 16 * 16, ld);
  }
  s->d[j] = (double)x[j];
  memset(v, 0, 2 * ld * sizeof *v);
  memset(minus_w, 0, 2 * ld * sizeof *v);
  s->tau[j] = 0.0f;
  if (j + 1 >= n) {
    memset(s->v + j * ld, 0, ld * sizeof *v); /* no reflector; 0 times what the scratch held could be NaN */
    return;
  }
  s->tau[j] = reflect(k, n - j - 1, x + j + 1, v + j + 1, &s->e[j]);
  memcpy(s->v + j * ld, v, ld * sizeof *v);
  if (s->tau[j] == 0.0f) { return; }
  k->gemm_nn(1, cols, n - j - 1, v + j + 1, n, s->m + (j + 1) * ld + at, ld, w + at, ld, n);
  if (have) {
    for (size_t i = 0; i < 2 * have; i++) { coef[i] = (float)k->dot(n - j - 1, s->l + i * ld + j + 1, v + j + 1); }
    k->gemm_nn_add(1, cols, 2 * have, coef, 2 * have, s->r + at, ld, w + at, ld);
  }
  memset(w + at, 0, (j + 1 - at) * sizeof *w);
  k->scale(n - j - 1, w + j + 1, s->tau[j], w + j + 1);
  const double wv = k->dot(n - j - 1, w + j + 1, v + j + 1);
  k->axpy(n - j - 1, w + j + 1, (float)(-0.5 * (double)s->tau[j] * wv), v + j + 1);
  k->scale(n - j - 1, minus_w + j + 1, -1.0f, w + j + 1);
  k->scale(n - j - 1, minus_v + j + 1, -1.0f, v + j + 1);
}

static void tridiagonal(eigh_state *s) {
  const size_t n = s->n, ld = s->ld;
  for (size_t j0 = 0; j0 < n; j0 += FL_PANEL) {
    const size_t nb = least(FL_PANEL, n - j0), next = j0 + nb;
    for (size_t i = 0; i < nb; i++) { reduce_row(s, j0 + i, i); }
    if (next < n) {
      s->k->gemm_tn_add(s->wide - next, s->wide - next, 2 * nb, s->l + next, ld, s->r + next, ld, s->m + next * ld + next, ld);
    }
  }
}

/* m = H_0 H_1 ..., from the last panel to the first. */
static void form_q(eigh_state *s) {
  const size_t n = s->n, ld = s->ld;
  memset(s->m, 0, s->wide * ld * sizeof *s->m);
  for (size_t i = 0; i < n; i++) { s->m[i * ld + i] = 1.0f; }
  for (size_t p = (n + FL_PANEL - 1) / FL_PANEL; p-- > 0;) {
    const size_t j0 = p * FL_PANEL, nb = least(FL_PANEL, n - j0), size = s->wide - j0;
    float *v = s->v + j0 * ld + j0, *q = s->m + j0 * ld + j0;
    s->k->gemm_nt(nb, nb, size, v, ld, v, ld, s->g, FL_PANEL, size);
    for (size_t i = 0; i < nb; i++) { s->g[i * FL_PANEL + i] = s->tau[j0 + i]; }
    s->k->wy(nb, s->g, s->t);
    s->k->gemm_nn(nb, size, size, v, ld, q, ld, s->w, ld, size);
    s->k->gemm_tn(nb, size, nb, s->t, FL_PANEL, s->w, ld, s->w2, ld, FL_GEMM_PIECE);
    s->k->gemm_tn_add(size, size, nb, v, ld, s->w2, ld, q, ld);
  }
}

/* ---- implicit QL ---------------------------------------------------------------------------------------------------- */
typedef struct { eigh_state *s; size_t sweeps, rotations; } batch;

static void flush(batch *b) {
  for (size_t i = 0; i < b->s->wide; i += FL_PANEL) { b->s->k->rotate(b->sweeps, b->s->range, b->s->cs, b->s->v + i * b->s->n); }
  b->sweeps = b->rotations = 0;
}

/* One sweep with Wilkinson's shift on rows l..m: a bulge goes from m up to l. */
static void sweep(batch *b, size_t l, size_t m) {
  double *d = b->s->d, *e = b->s->e;
  const double half = (d[l + 1] - d[l]) / (2.0 * e[l]), root = sqrt(half * half + 1.0);
  double g = d[m] - d[l] + e[l] / (half + (half < 0.0 ? -root : root)), s = 1.0, c = 1.0, p = 0.0;
  float *cs = b->s->cs + 2 * b->rotations;
  size_t i = m;
  while (i-- > l) {
    const double f = s * e[i], h = c * e[i], r = sqrt(f * f + g * g);
    if (i + 1 < m) { e[i + 1] = r; }
    if (r == 0.0) { break; } /* the bulge vanished: row i+1 is decoupled */
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    const double q = (d[i] - g) * s + 2.0 * c * h;
    p = s * q;
    d[i + 1] = g + p;
    g = c * q - h;
    *cs++ = (float)c;
    *cs++ = (float)s;
  }
  const size_t done = m - 1 - i; /* i is l-1, or where it broke off */
  b->s->range[2 * b->sweeps] = (uint32_t)m;
  b->s->range[2 * b->sweeps + 1] = (uint32_t)done;
  b->sweeps++;
  b->rotations += done;
  if (done == m - l) {
    d[l] -= p;
    e[l] = g;
  } else {
    d[i + 1] -= p;
  }
  if (b->rotations >= BATCH * b->s->n) { flush(b); }
}

/* Below what floats of the result can show; or so small that its square would be 0. */
static int negligible(const eigh_state *s, size_t i) {
  return fabs(s->e[i]) <= 0x1p-40 * (fabs(s->d[i]) + fabs(s->d[i + 1])) || fabs(s->e[i]) < 0x1p-400;
}

/* d becomes the eigenvalues, the rows of the strips in v the eigenvectors. 0 when it does not converge. */
static int ql(eigh_state *s) {
  batch b = { s, 0, 0 };
  for (size_t l = 0; l < s->n; l++) {
    for (int turn = 0;; turn++) {
      size_t m = l;
      while (m + 1 < s->n && !negligible(s, m)) { m++; }
      if (m == l) { break; }
      if (turn == MAX_SWEEPS) { return 0; }
      sweep(&b, l, m);
    }
  }
  flush(&b);
  return 1;
}

/* Descending, equal ones in the order in which they came. */
static void sort(const double *d, uint32_t *order, uint32_t *scratch, size_t n) {
  for (size_t i = 0; i < n; i++) { order[i] = (uint32_t)i; }
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t from = 0; from < n; from += 2 * width) {
      const size_t middle = least(from + width, n), end = least(from + 2 * width, n);
      size_t i = from, j = middle;
      for (size_t to = from; to < end; to++) {
        scratch[to] = i < middle && (j >= end || d[order[i]] >= d[order[j]]) ? order[i++] : order[j++];
      }
    }
    memcpy(order, scratch, n * sizeof *order);
  }
}

/* Eigenvectors in their order, with the sign rule, as columns of v. */
static void hand_out(eigh_state *s, double back, float *w, float *v) {
  const size_t n = s->n, ld = s->ld;
  sort(s->d, s->order, s->range, n);
  for (size_t j = 0; j < n; j++) {
    float *row = s->m + j * ld;
    const size_t from = s->order[j];
    w[j] = (float)(s->d[from] * back);
    for (size_t i = 0; i < n; i += FL_PANEL) { memcpy(row + i, s->v + i * n + from * FL_PANEL, FL_PANEL * sizeof *row); }
    if (row[s->k->argabsmax(n, row)] < 0.0f) { s->k->scale(n, row, -1.0f, row); }
  }
  s->k->transpose(n, n, s->m, ld, v, n);
}

int fl_eigh(const fl_kernels *k, size_t n, const float *a, float *w, float *v, float *work) {
  eigh_state s = { .k = k };
  double back;
  if (!n) { return 0; }
  lay_out(&s, n, work);
  int good = take(&s, a, &back);
  if (good) {
    tridiagonal(&s);
    form_q(&s);
    for (size_t i = 0; i < s.wide; i += FL_PANEL) { k->transpose(FL_PANEL, n, s.m + i * s.ld, s.ld, s.v + i * n, FL_PANEL); }
    good = ql(&s);
  }
  if (good) {
    hand_out(&s, back, w, v);
  } else {
    for (size_t i = 0; i < n; i++) { w[i] = NAN; }
    for (size_t i = 0; i < n * n; i++) { v[i] = NAN; }
  }
  return good ? 0 : -1;
}

size_t fl_inverse_root_work(size_t n) { return n + n * n + fl_eigh_work(n); }

/* C C^T with the columns of C = U diag(f)^(1/2): symmetric to the bit, and never indefinite. */
int fl_inverse_root(const fl_kernels *k, size_t n, const float *a, double p, float ridge, float *out, float *work) {
  float *w = work, *u = w + n;
  int bad = fl_eigh(k, n, a, w, u, u + n * n);
  for (size_t j = 0; !bad && j < n; j++) {
    const double x = (w[j] > 0.0f ? (double)w[j] : 0.0) + (double)ridge;
    if (!(x > 0.0)) { bad = -1; }
    w[j] = (float)fl_exp(fl_log(x) * (-0.5 / p));
  }
  if (bad) {
    for (size_t i = 0; i < n * n; i++) { out[i] = NAN; }
    return -1;
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) { u[i * n + j] *= w[j]; }
  }
  k->gemm_syrk(n, n, u, n, out, n, FL_GEMM_PIECE);
  return 0;
}
