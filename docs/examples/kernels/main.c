/* The kernels without the harness: eight clients' updates, which of them agree, and their mean without those that do not.
 *
 *   kernels [ISA]        scalar, avx2, avx512 or neon; default: the best here. Every instruction set prints the same.
 *
 * Six updates lie around one direction, two (2 and 5) are larger noise. No number depends on the team's threads either. */
#include <fedlane/kernels.h>
#include <stdio.h>

enum { M = 8, N = 5000, THREADS = 2 };

static const fl_key key = { .seed = 7, .purpose = FL_PURPOSE_TEST };
static fl_key of(uint32_t client, uint32_t step) {
  fl_key k = key;
  k.client = client;
  k.step = step;
  return k;
}

/* A team for fl_gemm_team; with another thread library, another `each`. */
static void each(void *self, size_t n, void (*body)(void *arg, size_t i), void *arg) {
  (void)self;
#ifdef _OPENMP
#pragma omp parallel for num_threads(THREADS)
#endif
  for (size_t i = 0; i < n; i++) body(arg, i);
}

static void show(const char *what, size_t n, const float *x) {
  printf("%s", what);
  for (size_t i = 0; i < n; i++) printf(" %a", (double)x[i]);
  putchar('\n');
}

/* What the clients would send: a common direction, noise of each one's own, and half the entries dropped. */
static void draw(const fl_kernels *k, float u[M][N]) {
  static float common[N], kept[N];
  k->gaussian(N, common, 0, &key);
  for (uint32_t c = 0; c < M; c++) {
    const fl_key noise = of(c + 1, 0), mask = of(c + 1, 1);
    k->gaussian(N, u[c], 0, &noise);
    if (c == 2 || c == 5) k->scale(N, u[c], 1.5f, u[c]);
    else k->axpy(N, u[c], 1.0f, common);
    k->bernoulli(N, kept, 0, &mask, 0.5, 1.0f);
    for (size_t i = 0; i < N; i++) u[c][i] *= kept[i];
  }
}

/* Who is nearest to the others, and who is farthest from anybody. */
static void compare(const fl_kernels *k, float u[M][N]) {
  double distance[M * M];
  float near[M];
  k->sq_distances(M, N, u[0], N, distance);
  for (size_t i = 0; i < M; i++) {
    double sum = 0;
    for (size_t j = 0; j < M; j++) sum += distance[i * M + j];
    near[i] = (float)-sum;
  }
  printf("nearest to all: client %zu, farthest: client %zu\n", k->argmax(M, near), k->argabsmax(M, near));
}

/* The first principal direction of the clients says who belongs to it; the factor, how independent they are. */
static int agree(const fl_kernels *k, float u[M][N], float *member) {
  static float work[1 << 16];
  double gram[M * M];
  float s[M * M], q[M * M] = { 0 }, l[M * M], pivot[M];
  k->gram(M, N, u[0], N, gram);
  for (size_t i = 0; i < M * M; i++) s[i] = (float)(gram[i] / N);
  const size_t room = sizeof work / sizeof *work;
  if (fl_cholesky_work(M) > room || fl_orthogonal_iteration_work(M) > room) return -1;
  if (fl_cholesky(k, M, s, l, work)) return -1;        /* no two updates are the same */
  for (size_t i = 0; i < M; i++) pivot[i] = l[i * M + i];
  show("pivots:", M, pivot);
  for (size_t i = 0; i < M; i++) q[i * M + i] = 1.0f;
  for (int step = 0; step < 40; step++) fl_orthogonal_iteration(k, M, s, q, work);
  for (size_t i = 0; i < M; i++) member[i] = (q[i * M] < 0 ? -q[i * M] : q[i * M]) > 0.2f ? 1.0f : 0.0f;
  show("members:", M, member);
  return 0;
}

int main(int argc, char **argv) {
  static float u[M][N], mean[N];
  float member[M], weight[M];
  const char *why = NULL;
  const fl_kernels *k = fl_kernels_select(argc > 1 ? argv[1] : NULL, &why);
  if (!k) return fprintf(stderr, "kernels: %s\n", why), 2;
  draw(k, u);
  compare(k, u);
  if (agree(k, u, member)) return fprintf(stderr, "kernels: no Cholesky factor\n"), 1;
  const fl_key shares = of(0, 9);                      /* gamma draws over their sum are a Dirichlet draw */
  k->gamma(M, weight, 0, &shares, 2.0);
  for (size_t i = 0; i < M; i++) weight[i] *= member[i];
  k->scale(M, weight, (float)(1.0 / k->asum(M, weight)), weight);
  const fl_team team = { NULL, THREADS, each };
  fl_gemm_team(k, &team, FL_PRODUCT_NN, 1, N, M, weight, M, u[0], N, mean, N, FL_GEMM_PIECE);
  printf("norm of the mean: %a\n", k->sumsq(N, mean));
  return 0;
}
