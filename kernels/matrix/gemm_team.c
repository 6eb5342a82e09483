/* gemm_team.c - a matrix product by the members of a team: each computes some columns, or some rows, of C. */
#include <fedlane/kernels.h>

/* A part of less work than this takes no longer than its hand-out. */
#define LEAST_PRODUCTS ((size_t)1 << 17)

typedef struct {
  const fl_kernels *k;
  fl_product form;
  size_t m, n, d;               /* d: products an output */
  const float *a;
  size_t lda;
  const float *b;
  size_t ldb;
  float *c;
  size_t ldc, piece;
  int columns;                  /* else rows are divided */
  size_t units, parts;          /* units of 16 columns or 8 rows, that the parts share evenly */
} job;

static size_t cut(const job *j, size_t part, size_t unit, size_t end) {
  const size_t at = j->units * part / j->parts * unit;
  return at < end ? at : end;
}

static void compute(void *arg, size_t part) {
  const job *j = arg;
  const size_t end = j->columns ? j->n : j->m, unit = j->columns ? 16 : 8;
  const size_t from = cut(j, part, unit, end), size = cut(j, part + 1, unit, end) - from;
  const size_t m = j->columns ? j->m : size, n = j->columns ? size : j->n;
  const float *a = j->a, *b = j->b;
  float *c = j->c + (j->columns ? from : from * j->ldc);
  if (j->columns) b += j->form == FL_PRODUCT_NT ? from * j->ldb : from;
  else a += j->form == FL_PRODUCT_TN ? from : from * j->lda;
  if (j->form == FL_PRODUCT_NN) j->k->gemm_nn(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece);
  else if (j->form == FL_PRODUCT_NT) j->k->gemm_nt(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece);
  else j->k->gemm_tn(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece);
}

void fl_gemm_team(const fl_kernels *k, const fl_team *team, fl_product form, size_t m, size_t n, size_t d, const float *a,
                  size_t lda, const float *b, size_t ldb, float *c, size_t ldc, size_t piece) {
  job j = { k, form, m, n, d, a, lda, b, ldb, c, ldc, piece, 0, 0, 1 };
  const size_t most = team ? m * n / LEAST_PRODUCTS * d + m * n % LEAST_PRODUCTS * d / LEAST_PRODUCTS : 1;
  const size_t workers = team && team->workers < most ? team->workers : most;
  j.columns = n >= 32 * workers;        /* a division of the columns does not pack a part of B twice */
  j.units = j.columns ? (n + 15) / 16 : (m + 7) / 8;
  j.parts = workers < j.units ? workers : j.units;
  if (j.parts <= 1) {
    j.parts = 1;
    compute(&j, 0);
  } else {
    team->each(team->self, j.parts, compute, &j);
  }
}
