/* qr.c - Householder QR in panels of FL_PANEL columns, the reflectors of a panel joined in compact WY form. */
#include <string.h>
#include "kernels/matrix/sizes.h"

static size_t panels(size_t n) { return (n + FL_PANEL - 1) / FL_PANEL; }

size_t fl_qr_work(size_t m, size_t n) {
  return m * row_floats(n) + panels(n) * (m * FL_PANEL + PANEL_SQUARE) + 2 * FL_PANEL * row_floats(n) + 2 * PANEL_SQUARE + n;
}

typedef struct {
  const fl_kernels *k;
  size_t m, n, ld;
  float *b;             /* m rows of n, `ld` apart: what remains of a; then q */
  float *v, *t;         /* of each panel: reflectors (m - 32p rows), -T^T */
  float *w, *w2;        /* FL_PANEL rows, `ld` apart */
  float *square, *g;
  float *sign;          /* of r's diagonal */
} qr_state;

static float *reflectors(const qr_state *s, size_t p) {
  return s->v + FL_PANEL * (p * s->m - FL_PANEL * (p * (p - (p > 0)) / 2));
}

/* Panel p of b becomes reflectors; the columns behind it are brought up to date. */
static void factor(qr_state *s, size_t p, float *r) {
  const size_t j = p * FL_PANEL, nb = least(FL_PANEL, s->n - j), rows = s->m - j, rest = s->n - j - nb, ld = s->ld;
  float *v = reflectors(s, p), *t = s->t + p * PANEL_SQUARE, *behind = s->b + j * ld + j + nb;
  for (size_t i = 0; i < rows; i++) {
    memcpy(v + i * FL_PANEL, s->b + (j + i) * ld + j, nb * sizeof *v);
    memset(v + i * FL_PANEL + nb, 0, (FL_PANEL - nb) * sizeof *v);
  }
  s->k->qr_panel(rows, nb, v, s->square, s->g);
  s->k->wy(nb, s->g, t);
  if (rest) {
    s->k->gemm_tn(nb, rest, rows, v, FL_PANEL, behind, ld, s->w, ld, rows);
    s->k->gemm_nn(nb, rest, nb, t, FL_PANEL, s->w, ld, s->w2, ld, FL_GEMM_PIECE);
    s->k->gemm_nn_add(rows, rest, nb, v, FL_PANEL, s->w2, ld, behind, ld);
  }
  for (size_t i = 0; i < nb; i++) {
    const float d = s->square[i * FL_PANEL + i], sign = d < 0.0f ? -1.0f : 1.0f;
    s->sign[j + i] = sign;
    if (!r) { continue; }
    float *to = r + (j + i) * s->n;
    memset(to, 0, (j + i) * sizeof *to);
    s->k->scale(nb - i, to + j + i, sign, s->square + i * FL_PANEL + i);
    s->k->scale(rest, to + j + nb, sign, behind + i * ld);
    to[j + i] += 0.0f; /* not -0 */
  }
}

/* b = H_0 .. H_(n-1) diag(sign), from the last panel to the first: before panel p only rows and columns behind it are filled. */
static void form_q(qr_state *s) {
  const size_t ld = s->ld;
  memset(s->b, 0, s->m * ld * sizeof *s->b);
  for (size_t p = panels(s->n); p-- > 0;) {
    const size_t j = p * FL_PANEL, nb = least(FL_PANEL, s->n - j), rows = s->m - j, rest = s->n - j - nb;
    const float *v = reflectors(s, p), *t = s->t + p * PANEL_SQUARE;
    for (size_t i = 0; i < nb; i++) {
      s->b[(j + i) * ld + j + i] = s->sign[j + i];
      for (size_t c = 0; c < nb; c++) { s->w[i * ld + c] = v[c * FL_PANEL + i] * s->sign[j + c]; } /* V^T of the diagonal */
    }
    if (rest) {
      s->k->gemm_tn(nb, rest, rows - nb, v + nb * FL_PANEL, FL_PANEL, s->b + (j + nb) * ld + j + nb, ld, s->w + nb, ld, s->m);
    }
    s->k->gemm_tn(nb, nb + rest, nb, t, FL_PANEL, s->w, ld, s->w2, ld, FL_GEMM_PIECE);
    s->k->gemm_nn_add(rows, nb + rest, nb, v, FL_PANEL, s->w2, ld, s->b + j * ld + j, ld);
  }
}

void fl_qr(const fl_kernels *k, size_t m, size_t n, const float *a, float *q, float *r, float *work) {
  const size_t ld = row_floats(n), np = panels(n);
  if (!n) { return; }
  qr_state s = { .k = k, .m = m, .n = n, .ld = ld, .b = work };
  s.v = s.b + m * ld;
  s.t = s.v + np * m * FL_PANEL;
  s.w = s.t + np * PANEL_SQUARE;
  s.w2 = s.w + FL_PANEL * ld;
  s.square = s.w2 + FL_PANEL * ld;
  s.g = s.square + PANEL_SQUARE;
  s.sign = s.g + PANEL_SQUARE;
  /* Sums of products must not overflow: entries near the end of the range come down first, by an exact factor. */
  const float big = k->absmax(m * n, a), down = big > 0x1p96f ? 0x1p-32f : 1.0f;
  for (size_t i = 0; i < m; i++) { k->scale(n, s.b + i * ld, down, a + i * n); }
  for (size_t p = 0; p < np; p++) { factor(&s, p, r); }
  if (r && down != 1.0f) { k->scale(n * n, r, 0x1p32f, r); }
  form_q(&s);
  for (size_t i = 0; i < m; i++) { memcpy(q + i * n, s.b + i * ld, n * sizeof *q); }
}

size_t fl_orthogonal_iteration_work(size_t n) { return n * n + fl_qr_work(n, n); }

void fl_orthogonal_iteration(const fl_kernels *k, size_t n, const float *s, float *q, float *work) {
  k->gemm_nn(n, n, n, s, n, q, n, work, n, FL_GEMM_PIECE);
  fl_qr(k, n, n, work, q, NULL, work + n * n);
}
