/* reference.h - the functions of kernels/math in double, written from their definitions and from nothing in kernels/: a few
 * 2^-52 of the result for every finite float, without branches so that a compiler makes loops of vectors of them. */
#ifndef FEDLANE_REFERENCE_H
#define FEDLANE_REFERENCE_H
#include <stddef.h>
#include <stdint.h>

/* FUNCTION(entry, kernel, bound): an entry of the table is one output of a kernel; the bound of its error in ULP. Errors of
 * arguments below `absolute` count in 2^-24 instead, with their own bound
 * (gelu: below -1; a derivative, where it passes through 0: everywhere). */
#define EVERY_FUNCTION(F) \
  F(exp, NONE, 2, 0) F(log, NONE, 2, 0) F(expm1, NONE, 2, 0) F(log1p, NONE, 2, 0) F(tanh, NONE, 2, 0) F(sigmoid, NONE, 2, 0) \
  F(erf, NONE, 2, 0) F(sinpi, NONE, 2, 0) F(cospi, NONE, 2, 0) F(gelu, -1.0f, 4, 1) F(gelu_tanh, -1.0f, 4, 1) \
  F(gelu_back, ALL, 0, 4) F(gelu_tanh_back, ALL, 0, 5)

#define F(name, absolute, ulp, units) void reference_##name(size_t n, double *y, const float *x);
EVERY_FUNCTION(F)
#undef F

#define FL_BROKEN 1e6 /* the error of a lost NaN, of a zero with the wrong sign, and the most there is */
/* Largest error in ULP and in 2^-24, and how many are not the float nearest to want. */
typedef struct { double ulp, units; uint64_t inexact; } score;
score judge(size_t n, const float *x, const float *got, const double *want, float absolute, double *ulp, double *units);
#endif
