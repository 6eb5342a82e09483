/* gemm_team.c - a matrix product by the members of a team: each computes some columns, or some rows, of C. */
#include "kernels/divide_parts.h"

/* A part of less work than this takes no longer than its hand-out. */
#define LEAST_PRODUCTS ((size_t)1 << 17)

typedef struct {
  const fl_gemm_job *of;
  int columns;                  /* else rows are divided */
  size_t units, parts;          /* units of 16 columns or 8 rows, that the parts share evenly */
} division;

static void product(const fl_gemm_job *j, size_t m, size_t n, const float *a, const float *b, float *c) {
  switch (j->form) {
    case FL_FORM_NN: j->k->gemm_nn(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece); break;
    case FL_FORM_NT: j->k->gemm_nt(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece); break;
    case FL_FORM_TN: j->k->gemm_tn(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc, j->piece); break;
    case FL_FORM_NN_ADD: j->k->gemm_nn_add(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc); break;
    default: j->k->gemm_tn_add(m, n, j->d, a, j->lda, b, j->ldb, c, j->ldc); break;
  }
}

static size_t cut(const division *v, size_t part, size_t unit, size_t end) {
  const size_t at = fl_divided_cut(v->units, v->parts, part) * unit;
  return at < end ? at : end;
}

static void compute(void *arg, size_t part) {
  const division *v = arg;
  const fl_gemm_job *j = v->of;
  const int left_turned = j->form == FL_FORM_TN || j->form == FL_FORM_TN_ADD;
  const size_t end = v->columns ? j->n : j->m, unit = v->columns ? 16 : 8;
  const size_t from = cut(v, part, unit, end), size = cut(v, part + 1, unit, end) - from;
  if (v->columns) product(j, j->m, size, j->a, j->b + (j->form == FL_FORM_NT ? from * j->ldb : from), j->c + from);
  else product(j, size, j->n, j->a + (left_turned ? from : from * j->lda), j->b, j->c + from * j->ldc);
}

void fl_gemm_divide(const fl_gemm_job *j, const fl_team *team, size_t least) {
  const size_t of = least ? least : LEAST_PRODUCTS, outputs = j->m * j->n;
  const size_t most = team ? outputs / of * j->d + outputs % of * j->d / of : 1;
  const size_t workers = team && team->workers < most ? team->workers : most;
  division v = { .of = j };
  v.columns = j->n >= 32 * workers;     /* a division of the columns does not pack a part of B twice */
  v.units = v.columns ? (j->n + 15) / 16 : (j->m + 7) / 8;
  v.parts = workers < v.units ? workers : v.units;
  if (v.parts > 1) team->each(team->self, v.parts, compute, &v);
  else product(j, j->m, j->n, j->a, j->b, j->c);
}

void fl_gemm_team(const fl_kernels *k, const fl_team *team, fl_product form, size_t m, size_t n, size_t d, const float *a,
                  size_t lda, const float *b, size_t ldb, float *c, size_t ldc, size_t piece) {
  const fl_form forms[] = { [FL_PRODUCT_NN] = FL_FORM_NN, [FL_PRODUCT_NT] = FL_FORM_NT, [FL_PRODUCT_TN] = FL_FORM_TN };
  const fl_gemm_job j = { k, forms[form], m, n, d, a, lda, b, ldb, c, ldc, piece };
  fl_gemm_divide(&j, team, LEAST_PRODUCTS);
}
