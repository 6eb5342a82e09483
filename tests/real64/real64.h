/* real64.h - included before everything else in the test build whose reals have 64 bits: in the sources of methods, of the
 * session and of the kernels, as they are, `float` means double, and the vocabulary's scalar form works on doubles. The worked
 * numbers of the specifications have nine digits, more than single precision can tell. */
#ifndef FL_TESTS_REAL64_H
#define FL_TESTS_REAL64_H
#ifdef __cplusplus
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>
#endif
/* The system's own declarations keep their float. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef __cplusplus
#include <stdatomic.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#endif
#define float double
#define sqrtf sqrt
#define fmaf fma
#define fabsf fabs

/* In the place of kernels/simd/simd.h: the same operations where they look at the bits of a number. */
#define FL_SIMD_H
#ifdef FL_SIMD_ISA
#define FL_FN(name) fl_##name##_scalar
#include "kernels/simd/scalar.h"
static inline v16 v_zero(void) { return v_set(0.0); }
static inline v16 v_flush(v16 x) { return v_sel(v_lt(v_abs(x), v_set(0x1p-126)), v_zero(), x); }
static inline v16 v_sign_of(v16 x, v16 y) {
  for (int i = 0; i < 16; i++) x.f[i] = copysign(x.f[i], y.f[i]);
  return x;
}
static inline v16 v_turn_sign(v16 a, v16 x) {
  for (int i = 0; i < 16; i++) a.f[i] = signbit(x.f[i]) ? -a.f[i] : a.f[i];
  return a;
}
static inline v16 v_signed(m16 m, v16 a, v16 x, v16 b) { return v_sel(m, v_turn_sign(a, x), b); }
static inline v16 v_keep_max(v16 m, v16 x) { return v_sel(v_eq(x, x), v_max(x, m), x); }
#endif
#endif
