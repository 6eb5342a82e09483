// Diagnostics: each against a closed form, a plain double reference or a plain count; none changes a bit of the training; the
// same bits with any number of threads and on every instruction set.
#include "federated.hpp"
#include "reference_matrix.hpp"
#include "small.hpp"
#include "tests/gradient/reference.hpp"
#include <algorithm>
#include <cstring>
#include <memory>

namespace {
enum { ALL_SAMPLES = FL_D_GRADIENT | FL_D_SAM_GAP | FL_D_SHARPNESS };
// The twelve columns in the order of fl_metrics.
std::vector<double> columns(const fl_metrics &m) {
  return { m.client_drift, m.update_norm_mean, m.update_cosine_pairs, m.update_cosine_mean, m.preconditioner_drift,
           m.global_loss, m.gradient_norm, m.sam_gap, m.sharpness, m.client_accuracy_mean, m.client_accuracy_worst,
           m.client_accuracy_std };
}
bool same_bits(const std::vector<double> &a, const std::vector<double> &b) {
  return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]);
}

// Client i has one sample and the loss |x - a_i|^2/2 in two dimensions: a step of 1/2 from 0 ends at a_i/2.
const fl_tensor point[1] = { { "x", FL_BIAS, 0, 0, 1, { 2, 0, 0, 0 }, 0, 2 } };
const fl_layout plane = { 1, 2, 0, point };
double to_target(void *self, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  const double(*a)[2] = static_cast<const double(*)[2]>(self);
  double loss = 0, sum[2] = { 0, 0 };
  for (size_t j = 0; j < count; j++)
    for (int e = 0; e < 2; e++) sum[e] += x[e] - a[row[j]][e], loss += 0.5 * std::pow(x[e] - a[row[j]][e], 2);
  for (int e = 0; e < 2; e++) g[e] = (float)(sum[e] / (double)count);
  return loss / (double)count;
}
fl_objective targets(const double (*a)[2], size_t n) {
  fl_objective o = {};
  o.name = "targets", o.self = const_cast<double(*)[2]>(a), o.layout = &plane, o.n = n;
  o.init = [](void *, uint64_t, float *x) { x[0] = x[1] = 0; };
  o.loss_grad = to_target;
  return o;
}
fl_metrics one_round(const fl_objective &o, const settings &set, unsigned diagnostics, std::vector<size_t> offsets) {
  session::Session run(set, o, std::move(offsets), 1, 1);
  run.options.diagnostics = diagnostics;
  run.open();
  REQUIRE(run.error == "");
  return run.round();
}
const settings half = { { "stack", "" }, { "rule", "sgd" }, { "lr", "0.5" }, { "weight_decay", "0" }, { "clip_norm", ".inf" },
                        { "weights", "equal" } };
}

TEST_CASE("Drift, norms and cosines of two clients, worked by hand", "[diagnostics]") {
  const double a[3][2] = { { 2, 0 }, { 0, 4 }, { 0, 4 } };
  fl_metrics m = one_round(targets(a, 2), half, FL_D_DRIFT | FL_D_UPDATES, { 0, 1, 2 });
  // changes (1, 0) and (0, 2), mean (1/2, 1)
  CHECK(m.client_drift == 1.25);
  CHECK(m.update_norm_mean == 1.5);
  CHECK(m.update_cosine_pairs == Approx(0).margin(1e-15));
  CHECK(m.update_cosine_mean == Approx((0.5 + 1) / (2 * std::sqrt(1.25))).epsilon(1e-12));
  CHECK(std::isnan(m.gradient_norm));
  SECTION("equal clients do not drift") {
    m = one_round(targets(a + 1, 2), half, FL_D_DRIFT | FL_D_UPDATES, { 0, 1, 2 });
    CHECK(m.client_drift == 0);
    CHECK(m.update_cosine_pairs == Approx(1).epsilon(1e-12));
    CHECK(m.update_cosine_mean == Approx(1).epsilon(1e-12));
  }
  SECTION("a client without samples does not count, and one alone has no pair") {
    m = one_round(targets(a, 2), half, FL_D_DRIFT | FL_D_UPDATES, { 0, 1, 1, 2 });
    CHECK(m.client_drift == 1.25);
    CHECK(m.update_norm_mean == 1.5);
    m = one_round(targets(a, 1), half, FL_D_UPDATES, { 0, 1, 1 });
    CHECK(m.update_norm_mean == 1);
    CHECK(m.update_cosine_mean == Approx(1).epsilon(1e-12));
    CHECK(std::isnan(m.update_cosine_pairs));
    CHECK(std::isnan(m.client_drift));
  }
}

TEST_CASE("Drift of the preconditioners: Sophia's curvature after one step is (1 - beta2)*g*g", "[diagnostics]") {
  const double a[2][2] = { { 2, 0 }, { 0, 4 } };
  const settings set = { { "stack", "" }, { "rule", "sophia" }, { "hessian", "gradient_square" }, { "hess_every", "1" },
                         { "beta2", "0.75" }, { "weight_decay", "0" }, { "clip_norm", ".inf" } };
  const fl_metrics m = one_round(targets(a, 2), set, FL_D_PRECONDITIONER, { 0, 1, 2 });
  // curvatures (1, 0) and (0, 4): mean (1/2, 2), |.|^2 of both differences 1/4 + 4
  CHECK(m.preconditioner_drift == Approx(4.25).epsilon(1e-6));
}

TEST_CASE("FedPAC's alignment lets the factors drift less than local SOAP does", "[diagnostics]") {
  const auto drift = [](const char *name) {
    Run run({ { "name", name }, { "precond_every", "1" } }, 1);
    run.options.diagnostics = FL_D_PRECONDITIONER, run.options.eval_every = 1;
    run.open();
    fl_metrics m = {};
    for (int r = 0; r < R; r++) m = run.round();
    return m.preconditioner_drift;
  };
  const double local = drift("local_soap"), aligned = drift("fedpac_soap");
  CHECK(local > 0);
  CHECK(aligned < 0.9 * local);
}

// ---- logistic regression with its exact Hessian --------------------------------------------------------------------------
namespace {
enum { F = 6, ROWS = 150 };
struct Logistic {
  double x[ROWS][F], y[ROWS];
  Logistic() {
    uint32_t s = 1;
    for (int i = 0; i < ROWS; i++) {
      for (double &v : x[i]) v = (float)((double)(s = s * 1664525u + 1013904223u) / 2147483648.0 - 1);
      for (int e = 0; e < F; e++) x[i][e] *= 1 + e;
      y[i] = x[i][0] + 0.5 * x[i][1] - 0.3 * x[i][5] > 0;
    }
  }
  double margin(int i, const Vec &w) const { double z = 0; for (int e = 0; e < F; e++) z += w[e] * x[i][e]; return z; }
  double loss(const Vec &w) const {
    double sum = 0;
    for (int i = 0; i < ROWS; i++) sum += std::log1p(std::exp(margin(i, w))) - y[i] * margin(i, w);
    return sum / ROWS;
  }
  Vec gradient(const Vec &w) const {
    Vec g(F, 0.0);
    for (int i = 0; i < ROWS; i++)
      for (int e = 0; e < F; e++) g[e] += (1 / (1 + std::exp(-margin(i, w))) - y[i]) * x[i][e] / ROWS;
    return g;
  }
  double largest(const Vec &w) const {          // eigenvalue of mean s(1 - s) x x'
    reference::Matrix h(F * F, 0.0), v;
    std::vector<double> eigen;
    for (int i = 0; i < ROWS; i++) {
      const double s = 1 / (1 + std::exp(-margin(i, w)));
      for (int a = 0; a < F; a++)
        for (int b = 0; b < F; b++) h[(size_t)(a * F + b)] += s * (1 - s) * x[i][a] * x[i][b] / ROWS;
    }
    reference::jacobi(F, h, eigen, v);
    return eigen[0];
  }
};
const fl_tensor weights[1] = { { "w", FL_MATRIX, 0, 0, 2, { 1, F, 0, 0 }, 0, F } };
const fl_layout logistic_layout = { 1, F, 0, weights };
double logistic_grad(void *self, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  const Logistic &l = *static_cast<const Logistic *>(self);
  double loss = 0;
  Vec w(x, x + F), sum(F, 0.0);
  for (size_t j = 0; j < count; j++) {
    const double z = l.margin((int)row[j], w), y = l.y[row[j]];
    loss += std::log1p(std::exp(z)) - y * z;
    for (int e = 0; e < F; e++) sum[e] += (1 / (1 + std::exp(-z)) - y) * l.x[row[j]][e];
  }
  for (int e = 0; e < F; e++) g[e] = (float)(sum[e] / (double)count);
  return loss / (double)count;
}
}

TEST_CASE("Gradient, SAM gap and sharpness of logistic regression, against the exact ones in double", "[diagnostics]") {
  Logistic l;
  fl_objective o = {};
  o.name = "logistic", o.self = &l, o.layout = &logistic_layout, o.n = ROWS, o.loss_grad = logistic_grad;
  o.init = [](void *, uint64_t, float *x) { std::fill(x, x + F, 0.0f); };
  const bool central = GENERATE(false, true);
  INFO("central " << central);
  session::Session run({ { "stack", "" }, { "rule", "sgd" }, { "lr", "0.2" } }, o,
                       central ? std::vector<size_t>{ 0, ROWS } : std::vector<size_t>{ 0, 70, 70, 111, ROWS }, 2, 16);
  run.options.diagnostics = ALL_SAMPLES, run.options.sharpness_steps = 60, run.options.gap_rho = 0.1, run.options.threads = 2;
  run.open();
  REQUIRE(run.error == "");
  for (int r = 0; r < 2; r++) {
    const fl_metrics m = run.round();
    const rules::Floats x = run.x();
    const Vec w(x.begin(), x.end()), g = l.gradient(w);
    double norm = 0;
    for (double v : g) norm += v * v;
    norm = std::sqrt(norm);
    Vec up = w;
    for (int e = 0; e < F; e++) up[(size_t)e] += 0.1 * g[(size_t)e] / norm;
    CHECK(m.global_loss == Approx(l.loss(w)).epsilon(1e-6));
    CHECK(m.gradient_norm == Approx(norm).epsilon(1e-5));
    CHECK(m.sam_gap == Approx(l.loss(up) - l.loss(w)).epsilon(1e-5));
    CHECK(m.sharpness == Approx(l.largest(w)).epsilon(1e-3));
  }
}

TEST_CASE("Accuracy on each client's own samples, against a plain count", "[diagnostics]") {
  const reference::Samples s(140, 1);
  char err[256] = "";
  fl_net_sized sized;
  const std::unique_ptr<fl_model, void (*)(fl_model *)> model(
      fl_model_new(fl_net_find("logistic", &sized), &s.s, nullptr, reference::mean, reference::deviation, err, sizeof err),
      fl_model_free);
  const fl_objective *o = fl_model_objective(model.get());
  const std::vector<size_t> offsets = { 0, 3, 3, 10, 12, 20, 21, 30, 33, 40, 45, 50, 130, 140 };
  session::Session run({ { "stack", "" }, { "rule", "sgd" }, { "lr", "0.01" } }, *o, offsets, 1, 10);
  run.options.diagnostics = FL_D_CLIENTS, run.options.threads = 2;
  run.open();
  REQUIRE(run.error == "");
  const fl_metrics m = run.round();
  const rules::Floats x = run.x();
  std::vector<float> logits(140 * o->classes);
  std::vector<char> work(o->work(o->self, 140));
  fl_model_logits(model.get(), fl_kernels_select(nullptr, nullptr), x.data(), &s.s, run.index.data(), 140, logits.data(),
                  work.data());
  std::vector<double> part;
  for (size_t i = 0; i + 1 < offsets.size(); i++) {
    size_t right = 0, n = offsets[i + 1] - offsets[i];
    for (size_t r = offsets[i]; r < offsets[i + 1]; r++) {
      const float *row = &logits[r * o->classes];
      right += (size_t)(std::max_element(row, row + o->classes) - row) == s.s.label[r];
    }
    if (n) part.push_back((double)right / (double)n);
  }
  std::sort(part.begin(), part.end());
  REQUIRE(part.size() == 12);
  double mean = 0, square = 0;
  for (double v : part) mean += v / 12;
  for (double v : part) square += (v - mean) * (v - mean) / 12;
  CHECK(m.client_accuracy_mean == Approx(mean).epsilon(1e-12));
  CHECK(m.client_accuracy_worst == Approx((part[0] + part[1]) / 2).margin(1e-12));
  CHECK(m.client_accuracy_std == Approx(std::sqrt(square)).epsilon(1e-12));
}

// ---- what they leave alone -----------------------------------------------------------------------------------------------
namespace {
struct Seen { std::vector<float> x; std::vector<double> column; uint64_t evaluations, samples; };
Seen watch(const char *name, unsigned diagnostics, int threads, const fl_kernels *k) {
  settings set = { { "name", name } };
  if (!std::strcmp(name, "fltrust")) set.push_back({ "root_samples", "4" });
  if (!std::strncmp(name, "fedbcgd", 7)) set.push_back({ "blocks", "2" });
  Run run(set, threads);
  run.options.diagnostics = diagnostics, run.options.eval_every = 1, run.options.kernels = k, run.options.sharpness_steps = 2;
  run.open();
  REQUIRE(run.error == "");
  Seen seen = {};
  for (int r = 0; r < R; r++) {
    const fl_metrics m = run.round();
    for (double v : columns(m)) seen.column.push_back(v);
    seen.evaluations = m.gradient_evaluations, seen.samples = m.samples;
    CHECK(std::isnan(m.seconds_diagnostics) == !diagnostics);
  }
  seen.x = run.x();
  return seen;
}
}

TEST_CASE("No diagnostic changes a bit of any method; the same columns with any threads and instruction set", "[diagnostics]") {
  const unsigned all = FL_D_DRIFT | FL_D_UPDATES | ALL_SAMPLES;
  for (size_t i = 0; i < fl_method_count(); i++) {
    const fl_method *method = fl_method_at(i);
    INFO(method->name);
    if (on_adapters(method->name)) continue;
    const bool theta = rules::build({ { "name", method->name } }).rule->theta != nullptr;
    const unsigned asked = all | (theta ? FL_D_PRECONDITIONER : 0);
    const Seen plain = watch(method->name, 0, 1, nullptr), one = watch(method->name, asked, 1, nullptr);
    CHECK(rules::same(plain.x, one.x));
    CHECK((plain.evaluations == one.evaluations && plain.samples == one.samples));
    CHECK(std::all_of(plain.column.begin(), plain.column.end(), [](double v) { return std::isnan(v); }));
    const Seen three = watch(method->name, asked, 3, nullptr);
    CHECK(rules::same(plain.x, three.x));
    CHECK(same_bits(one.column, three.column));
    if (i % 8 != 0) continue;                   // a plain scalar fma is a library call
    for (int isa = 0; isa < FL_ISA_COUNT; isa++)
      if (const fl_kernels *k = fl_kernels_of((fl_isa)isa)) {
        const fl_kernels *usable = fl_kernels_select(fl_isa_name((fl_isa)isa), nullptr);
        if (usable == k) CHECK(same_bits(one.column, watch(method->name, asked, 2, k).column));
      }
  }
}

TEST_CASE("Diagnostics come when they are due, on a clock of their own", "[diagnostics]") {
  const double a[2][2] = { { 2, 0 }, { 0, 4 } };
  const fl_objective o = targets(a, 2);
  session::Session run(half, o, { 0, 1, 2 }, 7, 1);
  run.options.eval_every = 2, run.options.diagnostics_every = 4, run.options.diagnostics = FL_D_DRIFT | FL_D_GRADIENT;
  run.options.threads = 2, run.options.diagnostics_rows = 1;
  run.open();
  REQUIRE(run.error == "");
  fl_metrics last = {};
  for (int r = 1; r <= 7; r++) {
    const fl_metrics m = run.round();
    const bool due = r == 4 || r == 7;
    INFO("round " << r);
    CHECK(std::isnan(m.client_drift) == !due);
    CHECK(std::isnan(m.gradient_norm) == !due);
    CHECK((m.seconds_diagnostics > last.seconds_diagnostics) == due);
    double parts = 0, wall = m.seconds + m.seconds_evaluation + m.seconds_diagnostics;
    for (double t : m.thread_seconds) parts += t;
    CHECK(parts == Approx(2 * wall).epsilon(1e-6));
    // of the first of the two samples alone
    if (due) CHECK(m.global_loss == Approx(0.5 * (std::pow(run.x()[0] - 2, 2) + std::pow(run.x()[1], 2))).margin(1e-6));
    last = m;
  }
}

TEST_CASE("Diagnostics that cannot be are refused with the reason", "[diagnostics]") {
  const double a[2][2] = { { 2, 0 }, { 0, 4 } };
  const fl_objective o = targets(a, 2);
  const auto refuse = [&](const std::function<void(fl_options &)> &change, bool central = false) {
    session::Session run(half, o, central ? std::vector<size_t>{ 0, 2 } : std::vector<size_t>{ 0, 1, 2 }, 4, 1);
    change(run.options);
    return run.open().error;
  };
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_DRIFT; }) == "");
  CHECK(refuse([](fl_options &p) { p.diagnostics = 1 << 20; }).find("allowed: bits") != std::string::npos);
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_DRIFT; }, true).find("has no clients") != std::string::npos);
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_PRECONDITIONER; }).find("rule sgd") != std::string::npos);
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_CLIENTS; }).find("does not classify") != std::string::npos);
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_DRIFT, p.eval_every = 2, p.diagnostics_every = 3; })
            .find("a multiple of eval_every = 2") != std::string::npos);
  CHECK(refuse([](fl_options &p) { p.diagnostics = FL_D_SAM_GAP, p.gap_rho = -1; }).find("gap_rho = -1") != std::string::npos);
}
