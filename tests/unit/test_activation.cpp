// Activations, losses, dropout and embeddings against their formulas in double; gradients against central differences.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>
#include <fedlane/kernels.h>

namespace {
using floats = std::vector<float>;
using doubles = std::vector<double>;

floats draw(size_t n, unsigned seed, float size = 4) {
  std::mt19937 r(seed);
  floats v(n);
  for (float &x : v) x = (float(int(r() % 20001) - 10000) / 10000.0f) * size;
  return v;
}
std::vector<uint32_t> words(size_t n, unsigned seed, uint32_t below) {
  std::mt19937 r(seed);
  std::vector<uint32_t> v(n);
  for (uint32_t &x : v) x = uint32_t(r() % below);
  return v;
}
template <class F> void each_isa(F f) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (const fl_kernels *k = fl_kernels_of(fl_isa(i))) {
      INFO("ISA " << k->name);
      f(k);
    }
  }
}
// Central difference of `f` in coordinate i of x.
double slope(const std::function<double(const doubles &)> &f, doubles x, size_t i) {
  const double h = 1e-5, old = x[i];
  x[i] = old + h;
  const double up = f(x);
  x[i] = old - h;
  return (up - f(x)) / (2 * h);
}
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
} // namespace

TEST_CASE("SiLU and the ways back through activations", "[activation]") {
  const size_t n = 1000;
  const floats x = draw(n, 1, 20), dy = draw(n, 2);
  each_isa([&](const fl_kernels *k) {
    floats y(n), dx(n), t(n), s(n);
    k->silu(n, y.data(), x.data());
    k->silu_back(n, dx.data(), dy.data(), x.data());
    for (size_t i = 0; i < n; i++) {
      const double p = logistic(x[i]);
      CHECK(std::fabs(y[i] - x[i] * p) <= 3e-7 * std::fabs(x[i] * p) + 1e-9);
      CHECK(std::fabs(dx[i] - dy[i] * (p + x[i] * p * (1 - p))) <= 5e-6);
    }
    k->tanh(n, t.data(), x.data());
    k->tanh_back(n, dx.data(), dy.data(), t.data());
    k->sigmoid(n, s.data(), x.data());
    k->sigmoid_back(n, y.data(), dy.data(), s.data());
    for (size_t i = 0; i < n; i++) {
      const double c = std::cosh(double(x[i])), p = logistic(x[i]);
      CHECK(std::fabs(dx[i] - dy[i] / (c * c)) <= 2e-6);
      CHECK(std::fabs(y[i] - dy[i] * p * (1 - p)) <= 2e-6);
    }
    // far out
    const floats ends = { -1e30f, 1e30f, -INFINITY, INFINITY, -0.0f, NAN }, one(6, 1);
    floats f(6), g(6);
    k->silu(6, f.data(), ends.data());
    k->silu_back(6, g.data(), one.data(), ends.data());
    CHECK((f[0] <= 0 && f[0] > -1e-40f && f[1] == 1e30f && f[2] > -1e-40f && f[3] == INFINITY && f[5] != f[5]));
    CHECK((std::fabs(g[0]) < 1e-40f && g[1] == 1 && std::fabs(g[2]) < 1e-40f && g[3] == 1 && g[4] == 0.5f && g[5] != g[5]));
  });
}

TEST_CASE("Cross-entropy with weights, smoothing and a label to ignore", "[loss]") {
  for (const size_t classes : { 2, 10, 17, 65, 300 }) for (const int form : { 0, 1, 2, 3 }) {
    const bool weighted = form & 1;
    const float smoothing = form & 2 ? 0.1f : 0.0f;
    const size_t rows = 21;
    INFO("classes " << classes << " smoothing " << smoothing << " weighted " << weighted);
    const floats x = draw(rows * classes, 3, 8), weight = draw(classes, 4, 1);
    std::vector<uint32_t> label = words(rows, 5, uint32_t(classes));
    label[4] = label[20] = 1000000;
    floats w(classes, 1);
    for (size_t j = 0; j < classes && weighted; j++) w[j] = std::fabs(weight[j]) + 0.1f;
    const auto loss_of = [&](const doubles &row, uint32_t y) { // as PyTorch documents it
      double sum = 0, all = 0;
      for (double v : row) sum += std::exp(v - row[0]);
      const double log_sum = row[0] + std::log(sum);
      for (size_t j = 0; j < classes; j++) all += w[j] * (log_sum - row[j]);
      return (1 - double(smoothing)) * w[y] * (log_sum - row[y]) + double(smoothing) / double(classes) * all;
    };
    const fl_cross_entropy a = { 0.25f, smoothing, 1000000 };
    each_isa([&](const fl_kernels *k) {
      floats d(x.size(), 7), loss(rows, 7);
      k->cross_entropy(rows, classes, x.data(), label.data(), weighted ? w.data() : nullptr, &a, d.data(), loss.data());
      for (size_t r = 0; r < rows; r++) {
        if (label[r] == 1000000) {
          CHECK(loss[r] == 0);
          for (size_t j = 0; j < classes; j++) CHECK(d[r * classes + j] == 0);
          continue;
        }
        const doubles row(x.begin() + long(r * classes), x.begin() + long((r + 1) * classes));
        CHECK(loss[r] == Approx(loss_of(row, label[r])).epsilon(3e-6).margin(2e-6));
        for (size_t j = 0; j < classes; j += classes > 20 ? 13 : 1) {
          const double want = slope([&](const doubles &v) { return loss_of(v, label[r]); }, row, j);
          CHECK(d[r * classes + j] == Approx(0.25 * want).margin(1e-6));
        }
      }
      if (smoothing > 0 || weighted) return;
      std::vector<uint8_t> bytes(rows);
      for (size_t r = 0; r < rows; r++) bytes[r] = uint8_t(label[r] < 256 ? label[r] : 0);
      floats plain(x.size()), plain_loss(rows);
      k->softmax_xent(rows, classes, x.data(), bytes.data(), 0.25f, plain.data(), plain_loss.data());
      for (size_t r = 0; r < rows; r++) {
        if (label[r] < 256) CHECK(!std::memcmp(&plain[r * classes], &d[r * classes], 4 * classes));
      }
    });
  }
}

TEST_CASE("Binary cross-entropy with logits, multi-margin loss", "[loss]") {
  const size_t n = 300;
  const floats x = draw(n, 6, 30);
  floats target = draw(n, 7, 1);
  for (float &v : target) v = std::fabs(v);
  each_isa([&](const fl_kernels *k) {
    floats d(n), loss(n);
    k->binary_entropy(n, d.data(), loss.data(), x.data(), target.data(), 0.5f);
    for (size_t i = 0; i < n; i++) {
      const double v = x[i], t = target[i], want = std::max(v, 0.0) - v * t + std::log1p(std::exp(-std::fabs(v)));
      CHECK(loss[i] == Approx(want).epsilon(1e-6).margin(1e-7));
      CHECK(d[i] == Approx(0.5 * (logistic(v) - t)).epsilon(1e-6).margin(1e-7));
    }
  });
  for (const size_t classes : { 2, 10, 70 }) {
    const size_t rows = 9;
    const floats logits = draw(rows * classes, 8, 2);
    const std::vector<uint32_t> label = words(rows, 9, uint32_t(classes));
    each_isa([&](const fl_kernels *k) {
      floats d(logits.size()), loss(rows);
      k->multi_margin(rows, classes, logits.data(), label.data(), 0.5f, d.data(), loss.data());
      for (size_t r = 0; r < rows; r++) {
        const doubles row(logits.begin() + long(r * classes), logits.begin() + long((r + 1) * classes));
        const auto f = [&](const doubles &v) {
          double sum = 0;
          for (size_t j = 0; j < classes; j++) sum += j == label[r] ? 0 : std::max(0.0, 1 - v[label[r]] + v[j]);
          return sum / double(classes);
        };
        CHECK(loss[r] == Approx(f(row)).epsilon(1e-6));
        for (size_t j = 0; j < classes; j++) CHECK(d[r * classes + j] == Approx(0.5 * slope(f, row, j)).margin(1e-5));
      }
    });
  }
}

TEST_CASE("Dropout drops what its words say, in shards too, and goes back where it went", "[dropout]") {
  const size_t n = 3000;
  const fl_key key = { 5, FL_PURPOSE_MASK, 1, 2, 3 };
  const floats x = draw(n, 10), dy = draw(n, 11);
  each_isa([&](const fl_kernels *k) {
    for (const double drop : { 0.0, 0.25, 0.5, 1.0 }) {
      floats y(n), dx(n), shard(n);
      std::vector<uint32_t> word(n + 100), mask(fl_dropout_words(n)), other(fl_dropout_words(n));
      k->bits(n + 100, word.data(), 0, &key);
      k->dropout(n, y.data(), x.data(), 100, &key, drop, mask.data());
      k->dropout_back(n, dx.data(), dy.data(), drop, mask.data());
      size_t dropped = 0;
      const float factor = float(1 / (1 - drop));
      for (size_t i = 0; i < n; i++) {
        const bool gone = double(word[100 + i]) < drop * 4294967296.0;
        dropped += gone;
        CHECK(y[i] == (gone ? 0 : x[i] * factor));
        CHECK(dx[i] == (gone ? 0 : dy[i] * factor));
        CHECK((mask[16 * (i / 512) + i % 16] >> i / 16 % 32 & 1) == !gone);
      }
      CHECK(double(dropped) == Approx(drop * n).margin(120));
      k->dropout(777, shard.data(), x.data(), 100, &key, drop, other.data());
      k->dropout(n - 777, shard.data() + 777, x.data() + 777, 877, &key, drop, other.data());
      CHECK(!std::memcmp(shard.data(), y.data(), 4 * n));
    }
  });
}

TEST_CASE("Embedding takes rows; its gradient adds them in order, pieces by the tree", "[embed]") {
  const size_t rows = 333, n = 24, vocabulary = 11, piece = 8;
  std::vector<uint32_t> token = words(rows, 12, vocabulary - 1);
  const floats table = draw(vocabulary * n, 13), dy = draw(rows * n, 14);
  each_isa([&](const fl_kernels *k) {
    floats y(rows * n), g(vocabulary * n, 9);
    std::vector<uint32_t> work(fl_embed_work(rows, vocabulary) + 1, 42);
    k->embed(rows, n, y.data(), token.data(), table.data());
    for (size_t r = 0; r < rows; r++) CHECK(!std::memcmp(&y[r * n], &table[token[r] * n], 4 * n));
    k->embed_grad(rows, n, dy.data(), token.data(), vocabulary, g.data(), piece, work.data());
    CHECK(work.back() == 42);
    for (size_t t = 0; t < vocabulary; t++) {
      // The sums that bias_grad, which has the same order, makes of the rows with all others +0.
      floats only(dy), want(n);
      for (size_t i = 0; i < only.size(); i++) only[i] = token[i / n] == t ? dy[i] : 0;
      k->bias_grad(rows, n, only.data(), want.data(), piece);
      CHECK(!std::memcmp(want.data(), &g[t * n], 4 * n));
      for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) sum += token[r] == t ? double(dy[r * n + j]) : 0;
        CHECK(g[t * n + j] == Approx(sum).margin(1e-4));
      }
    }
  });
}
