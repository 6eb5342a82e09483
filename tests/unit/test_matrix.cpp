// test_matrix.cpp - the decompositions against plain double references (Gram-Schmidt, Jacobi, row by row Cholesky), residuals,
// closed forms, sign rules, and inputs at the ends of the range.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/kernels.h>
#include <limits>
#include <numeric>
#include <vector>

namespace {
using Floats = std::vector<float>;
using Doubles = std::vector<double>;
const double eps = std::ldexp(1.0, -24), tiny = 1e-300;
const float not_a_number = std::numeric_limits<float>::quiet_NaN(), unbounded = std::numeric_limits<float>::infinity();

const fl_kernels *best() {
  const char *error = nullptr;
  return fl_kernels_select(nullptr, &error);
}

struct Random {
  uint64_t state;
  double operator()() { // in (-1, 1)
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(static_cast<int32_t>(state >> 32)) * 0x1p-31;
  }
};
Floats random_matrix(size_t count, uint64_t seed) {
  Random r{ seed };
  Floats a(count);
  for (float &x : a) { x = static_cast<float>(r()); }
  return a;
}
Floats symmetric(size_t n, uint64_t seed) { // the upper triangle is never to be read
  Floats a = random_matrix(n * n, seed);
  for (size_t i = 0; i < n; i++) {
    for (size_t j = i + 1; j < n; j++) { a[i * n + j] = not_a_number; }
  }
  return a;
}
double lower(const Floats &a, size_t n, size_t i, size_t j) { return i >= j ? a[i * n + j] : a[j * n + i]; }

// x x^T of a random x, and `ridge` on the diagonal.
Floats positive(size_t n, size_t inner, double ridge, uint64_t seed) {
  const Floats x = random_matrix(n * inner, seed);
  Floats a(n * n);
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      double s = i == j ? ridge : 0.0;
      for (size_t l = 0; l < inner; l++) { s += static_cast<double>(x[i * inner + l]) * x[j * inner + l]; }
      a[i * n + j] = static_cast<float>(s);
    }
  }
  return a;
}

// max |q^T q - I| of the columns.
double from_orthonormal(const Floats &q, size_t m, size_t n) {
  double worst = 0.0;
  for (size_t a = 0; a < n; a++) {
    for (size_t b = 0; b <= a; b++) {
      double s = a == b ? -1.0 : 0.0;
      for (size_t i = 0; i < m; i++) { s += static_cast<double>(q[i * n + a]) * q[i * n + b]; }
      worst = s == s ? std::max(worst, std::fabs(s)) : std::numeric_limits<double>::infinity();
    }
  }
  return worst;
}
double norm(const Floats &a) {
  double s = 0.0;
  for (const float x : a) { s += static_cast<double>(x) * x; }
  return std::sqrt(s);
}

// ---- QR ----------------------------------------------------------------------------------------------------------------
struct Qr { Floats q, r; };
Qr qr(size_t m, size_t n, const Floats &a) {
  Floats work(fl_qr_work(m, n));
  Qr f{ a, Floats(n * n, 7.0f) };
  fl_qr(best(), m, n, f.q.data(), f.q.data(), f.r.data(), work.data());
  return f;
}

// |a - q r| of column j over the column's norm; orthonormal columns; r upper triangular with diagonal >= 0.
void check_qr(size_t m, size_t n, const Floats &a) {
  const Qr f = qr(m, n, a);
  CHECK(from_orthonormal(f.q, m, n) <= 8 * eps * std::sqrt(static_cast<double>(m)));
  for (size_t j = 0; j < n; j++) {
    double error = 0.0, size = 0.0;
    for (size_t i = 0; i < m; i++) {
      double s = -static_cast<double>(a[i * n + j]);
      for (size_t l = 0; l <= j; l++) { s += static_cast<double>(f.q[i * n + l]) * f.r[l * n + j]; }
      error += s * s;
      size += static_cast<double>(a[i * n + j]) * a[i * n + j];
    }
    CHECK(std::sqrt(error) <= 8 * eps * std::sqrt(static_cast<double>(m) * size) + tiny);
    CHECK(f.r[j * n + j] >= 0.0f);
    for (size_t i = j + 1; i < n; i++) { REQUIRE(f.r[i * n + j] == 0.0f); }
  }
}

// Gram-Schmidt in double, each column twice: the unique pair with a positive diagonal.
void reference_qr(size_t m, size_t n, const Floats &a, Doubles &q, Doubles &r) {
  q.assign(a.begin(), a.end());
  r.assign(n * n, 0.0);
  for (size_t j = 0; j < n; j++) {
    for (int turn = 0; turn < 2; turn++) {
      for (size_t l = 0; l < j; l++) {
        double s = 0.0;
        for (size_t i = 0; i < m; i++) { s += q[i * n + l] * q[i * n + j]; }
        for (size_t i = 0; i < m; i++) { q[i * n + j] -= s * q[i * n + l]; }
        r[l * n + j] += s;
      }
    }
    double s = 0.0;
    for (size_t i = 0; i < m; i++) { s += q[i * n + j] * q[i * n + j]; }
    r[j * n + j] = std::sqrt(s);
    for (size_t i = 0; i < m; i++) { q[i * n + j] /= r[j * n + j]; }
  }
}

// ---- eigen decomposition ---------------------------------------------------------------------------------------------------
struct Eigen { int status; Floats w, v; };
Eigen eigh(size_t n, const Floats &a) {
  Floats work(fl_eigh_work(n));
  Eigen e{ 0, Floats(n), a };
  e.status = fl_eigh(best(), n, e.v.data(), e.w.data(), e.v.data(), work.data());
  return e;
}

// Cyclic Jacobi in double: eigenvalues, descending.
Doubles reference_eigenvalues(size_t n, const Floats &f) {
  Doubles a(n * n), w(n);
  for (size_t i = 0; i < n * n; i++) { a[i] = lower(f, n, i / n, i % n); }
  for (int turn = 0; turn < 12; turn++) {
    for (size_t p = 0; p < n; p++) {
      for (size_t q = p + 1; q < n; q++) {
        const double x = a[p * n + q];
        if (x == 0.0) { continue; }
        const double h = (a[q * n + q] - a[p * n + p]) / (2.0 * x),
            t = (h < 0 ? -1.0 : 1.0) / (std::fabs(h) + std::sqrt(h * h + 1.0));
        const double c = 1.0 / std::sqrt(t * t + 1.0), s = t * c;
        for (size_t i = 0; i < n; i++) {
          const double u = a[i * n + p], v = a[i * n + q];
          a[i * n + p] = c * u - s * v;
          a[i * n + q] = s * u + c * v;
        }
        for (size_t i = 0; i < n; i++) {
          const double u = a[p * n + i], v = a[q * n + i];
          a[p * n + i] = c * u - s * v;
          a[q * n + i] = s * u + c * v;
        }
      }
    }
  }
  for (size_t i = 0; i < n; i++) { w[i] = a[i * n + i]; }
  std::sort(w.begin(), w.end(), std::greater<double>());
  return w;
}

void check_eigh(size_t n, const Floats &a) {
  const Eigen e = eigh(n, a);
  REQUIRE(e.status == 0);
  const Doubles w = reference_eigenvalues(n, a);
  double size = 0.0, residual = 0.0;
  for (const double x : w) { size = std::max(size, std::fabs(x)); }
  const double bound = 8 * eps * std::sqrt(static_cast<double>(n));
  CHECK(from_orthonormal(e.v, n, n) <= bound);
  for (size_t j = 0; j < n; j++) {
    CHECK(std::fabs(e.w[j] - w[j]) <= bound * size);
    if (j) { REQUIRE(e.w[j - 1] >= e.w[j]); }
    float big = 0.0f;
    for (size_t i = 0; i < n; i++) { big = std::max(big, std::fabs(e.v[i * n + j])); }
    size_t first = 0;
    while (std::fabs(e.v[first * n + j]) != big) { first++; }
    REQUIRE(e.v[first * n + j] > 0.0f);
    for (size_t i = 0; i < n; i++) {
      double s = -static_cast<double>(e.w[j]) * e.v[i * n + j];
      for (size_t l = 0; l < n; l++) { s += lower(a, n, i, l) * e.v[l * n + j]; }
      residual = std::max(residual, std::fabs(s));
    }
  }
  CHECK(residual <= bound * size);
}

// v diag(w) v^T with the orthonormal v of a random matrix.
Floats with_eigenvalues(const Doubles &w, uint64_t seed) {
  const size_t n = w.size();
  Doubles q, r;
  reference_qr(n, n, random_matrix(n * n, seed), q, r);
  Floats a(n * n);
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      double s = 0.0;
      for (size_t l = 0; l < n; l++) { s += q[i * n + l] * w[l] * q[j * n + l]; }
      a[i * n + j] = static_cast<float>(s);
    }
  }
  return a;
}

Floats diagonal(const Floats &d) {
  Floats a(d.size() * d.size());
  for (size_t i = 0; i < d.size(); i++) { a[i * d.size() + i] = d[i]; }
  return a;
}
bool all_nan(const Floats &a) {
  for (const float x : a) {
    if (x == x) { return false; }
  }
  return true;
}
int inverse_root(size_t n, const Floats &a, double p, float ridge, Floats &out) {
  Floats work(fl_inverse_root_work(n));
  out.assign(n * n, 7.0f);
  return fl_inverse_root(best(), n, a.data(), p, ridge, out.data(), work.data());
}
int cholesky(size_t n, const Floats &a, Floats &l) {
  Floats work(fl_cholesky_work(n));
  l.assign(n * n, 7.0f);
  return fl_cholesky(best(), n, a.data(), l.data(), work.data());
}
} // namespace

TEST_CASE("QR: residual, orthogonality, and the one factor with a positive diagonal") {
  static const size_t shapes[][2] = { { 1, 1 }, { 2, 2 }, { 5, 3 }, { 31, 31 }, { 32, 32 }, { 33, 33 }, { 64, 64 }, { 90, 65 },
                                      { 200, 150 }, { 300, 7 } };
  for (const auto &s : shapes) {
    const size_t m = s[0], n = s[1];
    const Floats a = random_matrix(m * n, 17 * m + n);
    check_qr(m, n, a);
    Floats tall = a; // well conditioned: then the factors themselves are close
    for (size_t j = 0; j < n; j++) { tall[j * n + j] += (j % 2 ? 3.0f : -3.0f) * std::sqrt(static_cast<float>(m)); }
    const Qr f = qr(m, n, tall);
    Doubles q, r;
    reference_qr(m, n, tall, q, r);
    for (size_t i = 0; i < m * n; i++) { REQUIRE(std::fabs(f.q[i] - q[i]) <= 64 * eps); }
    for (size_t i = 0; i < n * n; i++) { REQUIRE(std::fabs(f.r[i] - r[i]) <= 64 * eps * r[0]); }
  }
  fl_qr(best(), 0, 0, nullptr, nullptr, nullptr, nullptr);
  fl_qr(best(), 3, 0, nullptr, nullptr, nullptr, nullptr);
}

TEST_CASE("QR of matrices with known factors") {
  for (const size_t n : { 1, 3, 40 }) {
    Floats d(n);
    for (size_t i = 0; i < n; i++) { d[i] = (i % 3 == 1 ? -1.0f : 1.0f) * static_cast<float>(i + 1); }
    const Qr f = qr(n, n, diagonal(d));
    for (size_t i = 0; i < n * n; i++) {
      const float want = i % (n + 1) ? 0.0f : d[i / n];
      REQUIRE(f.r[i] == std::fabs(want));
      REQUIRE(f.q[i] == (want < 0.0f ? -1.0f : want > 0.0f ? 1.0f : 0.0f));
    }
    const Qr zero = qr(n + 2, n, Floats((n + 2) * n)); // the first columns of the identity
    for (size_t i = 0; i < (n + 2) * n; i++) {
      REQUIRE(zero.q[i] == (i % (n + 1) || i / n >= n ? (i / n == i % n ? 1.0f : 0.0f) : 1.0f));
    }
    for (const float x : zero.r) { REQUIRE((x == 0.0f && !std::signbit(x))); }
  }
  Floats rank_one(50 * 40);
  for (size_t i = 0; i < rank_one.size(); i++) {
    rank_one[i] = static_cast<float>((1.0 + static_cast<double>(i / 40)) * (1.0 + static_cast<double>(i % 40)));
  }
  check_qr(50, 40, rank_one);
}

TEST_CASE("QR over the range of floats") {
  Floats a = random_matrix(60 * 50, 5);
  for (size_t i = 0; i < a.size(); i++) { a[i] = static_cast<float>(a[i] * std::pow(10.0, -30.0 + static_cast<double>(i % 50))); }
  check_qr(60, 50, a); // columns of 1e-30 to 1e19, each to its own size
  for (const float scale : { 1e-30f, 1e30f, 3e37f }) {
    Floats b = random_matrix(40 * 40, 6);
    for (float &x : b) { x *= scale; }
    check_qr(40, 40, b);
  }
  const Qr small = qr(2, 2, { 1.0f, 1.0f, 0.0f, -1e-30f });
  CHECK(small.r == Floats{ 1.0f, 1.0f, 0.0f, 1e-30f });
  CHECK(small.q == Floats{ 1.0f, 0.0f, 0.0f, -1.0f });
  const Qr hidden = qr(3, 2, { 1.0f, 1.0f, 0.0f, 3e-30f, 0.0f, 4e-30f }); // what is left of column 1 has no square
  CHECK(hidden.r[3] == Approx(5e-30).epsilon(1e-6));
  CHECK(hidden.q[3] == Approx(0.6).epsilon(1e-6));
  for (const float bad : { not_a_number, unbounded }) {
    Floats b = random_matrix(40 * 40, 7);
    b[20 * 40 + 3] = bad;
    const Qr f = qr(40, 40, b);
    CHECK(std::isnan(f.r[3 * 40 + 39]));
    CHECK(std::isnan(f.q[39 * 40 + 39]));
  }
}

TEST_CASE("Symmetric eigen decomposition against Jacobi") {
  for (const size_t n : { 1, 2, 3, 5, 16, 31, 32, 33, 50, 64, 65, 150 }) {
    check_eigh(n, symmetric(n, n));
    check_eigh(n, positive(n, n + 3, 0.0, n));
  }
  check_eigh(60, positive(60, 1, 0.0, 3));  // rank 1
  check_eigh(60, positive(60, 20, 0.0, 4)); // 40 times zero
  Doubles w(48);
  for (size_t i = 0; i < w.size(); i++) { w[i] = static_cast<double>(i / 12); }
  check_eigh(48, with_eigenvalues(w, 1)); // each twelve times
  for (size_t i = 0; i < w.size(); i++) { w[i] = std::pow(10.0, -static_cast<double>(i) / 4.0); }
  check_eigh(48, with_eigenvalues(w, 2)); // 1 to 1e-12
  for (size_t i = 0; i < w.size(); i++) { w[i] = 1.0 + 1e-7 * static_cast<double>(i); }
  check_eigh(48, with_eigenvalues(w, 3)); // nearly the identity
}

TEST_CASE("Eigen decompositions known beforehand") {
  CHECK(fl_eigh(best(), 0, nullptr, nullptr, nullptr, nullptr) == 0);
  const Eigen one = eigh(1, { -3.5f });
  CHECK((one.status == 0 && one.w[0] == -3.5f && one.v[0] == 1.0f));
  for (const size_t n : { 2, 33, 70 }) { // the identity and zero: nothing moves; a diagonal: a stable sort
    for (const float x : { 1.0f, 0.0f }) {
      const Eigen e = eigh(n, diagonal(Floats(n, x)));
      CHECK(e.w == Floats(n, x));
      CHECK(e.v == diagonal(Floats(n, 1.0f)));
    }
    Floats d(n), v(n * n), w;
    for (size_t i = 0; i < n; i++) { d[i] = static_cast<float>(i * 7 % 5) - 2.0f; }
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{ 0 });
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return d[a] > d[b]; });
    for (size_t j = 0; j < n; j++) {
      v[order[j] * n + j] = 1.0f;
      w.push_back(d[order[j]]);
    }
    const Eigen e = eigh(n, diagonal(d));
    CHECK(e.w == w);
    CHECK(e.v == v);
  }
  enum { N = 75 };
  Floats chain(N * N); // 2 on the diagonal, -1 beside it
  for (size_t i = 0; i < N; i++) {
    chain[i * N + i] = 2.0f;
    if (i) { chain[i * N + i - 1] = -1.0f; }
  }
  const Eigen e = eigh(N, chain);
  const double pi = std::acos(-1.0);
  for (size_t j = 0; j < N; j++) {
    CHECK(std::fabs(e.w[j] - (2.0 - 2.0 * std::cos(static_cast<double>(N - j) * pi / (N + 1)))) <= 4 * eps * 4);
  }
  check_eigh(N, chain);
}

TEST_CASE("Eigen decomposition over the range of floats") {
  const Floats a = symmetric(40, 9);
  const Eigen e = eigh(40, a);
  for (const int power : { -100, 100, 126 }) { // a power of two changes nothing but the eigenvalues, exactly
    Floats b = a;
    for (float &x : b) { x = std::ldexp(x, power); }
    const Eigen f = eigh(40, b);
    CHECK(f.v == e.v);
    for (size_t j = 0; j < 40; j++) { REQUIRE(f.w[j] == std::ldexp(e.w[j], power)); }
  }
  Floats graded(40 * 40);
  for (size_t i = 0; i < 40 * 40; i++) {
    // to 1e-30 and below
    graded[i] = a[i] * static_cast<float>(std::pow(10.0, 28.0 - 1.45 * static_cast<double>(i / 40 + i % 40)));
  }
  check_eigh(40, graded);
  for (const float bad : { not_a_number, unbounded, -unbounded }) {
    Floats b = a;
    b[30 * 40 + 2] = bad;
    const Eigen f = eigh(40, b);
    CHECK(f.status == -1);
    CHECK(all_nan(f.w));
    CHECK(all_nan(f.v));
  }
}

TEST_CASE("Inverse roots") {
  Floats out;
  for (const size_t n : { 1, 2, 20, 50, 70 }) {
    const Floats a = positive(n, 2 * n, 1.0, n);
    REQUIRE(inverse_root(n, a, 4.0, 0.0f, out) == 0);
    Doubles square(n * n), fourth(n * n);
    const auto multiply = [n](const auto &x, const auto &y, Doubles &z) {
      for (size_t i = 0; i < n * n; i++) {
        z[i] = 0.0;
        for (size_t l = 0; l < n; l++) { z[i] += static_cast<double>(x[i / n * n + l]) * static_cast<double>(y[l * n + i % n]); }
      }
    };
    Doubles identity(n * n);
    multiply(out, out, square);
    multiply(square, square, fourth);
    multiply(fourth, a, identity);
    const double condition = norm(a); // the smallest eigenvalue is at least about 1
    for (size_t i = 0; i < n * n; i++) {
      REQUIRE(std::fabs(identity[i] - (i % (n + 1) ? 0.0 : 1.0)) <= 64 * eps * condition);
      REQUIRE(out[i] == out[i % n * n + i / n]);
    }
  }
  REQUIRE(inverse_root(3, diagonal({ 16.0f, 81.0f, 1.0f }), 4.0, 0.0f, out) == 0);
  CHECK(out[0] == Approx(0.5).epsilon(1e-6));
  CHECK(out[4] == Approx(1.0 / 3).epsilon(1e-6));
  CHECK(out[8] == 1.0f);
  REQUIRE(inverse_root(2, diagonal({ -5.0f, 3.0f }), 2.0, 1.0f, out) == 0); // a negative eigenvalue counts as 0
  CHECK(out[0] == 1.0f);
  CHECK(out[3] == Approx(0.5).epsilon(1e-6));
  REQUIRE(inverse_root(40, diagonal(Floats(40, 1.0f)), 3.0, 0.0f, out) == 0);
  CHECK(out == diagonal(Floats(40, 1.0f)));
  CHECK(inverse_root(2, diagonal({ 0.0f, 3.0f }), 2.0, 0.0f, out) == -1); // 0 has no inverse root
  CHECK(all_nan(out));
  CHECK(inverse_root(2, diagonal({ not_a_number, 3.0f }), 2.0, 1.0f, out) == -1);
  CHECK(all_nan(out));
  CHECK(inverse_root(2, diagonal({ 1.0f, 3.0f }), 2.0, not_a_number, out) == -1);
  CHECK(all_nan(out));
  CHECK(fl_inverse_root(best(), 0, nullptr, 4.0, 0.0f, nullptr, out.data()) == 0);
}

TEST_CASE("Cholesky") {
  Floats l;
  for (const size_t n : { 1, 2, 16, 31, 32, 33, 64, 65, 130 }) {
    const Floats a = positive(n, 2 * n, 1.0, n);
    Floats half = a;
    for (size_t i = 0; i < n; i++) {
      for (size_t j = i + 1; j < n; j++) { half[i * n + j] = not_a_number; } // never read
    }
    REQUIRE(cholesky(n, half, l) == 0);
    Doubles r(n * n);
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) {
        double s = a[i * n + j];
        for (size_t k = 0; k < j; k++) { s -= r[i * n + k] * r[j * n + k]; }
        r[i * n + j] = i == j ? std::sqrt(s) : s / r[j * n + j];
      }
    }
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < n; j++) {
        double s = i >= j ? -static_cast<double>(a[i * n + j]) : 0.0;
        for (size_t k = 0; i >= j && k <= j; k++) { s += static_cast<double>(l[i * n + k]) * l[j * n + k]; }
        const double size = std::sqrt(static_cast<double>(a[i * n + i]) * a[j * n + j]);
        REQUIRE(std::fabs(s) <= 2 * eps * std::sqrt(static_cast<double>(n)) * size + 2 * eps * size);
        REQUIRE(std::fabs(l[i * n + j] - r[i * n + j]) <= 32 * eps * std::sqrt(static_cast<double>(n) * a[i * n + i]));
        if (j > i) { REQUIRE((l[i * n + j] == 0.0f && !std::signbit(l[i * n + j]))); }
      }
    }
  }
  CHECK(cholesky(2, { 4.0f, 0.0f, 2.0f, 5.0f }, l) == 0);
  CHECK(l == Floats{ 2.0f, 0.0f, 1.0f, 2.0f });
  Floats wide(50);
  for (size_t i = 0; i < 50; i++) { wide[i] = std::ldexp(1.0f, 98 - 4 * static_cast<int>(i)); }
  REQUIRE(cholesky(50, diagonal(wide), l) == 0);
  for (size_t i = 0; i < 50; i++) { REQUIRE(l[i * 51] == std::ldexp(1.0f, 49 - 2 * static_cast<int>(i))); }
  for (const size_t bad : { 0, 1, 31, 32, 50, 69 }) {
    for (const float x : { 0.0f, -1.0f, not_a_number }) {
      Floats d(70, 1.0f);
      d[bad] = x;
      CHECK(cholesky(70, diagonal(d), l) == static_cast<int>(bad) + 1);
      CHECK(all_nan(l));
    }
  }
  CHECK(fl_cholesky(best(), 0, nullptr, nullptr, nullptr) == 0);
}

TEST_CASE("Orthogonal iteration is the q of s q, and ends on the eigenvectors") {
  enum { N = 37 };
  Doubles w(N), rq, rr;
  for (size_t i = 0; i < N; i++) { w[i] = std::pow(0.7, static_cast<double>(i)) + 0.01; }
  const Floats s = with_eigenvalues(w, 12);
  Floats q = diagonal(Floats(N, 1.0f)), work(fl_orthogonal_iteration_work(N));
  fl_orthogonal_iteration(best(), N, s.data(), q.data(), work.data());
  reference_qr(N, N, s, rq, rr);
  for (size_t i = 0; i < N * N; i++) { REQUIRE(std::fabs(q[i] - rq[i]) <= 8 * eps * rr[0] / rr[N * N - 1]); }
  for (int turn = 0; turn < 200; turn++) { fl_orthogonal_iteration(best(), N, s.data(), q.data(), work.data()); }
  CHECK(from_orthonormal(q, N, N) <= 8 * eps * std::sqrt(static_cast<double>(N)));
  const Eigen e = eigh(N, s);
  for (size_t j = 0; j < 6; j++) { // well apart; the sign is free
    double dot = 0.0;
    for (size_t i = 0; i < N; i++) { dot += static_cast<double>(q[i * N + j]) * e.v[i * N + j]; }
    CHECK(std::fabs(dot) == Approx(1.0).margin(1e-5));
  }
}
