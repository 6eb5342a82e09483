/* guard_stats.c - what decides whether one set of times is another's equal: Mann-Whitney's U within the launches, the median
 * effect, and an interval that assumes no distribution. */
#include "guard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fl_verdict_word[FL_VERDICTS] = { "same", "faster", "slower", "noisy", "no baseline" };

enum { EXACT_MOST = 50 };                       /* samples of a stratum's side that are still counted out */

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double *sorted(const double *v, size_t n) {
  double *s = malloc((n + !n) * sizeof *s);
  if (!s) abort();
  if (n) memcpy(s, v, n * sizeof *s);
  qsort(s, n, sizeof *s, by_value);
  return s;
}

double fl_median(const double *v, size_t n) {
  double *s = sorted(v, n), m = n == 0 ? NAN : n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
  free(s);
  return m;
}

/* Shares of the arrangements of n and m values in which U is 0, 1, ... n*m. The largest value is one of the n with chance
 * i / (i + j), and then stands over all j of the others: only positive terms are added. */
static double *u_shares(size_t n, size_t m) {
  const size_t size = n * m + 1;
  double *f = calloc((m + 1) * size, sizeof *f);   /* f[j]: of i and j values */
  if (!f) abort();
  for (size_t j = 0; j <= m; j++) f[j * size] = 1;
  for (size_t i = 1; i <= n; i++) {
    for (size_t j = 1; j <= m; j++) {
      double *to = f + j * size;
      const double *less = to - size, share = (double)i / (double)(i + j);
      for (size_t u = i * j + 1; u-- > 0;) to[u] = (u >= j ? share * to[u - j] : 0) + (1 - share) * less[u];
    }
  }
  memmove(f, f + m * size, size * sizeof *f);
  return f;
}

static double *convolve(double *f, size_t nf, const double *g, size_t ng) {
  double *h = calloc(nf + ng - 1, sizeof *h);
  if (!h) abort();
  for (size_t i = 0; i < nf; i++)
    for (size_t j = 0; j < ng; j++) h[i + j] += f[i] * g[j];
  free(f);
  return h;
}

/* U of one stratum; the variance of U under equality; whether any two values are equal. */
static double u_of(const double *a, size_t na, const double *b, size_t nb, double *variance, int *ties) {
  double u = 0, sum = 0;
  const size_t n = na + nb;
  for (size_t i = 0; i < na; i++)
    for (size_t j = 0; j < nb; j++) u += b[j] > a[i] ? 1 : b[j] == a[i] ? 0.5 : 0;
  double *all = malloc((n + !n) * sizeof *all);
  if (!all) abort();
  for (size_t i = 0; i < n; i++) all[i] = i < na ? a[i] : b[i - na];
  qsort(all, n, sizeof *all, by_value);
  for (size_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && all[j] == all[i]; j++) *ties = 1;
    const double t = (double)(j - i);
    sum += t * t * t - t;
  }
  free(all);
  const double dn = (double)n;
  *variance = n < 2 ? 0 : (double)na * (double)nb / 12 * (dn + 1 - sum / (dn * (dn - 1)));
  return u;
}

double fl_u_test(const fl_timings *s, double *u) {
  double sum = 0, mean = 0, variance = 0, *f = NULL;
  int ties = 0, large = 0;
  size_t nf = 1, from_a = 0, from_b = 0;
  for (size_t k = 0; k < s->strata; from_a += s->na[k], from_b += s->nb[k], k++) {
    double v;
    sum += u_of(s->a + from_a, s->na[k], s->b + from_b, s->nb[k], &v, &ties);
    mean += (double)s->na[k] * (double)s->nb[k] / 2;
    variance += v;
    large |= s->na[k] > EXACT_MOST || s->nb[k] > EXACT_MOST;
  }
  if (u) *u = sum;
  if (ties || large) {
    const double off = fabs(sum - mean) - 0.5;
    return variance > 0 && off > 0 ? erfc(off / sqrt(2 * variance)) : 1;
  }
  for (size_t k = 0; k < s->strata; k++) {
    double *g = u_shares(s->na[k], s->nb[k]);
    const size_t ng = s->na[k] * s->nb[k] + 1;
    f = f ? convolve(f, nf, g, ng) : g;
    if (f != g) free(g);
    nf = nf + ng - 1;
  }
  double tail = 0;                              /* the distribution is symmetric */
  const double upper = sum > mean ? sum : 2 * mean - sum;
  for (size_t i = nf; i-- > 0 && (double)i >= upper;) tail += f[i];
  free(f);
  return tail < 0.5 ? 2 * tail : 1;
}

/* How many of the smallest of n sorted values an interval for the median leaves out. */
static size_t left_out(size_t n) {
  double share = pow(0.5, (double)n), below = 0;
  size_t k = 0;
  for (; k < n / 2 && below + share <= FL_GUARD_ALPHA / 2; k++) {
    below += share;
    share *= (double)(n - k) / (double)(k + 1);
  }
  return k ? k - 1 : 0;
}

/* The same of all differences between the values of a and of b. */
static size_t left_out_of_pairs(size_t n, size_t m) {
  if (n > EXACT_MOST || m > EXACT_MOST) {
    const double nm = (double)n * (double)m, z = 2.5758293035489004;
    const double k = nm / 2 - z * sqrt(nm * (double)(n + m + 1) / 12) - 0.5;
    return k > 0 ? (size_t)k : 0;
  }
  double *f = u_shares(n, m), below = 0;
  size_t k = 0;
  for (; k < n * m / 2 && below + f[k] <= FL_GUARD_ALPHA / 2; k++) below += f[k];
  free(f);
  return k ? k - 1 : 0;
}

/* Logarithms of b over a: of neighbours, or of all pairs. */
static double *ratios(const fl_timings *s, size_t na, size_t nb, int paired, size_t *n) {
  *n = paired ? na : na * nb;
  double *r = malloc((*n + !*n) * sizeof *r);
  if (!r) abort();
  for (size_t i = 0; i < *n; i++) r[i] = paired ? log(s->b[i] / s->a[i]) : log(s->b[i % nb] / s->a[i / nb]);
  return r;
}

/* Whether the neighbours of three launches of four point the same way: where the memory of one process happens to lie is no
 * effect. */
static int agree(const fl_timings *s, const double *ratio) {
  size_t up = 0, down = 0, from = 0;
  for (size_t k = 0; k < s->strata; from += s->na[k], k++) {
    const double m = fl_median(ratio + from, s->na[k]);
    up += m > 0;
    down += m < 0;
  }
  return 4 * (up > down ? up : down) >= 3 * s->strata;
}

fl_judgement fl_judge(const fl_timings *s, int paired, double min_effect) {
  fl_judgement j = { .verdict = FL_NOISY };
  size_t na = 0, nb = 0, n;
  for (size_t k = 0; k < s->strata; k++) na += s->na[k], nb += s->nb[k];
  double *r = ratios(s, na, nb, paired, &n);
  const int one_way = !paired || agree(s, r);
  qsort(r, n, sizeof *r, by_value);
  const size_t out = paired ? left_out(n) : left_out_of_pairs(na, nb);
  j.before = fl_median(s->a, na);
  j.now = fl_median(s->b, nb);
  j.effect = expm1(fl_median(r, n));
  j.low = n ? expm1(r[out]) : NAN;
  j.high = n ? expm1(r[n - 1 - out]) : NAN;
  j.p = fl_u_test(s, NULL);
  free(r);
  const int sure = na >= FL_GUARD_LEAST && nb >= FL_GUARD_LEAST && j.p < FL_GUARD_ALPHA && one_way;
  if (na < FL_GUARD_LEAST || nb < FL_GUARD_LEAST) return j;
  if (fabs(j.effect) < min_effect) {
    /* Beyond twice the least effect nothing may be left open. */
    if (j.high < 2 * min_effect && j.low > -2 * min_effect) j.verdict = FL_SAME;
  } else if (sure && (j.effect > 0 ? j.low > 0 : j.high < 0)) {
    j.verdict = j.effect > 0 ? FL_SLOWER : FL_FASTER;
  }
  return j;
}

static double spread(const double *v, size_t n) {
  double least = v[0], most = v[0];
  for (size_t i = 1; i < n; i++) least = v[i] < least ? v[i] : least, most = v[i] > most ? v[i] : most;
  return most / least - 1;
}

fl_judgement fl_judge_counts(const fl_timings *s, double min_effect) {
  fl_judgement j = { .verdict = FL_NOISY, .p = NAN };
  size_t na = 0, nb = 0;
  for (size_t k = 0; k < s->strata; k++) na += s->na[k], nb += s->nb[k];
  if (na == 0 || nb == 0) return j;
  j.before = fl_median(s->a, na);
  j.now = fl_median(s->b, nb);
  j.effect = j.low = j.high = j.now / j.before - 1;
  if (spread(s->a, na) > min_effect / 2 || spread(s->b, nb) > min_effect / 2) return j;
  j.verdict = fabs(j.effect) < min_effect ? FL_SAME : j.effect > 0 ? FL_SLOWER : FL_FASTER;
  return j;
}

/* `same` needs one look; a change needs two that agree. */
int fl_decide(const fl_verdict *look, size_t looks) {
  size_t count[FL_VERDICTS] = { 0 };
  for (size_t i = 0; i < looks; i++) count[look[i]]++;
  if (looks > 0 && (look[0] == FL_SAME || look[0] == FL_NO_BASELINE)) return (int)look[0];
  for (int v = FL_SAME; v <= FL_SLOWER; v++)
    if (count[v] >= 2) return v;
  return looks < FL_GUARD_LOOKS ? -1 : FL_NOISY;
}
