// Every element-wise rule with its options against a double-precision reference written from the specification: on a quadratic,
// where each follows its own gradients, and on LeNet-5, where both get the network's gradients.
#include "reference_rules.hpp"
#include "rules.hpp"
#include "tests/gradient/reference.hpp"
#include <iostream>

namespace {
using rules::Floats;
using rules::Run;
using rules::Settings;

const Settings cases[] = {
  { { "rule", "sgd" }, { "lr", "0.1" }, { "weight_decay", "0.05" } },
  { { "rule", "momentum" }, { "lr", "0.05" } },
  { { "rule", "momentum" }, { "lr", "0.05" }, { "momentum", "0.8" }, { "dampening", "0.5" }, { "weight_decay", "0.01" } },
  { { "rule", "momentum" }, { "lr", "0.05" }, { "nesterov", "yes" }, { "weight_decay", "0.01" } },
  { { "rule", "momentum_ema" }, { "lr", "0.2" }, { "weight_decay", "0.01" } },
  { { "rule", "momentum_ema" }, { "lr", "0.1" }, { "bias_correction", "yes" } },
  { { "rule", "momentum_velocity" }, { "lr", "0.05" }, { "weight_decay", "0.01" } },
  { { "rule", "fsgdm" }, { "lr", "0.05" }, { "n_stages", "4" } },
  { { "rule", "fsgdm" }, { "lr", "0.05" }, { "n_stages", "5" }, { "c", "0.5" }, { "v", "0.7" }, { "first_step", "raw" } },
  { { "rule", "fsgdm" }, { "lr", "0.05" }, { "n_stages", "10" }, { "total_steps", "33" }, { "v", "0.7" },
    { "weight_decay", "0" } },
  { { "rule", "adam" }, { "lr", "0.05" } },
  { { "rule", "adam" }, { "lr", "0.05" }, { "weight_decay", "0.1" }, { "amsgrad", "yes" }, { "beta2", "0.9" } },
  { { "rule", "adam" }, { "lr", "0.05" }, { "eps_form", "compact" }, { "eps", "0.01" } },
  { { "rule", "adam" }, { "lr", "0.02" }, { "bias_correction", "no" }, { "initial_accumulator", "1e-6" }, { "eps", "1e-3" },
    { "beta2", "0.99" } },
  { { "rule", "adamw" }, { "lr", "0.05" }, { "weight_decay", "0.1" } },
  { { "rule", "adamw" }, { "lr", "0.05" }, { "amsgrad", "yes" }, { "beta2", "0.9" } },
  { { "rule", "adam_mini" }, { "lr", "0.05" }, { "weight_decay", "0.1" } },
  { { "rule", "adam_mini" }, { "lr", "0.05" }, { "weight_decay", "0.1" }, { "mini_blocks", "tensor" },
    { "decay_vectors", "yes" } },
  { { "rule", "yogi" }, { "lr", "0.05" } },
  { { "rule", "yogi" }, { "lr", "0.05" }, { "bias_correction", "yes" }, { "weight_decay", "0.01" },
    { "initial_accumulator", "0.01" } },
  { { "rule", "adagrad" }, { "lr", "0.1" }, { "weight_decay", "0.01" } },
  { { "rule", "adagrad" }, { "lr", "0.1" }, { "adagrad_decay", "0.1" }, { "initial_accumulator", "0.1" } },
  { { "rule", "rmsprop" }, { "lr", "0.01" }, { "weight_decay", "0.01" } },
  { { "rule", "rmsprop" }, { "lr", "0.01" }, { "centred", "yes" } },
  { { "rule", "rmsprop" }, { "lr", "0.01" }, { "momentum", "0.8" } },
  { { "rule", "rmsprop" }, { "lr", "0.01" }, { "momentum", "0.8" }, { "centred", "yes" }, { "form", "tensorflow" },
    { "eps", "1e-3" } },
  { { "rule", "lion" }, { "lr", "0.01" } },
  { { "rule", "signsgd" }, { "lr", "0.01" } },
  { { "rule", "signsgd" }, { "lr", "0.01" }, { "sign_of_zero", "plus" }, { "weight_decay", "0" } },
  { { "rule", "signum" }, { "lr", "0.01" } },
  { { "rule", "signadam" }, { "lr", "0.01" } },
  { { "rule", "signadampp" }, { "lr", "0.01" } },
  { { "rule", "signadampp" }, { "lr", "0.01" }, { "use_momentum", "no" }, { "weight_decay", "0.1" } },
  { { "rule", "signadampp" }, { "lr", "0.01" }, { "average", "no" }, { "keep_equal", "yes" }, { "threshold", "0.02" },
    { "beta1", "0.5" } },
  { { "rule", "signadampp" }, { "lr", "0.01" }, { "adaptive", "yes" } },
  { { "rule", "signadampp" }, { "lr", "0.01" }, { "adaptive", "yes" }, { "conf_beta", "0.5" }, { "conf_scale", "0.3" },
    { "weight_decay", "0.1" } },
};

// lr of step k: not constant, so that each form's place of lr matters.
double lr_of(const Settings &set, uint64_t k) {
  for (auto &s : set)
    if (s.first == "lr") return std::stod(s.second) / (1 + 0.05 * double(k - 1));
  return 0;
}
std::string text(const Settings &set) {
  std::string s;
  for (auto &p : set) s += p.first + "=" + p.second + " ";
  return s;
}
reference::Rule reference_of(const Settings &set, const fl_layout &layout) {
  reference::Rule r;
  for (auto &p : set) p.first == "rule" ? r.name = p.second : r.set[p.first] = p.second;
  for (size_t i = 0; i < layout.n; i++) {
    const fl_tensor &t = layout.tensor[i];
    const bool vector = t.role == FL_BIAS || t.role == FL_NORM;
    size_t size = r.is("mini_blocks", "tensor") ? t.size : t.role == FL_BIAS ? 1 : t.role == FL_NORM ? t.size
        : t.size / t.shape[0];
    r.tensors.push_back({ t.offset, t.size });
    r.decays.push_back(!vector);
    for (size_t at = 0; at < t.size; at += size) r.blocks.push_back({ t.offset + at, size });
  }
  return r;
}

double norm(const reference::Numbers &a) {
  double s = 0;
  for (double x : a) s += x * x;
  return std::sqrt(s);
}
// Norm-wise 1e-5 of the values and 1e-4 of their change, element-wise 1e-5 of the largest; without elements that were near a
// jump.
void compare(const Floats &got, const reference::Numbers &want, const Floats &start, const std::vector<bool> &near) {
  reference::Numbers apart(want.size()), moved(want.size()), value(want.size());
  double most = 0, largest = 0;
  size_t left_out = 0;
  for (size_t i = 0; i < want.size(); i++) {
    if (near[i]) { left_out++; continue; }
    apart[i] = double(got[i]) - want[i], moved[i] = want[i] - double(start[i]), value[i] = want[i];
    most = std::max(most, std::fabs(apart[i])), largest = std::max(largest, std::fabs(value[i]));
    if (!std::isfinite(got[i])) FAIL("element " << i << " is " << got[i]);
  }
  CHECK(left_out * 100 <= want.size());
  CHECK(norm(moved) > 0);
  CHECK(norm(apart) <= 1e-5 * norm(value));
  CHECK(norm(apart) <= 1e-4 * norm(moved));
  CHECK(most <= 1e-5 * largest);
}
} // namespace

TEST_CASE("every rule with its options: twelve steps on a quadratic within 1e-5 of the specification", "[rules]") {
  static const fl_tensor tensor[3] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                                       { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 24, 5 },
                                       { "n", FL_NORM, 1, 0, 1, { 7, 0, 0, 0 }, 29, 7 } };
  static const fl_layout layout = { 3, 36, 0, tensor };
  auto a = [](size_t i) { return 0.5 + 0.3 * double(i % 5); };
  auto b = [](size_t i) { return double(i * 7 % 13) / 6.0 - 1.0; };
  Floats start(36);
  for (size_t i = 0; i < 36; i++) start[i] = float(std::sin(1.7 * double(i) + 0.3) * 2);
  start[3] = float(b(3));                       // a gradient that is exactly 0 at first
  for (const Settings &set : cases) {
    INFO(text(set));
    Run run(set, &layout, start);
    run.schedule = [&](uint64_t k) { return lr_of(set, k); };
    run.gradient = [&](uint64_t, const float *y, float *g) {
      for (size_t i = 0; i < 36; i++) g[i] = float(a(i) * (double(y[i]) - double(float(b(i)))));
    };
    reference::Rule rule = reference_of(set, layout);
    reference::Numbers p(start.begin(), start.end()), g(36);
    run.steps(12);
    for (uint64_t k = 1; k <= 12; k++) {
      for (size_t i = 0; i < 36; i++) g[i] = a(i) * (p[i] - double(float(b(i))));
      rule.step(p, g, k, 12, lr_of(set, k));
      // A sign that differs near a jump would lead both apart for good.
      bool flat = false;
      for (bool n : rule.near) flat = flat || n;
      if (k == 1 || k == 12 || flat) {
        INFO("after step " << k);
        compare(k < 12 ? run.path[k] : run.y, p, start, std::vector<bool>(36, false));
      }
      if (flat) break;
    }
  }
}

TEST_CASE("every rule with its options: twelve steps with LeNet-5's gradients within 1e-5 of the specification", "[rules]") {
  const reference::Samples data(30, 4);
  char err[256] = "";
  fl_model *model = fl_model_new(fl_net_find("lenet5", nullptr), &data.s, nullptr, reference::mean, reference::deviation, err,
                                 sizeof err);
  REQUIRE(model);
  const fl_objective *o = fl_model_objective(model);
  const size_t d = o->layout->d;
  Floats start(d);
  o->init(o->self, 1, start.data());
  std::vector<char> work(o->work(o->self, 10));
  for (const Settings &set : cases) {
    INFO(text(set));
    Run run(set, o->layout, start);
    std::vector<Floats> gradients;
    run.schedule = [&](uint64_t k) { return lr_of(set, k) * (lr_of(set, 1) > 0.04 ? 0.2 : 0.1); };
    run.gradient = [&](uint64_t k, const float *y, float *g) {
      uint32_t index[10];
      for (uint32_t j = 0; j < 10; j++) index[j] = uint32_t((10 * k + j) % 30);
      o->loss_grad(o->self, run.lo.k, y, index, 10, g, work.data());
      gradients.emplace_back(g, g + d);
    };
    run.steps(12);
    reference::Rule rule = reference_of(set, *o->layout);
    reference::Numbers p(start.begin(), start.end());
    for (uint64_t k = 1; k <= 12; k++)
      rule.step(p, reference::Numbers(gradients[k - 1].begin(), gradients[k - 1].end()), k, 12, run.schedule(k));
    compare(run.y, p, start, rule.near);
  }
  fl_model_free(model);
}
