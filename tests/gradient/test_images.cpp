// Layers of images, with every option: loss and gradients of networks against central differences of a forward pass in double.
#include "differences.hpp"
#include "images.hpp"
#include <catch2/catch.hpp>
#include <memory>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
struct Network {
  std::string name;
  std::vector<fl_layer_spec> layers;
};
#define HEAD FL_NEXT("global_pool", "g", ""), FL_NEXT("linear", "head", "")
std::vector<Network> networks() {
  return {
    { "strided", { FL_NEXT("conv", "a", "out=6 kernel=3 stride=2 pad=1 bias=no"), FL_NEXT("tanh", "t", ""),
                   FL_NEXT("conv", "b", "out=9 kernel=2 stride=3 groups=3 pad=1"), FL_NEXT("silu", "s", ""),
                   FL_NEXT("conv", "c", "out=18 kernel=3 pad=2 groups=9 bias=no"), FL_NEXT("linear", "head", "bias=no") } },
    { "pointwise", { FL_NEXT("conv", "a", "out=40 kernel=1"), FL_NEXT("relu", "r", ""),
                     FL_NEXT("conv", "b", "out=20 kernel=1 stride=2 bias=no"), FL_NEXT("sigmoid", "s", ""),
                     FL_NEXT("conv", "c", "out=20 kernel=5 pad=2 groups=20"), HEAD } },
    { "winograd", { FL_NEXT("conv", "a", "out=16 kernel=3 pad=1"), FL_NEXT("relu", "r1", ""),
                    FL_NEXT("conv", "b", "out=32 pad=1"), FL_NEXT("relu", "r2", ""),
                    FL_NEXT("conv", "c", "out=16 pad=1 bias=no"), HEAD } },
    { "plain", { FL_NEXT("conv", "a", "out=16 kernel=3 pad=1"), FL_NEXT("relu", "r1", ""),
                 FL_NEXT("conv", "b", "out=32 pad=1 winograd=no"), FL_NEXT("relu", "r2", ""),
                 FL_NEXT("conv", "c", "out=16 pad=1 bias=no winograd=no"), HEAD } },
    { "groups", { FL_NEXT("conv", "a", "out=12 pad=1 bias=no"), FL_NEXT("group_norm", "n1", "groups=3 eps=1e-2"),
                  FL_NEXT("relu", "r1", ""), FL_NEXT("conv", "b", "out=12 pad=1 bias=no"),
                  FL_NEXT("group_norm", "n2", "groups=12"),
                  FL_READS("add", "s", "", "n2 r1"), FL_NEXT("relu", "r2", ""), FL_NEXT("group_norm", "n3", ""), HEAD } },
    { "pools", { FL_NEXT("conv", "a", "out=6 pad=1"), FL_NEXT("max_pool", "p1", "kernel=3 stride=2 pad=1"),
                 FL_NEXT("tanh", "t", ""), FL_NEXT("conv", "b", "out=8 pad=1"),
                 FL_NEXT("avg_pool", "p2", "kernel=3 stride=1 pad=1 count_pad=no"), FL_NEXT("silu", "s", ""),
                 FL_NEXT("max_pool", "p3", "stride=1"), FL_NEXT("conv", "c", "out=9 kernel=1"),
                 FL_NEXT("avg_pool", "p4", "stride=3 pad=1"), FL_NEXT("linear", "head", "") } },
    { "unfused", { FL_NEXT("conv", "a", "out=6 pad=1"), FL_NEXT("relu", "r", ""), FL_NEXT("max_pool", "p1", "kernel=3 pad=1"),
                   FL_NEXT("conv", "b", "out=9"), FL_NEXT("relu", "r2", ""), FL_NEXT("linear", "head", "") } },
    { "means", { FL_NEXT("conv", "a", "out=6 pad=1"), FL_NEXT("avg_pool", "p1", ""), FL_NEXT("tanh", "t", ""),
                 FL_NEXT("conv", "b", "out=9 pad=1"), FL_NEXT("avg_pool", "p2", "kernel=4 stride=2 pad=2 count_pad=no"), HEAD } },
    { "batch", { FL_NEXT("batch_norm", "n0", ""), FL_NEXT("conv", "a", "out=7 stride=2 pad=1 bias=no"),
                 FL_NEXT("batch_norm", "n1", "eps=1e-2"), FL_NEXT("relu", "r", ""), FL_NEXT("conv", "b", "out=7 pad=1"),
                 FL_READS("add", "s", "", "b r n1"), HEAD } },
    { "dropped", { FL_NEXT("conv", "a", "out=8"), FL_NEXT("relu", "r1", ""), FL_NEXT("dropout", "d1", "drop=0.25"),
                   FL_NEXT("linear", "f", "out=30"), FL_NEXT("tanh", "t", ""), FL_NEXT("dropout", "d2", ""),
                   FL_NEXT("linear", "head", "") } },
  };
}

struct Case {
  enum { N = 4, C = 3, H = 9, W = 8, CLASSES = 5 };
  fl_net net;
  std::vector<uint8_t> pixels, label;
  images::Batch input{ {}, N, C, H, W };
  std::map<std::string, images::Vector> drawn;
  Model model{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  std::vector<float> x, g;
  const fl_key draws = { 3, FL_PURPOSE_MASK, 1, 2, 4 };
  explicit Case(const Network &spec) : net{ spec.name.c_str(), "", spec.layers.size(), spec.layers.data() } {
    std::mt19937 r(11);
    pixels.resize(N * C * H * W), label.resize(N);
    for (uint8_t &v : pixels) v = uint8_t(r() >> 24);
    for (uint8_t &v : label) v = uint8_t(r() % CLASSES);
    for (uint8_t v : pixels) input.x.push_back((v / 255.0 - 0.5) / 0.25);
    fl_samples d = {};
    d.n = N, d.c = C, d.h = H, d.w = W, d.classes = CLASSES, d.pixels = pixels.data(), d.label = label.data();
    char err[256] = "";
    model.reset(fl_model_new(&net, &d, nullptr, 0.5, 0.25, err, sizeof err));
    INFO(spec.name << ": " << err);
    REQUIRE(model);
    o = fl_model_objective(model.get());
    x.resize(o->layout->d + o->layout->buffers), g.assign(o->layout->d, NAN);
    o->init(o->self, 3, x.data());
    for (size_t i = 0; i < o->layout->n; i++)    // norms that do nothing at first are given something to do
      for (size_t j = 0; o->layout->tensor[i].role == FL_NORM && j < o->layout->tensor[i].size; j++)
        x[o->layout->tensor[i].offset + j] += float(r() % 1000) / 1000 - 0.5f;
  }
  double loss() {
    std::vector<char> work(o->work(o->self, N), char(0x7f));
    const uint32_t index[N] = { 0, 1, 2, 3 };
    fl_rows rows = {};
    rows.index = index, rows.count = N, rows.draws = &draws;
    const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
    return o->grad ? o->grad(o->self, k, x.data(), &rows, g.data(), work.data())
                   : o->loss_grad(o->self, k, x.data(), index, N, g.data(), work.data());
  }
  // What each dropout multiplies by: drawn by the plain kernel, from the key of the layer's place.
  void draw(const std::string &name, uint32_t place, size_t size, double drop) {
    const fl_key key = fl_key_child(&draws, place);
    std::vector<float> ones(size, 1), kept(size);
    std::vector<uint32_t> mask(fl_dropout_words(size));
    fl_kernels_of(FL_ISA_SCALAR)->dropout(size, kept.data(), ones.data(), 0, &key, drop, mask.data());
    drawn[name] = images::Vector(kept.begin(), kept.end());
  }
};
}

TEST_CASE("Gradients of networks of images agree with differences of a forward pass in double", "[gradient]") {
  const Network spec = networks()[GENERATE(range(size_t(0), size_t(10)))];
  REQUIRE(networks().size() == 10);
  Case c(spec);
  if (spec.name == "dropped") c.draw("d1", 2, Case::N * 8 * 7 * 6, 0.25), c.draw("d2", 5, Case::N * 30, 0.5);
  const double loss = c.loss();
  images::Vector p(c.x.begin(), c.x.end());
  const images::Net truth(c.net, *c.o->layout, p, c.drawn);
  INFO(spec.name);
  CHECK(loss == Approx(truth.loss(c.input, c.label.data())).epsilon(1e-6));
  check_differences({ 1e-6, 1e-5, 0, 1e-8, 5, 2 }, *c.o->layout, p, c.g, [&] { return truth.loss(c.input, c.label.data()); });
}
