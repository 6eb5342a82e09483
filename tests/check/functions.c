/* functions.c - tests of the family math: functions over arrays. How exact they are: tests/exhaustive. */
#include "check.h"

#define N (c->s[0])
#define ALIASES(...) (const char *const[]){ __VA_ARGS__, NULL }

/* The last argument goes from low to high, through the ends of a function's pieces, where the random kinds seldom are. */
static void sweep(check *t, caller f, size_t outputs, size_t nargs, float low, float high) {
  enum { COUNT = 4096 };
  float x[COUNT];
  const float step = (high - low) / COUNT;
  for (int i = 0; i < COUNT; i++) { x[i] = low + (float)i * step + (float)rnd_below(t, 1000) * 4e-5f; }
  arg a[MAX_ARGS];
  for (size_t i = 0; i < nargs; i++) { a[i] = (arg){ i < outputs ? 'o' : 'i', 'f', COUNT, NULL, -1, 0, 0 }; }
  for (size_t i = outputs; i < nargs; i++) { a[i].init = i + 1 == nargs ? x : some_floats(t, (int)i, COUNT, KIND_UNIFORM); }
  run_case(t, "sweep", f, &(call){ .s = { COUNT } }, nargs, a);
}
#define FUNCTION(name, low, high)                                                                         \
  static void call_##name(const fl_kernels *k, call *c) { k->name(N, c->p[0], c->p[1]); }                  \
  void check_##name(check *t) {                                                                           \
    elementwise(t, call_##name, &(call){ 0 }, "oi", ALIASES("01"));                                       \
    sweep(t, call_##name, 1, 2, low, high);                                                               \
  }
#define DERIVATIVE(name, low, high)                                                                       \
  static void call_##name(const fl_kernels *k, call *c) { k->name(N, c->p[0], c->p[1], c->p[2]); }         \
  void check_##name(check *t) {                                                                           \
    elementwise(t, call_##name, &(call){ 0 }, "oii", ALIASES("01", "02"));                                \
    sweep(t, call_##name, 1, 3, low, high);                                                               \
  }
FUNCTION(exp, -110.0f, 90.0f)
FUNCTION(expm1, -20.0f, 90.0f)
FUNCTION(log1p, -1.0f, 8.0f)
FUNCTION(tanh, -12.0f, 12.0f)
FUNCTION(sigmoid, -110.0f, 30.0f)
FUNCTION(erf, -5.0f, 5.0f)
FUNCTION(gelu, -16.0f, 16.0f)
FUNCTION(gelu_tanh, -16.0f, 16.0f)
DERIVATIVE(gelu_back, -16.0f, 16.0f)
DERIVATIVE(gelu_tanh_back, -16.0f, 16.0f)
static void call_log(const fl_kernels *k, call *c) { k->log(N, c->p[0], c->p[1]); }
void check_log(check *t) { elementwise(t, call_log, &(call){ 0 }, "oi", ALIASES("01")); }
static void call_sincospi(const fl_kernels *k, call *c) { k->sincospi(N, c->p[0], c->p[1], c->p[2]); }
void check_sincospi(check *t) {
  elementwise(t, call_sincospi, &(call){ 0 }, "ooi", ALIASES("02", "12"));
  sweep(t, call_sincospi, 2, 3, -5.0f, 5.0f);
}
