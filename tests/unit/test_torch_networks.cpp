// Every network, or a narrow form of it, with weights from PyTorch against what that computes in double precision: logits, losses
// of training steps, gradients, and where the steps lead. scripts/torch-networks --fixture left it in tests/fixtures/networks.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
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
  size_t batch;
  float lr;
  double apart;                                  // of the weights after the steps, of their change
  std::vector<double> of(const char *key, const char *tensor) const {
    const std::vector<double> v = doubles(json_object_get(json_object_get(root.get(), key), tensor));
    INFO(key << " of " << tensor);
    REQUIRE(v.size() > 1);
    return v;
  }
  size_t number(const char *key) const { return size_t(json_integer_value(json_object_get(root.get(), key))); }
  explicit Kept(const std::string &path) {
    json_error_t error;
    root.reset(json_load_file(path.c_str(), 0, &error));
    INFO(path << ": " << error.text);
    REQUIRE(root);
    const std::vector<double> shape = doubles(json_object_get(root.get(), "shape"));
    logits = doubles(json_object_get(root.get(), "logits")), losses = doubles(json_object_get(root.get(), "losses"));
    batch = number("batch"), lr = float(json_number_value(json_object_get(root.get(), "lr")));
    apart = json_number_value(json_object_get(root.get(), "apart"));
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

// A tensor against what was kept of it: its norm, and some of its numbers (`sampled` of scripts/measuring/torch_networks.py).
// allowed: of the norm, and of the length of those numbers; rounding: besides, of one number.
void compare(const fl_tensor &t, const double *mine, const std::vector<double> &want, double allowed, double rounding) {
  const size_t n = want.size() - 1;               // all of a small tensor
  double norm = 0, error = 0, length = 0;
  for (size_t i = 0; i < t.size; i++) norm += mine[i] * mine[i];
  for (size_t i = 0; i < n; i++) {
    const double w = want[1 + i], v = mine[n == t.size ? i : size_t(uint64_t(uint32_t(i * 2654435761u)) * t.size >> 32)];
    error += (v - w) * (v - w), length += w * w;
  }
  norm = std::sqrt(norm);
  INFO(t.name << ": norm " << norm << ", in PyTorch " << want[0]);
  CHECK(std::fabs(norm - want[0]) <= allowed * want[0] + rounding * std::sqrt(double(t.size)));
  INFO(t.name << ": " << n << " of its numbers are " << std::sqrt(error) << " apart, their length " << std::sqrt(length));
  CHECK(std::sqrt(error) <= allowed * std::sqrt(length) + rounding * std::sqrt(double(n)));
}

// Weights that scripts/measuring/torch_networks.py makes as well, from the tensor's name (`made`).
void make(const fl_tensor &t, float *to) {
  const std::string name = t.name;
  const auto ends = [&](const std::string &with) {
    return name.size() >= with.size() && !name.compare(name.size() - with.size(), with.size(), with);
  };
  const double bound = t.ndim > 1 ? std::sqrt(6 / double(t.size / t.shape[0])) : 0.25;
  const double middle = t.ndim == 1 && (ends("weight") || ends("running_var")) ? 1 : 0;
  uint32_t seed = 2166136261u;
  for (const char c : name) seed = (seed ^ uint8_t(c)) * 16777619u;
  for (size_t i = 0; i < t.size; i++) {
    uint32_t h = (uint32_t(i) * 0x9e3779b9u) ^ seed;
    h = (h ^ (h >> 16)) * 0x7feb352du, h = (h ^ (h >> 15)) * 0x846ca68bu, h ^= h >> 16;
    to[i] = float(((h >> 8) * 0x1p-23 - 1) * bound + middle);
  }
}

// A model of that fixture, its parameters and buffers in x: from its file, or, of a whole network, made.
struct Run {
  const Described net;
  char err[1024] = "";
  const Model m;
  const fl_objective *o;
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x, g;
  std::vector<char> work;
  std::vector<uint32_t> index;
  Run(const std::string &name, const Kept &kept, bool whole = false)
    : net(name), m(fl_model_new(net.net, &kept.s, nullptr, 0.5, 0.5, err, sizeof err), fl_model_free) {
    INFO(name << ": " << err);
    REQUIRE(m);
    o = fl_model_objective(m.get());
    x.resize(o->layout->d + o->layout->buffers), g.resize(o->layout->d), work.resize(o->work(o->self, kept.s.n));
    for (size_t i = 0; i < kept.s.n; i++) index.push_back(uint32_t(i));
    for (size_t i = 0; whole && i < o->layout->n; i++) make(o->layout->tensor[i], &x[o->layout->tensor[i].offset]);
    if (!whole) read(name);
  }
  void read(const std::string &name) {
    const std::string path = FEDLANE_FIXTURES "/networks/" + name + ".safetensors";
    fl_safetensors file = {};
    const bool done = !fl_safetensors_read(&file, path.c_str(), err, sizeof err) &&
                      !fl_safetensors_fill(&file, path.c_str(), o->layout, x.data(), err, sizeof err);
    fl_safetensors_free(&file);
    INFO(name << ": " << err);
    REQUIRE(done);
  }
  const fl_tensor *find(const std::string &name) const {
    for (size_t i = 0; i < o->layout->n; i++)
      if (name == o->layout->tensor[i].name) return &o->layout->tensor[i];
    return nullptr;
  }
  // The network's own parameters: what x holds, or, with adapters, its frozen and its trained tensors put together, W + s B A.
  std::vector<float> inner() const {
    const fl_layout *own = fl_model_layout(m.get());
    if (own == o->layout) return x;
    std::vector<float> all(own->d);
    for (size_t i = 0; i < own->n; i++) {
      const fl_tensor &t = own->tensor[i];
      const std::string name = t.name, stem = name.substr(0, name.rfind('.'));
      const fl_tensor *kept = find(name), *a = find(stem + ".lora_A"), *b = find(stem + ".lora_B_T");
      REQUIRE((kept && !a == !b));
      const bool adapted = a && t.ndim == 2;
      for (size_t j = 0; j < t.size; j++) {
        double v = x[kept->offset + j];
        for (size_t r = 0; adapted && r < a->shape[0]; r++)
          v += o->adapter_scale * double(x[b->offset + r * t.shape[0] + j / t.shape[1]]) *
               x[a->offset + r * t.shape[1] + j % t.shape[1]];
        all[t.offset + j] = float(v);
      }
    }
    return all;
  }
  // allowed: of the largest
  void check_logits(const Kept &kept, double allowed) {
    const std::vector<float> p = inner();
    std::vector<float> logits(kept.label.size() * kept.s.classes);
    REQUIRE(logits.size() == kept.logits.size());
    fl_model_logits(m.get(), k, p.data(), &kept.s, index.data(), index.size(), logits.data(), work.data());
    double largest = 0, apart = 0;
    for (size_t i = 0; i < logits.size(); i++) {
      largest = std::max(largest, std::fabs(kept.logits[i]));
      apart = std::fmax(apart, std::fabs(logits[i] - kept.logits[i]));
    }
    INFO("logits up to " << largest << ", apart " << apart);
    CHECK(apart <= allowed * largest);
  }
  // Gradient of step s in g; nothing is dropped, since nothing is drawn; buffers move.
  double gradient(const Kept &kept, size_t s) {
    for (size_t j = 0; j < kept.batch; j++) index[j] = uint32_t((s * kept.batch + j) % kept.s.n);
    fl_rows rows = {};
    rows.index = index.data(), rows.count = kept.batch, rows.buffers = o->layout->buffers ? x.data() + o->layout->d : nullptr;
    return o->grad ? o->grad(o->self, k, x.data(), &rows, g.data(), work.data())
                   : o->loss_grad(o->self, k, x.data(), index.data(), kept.batch, g.data(), work.data());
  }
  // Every trained tensor's, and no other's.
  void gradients(const Kept &kept, double allowed) const {
    const std::vector<double> all(g.begin(), g.end());
    size_t trained = 0;
    for (size_t i = 0; i < o->layout->n; i++) {
      const fl_tensor &t = o->layout->tensor[i];
      if (t.role == FL_BUFFER) continue;
      compare(t, all.data() + t.offset, kept.of("gradient", t.name), allowed, 1e-8);
      trained++;
    }
    CHECK(trained == json_object_size(json_object_get(kept.root.get(), "gradient")));
  }
  // By how much the steps have changed every tensor and buffer: each step rounds a number once.
  void changes(const Kept &kept, const std::vector<float> &begun) const {
    std::vector<double> change(x.size());
    for (size_t i = 0; i < x.size(); i++) change[i] = double(x[i]) - begun[i];
    for (size_t i = 0; i < o->layout->n; i++) {
      const fl_tensor &t = o->layout->tensor[i];
      double largest = 0;
      for (size_t j = t.offset; j < t.offset + t.size; j++) largest = std::max(largest, std::fabs(double(x[j])));
      compare(t, &change[t.offset], kept.of("change", t.name), kept.apart, 20 * 0x1p-24 * largest);
    }
    CHECK(o->layout->n == json_object_size(json_object_get(kept.root.get(), "change")));
  }
};

}

TEST_CASE("Networks with PyTorch's weights: its logits, losses of steps, gradients, and where the steps lead", "[torch]") {
  const std::string name = GENERATE("logistic", "mlp_60_40", "lenet5", "mcmahan_narrow", "pfl_narrow", "vgg_narrow",
                                    "pool_narrow", "resnet_narrow", "resnet_bn_narrow", "vit_narrow", "mini_gpt",
                                    "text_narrow", "text_narrow_lora2", "text_narrow_lora2_alpha3_on_attn", "lstm_narrow",
                                    "gru_narrow");
  const Kept kept(FEDLANE_FIXTURES "/networks/" + name + ".json");
  Run r(name, kept);
  const fl_layout *l = r.o->layout;
  INFO(name);

  const std::vector<float> begun = r.x;
  r.check_logits(kept, 1e-5);

  REQUIRE(kept.losses.size() == 20);
  for (size_t step = 0; step < kept.losses.size(); step++) {
    const double loss = r.gradient(kept, step);
    INFO("step " << step + 1 << ": loss " << loss << ", in PyTorch " << kept.losses[step]);
    CHECK(std::fabs(loss - kept.losses[step]) <= (step < 10 ? 1e-5 : 1e-4) * kept.losses[step]);
    if (!step) r.gradients(kept, 1e-5);
    r.k->sgd(l->d, r.x.data(), r.g.data(), 1, kept.lr);
  }
  r.changes(kept, begun);
}

// The narrow forms above are descriptions of their own: these are the tables of the list, where a wrong activation, or a pooling
// in another place, changes no count of parameters.
TEST_CASE("The networks of the list, whole, from weights that are made: PyTorch's logits, loss and gradients", "[torch]") {
  const std::string name = GENERATE("cnn_mcmahan", "cnn_pfl", "vgg11", "resnet18", "resnet18_bn", "vit_tiny",
                                    "text_transformer", "text_transformer_lora8", "char_lstm");
  const Kept kept(FEDLANE_FIXTURES "/networks/whole/" + name + ".json");
  Run r(name, kept, true);
  INFO(name);
  r.check_logits(kept, 1e-5);
  REQUIRE(kept.losses.size() == 1);
  const double loss = r.gradient(kept, 0);
  INFO("loss " << loss << ", in PyTorch " << kept.losses[0]);
  CHECK(std::fabs(loss - kept.losses[0]) <= 1e-5 * kept.losses[0]);
  r.gradients(kept, kept.apart);
}
