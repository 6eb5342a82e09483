// Networks with weights from PyTorch against its logits and losses of training steps in double precision, which
// scripts/torch-networks --fixture left in tests/fixtures/networks.
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <vector>
extern "C" {
#include "harness/config_net.h"
#include "harness/safetensors.h"
}

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
std::vector<double> doubles(const json_t *a) {
  std::vector<double> x;
  for (size_t i = 0; i < json_array_size(a); i++) x.push_back(json_number_value(json_array_get(a, i)));
  return x;
}

// The rows as scripts/measuring/torch_networks.py makes them.
struct Kept {
  std::unique_ptr<json_t, void (*)(json_t *)> root{ nullptr, json_decref };
  std::vector<uint8_t> pixels, label;
  std::vector<int32_t> tokens;
  std::vector<double> logits, losses;
  fl_samples s = {};
  size_t batch, classes;
  float lr;
  size_t number(const char *key) const { return size_t(json_integer_value(json_object_get(root.get(), key))); }
  explicit Kept(const std::string &path) {
    json_error_t error;
    root.reset(json_load_file(path.c_str(), 0, &error));
    INFO(path << ": " << error.text);
    REQUIRE(root);
    const std::vector<double> shape = doubles(json_object_get(root.get(), "shape"));
    logits = doubles(json_object_get(root.get(), "logits")), losses = doubles(json_object_get(root.get(), "losses"));
    batch = number("batch"), lr = float(json_number_value(json_object_get(root.get(), "lr")));
    s.n = number("rows"), s.classes = number("classes"), s.positions = number("positions");
    s.c = s.h = 1, s.w = size_t(shape.back());
    if (shape.size() == 3) s.c = size_t(shape[0]), s.h = size_t(shape[1]);
    uint32_t state = 1;
    const auto draw = [&] { return uint8_t((state = state * 1664525u + 1013904223u) >> 24); };
    pixels.resize(s.n * s.c * s.h * s.w);
    for (uint8_t &v : pixels) v = draw();
    label.resize(s.n * (s.positions ? s.positions : 1));
    for (uint8_t &v : label) v = uint8_t(draw() % s.classes);
    s.label = label.data();
    const size_t vocabulary = number("tokens");
    for (size_t i = 0; vocabulary && i < pixels.size(); i++) tokens.push_back(int32_t(pixels[i] % vocabulary));
    if (vocabulary) s.tokens = tokens.data();
    else s.pixels = pixels.data();
  }
};

// The network of that name, or of the description in the folder.
struct Described {
  fl_net_sized room;
  std::unique_ptr<fl_net, void (*)(fl_net *)> own{ nullptr, fl_net_free };
  const fl_net *net;
  explicit Described(const std::string &name) : net(fl_net_find(name.c_str(), &room)) {
    char err[1024] = "";
    if (net) return;
    own.reset(fl_net_read_file((FEDLANE_FIXTURES "/networks/" + name + ".yaml").c_str(), err, sizeof err));
    INFO(err);
    REQUIRE(own);
    net = own.get();
  }
};
}

TEST_CASE("Networks with PyTorch's weights give its logits and the losses of its training steps", "[torch]") {
  const std::string name = GENERATE("resnet_narrow", "mini_gpt", "vit_narrow", "lstm_narrow", "gru_narrow");
  const std::string path = std::string(FEDLANE_FIXTURES "/networks/") + name;
  const Kept kept(path + ".json");
  const Described net(name);
  char err[1024] = "";
  const Model m(fl_model_new(net.net, &kept.s, nullptr, 0.5, 0.5, err, sizeof err), fl_model_free);
  INFO(name << ": " << err);
  REQUIRE(m);
  const fl_objective *o = fl_model_objective(m.get());
  const fl_layout *l = o->layout;
  std::vector<float> x(l->d + l->buffers), g(l->d);
  std::vector<char> work(o->work(o->self, kept.s.n));
  const int read = fl_safetensors_fill((path + ".safetensors").c_str(), l, x.data(), err, sizeof err);
  INFO(err);
  REQUIRE(read == 0);

  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<uint32_t> index(kept.s.n);
  for (size_t i = 0; i < index.size(); i++) index[i] = uint32_t(i);
  std::vector<float> logits(kept.label.size() * kept.s.classes);
  REQUIRE(logits.size() == kept.logits.size());
  fl_model_logits(m.get(), k, x.data(), &kept.s, index.data(), index.size(), logits.data(), work.data());
  double largest = 0, apart = 0;
  for (size_t i = 0; i < logits.size(); i++) {
    largest = std::max(largest, std::fabs(kept.logits[i]));
    apart = std::fmax(apart, std::fabs(logits[i] - kept.logits[i]));
  }
  INFO("logits up to " << largest << ", apart " << apart);
  CHECK(apart <= 1e-5 * largest);

  for (size_t step = 0; step < kept.losses.size(); step++) {
    for (size_t j = 0; j < kept.batch; j++) index[j] = uint32_t((step * kept.batch + j) % kept.s.n);
    fl_rows rows = {};
    rows.index = index.data(), rows.count = kept.batch, rows.buffers = l->buffers ? x.data() + l->d : nullptr;
    const double loss = o->grad ? o->grad(o->self, k, x.data(), &rows, g.data(), work.data())
                                : o->loss_grad(o->self, k, x.data(), index.data(), kept.batch, g.data(), work.data());
    INFO("step " << step + 1 << ": loss " << loss << ", in PyTorch " << kept.losses[step]);
    CHECK(std::fabs(loss - kept.losses[step]) <= (step < 10 ? 1e-5 : 1e-4) * kept.losses[step]);
    k->sgd(l->d, x.data(), g.data(), 1, kept.lr);
  }
}
