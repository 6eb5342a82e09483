/* shim.c - for LD_PRELOAD: another mathematics library. Every function below gives the C library's result 3 ULP away from where
 * it was, and counts; fma, sqrt and what is exact by definition (floor, fabs ...) stay. At exit a line "name count" of each that
 * was called goes to the file FEDLANE_LIBM_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE_ARGUMENT(F) \
  F(acos) F(acosh) F(asin) F(asinh) F(atan) F(atanh) F(cbrt) F(cos) F(cosh) F(erf) F(erfc) F(exp) F(exp2) F(exp10) F(expm1) \
  F(lgamma) \
  F(log) F(log10) F(log1p) F(log2) F(sin) F(sinh) F(tan) F(tanh) F(tgamma)
#define TWO_ARGUMENTS(F) F(atan2) F(pow) F(hypot) F(fmod) F(remainder)

enum {
#define F(name) COUNT_##name,
  ONE_ARGUMENT(F) TWO_ARGUMENTS(F)
#undef F
  COUNTS
};
static const char *const names[] = {
#define F(name) #name,
  ONE_ARGUMENT(F) TWO_ARGUMENTS(F)
#undef F
};
static atomic_ulong count[COUNTS];

static double away(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  if (x == x && x - x == 0 && x != 0) { u += 3; }
  memcpy(&x, &u, sizeof x);
  return x;
}
static float awayf(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (x == x && x - x == 0 && x != 0) { u += 3; }
  memcpy(&x, &u, sizeof x);
  return x;
}
static void *next(const char *name) {
  void *f = dlsym(RTLD_NEXT, name);
  if (!f) { /* a program need not be linked to it */
    void *library = dlopen("libm.so.6", RTLD_NOW);
    f = library ? dlsym(library, name) : NULL;
  }
  if (!f) { abort(); }
  return f;
}

/* double and float form; a declaration of <math.h> would be of a builtin with other attributes. */
#define ONE(name, type, suffix)                                             \
  type name##suffix(type x);                                                \
  type name##suffix(type x) {                                               \
    static type (*real)(type);                                              \
    if (!real) { *(void **)&real = next(#name #suffix); }                   \
    atomic_fetch_add(&count[COUNT_##name], 1);                              \
    return away##suffix(real(x));                                           \
  }
#define TWO(name, type, suffix)                                             \
  type name##suffix(type x, type y);                                        \
  type name##suffix(type x, type y) {                                       \
    static type (*real)(type, type);                                        \
    if (!real) { *(void **)&real = next(#name #suffix); }                   \
    atomic_fetch_add(&count[COUNT_##name], 1);                              \
    return away##suffix(real(x, y));                                        \
  }
#define F(name) ONE(name, double, ) ONE(name, float, f)
ONE_ARGUMENT(F)
#undef F
#define F(name) TWO(name, double, ) TWO(name, float, f)
TWO_ARGUMENTS(F)

void sincos(double x, double *s, double *c);
void sincos(double x, double *s, double *c) {
  *s = sin(x);
  *c = cos(x);
}
void sincosf(float x, float *s, float *c);
void sincosf(float x, float *s, float *c) {
  *s = sinf(x);
  *c = cosf(x);
}

__attribute__((destructor)) static void write_counts(void) {
  const char *path = getenv("FEDLANE_LIBM_COUNT");
  FILE *f = path ? fopen(path, "a") : NULL;
  for (int i = 0; f && i < COUNTS; i++) {
    if (count[i]) { fprintf(f, "%s %lu\n", names[i], atomic_load(&count[i])); }
  }
  if (f) { fclose(f); }
}
