// The losses of networks against PyTorch's formulas in double, with central differences of those; labels of positions, of 32
// bits, labels that do not count; refusals.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>
extern "C" {
#include "models/plan.h"
}

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
using doubles = std::vector<double>;
struct Form {
  const char *type, *settings;                  // type NULL: no loss is named
  size_t classes, positions;                    // positions 0: one label a row
  bool wide;
  double smoothing = 0;
  doubles weight = {};
  long ignore = -1;
  size_t outputs() const { return type && !strcmp(type, "binary_entropy") && classes == 2 ? 1 : classes; }
};
const Form forms[] = {
  { nullptr, "", 5, 0, false }, { nullptr, "", 40, 3, false }, { nullptr, "", 300, 0, true },
  { "cross_entropy", "", 5, 0, false }, { "cross_entropy", "smoothing=0.2", 7, 0, false, 0.2 },
  { "cross_entropy", "weights=1+0.5+2+0.25", 4, 3, false, 0, { 1, 0.5, 2, 0.25 } },
  { "cross_entropy", "ignore=2", 6, 4, false, 0, {}, 2 },
  { "cross_entropy", "ignore=70000 smoothing=0.1", 300, 2, true, 0.1, {}, 70000 },
  { "cross_entropy", "smoothing=0.3 weights=3+1+0+2 ignore=1", 4, 0, false, 0.3, { 3, 1, 0, 2 }, 1 },
  { "binary_entropy", "", 2, 0, false }, { "binary_entropy", "", 2, 3, false }, { "binary_entropy", "", 5, 2, false },
  { "multi_margin", "", 4, 0, false }, { "multi_margin", "", 17, 3, false }, { "multi_margin", "", 270, 0, true },
};
constexpr size_t width = 3;

struct Data {
  std::vector<float> x;
  std::vector<uint8_t> byte;
  std::vector<uint32_t> word;
  fl_samples s{};
  Data(const Form &f, size_t n, unsigned seed) {
    const size_t rows = n * std::max<size_t>(f.positions, 1);
    std::mt19937 r(seed);
    for (size_t i = 0; i < rows * width; i++) x.push_back(float(int(r() % 2001) - 1000) / 400);
    for (size_t i = 0; i < rows; i++) {
      word.push_back(f.ignore >= 0 && r() % 4 == 0 ? uint32_t(f.ignore) : uint32_t(r() % f.classes));
      byte.push_back(uint8_t(word.back()));
    }
    s.n = n, s.c = 1, s.h = std::max<size_t>(f.positions, 1), s.w = width, s.classes = f.classes, s.positions = f.positions;
    s.features = x.data(), s.label = byte.data();
    if (f.wide) s.label = nullptr, s.label32 = word.data();
  }
};

// One linear layer, and the loss as torch.nn.functional documents it; `index` into all rows' positions.
struct Reference {
  const Form &f;
  const Data &d;
  double sum = 0, mean = 0;                     // of the rows' losses, weighted; their mean as PyTorch has it
  size_t count = 0, correct = 0;

  doubles logits(const doubles &p, size_t row) const {
    const size_t c = f.outputs();
    doubles z(c);
    for (size_t j = 0; j < c; j++) {
      z[j] = p[c * width + j];
      for (size_t i = 0; i < width; i++) z[j] += p[j * width + i] * double(d.x[row * width + i]);
    }
    return z;
  }
  double entropy(const doubles &z, size_t y) const {
    double top = z[0], total = 0, even = 0;
    for (double v : z) top = std::max(top, v);
    for (double v : z) total += std::exp(v - top);
    const auto minus = [&](size_t j) { return top + std::log(total) - z[j]; };
    const auto w = [&](size_t j) { return f.weight.empty() ? 1.0 : f.weight[j]; };
    for (size_t j = 0; j < z.size(); j++) even += w(j) * minus(j);
    return (1 - f.smoothing) * w(y) * minus(y) + f.smoothing / double(z.size()) * even;
  }
  double one(const doubles &z, size_t y) const {
    const std::string type = f.type ? f.type : "cross_entropy";
    double loss = 0;
    if (type == "cross_entropy") return entropy(z, y);
    for (size_t j = 0; j < z.size(); j++) {
      const double t = z.size() == 1 ? double(y) : j == y;
      if (type == "multi_margin") loss += j == y ? 0 : std::max(0.0, 1 + z[j] - z[y]);
      else loss -= t * -std::log1p(std::exp(-z[j])) + (1 - t) * -std::log1p(std::exp(z[j]));
    }
    return loss / double(z.size());
  }
  void run(const doubles &p, const std::vector<uint32_t> &index) {
    const size_t t = std::max<size_t>(f.positions, 1);
    double weights = 0;
    sum = 0, count = correct = 0;
    for (const uint32_t i : index)
      for (size_t row = i * t; row < (i + 1) * t; row++) {
        const size_t y = d.word[row];
        if (long(y) == f.ignore) continue;
        const doubles z = logits(p, row);
        size_t best = 0;
        for (size_t j = 1; j < z.size(); j++)
          if (z[j] > z[best]) best = j;
        if (z.size() == 1) best = z[0] > 0;
        sum += one(z, y), weights += f.weight.empty() ? 1 : f.weight[y];
        count++, correct += best == y;
      }
    mean = weights > 0 ? sum / weights : 0;
  }
};

std::vector<fl_layer_spec> layers_of(const Form &f) {
  std::vector<fl_layer_spec> l = { FL_NEXT("linear", "fc", "") };
  if (f.type) l.push_back(FL_NEXT(f.type, "end", f.settings));
  return l;
}
Model build(const std::vector<fl_layer_spec> &layers, const fl_samples *train, std::string *message = nullptr) {
  char err[512] = "";
  const fl_net net = { "n", "", layers.size(), layers.data() };
  Model m(fl_model_new(&net, train, train, 0, 1, err, sizeof err), fl_model_free);
  if (message) *message = err;
  return m;
}
std::string refused(const Form &f, const std::vector<fl_layer_spec> &layers) {
  std::string message;
  const Data d(f, 4, 1);
  CHECK(build(layers, &d.s, &message) == nullptr);
  return message;
}
struct Trained {
  Model m;
  const fl_objective *o;
  std::vector<float> x, g;
  std::vector<char> work;
  Trained(const Form &f, const Data &d) : m(build(layers_of(f), &d.s)), o(fl_model_objective(m.get())) {
    x.resize(o->layout->d), g.resize(x.size()), work.resize(o->work(o->self, d.s.n), char(0x7f));
    std::mt19937 r(5);
    for (float &v : x) v = float(int(r() % 2001) - 1000) / 1000;
  }
  double loss(const fl_kernels *k, const std::vector<uint32_t> &index) {
    std::fill(g.begin(), g.end(), NAN);
    return o->loss_grad(o->self, k, x.data(), index.data(), index.size(), g.data(), work.data());
  }
};
std::vector<uint32_t> first(size_t n) {
  std::vector<uint32_t> index(n);
  for (size_t i = 0; i < n; i++) index[i] = uint32_t(n - 1 - i);
  return index;
}
}

TEST_CASE("Every loss is that of PyTorch's formula, its gradient that of its differences, on every ISA", "[loss]") {
  const Form &f = GENERATE(from_range(std::begin(forms), std::end(forms)));
  const size_t n = GENERATE(size_t(1), size_t(9), size_t(40));
  const Data d(f, n, 7 + unsigned(n));
  Trained t(f, d);
  const std::vector<uint32_t> index = first(n);
  INFO((f.type ? f.type : "default") << " " << f.settings << ", " << f.classes << " classes, " << n << " of " << f.positions);
  REQUIRE(t.x.size() == f.outputs() * (width + 1));
  Reference ref{ f, d };
  doubles p(t.x.begin(), t.x.end());
  std::vector<float> same;
  double value = 0;
  for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
    const fl_kernels *k = fl_kernels_of(fl_isa(isa));
    if (!k) continue;
    const double loss = t.loss(k, index);
    if (same.empty()) same = t.g, value = loss;
    INFO(k->name);
    CHECK((loss == value && !memcmp(same.data(), t.g.data(), 4 * same.size())));
  }
  ref.run(p, index);
  CHECK(value == Approx(ref.mean).epsilon(2e-6).margin(1e-7));
  std::mt19937 r(3);
  for (int draw = 0; draw < 12; draw++) {
    const size_t i = r() % p.size();
    const double h = 1e-6, old = p[i];
    p[i] = old + h, ref.run(p, index);
    const double up = ref.mean;
    p[i] = old - h, ref.run(p, index);
    INFO("coordinate " << i);
    CHECK(same[i] == Approx((up - ref.mean) / (2 * h)).epsilon(1e-5).margin(2e-7));
    p[i] = old;
  }
  fl_eval e;
  t.o->evaluate_samples(t.o->self, fl_kernels_select(nullptr, nullptr), t.x.data(), index.data(), n, &e, t.work.data());
  ref.run(p, index);
  CHECK((e.count == ref.count && e.correct == ref.correct && !e.diverged));
  CHECK(e.loss == Approx(ref.sum).epsilon(2e-6).margin(1e-6));
}

TEST_CASE("The loss that a network ends with is cross_entropy; words for labels give the gradient of bytes", "[loss]") {
  const Form none{ nullptr, "", 10, 3, false }, wide{ nullptr, "", 10, 3, true };
  const Form named{ "cross_entropy", "smoothing=0", 10, 3, false };
  const Data bytes(none, 30, 2), words(wide, 30, 2);
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  Trained a(none, bytes), b(named, bytes), c(wide, words);
  const double loss = a.loss(k, first(30));
  CHECK(loss == b.loss(k, first(30)));
  CHECK(!memcmp(a.g.data(), b.g.data(), 4 * a.g.size()));
  CHECK(c.loss(k, first(30)) == Approx(loss).epsilon(1e-6));
  CHECK(!memcmp(a.g.data(), c.g.data(), 4 * a.g.size()));
}

TEST_CASE("Rows that do not count have no part; without any the loss and the gradient are 0", "[loss]") {
  const Form f{ "cross_entropy", "ignore=3", 5, 2, false, 0, {}, 3 };
  Data d(f, 8, 3);
  for (size_t i = 0; i < 4; i++) d.byte[i] = 3;        // rows 0 and 1
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  Trained t(f, d);
  CHECK(t.loss(k, { 0, 1 }) == 0);
  for (float v : t.g) CHECK(v == 0);
  const double some = t.loss(k, { 4, 5 });
  CHECK(t.loss(k, { 0, 4, 1, 5 }) == Approx(some).epsilon(1e-6));
  fl_eval e;
  t.o->evaluate_samples(t.o->self, k, t.x.data(), first(2).data(), 2, &e, t.work.data());
  CHECK((e.count == 0 && e.loss == 0 && !e.diverged));
}

TEST_CASE("Drawn and flipped labels: where the loss has them", "[loss]") {
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  const fl_key key = { 7, FL_PURPOSE_LABELS, 0, 0, 0 };
  const std::vector<uint32_t> index = first(20);
  const Form plain{ nullptr, "", 6, 0, false }, smooth{ "cross_entropy", "smoothing=0.5", 6, 0, false, 0.5 };
  const Data d(plain, 20, 4);
  Trained a(plain, d), b(smooth, d);
  const auto drawn = [&](Trained &t) {
    return t.o->sampled_grad(t.o->self, k, t.x.data(), index.data(), 20, &key, t.g.data(), t.work.data());
  };
  const double loss = drawn(a);
  CHECK(loss == drawn(b));                       // of drawn labels neither smoothing nor weights
  CHECK(!memcmp(a.g.data(), b.g.data(), 4 * a.g.size()));
  for (const Form &f : forms) {
    const Data own(f, 20, 4);
    Trained t(f, own);
    CHECK((t.o->sampled_grad != nullptr) == ((!f.type || f.type[0] == 'c') && f.ignore < 0 && !f.wide));
    Data turned(f, 20, 4);
    for (size_t i = 0; i < turned.word.size(); i++)
      if (long(turned.word[i]) != f.ignore) {
        turned.word[i] = uint32_t(f.classes - 1 - turned.word[i]);
        turned.byte[i] = uint8_t(turned.word[i]);
      }
    Trained other(f, turned);
    const double want = other.loss(k, index);
    INFO((f.type ? f.type : "default") << " " << f.settings << " " << f.classes);
    CHECK(t.o->flipped_grad(t.o->self, k, t.x.data(), index.data(), 20, t.g.data(), t.work.data()) == want);
    CHECK(!memcmp(t.g.data(), other.g.data(), 4 * t.g.size()));
  }
}

TEST_CASE("A NaN among the logits is no class and no loss", "[loss]") {
  for (const Form &f : forms) {
    const Data d(f, 3, 9);
    Trained t(f, d);
    t.x[t.x.size() - 1] = NAN;
    fl_eval e;
    t.o->evaluate(t.o->self, fl_kernels_select(nullptr, nullptr), t.x.data(), 0, 3, &e, t.work.data());
    INFO((f.type ? f.type : "default") << " " << f.settings);
    CHECK((e.diverged && e.correct == 0));
  }
}

TEST_CASE("A loss that does not fit is refused with its name", "[loss]") {
  const Form four{ nullptr, "", 4, 0, false }, two{ nullptr, "", 2, 0, false }, many{ nullptr, "", 257, 0, false };
  const fl_layer_spec fc = FL_NEXT("linear", "fc", ""), own = FL_NEXT("linear", "fc", "out=2");
  CHECK(refused(four, { fc, FL_NEXT("cross_entropy", "end", "weights=1+2") }) ==
        "model n, layer end: weights = 2 numbers; allowed: 4, one for each class");
  CHECK(refused(four, { fc, FL_NEXT("cross_entropy", "end", "weights=0+0+0+0") }) ==
        "model n, layer end: weights are all 0; allowed: one class or more that counts");
  CHECK(refused(four, { fc, FL_NEXT("cross_entropy", "end", "weights=1+-2+1+1") }) ==
        "model n, layer end: weights = '-2'; allowed: a number from 0 to 1000000");
  CHECK(refused(four, { fc, FL_NEXT("cross_entropy", "end", "weights=1++1+1") }) ==
        "model n, layer end: weights = ''; allowed: a number from 0 to 1000000");
  CHECK(refused(four, { fc, FL_NEXT("cross_entropy", "end", "smoothing=1") }) ==
        "model n, layer end: smoothing = '1'; allowed: a number from 0 to below 1");
  CHECK(refused(four, { FL_NEXT("cross_entropy", "end", ""), fc }) ==
        "model n, layer end: cross_entropy is a loss; allowed: as the last of the layers");
  CHECK(refused(four, { FL_NEXT("multi_margin", "end", "") }) ==
        "model n: a loss and no layer; allowed: one layer or more before it");
  CHECK(refused(four, { fc, FL_NEXT("linear", "b", ""), FL_READS("multi_margin", "end", "", "fc") }) ==
        "model n, layer end: from = 'fc'; allowed: of a loss 'b', the layer before it");
  CHECK(refused(two, { own, FL_NEXT("binary_entropy", "end", "") }) ==
        "model n, layer fc: its output is a vector of 2; allowed: of the last layer one number, as its loss has of 2 classes");
  CHECK(refused(many, { fc }) == "model n: 257 classes, allowed 2 to 256");
  std::string message;
  Data d(four, 4, 1);
  d.byte[2] = 9;
  CHECK(build({ fc }, &d.s, &message) == nullptr);
  CHECK(message == "model n, layer loss: label 9 of training row 2; allowed: 0 to 3, or the one that `ignore` names");
  CHECK(build({ fc, FL_NEXT("multi_margin", "end", "") }, &d.s, &message) == nullptr);
  CHECK(message == "model n, layer end: label 9 of training row 2; allowed: 0 to 3");
  CHECK(build({ fc, FL_NEXT("cross_entropy", "end", "ignore=9") }, &d.s, &message));
}
