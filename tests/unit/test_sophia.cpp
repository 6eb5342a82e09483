// Sophia (deep-first-order 19, federated-adaptive 18): a double reference, closed forms, and the curvature estimates themselves.
#include "rules.hpp"
#include <algorithm>
#include <cmath>
#include <random>
extern "C" {
#include "models/model.h"
}

using Run = rules::Given;
using settings = rules::Settings;

namespace {
constexpr size_t D = 37;
const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { D, 0, 0, 0 }, 0, D };
const fl_layout layout = { 1, D, 0, &tensor };
double curve(size_t i) { return 0.2 + double(i % 7); }
double centre(size_t i) { return double(i % 5) - 2; }
std::vector<float> begin() {
  std::vector<float> y(D);
  for (size_t i = 0; i < D; i++) y[i] = 0.1f * float(i % 11) - 0.4f;
  return y;
}
void quadratic(uint64_t, const float *at, float *g) {
  for (size_t i = 0; i < D; i++) g[i] = float(curve(i) * (double(at[i]) - centre(i)));
}

struct Constants { double beta1, beta2, rho, eps, wd, bs, lr; int every, after, floored; };
// The box of the specification, with the step's own gradient squared as curvature.
std::vector<double> reference(const Constants &c, int steps) {
  std::vector<double> y(D), m(D, 0), h(D, 0);
  const std::vector<float> y0 = begin();
  for (size_t i = 0; i < D; i++) y[i] = y0[i];
  for (int k = 0; k < steps; k++)
    for (size_t i = 0; i < D; i++) {
      const double g = curve(i) * (y[i] - centre(i));
      if (k % c.every == 0 && !(c.after && k == 0)) h[i] = c.beta2 * h[i] + (1 - c.beta2) * g * g;
      y[i] *= 1 - c.lr * c.wd;
      m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
      const double den = c.floored ? std::max(c.rho * c.bs * h[i], c.eps) : c.rho * c.bs * h[i] + c.eps;
      const double ratio = m[i] / den;
      y[i] -= c.lr * (ratio > 1 ? 1 : ratio < -1 ? -1 : ratio);
    }
  return y;
}
}  // namespace

TEST_CASE("Sophia follows its box in double", "[sophia]") {
  for (int after = 0; after < 2; after++)
    for (int floored = 0; floored < 2; floored++) {
      const Constants c{ 0.9, 0.95, 0.3, 1e-6, 0.1, 4, 0.03, 3, after, floored };
      Run run({ { "rule", "sophia" }, { "lr", "0.03" }, { "beta1", "0.9" }, { "beta2", "0.95" }, { "sophia_rho", "0.3" },
                { "eps", "1e-6" }, { "weight_decay", "0.1" }, { "hessian", "gradient_square" }, { "hess_every", "3" },
                { "hess_first", after ? "after" : "before" }, { "denominator", floored ? "max" : "sum" } }, layout, begin(),
                quadratic, 4);
      const auto &y = run.steps(14);
      const auto want = reference(c, 14);
      for (size_t i = 0; i < D; i++) CHECK(double(y[i]) == Approx(want[i]).epsilon(1e-5).margin(1e-6));
    }
}

TEST_CASE("Sophia at the ends of its range", "[sophia]") {
  SECTION("no curvature: signed momentum") {
    Run run({ { "rule", "sophia" }, { "lr", "0.01" }, { "hessian", "never" }, { "weight_decay", "0" } }, layout, begin(),
            quadratic);
    const auto y0 = begin();
    const auto &y = run.steps(1);
    for (size_t i = 0; i < D; i++) {
      const double g = curve(i) * (double(y0[i]) - centre(i));
      CHECK(double(y[i]) == Approx(double(y0[i]) - 0.01 * (g > 0) + 0.01 * (g < 0)).margin(1e-7));
    }
  }
  SECTION("much curvature: no coordinate moves by more than lr, and hardly at all") {
    Run run({ { "rule", "sophia" }, { "lr", "0.01" }, { "hessian", "gradient_square" }, { "sophia_rho", "1e6" },
              { "weight_decay", "0" } },
            layout, begin(), quadratic, 1000);
    const auto y0 = begin();
    const auto &y = run.steps(1);
    for (size_t i = 0; i < D; i++) CHECK(std::fabs(y[i] - y0[i]) < 1e-5f);
  }
  SECTION("H on a diagonal quadratic, u = +-1, beta1 = beta2 = 0: lr/gamma times the Newton step") {
    Run run({ { "rule", "sophia" }, { "lr", "0.001" }, { "hessian", "hutchinson" }, { "probe", "rademacher" }, { "beta1", "0" },
              { "beta2", "0" }, { "sophia_rho", "20" }, { "weight_decay", "0" }, { "denominator", "max" }, { "eps", "1e-12" },
              { "hvp_step", "0.25" } },
            layout, begin(), quadratic);
    const auto y0 = begin();
    const auto &y = run.steps(1);
    for (size_t i = 0; i < D; i++)
      CHECK(double(y[i]) - double(y0[i]) == Approx(-0.001 / 20 * (double(y0[i]) - centre(i))).epsilon(2e-3).margin(2e-7));
  }
}

TEST_CASE("Sophia weighs an estimate by the rows of the batch that made it", "[sophia]") {
  const settings set = { { "rule", "sophia" }, { "hessian", "gradient_square" }, { "beta2", "0" }, { "hess_every", "2" } };
  std::vector<float> h(D), twice(D);
  Run run(set, layout, begin(), quadratic, 3), other(set, layout, begin(), quadratic, 6);
  run.steps(1), other.steps(1);
  run.batch = 1;                                // a partial last batch, without an estimate
  run.steps(1);
  run.a.rule->pack(run.a.h_rule, &run.lo, h.data());
  other.a.rule->pack(other.a.h_rule, &other.lo, twice.data());
  for (size_t i = 0; i < D; i++) CHECK(twice[i] == Approx(2 * h[i]));
}

TEST_CASE("Sophia's curvature is the server's when it begins from theta", "[sophia]") {
  std::vector<float> theta(D, 3.0f), packed(D);
  Run run({ { "rule", "sophia" }, { "hessian", "never" } }, layout, begin(), quadratic);
  run.restart(theta.data());
  run.steps(2);
  run.a.rule->pack(run.a.h_rule, &run.lo, packed.data());
  CHECK(packed == theta);
}

TEST_CASE("Sophia refuses what it cannot do, with the reason", "[sophia]") {
  Run run({ { "rule", "sophia" } }, layout, begin(), quadratic);
  run.job.sampled_labels = 0;
  char why[400] = "";
  REQUIRE(fl_job_refuse(&run.job, why, sizeof why) == -1);
  CHECK(std::string(why).find("softmax") != std::string::npos);
  CHECK(std::string(run.a.rule->setup(run.a.h_rule, &run.job, 1)).find("server") != std::string::npos);
}

namespace {
// Multinomial logistic regression on a few random images, and what the kernels' model says of it.
struct Logistic {
  static constexpr size_t N = 24, SIDE = 6, IN = SIDE * SIDE, C = 4;
  std::vector<uint8_t> pixels, label;
  fl_samples samples = {};
  fl_model *model = nullptr;
  std::vector<float> x;
  std::vector<char> work;
  std::vector<uint32_t> rows;
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);

  Logistic() : pixels(N * IN), label(N) {
    std::mt19937 random(7);
    for (auto &p : pixels) p = uint8_t(random() % 256);
    for (auto &l : label) l = uint8_t(random() % C);
    samples.n = N, samples.c = 1, samples.h = samples.w = SIDE, samples.classes = C, samples.pixels = pixels.data(),
        samples.label = label.data();
    char err[256] = "";
    model = fl_model_new(fl_net_find("logistic", nullptr), &samples, nullptr, 0.5, 0.25, err, sizeof err);
    REQUIRE(model);
    const fl_objective *o = fl_model_objective(model);
    x.resize(o->layout->d);
    o->init(o->self, 3, x.data());
    work.resize(o->work(o->self, N));
    for (uint32_t i = 0; i < N; i++) rows.push_back(i);
  }
  ~Logistic() { fl_model_free(model); }
  double input(size_t n, size_t j) const { return (double(pixels[n * IN + j]) / 255 - 0.5) / 0.25; }
  std::vector<double> softmax(size_t n) const {
    std::vector<double> p(C);
    double sum = 0;
    for (size_t c = 0; c < C; c++) {
      double z = x[C * IN + c];
      for (size_t j = 0; j < IN; j++) z += double(x[c * IN + j]) * input(n, j);
      sum += p[c] = std::exp(z);
    }
    for (auto &v : p) v /= sum;
    return p;
  }
};
}  // namespace

TEST_CASE("The Hessian-vector product is the closed form on logistic regression", "[sophia]") {
  Logistic l;
  const fl_objective *o = fl_model_objective(l.model);
  const size_t d = o->layout->d;
  std::vector<float> h(d), u(d);
  const fl_key key = { 5, FL_PURPOSE_PROBE, 0, 0, 1 };
  Run run({ { "rule", "sophia" }, { "hessian", "hutchinson" }, { "beta2", "0" }, { "hvp_step", "0.003" } }, *o->layout, l.x,
          [&](uint64_t, const float *at, float *g) { o->loss_grad(o->self, l.k, at, l.rows.data(), l.N, g, l.work.data()); });
  run.lo.key = { 5, 0, 0, 0, 0 };
  run.steps(1);
  l.k->gaussian(d, u.data(), 0, &key);
  run.a.rule->pack(run.a.h_rule, &run.lo, h.data());
  // Hess u by the formula: (1/N) sum_n (diag(p) - p p^T)(U a_n) a_n^T, a_n the input with a 1 for the bias.
  std::vector<double> hu(d, 0);
  for (size_t n = 0; n < l.N; n++) {
    const auto p = l.softmax(n);
    std::vector<double> z(l.C);
    double mean = 0;
    for (size_t c = 0; c < l.C; c++) {
      z[c] = u[l.C * l.IN + c];
      for (size_t j = 0; j < l.IN; j++) z[c] += double(u[c * l.IN + j]) * l.input(n, j);
      mean += p[c] * z[c];
    }
    for (size_t c = 0; c < l.C; c++) {
      const double s = p[c] * (z[c] - mean) / double(l.N);
      for (size_t j = 0; j < l.IN; j++) hu[c * l.IN + j] += s * l.input(n, j);
      hu[l.C * l.IN + c] += s;
    }
  }
  double off = 0, size = 0;
  for (size_t i = 0; i < d; i++) {
    const double want = double(u[i]) * hu[i];
    off += (double(h[i]) - want) * (double(h[i]) - want);
    size += want * want;
  }
  CHECK(std::sqrt(off / size) < 1e-3);
}

TEST_CASE("Labels are drawn from the softmax, and the squared gradient estimates the Gauss-Newton diagonal", "[sophia]") {
  Logistic l;
  const fl_objective *o = fl_model_objective(l.model);
  const size_t d = o->layout->d, draws = 4000;
  std::vector<float> g(d);
  std::vector<double> mean(d, 0), want(d, 0);
  for (uint32_t t = 0; t < draws; t++) {
    const fl_key key = { 11, FL_PURPOSE_LABELS, 0, 0, t };
    o->sampled_grad(o->self, l.k, l.x.data(), l.rows.data(), l.N, &key, g.data(), l.work.data());
    for (size_t i = 0; i < d; i++) mean[i] += double(l.N) * double(g[i]) * double(g[i]) / double(draws);
  }
  for (size_t n = 0; n < l.N; n++) {
    const auto p = l.softmax(n);
    for (size_t c = 0; c < l.C; c++) {
      const double q = p[c] * (1 - p[c]) / double(l.N);
      for (size_t j = 0; j < l.IN; j++) want[c * l.IN + j] += q * l.input(n, j) * l.input(n, j);
      want[l.C * l.IN + c] += q;
    }
  }
  for (size_t i = 0; i < d; i++) CHECK(mean[i] == Approx(want[i]).epsilon(0.15));  // a deviation of 2.2 % each
}
