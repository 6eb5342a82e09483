// Every rule in every place where a rule can stand: one round, the same bits with 1, 2 and 3 threads, or a refusal with its reason.
// The table of docs/optimizers.md is what comes out here.
#include "rules.hpp"
#include <fedlane/session.h>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

namespace {
using rules::Floats;
using rules::Settings;

const fl_tensor tensor[3] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 }, { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 24, 5 },
                              { "n", FL_NORM, 1, 0, 1, { 7, 0, 0, 0 }, 29, 7 } };
const fl_layout layout = { 3, 36, 0, tensor };
const uint32_t samples = 40;

void init(void *, uint64_t, float *x) { for (size_t i = 0; i < 36; i++) x[i] = float(i * 5 % 11) / 4.0f - 1.0f; }
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0;
  std::fill(g, g + 36, 0.0f);
  for (size_t j = 0; j < count; j++)
    for (size_t i = 0; i < 36; i++) {
      const float e = x[i] - float((index[j] * 31 + i * 7) % 13) / 6.0f;
      g[i] += e / float(count);
      loss += 0.5 * double(e) * double(e);
    }
  return loss / double(count);
}
const fl_objective objective = { "quadratic", nullptr, &layout, samples, 0, 0, init, nullptr, loss_grad, nullptr, nullptr };

// The parameters after the run, or why it was refused.
std::string run(const Settings &set, int threads, Floats &x, bool central = false) {
  const std::string why = rules::why_not(set);
  if (!why.empty()) return why;
  const fl_algorithm a = rules::build(set);
  static const size_t offset[6] = { 0, 12, 13, 13, 30, 40 };    // unequal, one sample, one empty
  uint32_t index[samples];
  for (uint32_t i = 0; i < samples; i++) index[i] = i;
  fl_problem p = {};
  static const size_t all[2] = { 0, samples };
  p.objective = &objective, p.clients = central ? 1 : 5, p.offset = central ? all : offset, p.index = index;
  fl_options o = {};
  o.central = central, o.seed = 1, o.rounds = 2, o.participation = 1, o.local_epochs = 1, o.batch_size = 4, o.threads = threads;
  fl_session *s;
  char err[512] = "";
  if (fl_open(&s, &p, &a, &o, err, sizeof err)) return err;
  while (fl_round(s, nullptr) == 0) {}
  x.assign(fl_params(s, nullptr), fl_params(s, nullptr) + 36);
  fl_close(s);
  return "";
}

struct Place { const char *name; Settings set; bool central, server; };
const Place places[] = {
  { "FedAvg", {}, false, false },
  { "SCAFFOLD", { { "stack", "scaffold" } }, false, false },
  { "shared", { { "stack", "shared" } }, false, false },
  { "shared, aggregate=no", { { "stack", "shared" }, { "aggregate", "no" } }, false, false },
  { "central", {}, true, false },
  { "central, sam", { { "stack", "sam" } }, true, false },
  { "server", { { "rule", "sgd" }, { "server_lr", "0.01" } }, false, true },
};
} // namespace

TEST_CASE("every rule in every place runs with equal bits for 1, 2 and 3 threads, or is refused with a reason", "[rules]") {
  Floats at_start(36);
  init(nullptr, 0, at_start.data());
  std::ifstream page(FEDLANE_FIXTURES "/../../docs/optimizers.md");
  std::stringstream docs;
  docs << page.rdbuf();
  REQUIRE(docs.str().size() > 1000);
  std::set<std::string> reasons;
  std::string table;
  for (size_t r = 0; r < fl_rule_count(); r++) {
    const std::string name = fl_rule_at(r)->name;
    std::string line = "| `" + name + "` |";
    for (const Place &place : places) {
      INFO(name << " in " << place.name);
      Settings set = place.set;
      set.insert(set.end(), { { place.server ? "server_rule" : "rule", name }, { "lr", "0.01" } });
      if (name == "fsgdm") set.push_back({ place.server ? "server_n_stages" : "n_stages", "1" });  // the default asks for 300 steps
      if (name == "sophia") set.push_back({ place.server ? "server_hessian" : "hessian", "gradient_square" });  // the default asks for a softmax to draw labels from
      Floats one, more;
      const std::string why = run(set, 1, one, place.central);
      line += why.empty() ? " runs |" : " refused |";
      if (!why.empty()) {
        const size_t from = std::string("test: ").size(); // the place in a file, which is no part of the reason
        reasons.insert(why.substr(from, why.find_first_of("(;", from) - from - 1));
        continue;
      }
      CHECK_FALSE(rules::same(one, at_start));
      for (float v : one) CHECK(std::isfinite(v));
      for (int threads : { 2, 3 }) {
        REQUIRE(run(set, threads, more, place.central) == "");
        CHECK(rules::same(one, more));
      }
    }
    table += line + "\n";
  }
  INFO("docs/optimizers.md should hold\n" << table);
  std::cout << table;
  CHECK(docs.str().find(table) != std::string::npos);
  for (const std::string &why : reasons) {
    std::cout << "refused: " << why << "\n";
    CHECK(docs.str().find("- " + why + "\n") != std::string::npos);
  }
  Floats none;
  CHECK_THAT(run({ { "rule", "fsgdm" } }, 1, none), Catch::Contains("n_stages is more than there are steps"));
  CHECK_THAT(run({ { "rule", "sophia" } }, 1, none), Catch::Contains("draws labels from a softmax"));
}

TEST_CASE("no rule reads its scratch before it wrote it", "[rules]") {
  for (size_t r = 0; r < fl_rule_count(); r++)
    for (const Settings &more : { Settings{}, Settings{ { "graft", "adagrad" } }, Settings{ { "variant", "ema" } }, Settings{ { "variant", "code" } } }) {
      const std::string name = fl_rule_at(r)->name;
      if (!more.empty() && name != "shampoo") continue;
      INFO(name);
      Settings set = { { "rule", name }, { "lr", "0.01" } };
      if (name == "fsgdm") set.push_back({ "n_stages", "2" });
      set.insert(set.end(), more.begin(), more.end());
      rules::Run clean(set, &layout, Floats(36, 0.5f)), dirty(set, &layout, Floats(36, 0.5f));
      std::fill(dirty.work.begin(), dirty.work.end(), NAN);
      clean.gradient = dirty.gradient = [](uint64_t k, const float *at, float *g) {
        for (size_t i = 0; i < 36; i++) g[i] = at[i] + float((k * 7 + i * 5) % 9) - 4.0f;
      };
      CHECK(rules::same(clean.steps(4), dirty.steps(4)));
      CHECK(std::isfinite(dirty.y[0]));
    }
}

TEST_CASE("settings of rules that cannot mean what they say are refused", "[rules]") {
  Floats none;
  CHECK_THAT(run({ { "rule", "fsgdm" }, { "n_stages", "1" }, { "total_steps", "3" } }, 1, none), Catch::Contains("total_steps is less than"));
  CHECK_THAT(run({ { "rule", "sgd" }, { "server_rule", "adam" } }, 1, none), Catch::Contains("without server_lr"));
  CHECK_THAT(run({ { "stack", "shared" }, { "rule", "rmsprop" }, { "centred", "yes" } }, 1, none), Catch::Contains("no second-order state"));
}
