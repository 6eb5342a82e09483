// The rules by matrices and curvature on a small network: twelve steps of LeNet-5 with the network's gradients, beside their
// references in double (test_rules.cpp does this for the element-wise rules).
#include "reference_matrix.hpp"
#include "rules.hpp"
#include "tests/gradient/reference.hpp"

namespace {
using rules::Floats;
using rules::Run;
using rules::Settings;
enum { STEPS = 12, ROWS = 10 };

struct Network {
  reference::Samples data{ 30, 4 };
  fl_model *model;
  const fl_objective *o;
  Floats start;
  std::vector<char> work;
  std::vector<reference::Tensor> tensors;
  std::vector<reference::Matrix> gradient, sampled;   // as the rule was given them
  std::vector<fl_key> key;

  Network() {
    char err[256] = "";
    model = fl_model_new(fl_net_find("lenet5", nullptr), &data.s, nullptr, reference::mean, reference::deviation, err,
                         sizeof err);
    REQUIRE(model);
    o = fl_model_objective(model);
    start.resize(o->layout->d), work.resize(o->work(o->self, ROWS));
    o->init(o->self, 1, start.data());
    for (size_t i = 0; i < o->layout->n; i++) {
      const fl_tensor &t = o->layout->tensor[i];
      tensors.push_back({ t.offset, t.size, std::vector<size_t>(t.shape, t.shape + t.ndim) });
    }
  }
  ~Network() { fl_model_free(model); }
  Network(const Network &) = delete;

  // The rule's parameters after all steps; its gradients are kept.
  Floats run(const Settings &set, uint64_t *unclipped = nullptr) {
    Run run(set, o->layout, start);
    gradient.clear(), sampled.clear(), key.clear();
    uint32_t index[ROWS];
    auto rows = [&](uint64_t k) { for (uint32_t j = 0; j < ROWS; j++) index[j] = uint32_t((ROWS * k + j) % 30); };
    run.batch = ROWS;
    run.gradient = [&](uint64_t k, const float *y, float *g) {
      rows(k);
      o->loss_grad(o->self, run.lo.k, y, index, ROWS, g, work.data());
      gradient.emplace_back(g, g + start.size());
    };
    run.sampled = [&](const fl_key *labels, const float *y, float *g) {
      rows(run.k);
      o->sampled_grad(o->self, run.lo.k, y, index, ROWS, labels, g, work.data());
      sampled.emplace_back(g, g + start.size());
    };
    const Floats &y = run.steps(STEPS);
    if (unclipped) *unclipped = run.lo.unclipped;
    return y;
  }
  reference::Matrix begin() const { return reference::Matrix(start.begin(), start.end()); }
  // Tensor by tensor, as a share of how far it moved.
  void compare(const Floats &y, const reference::Matrix &want, double tolerance) const {
    for (auto &t : tensors) {
      double apart = 0, moved = 0;
      for (size_t i = t.offset; i < t.offset + t.size; i++) {
        apart += (double(y[i]) - want[i]) * (double(y[i]) - want[i]);
        moved += (want[i] - double(start[i])) * (want[i] - double(start[i]));
      }
      INFO("tensor at " << t.offset << ": off by " << std::sqrt(apart / moved) << " of its move");
      CHECK(moved > 0);
      CHECK(std::sqrt(apart / moved) < tolerance);
    }
  }
};
}

TEST_CASE("Muon on LeNet-5 within 1e-4 of the specification", "[rules][network]") {
  Network net;
  const Floats y = net.run({ { "rule", "muon" }, { "lr", "0.002" }, { "muon_lr_scale", "2" } });
  reference::Muon rule;
  rule.lr = 0.002, rule.scale = 2;
  reference::Matrix p = net.begin();
  for (int k = 1; k <= STEPS; k++) rule.step(net.tensors, p, net.gradient[size_t(k - 1)], k);
  net.compare(y, p, 1e-4);
}

TEST_CASE("Shampoo on LeNet-5 within 1e-3 of the specification", "[rules][network]") {
  Network net;
  Settings set = { { "rule", "shampoo" }, { "lr", "0.01" }, { "eps", "0.01" }, { "precond_every", "3" },
                   { "max_precond_dim", "20" } };
  reference::Shampoo rule;
  rule.lr = 0.01, rule.eps = 0.01, rule.every = 3, rule.longest = 20;
  SECTION("paper, its eigenvalues summed") {}
  SECTION("paper, SGD graft") { rule.sgd_graft = true, set.push_back({ "graft", "sgd" }); }
  SECTION("ema, Adam graft") {
    rule.averages = true, rule.decay = 0.1, rule.eps = 0.001;
    set.insert(set.end(), { { "variant", "ema" }, { "beta2", "0.95" }, { "graft", "adam" }, { "weight_decay", "0.1" } });
    for (auto &s : set) if (s.first == "eps") s.second = "0.001";
  }
  const Floats y = net.run(set);
  reference::Matrix p = net.begin();
  for (int k = 1; k <= STEPS; k++) rule.step(net.tensors, p, net.gradient[size_t(k - 1)], k);
  net.compare(y, p, 1e-3);
}

TEST_CASE("SOAP on LeNet-5 within 1e-2 of the specification", "[rules][network]") {
  Network net;
  const Floats y = net.run({ { "rule", "soap" }, { "lr", "0.003" }, { "beta1", "0.9" }, { "beta2", "0.95" }, { "eps", "0.1" },
                             { "weight_decay", "0.1" }, { "precond_every", "4" }, { "max_precond_dim", "20" } });
  reference::Soap rule;
  rule.lr = 0.003, rule.eps = 0.1, rule.every = 4, rule.longest = 20;
  reference::Matrix p = net.begin();
  for (int k = 1; k <= STEPS; k++) rule.step(net.tensors, p, net.gradient[size_t(k - 1)], k);
  net.compare(y, p, 1e-2);
}

TEST_CASE("Sophia on LeNet-5 within 1e-4 of the specification, with its share of unclipped coordinates", "[rules][network]") {
  Network net;
  const Settings base = { { "rule", "sophia" }, { "lr", "0.003" }, { "beta1", "0.9" }, { "beta2", "0.95" },
                          { "sophia_rho", "0.3" }, { "eps", "1e-4" }, { "weight_decay", "0.1" }, { "hess_every", "3" } };
  for (const char *hessian : { "gnb", "gradient_square", "hutchinson" }) {
    const std::string kind = hessian;
    INFO(kind);
    Settings set = base;
    set.push_back({ "hessian", hessian });
    if (kind == "hutchinson") set.push_back({ "hvp_step", "0.01" });
    uint64_t unclipped = 0;
    const Floats y = net.run(set, &unclipped);
    reference::Sophia rule;
    rule.lr = 0.003, rule.eps = 1e-4;
    reference::Matrix p = net.begin(), u(p.size());
    Floats drawn(p.size());
    size_t asked = 0, labels = 0;
    for (int k = 1; k <= STEPS; k++) {
      const bool due = (k - 1) % 3 == 0;
      const reference::Matrix g = net.gradient[asked++];
      reference::Matrix estimate(p.size());
      if (due && kind == "gnb")
        for (size_t i = 0; i < p.size(); i++) estimate[i] = ROWS * net.sampled[labels][i] * net.sampled[labels][i];
      if (due && kind == "gnb") labels++;
      if (due && kind == "gradient_square") for (size_t i = 0; i < p.size(); i++) estimate[i] = ROWS * g[i] * g[i];
      if (due && kind == "hutchinson") {
        const fl_key key = { 0, FL_PURPOSE_PROBE, 0, 0, uint32_t(k) };
        fl_kernels_select(nullptr, nullptr)->gaussian(p.size(), drawn.data(), 0, &key);
        const reference::Matrix &plus = net.gradient[asked], &minus = net.gradient[asked + 1];
        for (size_t i = 0; i < p.size(); i++) estimate[i] = double(drawn[i]) * (plus[i] - minus[i]) / 0.02;
        asked += 2;
      }
      rule.step(p, g, due ? &estimate : nullptr);
    }
    CHECK(asked == net.gradient.size());
    CHECK(labels == net.sampled.size());
    net.compare(y, p, 1e-4);
    const double share = double(unclipped) / double(p.size()), want = double(rule.unclipped) / double(p.size());
    INFO("unclipped " << share << ", in double " << want);
    CHECK(std::fabs(share - want) < 1e-4);
    CHECK(want > 0);
    CHECK(want < 1);
  }
}
