// Signs with error feedback (federated-structured-robust 3, C4), trimmed means and medians of coordinates (7, R4, R5): by hand,
// by a real encoding, and in runs against plain double references.
#include "federated.hpp"
#include "hooks.hpp"
#include <algorithm>
#include <limits>
#include <map>

namespace {
using hooks::Floats;
using hooks::noise;
const fl_tensor two_tensors[] = { { "v", FL_BIAS, 0, 0, 1, { 200, 0, 0, 0 }, 0, 200 },
                                  { "w", FL_BIAS, 1, 0, 1, { 100, 0, 0, 0 }, 200, 100 } };
const fl_layout two = { 2, 300, 0, two_tensors };

// Each part's signs at the mean size of its entries.
Vec signs(Vec z, const std::vector<int> &cuts) {
  for (size_t t = 0; t + 1 < cuts.size(); t++) {
    double size = 0;
    for (int i = cuts[t]; i < cuts[t + 1]; i++) size += std::fabs(z[(size_t)i]) / (cuts[t + 1] - cuts[t]);
    for (int i = cuts[t]; i < cuts[t + 1]; i++) z[(size_t)i] = std::signbit(z[(size_t)i]) ? -size : size;
  }
  return z;
}
double middle(std::vector<double> v, double part) {
  const size_t n = v.size(), k = std::min((size_t)(part * (double)n + 1e-9), (n - 1) / 2);
  std::sort(v.begin(), v.end());
  double sum = 0;
  for (size_t i = k; i < n - k; i++) sum += v[i] / (double)(n - 2 * k);
  return sum;
}
Floats trimmed(const std::vector<Floats> &u, const char *part) {
  hooks::Stage s({ { "stack", "trimmed" }, { "rule", "sgd" }, { "trim_part", part } }, two, u.size());
  Floats all, move(300);
  for (const Floats &v : u) all.insert(all.end(), v.begin(), v.end());
  s.sv.m = u.size(), s.sv.sent = all.data(), s.sv.row = 300, s.sv.move = move.data();
  s.stage->server_finish(s.h, &s.sv);
  return move;
}
} // namespace

TEST_CASE("signs by hand: a bit a parameter and the mean size, an encoding of the bits counted; nothing is lost",
          "[structured]") {
  for (const bool tensors : { false, true }) {
    hooks::Stage s({ { "stack", "sign" }, { "rule", "sgd" }, { "sign_scale", tensors ? "tensor" : "whole" } }, two, 1);
    const std::vector<int> cuts = tensors ? std::vector<int>{ 0, 200, 300 } : std::vector<int>{ 0, 300 };
    std::vector<double> sent(300, 0.0), changes(300, 0.0);
    for (unsigned round = 0; round < 5; round++) {
      Floats change = noise(300, round);
      change[7] = 0;
      const Floats before = s.memory[0];
      const uint64_t bits = s.finish(change);
      const Floats &q = s.uploads[0], &e = s.memory[0];
      std::vector<unsigned char> message((300 + 7) / 8);
      for (size_t i = 0; i < 300; i++) message[i / 8] = (unsigned char)(message[i / 8] | std::signbit(q[i]) << i % 8);
      CHECK(bits == 300 + 32 * (cuts.size() - 1));
      double left = 0, z1 = 0, q1 = 0;
      for (size_t i = 0; i < 300; i++) {
        const float z = before[i] + change[i], size = q[i < 200 || !tensors ? 0 : 200];
        CHECK(q[i] == (message[i / 8] >> i % 8 & 1 ? -std::fabs(size) : std::fabs(size)));        // decoded
        CHECK(e[i] == z - q[i]);
        left += std::signbit(z) != std::signbit(q[i]);
        z1 += std::fabs(z), q1 += std::fabs(q[i]);
        sent[i] += q[i], changes[i] += change[i];
      }
      CHECK(left == 0);
      CHECK(q1 == Approx(z1).epsilon(1e-6));
    }
    for (size_t i = 0; i < 300; i++) CHECK(sent[i] + s.memory[0][i] == Approx(changes[i]).margin(2e-5));
  }
}

TEST_CASE("signs in runs equal their reference; bytes are those of a message", "[structured]") {
  use(0);
  for (const bool feedback : { false, true }) for (const bool tensors : { false, true }) {
    std::map<size_t, Vec> e;
    agree({ { "name", "sign_ef" }, { "sign_scale", tensors ? "tensor" : "whole" }, { "sign_feedback", feedback ? "yes" : "no" },
            decay },
          simulate({ [&](Client &c) {
                       const Vec z = e.emplace(c.id, zero).first->second + (descend(c, plain(c)) - c.x);
                       const Vec q = signs(z, tensors ? std::vector<int>{ 0, 24, 29 } : std::vector<int>{ 0, 29 });
                       if (feedback) e[c.id] = z - q;
                       return c.x + q;
                     }, average }, true));
  }
  Run run({ { "name", "sign_ef" } }, 1);
  CHECK(run.round().bytes_up == M * ((29 + 32 + 7) / 8));
  resumes({ { "name", "sign_ef" } });
}

TEST_CASE("trimmed means and medians by hand: sorted values of every coordinate, whatever their order and size", "[robust]") {
  for (size_t n = 1; n <= 13; n++)
    for (const char *part : { "0", "0.1", "0.2", "0.5" }) {
      INFO(n << " " << part);
      std::vector<Floats> u;
      for (size_t i = 0; i < n; i++) u.push_back(noise(300, (unsigned)(17 * n + i)));
      const Floats got = trimmed(u, part);
      for (size_t c = 0; c < 300; c++) {
        std::vector<double> v;
        for (const Floats &one : u) v.push_back(one[c]);
        CHECK(got[c] == Approx(middle(v, std::atof(part))).margin(1e-6));
      }
      std::vector<Floats> turned(u.rbegin(), u.rend()), moved = u;
      CHECK(trimmed(turned, part) == got);
      for (Floats &one : moved)
        for (float &x : one) x = 4 * x;
      const Floats four = trimmed(moved, part);
      for (size_t c = 0; c < 300; c++) CHECK(four[c] == 4 * got[c]);
      CHECK(trimmed(std::vector<Floats>(n, u[0]), part) == u[0]);
    }
  std::vector<Floats> u;                        // one of five is worthless, in every way
  for (unsigned i = 0; i < 5; i++) u.push_back(noise(300, i));
  const float inf = std::numeric_limits<float>::infinity();
  const float worthless[] = { std::numeric_limits<float>::quiet_NaN(), inf, -inf, 1e30f };
  for (const float bad : worthless) {
    u[2].assign(300, bad);
    for (const char *part : { "0.2", "0.5" })
      for (const float v : trimmed(u, part)) CHECK(std::fabs(v) <= 2);
  }
}

TEST_CASE("attacked trimmed means and medians equal their references; nothing trimmed is the mean", "[robust]") {
  use(GENERATE(0, 1));
  const fl_key key = { 3, FL_PURPOSE_ATTACK, 0, 0, 0 };
  uint32_t bad[2];
  fl_sample(bad, 2, N, &key);
  for (const char *part : { "0.25", "0.5" })
    agree({ { "stack", "attack+trimmed" }, { "rule", "sgd" }, { "malicious", "0.3" }, { "attack_scale", "5" },
            { "trim_part", part }, decay },
          simulate({ [&](Client &c) {
                       const Vec y = descend(c, plain(c));
                       return c.id == bad[0] || c.id == bad[1] ? c.x - 5.0 * (y - c.x) : y;
                     },
                     [&](const Vec &x, const Clients &, const Vecs &d) {
                       Vec out = x;
                       for (int i = 0; i < D; i++) {
                         std::vector<double> v;
                         for (const Vec &one : d) v.push_back(one[(size_t)i]);
                         out[(size_t)i] += middle(v, std::atof(part));
                       }
                       return out;
                     } }, false));
  const auto mean = product({ { "name", "trimmed_mean" }, { "trim_part", "0" } }, 2),
             fedavg = product({ { "name", "fedavg" }, { "weights", "equal" } }, 1);
  for (int i = 0; i < D; i++) CHECK(mean[(size_t)i] == Approx(fedavg[(size_t)i]).margin(2e-6));
  CHECK(product({ { "name", "trimmed_mean" }, { "trim_part", "0.5" } }, 1) == product({ { "name", "coordinate_median" } }, 1));
  resumes({ { "name", "coordinate_median" } });
  use(0);
}

TEST_CASE("signs and trimmed means refuse what has no meaning", "[robust]") {
  const auto refusal = [](const char *stack) {
    fl_algorithm a;
    char err[512] = "";
    const fl_setting set[] = { { "stack", stack, "t" }, { "rule", "sgd", "t" } };
    CHECK(fl_algorithm_build(set, 2, &a, err, sizeof err) == -1);
    return std::string(err);
  };
  CHECK_THAT(refusal("topk+sign"), Catch::Contains("both compress the change"));
  CHECK_THAT(refusal("scaffold+trimmed"), Catch::Contains("stage scaffold also sends"));
  CHECK_THAT(refusal("acg+trimmed"), Catch::Contains("allowed: trimmed before it"));
  CHECK_THAT(refusal("krum+trimmed"), Catch::Contains("how much an upload counts"));
  CHECK_THAT(refusal("bcgd+sign"), Catch::Contains("in parts"));
}
