// Gradients of every network: against a second implementation in double, which is itself held against central
// differences, and against differences of the loss that the product computes.
#include "differences.hpp"
#include "reference.hpp"
#include <catch2/catch.hpp>
#include <cstring>

using reference::Vector;

namespace {
struct Case {
  reference::Samples data;
  fl_model *model;
  const fl_objective *o;
  const fl_kernels *k;
  std::vector<float> x, g;
  std::vector<char> work;
  Case(const std::string &net, size_t n, unsigned seed) : data(n, seed) {
    char err[256] = "";
    model = fl_model_new(fl_net_find(net.c_str(), nullptr), &data.s, nullptr, reference::mean, reference::deviation, err,
                         sizeof err);
    INFO(err);
    REQUIRE(model);
    o = fl_model_objective(model);
    k = fl_kernels_select(nullptr, nullptr);
    REQUIRE(k);
    x.resize(o->layout->d), g.resize(o->layout->d), work.resize(o->work(o->self, n));
    o->init(o->self, seed, x.data());
  }
  ~Case() { fl_model_free(model); }
  double loss(const std::vector<float> &at, std::vector<float> &gradient) {
    std::vector<uint32_t> index(o->n);
    for (size_t i = 0; i < index.size(); i++) index[i] = uint32_t(index.size() - 1 - i);
    return o->loss_grad(o->self, k, at.data(), index.data(), index.size(), gradient.data(), work.data());
  }
};
}

TEST_CASE("The reference of the gradient tests agrees with central differences", "[gradient]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  Case c(net, 2, 5);
  const reference::Net ref{ reference::layers(net, 10), 28, 28 };
  Vector p(c.x.begin(), c.x.end()), g(p.size(), 0);
  const Vector in = reference::input(c.data.s, 0);
  ref.run(p, in, c.data.label[0], &g);
  INFO(net);
  check_differences({ 1e-6, 0, 0, 1e-7, 4, 1 }, *c.o->layout, p, g, [&] { return ref.run(p, in, c.data.label[0], nullptr); });
}

TEST_CASE("Loss and gradient of every network agree with the reference", "[gradient]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  const size_t n = GENERATE(size_t(1), size_t(7), size_t(40));
  Case c(net, n, 11 + unsigned(n));
  const reference::Net ref{ reference::layers(net, 10), 28, 28 };
  const Vector p(c.x.begin(), c.x.end());
  Vector want(p.size(), 0);
  double loss = 0;
  for (size_t i = 0; i < n; i++) loss += ref.run(p, reference::input(c.data.s, i), c.data.label[i], &want);
  std::fill(c.g.begin(), c.g.end(), NAN);       // every coordinate must be written
  CHECK(c.loss(c.x, c.g) == Approx(loss / double(n)).epsilon(1e-6));
  for (size_t t = 0; t < c.o->layout->n; t++) {
    const fl_tensor &tensor = c.o->layout->tensor[t];
    double error = 0, norm = 0;
    for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) {
      const double w = want[i] / double(n);
      error += (c.g[i] - w) * (c.g[i] - w);
      norm += w * w;
    }
    INFO(net << ", batch " << n << ", " << tensor.name << ": |g| = " << std::sqrt(norm));
    CHECK(norm > 0);
    CHECK(std::sqrt(error) <= 1e-5 * std::sqrt(norm));
  }
}

TEST_CASE("Directional derivatives of the loss that is computed agree with its gradient", "[gradient]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  Case c(net, 8, 3);
  c.loss(c.x, c.g);
  std::vector<float> ignored(c.g.size());
  for (size_t t = 0; t < c.o->layout->n; t++) {
    const fl_tensor &tensor = c.o->layout->tensor[t];
    double norm = 0;
    for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) norm += double(c.g[i]) * c.g[i];
    norm = std::sqrt(norm);
    const double h = 1e-3;                      // larger steps cross kinks of ReLU and pooling, smaller ones drown in rounding
    auto moved = [&](double s) {                // along the tensor's own gradient, where the slope is its norm
      std::vector<float> y = c.x;
      for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) y[i] = float(y[i] + s * c.g[i] / norm);
      return c.loss(y, ignored);
    };
    INFO(net << ", " << tensor.name);
    CHECK((moved(h) - moved(-h)) / (2 * h) == Approx(norm).epsilon(0.02).margin(1e-4));
  }
}
