// Means, variances, 1-norms and places of maxima against long double and against their definitions, on data made to hurt.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/kernels.h>
#include <limits>
#include <string>
#include <vector>

namespace {
const float inf = std::numeric_limits<float>::infinity(), nan_value = std::numeric_limits<float>::quiet_NaN();

template <class F> void every_isa(F f) {
  for (int isa = 0; isa < FL_ISA_COUNT; isa++)
    if (const fl_kernels *k = fl_kernels_of(static_cast<fl_isa>(isa))) {
      INFO(k->name);
      f(k);
    }
}

uint32_t next(uint32_t &s) { return s = s * 1664525u + 1013904223u; }
float unit(uint32_t &s) { return static_cast<float>(next(s) >> 8) * 0x1p-23f - 1.0f; }

struct data { const char *name; std::vector<float> x; };
std::vector<data> hostile(size_t n) {
  std::vector<data> all(6);
  const char *names[] = {"plain", "far from 0", "denormal", "all magnitudes", "one giant", "drifting"};
  uint32_t s = 7;
  for (size_t k = 0; k < all.size(); k++) {
    all[k].name = names[k];
    for (size_t i = 0; i < n; i++) {
      const float u = unit(s);
      const float value[] = {u, 16777216.0f + 2.0f * std::floor(4.0f * u), u * 0x1p-127f,
                             std::ldexp(u, static_cast<int>(next(s) >> 25) - 64), i == n / 2 ? 3e38f : u,
                             static_cast<float>(i) + 0.01f * u};
      all[k].x.push_back(value[k]);
    }
  }
  return all;
}

struct moments { long double mean, variance; };
moments plain_moments(const float *x, size_t n) {
  long double s = 0, q = 0;
  for (size_t i = 0; i < n; i++) s += static_cast<long double>(x[i]);
  s /= static_cast<long double>(n);
  for (size_t i = 0; i < n; i++) q += (static_cast<long double>(x[i]) - s) * (static_cast<long double>(x[i]) - s);
  return {s, q / static_cast<long double>(n)};
}
bool near(double got, long double want, double relative) {
  return std::fabs(static_cast<long double>(got) - want) <= static_cast<long double>(relative) * std::fabs(want) + 1e-300L;
}
} // namespace

TEST_CASE("variance: within 1e-12 of two passes in long double, wherever the data lie", "[reduce]") {
  for (size_t n : {1u, 2u, 31u, 32u, 33u, 100u, 4096u, 4097u, 50000u})
    for (const data &d : hostile(n)) {
      const moments want = plain_moments(d.x.data(), n);
      every_isa([&](const fl_kernels *k) {
        INFO(d.name << " n " << n);
        double mean = -1;
        const double v = k->variance(n, d.x.data(), &mean);
        CHECK(near(v, want.variance, 1e-12));
        CHECK(mean == k->sum(n, d.x.data()) / static_cast<double>(n));
      });
    }
  every_isa([&](const fl_kernels *k) {
    double mean = 0;
    const std::vector<float> same(9000, 0.1f);
    CHECK(k->variance(same.size(), same.data(), &mean) < 1e-30); // the mean itself is rounded
    CHECK(static_cast<float>(mean) == 0.1f);
    const float one = 3.0f, ends[] = {1.0f, 2.0f, 3.0f, 4.0f};
    CHECK(k->variance(1, &one, &mean) == 0.0);
    CHECK(mean == 3.0);
    CHECK(k->variance(4, ends, &mean) == 1.25);
    CHECK(std::isnan(k->variance(0, ends, &mean)));
    CHECK(std::isnan(mean));
    std::vector<float> bad(5000, 1.0f);
    bad[4500] = inf;
    CHECK(std::isnan(k->variance(bad.size(), bad.data(), &mean)));
    CHECK(mean == std::numeric_limits<double>::infinity());
    bad[4500] = nan_value;
    CHECK(std::isnan(k->variance(bad.size(), bad.data(), &mean)));
    CHECK(std::isnan(mean));
  });
}

TEST_CASE("asum: the 1-norm", "[reduce]") {
  for (size_t n : {0u, 1u, 33u, 4097u, 50000u})
    for (const data &d : hostile(n)) {
      long double want = 0;
      for (float v : d.x) want += std::fabs(static_cast<long double>(v));
      every_isa([&](const fl_kernels *k) {
        INFO(d.name << " n " << n);
        CHECK(near(k->asum(n, d.x.data()), want, 1e-13));
      });
    }
  every_isa([&](const fl_kernels *k) {
    const float x[] = {-inf, inf}, y[] = {1.0f, -nan_value};
    CHECK(k->asum(2, x) == std::numeric_limits<double>::infinity());
    CHECK(std::isnan(k->asum(2, y)));
  });
}

TEST_CASE("argmax, argabsmax: the first of equals, the first NaN", "[reduce]") {
  uint32_t s = 3;
  const float value[] = {0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, nan_value};
  for (int round = 0; round < 3000; round++) {
    const size_t n = 1 + next(s) % 400, kinds = 1 + (next(s) >> 8) % 7, last = (next(s) >> 8) % n;
    std::vector<float> x(n);
    for (float &v : x) v = kinds == 7 ? unit(s) : value[(next(s) >> 8) % kinds];
    if (round % 3 == 0) x[last] = nan_value;
    size_t want = 0, want_abs = 0;
    for (size_t i = n; i-- > 0;) { // from the back, so that the first one stays
      if (!(x[i] < x[want])) want = std::isnan(x[want]) && !std::isnan(x[i]) ? want : i;
      if (!(std::fabs(x[i]) < std::fabs(x[want_abs]))) want_abs = std::isnan(x[want_abs]) && !std::isnan(x[i]) ? want_abs : i;
    }
    every_isa([&](const fl_kernels *k) {
      REQUIRE(k->argmax(n, x.data()) == want);
      REQUIRE(k->argabsmax(n, x.data()) == want_abs);
    });
  }
  every_isa([&](const fl_kernels *k) {
    CHECK(k->argmax(0, nullptr) == 0);
    std::vector<float> x(300000, -2.0f);
    x[123457] = x[234567] = -1.5f;
    CHECK(k->argmax(x.size(), x.data()) == 123457);
    CHECK(k->argabsmax(x.size(), x.data()) == 0);
  });
}

TEST_CASE("means of runs: each run alone, whatever lies around it", "[reduce]") {
  const std::vector<data> all = hostile(20000);
  const std::vector<fl_run> runs = {{0, 1}, {1, 7}, {8, 32}, {40, 33}, {73, 0}, {73, 4097}, {19000, 1000}};
  for (const data &d : all)
    every_isa([&](const fl_kernels *k) {
      INFO(d.name);
      std::vector<float> mean(runs.size()), mean_sq(runs.size());
      k->mean_runs(runs.size(), runs.data(), d.x.data(), mean.data());
      k->mean_sq_runs(runs.size(), runs.data(), d.x.data(), mean_sq.data());
      for (size_t r = 0; r < runs.size(); r++) {
        INFO("run " << r);
        long double s = 0, a = 0, q = 0;
        for (size_t i = 0; i < runs[r].size; i++) {
          const long double v = static_cast<long double>(d.x[runs[r].offset + i]);
          s += v;
          a += std::fabs(v);
          q += v * v;
        }
        if (runs[r].size == 0) {
          CHECK(std::isnan(mean[r]));
          continue;
        }
        const long double n = static_cast<long double>(runs[r].size), rounding = 0x1p-24L, tiny = 0x1p-149L;
        CHECK(std::fabs(static_cast<long double>(mean[r]) - s / n) <= rounding * std::fabs(s / n) + 1e-13L * a / n + tiny);
        if (q / n > 3.4e38L) CHECK(mean_sq[r] == inf);
        else CHECK(std::fabs(static_cast<long double>(mean_sq[r]) - q / n) <= 1.001L * rounding * (q / n) + tiny);
      }
    });
}

// Neumaier's sum: an independent long sum whose error does not grow with n.
template <class Term> static long double compensated(size_t n, Term term) {
  long double s = 0, lost = 0;
  for (size_t i = 0; i < n; i++) {
    const long double x = term(i), t = s + x;
    lost += std::fabs(s) >= std::fabs(x) ? (s - t) + x : (x - t) + s;
    s = t;
  }
  return s + lost;
}

TEST_CASE("gram, sq_distances: each entry is dot's and sumsq_diff's, near to compensated sums", "[reduce]") {
  for (size_t m : {1u, 3u, 6u})
    for (size_t n : {0u, 5u, 513u, 4100u, 13000u}) {
      const size_t ld = n + 3;
      const std::vector<data> all = hostile(m * ld);
      for (const data &d : all) {
        const auto at = [&](size_t v, size_t i) { return static_cast<long double>(d.x[v * ld + i]); };
        every_isa([&](const fl_kernels *k) {
          INFO(d.name << " m " << m << " n " << n);
          std::vector<double> g(m * m, -1), q(m * m, -1);
          k->gram(m, n, d.x.data(), ld, g.data());
          k->sq_distances(m, n, d.x.data(), ld, q.data());
          for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++) {
              const float *a = d.x.data() + i * ld, *b = d.x.data() + j * ld;
              REQUIRE(g[i * m + j] == k->dot(n, a, b));
              REQUIRE(q[i * m + j] == k->sumsq_diff(n, a, b));
              if (i > j || k->isa != FL_ISA_SCALAR) continue; // the others have the same bits
              const long double size = compensated(n, [&](size_t e) { return std::fabs(at(i, e) * at(j, e)); });
              const long double dot = compensated(n, [&](size_t e) { return at(i, e) * at(j, e); });
              CHECK(std::fabs(static_cast<long double>(g[i * m + j]) - dot) <= 1e-13L * size + 1e-300L);
              CHECK(near(q[i * m + j], compensated(n, [&](size_t e) { return (at(i, e) - at(j, e)) * (at(i, e) - at(j, e)); }),
                         1e-13));
            }
        });
      }
    }
}

TEST_CASE("sq_distances of vectors that differ in their last bit", "[reduce]") {
  const size_t n = 1000;
  std::vector<float> x(2 * n);
  for (size_t i = 0; i < n; i++) {
    x[i] = 1000.0f + static_cast<float>(i);
    x[n + i] = std::nextafter(x[i], inf);
  }
  long double want = 0;
  for (size_t i = 0; i < n; i++) want += std::pow(static_cast<long double>(x[n + i]) - static_cast<long double>(x[i]), 2.0L);
  every_isa([&](const fl_kernels *k) {
    double q[4];
    k->sq_distances(2, n, x.data(), n, q);
    CHECK(near(q[1], want, 1e-13)); // through |a|^2 + |b|^2 - 2 a.b nothing would be left
    CHECK((q[0] == 0 && q[3] == 0 && q[2] == q[1]));
    x[3] = inf;
    k->sq_distances(2, n, x.data(), n, q);
    CHECK((std::isnan(q[0]) && q[1] == std::numeric_limits<double>::infinity() && q[3] == 0));
    x[3] = 1003.0f;
  });
}
