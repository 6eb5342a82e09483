/* factors.c - see factors.h. All arithmetic is the table's products and the decompositions on them, so the bits are theirs. */
#include "factors.h"
#include <math.h>
#include <string.h>

enum { MOST_ITERATIONS = 12 };

size_t fl_polar_work(size_t a, size_t b) {
  const size_t n = a < b ? a : b, m = a < b ? b : a;
  return 2 * m * n + (m + n) * n + fl_qr_work(m + n, n);
}

/* The iteration of Halley with dynamic weights: with least <= the singular values <= 1, the rational function s*(a + b*s^2)/(1 +
 * c*s^2) that brings the least of them nearest to 1 (Nakatsukasa, Bai, Gygi 2010). Returns what `least` becomes. */
static double weights(double least, double *a, double *b, double *c) {
  const double square = least * least, d = fl_exp(fl_log(4.0 * (1.0 - square) / (square * square)) / 3.0), root = sqrt(1.0 + d);
  *a = root + 0.5 * sqrt(8.0 - 4.0 * d + 8.0 * (2.0 - square) / (square * root));
  *b = (*a - 1.0) * (*a - 1.0) / 4.0;
  *c = *a + *b - 1.0;
  return least * (*a + *b * square) / (1.0 + *c * square);
}

/* x <- (b/c)*x + (a - b/c)/sqrt(c) * Q1 Q2^T, where (Q1; Q2) is the orthogonal factor of (sqrt(c)*x; I): no inverse, so it is
 * exact to rounding at any condition. The least singular value is taken as 1e-7 of the norm; directions below that are noise. */
void fl_polar(const fl_kernels *k, size_t rows, size_t cols, float *u, float *work) {
  const int wide = rows < cols;
  const size_t n = wide ? rows : cols, m = wide ? cols : rows;
  float *x = work, *p = x + m * n, *q = p + m * n, *scratch = q + (m + n) * n;
  const double norm = sqrt(k->sumsq(m * n, u));
  if (!(norm > 0)) return;
  if (wide) k->transpose(rows, cols, u, cols, x, rows);
  else memcpy(x, u, m * n * sizeof *x);
  k->scale(m * n, x, (float)(1.0 / norm), x);
  double least = 1e-7, a, b, c;
  for (int i = 0; i < MOST_ITERATIONS && 1.0 - least > 1e-8; i++) {
    least = weights(least, &a, &b, &c);
    k->scale(m * n, q, (float)sqrt(c), x);
    memset(q + m * n, 0, n * n * sizeof *q);
    for (size_t j = 0; j < n; j++) q[(m + j) * n + j] = 1.0f;
    fl_qr(k, m + n, n, q, q, NULL, scratch);
    k->gemm_nt(m, n, n, q, n, q + m * n, n, p, n, FL_GEMM_PIECE);
    const fl_mix_args mix = { .ga = (float)(b / c), .gq0 = (float)((a - b / c) / sqrt(c)) };
    k->mix(m * n, x, x, NULL, p, NULL, &mix);
  }
  if (wide) k->transpose(m, n, x, n, u, m);
  else memcpy(u, x, m * n * sizeof *x);
}

size_t fl_low_rank_work(size_t a, size_t b) {
  const size_t n = a < b ? a : b;
  return 2 * a * b + 2 * n * n + n + fl_eigh_work(n);
}

/* The projection on the leading eigenvectors of x x^T, x the wide one of m and its transpose. */
void fl_low_rank(const fl_kernels *k, size_t a, size_t b, size_t rank, float *matrix, float *work) {
  const int tall = a > b;
  const size_t n = tall ? b : a, m = tall ? a : b;
  float *x = work, *part = x + m * n, *gram = part + m * n, *v = gram + n * n, *w = v + n * n, *scratch = w + n;
  if (rank >= n) return;
  if (tall) k->transpose(a, b, matrix, b, x, a);
  else memcpy(x, matrix, m * n * sizeof *x);
  k->gemm_syrk(n, m, x, m, gram, n, FL_GEMM_PIECE);
  fl_eigh(k, n, gram, w, v, scratch);
  for (size_t i = 0; i < n; i++) memmove(v + i * rank, v + i * n, rank * sizeof *v);   /* n x rank */
  if (rank) k->gemm_tn(rank, m, n, v, rank, x, m, part, m, FL_GEMM_PIECE);
  if (rank) k->gemm_nn(n, m, rank, v, rank, part, m, x, m, FL_GEMM_PIECE);
  else memset(x, 0, m * n * sizeof *x);
  if (tall) k->transpose(n, m, x, m, matrix, n);
  else memcpy(matrix, x, m * n * sizeof *x);
}
