// The accountant of federated-flat-private 17 against its worked numbers (which agree with public accountants), closed forms, the
// definition of the moment by numerical integration, and the fixed-size bound written out.
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/privacy.h>
#include <limits>

namespace {
const double inf = std::numeric_limits<double>::infinity();
struct Row { double q, noise, rounds, delta, improved, at, classic, at_classic, fixed; };
const Row rows[] = {                            // 17.7
  { 0.04, 1.5, 2250, 1e-5, 7.329111171484, 3.9, 8.073848277123, 4.1, 17.365430852802 },
  { 0.0025, 1.3, 6000, 1e-5, 0.724223402611, 19, 0.941870567168, 19, 1.479262469527 },
  { 0.001, 1.0, 30000, 1e-7, 1.415498849545, 13, 1.709287337007, 13, 2.156398614369 },
  { 0.1, 0.95, 200, 5e-3, 7.772284761237, 2.2, 9.021305613617, 2.3, 15.672932189271 },
  { 0.1, 0.95, 300, 2e-3, 10.794783324294, 2.1, 12.109145921500, 2.2, 22.469677513067 },
  { 0.1, 0.8, 300, 2e-3, 15.493853959980, 1.8, 17.039517507324, 1.8, 32.168207689086 },
  { 0.1, 0.8, 300, 1e-5, 21.230768420730, 2.0, 22.607866604411, 2.1, 37.466525055634 },
  { 0.05, 2.0, 1000, 1e-5, 4.024351196894, 5.9, 4.561167640877, 6.3, 9.306344755153 },
  { 0.2, 3.0, 100, 1e-3, 2.337024399171, 5.3, 2.906471186627, 5.9, 6.288742471655 },
  { 1.0, 10.0, 100, 1e-5, 4.728507067218, 5.4, 5.298526138535, 5.8, 0 } };
fl_accountant spent(fl_sampler sampler, double q, double noise, double rounds) {
  fl_accountant s;
  fl_accountant_start(&s);
  fl_accountant_add(&s, sampler, q, noise, rounds);
  return s;
}
// ln E[((1-q) + q exp((2z-1)/(2 s^2)))^a], z normal with deviation s, by Simpson's rule around both peaks: the definition.
double moment(double q, double s, double a) {
  const double from = -14 * s, to = a + 14 * s;
  const int n = 40000;
  double largest = -inf, sum = 0;
  auto f = [&](double z) {
    return -z * z / (2 * s * s) + a * std::log1p(q * std::expm1((2 * z - 1) / (2 * s * s)));
  };
  for (int i = 0; i <= n; i++) largest = std::fmax(largest, f(from + (to - from) * i / n));
  for (int i = 0; i <= n; i++) sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * std::exp(f(from + (to - from) * i / n) - largest);
  return largest + std::log(sum * (to - from) / n / 3 / (s * std::sqrt(2 * M_PI)));
}
} // namespace

TEST_CASE("Epsilon of the reference rows", "[privacy]") {
  for (const Row &r : rows) {
    double at;
    const fl_accountant s = spent(FL_POISSON, r.q, r.noise, r.rounds);
    CHECK(fl_accountant_epsilon(&s, FL_IMPROVED, r.delta, &at) == Approx(r.improved).epsilon(1e-11));
    CHECK(at == r.at);
    CHECK(fl_accountant_epsilon(&s, FL_CLASSIC, r.delta, &at) == Approx(r.classic).epsilon(1e-11));
    CHECK(at == r.at_classic);
    CHECK(fl_accountant_delta(&s, FL_IMPROVED, r.improved, nullptr) == Approx(r.delta).epsilon(1e-8));
    CHECK(fl_accountant_delta(&s, FL_CLASSIC, r.classic, nullptr) == Approx(r.delta).epsilon(1e-8));
    if (r.fixed == 0) continue;
    const fl_accountant f = spent(FL_FIXED_SIZE, r.q, 2 * r.noise, r.rounds);   // the column's sigma_r is noise/2
    CHECK(fl_accountant_epsilon(&f, FL_IMPROVED, r.delta, nullptr) == Approx(r.fixed).epsilon(1e-11));
  }
  // Replacing a client may move a sum by 2C: useless as guarantees, and to be told so.
  const fl_accountant f6 = spent(FL_FIXED_SIZE, 0.1, 0.8, 300), f5 = spent(FL_FIXED_SIZE, 0.1, 0.95, 300);
  CHECK(fl_accountant_epsilon(&f6, FL_IMPROVED, 2e-3, nullptr) == Approx(733.86).epsilon(1e-5));
  CHECK(fl_accountant_epsilon(&f5, FL_IMPROVED, 2e-3, nullptr) == Approx(300.82).epsilon(1e-5));
  // What clipping L tensors to C each would really spend: noise/sqrt(L).
  const fl_accountant l10 = spent(FL_POISSON, 0.1, 0.8 / std::sqrt(10), 300);
  const fl_accountant l40 = spent(FL_POISSON, 0.1, 0.8 / std::sqrt(40), 300);
  CHECK(fl_accountant_epsilon(&l10, FL_IMPROVED, 2e-3, nullptr) == Approx(294.24).epsilon(1e-4));
  CHECK(fl_accountant_epsilon(&l40, FL_IMPROVED, 2e-3, nullptr) == Approx(3696.1).epsilon(1e-4));
}

TEST_CASE("Renyi-DP of one round", "[privacy]") {
  const double first[][2] = { { 1.5, 1.3001417944e-5 }, { 2.5, 2.1708361138e-5 }, { 5, 4.3615131246e-5 },
                              { 50, 4.7692075077e-4 }, { 100, 3.3483261510 } };
  const double second[][2] = { { 1.5, 0.013627936430 }, { 2, 0.020080984704 }, { 3.3, 0.047870433076 },
                               { 10.9, 3.503782590227 }, { 32, 15.351669824478 } };
  for (auto &r : first) CHECK(fl_rdp(FL_POISSON, 0.01, 2.5, r[0]) == Approx(r[1]).epsilon(2e-10));
  for (auto &r : second) CHECK(fl_rdp(FL_POISSON, 0.1, 0.95, r[0]) == Approx(r[1]).epsilon(1e-10));
  for (const double a : { 1.1, 1.7, 2.0, 3.3, 6.9, 10.9, 20.0 })
    for (const double q : { 0.02, 0.1, 0.5, 0.9 }) for (const double s : { 0.6, 1.0, 2.5 })
      CHECK(fl_rdp(FL_POISSON, q, s, a) * (a - 1) == Approx(moment(q, s, a)).epsilon(1e-9).margin(1e-13));
  // Closed forms and ends; a whole order and its neighbours, which take another series.
  CHECK(fl_rdp(FL_POISSON, 1, 3, 7.5) == Approx(7.5 / 18).epsilon(1e-15));
  CHECK(fl_rdp(FL_POISSON, 0, 3, 7.5) == 0);
  CHECK(fl_rdp(FL_POISSON, 0.1, 0, 7.5) == inf);
  CHECK(fl_rdp(FL_FIXED_SIZE, 1, 3, 7.5) == Approx(7.5 / 4.5).epsilon(1e-15));
  for (const double a : { 2.0, 5.0, 9.0 })
    CHECK(fl_rdp(FL_POISSON, 0.1, 0.95, a) == Approx(fl_rdp(FL_POISSON, 0.1, 0.95, a + 1e-9)).epsilon(1e-7));
  // T9: the sign of the binomial. Without it order 1.5 would be 3 % more.
  CHECK(fl_rdp(FL_POISSON, 0.01, 2.5, 1.5) < 1.31e-5);
  // 17.5 at order 2 in its own words, and between whole orders.
  const double q = 0.1, e2 = 2 / (2 * 1.5 * 1.5), e3 = 3 / (2 * 1.5 * 1.5);
  const double at2 = std::log1p(q * q * std::fmin(4 * std::expm1(e2), 2 * std::exp(e2)));
  const double at3 = std::log1p(3 * q * q * std::fmin(4 * std::expm1(e2), 2 * std::exp(e2)) + 2 * q * q * q * std::exp(2 * e3));
  CHECK(fl_rdp(FL_FIXED_SIZE, q, 3, 2) == Approx(at2).epsilon(1e-12));
  CHECK(fl_rdp(FL_FIXED_SIZE, q, 3, 1.5) == Approx(0.5 * at2 / 0.5).epsilon(1e-12));
  CHECK(fl_rdp(FL_FIXED_SIZE, q, 3, 2.25) == Approx((0.75 * at2 + 0.25 * at3) / 1.25).epsilon(1e-12));
}

TEST_CASE("ln erfc without underflow", "[privacy]") {
  for (double x = -6; x < 26; x += 0.125) CHECK(fl_log_erfc(x) == Approx(std::log(std::erfc(x))).epsilon(1e-13).margin(1e-15));
  CHECK(std::erfc(28.0) == 0);                  // T9: why it is needed
  CHECK(fl_log_erfc(28) == Approx(-787.9052061945577).epsilon(1e-14));   // mpmath, 40 digits
  CHECK(fl_log_erfc(1000) == Approx(-1000007.4801207217).epsilon(1e-14));
  CHECK(fl_log_erfc(inf) == -inf);
  CHECK(fl_log_erfc(-inf) == Approx(std::log(2.0)).epsilon(1e-15));
}

TEST_CASE("Rounds of different kinds add up, and noise is found for an epsilon", "[privacy]") {
  fl_accountant s = spent(FL_POISSON, 1e-5, 1, 10);
  fl_accountant_add(&s, FL_POISSON, 1e-4, 3, 4);
  double least = inf, at = 0;                   // over the orders 2..32 that the reference took
  for (int a = 2; a <= 32; a++) {
    const double r = 10 * fl_rdp(FL_POISSON, 1e-5, 1, a) + 4 * fl_rdp(FL_POISSON, 1e-4, 3, a);
    const double e = r + std::log1p(-1.0 / a) - (std::log(1e-5) + std::log(a)) / (a - 1);
    if (e < least) least = e, at = a;
  }
  CHECK(least == Approx(0.336344063393).epsilon(1e-10));
  CHECK(at == 23);
  CHECK(fl_accountant_epsilon(&s, FL_IMPROVED, 1e-5, nullptr) <= least);
  CHECK(fl_noise_for(FL_POISSON, FL_IMPROVED, 8, 1e-5, 0.04, 2250) == Approx(1.415787143091).epsilon(1e-11));
  CHECK(fl_noise_for(FL_POISSON, FL_IMPROVED, 4, 2e-3, 0.1, 300) == Approx(1.687492310456).epsilon(1e-11));
  CHECK(fl_noise_for(FL_POISSON, FL_IMPROVED, 2, 1e-3, 0.1, 100) == Approx(1.857426550825).epsilon(1e-11));
  CHECK(fl_noise_for(FL_POISSON, FL_IMPROVED, 1e-3, 1e-300, 0.1, 100) == inf);
}
