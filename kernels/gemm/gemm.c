/* gemm.c - the three matrix products over the micro-kernel of tile.h.
 *
 * Columns go in panels of TILE_N. A full panel of a row-major B is read where it lies; the last, narrow panel and every
 * panel of a transposed B are packed on the stack, PACK_K rows at a time, so that the micro-kernel never masks a load of B.
 * Pieces of k are partial tiles on the stack, combined by the fixed tree (pieces.h). */
#include "kernels/gemm/pieces.h"

#define PACK_K 128

typedef struct {
  size_t m, n, k, piece;
  const float *a;
  size_t ars, aks;
  const float *b;
  size_t ldb;
  int transposed;       /* b is n x k */
  float *c;
  size_t ldc;
  int add;              /* accumulators start from C, k is one piece */
} product;

/* Rows k0..k0+count-1 of the panel of `cols` columns from n0, each padded with +0 to TILE_N floats. */
static void pack(const product *p, size_t n0, size_t cols, size_t k0, size_t count, float *to) {
  if (!p->transposed) {
    const size_t vectors = (cols + 15) / 16;
    for (size_t k = 0; k < count; k++) {
      const float *from = p->b + (k0 + k) * p->ldb + n0;
      for (size_t j = 0; j < vectors; j++) {
        const size_t left = cols - 16 * j;
        v_store(to + k * TILE_N + 16 * j, left >= 16 ? v_load(from + 16 * j) : v_load_n(from + 16 * j, left, 0.0f));
      }
    }
    return;
  }
  for (size_t j = 0; j < cols; j += 16) {
    const size_t rows = cols - j < 16 ? cols - j : 16;
    for (size_t k = 0; k < count; k += 16) {
      const size_t steps = count - k < 16 ? count - k : 16;
      v16 r[16];
      for (size_t i = 0; i < 16; i++) {
        const float *from = p->b + (n0 + j + (i < rows ? i : 0)) * p->ldb + k0 + k;
        r[i] = i >= rows ? v_zero() : steps == 16 ? v_load(from) : v_load_n(from, steps, 0.0f);
      }
      transpose16(r);
      for (size_t i = 0; i < steps; i++) v_store(to + (k + i) * TILE_N + j, r[i]);
    }
  }
}

/* A whole k in one piece: blocks of PACK_K, each for all rows, the accumulators resting in C. */
static void panel_one_piece(const product *p, size_t n0, size_t cols, int direct, float *packed) {
  const size_t block = direct ? p->k : PACK_K;
  for (size_t k0 = 0; k0 == 0 || k0 < p->k; k0 += block) {
    const size_t count = p->k - k0 < block ? p->k - k0 : block;
    if (!direct) pack(p, n0, cols, k0, count, packed);
    tile_args t = { .k = count, .ars = p->ars, .aks = p->aks, .b = direct ? p->b + n0 : packed, .ldb = direct ? p->ldb : TILE_N,
                    .ldc = p->ldc, .cols = cols, .carry = k0 > 0 || p->add, .last = k0 + count == p->k };
    size_t rows;
    for (size_t i = 0; i < p->m; i += rows) {
      rows = tile_rows(p->m - i);
      t.a = p->a + i * p->ars + k0 * p->aks;
      t.c = p->c + i * p->ldc + n0;
      tile_run((int)rows, tile_vectors(cols), &t);
    }
    if (p->k == 0) break;
  }
}

/* One tile over all pieces. `packed` holds the panel's rows when `whole`, else blocks are packed as they are needed. */
static void tile_pieces(const product *p, size_t n0, size_t cols, size_t i, size_t rows, int direct, int whole, float *packed) {
  float level[PIECES_LEVELS * TILE_M * TILE_N], part[TILE_M * TILE_N];
  piece_sums sums = { level, rows * TILE_N, 0 };
  const int nv = tile_vectors(cols);
  tile_args t = { .ars = p->ars, .aks = p->aks, .ldb = direct ? p->ldb : TILE_N, .c = part, .ldc = TILE_N, .cols = 16 * (size_t)nv };
  for (size_t k0 = 0; k0 < p->k; k0 += p->piece) {
    const size_t size = p->k - k0 < p->piece ? p->k - k0 : p->piece;
    const size_t block = direct || whole ? size : PACK_K;
    for (size_t k1 = 0; k1 < size; k1 += block) {
      t.k = size - k1 < block ? size - k1 : block;
      t.carry = k1 > 0;
      t.a = p->a + i * p->ars + (k0 + k1) * p->aks;
      if (direct) t.b = p->b + (k0 + k1) * p->ldb + n0;
      else if (whole) t.b = packed + k0 * TILE_N;
      else { pack(p, n0, cols, k0 + k1, t.k, packed); t.b = packed; }
      tile_run((int)rows, nv, &t);
    }
    pieces_push(&sums, part);
  }
  pieces_store(&sums, rows, cols, p->c + i * p->ldc + n0, p->ldc);
}

static void multiply(const product *p) {
  float packed[PACK_K * TILE_N];
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) {
    const size_t cols = p->n - n0 < TILE_N ? p->n - n0 : TILE_N;
    const int direct = !p->transposed && cols % 16 == 0;
    if (p->add || p->k <= p->piece) {
      panel_one_piece(p, n0, cols, direct, packed);
      continue;
    }
    const int whole = p->k <= PACK_K;
    if (whole && !direct) pack(p, n0, cols, 0, p->k, packed);
    size_t rows;
    for (size_t i = 0; i < p->m; i += rows) {
      rows = tile_rows(p->m - i);
      tile_pieces(p, n0, cols, i, rows, direct, whole, packed);
    }
  }
}

void FL_FN(gemm_nn)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, lda, 1, b, ldb, 0, c, ldc, 0 });
}

void FL_FN(gemm_nt)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, lda, 1, b, ldb, 1, c, ldc, 0 });
}

void FL_FN(gemm_tn)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, 1, lda, b, ldb, 0, c, ldc, 0 });
}

void FL_FN(gemm_nn_add)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc) {
  multiply(&(product){ m, n, k, k, a, lda, 1, b, ldb, 0, c, ldc, 1 });
}

void FL_FN(gemm_tn_add)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc) {
  multiply(&(product){ m, n, k, k, a, 1, lda, b, ldb, 0, c, ldc, 1 });
}
