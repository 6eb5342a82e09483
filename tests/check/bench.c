/* bench.c - the time an element of the kernels over arrays at a size that stays in the first caches, with the ratio to scalar.
 * What the machine could do at most, other sizes and other kernels: fedlane bench. */
#include "check.h"
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum { LENGTH = 1024, ROUNDS = 7 }; /* four arrays of 4 KiB: inside L1; the stride avoids stores 4 KiB from a load */
static float array[4][LENGTH + 272];
static volatile double sink;

static const fl_mix_args mix_args = { 0.9f, 0.1f, 0.2f, 0.3f };
static const fl_momentum_args momentum_args = { 0.9f, 1.0f, 1e-4f, 1.0f, 0 };
static const fl_adamw_args adamw_args = { 0.9f, 0.1f, 0.999f, 0.001f, 1.0f, 1e-4f, 1e-8f };
#define A array[0]
#define B array[1]
#define C array[2]
#define D array[3]
static void b_mix(const fl_kernels *k) { k->mix(LENGTH, A, B, C, D, NULL, &mix_args); }
static void b_axpy(const fl_kernels *k) { k->axpy(LENGTH, A, 1e-4f, B); }
static void b_scale(const fl_kernels *k) { k->scale(LENGTH, A, 0.5f, B); }
static void b_add(const fl_kernels *k) { k->add(LENGTH, A, B, C); }
static void b_sub(const fl_kernels *k) { k->sub(LENGTH, A, B, C); }
static void b_sgd(const fl_kernels *k) { k->sgd(LENGTH, A, B, 1.0f, 1e-4f); }
static void b_momentum(const fl_kernels *k) { k->momentum(LENGTH, A, C, B, &momentum_args); }
static void b_adamw(const fl_kernels *k) { k->adamw(LENGTH, A, C, D, B, &adamw_args); }
static void b_muon(const fl_kernels *k) { k->muon_momentum(LENGTH, A, C, B, 0.95f, 0.05f, 1); }
static void b_sum(const fl_kernels *k) { sink = k->sum(LENGTH, A); }
static void b_dot(const fl_kernels *k) { sink = k->dot(LENGTH, A, B); }
static void b_sumsq(const fl_kernels *k) { sink = k->sumsq(LENGTH, A); }
static void b_sumsq_diff(const fl_kernels *k) { sink = k->sumsq_diff(LENGTH, A, B); }
static void b_absmax(const fl_kernels *k) { sink = (double)k->absmax(LENGTH, A); }

static void b_asum(const fl_kernels *k) { sink = k->asum(LENGTH, A); }
static void b_argmax(const fl_kernels *k) { sink = (double)k->argmax(LENGTH, A); }
static void b_variance(const fl_kernels *k) { double mean; sink = k->variance(LENGTH, A, &mean); }
static void b_mean_runs(const fl_kernels *k) { /* rows of 64 */
  static fl_run row[LENGTH / 64];
  for (size_t r = 0; r < LENGTH / 64; r++) { row[r] = (fl_run){ 64 * r, 64 }; }
  k->mean_sq_runs(LENGTH / 64, row, A, B);
}
static const fl_key key = { 1, FL_PURPOSE_TEST, 0, 0, 0 };
static void b_uniform(const fl_kernels *k) { k->uniform(LENGTH, A, 0, &key); }
static void b_rademacher(const fl_kernels *k) { k->rademacher(LENGTH, A, 0, &key); }
static void b_bernoulli(const fl_kernels *k) { k->bernoulli(LENGTH, A, 0, &key, 0.1, 1.0f); }
static void b_gaussian(const fl_kernels *k) { k->gaussian(LENGTH, A, 0, &key); }
static void b_exp(const fl_kernels *k) { k->exp(LENGTH, A, B); }
static void b_log(const fl_kernels *k) { k->log(LENGTH, A, D); }
static void b_expm1(const fl_kernels *k) { k->expm1(LENGTH, A, B); }
static void b_log1p(const fl_kernels *k) { k->log1p(LENGTH, A, B); }
static void b_tanh(const fl_kernels *k) { k->tanh(LENGTH, A, B); }
static void b_sigmoid(const fl_kernels *k) { k->sigmoid(LENGTH, A, B); }
static void b_erf(const fl_kernels *k) { k->erf(LENGTH, A, B); }
static void b_sincospi(const fl_kernels *k) { k->sincospi(LENGTH, A, C, B); }
static void b_gelu(const fl_kernels *k) { k->gelu(LENGTH, A, B); }
static void b_gelu_back(const fl_kernels *k) { k->gelu_back(LENGTH, A, C, B); }
static void b_gelu_tanh(const fl_kernels *k) { k->gelu_tanh(LENGTH, A, B); }
static void b_gelu_tanh_back(const fl_kernels *k) { k->gelu_tanh_back(LENGTH, A, C, B); }

static const struct { const char *name; void (*run)(const fl_kernels *); } benches[] = {
  { "mix", b_mix }, { "axpy", b_axpy }, { "scale", b_scale }, { "add", b_add }, { "sub", b_sub }, { "sgd", b_sgd },
  { "momentum", b_momentum }, { "adamw", b_adamw }, { "muon_momentum", b_muon }, { "sum", b_sum }, { "dot", b_dot },
  { "sumsq", b_sumsq }, { "sumsq_diff", b_sumsq_diff }, { "absmax", b_absmax },
  { "asum", b_asum }, { "argmax", b_argmax }, { "variance", b_variance }, { "mean_sq_runs", b_mean_runs },
  { "exp", b_exp }, { "log", b_log }, { "expm1", b_expm1 }, { "log1p", b_log1p }, { "tanh", b_tanh }, { "sigmoid", b_sigmoid },
  { "erf", b_erf }, { "sincospi", b_sincospi }, { "gelu", b_gelu }, { "gelu_back", b_gelu_back }, { "gelu_tanh", b_gelu_tanh },
  { "gelu_tanh_back", b_gelu_tanh_back },
  { "uniform", b_uniform }, { "rademacher", b_rademacher }, { "bernoulli", b_bernoulli }, { "gaussian", b_gaussian },
};

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
static double now_cycles(void) {
#if defined(__x86_64__)
  return (double)__rdtsc();
#else
  return 0.0; /* no counter that a program may read everywhere */
#endif
}
/* Ticks of the time-stamp counter in a cycle of the core, whose clock is another: by a chain of additions of a cycle each. */
static double ticks_in_cycle(void) {
  double best = 1.0;
#if defined(__x86_64__)
  enum { LINKS = 8000 };
  best = 1e30;
  for (int r = 0; r < 1000; r++) {
    unsigned long sum = 0;
    const double t0 = now_cycles();
    for (int i = 0; i < LINKS / 8; i++) {
      __asm__ volatile("add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0" : "+r"(sum));
    }
    const double ticks = (now_cycles() - t0) / LINKS;
    best = ticks < best ? ticks : best;
  }
#endif
  return best;
}

/* Best of some rounds: what disturbs only adds time. */
static void measure(void (*run)(const fl_kernels *), const fl_kernels *k, double *ns, double *cycles) {
  check t = { .rng = 1 };
  for (int i = 0; i < 4; i++) { fill_float(&t, array[i], LENGTH, KIND_UNIFORM); }
  for (int i = 0; i < LENGTH; i++) { D[i] = D[i] < 0 ? -D[i] : D[i]; } /* a second moment */
  *ns = *cycles = 1e30;
  for (int r = 0; r < ROUNDS; r++) {
    const int calls = 2000;
    const double t0 = now_ns(), c0 = now_cycles();
    for (int i = 0; i < calls; i++) { run(k); }
    const double c1 = (now_cycles() - c0) / calls / LENGTH, t1 = (now_ns() - t0) / calls / LENGTH;
    if (t1 < *ns) { *ns = t1; *cycles = c1; }
  }
}

int bench(const fl_kernels *k, const fl_kernels *scalar) {
  const double ticks = ticks_in_cycle();
  printf("isa %s, n = %d (in cache); cycles are of the core\n", k->name, (int)LENGTH);
  printf("%-14s %10s %10s %10s\n", "op", "ns/elem", "cyc/elem", "x scalar");
  for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
    double ns, cycles, base, unused;
    measure(benches[i].run, k, &ns, &cycles);
    measure(benches[i].run, scalar, &base, &unused);
    printf("%-14s %10.4f %10.4f %10.2f\n", benches[i].name, ns, cycles / ticks, base / ns);
  }
  return 0;
}
