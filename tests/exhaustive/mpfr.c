/* mpfr.c - the reference checked: reference.c against MPFR at 160 bits. */
#include "exhaustive.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef FL_HAVE_MPFR
#include <mpfr.h>
#define NEAREST MPFR_RNDN
static mpfr_t x, t, u, v, pi;

/* v = Phi(x) = erfc(-x/sqrt(2))/2 */
static void normal(void) {
  mpfr_sqrt_ui(t, 2, NEAREST);
  mpfr_div(t, x, t, NEAREST);
  mpfr_neg(t, t, NEAREST);
  mpfr_erfc(t, t, NEAREST);
  mpfr_div_ui(v, t, 2, NEAREST);
}
/* v = 1/(1 + exp(-t)) */
static void logistic(void) {
  mpfr_neg(v, t, NEAREST);
  mpfr_exp(v, v, NEAREST);
  mpfr_add_ui(v, v, 1, NEAREST);
  mpfr_ui_div(v, 1, v, NEAREST);
}
/* t = 2 sqrt(2/pi) x (1 + times * 0.044715 x^2), or without the x */
static void cubic(unsigned times, int with_x) {
  mpfr_set_ui(u, 44715 * times, NEAREST);
  mpfr_div_ui(u, u, 1000000, NEAREST);
  mpfr_mul(u, u, x, NEAREST);
  mpfr_mul(u, u, x, NEAREST);
  mpfr_add_ui(u, u, 1, NEAREST);
  mpfr_ui_div(t, 8, pi, NEAREST);
  mpfr_sqrt(t, t, NEAREST);
  mpfr_mul(t, t, u, NEAREST);
  if (with_x) { mpfr_mul(t, t, x, NEAREST); }
}

static void exact_exp(void) { mpfr_exp(v, x, NEAREST); }
static void exact_log(void) { mpfr_log(v, x, NEAREST); }
static void exact_expm1(void) { mpfr_expm1(v, x, NEAREST); }
static void exact_log1p(void) { mpfr_log1p(v, x, NEAREST); }
static void exact_tanh(void) { mpfr_tanh(v, x, NEAREST); }
static void exact_erf(void) { mpfr_erf(v, x, NEAREST); }
static void exact_sigmoid(void) {
  mpfr_set(t, x, NEAREST);
  logistic();
}
static void turn(void) { /* t = pi (x mod 2): a reduction by the rounded pi would lose a large x */
  mpfr_set_ui(t, 2, NEAREST);
  mpfr_fmod(t, x, t, NEAREST);
  mpfr_mul(t, t, pi, NEAREST);
}
/* A zero of the exact function is a zero of the sample: t/pi is a multiple of 1/2. */
static int halves(int odd) {
  mpfr_mul_ui(u, x, 2, NEAREST);
  if (!mpfr_integer_p(u)) { return 0; }
  mpfr_fmod(u, u, (mpfr_set_ui(v, 2, NEAREST), v), NEAREST);
  return mpfr_zero_p(u) ? !odd : odd;
}
static void exact_sinpi(void) {
  const int zero = halves(0);
  turn();
  if (zero) { mpfr_set_zero(v, 1); } else { mpfr_sin(v, t, NEAREST); }
}
static void exact_cospi(void) {
  const int zero = halves(1);
  turn();
  if (zero) { mpfr_set_zero(v, 1); } else { mpfr_cos(v, t, NEAREST); }
}
static void exact_gelu(void) {
  normal();
  mpfr_mul(v, v, x, NEAREST);
}
static void exact_gelu_tanh(void) {
  cubic(1, 1);
  logistic();
  mpfr_mul(v, v, x, NEAREST);
}
static void exact_gelu_back(void) { /* Phi + x exp(-x^2/2)/sqrt(2 pi) */
  normal();
  mpfr_sqr(t, x, NEAREST);
  mpfr_div_si(t, t, -2, NEAREST);
  mpfr_exp(t, t, NEAREST);
  mpfr_mul(t, t, x, NEAREST);
  mpfr_mul_ui(u, pi, 2, NEAREST);
  mpfr_sqrt(u, u, NEAREST);
  mpfr_div(t, t, u, NEAREST);
  mpfr_add(v, v, t, NEAREST);
}
static void exact_gelu_tanh_back(void) { /* g (1 + x v' (1 - g)) */
  mpfr_t slope;
  mpfr_init(slope);
  cubic(3, 0);
  mpfr_mul(slope, t, x, NEAREST);
  cubic(1, 1);
  logistic();
  mpfr_ui_sub(u, 1, v, NEAREST);
  mpfr_mul(u, u, slope, NEAREST);
  mpfr_add_ui(u, u, 1, NEAREST);
  mpfr_mul(v, v, u, NEAREST);
  mpfr_clear(slope);
}

static const struct { const char *name; void (*exact)(void); int absolute; } list[] = {
#define ALL 1
#define NONE 0
#define F(name, absolute, ulp, units) { #name, exact_##name, (absolute) == ALL },
  EVERY_FUNCTION(F)
#undef F
};

/* |got - exact| in ULP of a float at the exact value, or in 2^-24 */
static double error_of(double got, int absolute) {
  if (got != got || mpfr_nan_p(v)) { return got != got && mpfr_nan_p(v) ? 0.0 : INFINITY; }
  const double w = mpfr_get_d(v, NEAREST);
  if (fabs(w) >= 0x1p128 && fabs(got) >= 0x1p128) { return (w > 0) == (got > 0) ? 0.0 : INFINITY; }
  int e;
  frexp(w, &e);
  mpfr_sub_d(u, v, got, NEAREST);
  return ldexp(fabs(mpfr_get_d(u, NEAREST)), absolute ? 24 : 24 - (e < -125 ? -125 : e));
}

static float of_bits(uint64_t bits) {
  const uint32_t low = (uint32_t)bits;
  float y;
  memcpy(&y, &low, sizeof y);
  return y;
}

int check_reference(const char *name, void (*reference)(size_t, double *, const float *), uint64_t count) {
  size_t f = 0;
  while (strcmp(list[f].name, name)) { f++; }
  mpfr_set_default_prec(160);
  mpfr_inits(x, t, u, v, pi, (mpfr_ptr)0);
  mpfr_const_pi(pi, NEAREST);
  double worst = 0;
  float at = 0;
  for (uint64_t i = 0; i < count; i++) {
    /* By turns: spread over all bits; and over the binades 2^-9 .. 2^8, where the functions have their pieces. */
    const uint64_t spread = i * 0x9e3779b97f4a7c15u >> 32;
    const float in = of_bits(i % 2 ? spread : (spread & 0x807fffffu) | (118 + spread / 0x800000 % 18) << 23);
    if (!(fabsf(in) < INFINITY)) { continue; }
    double got;
    reference(1, &got, &in);
    mpfr_set_flt(x, in, NEAREST);
    list[f].exact();
    const double e = error_of(got, list[f].absolute);
    if (e > worst) { worst = e, at = in; }
  }
  mpfr_clears(x, t, u, v, pi, (mpfr_ptr)0);
  mpfr_free_cache();
  printf("%-14s reference against MPFR at %llu floats: %.3g %s at %.9g\n", name, (unsigned long long)count, worst,
         list[f].absolute ? "* 2^-24" : "ULP", (double)at);
  return worst > 0x1p-20;
}
#else
int check_reference(const char *name, void (*reference)(size_t, double *, const float *), uint64_t count) {
  (void)reference;
  (void)count;
  fprintf(stderr, "fedlane-exhaustive: %s: built without MPFR (libmpfr-dev)\n", name);
  return 1;
}
#endif
