/* tile.h - the micro-kernel of every matrix product and convolution: mr rows x nv vectors of C in registers, k ascending.
 *
 * Row i, step k of the left factor is a[i*ars + k*aks] (so NN and TN are one kernel) and is broadcast; row k of the right
 * factor starts at b + k*ldb. In the shifted forms the left or the right factor moves by off[k] instead (windows of a padded
 * image), and the whole is repeated for `groups` planes, agroup and bgroup apart. Between blocks of k the accumulators rest in
 * C unchanged, so that blocking does not show in the result; sums of earlier pieces of k are added in registers at the end. */
#ifndef FL_GEMM_TILE_H
#define FL_GEMM_TILE_H
#include "kernels/simd/decl.h"

#if FL_VREGS >= 24
#define TILE_M 8
#define TILE_V 3
#define TILE_TALL 14            /* rows of a tile that is one vector wide; of two vectors: 12 */
#define TILE_AHEAD 24           /* steps of k that a left factor read by columns, a line a step, is fetched ahead */
#elif FL_VREGS >= 6
#define TILE_M 6
#define TILE_V 1
#define TILE_TALL 6
#define TILE_AHEAD 0            /* a narrow tile loads too much as it is */
#else
#define TILE_M 4
#define TILE_V 1
#define TILE_TALL 4
#define TILE_AHEAD 0
#endif
#define TILE_N (16 * TILE_V)
#define TILE_FLOATS (TILE_M * TILE_N) /* no tile is larger */
#define TILE_INLINE static inline __attribute__((always_inline))
enum { TILE_PLAIN, TILE_SHIFT_B, TILE_SHIFT_A };
#ifdef __clang__
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE_UNROLL _Pragma("GCC unroll 16")
#endif

typedef struct {
  size_t k;
  const float *a;
  size_t ars, aks;
  const float *b;
  size_t ldb;
  const uint32_t *off;  /* these four: shifted forms only */
  size_t groups, agroup, bgroup;
  float *c;
  size_t ldc, cols;     /* cols <= 16*nv: columns of C that exist */
  int carry, last;      /* start from C instead of +0; store acc + (+0) instead of acc */
  const float *level;   /* bit l of `add`: the tile at level + l*TILE_FLOATS is the left neighbour of what is summed so far; */
  uint64_t add;         /* taken from bit 0 up. Rows of a level are 16*nv floats */
} tile_args;

TILE_INLINE void tile_body(const int mr, const int nv, const int form, const tile_args *t) {
  v16 acc[TILE_TALL][TILE_V];
  const size_t tail = t->cols - 16 * (size_t)(nv - 1);
  TILE_UNROLL
  for (int i = 0; i < mr; i++) {
    TILE_UNROLL
    for (int j = 0; j < nv; j++) {
      const float *c = t->c + (size_t)i * t->ldc + 16 * j;
      acc[i][j] = !t->carry ? v_zero() : j < nv - 1 || tail == 16 ? v_load(c) : v_load_n(c, tail, 0.0f);
    }
  }
  const size_t ars = t->ars, aks = t->aks, ldb = t->ldb, steps = t->k, groups = form ? t->groups : 1;
  const size_t ahead = aks > 1 ? TILE_AHEAD * aks : 0;
  for (size_t g = 0; g < groups; g++) {
    const float *a = form ? t->a + g * t->agroup : t->a, *b = form ? t->b + g * t->bgroup : t->b;
    for (size_t k = 0; k < steps; k++) {
      const float *ak = form == TILE_SHIFT_A ? a + t->off[k] : a, *bk = form == TILE_SHIFT_B ? b + t->off[k] : b;
      if (TILE_AHEAD && form == TILE_PLAIN) __builtin_prefetch(a + ahead);
      v16 bv[TILE_V];
      TILE_UNROLL
      for (int j = 0; j < nv; j++) bv[j] = v_load(bk + 16 * j);
      TILE_UNROLL
      for (int i = 0; i < mr; i++) {
        const v16 x = v_set(ak[(size_t)i * ars]);
        TILE_UNROLL
        for (int j = 0; j < nv; j++) acc[i][j] = v_fma(x, bv[j], acc[i][j]);
      }
      if (form != TILE_SHIFT_A) a += form ? 1 : aks;
      if (form != TILE_SHIFT_B) b += ldb;
    }
  }
  const float *left = t->level;
  for (uint64_t add = t->add; add; add >>= 1, left += TILE_FLOATS) {
    if (!(add & 1)) continue;
    TILE_UNROLL
    for (int i = 0; i < mr; i++) {
      TILE_UNROLL
      for (int j = 0; j < nv; j++) acc[i][j] = v_add(v_load(left + 16 * (i * nv + j)), acc[i][j]);
    }
  }
  TILE_UNROLL
  for (int i = 0; i < mr; i++) {
    TILE_UNROLL
    for (int j = 0; j < nv; j++) {
      float *c = t->c + (size_t)i * t->ldc + 16 * j;
      const v16 r = t->last ? v_add(acc[i][j], v_zero()) : acc[i][j];
      if (j < nv - 1 || tail == 16) v_store(c, r);
      else v_store_n(c, tail, r);
    }
  }
}

#define TILE_CASE(mr, nv, form) case 4 * (mr) + (nv): tile_body(mr, nv, form, t); break;
#if TILE_V == 3
#define TILE_ROW(mr, s) TILE_CASE(mr, 1, s) TILE_CASE(mr, 2, s) TILE_CASE(mr, 3, s)
#else
#define TILE_ROW(mr, s) TILE_CASE(mr, 1, s)
#endif
#if TILE_M == 8
#define TILE_ROWS(s) TILE_ROW(1, s) TILE_ROW(2, s) TILE_ROW(3, s) TILE_ROW(4, s) TILE_ROW(5, s) TILE_ROW(6, s) \
  TILE_ROW(7, s) TILE_ROW(8, s)
#elif TILE_M == 6
#define TILE_ROWS(s) TILE_ROW(1, s) TILE_ROW(2, s) TILE_ROW(3, s) TILE_ROW(4, s) TILE_ROW(5, s) TILE_ROW(6, s)
#else
#define TILE_ROWS(s) TILE_ROW(1, s) TILE_ROW(2, s) TILE_ROW(3, s) TILE_ROW(4, s)
#endif

#if TILE_V == 3
#define TILE_TALLER(s) TILE_ROW2(9, s) TILE_ROW2(10, s) TILE_ROW2(11, s) TILE_ROW2(12, s) TILE_CASE(13, 1, s) TILE_CASE(14, 1, s)
#define TILE_ROW2(mr, s) TILE_CASE(mr, 1, s) TILE_CASE(mr, 2, s)
#else
#define TILE_TALLER(s)
#endif

/* One tile of nv <= TILE_V vectors and mr rows: at most tile_most(nv). */
static inline void tile_run(int mr, int nv, const tile_args *t) {
  switch (4 * mr + nv) { TILE_ROWS(TILE_PLAIN) TILE_TALLER(TILE_PLAIN) default: break; }
}

/* The right factor shifted: at most TILE_M rows. */
static inline void tile_run_shifted(int mr, int nv, const tile_args *t) {
  switch (4 * mr + nv) { TILE_ROWS(TILE_SHIFT_B) default: break; }
}

/* The left factor shifted; its rows are `ars` apart in the image. */
static inline void tile_run_moving(int mr, int nv, const tile_args *t) {
  switch (4 * mr + nv) { TILE_ROWS(TILE_SHIFT_A) TILE_TALLER(TILE_SHIFT_A) default: break; }
}

static inline size_t tile_most(int nv) { return TILE_V == 1 || nv == TILE_V ? TILE_M : nv == 2 ? 12 : TILE_TALL; }

/* Rows of the next tile when `left` rows remain: as even as possible, a tile of one row costs nearly as much as of four. */
static inline size_t tile_even(size_t left, size_t most) {
  const size_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}
static inline size_t tile_rows(size_t left) { return tile_even(left, TILE_M); }

static inline int tile_vectors(size_t cols) {
  return (int)((cols < TILE_N ? cols + 15 : TILE_N) / 16);
}

/* to (steps x rows, `width` floats of each row written) = from (rows x steps) transposed, both at most 16. Nothing beyond from is
 * read. */
static inline void turn_part(size_t rows, size_t steps, const float *from, size_t ld, float *to, size_t ldto, size_t width) {
  float square[16 * 16], turned[16 * 16];
  if (steps == 16 && width == 16) {
    v_turn(to, ldto, from, ld, rows);
    return;
  }
  for (size_t i = 0; i < rows && steps < 16; i++) v_store(square + 16 * i, v_load_n(from + i * ld, steps, 0.0f));
  v_turn(turned, 16, steps < 16 ? square : from, steps < 16 ? 16 : ld, rows);
  for (size_t k = 0; k < steps; k++) v_store_n(to + k * ldto, width, v_load(turned + 16 * k));
}
#endif
