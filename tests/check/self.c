/* self.c - the check checked: tables with one seeded fault each; every fault must be found, and the sound table pass. */
#include "check.h"
#include <string.h>

static const fl_kernels *sound;

static void wrong_bit(size_t n, float *y, float a, const float *x) { /* the last bit of one element of one length */
  sound->axpy(n, y, a, x);
  if (n == 37) {
    uint32_t u;
    memcpy(&u, y + 20, 4);
    u ^= 1u;
    memcpy(y + 20, &u, 4);
  }
}
static void writes_past_end(size_t n, float *y, const float *a, const float *b) {
  sound->add(n, y, a, b);
  if (n % 16 == 5) { *(volatile float *)(y + n) = 0.0f; }
}
static void writes_before(size_t n, float *y, const float *a, const float *b) {
  sound->sub(n, y, a, b);
  if (n == 16) { *(volatile float *)(y - 1) = 0.0f; }
}
static double reads_past_end(size_t n, const float *x) {
  const double s = sound->sum(n, x);
  return n % 16 == 3 && ((const volatile float *)x)[n] > 2.0f ? s + 1e-300 : s;
}
static double wrong_order(size_t n, const float *x) { /* plain left to right */
  double s = 0.0;
  for (size_t i = 0; i < n; i++) { s += (double)x[i] * (double)x[i]; }
  return s;
}
static float loses_nan(size_t n, const float *x) {
  float m = 0.0f;
  for (size_t i = 0; i < n; i++) {
    const float a = x[i] < 0 ? -x[i] : x[i];
    m = a > m ? a : m;
  }
  return m;
}
static void moves_nan(size_t n, float *y, const float *g, float decay, float lr) {
  sound->sgd(n, y, g, decay, lr);
  for (size_t i = 0; i + 1 < n; i++) {
    if (y[i] != y[i] && y[i + 1] == y[i + 1]) { const float nan = y[i]; y[i] = y[i + 1]; y[i + 1] = nan; return; }
  }
}
static void crashes(size_t n, float *y, float a, const float *x) {
  if (n == 100) { __builtin_trap(); }
  sound->scale(n, y, a, x);
}
static void leaves_element(size_t n, float *m, float *u, const float *g, float mu, float damp, int nesterov) {
  float kept = 0.0f;
  if (n > 33) { memcpy(&kept, u + 33, 4); }
  sound->muon_momentum(n, m, u, g, mu, damp, nesterov);
  if (n > 33) { memcpy(u + 33, &kept, 4); }
}
static void changes_input(size_t n, float *y, float *u, const float *g, const fl_momentum_args *a) {
  sound->momentum(n, y, u, g, a);
  if (n == 12) { ((float *)(uintptr_t)g)[3] = 5.0f; }
}

static void wrong_tail(size_t n, float *y, const float *x) { /* the first element of the last, partial vector is not worked on */
  sound->log(n, y, x);
  if (n > 16 && n % 16) { memmove(y + n - n % 16, x + n - n % 16, 4); }
}
static void clears_first(size_t n, float *y, const float *x) { /* right, unless y is x */
  for (size_t i = 0; i < n; i++) { y[i] = 0.0f; }
  sound->exp(n, y, x);
}
static void flushes(size_t n, float *v, const float *g, const float *y, const float *q0, const float *q1, const fl_mix_args *a) {
  sound->mix(n, v, g, y, q0, q1, a);
  for (size_t i = 0; i < n; i++) {
    if (v[i] < 0x1p-126f && v[i] > -0x1p-126f && v[i] != 0.0f) { v[i] = 0.0f; }
  }
}
static void not_fused(size_t n, float *y, float a, const float *x) {
  for (size_t i = 0; i < n; i++) {
    const float product = a * x[i];
    y[i] = product + y[i];
  }
}
static void loses_sign(size_t n, float *y, float a, const float *x) { /* -0 becomes +0 */
  sound->scale(n, y, a, x);
  for (size_t i = 0; i < n; i++) { y[i] += 0.0f; }
}
static double tail_in_front(size_t n, const float *x) { /* the last, partial vector is added first: right for whole vectors */
  if (n < 64 || n % 32 == 0) { return sound->sum(n, x); }
  return sound->sum(n % 32, x + n - n % 32) + sound->sum(n - n % 32, x);
}
#define PRODUCT(name)                                                                                                          \
  static void name(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc, \
                   size_t piece)
PRODUCT(fills_gap) { /* whole vectors where the row has none */
  sound->gemm_nn(m, n, k, a, lda, b, ldb, c, ldc, piece);
  if (m > 1 && ldc > n) { c[n] = 0.0f; }
}
PRODUCT(takes_rows_as_dense) { sound->gemm_nt(m, n, k, a, lda, b, k < ldb && n > 1 ? k : ldb, c, ldc, piece); }
PRODUCT(one_piece) { sound->gemm_tn(m, n, k, a, lda, b, ldb, c, ldc, k > piece ? k : piece); }

typedef struct { const char *what, *op; fl_kernels table; } fault;

static int must(check *t, const char *what, const char *op, int found) {
  for (size_t i = 0; i < op_count; i++) {
    if (strcmp(op_tests[i].name, op)) { continue; }
    run_op(t, &op_tests[i]);
    const int ok = (t->failures != 0) == found;
    printf("%s: %s (%s)\n", ok ? "ok" : "FAIL", what, op);
    return ok;
  }
  printf("FAIL: %s: no operation %s\n", what, op);
  return 0;
}

static fault faults[32];
static size_t fault_count;
#define FAULT(text, member, function) \
  (faults[fault_count] = (fault){ text, #member, *sound }, faults[fault_count++].table.member = function)

static void put_faults(void) {
  FAULT("one wrong bit", axpy, wrong_bit);
  FAULT("a multiply-add of two roundings", axpy, not_fused);
  FAULT("a write past the end", add, writes_past_end);
  FAULT("a write before the start", sub, writes_before);
  FAULT("a read past the end", sum, reads_past_end);
  FAULT("the tail added first", sum, tail_in_front);
  FAULT("another order of additions", sumsq, wrong_order);
  FAULT("a lost NaN", absmax, loses_nan);
  FAULT("a NaN at the wrong place", sgd, moves_nan);
  FAULT("a crash", scale, crashes);
  FAULT("a lost sign of zero", scale, loses_sign);
  FAULT("denormal numbers flushed", mix, flushes);
  FAULT("an element not written", muon_momentum, leaves_element);
  FAULT("a changed input", momentum, changes_input);
  FAULT("a wrong tail", log, wrong_tail);
  FAULT("an input overwritten before it is read", exp, clears_first);
  FAULT("a write between two rows", gemm_nn, fills_gap);
  FAULT("a wrong distance of rows", gemm_nt, takes_rows_as_dense);
  FAULT("pieces of k not kept apart", gemm_tn, one_piece);
}

int self_test(uint64_t seed) {
  sound = fl_kernels_of(FL_ISA_SCALAR);
  put_faults();
  size_t passed = 0, failed = 0;
  printf("seed %llu\n", (unsigned long long)seed);
  for (size_t i = 0; i < fault_count; i++) {
    const fault *f = &faults[i];
    check t = { .ref = sound, .dut = &f->table, .seed = seed, .quiet = 1 };
    if (must(&t, f->what, f->op, 1)) { passed++; } else { failed++; }
    if (i && !strcmp(faults[i - 1].op, f->op)) { continue; }
    t.dut = sound;
    if (must(&t, "no fault, nothing reported", f->op, 0)) { passed++; } else { failed++; }
  }
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
