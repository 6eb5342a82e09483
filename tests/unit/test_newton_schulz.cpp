// Newton-Schulz as the polynomial that it is on singular values (deep-first-order 16.7), on matrices with known ones.
#include "reference_matrix.hpp"
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/kernels.h>
#include <vector>

namespace {
using Floats = std::vector<float>;
using Doubles = std::vector<double>; // row-major

double h5(double s) {
  for (int i = 0; i < 5; i++) s = s * (3.4445 + s * s * (-4.7750 + 2.0315 * s * s));
  return s;
}
Floats newton_schulz(size_t r, size_t c, const Doubles &g) {
  const Floats u(g.begin(), g.end());
  Floats o(r * c, 7.0f), work(fl_newton_schulz_work(r, c));
  fl_newton_schulz(fl_kernels_select(nullptr, nullptr), r, c, u.data(), o.data(), 5, work.data());
  return o;
}
// m x n with orthonormal columns: Gram-Schmidt, each column twice, of fixed numbers.
Doubles orthonormal(size_t m, size_t n, uint64_t seed) {
  Doubles q(m * n);
  for (auto &x : q) seed = seed * 6364136223846793005u + 1442695040888963407u, x = double(int32_t(seed >> 32)) * 0x1p-31;
  return reference::orthogonal_factor(m, n, q);
}
template <class A, class B> Doubles product(size_t m, size_t k, size_t n, const A &a, const B &b) {
  Doubles c(m * n, 0);
  for (size_t i = 0; i < m; i++)
    for (size_t l = 0; l < k; l++)
      for (size_t j = 0; j < n; j++) c[i * n + j] += double(a[i * k + l]) * double(b[l * n + j]);
  return c;
}
template <class A> Doubles transposed(size_t m, size_t n, const A &a) {
  Doubles t(m * n);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) t[j * m + i] = double(a[i * n + j]);
  return t;
}
struct Known { size_t r, c, k; Doubles u, v, s, g; };  // g = u diag(s) v^T, k = min(r, c)
Known known(size_t r, size_t c, double (*value)(double)) {
  Known a{ r, c, std::min(r, c), {}, {}, {}, {} };
  a.u = orthonormal(r, a.k, 3), a.v = orthonormal(c, a.k, 8);
  Doubles scaled = a.u;
  for (size_t j = 0; j < a.k; j++) a.s.push_back(value(double(j) / double(a.k - 1)));
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < a.k; j++) scaled[i * a.k + j] *= a.s[j];
  a.g = product(r, a.k, c, scaled, transposed(c, a.k, a.v));
  return a;
}
template <class A, class B> double apart(const A &a, const B &b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); i++) worst = std::max(worst, std::fabs(double(a[i]) - double(b[i])));
  return worst;
}
const size_t sizes[][2] = { { 32, 32 }, { 24, 70 }, { 61, 17 }, { 90, 90 } };
double even(double) { return 1; }
double falling(double t) { return 1 - 0.95 * t; }
double decades(double t) { return 50 * std::pow(10, -2.3 * t); }
double one_large(double t) { return t == 0 ? 1 : 0.01; }
double tiny(double t) { return t == 0 ? 1 : 1e-5 * (1 + t); }
} // namespace

TEST_CASE("Newton-Schulz keeps singular vectors and takes each singular value through its polynomial five times", "[matrix]") {
  CHECK(h5(1) == Approx(0.6964).margin(5e-5));
  CHECK(h5(0.5) == Approx(0.7654).margin(5e-5));
  for (const auto &size : sizes)
    for (const auto value : { even, falling, decades, one_large, tiny }) {
      const Known a = known(size[0], size[1], value);
      double square = 0;
      for (double s : a.s) square += s * s;
      // u^T O v must be the diagonal of the new singular values.
      const Doubles d = product(a.k, a.c, a.k, product(a.k, a.r, a.c, transposed(a.r, a.k, a.u), newton_schulz(a.r, a.c, a.g)),
                                a.v);
      for (size_t i = 0; i < a.k; i++) {
        const double s = a.s[i] / std::sqrt(square), now = d[i * a.k + i];
        INFO(a.r << " x " << a.c << ", singular value " << s);
        CHECK(now == Approx(h5(s)).margin(2e-4));
        if (s >= 0.0015) CHECK((now >= 0.6818 - 2e-4 && now <= 1.2024 + 2e-4));
        if (s >= 0.01) CHECK(now <= 1.1344 + 2e-4);
        if (s < 1e-4) CHECK(now == Approx(484.9 * s).epsilon(0.03));
        for (size_t j = 0; j < a.k; j++) REQUIRE((i == j || std::fabs(d[i * a.k + j]) < 2e-4));
      }
    }
}

TEST_CASE("Newton-Schulz: the scale does not count, rotations and the transpose pass through, 0 stays 0", "[matrix]") {
  for (const auto &size : sizes) {
    const size_t r = size[0], c = size[1];
    INFO(r << " x " << c);
    const Known a = known(r, c, falling);
    const Floats o = newton_schulz(r, c, a.g);
    for (double k : { 1e-3, 3.0, 1e6 }) {
      Doubles scaled = a.g;
      for (auto &x : scaled) x *= k;
      CHECK(apart(newton_schulz(r, c, scaled), o) < 2e-4);
    }
    const Doubles q1 = orthonormal(r, r, 21), q2 = orthonormal(c, c, 34);
    CHECK(apart(newton_schulz(r, c, product(r, c, c, product(r, r, c, q1, a.g), q2)),
                product(r, c, c, product(r, r, c, q1, o), q2)) < 1e-4);
    CHECK(apart(newton_schulz(c, r, transposed(r, c, a.g)), transposed(r, c, o)) < 1e-5);
    CHECK(apart(newton_schulz(r, c, Doubles(r * c, 0)), Floats(r * c, 0)) == 0);
  }
}

TEST_CASE("Newton-Schulz of orthonormal rows is a multiple of them", "[matrix]") {
  for (const auto &size : { std::pair<size_t, size_t>{ 10, 64 }, { 33, 33 }, { 50, 81 } }) {
    Doubles g = transposed(size.second, size.first, orthonormal(size.second, size.first, 5));
    const Floats o = newton_schulz(size.first, size.second, g);
    const double k = h5(1 / std::sqrt(double(size.first)));
    for (auto &x : g) x *= k;
    CHECK(apart(o, g) < 1e-5);
  }
}
