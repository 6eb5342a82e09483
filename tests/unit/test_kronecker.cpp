// Shampoo and SOAP: their specifications' tests, and plain double references (the worked numbers: test_worked.cpp).
#include "reference_matrix.hpp"
#include "rules.hpp"
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using Run = rules::Given;
using settings = rules::Settings;
using reference::Matrix, reference::jacobi, reference::orthogonal_factor, reference::power, reference::product;

namespace {
const fl_tensor square_tensor = { "w", FL_MATRIX, 0, 0, 2, { 2, 2, 0, 0 }, 0, 4 };
const fl_layout square_layout = { 1, 4, 0, &square_tensor };
const float given[4][4] = { { 1, 2, 3, 4 }, { 0.5f, -1, 2, 0.25f }, { -1, 0.5f, 0.25f, 1.5f }, { 0.3f, 0.2f, -0.4f, 1 } };
void given_gradient(uint64_t step, const float *, float *g) { std::copy(given[step - 1], given[step - 1] + 4, g); }

// A 4 x 4 matrix and a vector of 4; gradients of a quadratic with noise from the step. Square, because the first gradient of a
// matrix that is not leaves the longer side a null space, in which every basis is as good as another.
constexpr size_t R = 4, C = 4, V = 4, D = R * C + V;
const fl_tensor pair_tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { R, C, 0, 0 }, 0, R * C },
                                   { "b", FL_BIAS, 1, 0, 1, { V, 0, 0, 0 }, R * C, V } };
const fl_layout pair_layout = { 2, D, 0, pair_tensor };
std::vector<float> pair_begin() {
  std::vector<float> y(D);
  for (size_t i = 0; i < D; i++) y[i] = 0.3f * float(int(i % 7) - 3);
  return y;
}
double noisy(uint64_t step, size_t i, double at) {
  std::mt19937 random(uint32_t(step * 1000 + i));
  return 0.5 * at + double(random() % 2001) / 1000 - 1;
}
void pair_gradient(uint64_t step, const float *at, float *g) {
  for (size_t i = 0; i < D; i++) g[i] = float(noisy(step, i, double(at[i])));
}
Matrix pair_matrix(const std::vector<double> &g) { return Matrix(g.begin(), g.begin() + R * C); }
double frobenius(const Matrix &a, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += a[i] * a[i];
  return std::sqrt(s);
}

struct ShampooBox {
  bool ema = false;
  double lr = 0.05, eps = 1e-2, b1 = 0.9, b2 = 0.95, graft_eps = 1e-8, wd = 0;
  int graft = 0, every = 1;
};
std::vector<double> shampoo_reference(const ShampooBox &o, int steps) {
  const auto y0 = pair_begin();
  std::vector<double> y(y0.begin(), y0.end()), g(D), m(D, 0), v(D, 0), a(V, o.eps), sums(D, 0);
  Matrix left(R * R, 0), right(C * C, 0), pl, pr;
  for (size_t i = 0; i < R && !o.ema; i++) left[i * R + i] = o.eps;
  for (size_t i = 0; i < C && !o.ema; i++) right[i * C + i] = o.eps;
  for (int k = 1; k <= steps; k++) {
    for (size_t i = 0; i < D; i++) g[i] = noisy(uint64_t(k), i, y[i]);
    const Matrix gm = pair_matrix(g), gl = product(R, R, C, gm, false, gm, true), gr = product(C, C, R, gm, true, gm, false);
    const double c1 = 1 - std::pow(o.b1, k), c2 = 1 - std::pow(o.b2, k), keep = o.ema ? o.b2 : 1, in = o.ema ? 1 - o.b2 : 1;
    for (size_t i = 0; i < R * R; i++) left[i] = keep * left[i] + in * gl[i];
    for (size_t i = 0; i < C * C; i++) right[i] = keep * right[i] + in * gr[i];
    Matrix l = left, r = right;
    if (o.ema) for (auto &x : l) x /= c2;
    if (o.ema) for (auto &x : r) x /= c2;
    if ((k - 1) % o.every == 0) pl = power(R, l, o.ema ? o.eps : 0, -0.25), pr = power(C, r, o.ema ? o.eps : 0, -0.25);
    std::vector<double> from = g, graft(D), dir(D);
    for (size_t i = 0; i < D; i++) {
      m[i] = o.b1 * m[i] + (1 - o.b1) * g[i], v[i] = o.b2 * v[i] + (1 - o.b2) * g[i] * g[i], sums[i] += g[i] * g[i];
      if (o.ema) from[i] = m[i] / c1;
      graft[i] = o.ema ? m[i] / c1 / (std::sqrt(v[i] / c2) + o.graft_eps) : o.graft == 2
          ? g[i] / (std::sqrt(sums[i]) + o.graft_eps) : g[i];
    }
    const Matrix dm = product(R, C, C, product(R, C, R, pl, false, pair_matrix(from), false), false, pr, false);
    std::copy(dm.begin(), dm.end(), dir.begin());
    for (size_t i = 0; i < V; i++) {
      a[i] += g[R * C + i] * g[R * C + i];
      dir[R * C + i] = o.ema ? graft[R * C + i] : g[R * C + i] / std::sqrt(a[i]);
    }
    if (o.graft) {
      const double sm = frobenius(graft, R * C) / frobenius(dir, R * C);
      double gv = 0, dv = 0;
      for (size_t i = R * C; i < D; i++) gv += graft[i] * graft[i], dv += dir[i] * dir[i];
      for (size_t i = 0; i < D; i++) dir[i] *= i < R * C ? sm : std::sqrt(gv / dv);
    }
    for (size_t i = 0; i < D; i++) y[i] = y[i] * (1 - o.lr * o.wd) - o.lr * dir[i];
  }
  return y;
}

struct SoapBox { double lr = 0.05, b1 = 0.9, b2 = 0.95, eps = 1e-2, wd = 0.1; int every = 2; };
std::vector<double> soap_reference(const SoapBox &o, int steps) {
  const auto y0 = pair_begin();
  std::vector<double> y(y0.begin(), y0.end()), g(D), m(D, 0), v(D, 0), w;   // m of the matrix unturned, as deep-first-order 18
  Matrix left(R * R, 0), right(C * C, 0), ql, qr;
  auto statistics = [&](const Matrix &gm) {
    const Matrix gl = product(R, R, C, gm, false, gm, true), gr = product(C, C, R, gm, true, gm, false);
    for (size_t i = 0; i < R * R; i++) left[i] = o.b2 * left[i] + (1 - o.b2) * gl[i];
    for (size_t i = 0; i < C * C; i++) right[i] = o.b2 * right[i] + (1 - o.b2) * gr[i];
  };
  auto to = [&](const Matrix &x) { return product(R, C, C, product(R, C, R, ql, true, x, false), false, qr, false); };
  auto back = [&](const Matrix &x) { return product(R, C, C, product(R, C, R, ql, false, x, false), false, qr, true); };
  auto refresh = [&](size_t n, const Matrix &s, Matrix &q, bool rows) {
    const Matrix sq = product(n, n, n, s, false, q, false);
    std::vector<double> est(n, 0);
    for (size_t j = 0; j < n; j++)
      for (size_t i = 0; i < n; i++) est[j] += q[i * n + j] * sq[i * n + j];
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return est[a] > est[b]; });
    const std::vector<double> old = v;
    for (size_t i = 0; i < R; i++)
      for (size_t j = 0; j < C; j++) v[i * C + j] = rows ? old[order[i] * C + j] : old[i * C + order[j]];
    Matrix sorted(n * n);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) sorted[i * n + j] = sq[i * n + order[j]];
    q = orthogonal_factor(n, n, sorted);
  };
  for (int k = 1; k <= steps; k++) {
    for (size_t i = 0; i < D; i++) g[i] = noisy(uint64_t(k), i, y[i]);
    const Matrix gm = pair_matrix(g);
    if (k == 1) {
      statistics(gm);
      jacobi(R, left, w, ql), jacobi(C, right, w, qr);
      continue;
    }
    const int n = k - 1;
    const Matrix p = to(gm);
    for (size_t i = 0; i < D; i++) {
      const double turned = i < R * C ? p[i] : g[i];
      m[i] = o.b1 * m[i] + (1 - o.b1) * g[i], v[i] = o.b2 * v[i] + (1 - o.b2) * turned * turned;
    }
    Matrix d = to(pair_matrix(m));
    for (size_t i = 0; i < R * C; i++) d[i] /= std::sqrt(v[i]) + o.eps;
    d = back(d);
    const double s = o.lr * std::sqrt(1 - std::pow(o.b2, n)) / (1 - std::pow(o.b1, n));
    for (size_t i = 0; i < D; i++) {
      y[i] -= s * (i < R * C ? d[i] : m[i] / (std::sqrt(v[i]) + o.eps));
      y[i] *= 1 - o.lr * o.wd;
    }
    statistics(gm);
    if (n % o.every == 0) refresh(R, left, ql, true), refresh(C, right, qr, false);
  }
  return y;
}
void expect_near(const std::vector<float> &y, const std::vector<double> &want, double tolerance) {
  double off = 0, size = 0;
  for (size_t i = 0; i < want.size(); i++) off += (double(y[i]) - want[i]) * (double(y[i]) - want[i]), size += want[i] * want[i];
  CHECK(std::sqrt(off / size) < tolerance);
}
}  // namespace

TEST_CASE("Shampoo follows its boxes in double", "[kronecker]") {
  settings set = { { "rule", "shampoo" }, { "lr", "0.05" }, { "eps", "0.01" }, { "precond_every", "1" } };
  ShampooBox box;
  SECTION("paper") {}
  SECTION("paper, roots every 3 steps, decay") {
    set.back().second = "3", box.every = 3, box.wd = 0.1;
    set.push_back({ "weight_decay", "0.1" });
  }
  SECTION("paper, SGD graft") { box.graft = 1, set.push_back({ "graft", "sgd" }); }
  SECTION("paper, AdaGrad graft") { box.graft = 2, set.push_back({ "graft", "adagrad" }); }
  SECTION("ema, Adam graft") {
    box.ema = true, box.graft = 3;
    set.insert(set.end(), { { "variant", "ema" }, { "beta2", "0.95" }, { "graft", "adam" } });
  }
  SECTION("ema without a graft") {
    box.ema = true;
    set.insert(set.end(), { { "variant", "ema" }, { "beta2", "0.95" } });
  }
  Run run(set, pair_layout, pair_begin(), pair_gradient);
  expect_near(run.steps(12), shampoo_reference(box, 12), 1e-4);
}

TEST_CASE("Shampoo on one number, and of one step", "[kronecker]") {
  const fl_tensor one = { "w", FL_MATRIX, 0, 0, 2, { 1, 1, 0, 0 }, 0, 1 };
  const fl_layout layout = { 1, 1, 0, &one };
  Run run({ { "rule", "shampoo" }, { "lr", "0.1" }, { "eps", "0.5" }, { "precond_every", "1" } }, layout, { 1.0f },
          [](uint64_t step, const float *, float *g) { g[0] = float(step); });
  CHECK(double(run.steps(2)[0]) == Approx(1 - 0.1 * (1 / std::sqrt(1.5) + 2 / std::sqrt(5.5))).epsilon(1e-6));
  SECTION("eps -> 0: the polar factor of G") {
    Run polar({ { "rule", "shampoo" }, { "lr", "1" }, { "eps", "1e-12" } }, square_layout, { 0, 0, 0, 0 }, given_gradient);
    const auto &y = polar.steps(1);
    CHECK(double(y[0] * y[0] + y[1] * y[1]) == Approx(1).epsilon(1e-3));
    CHECK(double(y[2] * y[2] + y[3] * y[3]) == Approx(1).epsilon(1e-3));
    CHECK(double(y[0] * y[2] + y[1] * y[3]) == Approx(0).margin(1e-3));
  }
}

TEST_CASE("SOAP follows its box in double", "[kronecker]") {
  Run run({ { "rule", "soap" }, { "lr", "0.05" }, { "beta1", "0.9" }, { "beta2", "0.95" }, { "eps", "0.01" },
            { "weight_decay", "0.1" }, { "precond_every", "2" } }, pair_layout, pair_begin(), pair_gradient);
  expect_near(run.steps(12), soap_reference({}, 12), 1e-3);
}

TEST_CASE("SOAP without factors is Adam in its compact form, a call late", "[kronecker]") {
  Run soap({ { "rule", "soap" }, { "lr", "0.05" }, { "eps", "0.01" }, { "weight_decay", "0" }, { "max_precond_dim", "1" } },
           pair_layout, pair_begin(), pair_gradient);
  const auto y0 = pair_begin();
  std::vector<double> y(y0.begin(), y0.end()), m(D, 0), v(D, 0);
  for (int n = 1; n < 12; n++)
    for (size_t i = 0; i < D; i++) {
      const double g = noisy(uint64_t(n + 1), i, y[i]);
      m[i] = 0.95 * m[i] + 0.05 * g, v[i] = 0.95 * v[i] + 0.05 * g * g;
      y[i] -= 0.05 * std::sqrt(1 - std::pow(0.95, n)) / (1 - std::pow(0.95, n)) * m[i] / (std::sqrt(v[i]) + 0.01);
    }
  expect_near(soap.steps(12), y, 1e-5);
}

TEST_CASE("SOAP and Shampoo turn with the problem", "[kronecker]") {
  // G -> Q1 G Q2: the trajectory turns alike (the vector's gradients stay).
  auto fixed_matrix = [](size_t n, uint64_t step) {
    Matrix a(n * n);
    for (size_t i = 0; i < n * n; i++) a[i] = noisy(step, i, 0);
    return a;
  };
  const Matrix q1 = orthogonal_factor(R, R, fixed_matrix(R, 91)), q2 = orthogonal_factor(C, C, fixed_matrix(C, 92));
  auto turned = [&](const std::vector<float> &y) {
    std::vector<float> z = y;
    const Matrix m = product(R, C, C, product(R, C, R, q1, false, Matrix(y.begin(), y.begin() + R * C), false), false, q2, false);
    for (size_t i = 0; i < R * C; i++) z[i] = float(m[i]);
    return z;
  };
  for (const char *rule : { "soap", "shampoo" }) {
    const settings set = { { "rule", rule }, { "lr", "0.05" }, { "eps", "0.01" }, { "precond_every", "2" } };
    const auto fixed = [](uint64_t step, const float *, float *g) {
      for (size_t i = 0; i < D; i++) g[i] = float(noisy(step, i, 0));
    };
    Run plain(set, pair_layout, pair_begin(), fixed);
    Run other(set, pair_layout, turned(pair_begin()), [&](uint64_t step, const float *at, float *g) {
      std::vector<float> h(D);
      fixed(step, at, h.data());
      const auto z = turned(h);
      std::copy(z.begin(), z.end(), g);
    });
    const auto want = turned(plain.steps(8));
    INFO(rule);
    expect_near(other.steps(8), std::vector<double>(want.begin(), want.end()), 2e-3);
  }
}

TEST_CASE("A diagonal gradient keeps every factor diagonal, and moves the diagonal alone", "[kronecker]") {
  constexpr size_t n = 12;
  const fl_tensor one = { "w", FL_MATRIX, 0, 0, 2, { n, n, 0, 0 }, 0, n * n };
  const fl_layout layout = { 1, n * n, 0, &one };
  auto g = [](uint64_t step, size_t i) { return noisy(step, i, 0) * double(1 + i); };
  const auto diagonal = [&](uint64_t step, const float *, float *out) {
    std::fill(out, out + n * n, 0.0f);
    for (size_t i = 0; i < n; i++) out[i * n + i] = float(g(step, i));
  };
  for (const bool soap : { false, true }) {
    const settings set = { { "rule", soap ? "soap" : "shampoo" }, { "lr", "0.05" }, { "eps", "0.01" }, { "weight_decay", "0" },
                           { "precond_every", soap ? "2" : "1" } };
    const std::vector<float> begin(n * n, 0.25f);
    Run run(set, layout, begin, diagonal);
    const std::vector<float> y = run.steps(9);
    std::vector<float> theta(run.a.rule->theta(run.a.h_rule, &run.job));
    REQUIRE(theta.size() == 2 * n * n);
    run.a.rule->pack(run.a.h_rule, &run.lo, theta.data());
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < n; j++) {
        if (i == j) continue;
        REQUIRE(theta[i * n + j] == 0.0f);
        REQUIRE(theta[n * n + i * n + j] == 0.0f);
        REQUIRE(double(y[i * n + j]) == Approx(0.25).margin(1e-5));   // the roots are to rounding
      }
      // Each entry by itself: Shampoo is AdaGrad with eps in the sum, SOAP is Adam's compact form, a call late.
      double x = 0.25, sum = 0.01, m = 0, v = 0;
      for (uint64_t k = soap ? 2 : 1; k <= 9; k++) {
        const double e = double(float(g(k, i))), t = double(k - 1);
        sum += e * e, m = 0.95 * m + 0.05 * e, v = 0.95 * v + 0.05 * e * e;
        x -= 0.05 * (soap ? std::sqrt(1 - std::pow(0.95, t)) / (1 - std::pow(0.95, t)) * m / (std::sqrt(v) + 0.01)
                     : e / std::sqrt(sum));
      }
      INFO(set[0].second << ", entry " << i);
      CHECK(double(y[i * n + i]) == Approx(x).margin(1e-5));
    }
  }
}

TEST_CASE("A convolution's four factors", "[kronecker]") {
  const fl_tensor conv = { "w", FL_CONV, 0, 0, 4, { 4, 3, 2, 2 }, 0, 48 };
  const fl_layout layout = { 1, 48, 0, &conv };
  std::vector<float> begin(48);
  for (size_t i = 0; i < 48; i++) begin[i] = 0.01f * float(i);
  const auto gradient = [](uint64_t step, const float *, float *g) {
    for (size_t i = 0; i < 48; i++) g[i] = float(noisy(step, i, 0));
  };
  SECTION("Shampoo, one step: exponent -1/8 on each axis") {
    Run run({ { "rule", "shampoo" }, { "lr", "1" }, { "eps", "0.1" } }, layout, std::vector<float>(48, 0.0f), gradient);
    const auto &y = run.steps(1);
    const size_t n[4] = { 4, 3, 2, 2 };
    std::vector<double> g(48), x;
    for (size_t i = 0; i < 48; i++) g[i] = float(noisy(1, i, 0));
    x = g;
    for (int axis = 0; axis < 4; axis++) {
      size_t post = 1;
      for (int k = axis + 1; k < 4; k++) post *= n[k];
      const size_t m = n[axis];
      Matrix stat(m * m, 0);
      for (size_t e = 0; e < 48; e++)
        for (size_t j = 0; j < m; j++) stat[(e / post % m) * m + j] += g[e] * g[e - (e / post % m) * post + j * post];
      for (size_t i = 0; i < m; i++) stat[i * m + i] += 0.1;
      const Matrix root = power(m, stat, 0, -1.0 / 8);
      std::vector<double> out(48, 0);
      for (size_t e = 0; e < 48; e++)
        for (size_t j = 0; j < m; j++) out[e] += root[(e / post % m) * m + j] * x[e - (e / post % m) * post + j * post];
      x = out;
    }
    for (auto &v : x) v = -v;
    expect_near(y, x, 1e-4);
  }
  SECTION("SOAP with axes and as one matrix: finite, different, and the same again") {
    const settings set = { { "rule", "soap" }, { "lr", "0.01" }, { "precond_every", "1" } };
    settings flat = set;
    flat.push_back({ "conv_factors", "2d" });
    Run axes(set, layout, begin, gradient), again(set, layout, begin, gradient), one(flat, layout, begin, gradient);
    const auto &a = axes.steps(5);
    for (float v : a) REQUIRE(std::isfinite(v));
    CHECK(std::memcmp(a.data(), again.steps(5).data(), 48 * 4) == 0);
    CHECK(std::memcmp(a.data(), one.steps(5).data(), 48 * 4) != 0);
  }
}

TEST_CASE("Factors travel as theta", "[kronecker]") {
  for (const char *rule : { "soap", "shampoo" }) {
    Run run({ { "rule", rule }, { "lr", "0.01" } }, pair_layout, pair_begin(), pair_gradient);
    run.steps(3);
    std::vector<float> theta(run.a.rule->theta(run.a.h_rule, &run.job)), packed(theta.size());
    run.a.rule->pack(run.a.h_rule, &run.lo, theta.data());
    run.lo.moved = 1;
    run.restart(theta.data());
    run.a.rule->pack(run.a.h_rule, &run.lo, packed.data());
    CHECK(theta == packed);
    CHECK(theta[0] != 0.0f);
  }
}

TEST_CASE("Shampoo refuses grafts that its variant has no state for", "[kronecker]") {
  for (const settings &set : { settings{ { "rule", "shampoo" }, { "graft", "adam" } },
                               settings{ { "rule", "shampoo" }, { "variant", "ema" }, { "graft", "adagrad" } } }) {
    std::vector<fl_setting> s;
    for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "test" });
    fl_algorithm a;
    char err[256] = "";
    CHECK(fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err) == -1);
    CHECK(std::string(err).find("allowed") != std::string::npos);
  }
}
