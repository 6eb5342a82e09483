/* reflector.h - the scalars of a Householder reflector, the same for a panel's columns and for a row of a symmetric matrix; and
 * the powers of two that keep its squares in range. Plain double code. */
#ifndef FL_FACTOR_REFLECTOR_H
#define FL_FACTOR_REFLECTOR_H
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float power_of_two(int e) { /* -126 <= e <= 127 */
  const uint32_t u = (uint32_t)(e + 127) << 23;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

/* The exponent of the factor that brings a largest magnitude, given by its bits, to [1, 2); its negative undoes it. 0 when it is
 * not finite. */
static inline int scale_exponent(uint32_t bits) {
  const int e = (int)(bits >> 23);
  return e == 255 ? 0 : 127 - (e < 1 ? 1 : e > 253 ? 253 : e);
}

/* What x is to be multiplied by before its reflector is made: not 0 (an exponent) when its squares would leave the range of
 * tau. */
static inline int reflector_exponent(float x0, double ss) {
  const double norm2 = (double)x0 * (double)x0 + ss;
  uint64_t u;
  if (!(ss > 0.0 && norm2 < 0x1p-60)) { return 0; }
  memcpy(&u, &norm2, sizeof u);
  const int e = (1023 - (int)(u >> 52)) / 2;
  return e > 126 ? 126 : e;
}

/* H = I - tau v v^T takes x to (beta, 0, ...): v_0 as below, v_i = x_i; ss is the sum of x_i^2, i > 0. */
typedef struct { float v0, tau; double beta; } reflector;
static inline reflector reflector_of(float x0, double ss) {
  if (ss == 0.0) { /* nothing to take away; tau NaN for an x0 that is not finite, so that it reaches all of Q */
    const float zero = x0 - x0;
    return (reflector){ zero, zero, (double)x0 };
  }
  const double norm = sqrt((double)x0 * (double)x0 + ss);
  reflector h = { .beta = x0 < 0.0f ? norm : -norm };
  h.v0 = (float)((double)x0 - h.beta);
  h.tau = (float)(2.0 / ((double)h.v0 * (double)h.v0 + ss));
  return h;
}
#endif
