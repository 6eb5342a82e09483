// What lies at the edge of a run, for networks that together have every type of layer: NaN among the parameters and the inputs,
// batches of one sample, images of one pixel, clients without samples.
#include "session.hpp"
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <set>
extern "C" {
#include "models/layer/layer.h"
#include "models/model.h"
}

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
using Floats = std::vector<float>;
enum Rows { PIXELS, TOKENS, FEATURES };
struct Network {
  const char *name;
  Rows rows;
  std::vector<fl_layer_spec> layers;
};
const std::vector<Network> &networks() {
  static const std::vector<Network> all = {
    { "image", PIXELS, { FL_NEXT("conv", "c1", "out=6 pad=1"), FL_NEXT("relu", "r1", ""), FL_NEXT("max_pool", "p1", ""),
                         FL_NEXT("group_norm", "n1", "groups=3"), FL_NEXT("silu", "s1", ""),
                         FL_NEXT("conv", "c2", "out=6 pad=1 stride=1 groups=2"), FL_NEXT("tanh", "t1", ""),
                         FL_READS("add", "a1", "", "t1 s1"), FL_NEXT("max_pool", "p2", ""), FL_NEXT("dropout", "d1", ""),
                         FL_NEXT("global_pool", "g1", ""), FL_NEXT("sigmoid", "s2", ""), FL_NEXT("linear", "head", ""),
                         FL_NEXT("cross_entropy", "loss", "smoothing=0.1") } },
    { "pools", PIXELS, { FL_NEXT("conv", "c1", "out=4 pad=1"), FL_NEXT("max_pool", "p1", "kernel=3 stride=2 pad=1"),
                         FL_NEXT("conv", "c2", "out=4 pad=1"), FL_NEXT("avg_pool", "p2", "kernel=3 stride=1 pad=1 count_pad=no"),
                         FL_NEXT("tanh", "t", ""), FL_NEXT("avg_pool", "p3", ""), FL_NEXT("linear", "head", "") } },
    { "batch", PIXELS, { FL_NEXT("batch_norm", "n0", ""), FL_NEXT("conv", "c1", "out=16 pad=1"), FL_NEXT("batch_norm", "n1", ""),
                         FL_NEXT("relu", "r1", ""), FL_NEXT("conv", "c2", "out=16 pad=1"), FL_NEXT("linear", "head", "") } },
    { "flat", PIXELS, { FL_NEXT("conv", "c1", "out=4 kernel=2 stride=2 bias=no"), FL_NEXT("flatten", "f", ""),
                        FL_NEXT("linear", "l", "out=8"), FL_NEXT("gelu", "g", "form=tanh"), FL_NEXT("linear", "head", ""),
                        FL_NEXT("multi_margin", "loss", "") } },
    { "patches", PIXELS, { FL_NEXT("conv", "c", "out=6 kernel=2 stride=2"), FL_NEXT("sequence", "s", ""),
                           FL_NEXT("class_token", "cls", ""), FL_NEXT("position", "p", ""),
                           FL_NEXT("attention", "a", "heads=2"), FL_NEXT("gru", "g", "hidden=5 output=last"),
                           FL_NEXT("linear", "head", "") } },
    { "text", TOKENS, { FL_NEXT("embedding", "e", "tokens=4 out=6"), FL_NEXT("position", "p", ""),
                        FL_NEXT("layer_norm", "n", ""), FL_NEXT("attention", "a", "heads=3 causal=yes"),
                        FL_READS("add", "s", "", "p a"), FL_NEXT("lstm", "l", "hidden=5"), FL_NEXT("gelu", "g", ""),
                        FL_NEXT("sequence_pool", "m", ""), FL_NEXT("linear", "head", ""),
                        FL_NEXT("binary_entropy", "loss", "") } },
    { "features", FEATURES, { FL_NEXT("linear", "l", "out=6"), FL_NEXT("attention", "a", "heads=2"),
                              FL_NEXT("layer_norm", "n", ""), FL_NEXT("lstm", "r", "hidden=5 output=last"),
                              FL_NEXT("linear", "head", "") } },
  };
  return all;
}
bool normalises_batch(const Network &n) { return !std::strcmp(n.name, "batch"); }

enum { N = 5, CLASSES = 4, LENGTH = 3, WIDTH = 6 };
struct Case {
  fl_net net;
  std::vector<uint8_t> pixels, label;
  std::vector<int32_t> token;
  Floats feature;
  fl_samples s = {};
  Model model{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  Floats x, g;
  std::vector<char> work;
  explicit Case(const Network &of) : net{ of.name, "", of.layers.size(), of.layers.data() } {
    std::mt19937 r(2);
    s.n = N, s.classes = CLASSES, s.c = s.h = 1, s.w = LENGTH;
    if (of.rows == PIXELS) s.c = 3, s.h = 5, s.w = 6;
    if (of.rows == FEATURES) s.h = LENGTH, s.w = WIDTH;
    const size_t size = s.n * s.c * s.h * s.w;
    for (size_t i = 0; i < size; i++) pixels.push_back(uint8_t(r() >> 24)), token.push_back(int32_t(r() % 4));
    for (size_t i = 0; i < size; i++) feature.push_back(float(r() % 1000) / 500 - 1);
    for (size_t i = 0; i < N; i++) label.push_back(uint8_t(r() % CLASSES));
    s.label = label.data();
    if (of.rows == PIXELS) s.pixels = pixels.data();
    else if (of.rows == TOKENS) s.tokens = token.data();
    else s.features = feature.data();
    char err[512] = "";
    model.reset(fl_model_new(&net, &s, &s, 0.5, 0.25, err, sizeof err));
    INFO(of.name << ": " << err);
    REQUIRE(model);
    o = fl_model_objective(model.get());
    x.resize(o->layout->d + o->layout->buffers), g.resize(o->layout->d), work.assign(o->work(o->self, N), char(0x7f));
    o->init(o->self, 3, x.data());
  }
  double loss(const std::vector<uint32_t> &index) {
    std::fill(g.begin(), g.end(), 0.0f);
    return o->loss_grad(o->self, k, x.data(), index.data(), index.size(), g.data(), work.data());
  }
  fl_eval evaluate() {
    fl_eval e;
    o->evaluate(o->self, k, x.data(), 0, N, &e, work.data());
    return e;
  }
  Floats logits(const std::vector<uint32_t> &index) {
    Floats to(index.size() * CLASSES);
    fl_model_logits(model.get(), k, x.data(), &s, index.data(), index.size(), to.data(), work.data());
    return to;
  }
};
const std::vector<uint32_t> everyone = { 0, 1, 2, 3, 4 };
bool same(const float *a, const float *b, size_t n) { return !std::memcmp(a, b, n * sizeof *a); }
size_t nans(const float *p, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += std::isnan(p[i]);
  return count;
}
}

TEST_CASE("The networks of these tests have every type of layer", "[edges]") {
  std::set<std::string> types;
  for (const Network &n : networks())
    for (const fl_layer_spec &l : n.layers) types.insert(l.type);
  for (size_t i = 0; i < fl_layer_count(); i++) {
    INFO(fl_layer_at(i)->name << ": of no network of tests/unit/test_edges.cpp");
    CHECK(types.count(fl_layer_at(i)->name) == 1);
  }
}

TEST_CASE("A tensor of NaN reaches the loss and every gradient, and evaluation says so", "[edges]") {
  const Network &network = GENERATE(from_range(networks()));
  Case c(network);
  const fl_layout *l = c.o->layout;
  REQUIRE(std::isfinite(c.loss(everyone)));
  REQUIRE(nans(c.g.data(), c.g.size()) == 0);
  REQUIRE(!c.evaluate().diverged);
  const Floats begun = c.x;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor &t = l->tensor[i];
    INFO(network.name << ", " << t.name);
    c.x = begun;
    std::fill_n(c.x.begin() + long(t.offset), t.size, NAN);
    const fl_eval e = c.evaluate();
    CHECK((e.diverged && e.correct == 0 && e.count == N));
    if (t.role == FL_BUFFER) continue;           // evaluation's alone
    CHECK(std::isnan(c.loss(everyone)));
    for (size_t j = 0; j < l->n; j++) {
      const fl_tensor &other = l->tensor[j];
      INFO("gradient of " << other.name);
      if (other.role != FL_BUFFER) CHECK(nans(&c.g[other.offset], other.size) > 0);
    }
  }
}

TEST_CASE("A row with a NaN has no logit that is a number, and the other rows have theirs", "[edges]") {
  Case c(networks().back());
  const Floats clean = c.logits(everyone);
  for (size_t place = 0; place < LENGTH * WIDTH; place += WIDTH + 1) {
    const float old = c.feature[2 * LENGTH * WIDTH + place];
    c.feature[2 * LENGTH * WIDTH + place] = NAN;
    const Floats dirty = c.logits(everyone);
    INFO("number " << place << " of row 2");
    for (size_t r = 0; r < N; r++) {
      if (r == 2) CHECK(nans(&dirty[r * CLASSES], CLASSES) == CLASSES);
      else CHECK(same(&dirty[r * CLASSES], &clean[r * CLASSES], CLASSES));
    }
    CHECK(c.evaluate().diverged);
    CHECK(std::isnan(c.loss(everyone)));
    CHECK(std::isfinite(c.loss({ 0, 1, 3, 4 })));
    c.feature[2 * LENGTH * WIDTH + place] = old;
  }
}

TEST_CASE("Batches of one sample: its logits, and the mean of their gradients is that of all", "[edges]") {
  const Network &network = GENERATE(from_range(networks()));
  Case c(network);
  INFO(network.name);
  const Floats all = c.logits(everyone);
  for (uint32_t i = 0; i < N; i++) CHECK(same(c.logits({ i }).data(), &all[i * CLASSES], CLASSES));
  const double whole = c.loss(everyone);
  const Floats want = c.g;
  std::vector<double> sum(want.size());
  double mean = 0, error = 0, norm = 0;
  for (uint32_t i = 0; i < N; i++) {
    mean += c.loss({ i }) / N;
    REQUIRE(nans(c.g.data(), c.g.size()) == 0);
    for (size_t j = 0; j < sum.size(); j++) sum[j] += double(c.g[j]) / N;
  }
  if (normalises_batch(network)) return;         // a batch is more than its samples there
  CHECK(mean == Approx(whole).epsilon(1e-6));
  for (size_t j = 0; j < sum.size(); j++) error += (sum[j] - want[j]) * (sum[j] - want[j]), norm += double(want[j]) * want[j];
  CHECK(norm > 0);
  CHECK(std::sqrt(error) <= 1e-6 * std::sqrt(norm));
}

TEST_CASE("Clients without samples: a round of a network is as if they were not there, on any number of threads", "[edges]") {
  const Network &network = GENERATE(from_range(networks()));
  const Case c(network);
  const std::vector<size_t> with[] = { { 0, 2, 2, 5 }, { 0, 0, 2, 5 }, { 0, 2, 5, 5 }, { 0, 2, 2, 2, 5, 5 } };
  const std::string method = GENERATE("fedavg", "fedadamw");
  INFO(network.name << ", " << method);
  for (const std::vector<size_t> &offsets : with) {
    Floats first;
    for (int threads : { 1, 2, 5 }) {
      session::Session s({ { "name", method }, { "lr", "0.05" }, { "weights", "samples" } }, *c.o, offsets, 3, 2);
      s.options.threads = threads;
      s.open();
      REQUIRE(s.error == "");
      for (int round = 0; round < 3; round++) CHECK(std::isfinite(s.round().test_loss));
      const Floats x = s.x();
      CHECK(nans(x.data(), x.size()) == 0);
      CHECK(!rules::same(x, c.x));
      if (first.empty()) first = x;
      else CHECK(rules::same(first, x));
    }
  }
  // Behind the clients that have samples, those that have none change no number of theirs.
  Floats alone;
  for (const std::vector<size_t> &offsets : { std::vector<size_t>{ 0, 5, 5 }, std::vector<size_t>{ 0, 5, 5, 5, 5 } }) {
    session::Session s({ { "name", "fedavg" }, { "lr", "0.05" }, { "weights", "samples" } }, *c.o, offsets, 3, 2);
    s.open();
    REQUIRE(s.error == "");
    for (int round = 0; round < 3; round++) s.round();
    if (alone.empty()) alone = s.x();
    else CHECK(rules::same(alone, s.x()));
  }
}
