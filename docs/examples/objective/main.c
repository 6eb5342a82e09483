/* Federated linear regression with an own problem: own loss and gradient, own cohorts, own batches, any registered
 * algorithm, one round at a time.
 *
 *   objective [ALGORITHM [LR [THREADS]]]     default: fedavg 0.05 2; rule:NAME, e.g. rule:adamw, trains centrally
 *
 * Eight clients measure y = w*x + b, each with its own offset, so their optima differ: the non-IID case in its
 * smallest form. Prints the loss over all samples after every round, and the final parameters in hexadecimal, which
 * are the same on every machine and with any number of threads. */
#include <fedlane/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES = 8, CLIENTS = 8, PER_CLIENT = 40, SAMPLES = CLIENTS * PER_CLIENT, ROUNDS = 20, BATCH = 10, COHORT = 4 };

typedef struct {
  float x[SAMPLES][FEATURES], y[SAMPLES];
} regression;

/* One matrix of shape (1, FEATURES), so that methods for matrices apply, and one bias. */
static const fl_tensor tensors[] = {
  {.name = "weight", .role = FL_MATRIX, .layer = 0, .ndim = 2, .shape = {1, FEATURES}, .offset = 0, .size = FEATURES},
  {.name = "bias", .role = FL_BIAS, .layer = 0, .ndim = 1, .shape = {1}, .offset = FEATURES, .size = 1},
};
static const fl_layout layout = {.n = 2, .d = FEATURES + 1, .buffers = 0, .tensor = tensors};

static void generate(regression *p) {
  const fl_key key = {.seed = 7, .purpose = FL_PURPOSE_TEST};
  fl_stream draw;
  fl_stream_init(&draw, &key);
  for (int i = 0; i < SAMPLES; i++) {
    const float shift = 0.1f * (float)(i / PER_CLIENT) - 0.35f; /* the client's own offset */
    float y = 0.5f + shift;
    for (int j = 0; j < FEATURES; j++) {
      p->x[i][j] = (float)(2.0 * fl_stream_uniform(&draw) - 1.0);
      y += (float)(j - 3) * 0.25f * p->x[i][j];
    }
    p->y[i] = y;
  }
}

static void init(void *self, uint64_t seed, float *x) {
  (void)self, (void)seed;
  for (size_t i = 0; i < layout.d; i++) x[i] = 0.0f;
}
static size_t work_bytes(void *self, size_t batch) {
  (void)self, (void)batch;
  return 0;
}
/* loss = mean of (w.x + b - y)^2 / 2 */
static double loss_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                        void *work) {
  const regression *p = self;
  const float scale = 1.0f / (float)count;
  double loss = 0.0;
  (void)work;
  for (size_t j = 0; j < layout.d; j++) g[j] = 0.0f;
  for (size_t i = 0; i < count; i++) {
    const float *row = p->x[index[i]];
    const float e = (float)k->dot(FEATURES, row, x) + x[FEATURES] - p->y[index[i]];
    k->axpy(FEATURES, g, scale * e, row);
    g[FEATURES] += scale * e;
    loss += 0.5 * (double)e * (double)e;
  }
  return loss / (double)count;
}

/* Own client sampler: the clients in turn, COHORT a round. */
static size_t cohort(void *self, uint64_t round, uint32_t *out, size_t max) {
  const size_t m = max < COHORT ? max : COHORT;
  (void)self;
  for (size_t i = 0; i < m; i++) out[i] = (uint32_t)((round * COHORT + i) % CLIENTS);
  return m;
}
/* Own list of batches: a client's samples in order, without a shuffle. Rows are indices of the objective's samples. */
static size_t batch(void *self, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t max) {
  const size_t first = (size_t)(step * BATCH % PER_CLIENT), left = PER_CLIENT - first, n = max < left ? max : left;
  (void)self, (void)round;
  for (size_t i = 0; i < n; i++) out[i] = client * PER_CLIENT + (uint32_t)(first + i);
  return n;
}

static double total_loss(regression *p, const fl_kernels *k, const uint32_t *index, const float *x) {
  float g[FEATURES + 1];
  return loss_grad(p, k, x, index, SAMPLES, g, NULL);
}

static int train(regression *p, const char *name, const char *lr, int threads) {
  const fl_objective objective = {.name = "regression", .self = p, .layout = &layout, .n = SAMPLES, .init = init,
                                  .work = work_bytes, .loss_grad = loss_grad};
  const int central = !strncmp(name, "rule:", 5); /* one model on all samples: no clients, no cohorts */
  const fl_setting settings[] = {{central ? "rule" : "name", central ? name + 5 : name, "argument 1"}, {"lr", lr, "argument 2"}};
  static uint32_t index[SAMPLES];
  size_t offset[CLIENTS + 1], n = 0;
  char error[512];
  const char *why = NULL;
  fl_algorithm algorithm;
  fl_session *session = NULL;
  fl_metrics m;

  for (uint32_t i = 0; i < SAMPLES; i++) index[i] = i;
  for (size_t c = 0; c <= CLIENTS; c++) offset[c] = c * PER_CLIENT;
  const fl_kernels *k = fl_kernels_select(NULL, &why);
  if (!k) return fprintf(stderr, "objective: %s\n", why), 1;
  if (fl_algorithm_build(settings, 2, &algorithm, error, sizeof error)) return fprintf(stderr, "objective: %s\n", error), 2;

  const size_t all[2] = {0, SAMPLES};
  const fl_problem federated = {.objective = &objective, .clients = CLIENTS, .offset = offset, .index = index, .cohort = cohort,
                                .batch = batch};
  const fl_problem whole = {.objective = &objective, .clients = 1, .offset = all, .index = index}; /* shuffled batches */
  const fl_problem problem = central ? whole : federated;
  const fl_options options = {.seed = 1, .rounds = ROUNDS, .central = central, .participation = (double)COHORT / CLIENTS,
                              .local_epochs = 2, .batch_size = BATCH, .threads = threads, .kernels = k};
  if (fl_open(&session, &problem, &algorithm, &options, error, sizeof error)) return fprintf(stderr, "objective: %s\n", error), 1;
  const double before = total_loss(p, k, index, fl_params(session, &n));
  printf("%s: %zu parameters, loss %.6f\n", algorithm.label, n, before);
  int over;
  while ((over = fl_round(session, &m)) == 0)
    printf("%s %2llu  loss %.6f  lr %g  sent %llu bytes\n", central ? "epoch" : "round", (unsigned long long)m.round,
           total_loss(p, k, index, fl_params(session, &n)), m.lr, (unsigned long long)(m.total_bytes_up + m.total_bytes_down));
  if (over < 0) return fprintf(stderr, "objective: %s\n", fl_session_error(session)), fl_close(session), 1;
  const float *x = fl_params(session, &n);
  const double after = total_loss(p, k, index, x);
  printf("parameters");
  for (size_t i = 0; i < n; i++) printf(" %a", (double)x[i]);
  printf("\n");
  fl_close(session);
  if (!(after < before)) return fprintf(stderr, "objective: the loss did not fall: %g, then %g\n", before, after), 1;
  return 0;
}

int main(int argc, char **argv) {
  static regression p;
  generate(&p);
  return train(&p, argc > 1 ? argv[1] : "fedavg", argc > 2 ? argv[2] : "0.05", argc > 3 ? atoi(argv[3]) : 2);
}
