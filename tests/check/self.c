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

int self_test(uint64_t seed) {
  sound = fl_kernels_of(FL_ISA_SCALAR);
  static fault f[] = {
    { "one wrong bit", "axpy", { 0 } }, { "a write past the end", "add", { 0 } }, { "a write before the start", "sub", { 0 } },
    { "a read past the end", "sum", { 0 } }, { "another order of additions", "sumsq", { 0 } }, { "a lost NaN", "absmax", { 0 } },
    { "a NaN at the wrong place", "sgd", { 0 } }, { "a crash", "scale", { 0 } },
    { "an element not written", "muon_momentum", { 0 } }, { "a changed input", "momentum", { 0 } },
  };
  enum { FAULTS = sizeof f / sizeof *f };
  for (size_t i = 0; i < FAULTS; i++) { f[i].table = *sound; }
  f[0].table.axpy = wrong_bit;
  f[1].table.add = writes_past_end;
  f[2].table.sub = writes_before;
  f[3].table.sum = reads_past_end;
  f[4].table.sumsq = wrong_order;
  f[5].table.absmax = loses_nan;
  f[6].table.sgd = moves_nan;
  f[7].table.scale = crashes;
  f[8].table.muon_momentum = leaves_element;
  f[9].table.momentum = changes_input;
  size_t passed = 0, failed = 0;
  printf("seed %llu\n", (unsigned long long)seed);
  for (size_t i = 0; i < FAULTS; i++) {
    check t = { .ref = sound, .dut = &f[i].table, .seed = seed, .quiet = 1 };
    if (must(&t, f[i].what, f[i].op, 1)) { passed++; } else { failed++; }
    t.dut = sound;
    if (must(&t, "no fault, nothing reported", f[i].op, 0)) { passed++; } else { failed++; }
  }
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
