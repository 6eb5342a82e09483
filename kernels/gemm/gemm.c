/* gemm.c - the matrix products over the micro-kernel of tile.h.
 *
 * Columns go in panels of TILE_N. A panel of a row-major B is read where it lies; of a transposed B, and where reading in place
 * would miss the caches, it is packed on the stack, so that the micro-kernel never masks a load of B; where tiles are narrow, so
 * is a large A that is given by its columns, and a last panel of at most eight columns may have a tile of its own (half.h).
 * Pieces of k are summed tile by tile. */
#include "kernels/gemm/half.h"
#include "kernels/gemm/pieces.h"

#define PACK_K 128              /* rows packed at once: 24 KB, for few rows of A */
#define LEFT_AHEAD (TILE_V == 1 ? 4 : 0) /* steps of k that A is fetched ahead while it is packed */
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

/* A panel of so many columns: floats that are read of each row of B, rows of a tile at most, and one tile. */
static size_t panel_width(size_t cols) { return cols <= TILE_HALF ? TILE_HALF : 16 * (size_t)tile_vectors(cols); }
static size_t panel_most(size_t cols) { return cols <= TILE_HALF ? TILE_HALF_M : tile_most(tile_vectors(cols)); }
static void panel_tile(size_t rows, size_t cols, const tile_args *t) {
  if (cols <= TILE_HALF) tile_run_half((int)rows, t);
  else tile_run((int)rows, tile_vectors(cols), t);
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

/* Rows of a tile at most, of rows of A so far apart. Of those whole pages apart a set of the first cache has no more than eight
 * lines, and tiles that are taller than that would fetch each line anew at every step of k. */
static size_t rows_apart(size_t floats, size_t most) { return floats && floats % 1024 == 0 ? least(most, 8) : most; }

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
    rows = panel_most(cols - skip);
    rows = tile_even(end - i, cols <= TILE_HALF ? rows_apart(t->ars, rows) : rows);
    t->a = a + i * t->ars;
    t->b = b + skip;
    t->cols = cols - skip;
    t->c = c + i * t->ldc + skip;
    panel_tile(rows, cols - skip, t);
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
  const size_t wide = panel_width(cols), past = p->k && n0 + wide > p->n ? n0 + wide - p->n : 0;
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

/* Rows i.. of A, given by its columns, tile by tile: of each step of k a tile's rows side by side. A tile begins `apart` floats
 * behind the one before, not at a power of two: the tiles' lines that one step writes would meet in few sets of the caches. */
static void pack_left(const product *p, size_t i, size_t rows, size_t k0, size_t count, float *to, size_t apart) {
  const float *from = p->a + k0 * p->aks + i;
  const size_t whole = rows / TILE_M;
  for (size_t k = 0; k < count; k++, from += p->aks, to += TILE_M) {
    const float *ahead = from + LEFT_AHEAD * p->aks;
    for (size_t r = 0; LEFT_AHEAD && r < rows && k + LEFT_AHEAD < count; r += 16) __builtin_prefetch(ahead + r);
    for (size_t r = 0; r < whole; r++) memcpy(to + r * apart, from + r * TILE_M, TILE_M * sizeof *to);
    for (size_t r = whole * TILE_M; r < rows; r++) to[whole * apart + r - whole * TILE_M] = from[r];
  }
}

/* What a narrow tile some tiles below this one, at row r of `rows`, begins with: C from c on. */
#define SUMS_AHEAD (TILE_V == 1 ? 2 : 0)
static void fetch_sums(const float *c, size_t ldc, size_t r, size_t rows) {
  const size_t first = r + SUMS_AHEAD * TILE_M;
  for (size_t i = first; SUMS_AHEAD && i < first + TILE_M && i < rows; i++) __builtin_prefetch(c + i * ldc);
}

#if TILE_M == 6                 /* not of scalars, which it slows down */
#define BLOCK_M 96              /* rows of A, steps of k and columns of B held at once: 98 + 272 KB, which stay in L2 */
#define BLOCK_K 256
#define BLOCK_N 256
#define BLOCK_PANEL ((BLOCK_K + 16) * TILE_N)
#define BLOCK_TILE (TILE_M * BLOCK_K + 16)

/* The rows behind a tile, which the next one reads: each is short, and the caches follow none in time. */
static void fetch_rows(const product *p, const tile_args *t, size_t i) {
  for (size_t r = TILE_M; r < 2 * TILE_M && i + r < p->m; r++) {
    for (size_t k = 0; k < t->k; k += 16) __builtin_prefetch(t->a + r * p->ars + k);
  }
}

/* Rows i.. of C against the packed columns from n0 to end. A given by its columns is packed, too. */
static void block_rows(const product *p, tile_args *t, size_t i, size_t rows, size_t k0, size_t n0, size_t end, float *left,
                       const float *right) {
  const int columns = p->ars == 1;
  if (columns) pack_left(p, i, rows, k0, t->k, left, BLOCK_TILE);
  for (int first = !columns; n0 < end; n0 += TILE_N, right += BLOCK_PANEL, first = 0) {
    t->b = right;
    t->cols = least(end - n0, TILE_N);
    for (size_t r = 0; r < rows; r += TILE_M) {
      t->a = columns ? left + r / TILE_M * BLOCK_TILE : p->a + (i + r) * p->ars + k0;
      if (first) fetch_rows(p, t, i + r);
      t->c = p->c + (i + r) * p->ldc + n0;
      fetch_sums(p->c + i * p->ldc + n0, p->ldc, r, rows);
      panel_tile(least(rows - r, TILE_M), t->cols, t);
    }
  }
}

/* Not inlined, as packed_deep. */
static __attribute__((noinline)) void in_blocks(const product *p) {
  float left[BLOCK_M / TILE_M * BLOCK_TILE], right[BLOCK_N / TILE_N * BLOCK_PANEL];
  const size_t block = part_of(p->k, BLOCK_K), wide = part_of(p->n, BLOCK_N);
  for (size_t group = 0; group < p->n; group += wide) {
    const size_t end = least(p->n, group + wide);
    for (size_t k0 = 0; k0 < p->k; k0 += block) {
      tile_args t = { .k = least(p->k - k0, block), .ars = p->ars == 1 ? 1 : p->ars, .aks = p->ars == 1 ? TILE_M : 1,
                      .ldb = TILE_N, .ldc = p->ldc, .carry = k0 > 0 || p->add, .last = p->k - k0 <= block };
      for (size_t n0 = group; n0 < end; n0 += TILE_N)
        pack(p, n0, least(end - n0, TILE_N), k0, t.k, right + (n0 - group) / TILE_N * BLOCK_PANEL);
      for (size_t i = 0; i < p->m; i += BLOCK_M)
        block_rows(p, &t, i, least(p->m - i, BLOCK_M), k0, group, end, left, right);
    }
  }
}

/* Narrow tiles pass over A for every 16 columns of C: a large one that is much higher than C is wide is taken from L2. They take
 * few floats of each line of an A given by its columns, which fall on few sets of the caches where they lie far apart. */
static int takes_blocks(const product *p) {
  if (p->upper) return 0;
  if (p->ars == 1) return p->m >= 64 && p->n >= 64 && p->k * p->aks >= 1u << 16;
  return p->m >= 2 * p->n && p->n >= 32 && p->k >= 64 && p->m * p->k >= 1u << 19;
}
#else
static int takes_blocks(const product *p) { (void)p; return 0; }
static void in_blocks(const product *p) { (void)p; }
#endif

/* An A given by its columns, packed by blocks, whatever the pieces of k: each step of k would take a few floats of one line of
 * A, and lines of a page each (wide tiles mind only distant rows). B lies as it is, but for narrow tiles: they would take one
 * line of each row, and those fall on few sets of the first cache; so where only B is so large, and A has few rows, it is
 * done for B's sake. A block of C goes on from one block of k to the next; sums of earlier pieces wait. */
#define STRIP_M (TILE_V == 1 ? 288 : 96)        /* rows of A, columns of B, steps of k of a block; levels that sums may wait at */
#define STRIP_N (TILE_V == 1 ? 256 : 288)
#define STRIP_C (TILE_V == 1 ? 288 * 192 : 96 * 288) /* of C: with the rows of A what stays in L2 */
#define STRIP_K 256
#define STRIP_LEVELS 4
#define STRIP_TILE (TILE_M * STRIP_K + 16)

static int takes_strips(const product *p) {
  const int low = p->m < 2 * TILE_M, large = p->m >= TILE_M && p->ldb >= 512 && p->k * p->ldb >= 1u << 21;
  if (p->ars != 1 || p->transposed || p->upper || p->n % 16) return 0;
  if (low && (TILE_V > 1 || !large || p->piece < STRIP_K)) return 0;
  if (!low && (p->k * p->aks < 1u << 16 || (TILE_V > 1 && p->aks < 640))) return 0;
  return (p->k + p->piece - 1) / p->piece < 1u << STRIP_LEVELS;
}

/* c = from + c; to = c */
static void strip_add(size_t rows, size_t cols, const float *from, float *c, size_t ldc) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < cols; j += 16)
      v_store(c + r * ldc + j, v_add(v_load(from + r * cols + j), v_load(c + r * ldc + j)));
  }
}
static void strip_keep(size_t rows, size_t cols, float *to, const float *c, size_t ldc) {
  for (size_t r = 0; r < rows; r++) memcpy(to + r * cols, c + r * ldc, cols * sizeof *to);
}

/* The panel of B behind the one from n0 on: a line of each row, which the caches do not guess where rows lie pages apart. */
static void fetch_panel(const product *p, size_t n0, size_t end, size_t k, size_t count) {
  const float *next = p->b + k * p->ldb + n0 + TILE_N;
  for (size_t i = 0; n0 + TILE_N < end && i < count; i++) __builtin_prefetch(next + i * p->ldb);
}

static void strip_block(const product *p, size_t i, size_t rows, size_t n0, size_t cols, size_t k, size_t count,
                        const float *left, float *right, int carry, int last) {
  tile_args t = { .k = count, .ars = 1, .aks = TILE_M, .ldb = p->ldb, .ldc = p->ldc, .carry = carry, .last = last };
  for (size_t j = 0; j < cols; j += TILE_N) {
    t.cols = least(cols - j, TILE_N);
    t.b = p->b + k * p->ldb + n0 + j;
    if (TILE_V == 1) {
      pack(p, n0 + j, t.cols, k, count, right);
      fetch_panel(p, n0 + j, n0 + cols, k, count);
      t.b = right;
      t.ldb = TILE_N;
    }
    for (size_t r = 0; r < rows; r += TILE_M) {
      t.a = left + r / TILE_M * STRIP_TILE;
      t.c = p->c + (i + r) * p->ldc + n0 + j;
      fetch_sums(p->c + i * p->ldc + n0 + j, p->ldc, r, rows);
      tile_run((int)least(rows - r, TILE_M), tile_vectors(t.cols), &t);
    }
  }
}

static __attribute__((noinline)) void in_strips(const product *p) {
  float left[(STRIP_M + TILE_M - 1) / TILE_M * STRIP_TILE], right[TILE_V == 1 ? (STRIP_K + 16) * TILE_N : 1];
  float level[STRIP_LEVELS][STRIP_C];
  const size_t wide = TILE_V == 1 ? part_of(p->n, STRIP_N) : STRIP_N, high = least(STRIP_M, STRIP_C / wide / TILE_M * TILE_M);
  const size_t most = (tile_even(p->m, high) + TILE_M - 1) / TILE_M * TILE_M;
  for (size_t n0 = 0; n0 < p->n; n0 += wide) {
    const size_t cols = least(p->n - n0, wide);
    for (size_t i = 0; i < p->m; i += most) {
      const size_t rows = least(p->m - i, most);
      float *c = p->c + i * p->ldc + n0;
      uint64_t have = 0;
      for (size_t k0 = 0; k0 < p->k; k0 += p->piece) {
        const size_t size = least(p->k - k0, p->piece);
        const int end = k0 + size == p->k;
        size_t l = 0;
        const size_t block = part_of(size, STRIP_K);
        for (size_t k1 = 0; k1 < size; k1 += block) {
          const size_t count = least(size - k1, block);
          pack_left(p, i, rows, k0 + k1, count, left, STRIP_TILE);
          strip_block(p, i, rows, n0, cols, k0 + k1, count, left, right, k1 > 0 || p->add,
                      end && k1 + count == size);
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

/* What in_pieces knows of a panel of B: `packed` holds its rows from `from` on, each before that is read where it lies or, of a
 * transposed B, packed by blocks as it is needed. */
typedef struct { size_t n0, cols, from; float *packed, *c; size_t ldc; } panel;

/* Rows k.. of the panel, at most `size`, as `t` takes them. */
static void panel_block(const product *p, const panel *b, size_t k, size_t size, tile_args *t) {
  t->k = k < b->from ? least(size, b->from - k) : size;
  t->ldb = TILE_N;
  if (k >= b->from) t->b = b->packed + (k - b->from) * TILE_N;
  else if (!p->transposed) t->b = p->b + k * p->ldb + b->n0, t->ldb = p->ldb;
  else {
    t->k = least(t->k, PACK_K);
    pack(p, b->n0, b->cols, k, t->k, b->packed);
    t->b = b->packed;
  }
}

/* One tile over all pieces; sums of earlier pieces wait at `level`, as a binary counter counts. */
static void tile_pieces(const product *p, const panel *b, size_t i, size_t rows) {
  float level[PIECES_LEVELS * TILE_FLOATS];
  uint64_t have = 0;
  const size_t wide = panel_width(b->cols);
  tile_args t = { .ars = p->ars, .aks = p->aks, .level = level };
  for (size_t k0 = 0; k0 < p->k; k0 += p->piece) {
    const size_t size = least(p->k - k0, p->piece);
    const int end = k0 + size == p->k;
    size_t up = 0;                              /* where this piece's sum will wait: above the levels that it carries */
    while (have >> up & 1) up++;
    t.c = end ? b->c + i * b->ldc : level + up * TILE_FLOATS;
    t.ldc = end ? b->ldc : wide;
    t.cols = end ? b->cols : wide;
    for (size_t k1 = 0; k1 < size; k1 += t.k) {
      panel_block(p, b, k0 + k1, size - k1, &t);
      t.carry = k1 > 0;
      t.last = end && k1 + t.k == size;
      t.add = k1 + t.k < size ? 0 : end ? have : have & (((uint64_t)1 << up) - 1);
      t.a = p->a + i * p->ars + (k0 + k1) * p->aks;
      panel_tile(rows, b->cols, &t);
    }
    have += 1;
  }
}

/* A narrow panel is read in whole vectors, as panel_in_place does: the last rows, behind which B ends, are packed. */
static void panel_pieces(const product *p, size_t n0, size_t cols, float *c, size_t ldc) {
  float packed[(PACK_K + 16) * TILE_N];
  const size_t wanted = p->upper ? least(p->m, n0 + cols) : p->m, most = panel_most(cols);
  const size_t wide = panel_width(cols), past = n0 + wide > p->n ? n0 + wide - p->n : 0;
  const size_t tail = p->k <= PACK_K && (p->transposed || past) ? p->k : p->transposed ? 0 : (past + p->ldb - 1) / p->ldb;
  const panel b = { n0, cols, p->k - tail, packed, c, ldc };
  size_t rows;
  if (tail) pack(p, n0, cols, b.from, tail, packed);
  for (size_t i = 0; i < wanted; i += rows) {
    rows = tile_even(wanted - i, most);
    tile_pieces(p, &b, i, rows);
  }
}

static void in_pieces(const product *p) {
  for (size_t n0 = 0; n0 < p->n; n0 += TILE_N) panel_pieces(p, n0, least(p->n - n0, TILE_N), p->c + n0, p->ldc);
}

/* C^T = B^T A, for a C of few columns: they would fill a part of a vector, its rows fill all. */
#define SWAP_N 32
static void swapped(const product *p) {
  const product s = { .m = p->n, .n = p->m, .k = p->k, .piece = p->piece, .a = p->b, .ars = 1, .aks = p->ldb,
                      .b = p->a, .ldb = p->aks };
  float c[SWAP_N * TILE_N];
  for (size_t n0 = 0; n0 < s.n; n0 += TILE_N) {
    const size_t cols = least(s.n - n0, TILE_N);
    if (s.k > s.piece) panel_pieces(&s, n0, cols, c, TILE_N);
    else panel_in_place(&s, n0, cols, c, TILE_N);
    for (size_t j = 0; j < cols; j += 16) {
      for (size_t i = 0; i < s.m; i += 16) {
        const size_t rows = least(s.m - i, 16);
        turn_part(rows, least(cols - j, 16), c + i * TILE_N + j, TILE_N, p->c + (n0 + j) * p->ldc + i, p->ldc, rows);
      }
    }
  }
}

/* Halves of vectors of C that a step of k works on. */
static size_t work_of(size_t rows, size_t cols) {
  const size_t last = cols % 16;
  return rows * (cols / 16 * 2 + (last > TILE_HALF ? 2 : last > 0));
}
/* Where both ways are as much work, narrow tiles of a high C swap too: half a panel behind whole ones costs more than its part
 * of a panel. */
static int swaps(const product *p) {
  const size_t work = work_of(p->m, p->n), other = work_of(p->n, p->m);
  if (p->ars != 1 || p->transposed || p->add || p->upper || !p->n || !p->k || p->m < 16) return 0;
  if (p->k <= p->piece) return p->n <= 12;
  if (p->n > SWAP_N) return 0;
  return TILE_V == 1 && p->n % 16 && p->m >= 2 * p->n ? work >= other : 8 * work > 9 * other;
}

/* Rows of B that lie far apart fall on few sets of the caches: where they do not fit, and there are rows of A enough, a copy
 * pays. Narrow tiles pass over B more often. */
static int misses(const product *p) {
  const size_t rows = TILE_V == 1 ? 64 : 256, floats = TILE_V == 1 ? 1u << 17 : 1u << 19;
  return p->m >= rows && p->k * p->ldb >= floats;
}

static void multiply(const product *p) {
  if (p->k > p->piece && takes_strips(p)) in_strips(p);
  else if (p->k > p->piece && swaps(p)) swapped(p);
  else if (p->k > p->piece) in_pieces(p);
  else if (takes_blocks(p)) in_blocks(p);
  else if (TILE_V > 1 && takes_strips(p)) in_strips(p);
  else if (p->transposed && p->k && p->m < 128) packed_in_blocks(p);
  else if (p->k && (p->transposed || misses(p))) packed_deep(p);
  else if (swaps(p)) swapped(p);
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
