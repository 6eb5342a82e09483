/* lapack.c - QR, Cholesky and symmetric eigen decomposition beside LAPACK's, interleaved in one process, one thread; the best of
 * many short repetitions each. Prints one JSON line a size and operation. Built and run by scripts/lapack. */
#include <fedlane/kernels.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void openblas_set_num_threads(int);
char *openblas_get_config(void);
void sgeqrf_(const int *, const int *, float *, const int *, float *, float *, const int *, int *);
void sorgqr_(const int *, const int *, const int *, float *, const int *, const float *, float *, const int *, int *);
void spotrf_(const char *, const int *, float *, const int *, int *, size_t);
void ssyevd_(const char *, const char *, const int *, float *, const int *, float *, float *, const int *, int *, const int *, int *,
             size_t, size_t);

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

static const struct { const char *name, *rival; void (*own)(problem *), (*theirs)(problem *); } operations[] = {
  { "qr", "sgeqrf + sorgqr", own_qr, their_qr },
  { "cholesky", "spotrf", own_cholesky, their_cholesky },
  { "eigh", "ssyevd", own_eigh, their_eigh },
};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *floats(size_t n) {
  void *p = calloc(n, sizeof(float));
  if (!p) { abort(); }
  return p;
}

static void set_up(problem *p, int n) {
  const size_t m = (size_t)n, own = fl_qr_work(m, m) + fl_eigh_work(m) + fl_cholesky_work(m);
  p->n = n;
  p->lwork = 2 * n * n + 72 * n + 100;
  p->liwork = 5 * n + 10;
  p->a = floats(m * m);
  p->s = floats(m * m);
  p->x = floats(m * m);
  p->y = floats(m * m);
  p->w = floats(m);
  p->work = floats(own > (size_t)p->lwork ? own : (size_t)p->lwork);
  p->iwork = floats((size_t)p->liwork);
  p->k->uniform(m * m, p->a, 0, &(fl_key){ .seed = 1, .purpose = FL_PURPOSE_TEST });
  for (size_t i = 0; i < m * m; i++) { p->a[i] -= 0.5f; }
  p->k->gemm_nt(m, m, m, p->a, m, p->a, m, p->s, m, FL_GEMM_PIECE);
  for (size_t i = 0; i < m; i++) { p->s[i * m + i] += 1.0f; }
}

static void clean_up(problem *p) {
  float *const all[] = { p->a, p->s, p->x, p->y, p->w, p->work };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) { free(all[i]); }
  free(p->iwork);
}

int main(void) {
  const char *error;
  problem p = { .k = fl_kernels_select(NULL, &error) };
  if (!p.k) { fprintf(stderr, "%s\n", error); return 1; }
  openblas_set_num_threads(1);
  fprintf(stderr, "%s against %s, one thread\n", p.k->name, openblas_get_config());
  for (int n = 64; n <= 512; n *= 2) {
    set_up(&p, n);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
      double best[2] = { 1e30, 1e30 };
      const double begin = seconds();
      for (int turn = 0; turn < 10 || seconds() - begin < 0.7; turn++) {
        for (int side = 0; side < 2; side++) {
          const double t = seconds();
          if (side) { operations[i].theirs(&p); } else { operations[i].own(&p); }
          const double took = seconds() - t;
          best[side] = took < best[side] ? took : best[side];
        }
      }
      printf("{\"operation\": \"%s\", \"n\": %d, \"isa\": \"%s\", \"microseconds\": %.2f, \"rival\": \"%s\", \"rival_microseconds\": %.2f, "
             "\"ratio\": %.3f}\n", operations[i].name, n, p.k->name, 1e6 * best[0], operations[i].rival, 1e6 * best[1], best[0] / best[1]);
    }
    clean_up(&p);
  }
  return 0;
}
