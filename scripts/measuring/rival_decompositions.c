/* rival_decompositions.c - QR, Cholesky and symmetric eigen decomposition beside OpenBLAS's LAPACK, interleaved in one process,
 * one thread; the best of many short repetitions each. Built and run by scripts/rivals; argument: OpenBLAS's library. Prints one
 * JSON object of "fedlane OPERATION N" and "lapack OPERATION N", microseconds. */
#include "rivals.h"
#include <fedlane/kernels.h>

typedef void sgeqrf(const int *, const int *, float *, const int *, float *, float *, const int *, int *);
typedef void sorgqr(const int *, const int *, const int *, float *, const int *, const float *, float *, const int *, int *);
typedef void spotrf(const char *, const int *, float *, const int *, int *, size_t);
typedef void ssyevd(const char *, const char *, const int *, float *, const int *, float *, float *, const int *, int *,
                    const int *, int *, size_t, size_t);
static sgeqrf *sgeqrf_;
static sorgqr *sorgqr_;
static spotrf *spotrf_;
static ssyevd *ssyevd_;

typedef struct {
  const fl_kernels *k;
  int n, lwork, liwork;
  float *a, *s, *x, *y, *w, *work;      /* a general; s positive definite; results and work space */
  int *iwork;
} problem;

static void own_qr(problem *p) { fl_qr(p->k, (size_t)p->n, (size_t)p->n, p->a, p->x, p->y, p->work); }
static void their_qr(problem *p) {
  int info;
  memcpy(p->x, p->a, sizeof *p->x * (size_t)p->n * (size_t)p->n);
  sgeqrf_(&p->n, &p->n, p->x, &p->n, p->w, p->work, &p->lwork, &info);
  sorgqr_(&p->n, &p->n, &p->n, p->x, &p->n, p->w, p->work, &p->lwork, &info);
}
static void own_cholesky(problem *p) {
  if (fl_cholesky(p->k, (size_t)p->n, p->s, p->x, p->work)) { abort(); }
}
static void their_cholesky(problem *p) {
  int info;
  memcpy(p->x, p->s, sizeof *p->x * (size_t)p->n * (size_t)p->n);
  spotrf_("L", &p->n, p->x, &p->n, &info, 1);
}
static void own_eigh(problem *p) {
  if (fl_eigh(p->k, (size_t)p->n, p->s, p->w, p->x, p->work)) { abort(); }
}
static void their_eigh(problem *p) {
  int info;
  memcpy(p->x, p->s, sizeof *p->x * (size_t)p->n * (size_t)p->n);
  ssyevd_("V", "L", &p->n, p->x, &p->n, p->w, p->work, &p->lwork, p->iwork, &p->liwork, &info, 1, 1);
}

static const struct { const char *name; void (*own)(problem *), (*theirs)(problem *); } operations[] = {
  { "qr", own_qr, their_qr }, { "cholesky", own_cholesky, their_cholesky }, { "eigh", own_eigh, their_eigh },
};

static void set_up(problem *p, int n) {
  const size_t m = (size_t)n, own = fl_qr_work(m, m) + fl_eigh_work(m) + fl_cholesky_work(m);
  p->n = n;
  p->lwork = 2 * n * n + 72 * n + 100;
  p->liwork = 5 * n + 10;
  const size_t work = own > (size_t)p->lwork ? own : (size_t)p->lwork;
  float *array[7];
  arrays(7, work > m * m ? work : m * m, array);
  p->a = array[0];
  p->s = array[1];
  p->x = array[2];
  p->y = array[3];
  p->w = array[4];
  p->work = array[5];
  p->iwork = (int *)array[6];
  p->k->uniform(m * m, p->a, 0, &(fl_key){ .seed = 1, .purpose = FL_PURPOSE_TEST });
  for (size_t i = 0; i < m * m; i++) { p->a[i] -= 0.5f; }
  p->k->gemm_nt(m, m, m, p->a, m, p->a, m, p->s, m, FL_GEMM_PIECE);
  for (size_t i = 0; i < m; i++) { p->s[i * m + i] += 1.0f; }
}

/* Both in turns for a quarter of a second. */
static void compare(problem *p, size_t i, double best[2]) {
  const double begin = seconds();
  best[0] = best[1] = 1e30;
  for (int turn = 0; turn < 8 || seconds() - begin < 0.25; turn++) {
    for (int side = 0; side < 2; side++) {
      const double t = seconds();
      if (side) { operations[i].theirs(p); } else { operations[i].own(p); }
      const double took = seconds() - t;
      if (took < best[side]) { best[side] = took; }
    }
  }
}

int main(int argc, char **argv) {
  const char *error;
  problem p = { .k = fl_kernels_select(NULL, &error) };
  if (!p.k) { die("kernels", error); }
  if (argc != 2) { die("usage", "rival_decompositions OPENBLAS"); }
  void *library = openblas_load(argv[1], 1);
  openblas_function(library, "sgeqrf_", &sgeqrf_);
  openblas_function(library, "sorgqr_", &sorgqr_);
  openblas_function(library, "spotrf_", &spotrf_);
  openblas_function(library, "ssyevd_", &ssyevd_);
  printf("{\"openblas\": \"%s\", \"isa\": \"%s\"", openblas_version(library), p.k->name);
  for (int n = 64; n <= 512; n *= 2) {
    set_up(&p, n);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
      double best[2];
      compare(&p, i, best);
      const char *name = operations[i].name;
      printf(",\n \"fedlane %s %d\": %.2f, \"lapack %s %d\": %.2f", name, n, 1e6 * best[0], name, n, 1e6 * best[1]);
    }
  }
  printf("}\n");
  return 0;
}
