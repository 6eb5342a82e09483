// Shapes at the edge: one pixel, one row or column of pixels, windows that do not divide an image, sequences of one position, one
// feature, one sample. Loss and gradients against central differences of the forward passes in double.
#include "images.hpp"
#include <catch2/catch.hpp>
#include <memory>
#include <random>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
struct Network {
  const char *name;
  std::vector<fl_layer_spec> layers;
  size_t least;                                  // rows and columns of an image that it can read
};
const std::vector<Network> &of_images() {
  static const std::vector<Network> all = {
    { "convolutions", { FL_NEXT("conv", "a", "out=5 pad=1"), FL_NEXT("relu", "r", ""), FL_NEXT("conv", "b", "out=4 kernel=1"),
                        FL_NEXT("silu", "s", ""), FL_NEXT("conv", "c", "out=4 pad=1 stride=2 groups=2"),
                        FL_NEXT("tanh", "t", ""), FL_NEXT("conv", "d", "out=16 kernel=5 pad=2"),
                        FL_NEXT("conv", "e", "out=16 pad=1"), FL_NEXT("conv", "f", "out=16 pad=1 groups=16 bias=no"),
                        FL_NEXT("linear", "head", "") }, 1 },
    { "norms", { FL_NEXT("conv", "a", "out=6 kernel=1"), FL_NEXT("group_norm", "n1", "groups=3"), FL_NEXT("sigmoid", "s", ""),
                 FL_NEXT("conv", "b", "out=6 pad=1"), FL_NEXT("batch_norm", "n2", "eps=1e-2"), FL_READS("add", "u", "", "n2 s"),
                 FL_NEXT("group_norm", "n3", ""), FL_NEXT("global_pool", "g", ""), FL_NEXT("linear", "head", "") }, 1 },
    { "pooled", { FL_NEXT("conv", "a", "out=5 kernel=3 pad=1"), FL_NEXT("relu", "r", ""), FL_NEXT("max_pool", "p", ""),
                  FL_NEXT("conv", "b", "out=3 kernel=1"), FL_NEXT("tanh", "t", ""), FL_NEXT("linear", "head", "") }, 2 },
    { "pooled apart", { FL_NEXT("conv", "a", "out=5 kernel=3 pad=1 bias=no"), FL_NEXT("max_pool", "p", ""),
                        FL_NEXT("linear", "head", "") }, 2 },
  };
  return all;
}
struct Size { size_t n, c, h, w; };
const Size sizes[] = { { 1, 1, 1, 1 }, { 1, 3, 1, 1 }, { 4, 2, 1, 1 }, { 3, 1, 1, 7 }, { 3, 2, 5, 1 }, { 1, 1, 2, 2 },
                       { 2, 3, 2, 3 }, { 5, 2, 7, 3 }, { 33, 1, 3, 3 }, { 1, 2, 17, 19 } };

// A model over rows that were drawn, and its loss and gradient at parameters that norms have something to do with.
struct Case {
  fl_net net;
  std::vector<uint8_t> pixels, label;
  std::vector<int32_t> token;
  fl_samples s = {};
  Model model{ nullptr, fl_model_free };
  const fl_objective *o = nullptr;
  std::vector<float> g, start, moved;            // the buffers before the gradient, and behind it
  images::Vector p;
  double loss = 0;
  enum { CLASSES = 3 };
  Case(const Network &of, const Size &size, bool tokens) : net{ of.name, "", of.layers.size(), of.layers.data() } {
    std::mt19937 r(unsigned(size.n * 1000 + size.h * 100 + size.w));
    s.n = size.n, s.c = size.c, s.h = size.h, s.w = size.w, s.classes = CLASSES;
    for (size_t i = 0; i < s.n * s.c * s.h * s.w; i++) pixels.push_back(uint8_t(r() >> 24)), token.push_back(pixels[i] % 5);
    for (size_t i = 0; i < s.n; i++) label.push_back(uint8_t(r() % CLASSES));
    s.label = label.data();
    if (tokens) s.tokens = token.data();
    else s.pixels = pixels.data();
    char err[256] = "";
    model.reset(fl_model_new(&net, &s, nullptr, 0.5, 0.25, err, sizeof err));
    INFO(of.name << ": " << err);
    REQUIRE(model);
    o = fl_model_objective(model.get());
    std::vector<float> x(o->layout->d + o->layout->buffers);
    o->init(o->self, 3, x.data());
    for (size_t i = 0; i < o->layout->d; i++) x[i] += float(r() % 1000) / 2000 - 0.25f;
    p.assign(x.begin(), x.end());
    std::vector<char> work(o->work(o->self, s.n), char(0x7f));
    std::vector<uint32_t> index(s.n);
    for (size_t i = 0; i < s.n; i++) index[i] = uint32_t(i);
    fl_rows rows = {};
    rows.index = index.data(), rows.count = s.n;
    start.assign(x.begin() + long(o->layout->d), x.end());
    moved = start;
    if (!moved.empty()) rows.buffers = moved.data();
    const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
    g.assign(o->layout->d, NAN);
    loss = o->grad ? o->grad(o->self, k, x.data(), &rows, g.data(), work.data())
                   : o->loss_grad(o->self, k, x.data(), index.data(), s.n, g.data(), work.data());
  }
  double input(size_t i) const { return s.tokens ? token[i] : (pixels[i] / 255.0 - 0.5) / 0.25; }
};

// `truth`: the loss at parameters. Where a norm has one number, a gradient that is 0 is a difference of roundings here, as large
// as what went in over sqrt(eps) times 2^-24: the largest gradient of all is what it is measured by, and eps is not small above.
template <typename Truth> void compare(Case &c, const Truth &truth) {
  CHECK(c.loss == Approx(truth(c.p)).epsilon(1e-6).margin(1e-7));
  double largest = 0;
  for (float v : c.g) largest = std::max(largest, std::fabs(double(v)));
  CHECK(largest > 0);
  std::mt19937 r(2);
  for (size_t t = 0; t < c.o->layout->n; t++) {
    const fl_tensor &tensor = c.o->layout->tensor[t];
    if (tensor.role == FL_BUFFER) continue;
    for (int draw = 0; draw < 6; draw++) {
      const size_t i = tensor.offset + r() % tensor.size;
      const double old = c.p[i], h = 1e-6;
      c.p[i] = old + h;
      const double up = truth(c.p);
      c.p[i] = old - h;
      const double down = truth(c.p);
      c.p[i] = old;
      INFO(tensor.name << " coordinate " << i - tensor.offset);
      CHECK(std::fabs((up - down) / (2 * h) - c.g[i]) <= 1e-5 * largest);
    }
  }
}
}

TEST_CASE("Images of one pixel, one row, odd sizes; one sample: gradients are those of a forward pass in double", "[gradient]") {
  const Network &network = GENERATE(from_range(of_images()));
  const Size size = GENERATE(from_range(std::begin(sizes), std::end(sizes)));
  if (size.h < network.least || size.w < network.least) return;
  Case c(network, size, false);
  images::Batch input{ {}, size.n, size.c, size.h, size.w };
  for (size_t i = 0; i < c.pixels.size(); i++) input.x.push_back(c.input(i));
  INFO(network.name << ", " << size.n << " of " << size.c << "x" << size.h << "x" << size.w);
  const std::map<std::string, images::Vector> none;
  compare(c, [&](const images::Vector &p) { return images::Net(c.net, *c.o->layout, p, none).loss(input, c.label.data()); });
}

TEST_CASE("One number has no variance: batch norm leaves its running averages alone", "[gradient]") {
  const Case one(of_images()[1], { 1, 2, 1, 1 }, false), two(of_images()[1], { 2, 2, 1, 1 }, false);
  REQUIRE(one.start.size() == 12);
  CHECK(one.moved == one.start);
  for (size_t i = 0; i < 12; i++) CHECK((two.moved[i] != two.start[i] && std::isfinite(two.moved[i])));
}

TEST_CASE("Sequences of one position, one feature; one sample: gradients are those of a forward pass in double", "[gradient]") {
  const std::string out = GENERATE("1", "6", "17"), e = "tokens=5 out=" + out, f = "out=" + out;
  const char *pool = GENERATE("of=mean", "of=first", "of=last");
  const Network network{ "text", { FL_NEXT("embedding", "e", e.c_str()), FL_NEXT("position", "p", ""),
                                   FL_NEXT("layer_norm", "n1", "eps=1e-2"), FL_NEXT("attention", "a1", "causal=yes"),
                                   FL_READS("add", "s1", "", "p a1"), FL_NEXT("linear", "f1", "out=5"),
                                   FL_NEXT("gelu", "g", "form=tanh"), FL_NEXT("linear", "f2", f.c_str()),
                                   FL_READS("add", "s2", "", "s1 f2"), FL_NEXT("attention", "a2", "qkv_bias=no"),
                                   FL_NEXT("sequence_pool", "m", pool), FL_NEXT("linear", "head", "") }, 1 };
  const size_t n = GENERATE(size_t(1), size_t(3)), length = GENERATE(size_t(1), size_t(2), size_t(17));
  Case c(network, { n, 1, 1, length }, true);
  INFO(n << " of " << length << " positions of " << out << ", " << pool);
  compare(c, [&](const sequences::Vector &p) {
    const sequences::Net net(c.net, *c.o->layout, p);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
      sequences::Value in{ {}, length, 1 };
      for (size_t j = 0; j < length; j++) in.x.push_back(c.input(i * length + j));
      sum += net.loss(in, &c.label[i]) / double(n);
    }
    return sum;
  });
}
