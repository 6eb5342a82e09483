/* gemm.c - tests of the matrix products. */
#include "check.h"
#include <stdlib.h>

typedef struct { size_t m, n, k, piece; } shape;
enum { NN, NT, TN };

#define GEMM_CALL(which) \
  static void call_gemm_##which(const fl_kernels *k, call *c) { \
    k->gemm_##which(c->s[0], c->s[1], c->s[2], c->p[0], c->s[3], c->p[1], c->s[4], c->p[2], c->s[5], c->s[6]); \
  }
GEMM_CALL(nn)
GEMM_CALL(nt)
GEMM_CALL(tn)

#define GEMM_ADD_CALL(which) \
  static void call_gemm_##which##_add(const fl_kernels *k, call *c) { \
    k->gemm_##which##_add(c->s[0], c->s[1], c->s[2], c->p[0], c->s[3], c->p[1], c->s[4], c->p[2], c->s[5]); \
  }
GEMM_ADD_CALL(nn)
GEMM_ADD_CALL(tn)

static arg matrix(char role, size_t rows, size_t cols, size_t ld, const float *init) {
  const size_t n = rows && cols ? (rows - 1) * ld + cols : 0;
  return (arg){ role, 'f', n, init, -1, role == 'o' ? cols : 0, role == 'o' ? ld : 0 };
}

static void one_shape(check *t, caller f, int form, const shape *s, int kind, size_t pad, char role) {
  const size_t ar = form == TN ? s->k : s->m, ac = form == TN ? s->m : s->k;
  const size_t br = form == NT ? s->n : s->k, bc = form == NT ? s->k : s->n;
  const size_t lda = ac + pad, ldb = bc + pad, ldc = s->n + pad;
  const arg a[] = { matrix('i', ar, ac, lda, some_floats(t, 0, ar * lda, kind)),
                    matrix('i', br, bc, ldb, some_floats(t, 1, br * ldb, kind == KIND_SPECIAL ? KIND_UNIFORM : kind)),
                    matrix(role, s->m, s->n, ldc, role == 'x' ? some_floats(t, 2, s->m * ldc, kind) : NULL) };
  char what[96];
  snprintf(what, sizeof what, "m=%zu n=%zu k=%zu piece=%zu pad=%zu kind=%d", s->m, s->n, s->k, s->piece, pad, kind);
  run_case(t, what, f, &(call){ .s = { s->m, s->n, s->k, lda, ldb, ldc, s->piece } }, 3, a);
}

static void all_shapes(check *t, caller f, int form, char role) {
  static const size_t ms[] = { 0, 1, 2, 3, 5, 6, 7, 8, 13, 17 }, ns[] = { 0, 1, 7, 15, 16, 17, 32, 33, 50, 65 },
      ks[] = { 0, 1, 2, 5, 16, 33 };
  static const shape more[] = {
    { 50, 120, 400, 4096 }, { 50, 10, 84, 4096 }, { 6, 100, 25, 4096 }, { 16, 100, 150, 4096 }, { 10, 84, 50, 32 },
    { 3, 5, 9000, 4096 }, { 7, 33, 4097, 4096 }, { 2, 20, 8192, 4096 }, { 5, 18, 100, 7 }, { 4, 40, 100, 25 }, { 9, 35, 37, 1 },
    { 1, 200, 784, 4096 }, { 130, 70, 19, 4096 }, { 6, 25, 3136, 784 },
  };
  /* not hashed: added later */
  static const shape full[] = { { 40, 10, 50, 4096 }, { 70, 20, 150, 4096 }, { 130, 40, 1040, 4096 }, { 20, 24, 300, 64 },
                                { 65, 24, 100, 32 }, { 96, 24, 100, 32 }, { 40, 9, 100, 7 }, { 50, 31, 260, 33 } };
  int turn = 0;
  for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
    for (size_t j = 0; j < sizeof ns / sizeof *ns; j++) {
      for (size_t l = 0; l < sizeof ks / sizeof *ks; l++, turn++) {
        const shape s = { ms[i], ns[j], ks[l], FL_GEMM_PIECE };
        if (!t->quick || turn % 5 == 0) { one_shape(t, f, form, &s, turn % KINDS, (size_t)(turn % 3), role); }
      }
    }
  }
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    for (size_t pad = 0; pad < (t->quick ? 1u : 4u); pad += 3) {
      one_shape(t, f, form, &more[i], pad ? KIND_WIDE : KIND_UNIFORM, pad, role);
    }
  }
  for (size_t i = 0; !t->quick && i < sizeof full / sizeof *full; i++) { one_shape(t, f, form, &full[i], KIND_UNIFORM, i, role); }
  const shape far = { 257, 50, 1030, 4096 };    /* rows of B so far apart that it is copied, by every width of tiles */
  if (!t->quick) { one_shape(t, f, form, &far, KIND_UNIFORM, 462, role); }
  const shape both = { 131, 403, 259, 4096 };   /* A^T so large that narrow tiles pack both factors, in several blocks */
  if (!t->quick && form == TN) { one_shape(t, f, form, &both, KIND_UNIFORM, 150, role); }
  const shape high = { 1060, 200, 500, 4096 };  /* A so high that narrow tiles take it in blocks */
  if (!t->quick && form != TN) { one_shape(t, f, form, &high, KIND_UNIFORM, 1, role); }
  /* A^T in strips: several of rows, blocks and pieces of k; of columns; few rows of it, where only B is large */
  static const shape strips[] = { { 650, 208, 610, 300 }, { 290, 400, 230, 70 }, { 8, 1040, 2100, 500 } };
  for (size_t i = 0; !t->quick && form == TN && i < sizeof strips / sizeof *strips; i++) {
    one_shape(t, f, form, &strips[i], KIND_UNIFORM, 2, role);
  }
  const shape pages = { 27, 8, 70, 4096 };      /* rows of A a page apart, and a narrow C */
  if (!t->quick && form != TN) { one_shape(t, f, form, &pages, KIND_UNIFORM, 954, role); }
}

void check_gemm_nn(check *t) { all_shapes(t, call_gemm_nn, NN, 'o'); }
void check_gemm_tn(check *t) { all_shapes(t, call_gemm_tn, TN, 'o'); }
void check_gemm_nn_add(check *t) { all_shapes(t, call_gemm_nn_add, NN, 'x'); }
void check_gemm_tn_add(check *t) { all_shapes(t, call_gemm_tn_add, TN, 'x'); }

/* A row of the output must not depend on how many rows are computed with it. */
void check_gemm_nt(check *t) {
  enum { ROWS = 64, COLS = 37, K = 150 };
  static const size_t batch[] = { 1, 2, 7 };
  all_shapes(t, call_gemm_nt, NT, 'o');
  const float *a = some_floats(t, 0, ROWS * K, KIND_UNIFORM), *b = some_floats(t, 1, COLS * K, KIND_UNIFORM);
  float *all = malloc(sizeof *all * ROWS * COLS), *part = malloc(sizeof *part * ROWS * COLS);
  if (!all || !part) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  t->dut->gemm_nt(ROWS, COLS, K, a, K, b, K, all, COLS, FL_GEMM_PIECE);
  for (size_t i = 0; i < 3; i++) {
    for (size_t r = 0; r < ROWS; r += batch[i]) {
      const size_t rows = ROWS - r < batch[i] ? ROWS - r : batch[i];
      t->dut->gemm_nt(rows, COLS, K, a + r * K, K, b, K, part + r * COLS, COLS, FL_GEMM_PIECE);
    }
    expect_bits(t, "rows in smaller batches against 64", part, all, ROWS * COLS);
  }
  free(all);
  free(part);
}

/* gemm_syrk: besides the comparison with scalar, the bits of gemm_nt, which is told nothing of the symmetry. */
static void call_gemm_syrk(const fl_kernels *k, call *c) {
  k->gemm_syrk(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->s[3], c->s[4]);
}

static void one_syrk(check *t, size_t n, size_t k, size_t piece, size_t pad, int kind) {
  const size_t lda = k + pad, ldc = n + pad;
  const float *a = some_floats(t, 0, n * lda, kind);
  const arg args[] = { matrix('i', n, k, lda, a), matrix('o', n, n, ldc, NULL) };
  char what[96];
  snprintf(what, sizeof what, "n=%zu k=%zu piece=%zu pad=%zu kind=%d", n, k, piece, pad, kind);
  run_case(t, what, call_gemm_syrk, &(call){ .s = { n, k, lda, ldc, piece } }, 2, args);
  if (!n) { return; }
  float *got = malloc(sizeof *got * n * n), *want = malloc(sizeof *want * n * n);
  if (!got || !want) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  t->dut->gemm_syrk(n, k, a, lda, got, n, piece);
  t->dut->gemm_nt(n, n, k, a, lda, a, lda, want, n, piece);
  expect_bits(t, "gemm_syrk against gemm_nt", got, want, n * n);
  free(got);
  free(want);
}

void check_gemm_syrk(check *t) {
  static const size_t ns[] = { 0, 1, 2, 7, 15, 16, 17, 31, 33, 48, 50, 65, 100 }, ks[] = { 0, 1, 5, 16, 33, 130 };
  int turn = 0;
  for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
    for (size_t l = 0; l < sizeof ks / sizeof *ks; l++, turn++) {
      if (!t->quick || turn % 3 == 0) { one_syrk(t, ns[i], ks[l], FL_GEMM_PIECE, (size_t)(turn % 4), turn % KINDS); }
    }
  }
  one_syrk(t, 150, 70, FL_GEMM_PIECE, 0, KIND_UNIFORM);
  one_syrk(t, 37, 100, 7, 1, KIND_WIDE);
  one_syrk(t, 5, 9000, FL_GEMM_PIECE, 0, KIND_UNIFORM);
}
