// The worked numbers of federated-adaptive 21. Built into fedlane-unit, where float is what the name says, and into
// fedlane-real64, where it is double: there half a unit of the last printed digit is all that is allowed.
#include "rules.hpp"
#include "worked.hpp"

namespace {
#ifdef FL_TESTS_REAL64_H
static_assert(sizeof(float) == 8);
#endif
const bool wide = sizeof(float) == 8;
double allowed(double single, int digits) { return wide ? 0.5 * std::pow(10.0, -digits) + 1e-12 : single; }

std::vector<double> rounds(worked::Settings set, bool uneven) {
  const size_t offset[3] = { 0, 1, uneven ? 4u : 2u };
  const uint32_t index[4] = { 0, 1, 1, 1 };
  set.insert(set.end(), { { "lr", "0.1" }, { "lr_schedule", "exponential" }, { "lr_decay", "0.5" }, { "clip_norm", ".inf" },
                          { "weights", "equal" } });
  const fl_algorithm a = rules::build(set);
  fl_problem p = {};
  p.objective = &worked::scalar, p.clients = 2, p.offset = offset, p.index = index;
  fl_options o = {};
  o.rounds = 3, o.participation = 1, o.local_epochs = uneven ? 1 : 2, o.batch_size = 1, o.threads = 1;
  fl_session *s;
  char err[512] = "";
  REQUIRE(fl_open(&s, &p, &a, &o, err, sizeof err) == 0);
  std::vector<double> x;
  for (int r = 0; r < 3; r++) {
    REQUIRE(fl_round(s, nullptr) == 0);
    x.push_back(double(fl_params(s, nullptr)[0]));
  }
  CHECK(fl_round(s, nullptr) == 1);
  fl_close(s);
  return x;
}
} // namespace

TEST_CASE("worked numbers of the two-client problem", "[worked]") {
  for (const worked::Row &row : worked::rows) {
    std::string name;
    for (auto &p : row.set) name += p.first + "=" + p.second + " ";
    INFO(name);
    const auto x = rounds(row.set, row.uneven);
    for (size_t r = 0; r < 3; r++) CHECK(std::fabs(x[r] - row.x[r]) <= allowed(3e-7, 9));
  }
  const auto first = rounds({ { "name", "scaffold" }, { "weight_decay", "0" }, { "option", "1" } }, false);
  const double want[3] = { 0.165, 0.0378125, -0.014703711 };     // by hand
  for (size_t r = 0; r < 3; r++) CHECK(std::fabs(first[r] - want[r]) <= allowed(3e-7, 9));
}

TEST_CASE("worked numbers of the matrix rules", "[worked]") {
  for (const worked::Path &path : worked::paths) {
    INFO(path.set[0].second);
    const size_t n = path.rows * path.cols;
    const fl_tensor tensor = { "w", FL_MATRIX, 0, 0, 2, { path.rows, path.cols, 0, 0 }, 0, n };
    const fl_layout layout = { 1, n, 0, &tensor };
    rules::Given run(path.set, layout, rules::Floats(path.start.begin(), path.start.end()),
                     [&](uint64_t k, const float *, float *g) {
                       for (size_t i = 0; i < n; i++) g[i] = float(path.g[k - 1][i]);
                     });
    for (size_t k = 0; k < path.w.size(); k++) {
      const auto &y = run.steps(1);
      run.lo.clock.k = run.lo.clock.t = k + 1;
      for (size_t i = 0; i < n; i++) CHECK(std::fabs(double(y[i]) - path.w[k][i]) <= allowed(path.single, 8));
      for (size_t i = 0; path.set[0].second == "muon" && i < n; i++)
        CHECK(std::fabs(double(run.state[i]) - worked::muon_momentum[k][i]) <= allowed(1e-6, 8));
    }
  }
}

// A diagonal of s and sqrt(1 - s^2) has norm 1: each of the two is mapped by itself.
TEST_CASE("worked numbers of Newton-Schulz", "[worked]") {
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  for (const worked::Map &m : worked::map)
    for (int steps = 1; steps <= 5; steps++) {
      const rules::Floats u = { float(m.s), 0, 0, float(std::sqrt(1 - m.s * m.s)) };
      rules::Floats o(4), work(fl_newton_schulz_work(2, 2));
      fl_newton_schulz(k, 2, 2, u.data(), o.data(), steps, work.data());
      INFO("s = " << m.s << ", " << steps << " steps");
      CHECK(std::fabs(double(o[0]) - m.f[steps - 1]) <= allowed(1e-5, 6) + 3e-7);     // the guard 1e-7 beside the norm
    }
  for (const bool tall : { false, true }) {
    rules::Floats o(6), work(fl_newton_schulz_work(2, 3));
    for (size_t i = 0; i < 6; i++) o[i] = float(tall ? 1 + i / 2 + 3 * (i % 2) : 1 + i);
    fl_newton_schulz(k, tall ? 3 : 2, tall ? 2 : 3, o.data(), o.data(), 5, work.data());
    for (size_t i = 0; i < 6; i++)
      CHECK(std::fabs(double(o[i]) - worked::newton_schulz[tall ? i / 2 + 3 * (i % 2) : i]) <= allowed(1e-5, 8));
  }
}

TEST_CASE("worked numbers of the compressed momentum", "[worked]") {
  for (const worked::Rank &r : worked::ranks) {
    const size_t n = r.a * r.b;
    const fl_tensor tensor = { "w", FL_MATRIX, 0, 0, 2, { r.a, r.b, 0, 0 }, 0, n };
    const fl_layout layout = { 1, n, 0, &tensor };
    rules::Floats theta(n);
    rules::Run run({ { "stack", "shared" }, { "rule", "muon" }, { "compression_ratio", r.ratio } }, &layout, rules::Floats(n));
    run.a.rule->pack(run.a.h_rule, &run.lo, theta.data());
    CHECK(run.a.rule->packed(run.a.h_rule, run.lo.job) == r.rank * (r.a + r.b + 1));
  }
}
