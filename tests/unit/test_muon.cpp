// Muon's variants (deep-first-order 16): the two forms of its buffer, the two factors of a matrix, the other tensors' AdamW.
#include "rules.hpp"

namespace {
const fl_tensor tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 9, 4, 0, 0 }, 0, 36 }, { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 36, 5 } };
const fl_layout layout = { 2, 41, 0, tensor };
rules::Floats begin() {
  rules::Floats y(41);
  for (size_t i = 0; i < 41; i++) y[i] = 0.1f * float(int(i * 7 % 11) - 5);
  return y;
}
// The move of `steps` steps.
std::vector<double> moved(const rules::Settings &more, uint64_t steps) {
  rules::Settings set = { { "rule", "muon" }, { "lr", "0.01" }, { "muon_lr_scale", "1" }, { "weight_decay", "0" } };
  set.insert(set.end(), more.begin(), more.end());
  rules::Run run(set, &layout, begin());
  run.gradient = [](uint64_t k, const float *, float *g) {
    for (size_t i = 0; i < 41; i++) g[i] = float((k * 17 + i * 29) % 13) / 6.0f - 1.0f;
  };
  const auto &y = run.steps(steps), y0 = begin();
  std::vector<double> d(41);
  for (size_t i = 0; i < 41; i++) d[i] = double(y[i]) - double(y0[i]);
  return d;
}
}  // namespace

TEST_CASE("Muon moves alike with a sum and with an average in its buffer", "[rules]") {
  for (const char *nesterov : { "yes", "no" }) {
    const auto a = moved({ { "nesterov", nesterov } }, 6), b = moved({ { "nesterov", nesterov }, { "momentum_form", "sum" } }, 6);
    for (size_t i = 0; i < 41; i++) CHECK(a[i] == Approx(b[i]).margin(2e-6));
  }
}

TEST_CASE("Muon's factor of a matrix", "[rules]") {
  const auto none = moved({ { "muon_scale", "none" } }, 1), keller = moved({}, 1), moonshot = moved({ { "muon_scale", "moonshot" } }, 1);
  double square = 0;
  for (size_t i = 0; i < 36; i++) {
    CHECK(keller[i] == Approx(1.5 * none[i]).margin(1e-6));          // sqrt(9/4)
    CHECK(moonshot[i] == Approx(0.2 * 3.0 * none[i]).margin(1e-6));  // 0.2*sqrt(9)
    square += moonshot[i] * moonshot[i];
  }
  CHECK(std::sqrt(square / 36) / 0.01 == Approx(0.2).epsilon(0.35));  // an update of AdamW's size: singular values in [0.68, 1.21]
  for (size_t i = 36; i < 41; i++) CHECK(keller[i] == moonshot[i]);
}

TEST_CASE("Muon's other tensors follow AdamW with its own constants", "[rules]") {
  const auto d = moved({ { "aux_beta1", "0.8" }, { "aux_beta2", "0.9" }, { "aux_eps", "0.1" } }, 5);
  for (size_t i = 36; i < 41; i++) {
    double y = 0, m = 0, v = 0;
    for (int k = 1; k <= 5; k++) {
      const double g = double(float((uint64_t(k) * 17 + i * 29) % 13) / 6.0f - 1.0f);
      m = 0.8 * m + 0.2 * g, v = 0.9 * v + 0.1 * g * g;
      y -= 0.01 * m / (1 - std::pow(0.8, k)) / (std::sqrt(v / (1 - std::pow(0.9, k))) + 0.1);
    }
    CHECK(d[i] == Approx(y).epsilon(1e-4).margin(1e-7));
  }
}

TEST_CASE("Muon's default step sizes are 0.02 for matrices and 3e-4 for vectors", "[rules]") {
  rules::Run run({ { "rule", "muon" }, { "weight_decay", "0" }, { "muon_scale", "none" } }, &layout, rules::Floats(41, 0.0f));
  run.gradient = [](uint64_t, const float *, float *g) {   // one direction: the factor is h^5(1) = 0.6964 times a unit matrix
    for (size_t i = 0; i < 41; i++) g[i] = i == 0 ? 2.0f : i >= 36 ? 1.0f : 0.0f;
  };
  const auto &y = run.steps(1);
  CHECK(y[0] == Approx(-0.02 * 0.696436).epsilon(1e-4));
  for (size_t i = 36; i < 41; i++) CHECK(y[i] == Approx(-3e-4).epsilon(1e-4));
}

TEST_CASE("of a tensor of three axes Muon takes every slice along the first as a matrix", "[rules]") {
  const fl_tensor whole = { "t", FL_TOKEN, 0, 0, 3, { 2, 3, 5, 0 }, 0, 30 };
  const fl_tensor parts[2] = { { "a", FL_MATRIX, 0, 0, 2, { 3, 5, 0, 0 }, 0, 15 }, { "b", FL_MATRIX, 0, 0, 2, { 3, 5, 0, 0 }, 15, 15 } };
  const fl_layout one = { 1, 30, 0, &whole }, two = { 2, 30, 0, parts };
  const auto path = [](const fl_layout *l) {
    rules::Run run({ { "rule", "muon" } }, l, rules::Floats(30, 0.5f));
    run.gradient = [](uint64_t k, const float *, float *g) {
      for (size_t i = 0; i < 30; i++) g[i] = float((k * 17 + i * 29) % 13) / 6.0f - 1.0f;
    };
    return run.steps(4);
  };
  CHECK(rules::same(path(&one), path(&two)));
}
