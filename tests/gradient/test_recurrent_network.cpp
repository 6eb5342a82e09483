// Recurrent networks against a plain forward pass in double after PyTorch's formulas and its central differences; names, counts,
// bits over instruction sets, scratch and batches; refusals.
#include "differences.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>
extern "C" {
#include "models/model.h"
}

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
using doubles = std::vector<double>;
constexpr size_t vocabulary = 11, embedded = 4, classes = 6, hidden[2] = { 7, 5 };

struct Shape { bool gru; size_t n, length; bool each; };    // each: a label for each position
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Characters, a network of two recurrent layers over them, and the mean cross-entropy of its linear head in double.
struct Case {
  Shape shape;
  std::vector<int32_t> token;
  std::vector<uint8_t> label;
  fl_samples s{};
  Model m{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  std::vector<float> x, g;
  std::vector<uint32_t> index;

  explicit Case(const Shape &of) : shape(of) {
    std::mt19937 r(unsigned(of.n * 100 + of.length));
    for (size_t i = 0; i < of.n * of.length; i++) token.push_back(int32_t(r() % vocabulary));
    for (size_t i = 0; i < of.n * (of.each ? of.length : 1); i++) label.push_back(uint8_t(r() % classes));
    s.n = of.n, s.c = s.h = 1, s.w = of.length, s.classes = classes, s.tokens = token.data(), s.label = label.data();
    s.positions = of.each ? of.length : 0;
    const char *type = of.gru ? "gru" : "lstm";
    const fl_layer_spec layers[] = { FL_NEXT("embedding", "embedding", "tokens=11 out=4"), FL_NEXT(type, "r1", "hidden=7"),
                                     FL_NEXT(type, "r2", "hidden=5 output=labels"), FL_NEXT("linear", "fc", "") };
    const fl_net net = { "net", "", 4, layers };
    char err[256] = "";
    m.reset(fl_model_new(&net, &s, &s, 0, 1, err, sizeof err));
    INFO(err);
    REQUIRE(m);
    o = fl_model_objective(m.get());
    x.resize(o->layout->d), g.resize(x.size());
    o->init(o->self, 3, x.data());
    for (size_t i = 0; i < of.n; i++) index.push_back(uint32_t(of.n - 1 - i));
  }
  double loss(const fl_kernels *k, int fill = 0x7f) {
    std::vector<char> work(o->work(o->self, shape.n), char(fill));      // what lies in the scratch block does not matter
    std::fill(g.begin(), g.end(), NAN);
    return o->loss_grad(o->self, k, x.data(), index.data(), shape.n, g.data(), work.data());
  }
  const double *tensor(const doubles &p, size_t i) const { return p.data() + o->layout->tensor[i].offset; }

  // One recurrent layer over `in` (length x width); its four tensors begin at `first`.
  doubles layer(const doubles &p, size_t first, const doubles &in, size_t width, size_t h) const {
    const double *wi = tensor(p, first), *wh = tensor(p, first + 1), *bi = tensor(p, first + 2), *bh = tensor(p, first + 3);
    doubles y(shape.length * h), state(h), cell(h), next(h);
    for (size_t t = 0; t < shape.length; t++) {
      const auto of_x = [&](size_t g) {
        double sum = bi[g];
        for (size_t i = 0; i < width; i++) sum += wi[g * width + i] * in[t * width + i];
        return sum;
      };
      const auto of_h = [&](size_t g) {
        double sum = bh[g];
        for (size_t i = 0; i < h; i++) sum += wh[g * h + i] * state[i];
        return sum;
      };
      const auto both = [&](size_t g) { return of_x(g) + of_h(g); };
      for (size_t j = 0; j < h; j++) {
        if (shape.gru) {
          const double r = logistic(both(j)), z = logistic(both(h + j)), n = std::tanh(of_x(2 * h + j) + r * of_h(2 * h + j));
          next[j] = (1 - z) * n + z * state[j];
        } else {
          cell[j] = logistic(both(h + j)) * cell[j] + logistic(both(j)) * std::tanh(both(2 * h + j));
          next[j] = logistic(both(3 * h + j)) * std::tanh(cell[j]);
        }
      }
      state = next;
      std::copy(state.begin(), state.end(), y.begin() + long(t * h));
    }
    return y;
  }
  double reference(const doubles &p) const {
    const size_t length = shape.length, h = hidden[1];
    double total = 0;
    for (size_t b = 0; b < shape.n; b++) {
      doubles e(length * embedded);
      for (size_t t = 0; t < length; t++)
        for (size_t i = 0; i < embedded; i++) e[t * embedded + i] = tensor(p, 0)[size_t(token[b * length + t]) * embedded + i];
      const doubles y = layer(p, 5, layer(p, 1, e, embedded, hidden[0]), hidden[0], h);
      for (size_t t = shape.each ? 0 : length - 1; t < length; t++) {
        double z[classes], top = -1e300, sum = 0;
        for (size_t c = 0; c < classes; c++) {
          z[c] = tensor(p, 10)[c];
          for (size_t i = 0; i < h; i++) z[c] += tensor(p, 9)[c * h + i] * y[t * h + i];
          top = std::max(top, z[c]);
        }
        for (double v : z) sum += std::exp(v - top);
        total += top + std::log(sum) - z[label[shape.each ? b * length + t : b]];
      }
    }
    return total / double(label.size());
  }
};

std::string refusal(const char *type, const char *settings, const fl_samples &s) {
  const fl_layer_spec layers[] = { FL_NEXT(type, "r", settings), FL_NEXT("linear", "fc", "") };
  const fl_net net = { "n", "", 2, layers };
  char err[256] = "";
  CHECK(Model(fl_model_new(&net, &s, nullptr, 0, 1, err, sizeof err), fl_model_free) == nullptr);
  return err;
}
}

TEST_CASE("Recurrent networks: loss and gradient are those of a forward pass in double, on every ISA", "[gradient]") {
  const Shape shape = GENERATE(Shape{ false, 1, 1, true }, Shape{ false, 3, 5, true }, Shape{ false, 1, 9, false },
                               Shape{ false, 33, 3, false }, Shape{ true, 1, 1, false }, Shape{ true, 3, 5, false },
                               Shape{ true, 1, 9, true }, Shape{ true, 33, 3, true });
  Case c(shape);
  INFO((shape.gru ? "GRU" : "LSTM") << ", " << shape.n << " of length " << shape.length << (shape.each ? ", each" : ", last"));
  std::vector<float> first;
  double value = 0;
  for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
    const fl_kernels *k = fl_kernels_of(fl_isa(isa));
    if (!k) continue;
    const double loss = c.loss(k, isa % 2 ? 0x7f : 0);
    if (first.empty()) first = c.g, value = loss;
    INFO(k->name);
    CHECK((loss == value && !memcmp(first.data(), c.g.data(), 4 * first.size())));
  }
  doubles p(c.x.begin(), c.x.end());
  CHECK(value == Approx(c.reference(p)).epsilon(1e-6));
  check_differences({ 1e-5, 0, 2e-5, 2e-7, 4, 1 }, *c.o->layout, p, first, [&] { return c.reference(p); });
}

TEST_CASE("Recurrent layers have the names and shapes of torch.nn.LSTM and torch.nn.GRU", "[gradient]") {
  for (const bool gru : { false, true }) {
    const Case c({ gru, 2, 3, true });
    const size_t gates = gru ? 3 : 4;
    const fl_layout *l = c.o->layout;
    REQUIRE(l->n == 11);
    const char *const part[] = { "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0" };
    for (size_t i = 0; i < 8; i++) {
      const fl_tensor &t = l->tensor[1 + i];
      CHECK(std::string(t.name) == std::string(i < 4 ? "r1." : "r2.") + part[i % 4]);
      CHECK((t.shape[0] == gates * hidden[i / 4] && t.ndim == (i % 4 < 2 ? 2 : 1)));
      const double bound = 1 / std::sqrt(double(hidden[i / 4]));
      for (size_t j = 0; j < t.size; j++) CHECK(std::fabs(c.x[t.offset + j]) <= bound);
    }
    CHECK((l->tensor[1].shape[1] == embedded && l->tensor[2].shape[1] == hidden[0] && l->tensor[5].shape[1] == hidden[0]));
    CHECK(fl_model_macs(c.m.get()) == 3 * (double(gates) * (7 * (4 + 7) + 5 * (7 + 5)) + 5 * classes));
  }
}

TEST_CASE("char_lstm: 819,920 parameters at 80 characters; one label a row or one a position", "[gradient]") {
  const size_t length = 80, n = 2;
  std::vector<int32_t> token(n * length);
  for (size_t i = 0; i < token.size(); i++) token[i] = int32_t(i % 80);
  std::vector<uint8_t> label(n * length);
  fl_samples s{};
  s.n = n, s.c = s.h = 1, s.w = length, s.classes = 80, s.tokens = token.data(), s.label = label.data();
  char err[256] = "";
  for (const size_t positions : { size_t(0), length }) {
    s.positions = positions;
    const Model m(fl_model_new(fl_net_find("char_lstm", nullptr), &s, nullptr, 0, 1, err, sizeof err), fl_model_free);
    INFO(err);
    REQUIRE(m);
    const size_t one = 4 * 256 * (8 + 256) + 2 * 4 * 256, two = 4 * 256 * (256 + 256) + 2 * 4 * 256;
    CHECK(fl_model_objective(m.get())->layout->d == 80 * 8 + one + two + 80 * 256 + 80);
    CHECK(fl_model_objective(m.get())->layout->d == 819920);
  }
  s.positions = 0;
  CHECK(refusal("lstm", "", s) == "model n, layer r: it reads tokens, 80; allowed: a sequence");
  CHECK(refusal("gru", "hidden=0", s) == "model n, layer r: hidden = '0'; allowed: a whole number from 1 to 65536");
  CHECK(refusal("gru", "output=first", s) == "model n, layer r: output = 'first'; allowed: all|last|labels");
}

TEST_CASE("The state of a sample does not depend on its batch", "[gradient]") {
  for (const bool gru : { false, true }) {
    Case c({ gru, 33, 7, true });
    const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
    std::vector<float> all(33 * 7 * classes), one(7 * classes);
    std::vector<char> work(c.o->work(c.o->self, 33));
    fl_model_logits(c.m.get(), k, c.x.data(), &c.s, c.index.data(), 33, all.data(), work.data());
    for (size_t r = 0; r < 33; r++) {
      fl_model_logits(c.m.get(), k, c.x.data(), &c.s, &c.index[r], 1, one.data(), work.data());
      CHECK(!memcmp(one.data(), &all[r * one.size()], 4 * one.size()));
    }
  }
}
