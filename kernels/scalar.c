/* scalar.c - double functions of our own: the C library's differ between versions and CPUs, so no result of it may reach
 * a hash. Only + - * / and fma, each correctly rounded everywhere; about 1 ULP. */
#include <fedlane/kernels.h>
#include <math.h>
#include <string.h>

static uint64_t to_bits(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static double of_bits(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }
static double power_of_two(int e) { return of_bits((uint64_t)(e + 1023) << 52); } /* -1022 <= e <= 1023 */

/* exp(x) = 2^n exp(r), |r| <= ln2/2; Taylor to r^14 leaves 1e-19. ln2 in two parts: n*hi is subtracted without error. */
double fl_exp(double x) {
  static const double c[] = { 1.0 / 87178291200.0, 1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                              1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5 };
  if (x != x) { return x; }
  if (x > 709.782712893384) { return INFINITY; }
  if (x < -745.1332191019412) { return 0.0; }
  const double magic = 0x1.8p52, n = (x * 0x1.71547652b82fep+0 + magic) - magic;
  const double hi = fma(-n, 0x1.62e42fefa39efp-1, x), r = fma(-n, 0x1.abc9e3b39803fp-56, hi);
  const double lo = fma(-n, 0x1.abc9e3b39803fp-56, hi - r);
  double p = c[0];
  for (size_t i = 1; i < sizeof c / sizeof *c; i++) { p = fma(p, r, c[i]); }
  const double y = 1.0 + (r + fma(r * r, p, lo));
  const int e = (int)n, half = e / 2; /* two factors: the only rounding of a subnormal result is the last */
  return y * power_of_two(half) * power_of_two(e - half);
}

/* log(2^k (1+f)), sqrt(1/2) <= 1+f < sqrt(2): with s = f/(2+f), log(1+f) = f - (f^2/2 - s (f^2/2 + R)),
 * R = sum_{j>=1} 2 s^(2j)/(2j+1); s^2 < 0.0295, so j <= 11 leaves 1e-19. */
double fl_log(double x) {
  int k = 0;
  if (x != x || x == INFINITY) { return x; }
  if (x == 0.0) { return -INFINITY; }
  if (x < 0.0) { return NAN; }
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k = -54;
  }
  uint64_t u = to_bits(x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu); /* the exponent steps at sqrt(1/2), not at 1 */
  k += (int)(u >> 52) - 1023;
  const double f = of_bits((u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double r = 2.0 / 25.0;
  for (int j = 11; j >= 1; j--) { r = fma(r, z, 2.0 / (2 * j + 1)); }
  r *= z;
  const double kd = (double)k; /* k*hi is exact: hi has 21 zero bits at its end */
  return kd * 0x1.62e42feep-1 - ((half - (s * (half + r) + kd * 0x1.a39ef35793c76p-33)) - f);
}

static double sin_pi_part(double t) { /* sin(pi t), 0 <= t <= 1/4; Taylor to y^19 */
  static const double c[] = { -1.0 / 121645100408832000.0, 1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0,
                              -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0 };
  const double y = t * 0x1.921fb54442d18p+1, lo = fma(t, 0x1.921fb54442d18p+1, -y) + t * 0x1.1a62633145c07p-53, z = y * y;
  double p = c[0];
  for (size_t i = 1; i < sizeof c / sizeof *c; i++) { p = fma(p, z, c[i]); }
  return y + fma(y * z, p, lo);
}

static double cos_pi_part(double t) { /* cos(pi t), 0 <= t <= 1/4; Taylor to y^18 */
  static const double c[] = { -1.0 / 6402373705728000.0, 1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600.0,
                              -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0 };
  const double y = t * 0x1.921fb54442d18p+1, lo = fma(t, 0x1.921fb54442d18p+1, -y) + t * 0x1.1a62633145c07p-53, z = y * y;
  double p = c[0];
  for (size_t i = 1; i < sizeof c / sizeof *c; i++) { p = fma(p, z, c[i]); }
  const double h = 0.5 * z, w = 1.0 - h; /* (1 - w) - h is what the subtraction lost */
  return w + (((1.0 - w) - h) + fma(z * z, p, -y * lo));
}

double fl_cos_pi(double x) {
  x = fabs(x);
  if (!(x < INFINITY)) { return x - x; }
  if (x >= 0x1p53) { return 1.0; } /* an even number */
  const uint64_t whole = (uint64_t)x;
  const double f = x - (double)whole; /* exact, as are 0.5 - f and 1 - f where they are used */
  double r;
  if (f <= 0.25) {
    r = cos_pi_part(f);
  } else if (f < 0.75) {
    r = f <= 0.5 ? sin_pi_part(0.5 - f) : -sin_pi_part(f - 0.5);
  } else {
    r = -cos_pi_part(1.0 - f);
  }
  return (whole & 1u) && r != 0.0 ? -r : r;
}

/* log Gamma(2 + t), |t| <= 1/2: t (1 - gamma) + sum_{k>=2} (zeta(k) - 1)/k (-t)^k; k <= 28 leaves 1e-18 of it. */
static double lgamma_near_two(double t) {
  static const double c[] = {
    0x1.24932a337434cp-33, -0x1.2f69a9fabe3e0p-32, 0x1.3b15d2b2fc10cp-31, -0x1.47b1679258d0ep-30, 0x1.555a877ffd2c3p-29,
    -0x1.6434a8447aeadp-28, 0x1.7469daccfadcdp-27, -0x1.862c734df3eacp-26, 0x1.99b93c2070b0fp-25, -0x1.af5a6cbbf8a97p-24,
    0x1.c76bbb3f07a4dp-23, -0x1.e2600d93cfd2fp-22, 0x1.0064cdeb22f0fp-20, -0x1.11b2eb7679541p-19, 0x1.2597a39f34aacp-18,
    -0x1.3cbc963ce2243p-17, 0x1.580dcee66eb02p-16, -0x1.78de5bd7c81efp-15, 0x1.a127b0f17d65ap-14, -0x1.d3fd4c76d2fc8p-13,
    0x1.0b36af86396e9p-11, -0x1.38ac5c2bf8e08p-10, 0x1.7add6eadb6c30p-9, -0x1.e404fc218f5f2p-8, 0x1.51322ac7d8483p-6,
    -0x1.13e001a557607p-4, 0x1.4a34cc4a60fa6p-2, 0x1.b0ee6072093cep-2 };
  double p = c[0];
  for (size_t i = 1; i < sizeof c / sizeof *c; i++) { p = fma(p, t, c[i]); }
  return p * t;
}

/* Below 8 by the series around 2, to which x is shifted without rounding; above by Stirling's, to x^-17. The zeros at 1 and 2 are
 * the series' own, so the error is relative there too. */
double fl_lgamma(double x) {
  static const double stirling[] = { 43867.0 / 244188.0, -3617.0 / 122400.0, 1.0 / 156.0, -691.0 / 360360.0, 1.0 / 1188.0,
                                     -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0 };
  if (x != x || x < 0.0) { return NAN; }
  if (x == 0.0 || x == INFINITY) { return INFINITY; }
  if (x < 0.5) { return lgamma_near_two(x) - (fl_log(x) + fl_log(1.0 + x)); }
  if (x < 1.5) { return lgamma_near_two(x - 1.0) - fl_log(x); }
  if (x < 8.0) {
    double product = 1.0;
    while (x > 2.5) {
      x -= 1.0;
      product *= x;
    }
    return lgamma_near_two(x - 2.0) + fl_log(product);
  }
  const double inverse = 1.0 / x, z = inverse * inverse;
  double p = stirling[0];
  for (size_t i = 1; i < sizeof stirling / sizeof *stirling; i++) { p = fma(p, z, stirling[i]); }
  return fma(x - 0.5, fl_log(x) - 1.0, fma(p, inverse, 0x1.acfe390c97d69p-2)); /* (log(2 pi) - 1)/2 */
}

double fl_pow_int(double base, uint64_t e) {
  if (e == 0) { return 1.0; }
  double r = base;
  for (int bit = 62 - __builtin_clzll(e); bit >= 0; bit--) {
    r *= r;
    if ((e >> bit) & 1u) { r *= base; }
  }
  return r;
}

size_t fl_sample_piece(size_t positions) {
  size_t s = 32;
  while (s > 1 && positions > FL_GEMM_PIECE / s) { s /= 2; }
  return s;
}
