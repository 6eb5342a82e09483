// Muon's variants (deep-first-order 16): the two forms of its buffer, the two factors of a matrix, the other tensors' AdamW.
#include "rules.hpp"
#include <algorithm>

namespace {
const fl_tensor tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 9, 4, 0, 0 }, 0, 36 },
                              { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 36, 5 } };
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
  const auto none = moved({ { "muon_scale", "none" } }, 1), keller = moved({}, 1),
      moonshot = moved({ { "muon_scale", "moonshot" } }, 1);
  double square = 0;
  for (size_t i = 0; i < 36; i++) {
    CHECK(keller[i] == Approx(1.5 * none[i]).margin(1e-6));          // sqrt(9/4)
    CHECK(moonshot[i] == Approx(0.2 * 3.0 * none[i]).margin(1e-6));  // 0.2*sqrt(9)
    square += moonshot[i] * moonshot[i];
  }
  // an update of AdamW's size: singular values in [0.68, 1.21]
  CHECK(std::sqrt(square / 36) / 0.01 == Approx(0.2).epsilon(0.35));
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
  const fl_tensor parts[2] = { { "a", FL_MATRIX, 0, 0, 2, { 3, 5, 0, 0 }, 0, 15 },
                               { "b", FL_MATRIX, 0, 0, 2, { 3, 5, 0, 0 }, 15, 15 } };
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

static double rounded(double x) {               // 8 significant bits, to nearest even
  if (x == 0) return x;
  int e;
  const double m = std::frexp(x, &e);
  return std::ldexp(std::nearbyint(std::ldexp(m, 8)), e - 8);
}
// x / norm through five steps, each stored value rounded; p <= q.
static void newton_schulz(size_t p, size_t q, double norm, std::vector<double> &x) {
  for (auto &v : x) v = rounded(v / norm);
  std::vector<double> y;
  for (int t = 0; t < 5; t++) {
    std::vector<double> a(p * p, 0), b(p * p);
    for (size_t i = 0; i < p; i++)
      for (size_t j = 0; j < p; j++) {
        for (size_t k = 0; k < q; k++) a[i * p + j] += x[i * q + k] * x[j * q + k];
        a[i * p + j] = rounded(a[i * p + j]);
      }
    for (size_t i = 0; i < p; i++)
      for (size_t j = 0; j < p; j++) {
        double sum = 0;
        for (size_t k = 0; k < p; k++) sum += a[i * p + k] * a[j * p + k];
        b[i * p + j] = rounded(-4.7750 * a[i * p + j] + 2.0315 * sum);
      }
    y = x;
    for (size_t i = 0; i < p; i++)
      for (size_t j = 0; j < q; j++) {
        double sum = 3.4445 * x[i * q + j];
        for (size_t k = 0; k < p; k++) sum += b[i * p + k] * x[k * q + j];
        y[i * q + j] = rounded(sum);
      }
    x = y;
  }
}

TEST_CASE("Muon in bfloat16: near its rounding in double, every entry a bfloat16, the same bits on every instruction set",
          "[rules]") {
  for (auto shape : { std::pair<size_t, size_t>{ 9, 4 }, { 5, 17 }, { 16, 16 } }) {
    const size_t r = shape.first, c = shape.second, n = r * c;
    const fl_tensor w = { "w", FL_MATRIX, 0, 0, 2, { r, c, 0, 0 }, 0, n };
    const fl_layout one = { 1, n, 0, &w };
    auto g = [](size_t i) { return float(int(i * 29 % 23) - 11) / 7.0f; };
    auto run = [&](const char *dtype, const fl_kernels *k) {
      rules::Run muon({ { "rule", "muon" }, { "lr", "1" }, { "muon_lr_scale", "1" }, { "weight_decay", "0" },
                        { "muon_scale", "none" }, { "ns_dtype", dtype } }, &one,
                      rules::Floats(n, 0.0f), 12, k);
      muon.gradient = [&](uint64_t, const float *, float *out) { for (size_t i = 0; i < n; i++) out[i] = g(i); };
      return muon.steps(1);
    };
    const rules::Floats half = run("bf16", nullptr), full = run("fp32", nullptr);
    for (const char *isa : { "scalar", "avx2", "avx512", "neon" })
      if (const fl_kernels *k = fl_kernels_select(isa, nullptr)) CHECK(rules::same(run("bf16", k), half));
    const size_t p = std::min(r, c), q = std::max(r, c);
    std::vector<double> x(n);
    double norm = 0;
    const float u = float(1 - 0.95) * 1.0f;     // the scale of U is free: G itself, as it comes out of one step
    for (size_t i = 0; i < p; i++)
      for (size_t j = 0; j < q; j++) {
        const float v = r > c ? g(j * c + i) : g(i * c + j), m = u * v;
        x[i * q + j] = rounded(double(std::fmaf(u, v, 0.95f * m)));
        norm += x[i * q + j] * x[i * q + j];
      }
    newton_schulz(p, q, rounded(std::sqrt(norm) + 1e-7), x);
    double apart = 0, coarse = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
      const double want = -(r > c ? x[i % c * q + i / c] : x[i]);
      uint32_t bits;
      std::memcpy(&bits, &half[i], 4);
      CHECK((bits & 0xffffu) == 0);
      apart += (double(half[i]) - want) * (double(half[i]) - want);
      coarse += (double(half[i]) - double(full[i])) * (double(half[i]) - double(full[i]));
      size += want * want;
    }
    INFO(r << " x " << c << ": " << std::sqrt(apart / size) << " of the rounded double, " << std::sqrt(coarse / size)
         << " of fp32");
    CHECK(std::sqrt(apart / size) < 0.02);      // a sum that rounds the other way moves what follows by 2^-9
    CHECK(std::sqrt(coarse / size) < 0.1);
    CHECK(coarse > 0);
  }
}
