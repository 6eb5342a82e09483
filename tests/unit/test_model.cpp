// Models: sizes and layout, initial values, and that a sample's result depends neither on its batch nor on the ISA.
#include "tests/gradient/reference.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
Model build(const std::string &net, const fl_samples *train, const fl_samples *test, std::string *message = nullptr) {
  char err[256] = "";
  fl_net_sized room;
  Model m(fl_model_new(fl_net_find(net.c_str(), &room), train, test, reference::mean, reference::deviation, err, sizeof err),
      fl_model_free);
  if (message) *message = err;
  return m;
}
bool same(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && !memcmp(a.data(), b.data(), 4 * a.size());
}
const char *const nets[] = { "lenet5", "mlp", "logistic" };
}

TEST_CASE("Networks by name, with the published numbers of parameters", "[model]") {
  CHECK(fl_net_count() == 12);
  CHECK(fl_net_at(12) == nullptr);
  CHECK(fl_net_find("lenet", nullptr) == nullptr);
  const reference::Samples s(2, 1);
  const size_t want[] = { 61706, 199210, 7850 };
  const double macs[] = { 6. * 784 * 25 + 16. * 100 * 150 + 400 * 120 + 120 * 84 + 840, 784 * 200 + 40000 + 2000, 7840 };
  for (int i = 0; i < 3; i++) {
    const Model m = build(nets[i], &s.s, nullptr);
    REQUIRE(m);
    const fl_objective *o = fl_model_objective(m.get());
    CHECK((o->layout->d == want[i] && o->layout->buffers == 0 && o->n == 2 && o->n_test == 0 && o->evaluate == nullptr &&
        o->classes == 10));
    CHECK(fl_model_macs(m.get()) == macs[i]);
    CHECK(fl_model_activation_bytes(m.get(), 50) > 50 * 784 * 4);
    size_t end = 0;
    for (size_t t = 0; t < o->layout->n; t++) {
      const fl_tensor &x = o->layout->tensor[t];
      CHECK(x.offset == end);
      CHECK(x.layer == int(t / 2));
      CHECK((x.role == FL_BIAS) == (t % 2 == 1));
      CHECK((x.role == FL_HEAD) == (t == o->layout->n - 2));
      end += x.size;
    }
    CHECK(end == want[i]);
  }
}

TEST_CASE("The CNNs of the literature have their published numbers of parameters", "[model]") {
  const reference::Samples digits(1, 1);
  const Model m = build("cnn_mcmahan", &digits.s, nullptr);
  REQUIRE(m);
  CHECK(fl_model_objective(m.get())->layout->d == 1663370);
  CHECK(fl_model_macs(m.get()) == 784. * 32 * 25 + 196. * 64 * 32 * 25 + 3136. * 512 + 5120);
  CHECK(fl_model_objective(m.get())->grad == nullptr);
  std::vector<uint8_t> pixels(3072);
  fl_samples colours = digits.s;
  colours.c = 3, colours.h = colours.w = 32, colours.pixels = pixels.data();
  const Model p = build("cnn_pfl", &colours, nullptr);
  REQUIRE(p);
  CHECK(fl_model_objective(p.get())->layout->d == 1626442);
  CHECK(fl_model_macs(p.get()) == 900. * 32 * 27 + 784. * 64 * 32 * 9 + 12544. * 128 + 1280);
  CHECK(fl_model_objective(p.get())->grad != nullptr);
  const struct { const char *name; size_t d, buffers; } deep[] = {
    { "vgg11", 9225610, 0 }, { "vit_tiny", 5362762, 0 }, { "resnet18", 11173962, 0 }, { "resnet18_bn", 11173962, 2 * 4800 },
  };
  for (const auto &net : deep) {
    const Model m2 = build(net.name, &colours, nullptr);
    REQUIRE(m2);
    CHECK(fl_model_objective(m2.get())->layout->d == net.d);
    CHECK(fl_model_objective(m2.get())->layout->buffers == net.buffers);
  }
}

TEST_CASE("NAME_direct: no convolution by Winograd, and else the network of that name", "[model]") {
  std::vector<uint8_t> pixels(2 * 3072), label(2, 1);
  for (size_t i = 0; i < pixels.size(); i++) pixels[i] = uint8_t(i * 2654435761u >> 24);
  fl_samples s = {};
  s.n = 2, s.c = 3, s.h = s.w = 32, s.classes = 10, s.pixels = pixels.data(), s.label = label.data();
  const fl_net *vgg = fl_net_find("vgg11", nullptr);
  std::vector<std::string> settings;
  for (size_t i = 0; i < vgg->n; i++)
    settings.push_back(vgg->layer[i].settings + std::string(vgg->layer[i].type == std::string("conv") ? " winograd=no" : ""));
  std::vector<fl_layer_spec> layers(vgg->layer, vgg->layer + vgg->n);
  for (size_t i = 0; i < vgg->n; i++) layers[i].settings = settings[i].c_str();
  const fl_net plain = { "plain", "", layers.size(), layers.data() };
  char err[256] = "";
  const Model m[3] = { build("vgg11", &s, nullptr), build("vgg11_direct", &s, nullptr),
                       Model(fl_model_new(&plain, &s, nullptr, reference::mean, reference::deviation, err, sizeof err),
                             fl_model_free) };
  std::vector<float> x[3], logits[3];
  const uint32_t index[2] = { 0, 1 };
  for (int i = 0; i < 3; i++) {
    REQUIRE(m[i]);
    const fl_objective *o = fl_model_objective(m[i].get());
    x[i].resize(o->layout->d), logits[i].resize(20);
    o->init(o->self, 1, x[i].data());
    std::vector<char> work(o->work(o->self, 2));
    fl_model_logits(m[i].get(), fl_kernels_select(nullptr, nullptr), x[i].data(), &s, index, 2, logits[i].data(), work.data());
  }
  CHECK((same(x[0], x[1]) && same(x[1], x[2])));
  CHECK(same(logits[1], logits[2]));
  CHECK(!same(logits[0], logits[1]));
  for (int i = 0; i < 20; i++) CHECK(logits[0][i] == Approx(logits[1][i]).margin(1e-5));
  fl_net_sized room;
  REQUIRE(fl_net_find("vit_tiny_direct_lora2", &room));
  CHECK(std::string(room.net.name) == "vit_tiny_direct_lora2");
  for (const char *name : { "mlp_direct", "char_lstm_direct", "vgg_direct", "_direct", "vgg11_direct_direct",
                            "vgg11_directly" }) {
    INFO(name);
    CHECK(!fl_net_find(name, &room));
  }
}

TEST_CASE("Mini GPT: 46,289 parameters, begun as PyTorch begins its layers; adapters on what attention projects", "[model]") {
  const size_t t = 8, d = 24, ff = 96, vocabulary = 65;
  std::vector<int32_t> token(2 * t, 64);
  std::vector<uint8_t> label(2 * t, 1);
  fl_samples s = {};
  s.n = 2, s.c = s.h = 1, s.w = s.positions = t, s.classes = vocabulary, s.tokens = token.data(), s.label = label.data();
  const Model m = build("mini_gpt", &s, nullptr);
  REQUIRE(m);
  const fl_objective *o = fl_model_objective(m.get());
  const size_t block = 3 * d * d + d * d + d + d * ff + ff + ff * d + d + 4 * d;
  CHECK(o->layout->d == vocabulary * d + t * d + 6 * block + d * vocabulary + vocabulary);
  CHECK(o->layout->d == 46289);
  CHECK(fl_model_macs(m.get()) == 6. * (4 * t * d * d + 2 * 36 * d + 2 * t * d * ff) + t * d * vocabulary);
  std::vector<float> x(o->layout->d);
  o->init(o->self, 1, x.data());
  for (size_t i = 0; i < o->layout->n; i++) {
    const fl_tensor &w = o->layout->tensor[i];
    const std::string name = w.name;
    const auto ends = [&](const std::string &with) {
      return name.size() > with.size() && name.substr(name.size() - with.size()) == with;
    };
    CHECK((w.role == FL_QKV) == ends("attn.qkv.weight"));
    CHECK((w.role == FL_O) == ends("attn.proj.weight"));
    CHECK(w.heads == (w.role == FL_QKV || w.role == FL_O ? 6 : 0));
    CHECK((w.role == FL_EMBED) == (name == "embed.weight" || name == "pos.weight"));
    double most = 0;
    for (size_t j = 0; j < w.size; j++) most = std::max(most, std::fabs(double(x[w.offset + j])));
    INFO(name);
    if (w.role == FL_EMBED) CHECK((most > 2 && most < 6));
    else CHECK((w.role == FL_NORM ? most <= 1 : most <= 1 / std::sqrt(ends("fc2.weight") || ends("fc2.bias") ? ff : d) + 1e-7));
  }
  const Model lora = build("mini_gpt_lora8", &s, nullptr);
  REQUIRE(lora);
  const fl_objective *a = fl_model_objective(lora.get());
  CHECK(a->layout->d == 6 * 8 * (3 * d + d + d + d + 2 * (d + ff)) + d * vocabulary + vocabulary);
  CHECK(a->layout->buffers == 46289 - d * vocabulary - vocabulary);
  std::string names;
  for (size_t i = 0; i < 8; i++) names += std::string(a->layout->tensor[i].name) + " ";
  CHECK(names == "blocks.0.attn.qkv.lora_A blocks.0.attn.qkv.lora_B_T blocks.0.attn.proj.lora_A blocks.0.attn.proj.lora_B_T "
                 "blocks.0.mlp.fc1.lora_A blocks.0.mlp.fc1.lora_B_T blocks.0.mlp.fc2.lora_A blocks.0.mlp.fc2.lora_B_T ");
  token[3] = 65;
  std::string message;
  CHECK(!build("mini_gpt", &s, nullptr, &message));
  CHECK(message == "model mini_gpt, layer embed: tokens = 65, and the data have token 65; allowed: above all of the data");
}

TEST_CASE("The transformer over bytes, whole and with adapters alone", "[model]") {
  const size_t t = 64, d = 128, ff = 512, block = 3 * d * d + 3 * d + d * d + d + d * ff + ff + ff * d + d + 4 * d;
  std::vector<int32_t> token(t, 'a');
  std::vector<uint8_t> label(1, 1);
  fl_samples s = {};
  s.n = s.c = s.h = 1, s.w = t, s.classes = 2, s.tokens = token.data(), s.label = label.data();
  const Model m = build("text_transformer", &s, nullptr), lora = build("text_transformer_lora8", &s, nullptr);
  REQUIRE((m && lora));
  CHECK(fl_model_objective(m.get())->layout->d == 256 * d + t * d + 4 * block + 2 * d + 2 * d + 2);
  CHECK(fl_model_objective(lora.get())->layout->d == 4 * 8 * (4 * d + 2 * d + 2 * (d + ff)) + 2 * d + 2);
}

TEST_CASE("Perceptrons of any hidden widths by name: mlp_200_200 is mlp, bit for bit", "[model]") {
  const reference::Samples s(3, 1);
  const Model named = build("mlp_200_200", &s.s, nullptr), mlp = build("mlp", &s.s, nullptr);
  REQUIRE((named && mlp));
  const fl_objective *a = fl_model_objective(named.get()), *b = fl_model_objective(mlp.get());
  REQUIRE(a->layout->d == b->layout->d);
  CHECK(std::string(a->name) == "mlp_200_200");
  for (size_t t = 0; t < b->layout->n; t++) CHECK(std::string(a->layout->tensor[t].name) == b->layout->tensor[t].name);
  std::vector<float> x(a->layout->d), y(x);
  a->init(a->self, 5, x.data());
  b->init(b->self, 5, y.data());
  CHECK(same(x, y));
  const Model deep = build("mlp_7_1_300", &s.s, nullptr);
  REQUIRE(deep);
  CHECK(fl_model_objective(deep.get())->layout->d == 784 * 7 + 7 + 7 + 1 + 300 + 300 + 3000 + 10);
  fl_net_sized room;
  CHECK(fl_net_find("mlp_1_2_3_4_5_6_7_65536", &room));
  for (const char *bad : { "mlp_", "mlp_0", "mlp_01", "mlp_65537", "mlp_1_", "mlp_1__2", "mlp_1x", "mlp_ 1", "mlp_+1", "mlp200",
                           "mlp_1_2_3_4_5_6_7_8_9", "mlp_99999999999999999999" })
    CHECK(fl_net_find(bad, &room) == nullptr);
}

TEST_CASE("Layout of LeNet-5 as in the state_dict of the PyTorch twin", "[model]") {
  const reference::Samples s(1, 1);
  const Model m = build("lenet5", &s.s, nullptr);
  const fl_layout *l = fl_model_objective(m.get())->layout;
  const struct { const char *name; fl_role role; std::vector<size_t> shape; } want[] = {
    { "conv1.weight", FL_CONV, { 6, 1, 5, 5 } }, { "conv1.bias", FL_BIAS, { 6 } }, { "conv2.weight", FL_CONV, { 16, 6, 5, 5 } },
    { "conv2.bias", FL_BIAS, { 16 } }, { "fc1.weight", FL_MATRIX, { 120, 400 } }, { "fc1.bias", FL_BIAS, { 120 } },
    { "fc2.weight", FL_MATRIX, { 84, 120 } }, { "fc2.bias", FL_BIAS, { 84 } }, { "fc3.weight", FL_HEAD, { 10, 84 } },
    { "fc3.bias", FL_BIAS, { 10 } } };
  REQUIRE(l->n == 10);
  for (size_t i = 0; i < 10; i++) {
    CHECK(std::string(l->tensor[i].name) == want[i].name);
    CHECK(l->tensor[i].role == want[i].role);
    CHECK(std::vector<size_t>(l->tensor[i].shape, l->tensor[i].shape + l->tensor[i].ndim) == want[i].shape);
  }
}

TEST_CASE("Shapes that do not fit are refused with the layer's name", "[model]") {
  std::string message;
  const reference::Samples tiny(2, 1, 8, 8), line(2, 1, 1, 9), big(2, 1), small(2, 1, 20, 20), one(2, 1, 28, 28, 1);
  CHECK(!build("lenet5", &tiny.s, nullptr, &message));
  CHECK(message == "model lenet5, layer conv2: a 5x5 kernel does not fit in 4x4 with padding 0");
  CHECK(!build("lenet5", &line.s, nullptr, &message));
  CHECK(message.find("pool1") != std::string::npos);
  CHECK(build("mlp", &line.s, nullptr));
  CHECK(!build("mlp", &big.s, &small.s, &message));
  CHECK(message.find("1x20x20") != std::string::npos);
  CHECK(!build("mlp", &one.s, nullptr, &message));
  CHECK(message.find("1 classes, allowed 2 to 256") != std::string::npos);
}

TEST_CASE("Initial values: uniform in +-1/sqrt(fan_in) from the keys of their tensors", "[model]") {
  const reference::Samples s(1, 1);
  const size_t fan[] = { 25, 150, 400, 120, 84 };
  const Model m = build("lenet5", &s.s, nullptr);
  const fl_objective *o = fl_model_objective(m.get());
  std::vector<float> x(o->layout->d), y(x.size()), u;
  o->init(o->self, 7, x.data());
  o->init(o->self, 7, y.data());
  CHECK(same(x, y));
  o->init(o->self, 8, y.data());
  CHECK(!same(x, y));
  const fl_kernels *k = fl_kernels_of(FL_ISA_SCALAR);
  REQUIRE(k);
  for (uint32_t t = 0; t < o->layout->n; t++) {
    const fl_tensor &tensor = o->layout->tensor[t];
    const float bound = float(1 / std::sqrt(double(fan[t / 2])));
    const fl_key key = { 7, FL_PURPOSE_INIT, 0, t, 0 };
    double sum = 0;
    u.resize(tensor.size);
    k->uniform(tensor.size, u.data(), 0, &key);
    bool equal = true;
    for (size_t i = 0; i < tensor.size; i++) {
      equal = equal && x[tensor.offset + i] == std::fmaf(2 * bound, u[i], -bound);
      sum += x[tensor.offset + i];
    }
    INFO(tensor.name);
    CHECK(equal);
    CHECK(std::fabs(sum / double(tensor.size)) < 5 * bound / std::sqrt(3.0 * double(tensor.size)));
  }
}

TEST_CASE("Logits of a row are the same in every batch, and those of the reference", "[model]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  const reference::Samples s(64, 2);
  const Model m = build(net, &s.s, nullptr);
  const fl_objective *o = fl_model_objective(m.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d), all(640);
  std::vector<char> work(o->work(o->self, 64) + 5);     // the block may lie anywhere: it is moved by up to 4 bytes
  std::vector<uint32_t> index(64);
  for (uint32_t i = 0; i < 64; i++) index[i] = i * 27 % 64;
  o->init(o->self, 3, x.data());
  fl_model_logits(m.get(), k, x.data(), &s.s, index.data(), 64, all.data(), work.data());
  for (size_t batch : { 1, 2, 7 }) {
    std::vector<float> part(640);
    for (size_t i = 0; i < 64; i += batch)
      fl_model_logits(m.get(), k, x.data(), &s.s, &index[i], std::min(batch, 64 - i), &part[10 * i], work.data() + i % 5);
    INFO(net << " in batches of " << batch);
    CHECK(same(part, all));
  }
  const reference::Net ref{ reference::layers(net, 10), 28, 28 };
  reference::Vector want, p(x.begin(), x.end());
  for (size_t i = 0; i < 5; i++) {
    ref.run(p, reference::input(s.s, index[i]), 0, nullptr, &want);
    for (size_t c = 0; c < 10; c++) CHECK(all[10 * i + c] == Approx(want[c]).margin(2e-6));
  }
}

TEST_CASE("Loss and gradient have the same bits on every ISA of this machine", "[model]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  const size_t n = GENERATE(size_t(1), size_t(50), size_t(75));
  const reference::Samples s(80, 4), t(40, 5);
  const Model m = build(net, &s.s, &t.s);
  const fl_objective *o = fl_model_objective(m.get());
  std::vector<float> x(o->layout->d), first;
  std::vector<uint32_t> index(n);
  for (uint32_t i = 0; i < n; i++) index[i] = (i * 11 + 5) % 80;
  o->init(o->self, 5, x.data());
  double loss = 0;
  fl_eval eval{};
  for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
    const fl_kernels *k = fl_kernels_of(fl_isa(isa));
    if (!k) continue;
    std::vector<float> g(x.size(), NAN);
    std::vector<char> work(o->work(o->self, n), char(0x7f));     // what lies in the scratch block does not matter
    fl_eval e{};
    const double value = o->loss_grad(o->self, k, x.data(), index.data(), n, g.data(), work.data());
    o->evaluate(o->self, k, x.data(), 3, std::min(n, size_t(37)), &e, work.data());
    if (first.empty()) {
      first = g, loss = value, eval = e;
      CHECK(std::isfinite(loss));
    }
    INFO(net << ", batch " << n << ", " << k->name);
    CHECK(same(g, first));
    CHECK(value == loss);
    CHECK((e.loss == eval.loss && e.correct == eval.correct && e.count == eval.count && !e.diverged));
  }
}

TEST_CASE("Evaluation: loss, hits, ranges, divergence", "[model]") {
  const std::string net = GENERATE("lenet5", "mlp", "logistic");
  const reference::Samples s(4, 6), t(90, 7);
  const Model m = build(net, &s.s, &t.s);
  const fl_objective *o = fl_model_objective(m.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d);
  std::vector<char> work(o->work(o->self, 90));
  o->init(o->self, 9, x.data());
  const reference::Net ref{ reference::layers(net, 10), 28, 28 };
  const reference::Vector p(x.begin(), x.end());
  reference::Vector logits;
  double loss = 0;
  size_t correct = 0;
  for (size_t i = 0; i < 90; i++) {
    loss += ref.run(p, reference::input(t.s, i), t.label[i], nullptr, &logits);
    correct += size_t(std::max_element(logits.begin(), logits.end()) - logits.begin()) == t.label[i];
  }
  fl_eval all, a, b;
  o->evaluate(o->self, k, x.data(), 0, 90, &all, work.data());
  o->evaluate(o->self, k, x.data(), 0, 32, &a, work.data());
  o->evaluate(o->self, k, x.data(), 32, 58, &b, work.data());
  CHECK(all.loss == Approx(loss).epsilon(1e-6));
  CHECK((all.correct == correct && all.count == 90 && !all.diverged));
  CHECK((a.correct + b.correct == all.correct && a.loss + b.loss == Approx(all.loss)));
  fl_eval leaf[3];                              // pieces of 32 rows are leaves of the fixed tree: exact
  for (size_t i = 0; i < 3; i++) o->evaluate(o->self, k, x.data(), 32 * i, i < 2 ? 32 : 26, &leaf[i], work.data());
  CHECK(all.loss == (leaf[0].loss + leaf[1].loss) + leaf[2].loss);
  x[o->layout->d - 1] = NAN;                    // bias of the last class
  o->evaluate(o->self, k, x.data(), 0, 10, &all, work.data());
  CHECK((all.diverged && all.correct == 0));
  x[o->layout->d - 1] = INFINITY;
  o->evaluate(o->self, k, x.data(), 0, 10, &all, work.data());
  CHECK(all.diverged);
}

// At 0 the logistic model's gradient of row c is (0.1 - [c = label]) times the input: it shows what the model sees.
TEST_CASE("Noise on inputs: the row's own sigma, Gaussian, frozen by row, not on test rows", "[model]") {
  const size_t n = 40;
  const reference::Samples s(n, 1), t(5, 2);
  const Model m = build("logistic", &s.s, &t.s);
  const fl_objective *o = fl_model_objective(m.get());
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> x(o->layout->d), sigma(n), g(x.size());
  std::vector<char> work(o->work(o->self, n));
  const auto inputs = [&](uint32_t row) {
    o->loss_grad(o->self, k, x.data(), &row, 1, g.data(), work.data());
    const size_t c = s.s.label[row] == 0;
    std::vector<double> in(784);
    for (size_t i = 0; i < 784; i++)
      in[i] = g[c * 784 + i] / 0.1;
    return in;
  };
  const auto test_loss = [&] {
    fl_eval e;
    o->evaluate(o->self, k, x.data(), 0, 5, &e, work.data());
    return e.loss;
  };
  std::vector<std::vector<double>> clean, noisy;
  for (uint32_t r = 0; r < n; r++) {
    clean.push_back(inputs(r));
    sigma[r] = 0.01f * static_cast<float>(r);
  }
  for (float &v : x) v = 0.01f;
  const double before = test_loss();
  const fl_key key = { 5, FL_PURPOSE_PARTITION, 0, 0, 8 };
  fl_model_noise(m.get(), sigma.data(), &key);
  CHECK(test_loss() == before);
  for (float &v : x) v = 0;
  double z2 = 0, z4 = 0, cross = 0, sum = 0;
  for (uint32_t r = 0; r < n; r++)
    noisy.push_back(inputs(r));
  CHECK(noisy[0] == clean[0]);
  CHECK(noisy[7] == inputs(7));
  const auto z = [&](size_t r, size_t i) { return (noisy[r][i] - clean[r][i]) * reference::deviation / sigma[r]; };
  const double all = 784.0 * (n - 1);
  for (size_t r = 1; r < n; r++)
    for (size_t i = 0; i < 784; i++) {
      sum += z(r, i);
      z2 += std::pow(z(r, i), 2);
      z4 += std::pow(z(r, i), 4);
      if (r > 1) cross += z(r, i) * z(r - 1, i);
    }
  CHECK(std::abs(sum / all) < 5 / std::sqrt(all));
  CHECK(std::abs(z2 / all - 1) < 5 * std::sqrt(2 / all));
  CHECK(std::abs(z4 / all - 3) < 5 * std::sqrt(96 / all));
  CHECK(std::abs(cross / all) < 5 / std::sqrt(all));
  fl_model_noise(m.get(), nullptr, nullptr);
  CHECK(inputs(7) == clean[7]);
}
