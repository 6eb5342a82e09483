#include "reference.h"
#include <math.h>
#include <string.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif
#define INLINE static inline __attribute__((always_inline))

INLINE double of_bits(int64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }
INLINE int64_t to_bits(double x) { int64_t u; memcpy(&u, &x, sizeof u); return u; }
INLINE double power(int64_t e) { return of_bits((e + 1023) << 52); }
INLINE double sign_of(double x, double sign) { return of_bits((to_bits(x) & INT64_MAX) | (to_bits(sign) & INT64_MIN)); }
INLINE double at_least(double low, double x) { return x < low ? low : x; }
INLINE double at_most(double high, double x) { return x > high ? high : x; }

#define MAGIC 0x1.8p52
INLINE int64_t integer(double t) { return to_bits(t) - to_bits(MAGIC); }

/* exp(x) - 1 = 2^n m + (2^n - 1), m = exp(r) - 1 by Taylor to r^14; *scale = 2^n. |x| < 700 */
INLINE double expm1_part(double x, double *scale) {
  const double t = x * 0x1.71547652b82fep+0 + MAGIC, n = t - MAGIC;
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33; /* the first product is exact */
  double m = 1.0 / 87178291200.0;
  m = m * r + 1.0 / 6227020800.0;
  m = m * r + 1.0 / 479001600.0;
  m = m * r + 1.0 / 39916800.0;
  m = m * r + 1.0 / 3628800.0;
  m = m * r + 1.0 / 362880.0;
  m = m * r + 1.0 / 40320.0;
  m = m * r + 1.0 / 5040.0;
  m = m * r + 1.0 / 720.0;
  m = m * r + 1.0 / 120.0;
  m = m * r + 1.0 / 24.0;
  m = m * r + 1.0 / 6.0;
  m = m * r + 0.5;
  *scale = power(integer(t));
  return r + r * r * m;
}
INLINE double ref_exp(double x) {
  double s;
  const double m = expm1_part(at_least(-700.0, at_most(700.0, x)), &s);
  return s + s * m;
}
INLINE double ref_expm1(double x) {
  double s;
  const double m = expm1_part(at_least(-700.0, at_most(700.0, x)), &s);
  return sign_of(s * m + (s - 1.0), x);
}

/* k ln2 + log(1 + f), |f| < 0.42: s = f/(2 + f), log(1 + f) = 2 (s + s^3/3 + ...); s^2 < 0.0295, so 12 terms leave 1e-19. */
INLINE double log_part(double k, double f) {
  const double s = f / (2.0 + f), z = s * s;
  double p = 2.0 / 25.0;
  p = p * z + 2.0 / 23.0;
  p = p * z + 2.0 / 21.0;
  p = p * z + 2.0 / 19.0;
  p = p * z + 2.0 / 17.0;
  p = p * z + 2.0 / 15.0;
  p = p * z + 2.0 / 13.0;
  p = p * z + 2.0 / 11.0;
  p = p * z + 2.0 / 9.0;
  p = p * z + 2.0 / 7.0;
  p = p * z + 2.0 / 5.0;
  p = p * z + 2.0 / 3.0;
  return k * 0x1.62e42feep-1 + (k * 0x1.a39ef35793c76p-33 + (2.0 * s + s * z * p));
}
INLINE int64_t exponent(double x) { return ((to_bits(x) - 0x3fe6a09e667f3bcd) >> 52); } /* counted from sqrt(1/2) */
INLINE double ends_of_log(double u, double y) { return u > 0.0 ? y : u == 0.0 ? -INFINITY : NAN; }
INLINE double ref_log(double x) {
  const int64_t k = exponent(x);
  return ends_of_log(x, log_part((double)k, of_bits(to_bits(x) - (k << 52)) - 1.0)) + 0.0;
}
INLINE double ref_log1p(double x) {
  const int64_t k = exponent(1.0 + x);
  const double s = power(-k); /* of a float: |k| < 129; x s + (s - 1) is exact up to 2^29, and beyond it s is nothing */
  const double y = ends_of_log(1.0 + x, log_part((double)k, x * s + (s - 1.0)));
  return x == 0.0 ? x : y;
}

INLINE double ref_tanh(double x) {
  double s;
  const double part = expm1_part(2.0 * at_most(20.0, fabs(x)), &s), m = s * part + (s - 1.0);
  return sign_of(m / (m + 2.0), x);
}
INLINE double ref_sigmoid(double x) { return 1.0 / (1.0 + ref_exp(-x)); }

/* 2/sqrt(pi) sum (-1)^n a^(2n+1)/(n! (2n+1)), 18 terms: 1e-17 at a = 1 */
INLINE double erf_series(double a) {
  static const double factor[] = { 1.0, 1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0, 40320.0, 362880.0, 3628800.0, 39916800.0,
                                   479001600.0, 6227020800.0, 87178291200.0, 1307674368000.0, 20922789888000.0,
                                   355687428096000.0 };
  const double z = -a * a;
  double p = 0.0;
#pragma GCC unroll 18
  for (int n = 17; n >= 0; n--) { p = p * z + 1.0 / (factor[n] * (2 * n + 1)); }
  return 0x1.20dd750429b6dp+0 * a * p;
}
/* erfc(a) for a >= 0.6 from a^2 exactly: exp(-a^2) times erfcx, of which (1 + 2a) erfcx(a) is a polynomial of degree 24 in
 * y = (a - 3.75)/(a + 3.75): interpolation at Chebyshev's nodes, relative error 4e-19. */
INLINE double erfc_part(double a, double square) {
  static const double c[] = {
    0x1.3ccda0b5d5dc2p+0, -0x1.1f367683f89a7p-3, 0x1.d5f2948159bd2p-9, 0x1.510169d096852p-4, -0x1.bda9309a285a3p-4,
    0x1.7a14188a98d48p-4, -0x1.e0d0fa6e0aeb1p-5, 0x1.d0b0037e167ccp-6, -0x1.3f603c3188b3cp-7, 0x1.cc3a0dea4a170p-10,
    0x1.33fb225d2559ap-12, -0x1.303f9702e56d6p-12, 0x1.b144915a8d2eep-15, 0x1.77882934b4af1p-16, -0x1.800b7a6de3856p-17,
    -0x1.04be68f2fec29p-20, 0x1.d6cfc9c0dfc27p-20, -0x1.07d50ac118710p-24, -0x1.182fc1ebbba4cp-22, 0x1.e93be19ed7848p-26,
    0x1.530e693333595p-25, -0x1.02812ffd18028p-27, -0x1.3d199cf2489eap-28, 0x1.a304c459b228bp-30, -0x1.24211f767fbaep-35 };
  const double y = (a - 3.75) / (a + 3.75);
  double p = c[24];
#pragma GCC unroll 24
  for (int i = 23; i >= 0; i--) { p = p * y + c[i]; }
  return ref_exp(-square) * p / (1.0 + 2.0 * a);
}
INLINE double ref_erf(double x) {
  const double a = fabs(x), side = 1.0 - erfc_part(at_most(27.0, a), at_most(700.0, a * a));
  return sign_of(a < 0.8 ? erf_series(at_most(1.0, a)) : side, x);
}
/* Phi(x) = erfc(-x/sqrt(2))/2; the square x^2/2 is exact. */
INLINE double normal(double x) {
  const double a = fabs(x) * 0x1.6a09e667f3bcdp-1, tail = 0.5 * erfc_part(at_most(27.0, a), at_most(700.0, 0.5 * x * x));
  const double middle = 0.5 + sign_of(0.5 * erf_series(at_most(1.0, a)), x);
  return a < 0.8 ? middle : x < 0.0 ? tail : 1.0 - tail;
}
INLINE double density(double x) { return 0x1.9884533d43651p-2 * ref_exp(-at_most(700.0, 0.5 * x * x)); }
INLINE double ref_gelu(double x) { return at_least(-50.0, x) * normal(x); }
INLINE double ref_gelu_back(double x) { return normal(x) + at_least(-50.0, at_most(50.0, x)) * density(x); }

#define ROOT 0x1.9884533d43651p+0 /* 2 sqrt(2/pi) */
INLINE double ref_gelu_tanh(double x) {
  const double c = at_least(-50.0, x);
  return c * ref_sigmoid(ROOT * (c + 0.044715 * c * c * c));
}
INLINE double ref_gelu_tanh_back(double x) {
  const double c = at_least(-50.0, at_most(50.0, x)), v = ROOT * (c + 0.044715 * c * c * c),
      dv = ROOT * (1.0 + 3.0 * 0.044715 * c * c);
  return ref_sigmoid(v) * (1.0 + c * dv * ref_sigmoid(-v));
}

/* sin and cos of pi x by quarter turns q and the rest, |r| <= 1/4, exact; Taylor to y^19 and y^18. */
INLINE double turn(double x, int64_t ahead) {
  const double a = fabs(x) < 0x1p24 ? fabs(x) : 0.0, t = 2.0 * a + MAGIC, r = a - 0.5 * (t - MAGIC);
  const double y = r * 0x1.921fb54442d18p+1, z = y * y;
  double s = -1.0 / 121645100408832000.0, c = -1.0 / 6402373705728000.0;
  s = s * z + 1.0 / 355687428096000.0;
  s = s * z - 1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  c = c * z + 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  const int64_t q = integer(t) + ahead;
  const double v = q & 1 ? 1.0 - (0.5 * z - z * z * c) : y + y * z * s;
  return (q & 2 ? -v : v) + 0.0; /* no -0 */
}
INLINE double ref_sinpi(double x) { return x < 0.0 || (x == 0.0 && to_bits(x) < 0) ? -turn(x, 0) : turn(x, 0); }
INLINE double ref_cospi(double x) { return turn(x, 1); }

#define F(name, absolute, ulp, units)                                        \
  FAST void reference_##name(size_t n, double *y, const float *x) {          \
    for (size_t i = 0; i < n; i++) { y[i] = ref_##name((double)x[i]); }      \
  }
EVERY_FUNCTION(F)

/* All in 64-bit lanes, and without branches: it runs on every result. */
FAST score judge(size_t n, const float *x, const float *got, const double *want, float absolute, double *ulp, double *units) {
  int64_t most_ulp = 0, most_units = 0, inexact = 0;
  const double top = 0x1.fffffep127, limit = 0x1p128, below = (double)absolute;
  const int64_t signs = absolute < INFINITY;
  for (size_t i = 0; i < n; i++) {
    const double in = (double)x[i], result = (double)got[i], near = (double)(float)want[i];
    const double w = want[i] > limit ? limit : want[i] < -limit ? -limit : want[i];
    const double g = result > top ? limit : result < -top ? -limit : result;
    int64_t e = to_bits(w) >> 52 & 0x7ff;
    e = e < 1023 - 126 ? 1023 - 126 : e;
    const double gap = fabs(g - w), error = gap * of_bits((2069 - e) << 52);
    const int64_t special = fabs(in) > top || in != in || w != w; /* results of infinities: tests/unit */
    const int64_t lost_nan = in != in ? result == result : (w != w) != (result != result);
    const int64_t zero_sign = signs & (result == 0.0) & (near == 0.0) & (to_bits(result) != to_bits(near));
    const int64_t broken = (lost_nan | zero_sign) & (fabs(in) <= top || in != in);
    const double scaled = in < below ? gap * 0x1p24 : error;
    const double value = broken ? FL_BROKEN : special ? 0.0 : scaled < FL_BROKEN ? scaled : FL_BROKEN;
    ulp[i] = in < below ? 0.0 : value;
    units[i] = in < below ? value : 0.0;
    most_ulp = to_bits(ulp[i]) > most_ulp ? to_bits(ulp[i]) : most_ulp; /* as integers: doubles >= 0 have the same order */
    most_units = to_bits(units[i]) > most_units ? to_bits(units[i]) : most_units;
    inexact += special ? 0 : to_bits(result) != to_bits(near);
  }
  return (score){ of_bits(most_ulp), of_bits(most_units), (uint64_t)inexact };
}
