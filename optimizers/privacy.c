/* privacy.c - the Renyi-DP accountant (federated-flat-private 17). Sums run in logarithms: a term at order 1024 is far above the
 * largest double, one at q = 1e-5 far below what 1 + it would show. */
#include <fedlane/kernels.h>
#include <fedlane/privacy.h>
#include <math.h>

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }

/* ---- elementary functions, of our own exp and log ----------------------------------------------------------------------- */
/* What rounding w = 1 + u, or w = exp(u), changed is divided out again (Kahan). */
static double log_1p(double u) {
  const double w = 1.0 + u;
  return w == 1.0 ? u : isinf(w) || w <= 0 ? fl_log(w) : fl_log(w) * (u / (w - 1.0));
}
static double exp_m1(double u) {
  const double w = fl_exp(u);
  return w == 1.0 ? u : w == 0.0 || isinf(w) ? w - 1.0 : (w - 1.0) * (u / fl_log(w));
}
/* ln(e^a + e^b), ln(e^a - e^b) with b <= a, ln(e^c - 1) with c > 0 */
static double log_add(double a, double b) {
  if (a < b) { const double t = a; a = b, b = t; }
  return b == -INFINITY ? a : a + log_1p(fl_exp(b - a));
}
static double log_sub(double a, double b) { return b == -INFINITY ? a : a + fl_log(-exp_m1(b - a)); }
static double log_less_one(double c) { return c + fl_log(-exp_m1(-c)); }

/* erf by its series of positive terms up to 2, where 1 - erf has lost two digits; from there the continued fraction t = x +
 * (1/2)/(x + 1/(x + (3/2)/(x + ...))), whose logarithm cannot underflow as erfc(27) does. */
double fl_log_erfc(double x) {
  if (isnan(x)) return x;
  if (fabs(x) < 2) {
    double term = x, sum = x;
    for (int n = 1; n < 60 && fabs(term) > 1e-18 * fabs(sum); n++) sum += term *= 2 * x * x / (2 * n + 1);
    return log_1p(-0x1.20dd750429b6dp+0 * fl_exp(-x * x) * sum);        /* 2/sqrt(pi) */
  }
  if (x < 0) return x < -38 ? 0x1.62e42fefa39efp-1 : fl_log(2.0 - fl_exp(fl_log_erfc(-x)));
  if (isinf(x)) return -INFINITY;
  double t = x;
  for (int n = 16 + (int)(300 / (x * x)); n >= 1; n--) t = x + 0.5 * n / t;
  return -x * x - 0x1.250d048e7a1bdp-1 - fl_log(t);                     /* ln(pi)/2 */
}

/* ---- one round, Poisson ------------------------------------------------------------------------------------------------- */
/* ln A of a whole order. What the terms would be without noise adds up to 1, so that A - 1 is a sum of positive terms: no digit
 * of a small loss is lost beside the 1. */
static double log_moment_whole(double q, double noise, double a) {
  const double lq = fl_log(q), lp = log_1p(-q);
  double binomial = 0, sum = -INFINITY;
  for (double k = 1; k <= a; k++) {
    binomial += fl_log(a - k + 1) - fl_log(k);
    if (k >= 2) sum = log_add(sum, binomial + (a - k) * lp + k * lq + log_less_one(k * (k - 1) / (2 * noise * noise)));
  }
  return sum > 0 ? sum + log_1p(fl_exp(-sum)) : log_1p(fl_exp(sum));
}

typedef struct { double a, lq, lp, z0, noise, k, binomial; int sign; } series;
/* ln of |the k-th pair of terms|, and on to the next: binom(a, k + 1) = binom(a, k)*(a - k)/(k + 1) keeps the sign. */
static double next_pair(series *s) {
  const double k = s->k, j = s->a - k, twice = 2 * s->noise * s->noise, root = 0x1.6a09e667f3bcdp+0 * s->noise;
  const double low = j * s->lp + k * s->lq + k * (k - 1) / twice + fl_log_erfc((k - s->z0) / root);
  const double high = k * s->lp + j * s->lq + j * (j - 1) / twice + fl_log_erfc((s->z0 - j) / root);
  const double both = s->binomial + log_add(low, high) - 0x1.62e42fefa39efp-1;
  s->binomial += fl_log(fabs(j)) - fl_log(k + 1);
  if (j < 0) s->sign = -s->sign;
  s->k++;
  return both;
}

/* The rest of a series whose signs alternate and whose terms fall like a power of k (some 100,000 of them count at order 1.1): N
 * terms in the Chebyshev weights of Cohen, Villegas, Zagier 2000 leave 5.8^-N of the first. In units of e^unit. */
static double alternating_rest(series *s, double unit) {
  enum { N = 40 };
  const double sign = s->sign;
  double d = fl_pow_int(3 + 0x1.6a09e667f3bcdp+1, N), b = -1, c, sum = 0;
  d = (d + 1 / d) / 2;
  c = -d;
  for (int i = 0; i < N; i++) {
    c = b - c;
    sum += c * fl_exp(next_pair(s) - unit);
    b *= (double)(i + N) * (i - N) / ((i + 0.5) * (i + 1));
  }
  return sign * sum / d;
}

/* ln A of any order above 1: the positive and the negative terms apart, subtracted at the end. */
static double log_moment(double q, double noise, double a) {
  series s = { .a = a, .lq = fl_log(q), .lp = log_1p(-q), .noise = noise, .sign = 1 };
  s.z0 = noise * noise * (s.lp - s.lq) + 0.5;
  double positive = -INFINITY, negative = -INFINITY, last = INFINITY;
  const double smooth = larger(a, s.z0 + 4 * noise) + 2;  /* from here on the terms fall smoothly, and every other is negative */
  while (s.k <= smooth) {
    const int sign = s.sign;
    const double term = next_pair(&s);
    if (sign > 0) positive = log_add(positive, term);
    else negative = log_add(negative, term);
    if (s.k > a + 1 && term < last && term < positive - 50) return log_sub(positive, negative);
    last = term;
  }
  const double rest = alternating_rest(&s, positive);
  return positive + log_1p(rest - fl_exp(negative - positive));
}

/* ---- one round, fixed size ----------------------------------------------------------------------------------------------- */
/* (a - 1)*RDP(a) at a whole order, the base mechanism's e(j) = j*slope */
static double log_fixed(double q, double slope, double a) {
  if (a < 2) return 0;
  const double lq = fl_log(q), two = 2 * slope, ln2 = 0x1.62e42fefa39efp-1;
  double binomial = fl_log(a) + fl_log((a - 1) / 2);
  double sum = log_add(0, 2 * lq + binomial + smaller(2 * ln2 + log_less_one(two), ln2 + two));
  for (double j = 3; j <= a; j++) {
    binomial += fl_log(a - j + 1) - fl_log(j);
    sum = log_add(sum, ln2 + j * lq + binomial + (j - 1) * j * slope);
  }
  return sum;
}

static double rdp_fixed(double q, double noise, double a) {
  const double slope = 1 / (2 * noise * noise), low = floor(a), part = a - low;
  const double below = log_fixed(q, slope, low), above = part > 0 ? log_fixed(q, slope, low + 1) : 0;
  return smaller(((1 - part) * below + part * above) / (a - 1), a * slope);
}

double fl_rdp(fl_sampler sampler, double q, double noise, double a) {
  if (q == 0) return 0;
  if (sampler == FL_FIXED_SIZE) noise /= 2;
  if (noise == 0) return INFINITY;
  if (q == 1) return a / (2 * noise * noise);
  if (sampler == FL_FIXED_SIZE) return rdp_fixed(q, noise, a);
  return larger(0, (a == floor(a) ? log_moment_whole(q, noise, a) : log_moment(q, noise, a)) / (a - 1));
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */
void fl_accountant_start(fl_accountant *s) {
  for (int i = 0; i < FL_ORDERS; i++) {
    s->order[i] = i < 99 ? (11 + i) / 10.0 : i < 152 ? i - 88 : 128 << (i - 152);
    s->rdp[i] = 0;
  }
}

void fl_accountant_add(fl_accountant *s, fl_sampler sampler, double q, double noise, double rounds) {
  for (int i = 0; rounds > 0 && i < FL_ORDERS; i++) s->rdp[i] += rounds * fl_rdp(sampler, q, noise, s->order[i]);
}

double fl_accountant_epsilon(const fl_accountant *s, fl_conversion conversion, double delta, double *order) {
  double best = INFINITY, at = s->order[0];
  const double ld = fl_log(delta);
  for (int i = 0; i < FL_ORDERS; i++) {
    const double a = s->order[i];
    double e = s->rdp[i] - ld / (a - 1);
    if (conversion == FL_IMPROVED) e += log_1p(-1 / a) - fl_log(a) / (a - 1);
    if (e < best) best = e, at = a;
  }
  if (order) *order = at;
  return larger(0, best);
}

double fl_accountant_delta(const fl_accountant *s, fl_conversion conversion, double epsilon, double *order) {
  double best = INFINITY, at = s->order[0];
  for (int i = 0; i < FL_ORDERS; i++) {
    const double a = s->order[i];
    double ld = (a - 1) * (s->rdp[i] - epsilon);
    if (conversion == FL_IMPROVED) ld += (a - 1) * log_1p(-1 / a) - fl_log(a);
    if (ld < best) best = ld, at = a;
  }
  if (order) *order = at;
  return smaller(1, fl_exp(best));
}

static int spends(fl_sampler sampler, fl_conversion conversion, double epsilon, double delta, double q, double rounds,
                  double noise) {
  fl_accountant s;
  fl_accountant_start(&s);
  fl_accountant_add(&s, sampler, q, noise, rounds);
  return fl_accountant_epsilon(&s, conversion, delta, NULL) > epsilon;
}

double fl_noise_for(fl_sampler sampler, fl_conversion conversion, double epsilon, double delta, double q, double rounds) {
  double low = 1e-3, high = 1;
  while (spends(sampler, conversion, epsilon, delta, q, rounds, high))
    if ((high *= 2) > 1e6) return INFINITY;
  while (high - low > 1e-13 * high) {
    const double middle = low + (high - low) / 2;
    if (spends(sampler, conversion, epsilon, delta, q, rounds, middle)) low = middle;
    else high = middle;
  }
  return high;
}
