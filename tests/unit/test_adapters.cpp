// Adapters: their names, alpha, which matrices have them, and ILoRA on layers of several matrices.
#include "session.hpp"
#include "text.hpp"
#include <array>
#include <cmath>
#include <memory>
#include <random>

namespace {
using Model = std::unique_ptr<fl_model, void (*)(fl_model *)>;
constexpr size_t rows = 12, length = 5, classes = 11;
Model build(const std::string &net, const Text &text, std::string *message = nullptr) {
  char err[512] = "";
  fl_net_sized room;
  const fl_net *found = fl_net_find(net.c_str(), &room);
  INFO(net);
  REQUIRE(found);
  Model m(fl_model_new(found, &text.s, nullptr, 0, 1, err, sizeof err), fl_model_free);
  if (message) *message = err;
  return m;
}
std::vector<std::string> adapted(const fl_objective *o) {
  std::vector<std::string> names;
  for (size_t i = 0; i < o->layout->n; i++)
    if (o->layout->tensor[i].role == FL_LORA_A) names.emplace_back(o->layout->tensor[i].name);
  return names;
}
const fl_tensor &tensor(const fl_objective *o, const std::string &name) {
  for (size_t i = 0; i < o->layout->n; i++)
    if (name == o->layout->tensor[i].name) return o->layout->tensor[i];
  FAIL(name);
  return o->layout->tensor[0];
}
// W = base + s B A of all adapters, in double.
std::vector<double> products(const fl_objective *o, const rules::Floats &x) {
  std::vector<double> all;
  for (const std::string &name : adapted(o)) {
    const std::string stem = name.substr(0, name.size() - 7);
    const fl_tensor &a = tensor(o, name), &b = tensor(o, stem + ".lora_B_T");
    const bool weight = stem.find("_l0") == std::string::npos;
    const fl_tensor &base = tensor(o, weight ? stem + ".weight" : stem);
    const size_t m = base.shape[0], n = base.shape[1];
    REQUIRE((base.role == FL_BUFFER && a.shape[1] == n && b.shape[1] == m));
    for (size_t i = 0; i < m * n; i++) {
      double v = 0;
      for (size_t r = 0; r < a.shape[0]; r++) v += double(x[b.offset + r * m + i / n]) * double(x[a.offset + r * n + i % n]);
      all.push_back(o->adapter_scale * v + double(x[base.offset + i]));
    }
  }
  return all;
}
struct Gradient {
  double loss;
  rules::Floats g;
};
Gradient gradient(const fl_objective *o, const rules::Floats &x) {
  static const uint32_t index[] = { 0, 5, 7 };
  rules::Floats g(o->layout->d);
  std::vector<char> work(o->work(o->self, 3));
  const double loss = o->loss_grad(o->self, fl_kernels_select(nullptr, nullptr), x.data(), index, 3, g.data(), work.data());
  return { loss, g };
}
}  // namespace

TEST_CASE("Forms of adapters by name", "[adapters]") {
  struct Form { const char *name; size_t rank; double alpha; const char *on; };
  fl_net_sized room;
  fl_adapter_form form;
  for (const Form &f : { Form{ "mlp_lora8", 8, 8, nullptr }, Form{ "mlp_300_100_lora16", 16, 16, nullptr },
                         Form{ "lenet5_lora4", 4, 4, nullptr }, Form{ "logistic_lora1", 1, 1, nullptr },
                         Form{ "vit_tiny_lora4096_alpha65536", 4096, 65536, nullptr },
                         Form{ "mlp_9_lora2_alpha1_on_fc1", 2, 1, "fc1" },
                         Form{ "text_transformer_lora8_on_attn.qkv+fc1", 8, 8, "attn.qkv+fc1" } }) {
    INFO(f.name);
    const fl_net *net = fl_net_find(f.name, &room);
    REQUIRE(net);
    CHECK(std::string(net->name) == f.name);
    REQUIRE(fl_net_adapters(net, &form) == 1);
    CHECK((form.rank == f.rank && form.alpha == f.alpha && !form.on == !f.on));
    if (f.on) CHECK(std::string(form.on) == f.on);
  }
  CHECK(fl_net_adapters(fl_net_find("mlp", nullptr), &form) == 0);
  for (const char *bad : { "mlp_lora", "mlp_lora0", "mlp_lora8x", "mlp_lora4097", "_lora8", "mlp_lora8_lora8", "mlp_lora-1",
                           "mlp_lora8_alpha", "mlp_lora8_alpha0", "mlp_lora8_alpha65537", "mlp_lora8_alpha8.5", "mlp_lora8_on_",
                           "mlp_lora8_onfc1", "mlp_lora8_on_fc1_alpha8_____________________________________________________" })
    CHECK(fl_net_find(bad, &room) == nullptr);
  const Text text(rows, length, classes);
  char err[512] = "";
  fl_net own = *fl_net_find("mini_gpt", nullptr);
  own.name = "own_lora8x";                      // of a file: nothing is trained in a form that its name did not mean
  CHECK(fl_model_new(&own, &text.s, nullptr, 0, 1, err, sizeof err) == nullptr);
  CHECK_THAT(err, Catch::Contains("model own_lora8x: its name says adapters, but not which"));
  own.name = "own_lora_tests";
  const Model plain(fl_model_new(&own, &text.s, nullptr, 0, 1, err, sizeof err), fl_model_free);
  CHECK(plain);
}

TEST_CASE("Adapters on the matrices that the name asks for, whole words between dots", "[adapters]") {
  const Text text(rows, length, classes);
  std::string message;
  const auto of = [&](const char *on) { return adapted(fl_model_objective(build(on, text).get())); };
  CHECK(of("mini_gpt_lora2").size() == 24);
  CHECK(of("mini_gpt_lora2_on_attn").size() == 12);
  CHECK(of("mini_gpt_lora2_on_attn.qkv+fc1").size() == 12);
  CHECK(of("mini_gpt_lora2_on_3") == std::vector<std::string>{ "blocks.3.attn.qkv.lora_A", "blocks.3.attn.proj.lora_A",
                                                               "blocks.3.mlp.fc1.lora_A", "blocks.3.mlp.fc2.lora_A" });
  CHECK(of("mini_gpt_lora2_on_blocks.5.mlp.fc2") == std::vector<std::string>{ "blocks.5.mlp.fc2.lora_A" });
  CHECK(of("char_lstm_lora2_on_lstm1.weight_hh_l0") == std::vector<std::string>{ "lstm1.weight_hh_l0.lora_A" });
  for (const auto &[net, part] : std::vector<std::array<const char *, 2>>{
         { "mini_gpt_lora2_on_att", "att" }, { "mini_gpt_lora2_on_head", "head" }, { "mini_gpt_lora2_on_embed", "embed" },
         { "mini_gpt_lora2_on_attn+", "" }, { "mini_gpt_lora2_on_attn+qkv.weight", "qkv.weight" } }) {
    CHECK(build(net, text, &message) == nullptr);
    CHECK_THAT(message, Catch::Contains("adapters on '" + std::string(part) + "': no matrix of model " + net));
    CHECK_THAT(message, Catch::Contains("such as blocks.5.mlp.fc2"));
  }
}

// B (s A) with s a power of two rounds as B A' with A' = s A, so the whole gradient is known to the bit.
TEST_CASE("Adapters scaled by alpha/rank are plain ones of scaled factors", "[adapters]") {
  const Text text(rows, length, classes);
  const Model plain = build("mini_gpt_lora4", text), scaled = build("mini_gpt_lora4_alpha16", text);
  const fl_objective *p = fl_model_objective(plain.get()), *s = fl_model_objective(scaled.get());
  CHECK((p->adapter_scale == 1 && s->adapter_scale == 4));
  rules::Floats x(s->layout->d + s->layout->buffers);
  s->init(s->self, 7, x.data());
  std::mt19937 r(9);
  for (size_t i = 0; i < s->layout->n; i++) {
    const fl_tensor &t = s->layout->tensor[i];
    for (size_t j = 0; t.role == FL_LORA_B && j < t.size; j++) x[t.offset + j] = (float(r() % 2001) - 1000) * 1e-4f;
  }
  rules::Floats y = x;
  const auto scale = [&](rules::Floats &v) {
    for (size_t i = 0; i < s->layout->n; i++) {
      const fl_tensor &t = s->layout->tensor[i];
      for (size_t j = 0; t.role == FL_LORA_A && j < t.size; j++) v[t.offset + j] *= 4;
    }
  };
  scale(y);
  const Gradient mine = gradient(s, x);
  Gradient want = gradient(p, y);
  scale(want.g);
  CHECK(mine.loss == want.loss);
  CHECK(rules::same(mine.g, want.g));
  CHECK(mine.loss != gradient(p, x).loss);
}

// Attention and recurrent layers have two matrices each: every pair of factors has its own base.
TEST_CASE("ILoRA on layers of several matrices: learning nothing changes nothing", "[adapters]") {
  const std::string net = GENERATE("mini_gpt_lora4", "char_lstm_lora4", "mini_gpt_lora4_on_proj"), how = GENERATE("qr", "svd");
  const Text text(rows, length, classes);
  const Model m = build(net, text);
  const fl_objective *o = fl_model_objective(m.get());
  session::Session s({ { "stack", "ilora" }, { "rule", "sgd" }, { "lr", "1e-30" }, { "refactor", how } }, *o, { 0, 3, 6, rows },
                     2, 2);
  s.open();
  INFO(net << " " << how << " " << s.error);
  REQUIRE(s.error == "");
  rules::Floats start(o->layout->d + o->layout->buffers);
  o->init(o->self, s.options.seed, start.data());
  s.round();
  s.round();
  const std::vector<double> want = products(o, start), got = products(o, s.x());
  double worst = 0;
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); i++) worst = std::fmax(worst, std::fabs(got[i] - want[i]));
  CHECK(worst < 1e-5);
}

TEST_CASE("ILoRA refuses adapters that are scaled", "[adapters]") {
  const Text text(rows, length, classes);
  const Model m = build("mini_gpt_lora4_alpha8", text);
  session::Session s({ { "name", "ilora" } }, *fl_model_objective(m.get()), { 0, 3, 6, rows }, 2, 2);
  s.open();
  CHECK_THAT(s.error, Catch::Contains("stage ilora: adapters scaled by alpha/rank = 2; allowed: alpha = rank"));
}
