// Networks as graphs: gradients where outputs have several readers, the plan of the scratch block, refusals.
#include "tests/gradient/reference.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
extern "C" {
#include "models/plan.h"
}

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
struct Network {
  const char *name;
  std::vector<fl_layer_spec> layers;
  fl_net net() const { return { name, "", layers.size(), layers.data() }; }
};

// Residual sums over convolutions, with values that three layers read, in-place layers whose input somebody else needs, a layer
// that reads the samples twice removed, and activations that keep their input.
const Network residual{ "residual", {
  FL_NEXT("conv", "stem", "out=3 kernel=3 pad=1"), FL_NEXT("relu", "r0", ""),
  FL_NEXT("conv", "a1", "out=3 kernel=3 pad=1"), FL_NEXT("relu", "r1", ""), FL_NEXT("conv", "a2", "out=3 kernel=3 pad=1"),
  FL_READS("add", "s1", "", "a2 r0"), FL_NEXT("relu", "r2", ""),
  FL_NEXT("gelu", "g1", ""), FL_READS("conv", "b1", "out=3 kernel=1", "r2"), FL_READS("add", "s2", "", "r2 b1 g1 r0"),
  FL_NEXT("relu", "r3", ""), FL_NEXT("max_pool", "p1", ""), FL_NEXT("flatten", "f1", ""), FL_NEXT("gelu", "g2", "form=tanh"),
  FL_NEXT("linear", "fc1", "out=9 bias=no"), FL_NEXT("relu", "r4", ""), FL_READS("linear", "fc2", "out=9", "f1"),
  FL_READS("add", "s3", "", "fc2 r4"), FL_NEXT("relu", "r5", ""), FL_NEXT("relu", "r6", ""),
  FL_NEXT("linear", "head", ""),
} };
const Network branch{ "branch", {                // a chain of spreads: sums of sums, one of them read by two
  FL_NEXT("linear", "a", "out=5"), FL_READS("linear", "b", "out=5", "input"), FL_READS("add", "s", "", "a b"),
  FL_READS("add", "t", "", "s a"), FL_READS("add", "u", "", "b s t"), FL_NEXT("relu", "r", ""), FL_READS("add", "v", "", "r u"),
  FL_NEXT("linear", "head", ""),
} };
const Network chain{ "chain", {                  // pooling that is not fused, in-place layers in a row
  FL_NEXT("conv", "c1", "out=4 kernel=3"), FL_NEXT("max_pool", "p1", ""), FL_NEXT("relu", "r1", ""), FL_NEXT("flatten", "f", ""),
  FL_NEXT("relu", "r2", ""), FL_NEXT("linear", "head", "bias=no"),
} };
const Network smooth{ "smooth", {                // norms and activations; the first norm reads the samples
  FL_NEXT("group_norm", "n0", ""), FL_NEXT("conv", "c1", "out=4 kernel=3 pad=1"), FL_NEXT("group_norm", "n1", "groups=2"),
  FL_NEXT("silu", "a1", ""), FL_NEXT("conv", "c2", "out=6 kernel=3"), FL_NEXT("tanh", "a2", ""),
  FL_NEXT("group_norm", "n2", "groups=3 eps=0.01"), FL_NEXT("gelu", "a3", ""), FL_NEXT("dropout", "d1", "drop=0.25"),
  FL_NEXT("global_pool", "p", ""), FL_NEXT("sigmoid", "a4", ""), FL_NEXT("dropout", "d2", ""), FL_NEXT("linear", "head", ""),
} };

struct Case {
  reference::Samples data;
  Model model{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x;
  std::vector<uint32_t> index;
  std::vector<char> work;
  Case(const Network &network, size_t n) : data(n, 3, 9, 7, 4), index(n) {
    char err[256] = "";
    const fl_net net = network.net();
    model.reset(fl_model_new(&net, &data.s, nullptr, reference::mean, reference::deviation, err, sizeof err));
    INFO(err);
    REQUIRE(model);
    o = fl_model_objective(model.get());
    x.resize(o->layout->d + o->layout->buffers), work.resize(o->work(o->self, n));
    for (size_t i = 0; i < n; i++) index[i] = uint32_t(n - 1 - i);
    o->init(o->self, 5, x.data());
  }
  double loss(const std::vector<float> &at, std::vector<float> &g) {
    g.assign(x.size(), NAN);
    return o->loss_grad(o->self, k, at.data(), index.data(), index.size(), g.data(), work.data());
  }
};
std::string refused(const Network &network) {
  char err[512] = "";
  const reference::Samples data(2, 1, 9, 7, 4);
  const fl_net net = network.net();
  CHECK(Model(fl_model_new(&net, &data.s, nullptr, 0, 1, err, sizeof err), fl_model_free) == nullptr);
  return err;
}
}

TEST_CASE("Gradients of networks with several readers agree with differences of their loss", "[network]") {
  const Network &network = *GENERATE(&residual, &branch, &chain, &smooth);
  Case c(network, 6);
  std::vector<float> g, ignored;
  c.loss(c.x, g);
  for (size_t t = 0; t < c.o->layout->n; t++) {
    const fl_tensor &tensor = c.o->layout->tensor[t];
    double norm = 0;
    for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) norm += double(g[i]) * g[i];
    norm = std::sqrt(norm);
    INFO(network.name << ", " << tensor.name << ": |g| = " << norm);
    REQUIRE(norm > 0);
    const double h = 1e-3;
    auto moved = [&](double s) {
      std::vector<float> y = c.x;
      for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) y[i] = float(y[i] + s * g[i] / norm);
      return c.loss(y, ignored);
    };
    CHECK((moved(h) - moved(-h)) / (2 * h) == Approx(norm).epsilon(0.02).margin(2e-4));
  }
}

TEST_CASE("Dropout: drawn from the gradient's key, the gradient is that of the loss with the same draws", "[network]") {
  Case c(smooth, 9);
  REQUIRE(c.o->grad);
  const fl_key one = { 3, FL_PURPOSE_MASK, 1, 2, 4 }, other = { 3, FL_PURPOSE_MASK, 1, 2, 5 };
  const auto loss = [&](const std::vector<float> &at, const fl_key *draws, std::vector<float> &g) {
    fl_rows rows = {};
    rows.index = c.index.data(), rows.count = c.index.size(), rows.draws = draws;
    g.assign(c.x.size(), NAN);
    return c.o->grad(c.o->self, c.k, at.data(), &rows, g.data(), c.work.data());
  };
  std::vector<float> none, plain, a, b, again, ignored;
  const double without = loss(c.x, nullptr, none);
  CHECK(without == c.loss(c.x, plain));          // loss_grad is the gradient without draws
  CHECK(!memcmp(none.data(), plain.data(), plain.size() * 4));
  loss(c.x, &one, a), loss(c.x, &other, b), loss(c.x, &one, again);
  CHECK(!memcmp(a.data(), again.data(), a.size() * 4));
  CHECK(memcmp(a.data(), b.data(), a.size() * 4));
  CHECK(memcmp(a.data(), plain.data(), a.size() * 4));
  for (size_t t = 0; t < c.o->layout->n; t++) {
    const fl_tensor &tensor = c.o->layout->tensor[t];
    double norm = 0;
    for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) norm += double(a[i]) * a[i];
    norm = std::sqrt(norm);
    const auto moved = [&](double s) {
      std::vector<float> y = c.x;
      for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) y[i] = float(y[i] + s * a[i] / norm);
      return loss(y, &one, ignored);
    };
    INFO(tensor.name);
    CHECK((moved(1e-2) - moved(-1e-2)) / 2e-2 == Approx(norm).epsilon(0.02).margin(2e-4));
  }
  double sum = 0;                                // over many draws the loss is near that without them
  for (uint32_t i = 0; i < 400; i++) {
    const fl_key draw = fl_key_child(&one, i);
    sum += loss(c.x, &draw, ignored);
  }
  CHECK(sum / 400 == Approx(without).epsilon(0.05));
}

TEST_CASE("Batch norm: the batch's statistics in training, running averages that a step moves in evaluation", "[network]") {
  const Network net{ "bn", { FL_NEXT("batch_norm", "n0", "momentum=0.25"), FL_NEXT("conv", "c", "out=3 kernel=3"),
                             FL_NEXT("batch_norm", "n1", ""), FL_NEXT("relu", "r", ""), FL_NEXT("linear", "head", "") } };
  Case c(net, 8);
  const fl_layout *l = c.o->layout;
  CHECK(l->buffers == 2 + 6);
  CHECK(std::string(l->tensor[l->n - 4].name) == "n0.running_mean");
  CHECK((l->tensor[l->n - 4].offset == l->d && l->tensor[l->n - 4].role == FL_BUFFER));
  CHECK((c.x[l->d] == 0 && c.x[l->d + 1] == 1));
  std::vector<float> g(l->d), ignored(l->d), buffers(c.x.begin() + long(l->d), c.x.end());
  fl_rows rows = {};
  rows.index = c.index.data(), rows.count = 8, rows.buffers = buffers.data();
  const auto loss = [&](const std::vector<float> &at, std::vector<float> &to) {
    return c.o->grad(c.o->self, c.k, at.data(), &rows, to.data(), c.work.data());
  };
  loss(c.x, g);
  double sum = 0, squares = 0;                   // of the samples' only channel
  for (size_t i = 0; i < 8 * 63; i++) {
    const double v = (c.data.s.pixels[i] / 255.0 - reference::mean) / reference::deviation;
    sum += v, squares += v * v;
  }
  const double mean = sum / 504, variance = (squares - sum * mean) / 503;
  CHECK(buffers[0] == Approx(0.25 * mean).margin(1e-6));
  CHECK(buffers[1] == Approx(0.75 + 0.25 * variance).epsilon(1e-5));
  rows.buffers = nullptr;
  for (size_t t = 0; t + 4 < l->n; t++) {
    const fl_tensor &tensor = l->tensor[t];
    double norm = 0;
    for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) norm += double(g[i]) * g[i];
    norm = std::sqrt(norm);
    if (norm < 1e-5) continue;                   // a bias before a batch norm has no effect
    const auto moved = [&](double s) {
      std::vector<float> y = c.x;
      for (size_t i = tensor.offset; i < tensor.offset + tensor.size; i++) y[i] = float(y[i] + s * g[i] / norm);
      return loss(y, ignored);
    };
    INFO(tensor.name);
    CHECK((moved(3e-3) - moved(-3e-3)) / 6e-3 == Approx(norm).epsilon(0.02).margin(5e-4));
  }
  fl_eval before, after;
  c.o->evaluate_samples(c.o->self, c.k, c.x.data(), c.index.data(), 8, &before, c.work.data());
  std::copy(buffers.begin(), buffers.end(), c.x.begin() + long(l->d));
  c.o->evaluate_samples(c.o->self, c.k, c.x.data(), c.index.data(), 8, &after, c.work.data());
  CHECK(before.loss != after.loss);
}

TEST_CASE("A network over tokens: embedding, positions, layer norm, a label for each position", "[network]") {
  const size_t n = 6, t = 5;
  std::vector<int32_t> token(n * t);
  std::vector<uint8_t> label(n * t);
  std::mt19937 r(9);
  for (int32_t &v : token) v = int32_t(r() % 7);
  for (uint8_t &v : label) v = uint8_t(r() % 4);
  fl_samples rows = {};
  rows.n = n, rows.c = rows.h = 1, rows.w = t, rows.classes = 4, rows.tokens = token.data(), rows.label = label.data();
  rows.positions = t;
  const Network net{ "text", { FL_NEXT("embedding", "e", "tokens=7 out=6"), FL_NEXT("position", "p", ""),
                               FL_NEXT("layer_norm", "n", ""), FL_NEXT("linear", "a", "out=9"), FL_NEXT("gelu", "g", ""),
                               FL_NEXT("linear", "b", "out=6"), FL_READS("add", "s", "", "b p"), FL_NEXT("layer_norm", "m", ""),
                               FL_NEXT("linear", "head", "") } };
  const fl_net spec = net.net();
  char err[256] = "";
  const Model m(fl_model_new(&spec, &rows, nullptr, 0, 1, err, sizeof err), fl_model_free);
  INFO(err);
  REQUIRE(m);
  const fl_objective *o = fl_model_objective(m.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d), g(x.size(), NAN), ignored(x.size());
  std::vector<char> work(o->work(o->self, n), char(0x7f));
  std::vector<uint32_t> index = { 5, 0, 3, 1, 4, 2 };
  o->init(o->self, 3, x.data());
  const auto loss = [&](const std::vector<float> &at, std::vector<float> &to) {
    return o->loss_grad(o->self, k, at.data(), index.data(), n, to.data(), work.data());
  };
  loss(x, g);
  for (size_t i = 0; i < o->layout->n; i++) {
    const fl_tensor &tensor = o->layout->tensor[i];
    double norm = 0;
    for (size_t j = tensor.offset; j < tensor.offset + tensor.size; j++) norm += double(g[j]) * g[j];
    norm = std::sqrt(norm);
    const auto moved = [&](double s) {
      std::vector<float> y = x;
      for (size_t j = tensor.offset; j < tensor.offset + tensor.size; j++) y[j] = float(y[j] + s * g[j] / norm);
      return loss(y, ignored);
    };
    INFO(tensor.name << ": |g| = " << norm);
    REQUIRE(norm > 0);
    CHECK((moved(3e-3) - moved(-3e-3)) / 6e-3 == Approx(norm).epsilon(0.02).margin(2e-4));
  }
  token[7] = 7;
  CHECK(Model(fl_model_new(&spec, &rows, nullptr, 0, 1, err, sizeof err), fl_model_free) == nullptr);
  CHECK(std::string(err) == "model text, layer e: tokens = 7, and the data have token 7; allowed: above all of the data");
}

TEST_CASE("Rows may be features or tokens, with a label for each position", "[network]") {
  const size_t n = 5, positions = 3, width = 4;
  std::vector<float> features(n * positions * width);
  std::vector<uint8_t> label(n * positions);
  std::mt19937 r(3);
  for (float &v : features) v = float(r() % 1000) / 500 - 1;
  for (uint8_t &v : label) v = uint8_t(r() % 3);
  fl_samples rows = {};
  rows.n = n, rows.c = 1, rows.h = positions, rows.w = width, rows.classes = 3, rows.features = features.data();
  rows.label = label.data(), rows.positions = positions;
  fl_samples flat = rows;                        // every position a row of its own
  flat.n = n * positions, flat.h = 1, flat.positions = 0;
  const Network net{ "positions", { FL_NEXT("linear", "a", "out=7"), FL_NEXT("tanh", "t", ""), FL_NEXT("linear", "head", "") } };
  const fl_net spec = net.net();
  char err[256] = "";
  const Model m(fl_model_new(&spec, &rows, &rows, 0, 1, err, sizeof err), fl_model_free);
  const Model p(fl_model_new(&spec, &flat, &flat, 0, 1, err, sizeof err), fl_model_free);
  INFO(err);
  REQUIRE((m && p));
  const fl_objective *o = fl_model_objective(m.get()), *q = fl_model_objective(p.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d), g(x.size()), h(x.size());
  std::vector<char> work(o->work(o->self, n)), more(q->work(q->self, n * positions));
  std::vector<uint32_t> index(n * positions);
  for (uint32_t i = 0; i < index.size(); i++) index[i] = i;
  o->init(o->self, 3, x.data());
  const double a = o->loss_grad(o->self, k, x.data(), index.data(), n, g.data(), work.data());
  const double b = q->loss_grad(q->self, k, x.data(), index.data(), n * positions, h.data(), more.data());
  CHECK(a == Approx(b).epsilon(1e-7));
  for (size_t i = 0; i < g.size(); i++) CHECK(g[i] == Approx(h[i]).epsilon(1e-4).margin(1e-7));
  fl_eval one, two;
  o->evaluate(o->self, k, x.data(), 0, n, &one, work.data());
  q->evaluate(q->self, k, x.data(), 0, n * positions, &two, more.data());
  CHECK((one.count == n * positions && one.correct == two.correct && one.loss == Approx(two.loss)));
  const Network short_by_one{ "n", { FL_NEXT("flatten", "f", ""), FL_NEXT("linear", "head", "") } };
  const fl_net bad = short_by_one.net();
  CHECK(Model(fl_model_new(&bad, &rows, nullptr, 0, 1, err, sizeof err), fl_model_free) == nullptr);
  CHECK(std::string(err) == "model n, layer head: its output is a vector of 3; allowed: of the last layer, as rows have 3 "
                            "labels, a sequence of 3x3");
  std::vector<int32_t> token = { 1, 2, 0, 1, 1, 2 };
  fl_samples words = {};
  words.n = 2, words.c = words.h = 1, words.w = 3, words.classes = 3, words.tokens = token.data(), words.label = label.data();
  CHECK(Model(fl_model_new(&spec, &words, nullptr, 0, 1, err, sizeof err), fl_model_free) == nullptr);
  CHECK(std::string(err) == "model positions, layer a: it reads tokens; allowed: numbers");
}

TEST_CASE("Rows with few numbers have the bits of the same rows written out, in every batch", "[network]") {
  const size_t n = 9, width = 37;
  std::vector<float> features(n * width), value;
  std::vector<uint8_t> label(n);
  std::vector<size_t> begin = { 0 };
  std::vector<uint32_t> column;
  std::mt19937 r(3);
  for (size_t i = 0; i < n; i++) {
    label[i] = uint8_t(i % 3);
    for (size_t j = 0; j < width && i != 4; j++) {        // row 4 is empty
      if (r() % 4) continue;
      value.push_back(features[i * width + j] = float(r() % 1000) / 500 - 1);
      column.push_back(uint32_t(j));
    }
    begin.push_back(value.size());
  }
  fl_samples rows = {};
  rows.n = n, rows.c = rows.h = 1, rows.w = width, rows.classes = 3, rows.label = label.data();
  fl_samples dense = rows;
  dense.features = features.data();
  rows.begin = begin.data(), rows.column = column.data(), rows.value = value.data();
  const Network net{ "few", { FL_NEXT("linear", "a", "out=7"), FL_NEXT("tanh", "t", ""), FL_NEXT("linear", "head", "") } };
  const fl_net spec = net.net();
  char err[256] = "";
  const Model m(fl_model_new(&spec, &rows, nullptr, 0, 1, err, sizeof err), fl_model_free);
  const Model p(fl_model_new(&spec, &dense, nullptr, 0, 1, err, sizeof err), fl_model_free);
  INFO(err);
  REQUIRE((m && p));
  const fl_objective *o = fl_model_objective(m.get()), *q = fl_model_objective(p.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d), g(x.size()), h(x.size());
  std::vector<char> work(std::max(o->work(o->self, n), q->work(q->self, n)));
  const uint32_t index[] = { 3, 0, 8, 4, 1, 7, 2, 6, 5 };
  o->init(o->self, 3, x.data());
  for (size_t batch : { 9, 4, 1 })
    for (size_t i = 0; i + batch <= n; i += batch) {
      const double a = o->loss_grad(o->self, k, x.data(), index + i, batch, g.data(), work.data());
      CHECK(a == q->loss_grad(q->self, k, x.data(), index + i, batch, h.data(), work.data()));
      CHECK(g == h);
    }
}

TEST_CASE("Convolutions with groups begin within one over the root of what an output reads", "[network]") {
  std::vector<uint8_t> pixels(8 * 25), label(1);
  fl_samples rows = {};
  rows.n = 1, rows.c = 8, rows.h = rows.w = 5, rows.classes = 2, rows.pixels = pixels.data(), rows.label = label.data();
  const Network net{ "grouped", { FL_NEXT("conv", "a", "out=32 groups=4"), FL_NEXT("linear", "head", "") } };
  const fl_net spec = net.net();
  char err[256] = "";
  const Model m(fl_model_new(&spec, &rows, nullptr, 0.5, 0.5, err, sizeof err), fl_model_free);
  REQUIRE(m);
  const fl_objective *o = fl_model_objective(m.get());
  std::vector<float> x(o->layout->d);
  o->init(o->self, 3, x.data());
  const double bound = 1 / std::sqrt(2 * 9.0);            // two channels a group
  for (size_t t = 0; t < 2; t++) {
    const fl_tensor &of = o->layout->tensor[t];
    double most = 0;
    for (size_t i = 0; i < of.size; i++) most = std::max(most, std::fabs(double(x[of.offset + i])));
    INFO(of.name);
    CHECK((most <= bound * (1 + 1e-6) && most > 0.9 * bound));
  }
}

// Who needs what, said again from the modules alone: no span may meet another while both are needed.
TEST_CASE("No two arrays of a network that are needed at the same time meet", "[network]") {
  const Network &network = *GENERATE(&residual, &branch, &chain, &smooth);
  const int training = GENERATE(0, 1);
  Case c(network, 2);
  const fl_model *m = c.model.get();
  const fl_arena *a = &m->arena[training];
  struct Use { int span; size_t at, bytes; std::string what; };
  std::vector<Use> uses;                        // a span holds its content from the first to the last of its uses
  const size_t n = m->n;
  const auto use = [&](int span, size_t at, size_t floats, const std::string &what) {
    if (span != FL_NOWHERE) uses.push_back({ span, at, floats * 4, what });
  };
  use(a->place[0].value, 0, 63, "samples");
  for (size_t i = 0; i < n; i++) {
    const fl_module &s = m->module[i];
    const size_t back = 2 * n + 1 - i, size = fl_shape_size(&s.to);
    use(a->place[i + 1].value, i + 1, size, s.name);
    for (size_t j = 0; j < s.n_in; j++) {
      use(a->place[s.in[j]].value, i + 1, 0, s.name);
      if (training && s.type->acts & FL_KEEPS_INPUT) use(a->place[s.in[j]].value, back, 0, s.name);
    }
    if (training && s.type->acts & FL_KEEPS_OUTPUT) use(a->place[i + 1].value, back, 0, s.name);
    if (s.type->kept) {
      REQUIRE(a->place[i + 1].kept != FL_NOWHERE);
      use(a->place[i + 1].kept, i + 1, 0, s.name);
      if (training) use(a->place[i + 1].kept, back, 0, s.name);
    }
    if (!training) continue;
    REQUIRE(a->place[i + 1].gradient != FL_NOWHERE);
    use(a->place[i + 1].gradient, back, size, s.name);
    for (size_t j = 0; j < s.n_in; j++)
      if (s.in[j]) use(a->place[s.in[j]].gradient, back, 0, s.name);
  }
  use(a->place[n].value, n + 1, 0, "logits");
  use(a->place[n].gradient, n + 1, m->objective.classes, "logits");
  for (const Use &u : uses) {
    const fl_span &s = a->span[u.span];
    INFO(network.name << ": " << u.what << " at " << u.at);
    CHECK((s.first <= u.at && u.at <= s.last && u.bytes <= s.bytes && s.offset + s.bytes <= a->bytes && s.offset % 64 == 0));
  }
  size_t sum = 0;
  for (size_t i = 0; i < a->n_spans; i++) {
    const fl_span &s = a->span[i];
    sum += s.bytes;
    for (size_t j = 0; j < i; j++) {
      const fl_span &o = a->span[j];
      const bool together = s.first <= o.last && o.first <= s.last;
      CHECK((!together || s.offset + s.bytes <= o.offset || o.offset + o.bytes <= s.offset));
    }
  }
  CHECK(a->bytes < sum);                        // something is used twice
}

// Whatever is not needed at a step is filled with NaN before it: whoever reads what nobody promised to keep, is found.
TEST_CASE("A run whose unneeded arrays are poisoned gives the same gradient", "[network]") {
  const Network &network = *GENERATE(&residual, &branch, &chain, &smooth);
  Case c(network, 5);
  const fl_model *m = c.model.get();
  const fl_arena *a = &m->arena[1];
  std::vector<float> want, g(c.x.size(), NAN);
  c.loss(c.x, want);
  std::vector<float> memory(a->bytes / 4 * 5), work(c.work.size() / 4 + 1), loss(5);
  fl_batch b = {};
  b.m = m, b.arena = a, b.k = c.k, b.p = c.x.data(), b.g = g.data(), b.n = 5;
  b.base = reinterpret_cast<char *>(memory.data()), b.work = reinterpret_cast<char *>(work.data());
  const auto poison = [&](size_t step) {
    std::vector<bool> needed(memory.size());
    for (size_t i = 0; i < a->n_spans; i++)
      if (a->span[i].first < step && step <= a->span[i].last)
        std::fill_n(needed.begin() + long(a->span[i].offset * 5 / 4), a->span[i].bytes * 5 / 4, true);
    for (size_t i = 0; i < memory.size(); i++)
      if (!needed[i]) memory[i] = NAN;
    std::fill(work.begin(), work.end(), NAN);
  };
  std::vector<uint8_t> label;
  poison(0);
  for (size_t r = 0; r < 5; r++) {
    c.k->normalize(63, fl_batch_span(&b, a->place[0].value) + 63 * r, c.data.s.pixels + 63 * c.index[r], m->scale[0],
                   m->shift[0]);
    label.push_back(c.data.s.label[c.index[r]]);
  }
  for (size_t i = 0; i < m->n; i++) poison(i + 1), fl_batch_forward(&b, i);
  poison(m->n + 1);
  c.k->softmax_xent(5, 4, fl_batch_span(&b, a->place[m->n].value), label.data(), 0.2f, fl_batch_span(&b, a->place[m->n].gradient),
                    loss.data());
  for (size_t i = m->n; i-- > 0;) poison(2 * m->n + 1 - i), fl_batch_backward(&b, i);
  CHECK(!memcmp(g.data(), want.data(), g.size() * 4));
}

TEST_CASE("Loss and gradient of a graph have the same bits on every ISA, and rows the same logits in every batch", "[network]") {
  const Network &network = *GENERATE(&residual, &branch, &chain, &smooth);
  Case c(network, 33);
  std::vector<float> first, g, all(33 * 4), one(4);
  for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
    if (!(c.k = fl_kernels_of(fl_isa(isa)))) continue;
    c.loss(c.x, g);
    if (first.empty()) first = g;
    INFO(network.name << ", " << c.k->name);
    CHECK(!memcmp(g.data(), first.data(), g.size() * 4));
  }
  c.k = fl_kernels_select(nullptr, nullptr);
  fl_model_logits(c.model.get(), c.k, c.x.data(), &c.data.s, c.index.data(), 33, all.data(), c.work.data());
  for (size_t r = 0; r < 33; r++) {
    fl_model_logits(c.model.get(), c.k, c.x.data(), &c.data.s, &c.index[r], 1, one.data(), c.work.data());
    CHECK(!memcmp(one.data(), &all[4 * r], 16));
  }
}

TEST_CASE("What is no network is refused with the layer's name", "[network]") {
  const fl_layer_spec head = FL_NEXT("linear", "head", "");
  CHECK(refused({ "n", { FL_NEXT("lineal", "a", ""), head } })
            .find("model n, layer a: unknown type of layer 'lineal'; did you mean 'linear'?; allowed: linear, conv") == 0);
  CHECK(refused({ "n", { FL_NEXT("conv", "a", "out=3 kernal=3"), head } })
            .find("model n, layer a: unknown key of conv 'kernal'; did you mean 'kernel'?; allowed: out, kernel") == 0);
  CHECK(refused({ "n", { FL_NEXT("conv", "a", "out=0"), head } }) ==
        "model n, layer a: out = '0'; allowed: a whole number from 1 to 65536");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out"), head } }) == "model n, layer a: 'out'; allowed: key=value");
  CHECK(refused({ "n", { FL_READS("linear", "a", "out=3", "b"), head } }) ==
        "model n, layer a: from = 'b'; allowed: input, or a layer before it");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3"), FL_NEXT("linear", "a", ""), head } }) ==
        "model n, layer a: a layer before it has this name; allowed: a name of its own");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3"), FL_READS("add", "s", "", "a a"), head } }) ==
        "model n, layer s: from names 'a' twice; allowed: once");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3"), FL_NEXT("add", "s", ""), head } }) ==
        "model n, layer s: add reads 1 layer; allowed: 2 to 4");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3"), FL_READS("linear", "b", "out=5", "input"),
                         FL_READS("add", "s", "", "a b"), head } }) ==
        "model n, layer s: it adds a vector of 5 to a vector of 3; allowed: equal shapes");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3"), FL_READS("linear", "b", "out=5", "input"), head } }) ==
        "model n, layer a: no layer reads it; allowed: only the last layer is read by nobody");
  CHECK(refused({ "n", { FL_NEXT("linear", "a", "out=3") } }) ==
        "model n, layer a: its output is a vector of 3; allowed: of the last layer one number for each of the 4 classes");
  CHECK(refused({ "n", { FL_NEXT("flatten", "a", ""), FL_NEXT("conv", "b", ""), head } }) ==
        "model n, layer b: it reads a vector of 63; allowed: an image");
  CHECK(refused({ "n", { { "conv", "a", "kernel=9", nullptr, "net.yaml:3:5" }, head } }) ==
        "net.yaml:3:5: model n, layer a: a 9x9 kernel does not fit in 9x7 with padding 0");
  for (const char *type : { "max_pool", "avg_pool" }) {
    const std::string layer = "model n, layer a: ";
    CHECK(refused({ "n", { FL_NEXT("flatten", "f", ""), FL_NEXT(type, "a", ""), head } }) ==
          layer + "it reads a vector of 63; allowed: an image");
    CHECK(refused({ "n", { FL_NEXT(type, "a", "kernel=8"), head } }) ==
          layer + "a 8x8 window does not fit in 9x7 with padding 0");
    CHECK(refused({ "n", { FL_NEXT(type, "a", "kernel=3 pad=2"), head } }) ==
          layer + "pad = 2; allowed: at most half of its kernel = 3, 1");
    const std::string most = type[0] == 'm' ? "16" : "64", half = type[0] == 'm' ? "8" : "32";
    CHECK(refused({ "n", { FL_NEXT(type, "a", "kernel=65"), head } }) ==
          layer + "kernel = '65'; allowed: a whole number from 1 to " + most);
    CHECK(refused({ "n", { FL_NEXT(type, "a", "kernel=4 pad=1.5"), head } }) ==
          layer + "pad = '1.5'; allowed: a whole number from 0 to " + half);
    CHECK_THAT(refused({ "n", { FL_NEXT(type, "a", "ceil=yes"), head } }),
               Catch::Matchers::StartsWith(layer + "unknown key of " + type + " 'ceil'"));
  }
  CHECK(refused({ "n", {} }) == "a model needs a network of one layer or more and at least one training sample");
}
