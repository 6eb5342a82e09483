// Muon's choices, second-moment blocks, equalities between methods, schedules, messages.
#include "small.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fedlane/session.h>
#include "optimizers/registry.h"
#include <string>
#include <vector>
#include "worked.hpp"

namespace {
// A quadratic in a 6 x 4 matrix and a vector of 5, each sample with its own target: enough for Muon and blocks.
const fl_tensor quad_tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                                   { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const fl_layout quad_layout = { 2, 29, 0, quad_tensor };
void quad_init(void *, uint64_t seed, float *x) {
  const fl_key key = { seed, FL_PURPOSE_INIT, 0, 0, 0 };
  fl_kernels_of(FL_ISA_SCALAR) ? fl_kernels_of(FL_ISA_SCALAR)->gaussian(29, x, 0, &key) : (void)0;
}
double quad_loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0;
  for (int i = 0; i < 29; i++) g[i] = 0;
  for (size_t j = 0; j < count; j++)
    for (int i = 0; i < 29; i++) {
      const float e = x[i] - (float)((index[j] * 31 + i * 7) % 13) / 6.0f;
      g[i] += e / (float)count * (1.0f + (float)(i % 3));
      loss += 0.5 * e * e;
    }
  return loss / (double)count;
}
const fl_objective quad = { "quad", nullptr, &quad_layout, 60, 0, 0, quad_init, nullptr, quad_loss_grad, nullptr };

using settings = std::vector<std::pair<std::string, std::string>>;
fl_algorithm build(const settings &set) {
  std::vector<fl_setting> s;
  for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "test" });
  fl_algorithm a;
  char err[512] = "";
  INFO(err);
  const int r = fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err);
  REQUIRE(std::string(err) == "");
  REQUIRE(r == 0);
  return a;
}
std::vector<float> run_quad(const settings &set, int threads, const char *isa = nullptr, double participation = 0.6,
                            uint64_t rounds = 5) {
  static const size_t offset[8] = { 0, 12, 13, 13, 30, 41, 58, 60 }; // unequal, one sample, one empty
  uint32_t index[60];
  for (uint32_t i = 0; i < 60; i++) index[i] = i;
  const fl_algorithm a = build(set);
  fl_problem p = {};
  p.objective = &quad, p.clients = 7, p.offset = offset, p.index = index;
  fl_options o = {};
  o.seed = 3, o.rounds = rounds, o.participation = participation, o.local_epochs = 2, o.batch_size = 4, o.threads = threads;
  const char *why = nullptr;
  o.kernels = fl_kernels_select(isa, &why);
  REQUIRE(o.kernels);
  fl_session *s;
  char err[512] = "";
  REQUIRE(fl_open(&s, &p, &a, &o, err, sizeof err) == 0);
  CHECK(fl_rounds(s, nullptr, nullptr) == 1);
  std::vector<float> x(fl_params(s, nullptr), fl_params(s, nullptr) + 29);
  fl_close(s);
  for (float v : x) REQUIRE(std::isfinite(v));
  return x;
}
bool same(const std::vector<float> &a, const std::vector<float> &b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
} // namespace

TEST_CASE("Muon's choices: the shape of a convolution, and tensors that are left to AdamW") {
  // One step from zero without decay: y = -lr * factor * O.
  auto step = [&](const fl_tensor &t, const settings &more) {
    settings set = { { "rule", "muon" }, { "muon_lr_scale", "1" }, { "weight_decay", "0" } };
    set.insert(set.end(), more.begin(), more.end());
    const fl_algorithm a = build(set);
    const fl_layout layout = { 1, t.size, 0, &t };
    fl_job job = {};
    job.layout = &layout, job.rule = a.rule, job.h_rule = a.h_rule;
    std::vector<float> y(t.size), g(t.size), state(2 * t.size), work(a.rule->work(a.h_rule, &job) + 1);
    for (size_t i = 0; i < t.size; i++) g[i] = (float)((i * 37 + 11) % 29) - 13.5f;
    fl_local lo = {};
    const char *why = nullptr;
    lo.job = &job, lo.k = fl_kernels_select(nullptr, &why), lo.y = y.data(), lo.g = g.data(), lo.state = state.data(),
        lo.work = work.data();
    lo.clip = 1, lo.mix.ga = 1, lo.clock.lr = lo.clock.lr_decay = 0.1, lo.clock.k = 1;
    a.rule->step(a.h_rule, &lo);
    return y;
  };
  const fl_tensor tall = { "c", FL_CONV, 0, 0, 4, { 16, 1, 2, 2 }, 0, 64 },
      high = { "c", FL_CONV, 0, 0, 4, { 4, 1, 3, 1 }, 0, 12 };
  for (size_t i = 0; i < 64; i++)               // out 16, in 4: sqrt(16/4)
    CHECK(step(tall, { { "muon_conv_scale", "matrix" } })[i] == Approx(2 * step(tall, {})[i]).margin(1e-7));
  for (size_t i = 0; i < 12; i++)               // kernel of 3x1: sqrt(3); out 4, in 3: sqrt(4/3)
    CHECK(step(high, {})[i] == Approx(1.5 * step(high, { { "muon_conv_scale", "matrix" } })[i]).margin(1e-7));
  const fl_tensor head = { "h", FL_HEAD, 0, 0, 2, { 3, 4, 0, 0 }, 0, 12 },
      matrix = { "m", FL_MATRIX, 0, 0, 2, { 3, 4, 0, 0 }, 0, 12 };
  CHECK(same(step(head, {}), step(matrix, {})));
  CHECK(same(step(matrix, { { "muon_exclude", "embed_head" } }), step(matrix, {})));
  // AdamW: the sign
  for (float v : step(head, { { "muon_exclude", "embed_head" } })) CHECK(std::fabs(v) == Approx(0.1).epsilon(1e-6));
}

TEST_CASE("second-moment blocks of a layout") {
  const fl_tensor t[] = { { "embed", FL_EMBED, 0, 0, 2, { 5, 4, 0, 0 }, 0, 20 }, { "q", FL_Q, 1, 2, 2, { 6, 4, 0, 0 }, 20, 24 },
                          { "v", FL_V, 1, 2, 2, { 6, 4, 0, 0 }, 44, 24 },        { "o", FL_O, 1, 2, 2, { 4, 6, 0, 0 }, 68, 24 },
                          { "conv", FL_CONV, 2, 0, 4, { 3, 2, 2, 2 }, 92, 24 },
                          { "norm", FL_NORM, 3, 0, 1, { 4, 0, 0, 0 }, 116, 4 },
                          { "bias", FL_BIAS, 3, 0, 1, { 5, 0, 0, 0 }, 120, 5 },
                          { "mean", FL_BUFFER, 3, 0, 1, { 9, 0, 0, 0 }, 125, 9 } };
  const fl_layout layout = { 8, 125, 9, t };
  auto sizes = [&](int rule) {
    std::vector<fl_run> run(fl_blocks_of(&layout, rule, nullptr));
    CHECK(fl_blocks_of(&layout, rule, run.data()) == run.size());
    std::vector<size_t> size;
    size_t at = 0;
    for (const fl_run &r : run) {
      CHECK(r.offset == at);
      at += r.size;
      size.push_back(r.size);
    }
    CHECK(at == 125);                           // all that is trained, in order, and no buffer
    return size;
  };
  using list = std::vector<size_t>;
  CHECK(sizes(0) == list{ 20, 12, 12, 12, 12, 24, 24, 4, 5 });                    // head: q, k, v by heads, the rest whole
  list neuron(5, 4);                                                              // neuron: rows, but q and k by heads;
  neuron.insert(neuron.end(), { 12, 12, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8, 8, 4, 1, 1, 1, 1, 1 });   // biases by elements
  CHECK(sizes(1) == neuron);
  CHECK(sizes(2) == list{ 20, 24, 24, 24, 24, 4, 5 });                            // tensor
  CHECK(sizes(3) == list(125, 1));                                                // full
  const fl_tensor fused = { "qkv", FL_QKV, 0, 2, 2, { 12, 4, 0, 0 }, 0, 48 };       // q, k and v, each by heads
  const fl_layout one = { 1, 48, 0, &fused };
  fl_run run[6];
  REQUIRE(fl_blocks_of(&one, 0, nullptr) == 6);
  fl_blocks_of(&one, 0, run);
  for (size_t i = 0; i < 6; i++) CHECK((run[i].offset == 8 * i && run[i].size == 8));
}

TEST_CASE("equalities between methods, to the bit") {
  const settings off = { { "lr", "0.05" } };
  auto both = [&](settings a, settings b, int rounds = 5) {
    a.insert(a.end(), off.begin(), off.end());
    b.insert(b.end(), off.begin(), off.end());
    return same(run_quad(a, 1, nullptr, 0.6, (uint64_t)rounds), run_quad(b, 1, nullptr, 0.6, (uint64_t)rounds));
  };
  // Round 0 of SCAFFOLD has zero controls; FedAdamW's first round has no correction.
  CHECK(both({ { "name", "scaffold" } }, { { "name", "fedavg" }, { "weights", "equal" } }, 1));
  CHECK_FALSE(both({ { "name", "scaffold" } }, { { "name", "fedavg" }, { "weights", "equal" } }));
  CHECK(both({ { "name", "fedadamw" } }, { { "name", "local_adamw" } }, 1));
  CHECK_FALSE(both({ { "name", "fedadamw" } }, { { "name", "local_adamw" } }));
  CHECK(both({ { "name", "fedadamw" }, { "alpha", "0" }, { "aggregate", "no" } }, { { "name", "local_adamw" } }));
  CHECK(both({ { "name", "fedmuon" }, { "alpha", "0" }, { "aggregate", "no" }, { "momentum", "0.95" } },
             { { "name", "local_muon" } }));
  CHECK(both({ { "rule", "sgd" }, { "weight_decay", "0" } },
             { { "rule", "momentum" }, { "momentum", "0" }, { "weight_decay", "0" } }));
}

TEST_CASE("every method: the same bits with 1, 2 and 3 threads and on every ISA; SCAFFOLD's sum of controls") {
  for (size_t i = 0; i < fl_method_count(); i++) {
    INFO(fl_method_at(i)->name);
    if (on_adapters(fl_method_at(i)->name)) continue;
    settings set = small_settings(fl_method_at(i)->name);
    set.push_back({ "lr", "0.05" });
    const auto one = run_quad(set, 1);
    CHECK(same(one, run_quad(set, 2)));
    CHECK(same(one, run_quad(set, 3)));
    fl_isa_info info;
    fl_isa_detect(&info);
    for (int isa = 0; isa < FL_ISA_COUNT; isa++)
      if (fl_kernels_of((fl_isa)isa) && isa != FL_ISA_SCALAR_FMA) CHECK(same(one, run_quad(set, 2, fl_isa_name((fl_isa)isa))));
  }
}

TEST_CASE("learning-rate schedules") {
  auto a = build({ { "name", "fedavg" }, { "lr", "1" }, { "lr_schedule", "cosine" } });
  CHECK(fl_lr_at(&a, 0, 301) == 1.0);
  CHECK(fl_lr_at(&a, 1, 301) == Approx(0.99997277).epsilon(1e-8));
  CHECK(fl_lr_at(&a, 150, 301) == Approx(0.50260928).epsilon(1e-8));
  CHECK(fl_lr_at(&a, 300, 301) == Approx(2.72334599e-5).epsilon(1e-8));
}

TEST_CASE("an algorithm's errors name the key, the value, what is allowed and the nearest name") {
  fl_algorithm a;
  char err[1024];
  auto fails = [&](settings set) {
    std::vector<fl_setting> s;
    for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "c.yaml:3:5" });
    CHECK(fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err) == -1);
    return std::string(err);
  };
  CHECK_THAT(fails({ { "name", "fedavgg" } }), Catch::Contains("c.yaml:3:5") && Catch::Contains("did you mean 'fedavg'"));
  CHECK_THAT(fails({ { "name", "fedavg" }, { "weight_decy", "0" } }), Catch::Contains("did you mean 'weight_decay'"));
  CHECK_THAT(fails({ { "name", "fedadamw" }, { "alpha", "2" } }), Catch::Contains("alpha = '2'") &&
             Catch::Contains("from 0 to 1"));
  CHECK_THAT(fails({ { "name", "fedadamw" }, { "mix", "sum" } }), Catch::Contains("additive|convex"));
  CHECK_THAT(fails({ { "stack", "scafold" }, { "rule", "sgd" } }), Catch::Contains("did you mean 'scaffold'"));
  CHECK_THAT(fails({ { "stack", "shared" }, { "rule", "sgd" } }), Catch::Contains("no second-order state"));
  CHECK_THAT(fails({ { "stack", "scaffold" } }), Catch::Contains("'rule' is missing"));
  CHECK_THAT(fails({ { "name", "fedgamma" }, { "rule", "adamw" } }),
             Catch::Contains("either 'name' or 'stack' and 'rule'") &&
                 Catch::Contains("'fedgamma' is {stack: [scaffold, sam], rule: sgd} with weights="));
}

TEST_CASE("the catalogue's own tables are valid by what a plug-in's are asked") {
  char err[512] = "";
  for (size_t i = 0; i < fl_rule_count(); i++) CHECK(fl_rule_valid(fl_rule_at(i), err, sizeof err) == 0);
  for (size_t i = 0; i < fl_stage_count(); i++) CHECK(fl_stage_valid(fl_stage_at(i), err, sizeof err) == 0);
  for (size_t i = 0; i < fl_method_count(); i++) CHECK(fl_method_valid(fl_method_at(i), err, sizeof err) == 0);
  CHECK(std::string(err) == "");
}

TEST_CASE("names of parameters are used once in a rule with its stages") {
  for (size_t r = 0; r < fl_rule_count(); r++)
    for (size_t s = 0; s < fl_stage_count(); s++)
      for (size_t i = 0; i < fl_rule_at(r)->n_params; i++)
        for (size_t j = 0; j < fl_stage_at(s)->n_params; j++)
          CHECK(std::string(fl_rule_at(r)->params[i].name) != fl_stage_at(s)->params[j].name);
}

TEST_CASE("round 0 of the shared stage begins from the rule's own initial state, not from the server's zeros") {
  for (const char *rule : { "yogi", "adam", "adamw", "rmsprop", "shampoo" }) {
    INFO(rule);
    settings plain = { { "rule", rule }, { "lr", "0.01" }, { "weights", "equal" } }, shared = plain;
    if (std::string(rule) == "adam")
      plain.push_back({ "initial_accumulator", "0.5" }), shared.push_back({ "initial_accumulator", "0.5" });
    shared.insert(shared.end(), { { "stack", "shared" }, { "alpha", "0" } });
    CHECK(same(run_quad(plain, 1, nullptr, 1, 1), run_quad(shared, 1, nullptr, 1, 1)));
    CHECK_FALSE(same(run_quad(plain, 1, nullptr, 1, 3), run_quad(shared, 1, nullptr, 1, 3)));
  }
}

namespace {
double overflowing(void *, const fl_kernels *, const float *, const uint32_t *index, size_t, float *g, void *) {
  g[0] = index[0] == 1 ? INFINITY : 1.0f;
  return 1.0;
}
} // namespace
TEST_CASE("a gradient without a finite norm ends the run as diverged, also where the rule makes a finite step of it") {
  fl_objective o = worked::scalar;
  o.loss_grad = overflowing;
  const size_t offset[3] = { 0, 1, 2 };
  const uint32_t index[2] = { 0, 1 };
  for (const char *rule : { "signsgd", "lion" }) {
    const fl_algorithm a = build({ { "rule", rule }, { "lr", "0.01" } });
    fl_problem p = {};
    p.objective = &o, p.clients = 2, p.offset = offset, p.index = index;
    fl_options opt = {};
    opt.rounds = 2, opt.participation = 1, opt.local_epochs = 1, opt.batch_size = 1, opt.threads = 1;
    fl_session *s;
    fl_metrics m;
    char err[512] = "";
    REQUIRE(fl_open(&s, &p, &a, &opt, err, sizeof err) == 0);
    REQUIRE(fl_round(s, &m) == 0);
    CHECK(std::isfinite(fl_params(s, nullptr)[0]));
    CHECK(m.diverged);
    CHECK(fl_round(s, &m) == 1);
    fl_close(s);
  }
}
