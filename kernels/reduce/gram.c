/* gram.c - dot products or squared distances between all pairs of m vectors, each in the order of `dot` or `sumsq_diff`.
 *
 * ROWS x COLS pairs go through memory together. A partial holds every 32nd product, so eight of the 32 can be summed at a time:
 * the accumulators of a tile then stay in registers, and a widened vector serves several pairs. Around that BLOCK elements of a
 * tile's vectors stay in the first cache, and a chunk of SIDE x SIDE pairs' vectors in the second, so that a vector comes
 * from memory once for SIDE others. */
#include "kernels/reduce/sum.h"

enum { ROWS = FL_VREGS >= 16 ? 4 : 2, COLS = 2, PAIRS = ROWS * COLS, SIDE = 16, BLOCK = 512 };

FL_INLINE void products8(reduction op, d8 s[PAIRS], const float *const *a, const float *const *b, size_t i, size_t lanes) {
  d8 y[COLS];
  for (int c = 0; c < COLS; c++) { y[c] = get8(b[c] + i, lanes); }
  for (int r = 0; r < ROWS; r++) {
    const d8 x = get8(a[r] + i, lanes);
    for (int c = 0; c < COLS; c++) { s[COLS * r + c] = term8(op, s[COLS * r + c], x, y[c]); }
  }
}

/* One chunk of one tile: out[r*SIDE + c]. */
FL_INLINE void chunk_tile(reduction op, size_t n, const float *const *a, const float *const *b, double *out) {
  d8 acc[4][PAIRS];
  for (int k = 0; k < 4 * PAIRS; k++) { acc[k / PAIRS][k % PAIRS] = d_set(0.0); }
  for (size_t at = 0; at < n; at += BLOCK) {
    const size_t end = n - at < BLOCK ? n : at + BLOCK;
    for (size_t g = 0; g < 4; g++) { /* partials 8g ... 8g + 7 */
      d8 s[PAIRS];
      size_t i = at + 8 * g;
      for (int k = 0; k < PAIRS; k++) { s[k] = acc[g][k]; }
      for (; i + 8 <= end; i += 32) { products8(op, s, a, b, i, 8); }
      if (i < end) { products8(op, s, a, b, i, end - i); }
      for (int k = 0; k < PAIRS; k++) { acc[g][k] = s[k]; }
    }
  }
  for (int k = 0; k < PAIRS; k++) {
    const d8 pair[4] = { acc[0][k], acc[1][k], acc[2][k], acc[3][k] };
    out[k / COLS * SIDE + k % COLS] = halve(pair);
  }
}

/* Rows and columns of SIDE x SIDE pairs; `same` when both are the same vectors, whose lower half is not computed. */
typedef struct { const float *a, *b; size_t rows, cols, ld; int same; } square;

FL_INLINE void chunk_square(reduction op, const square *q, size_t first, size_t n, double out[SIDE * SIDE]) {
  for (size_t r = 0; r < q->rows; r += ROWS) {
    for (size_t c = q->same ? r : 0; c < q->cols; c += COLS) {
      const float *a[ROWS], *b[COLS]; /* beyond the edge the last vector stands in, and its results are not read */
      for (size_t k = 0; k < ROWS; k++) { a[k] = q->a + (r + k < q->rows ? r + k : q->rows - 1) * q->ld + first; }
      for (size_t k = 0; k < COLS; k++) { b[k] = q->b + (c + k < q->cols ? c + k : q->cols - 1) * q->ld + first; }
      chunk_tile(op, n, a, b, out + r * SIDE + c);
    }
  }
}

/* The fixed tree over chunks. */
static void node(reduction op, const square *q, size_t first, size_t n, double out[SIDE * SIDE]) {
  if (n <= FL_CHUNK) {
    if (op == DOT) { chunk_square(DOT, q, first, n, out); } else { chunk_square(SUMSQ_DIFF, q, first, n, out); }
    return;
  }
  double right[SIDE * SIDE] = { 0 };
  size_t left = FL_CHUNK;
  while (2 * left < n) { left *= 2; }
  node(op, q, first, left, out);
  node(op, q, first + left, n - left, right);
  for (size_t k = 0; k < SIDE * SIDE; k++) { out[k] += right[k]; }
}

FL_INLINE void all_pairs(reduction op, size_t m, size_t n, const float *x, size_t ld, double *out) {
  for (size_t i = 0; i < m; i += SIDE) {
    for (size_t j = i; j < m; j += SIDE) {
      const square q = { x + i * ld, x + j * ld, m - i < SIDE ? m - i : SIDE, m - j < SIDE ? m - j : SIDE, ld, i == j };
      double s[SIDE * SIDE] = { 0 };
      node(op, &q, 0, n, s);
      for (size_t r = 0; r < q.rows; r++) {
        for (size_t c = q.same ? r : 0; c < q.cols; c++) {
          out[(i + r) * m + j + c] = out[(j + c) * m + i + r] = s[r * SIDE + c];
        }
      }
    }
  }
}

void FL_FN(gram)(size_t m, size_t n, const float *x, size_t ld, double *out) { all_pairs(DOT, m, n, x, ld, out); }
void FL_FN(sq_distances)(size_t m, size_t n, const float *x, size_t ld, double *out) { all_pairs(SUMSQ_DIFF, m, n, x, ld, out); }
