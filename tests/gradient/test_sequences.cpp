// Networks of attention: loss and gradients against central differences of a forward pass in double; the same bits on every
// instruction set, and a sample's gradient whatever else is in its batch.
#include "differences.hpp"
#include "sequences.hpp"
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <random>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
struct Network {
  std::string name;
  std::vector<fl_layer_spec> layers;
  bool image;
  size_t positions;                              // labels of a row, 0: one
  fl_net net() const { return { name.c_str(), "", layers.size(), layers.data() }; }
};
// Short sequences have a form of their own, as have heads of at most sixteen numbers.
Network text(const char *name, size_t positions, const char *attention, const char *second) {
  return { name, { FL_NEXT("embedding", "e", "tokens=0 out=12"), FL_NEXT("position", "p", "std=0.5"),
                   FL_NEXT("layer_norm", "n1", "eps=1e-3"), FL_NEXT("attention", "a1", attention),
                   FL_READS("add", "s1", "", "p a1"),
                   FL_NEXT("layer_norm", "n2", ""), FL_NEXT("linear", "f1", "out=20 std=0.3"), FL_NEXT("gelu", "g", ""),
                   FL_NEXT("linear", "f2", "out=12"), FL_READS("add", "s2", "", "s1 f2"),
                   FL_READS("attention", "a2", second, "s2"), FL_NEXT("linear", "head", "") }, false, positions };
}
std::vector<Network> networks() {
  Network vision{ "vision", { FL_NEXT("conv", "patch", "out=24 kernel=2 stride=2"), FL_NEXT("sequence", "flat", ""),
                              FL_NEXT("class_token", "cls", "std=0.4"), FL_NEXT("position", "p", "std=0.2"),
                              FL_NEXT("layer_norm", "n1", ""), FL_NEXT("attention", "a1", "heads=1 std=0.2"),
                              FL_READS("add", "s1", "", "p a1"), FL_NEXT("layer_norm", "n2", ""),
                              FL_READS("sequence_pool", "first", "of=first", "n2"), FL_READS("sequence_pool", "mean", "", "n2"),
                              FL_READS("sequence_pool", "last", "of=last", "s1"), FL_READS("add", "s2", "", "mean last first"),
                              FL_NEXT("linear", "head", "std=0.5") }, true, 0 };
  Network inner = vision;                        // patches of what a layer with parameters gives: its gradient comes through
  inner.name = "inner";
  inner.layers.insert(inner.layers.begin(), FL_NEXT("conv", "entry", "out=3 kernel=1 stride=1"));
  return { text("short", 7, "heads=3 causal=yes qkv_bias=no", "heads=2"),
           text("long", 19, "heads=2", "heads=4 causal=yes bias=no"),
           text("short, dropped", 7, "heads=3 causal=yes dropout=0.3", "heads=2 dropout=0.5"),
           text("long, dropped", 19, "heads=2 dropout=0.25", "heads=4 causal=yes dropout=0.1"),
           vision, inner };
}

struct Case {
  Network spec;
  size_t n;
  std::vector<int32_t> token;
  std::vector<uint8_t> pixels, label;
  fl_net net;
  Model model{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  std::vector<float> x;
  std::vector<char> work;
  const fl_key draws = { 3, FL_PURPOSE_MASK, 1, 2, 4 };
  std::map<std::string, std::vector<float>> factor;        // of each layer that drops, by element
  Case(const Network &s, size_t rows) : spec(s), n(rows), net(spec.net()) {
    std::mt19937 r(7);
    const size_t labels = s.positions ? s.positions : 1, classes = 5;
    fl_samples d = {};
    d.n = n, d.classes = classes, d.positions = s.positions, d.c = d.h = 1, d.w = labels;
    token.resize(n * labels), label.resize(n * labels), pixels.resize(n * 2 * 64);
    for (int32_t &v : token) v = int32_t(r() % classes);
    for (uint8_t &v : label) v = uint8_t(r() % classes);
    for (uint8_t &v : pixels) v = uint8_t(r() >> 24);
    d.label = label.data();
    if (s.image) d.pixels = pixels.data(), d.c = 2, d.h = d.w = 8;
    else d.tokens = token.data();
    char err[256] = "";
    model.reset(fl_model_new(&net, &d, nullptr, 0.5, 0.25, err, sizeof err));
    INFO(err);
    REQUIRE(model);
    o = fl_model_objective(model.get());
    x.resize(o->layout->d), work.assign(o->work(o->self, n), char(0x7f));
    o->init(o->self, 3, x.data());
  }
  double loss(const fl_kernels *k, const std::vector<uint32_t> &index, std::vector<float> &g) {
    g.assign(x.size(), NAN);
    fl_rows rows = {};
    rows.index = index.data(), rows.count = index.size(), rows.draws = &draws;
    if (o->grad) return o->grad(o->self, k, x.data(), &rows, g.data(), work.data());
    return o->loss_grad(o->self, k, x.data(), index.data(), index.size(), g.data(), work.data());
  }
  // Of layers that drop: what the plain kernel of dropout makes of ones, from the key of the layer's place.
  void draw() {
    for (size_t at = 0; at < spec.layers.size(); at++) {
      const std::string settings = spec.layers[at].settings;
      const size_t says = settings.find("dropout=");
      if (says == std::string::npos) continue;
      const fl_key key = fl_key_child(&draws, uint32_t(at));
      const std::vector<float> ones(n * elements(settings), 1);
      std::vector<uint32_t> mask(fl_dropout_words(ones.size()));
      std::vector<float> &to = factor[spec.layers[at].name];
      to.resize(ones.size());
      fl_kernels_of(FL_ISA_SCALAR)->dropout(ones.size(), to.data(), ones.data(), 0, &key, std::stod(settings.substr(says + 8)),
                                            mask.data());
    }
  }
  size_t wide() const { return (spec.positions + 15) / 16 * 16; }
  size_t elements(const std::string &settings) const { return size_t(settings[6] - '0') * spec.positions * wide(); }
  double reference(const sequences::Vector &p) const {
    sequences::Net truth(net, *o->layout, p);
    const size_t labels = spec.positions ? spec.positions : 1;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
      truth.kept = [&](const std::string &layer, size_t head, size_t query, size_t key) {
        const auto of = factor.find(layer);
        if (of == factor.end()) return 1.0;
        return double(of->second[i * (of->second.size() / n) + (head * labels + query) * wide() + key]);
      };
      sequences::Value in{ {}, spec.image ? size_t(2) : labels, spec.image ? size_t(64) : size_t(1) };
      for (size_t j = 0; j < in.rows * in.cols; j++)
        in.x.push_back(spec.image ? (pixels[i * 128 + j] / 255.0 - 0.5) / 0.25 : token[i * labels + j]);
      sum += truth.loss(in, &label[i * labels]);
    }
    return sum / double(n);
  }
  std::vector<uint32_t> all() const {
    std::vector<uint32_t> index(n);
    for (size_t i = 0; i < n; i++) index[i] = uint32_t(i);
    return index;
  }
};
}

TEST_CASE("Gradients of attention networks agree with differences of a forward pass in double", "[gradient]") {
  const Network spec = networks()[GENERATE(range(size_t(0), size_t(6)))];
  Case c(spec, 3);
  std::vector<float> g;
  const double loss = c.loss(fl_kernels_select(nullptr, nullptr), c.all(), g);
  c.draw();
  CHECK(c.factor.empty() == (c.o->grad == nullptr));
  sequences::Vector p(c.x.begin(), c.x.end());
  INFO(spec.name);
  CHECK(loss == Approx(c.reference(p)).epsilon(1e-6));
  check_differences({ 1e-5, 1e-5, 0, 1e-8, 6, 2 }, *c.o->layout, p, g, [&] { return c.reference(p); });
}

TEST_CASE("Attention networks have the same bits on every instruction set, and any batch", "[gradient]") {
  const Network spec = networks()[GENERATE(range(size_t(0), size_t(6)))];
  Case c(spec, 5);
  std::vector<float> first, g, one, sum(c.x.size(), 0);
  const fl_kernels *best = fl_kernels_select(nullptr, nullptr);
  const double loss = c.loss(best, c.all(), first);
  for (const fl_isa isa : { FL_ISA_SCALAR, FL_ISA_AVX2, FL_ISA_AVX512, FL_ISA_NEON }) {
    const fl_kernels *k = fl_kernels_of(isa);
    if (!k) continue;
    INFO(spec.name << ", " << k->name);
    CHECK(c.loss(k, c.all(), g) == loss);
    CHECK(!memcmp(g.data(), first.data(), g.size() * sizeof(float)));
  }
  if (c.o->grad) return;                         // what is dropped depends on the place in the batch
  double parts = 0;
  for (uint32_t i = 0; i < 5; i++) {
    parts += c.loss(best, { i }, one) / 5;
    for (size_t j = 0; j < sum.size(); j++) sum[j] += one[j] / 5;
  }
  CHECK(parts == Approx(loss).epsilon(1e-6));
  double error = 0, norm = 0;
  for (size_t j = 0; j < sum.size(); j++) error += (sum[j] - first[j]) * (sum[j] - first[j]), norm += first[j] * first[j];
  CHECK(std::sqrt(error) <= 1e-5 * std::sqrt(norm));
}
