/* gemm.c - the matrix products over the micro-kernel of tile.h.
 *
 * Columns go in panels of TILE_N. A panel of a row-major B is read where it lies; of a transposed B, and where reading in place
 * would miss the caches, it is packed on the stack, so that the micro-kernel never masks a load of B; where tiles are narrow, so
 * is a large A that is given by its columns. Pieces of k are summed tile by tile. */
#include "kernels/gemm/pieces.h"

#define PACK_K 128              /* rows packed at once: 24 KB, for few rows of A */
#define PACK_DEEP 1024          /* for many: what a longer block costs in L1 it saves in loads and stores of C */

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
  int upper;            /* only what is on or right of the diagonal is wanted */
} product;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Equal parts of at most `most`, multiples of 16, that cover n. */
static size_t part_of(size_t n, size_t most) {
  const size_t parts = (n + most - 1) / most;
  return ((n + parts - 1) / parts + 15) / 16 * 16;
}

/* Rows k0..k0+count-1 of the panel of `cols` columns from n0, padded to whole vectors, TILE_N floats apart; sixteen more may be
 * written. What the padding holds does not matter: its columns are not stored. */
static void pack(const product *p, size_t n0, size_t cols, size_t k0, size_t count, float *to) {
  if (!p->transposed) {
    const size_t whole = cols / 16 * 16;
    for (size_t k = 0; k < count; k++) {
      const float *from = p->b + (k0 + k) * p->ldb + n0;
      for (size_t j = 0; j < whole; j += 16) v_store(to + k * TILE_N + j, v_load(from + j));
      if (whole < cols) v_store(to + k * TILE_N + whole, v_load_n(from + whole, cols - whole, 0.0f));
    }
    return;
  }
  for (size_t j = 0; j < cols; j += 16) {
    const size_t rows = least(cols - j, 16), last = n0 + j + rows;      /* behind a row is the next one, but not behind B */
    const float *from = p->b + (n0 + j) * p->ldb + k0;
    for (size_t k = 0; k < count; k += 16) {
      if (count - k < 16 && k >= 16) k = count - 16;                    /* the last rows once more */
      const int beyond = k + 16 > count && (p->n - last) * p->ldb + p->k < k0 + k + 16;
      if (beyond) turn_part(rows, count - k, from + k, p->ldb, to + j, TILE_N, 16);
      else if (rows == 16) v_turn(to + k * TILE_N + j, TILE_N, from + k, p->ldb, 16);
      else v_turn(to + k * TILE_N + j, TILE_N, from + k, p->ldb, rows);
    }
  }
}

/* All rows of one panel: t holds B, k and the flags; a and c: row 0 of A and of the panel. */
static void panel_rows(const product *p, tile_args *t, const float *a, size_t n0, float *c) {
  const size_t cols = t->cols, wanted = p->upper ? least(p->m, n0 + cols) : p->m;
  const float *b = t->b;
  size_t rows;
  for (size_t i = 0; i < wanted; i += rows) {
    size_t skip = 0, end = wanted;
    if (p->upper && i < n0) end = n0;
    else if (p->upper) {                        /* the diagonal: sixteen rows at a time, from its own vector on */
      skip = (i - n0) / 16 * 16;
      end = least(wanted, n0 + skip + 16);
    }
    const int nv = tile_vectors(cols - skip);
    rows = tile_even(end - i, tile_most(nv));
    t->a = a + i * t->ars;
    t->b = b + skip;
    t->cols = cols - skip;
    t->c = c + i * t->ldc + skip;
    tile_run((int)rows, nv, t);
  }
}

static void panel_packed(const product *p, size_t n0, size_t cols, size_t k0, size_t block, float *packed, float *c, size_t ldc) {
  for (; k0 < p->k; k0 += block) {
    const size_t count = least(p->k - k0, block);
    tile_args t = { .k = count, .ars = p->ars, .aks = p->aks, .b = packed, .ldb = TILE_N, .ldc = ldc, .cols = cols,
                    .carry = k0 > 0 || p->add, .last = k0 + count == p->k };
    pack(p, n0, cols, k0, count, packed);
    panel_rows(p, &t, p->a + k0 * p->aks, n0, c);
  }
}

/* B where it lies. A narrow panel is read in whole vectors too: behind a row is the next one. The last rows, which have none, are
 * packed; all are where the second pass over the rows of C would cost more. */
static void panel_in_place(const product *p, size_t n0, size_t cols, float *c, size_t ldc) {
  const size_t wide = 16 * (size_t)tile_vectors(cols), past = p->k && n0 + wide > p->n ? n0 + wide - p->n : 0;
  const size_t tail = !past ? 0 : p->k < 2 * p->m ? p->k : least(p->k, (past + p->ldb - 1) / p->ldb);
  tile_args t = { .k = p->k - tail, .ars = p->ars, .aks = p->aks, .b = p->b + n0, .ldb = p->ldb, .ldc = ldc, .cols = cols,
                  .carry = p->add, .last = tail == 0 };
  if (t.k || !tail) panel_rows(p, &t, p->a, n0, c);
  if (tail) {
    float packed[(PACK_K + 16) * TILE_N];
    panel_packed(p, n0, cols, p->k - tail, PACK_K, packed, c, ldc);
  }
}

static void in_place(const product *p) {
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) panel_in_place(p, n0, least(p->n - n0, TILE_N), p->c + n0, p->ldc);
}

static void packed_in_blocks(const product *p) {
  float packed[(PACK_K + 16) * TILE_N];
  const size_t block = part_of(p->k, PACK_K);
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) panel_packed(p, n0, least(p->n - n0, TILE_N), 0, block, packed, p->c + n0, p->ldc);
}

/* Not inlined: its stack, 200 KB where tiles are wide, is only for large products. */
static __attribute__((noinline)) void packed_deep(const product *p) {
  float packed[(PACK_DEEP + 16) * TILE_N];
  const size_t block = part_of(p->k, PACK_DEEP);
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) panel_packed(p, n0, least(p->n - n0, TILE_N), 0, block, packed, p->c + n0, p->ldc);
}

/* Rows i.. of A, given by its columns, tile by tile: of each step of k a tile's rows side by side. */
static void pack_left(const product *p, size_t i, size_t rows, size_t k0, size_t count, float *to) {
  const float *from = p->a + k0 * p->aks + i;
  const size_t whole = rows / TILE_M * TILE_M;
  for (size_t k = 0; k < count; k++, from += p->aks) {
    for (size_t r = 0; r < whole; r += TILE_M) memcpy(to + r * count + k * TILE_M, from + r, TILE_M * sizeof *to);
    for (size_t r = whole; r < rows; r++) to[whole * count + k * TILE_M + r - whole] = from[r];
  }
}

#if TILE_M == 6                 /* not of scalars, which it slows down */
#define LEFT_M 48               /* rows of A, steps of k and columns of B held at once: 48 + 408 KB, which stay in L2 */
#define LEFT_K 256
#define LEFT_N 384

/* Both factors packed. Not inlined, as packed_deep. */
static __attribute__((noinline)) void packed_both(const product *p) {
  enum { PANEL = (LEFT_K + 16) * TILE_N };
  float left[LEFT_M * LEFT_K], packed[LEFT_N / TILE_N * PANEL];
  for (size_t group = 0; group < p->n; group += LEFT_N) {
    const size_t end = least(p->n, group + LEFT_N);
    for (size_t k0 = 0; k0 < p->k; k0 += LEFT_K) {
      tile_args t = { .k = least(p->k - k0, LEFT_K), .ars = 1, .aks = TILE_M, .ldb = TILE_N, .ldc = p->ldc,
                      .carry = k0 > 0 || p->add, .last = p->k - k0 <= LEFT_K };
      for (size_t n0 = group; n0 < end; n0 += TILE_N)
        pack(p, n0, least(end - n0, TILE_N), k0, t.k, packed + (n0 - group) / TILE_N * PANEL);
      for (size_t i = 0; i < p->m; i += LEFT_M) {
        const size_t rows = least(p->m - i, LEFT_M);
        pack_left(p, i, rows, k0, t.k, left);
        for (size_t n0 = group; n0 < end; n0 += TILE_N) {
          t.b = packed + (n0 - group) / TILE_N * PANEL;
          t.cols = least(end - n0, TILE_N);
          for (size_t r = 0; r < rows; r += TILE_M) {
            t.a = left + r * t.k;
            t.c = p->c + (i + r) * p->ldc + n0;
            tile_run((int)least(rows - r, TILE_M), 1, &t);
          }
        }
      }
    }
  }
}

/* Narrow tiles take few floats of each line of an A given by its columns, which fall on few sets of the caches where they lie far
 * apart, and pass over A for every 16 columns of C. */
static int packs_left(const product *p) { return p->ars == 1 && p->m >= 64 && p->n >= 64 && p->k * p->aks >= 1u << 16; }
#else
static int packs_left(const product *p) { (void)p; return 0; }
static void packed_both(const product *p) { (void)p; }
#endif

/* An A given by its columns, packed by blocks, whatever the pieces of k: each step of k would take a few floats of one line of
 * A, and lines of a page each (wide tiles mind only distant rows). B lies as it is. A block of C goes on from one block of k to
 * the next; sums of earlier pieces wait. */
#define STRIP_M 96              /* rows of A, columns of B, steps of k of a block; levels that sums may wait at */
#define STRIP_N 288
#define STRIP_K 256
#define STRIP_LEVELS 4

static int takes_strips(const product *p) {
  if (p->ars != 1 || p->transposed || p->upper || p->n % 16 || p->m < 2 * TILE_M) return 0;
  if (p->k * p->aks < 1u << 16 || (TILE_V > 1 && p->aks < 640)) return 0;
  return (p->k + p->piece - 1) / p->piece < 1u << STRIP_LEVELS;
}

/* c = from + c; to = c */
static void strip_add(size_t rows, size_t cols, const float *from, float *c, size_t ldc) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < cols; j += 16)
      v_store(c + r * ldc + j, v_add(v_load(from + r * STRIP_N + j), v_load(c + r * ldc + j)));
  }
}
static void strip_keep(size_t rows, size_t cols, float *to, const float *c, size_t ldc) {
  for (size_t r = 0; r < rows; r++) memcpy(to + r * STRIP_N, c + r * ldc, cols * sizeof *to);
}

static void strip_block(const product *p, size_t i, size_t rows, size_t n0, size_t cols, size_t k, size_t count,
                        const float *left, int carry, int last) {
  tile_args t = { .k = count, .ars = 1, .aks = TILE_M, .ldb = p->ldb, .ldc = p->ldc, .carry = carry, .last = last };
  for (size_t j = 0; j < cols; j += TILE_N) {
    t.cols = least(cols - j, TILE_N);
    t.b = p->b + k * p->ldb + n0 + j;
    for (size_t r = 0; r < rows; r += TILE_M) {
      t.a = left + r * count;
      t.c = p->c + (i + r) * p->ldc + n0 + j;
      tile_run((int)least(rows - r, TILE_M), tile_vectors(t.cols), &t);
    }
  }
}

static __attribute__((noinline)) void in_strips(const product *p) {
  float left[STRIP_M * STRIP_K], level[STRIP_LEVELS][STRIP_M * STRIP_N];
  for (size_t n0 = 0; n0 < p->n; n0 += STRIP_N) {
    const size_t cols = least(p->n - n0, STRIP_N);
    for (size_t i = 0; i < p->m; i += STRIP_M) {
      const size_t rows = least(p->m - i, STRIP_M);
      float *c = p->c + i * p->ldc + n0;
      uint64_t have = 0;
      for (size_t k0 = 0; k0 < p->k; k0 += p->piece) {
        const size_t size = least(p->k - k0, p->piece);
        const int end = k0 + size == p->k;
        size_t l = 0;
        for (size_t k1 = 0; k1 < size; k1 += STRIP_K) {
          const size_t count = least(size - k1, STRIP_K);
          pack_left(p, i, rows, k0 + k1, count, left);
          strip_block(p, i, rows, n0, cols, k0 + k1, count, left, k1 > 0 || p->add, end && k1 + count == size);
        }
        for (; end ? have >> l != 0 : have >> l & 1; l++) {
          if (have >> l & 1) strip_add(rows, cols, level[l], c, p->ldc);
        }
        if (!end) strip_keep(rows, cols, level[l], c, p->ldc);
        have += 1;
      }
    }
  }
}

/* C^T = B^T A, for a C of few columns: they would fill a part of a vector, its rows fill all. */
static void swapped(const product *p) {
  const product s = { .m = p->n, .n = p->m, .k = p->k, .piece = p->piece, .a = p->b, .ars = 1, .aks = p->ldb,
                      .b = p->a, .ldb = p->aks };
  float c[16 * TILE_N];
  for (size_t n0 = 0; n0 < s.n; n0 += TILE_N) {
    const size_t cols = least(s.n - n0, TILE_N);
    panel_in_place(&s, n0, cols, c, TILE_N);
    for (size_t j = 0; j < cols; j += 16)
      turn_part(s.m, least(cols - j, 16), c + j, TILE_N, p->c + (n0 + j) * p->ldc, p->ldc, s.m);
  }
}

/* One tile over all pieces; sums of earlier pieces wait at `level`, as a binary counter counts. `packed` holds the panel's rows
 * when `whole`, else blocks are packed as they are needed. */
static void tile_pieces(const product *p, size_t n0, size_t cols, size_t i, size_t rows, int direct, int whole, float *packed) {
  float level[PIECES_LEVELS * TILE_FLOATS];
  uint64_t have = 0;
  const int nv = tile_vectors(cols);
  const size_t wide = 16 * (size_t)nv;
  tile_args t = { .ars = p->ars, .aks = p->aks, .ldb = direct ? p->ldb : TILE_N, .level = level };
  for (size_t k0 = 0; k0 < p->k; k0 += p->piece) {
    const size_t size = least(p->k - k0, p->piece), block = direct || whole ? size : PACK_K;
    const int end = k0 + size == p->k;
    size_t up = 0;                              /* where this piece's sum will wait: above the levels that it carries */
    while (have >> up & 1) up++;
    t.c = end ? p->c + i * p->ldc + n0 : level + up * TILE_FLOATS;
    t.ldc = end ? p->ldc : wide;
    t.cols = end ? cols : wide;
    for (size_t k1 = 0; k1 < size; k1 += block) {
      t.k = least(size - k1, block);
      t.carry = k1 > 0;
      t.last = end && k1 + t.k == size;
      t.add = k1 + t.k < size ? 0 : end ? have : have & (((uint64_t)1 << up) - 1);
      t.a = p->a + i * p->ars + (k0 + k1) * p->aks;
      if (direct) t.b = p->b + (k0 + k1) * p->ldb + n0;
      else if (whole) t.b = packed + k0 * TILE_N;
      else { pack(p, n0, cols, k0 + k1, t.k, packed); t.b = packed; }
      tile_run((int)rows, nv, &t);
    }
    have += 1;
  }
}

static void in_pieces(const product *p) {
  float packed[(PACK_K + 16) * TILE_N];
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) {
    const size_t cols = least(p->n - n0, TILE_N), wanted = p->upper ? least(p->m, n0 + cols) : p->m;
    const int direct = !p->transposed && cols % 16 == 0, whole = p->k <= PACK_K;
    if (whole && !direct) pack(p, n0, cols, 0, p->k, packed);
    size_t rows;
    for (size_t i = 0; i < wanted; i += rows) {
      rows = tile_even(wanted - i, tile_most(tile_vectors(cols)));
      tile_pieces(p, n0, cols, i, rows, direct, whole, packed);
    }
  }
}

/* Rows of B that lie far apart fall on few sets of the caches: where they do not fit, and there are rows of A enough, a copy
 * pays. Narrow tiles pass over B more often. */
static int misses(const product *p) {
  const size_t rows = TILE_V == 1 ? 64 : 256, floats = TILE_V == 1 ? 1u << 17 : 1u << 19;
  return p->m >= rows && p->k * p->ldb >= floats;
}

static void multiply(const product *p) {
  if (p->k > p->piece && takes_strips(p)) in_strips(p);
  else if (p->k > p->piece) in_pieces(p);
  else if (packs_left(p)) packed_both(p);
  else if (TILE_V > 1 && takes_strips(p)) in_strips(p);
  else if (p->transposed && p->k && p->m < 128) packed_in_blocks(p);
  else if (p->k && (p->transposed || misses(p))) packed_deep(p);
  else if (p->ars == 1 && p->n && p->n <= 12 && p->m >= 16 && p->k && !p->add) swapped(p);
  else in_place(p);
}

void FL_FN(gemm_nn)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, lda, 1, b, ldb, 0, c, ldc, 0, 0 });
}

void FL_FN(gemm_nt)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, lda, 1, b, ldb, 1, c, ldc, 0, 0 });
}

void FL_FN(gemm_tn)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                    size_t piece) {
  multiply(&(product){ m, n, k, piece, a, 1, lda, b, ldb, 0, c, ldc, 0, 0 });
}

void FL_FN(gemm_nn_add)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                        size_t ldc) {
  multiply(&(product){ m, n, k, k, a, lda, 1, b, ldb, 0, c, ldc, 1, 0 });
}

void FL_FN(gemm_tn_add)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                        size_t ldc) {
  multiply(&(product){ m, n, k, k, a, 1, lda, b, ldb, 0, c, ldc, 1, 0 });
}

/* What is right of the diagonal's squares of sixteen, to the left. */
static void mirror(size_t n, float *c, size_t ldc) {
  for (size_t i = 0; i < n; i += 16) {
    for (size_t j = i + 16; j < n; j += 16) {
      const size_t cols = least(n - j, 16);
      turn_part(16, cols, c + i * ldc + j, ldc, c + j * ldc + i, ldc, 16);
    }
  }
}

/* fma(a, b, c) = fma(b, a, c): the same chain on both sides of the diagonal. */
void FL_FN(gemm_syrk)(size_t n, size_t k, const float *a, size_t lda, float *c, size_t ldc, size_t piece) {
  multiply(&(product){ n, n, k, piece, a, lda, 1, a, lda, 1, c, ldc, 0, 1 });
  mirror(n, c, ldc);
}
