// Layer, group and batch norm against the formulas in double, their gradients against central differences of those formulas, and
// the promise that shards of a batch combine to the bits of the whole.
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
constexpr double eps = 1e-5;

floats draw(size_t n, unsigned seed, float shift = 0) {
  std::mt19937 r(seed);
  floats v(n);
  for (float &x : v) x = float(int(r() % 4001) - 2000) / 1000.0f + shift;
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

template <class T> double distance(const floats &a, const T &b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); i++) {
    error += (a[i] - double(b[i])) * (a[i] - double(b[i]));
    norm += double(b[i]) * double(b[i]);
  }
  return std::sqrt(error / (norm + 1e-30));
}

bool same(const void *a, const void *b, size_t bytes) { return !std::memcmp(a, b, bytes); }

// A norm in general: element i belongs to set group(i), whose mean and variance it is normalised by, and to channel(i).
struct Norm {
  size_t all, sets, channels;
  std::function<size_t(size_t)> set, channel;
  bool relu;

  doubles forward(const doubles &x, const doubles &gamma, const doubles &beta, doubles *var = nullptr) const {
    doubles mean(sets), square(sets), count(sets), y(all);
    for (size_t i = 0; i < all; i++) mean[set(i)] += x[i], count[set(i)] += 1;
    for (size_t s = 0; s < sets; s++) mean[s] /= count[s];
    for (size_t i = 0; i < all; i++) square[set(i)] += (x[i] - mean[set(i)]) * (x[i] - mean[set(i)]) / count[set(i)];
    for (size_t i = 0; i < all; i++) {
      y[i] = (x[i] - mean[set(i)]) / std::sqrt(square[set(i)] + eps) * gamma[channel(i)] + beta[channel(i)];
      if (relu && y[i] < 0) y[i] = 0;
    }
    if (var) *var = square;
    return y;
  }

  // Central differences of sum dy*y, at a few coordinates of each argument, against what the kernels say.
  void differences(const floats &x, const floats &gamma, const floats &beta, const floats &dy, const floats &dx,
                   const floats &dgamma, const floats &dbeta) const {
    std::mt19937 r(7);
    doubles arg[3] = { { x.begin(), x.end() }, { gamma.begin(), gamma.end() }, { beta.begin(), beta.end() } };
    const floats *slope[3] = { &dx, &dgamma, &dbeta };
    const auto value = [&] {
      const doubles y = forward(arg[0], arg[1], arg[2]);
      double sum = 0;
      for (size_t i = 0; i < all; i++) sum += y[i] * dy[i];
      return sum;
    };
    for (int a = 0; a < 3; a++) {
      for (int k = 0; k < 6; k++) {
        const size_t i = r() % arg[a].size();
        const double h = 1e-6, old = arg[a][i];
        arg[a][i] = old + h;
        const double up = value();
        arg[a][i] = old - h;
        const double down = value();
        arg[a][i] = old;
        INFO("argument " << a << " coordinate " << i);
        CHECK((*slope[a])[i] == Approx((up - down) / (2 * h)).epsilon(1e-4).margin(2e-4));
      }
    }
  }
};
doubles wide(const floats &x) { return { x.begin(), x.end() }; }
} // namespace

TEST_CASE("Layer norm is its formula, and its gradients are those of the formula", "[norm]") {
  const size_t shapes[][2] = { { 1, 2 }, { 5, 24 }, { 37, 65 }, { 18, 192 }, { 3, 300 }, { 2, 9000 } };
  for (const auto &shape : shapes) {
    const size_t rows = shape[0], n = shape[1], all = rows * n;
    INFO("rows " << rows << " n " << n);
    const floats x = draw(all, 1, 3), gamma = draw(n, 2), beta = draw(n, 3), dy = draw(all, 4);
    const Norm norm = { all, rows, n, [n](size_t i) { return i / n; }, [n](size_t i) { return i % n; }, false };
    const doubles want = norm.forward(wide(x), wide(gamma), wide(beta));
    each_isa([&](const fl_kernels *k) {
      floats y(all), stat(2 * rows), dx(all), dgamma(n), dbeta(n), work(fl_norm_work(n, rows, 8) + 1);
      work.back() = 42;
      k->layer_norm(rows, n, x.data(), gamma.data(), beta.data(), float(eps), y.data(), stat.data());
      CHECK(distance(y, want) < 4e-6);
      k->layer_norm_back(rows, n, x.data(), gamma.data(), stat.data(), dy.data(), dx.data(), dgamma.data(), dbeta.data(), 8,
                         work.data());
      CHECK(work.back() == 42);
      if (k->isa == FL_ISA_SCALAR) norm.differences(x, gamma, beta, dy, dx, dgamma, dbeta);
    });
  }
}

TEST_CASE("A row far from 0 keeps its digits", "[norm]") {
  const size_t n = 192;
  floats x(n), gamma(n, 1), beta(n), y(n), stat(2);
  for (size_t i = 0; i < n; i++) x[i] = 4096.0f + float(i % 5);
  each_isa([&](const fl_kernels *k) {
    k->layer_norm(1, n, x.data(), gamma.data(), beta.data(), float(eps), y.data(), stat.data());
    const Norm norm = { n, 1, n, [](size_t) { return size_t(0); }, [](size_t i) { return i; }, false };
    CHECK(distance(y, norm.forward(wide(x), wide(gamma), wide(beta))) < 1e-5);
  });
}

TEST_CASE("Group norm is its formula, with and without ReLU, and so are its gradients", "[norm]") {
  const size_t shapes[][4] = { { 3, 4, 9, 2 }, { 2, 32, 64, 2 }, { 3, 34, 17, 17 }, { 2, 6, 4200, 3 }, { 35, 4, 1, 1 } };
  for (const auto &s : shapes) for (const int relu : { 0, 1 }) {
    const size_t n = s[0], c = s[1], hw = s[2], groups = s[3], all = n * c * hw, size = c / groups * hw;
    INFO("n " << n << " c " << c << " hw " << hw << " groups " << groups << " relu " << relu);
    const floats x = draw(all, 1, 1), gamma = draw(c, 2), beta = draw(c, 3), dy = draw(all, 4);
    const Norm norm = { all, n * groups, c, [=](size_t i) { return i / size; }, [=](size_t i) { return i / hw % c; }, relu != 0 };
    const doubles want = norm.forward(wide(x), wide(gamma), wide(beta));
    const fl_group_norm shape = { c, hw, groups, float(eps), relu };
    each_isa([&](const fl_kernels *k) {
      floats y(all), stat(2 * n * groups), dx(all), dgamma(c), dbeta(c), work(fl_norm_work(c, n, 2) + 1);
      work.back() = 42;
      k->group_norm(&shape, n, x.data(), gamma.data(), beta.data(), y.data(), stat.data());
      CHECK(distance(y, want) < 2e-6);
      k->group_norm_back(&shape, n, x.data(), gamma.data(), beta.data(), stat.data(), dy.data(), dx.data(), dgamma.data(),
                         dbeta.data(), 2, work.data());
      CHECK(work.back() == 42);
      if (k->isa == FL_ISA_SCALAR) norm.differences(x, gamma, beta, dy, dx, dgamma, dbeta);
    });
  }
}

TEST_CASE("Batch norm is its formula, in shards too, and its running averages are PyTorch's", "[norm]") {
  const size_t shapes[][3] = { { 2, 3, 5 }, { 50, 5, 16 }, { 40, 18, 64 }, { 3, 2, 4200 }, { 65, 33, 1 } };
  for (const auto &s : shapes) for (const int relu : { 0, 1 }) {
    const size_t n = s[0], c = s[1], hw = s[2], all = n * c * hw, count = n * hw, piece = fl_sample_piece(hw);
    INFO("n " << n << " c " << c << " hw " << hw << " relu " << relu);
    const floats x = draw(all, 1, 5), gamma = draw(c, 2), beta = draw(c, 3), dy = draw(all, 4);
    const Norm norm = { all, c, c, [=](size_t i) { return i / hw % c; }, [=](size_t i) { return i / hw % c; }, relu != 0 };
    doubles variance;
    const doubles want = norm.forward(wide(x), wide(gamma), wide(beta), &variance);
    each_isa([&](const fl_kernels *k) {
      doubles moments(2 * c), part(2 * c);
      floats y(all), stat(2 * c), dx(all), dgamma(c), dbeta(c), mean(c, 1), var(c, 2);
      k->batch_moments(n, c, hw, x.data(), piece, moments.data());
      fl_batch_stat(c, count, moments.data(), float(eps), stat.data());
      k->batch_norm(n, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, y.data());
      CHECK(distance(y, want) < 2e-6);
      fl_batch_running(c, count, moments.data(), 0.1, mean.data(), var.data());
      for (size_t j = 0; j < c; j++) {
        CHECK(mean[j] == Approx(0.9 + 0.1 * stat[j]));
        CHECK(var[j] == Approx(1.8 + 0.1 * variance[j] * double(count) / double(count - 1)));
      }
      k->batch_norm_grad(n, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, dy.data(), dgamma.data(), dbeta.data(),
                         piece);
      k->batch_norm_back(n, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, dy.data(), dgamma.data(), dbeta.data(),
                         count, dx.data());
      if (k->isa == FL_ISA_SCALAR) norm.differences(x, gamma, beta, dy, dx, dgamma, dbeta);
      if (n <= 32) return;
      // Shards of 32 samples: the left one whole, the right one the rest.
      doubles left(2 * c);
      const size_t at = 32 * c * hw, shard = 32;
      k->batch_moments(shard, c, hw, x.data(), piece, left.data());
      if (n <= 2 * shard) {
        k->batch_moments(n - shard, c, hw, x.data() + at, piece, part.data());
        fl_batch_join(c, shard * hw, left.data(), (n - shard) * hw, part.data());
        CHECK(same(part.data(), moments.data(), 16 * c));
        floats lg(c), lb(c), rg(c), rb(c);
        k->batch_norm_grad(shard, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, dy.data(), lg.data(), lb.data(),
                           piece);
        k->batch_norm_grad(n - shard, c, hw, x.data() + at, stat.data(), gamma.data(), beta.data(), relu, dy.data() + at,
                           rg.data(), rb.data(), piece);
        for (size_t j = 0; j < c; j++) CHECK((lg[j] + rg[j] == dgamma[j] && lb[j] + rb[j] == dbeta[j]));
      }
    });
  }
  floats stat(4);
  const floats mean = { 1, 2 }, var = { 3, 0 };
  fl_batch_evaluate(2, mean.data(), var.data(), float(eps), stat.data());
  CHECK(stat[0] == 1.0f);
  CHECK(stat[2] == Approx(1 / std::sqrt(3 + eps)));
  CHECK(stat[3] == Approx(1 / std::sqrt(eps)));
}
