// Every rule in every place where a rule can stand: one round, the same bits with 1, 2 and 3 threads, or a refusal with its
// reason. The table of docs/optimizers.md is what comes out here.
#include "rules.hpp"
#include <fedlane/session.h>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

namespace {
using rules::Floats;
using rules::Settings;

const fl_tensor tensor[3] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                              { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 24, 5 },
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
// As if labels were drawn: a gradient of other targets, which depend on the key.
double sampled_grad(void *, const fl_kernels *, const float *x, const uint32_t *, size_t, const fl_key *key, float *g, void *) {
  for (size_t i = 0; i < 36; i++) g[i] = x[i] - float((key->step * 17 + key->client * 5 + i * 3) % 7) / 3.0f;
  return 0;
}
const fl_objective objective = { "quadratic", nullptr, &layout, samples, 0, 0, init, nullptr, loss_grad, nullptr, sampled_grad };
const fl_objective no_labels = { "quadratic", nullptr, &layout, samples, 0, 0, init, nullptr, loss_grad, nullptr, nullptr };

// The parameters after the run, or why it was refused.
std::string run(const Settings &set, int threads, Floats &x, bool central = false, const fl_objective *of = &objective) {
  const std::string why = rules::why_not(set);
  if (!why.empty()) return why;
  const fl_algorithm a = rules::build(set);
  static const size_t offset[6] = { 0, 12, 13, 13, 30, 40 };    // unequal, one sample, one empty
  uint32_t index[samples];
  for (uint32_t i = 0; i < samples; i++) index[i] = i;
  fl_problem p = {};
  static const size_t all[2] = { 0, samples };
  p.objective = of, p.clients = central ? 1 : 5, p.offset = central ? all : offset, p.index = index;
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
  std::vector<std::pair<std::string, std::string>> rows;        // a rule, and for Sophia where its curvature comes from
  for (size_t r = 0; r < fl_rule_count(); r++) {
    const std::string name = fl_rule_at(r)->name;
    if (name == "sophia")
      for (const char *hessian : { "gnb", "gradient_square", "hutchinson", "never" }) rows.push_back({ name, hessian });
    else rows.push_back({ name, "" });
  }
  for (auto &row : rows) {
    const std::string name = row.first;
    std::string line = "| `" + name + "`" + (row.second.empty() ? "" : ", `hessian: " + row.second + "`") + " |";
    for (const Place &place : places) {
      INFO(name << " in " << place.name);
      Settings set = place.set;
      set.insert(set.end(), { { place.server ? "server_rule" : "rule", name }, { "lr", "0.01" } });
      // the default asks for 300 steps
      if (name == "fsgdm") set.push_back({ place.server ? "server_n_stages" : "n_stages", "1" });
      if (name == "sophia") set.push_back({ place.server ? "server_hessian" : "hessian", row.second });
      Floats one, more;
      const std::string why = run(set, 1, one, place.central);
      line += why.empty() ? " runs |" : " refused |";
      if (!why.empty()) {
        const size_t from = std::string("test: ").size(); // the place in a file, which is no part of the reason
        const std::string reason = why.substr(from, why.find_first_of("(;", from) - from);
        reasons.insert(reason.substr(0, reason.find_last_not_of(' ') + 1));
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
  CHECK(run({ { "rule", "fsgdm" } }, 1, none) == "rule fsgdm: n_stages = 300; allowed: 1 to 10, the steps of the run");
  CHECK_THAT(run({ { "rule", "sophia" } }, 1, none, false, &no_labels), Catch::Contains("draws labels from a softmax"));
}

TEST_CASE("no rule reads its scratch before it wrote it", "[rules]") {
  for (size_t r = 0; r < fl_rule_count(); r++)
    for (const Settings &more : { Settings{}, Settings{ { "graft", "adagrad" } }, Settings{ { "variant", "ema" } },
                                  Settings{ { "variant", "code" } } }) {
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
  CHECK_THAT(run({ { "rule", "fsgdm" }, { "n_stages", "1" }, { "total_steps", "3" } }, 1, none),
             Catch::Contains("total_steps = 3; allowed: 0, or the 10 steps of the run or more"));
  CHECK_THAT(run({ { "rule", "sgd" }, { "server_rule", "adam" } }, 1, none), Catch::Contains("without server_lr"));
  CHECK_THAT(run({ { "stack", "shared" }, { "rule", "rmsprop" }, { "centred", "yes" } }, 1, none),
             Catch::Contains("no second-order state"));
  CHECK(run({ { "rule", "sgd" }, { "warmup", "20" } }, 1, none, true) ==
        "warmup = 20; allowed: 0 to 19, as the run has 20 steps and lr would never be reached");
  CHECK(run({ { "rule", "sgd" }, { "warmup", "2" } }, 1, none) ==
        "warmup = 2; allowed: 0 to 1, as the run has 2 rounds and lr would never be reached");
  CHECK(run({ { "rule", "momentum" }, { "nesterov", "yes" }, { "dampening", "0.5" } }, 1, none) ==
        "test: rule momentum: nesterov = yes with momentum = 0.9 and dampening = 0.5; allowed: above 0, and 0");
}

namespace {
// "a b=c|d,e=f; ..." taken apart.
struct Need { std::string key; std::vector<std::pair<std::string, std::vector<std::string>>> any; };
std::vector<std::string> parts(const std::string &text, char by) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string s; std::getline(in, s, by);) out.push_back(s.substr(s.find_first_not_of(' ')));
  return out;
}
std::vector<Need> needs_of(const char *text) {
  std::vector<Need> out;
  for (auto &one : parts(text ? text : "", ';')) {
    Need n{ one.substr(0, one.find(' ')), {} };
    for (auto &c : parts(one.substr(one.find(' ') + 1), ','))
      n.any.push_back({ c.substr(0, c.find('=')), parts(c.substr(c.find('=') + 1), '|') });
    out.push_back(n);
  }
  return out;
}
const fl_param *find(const fl_param *p, size_t n, const std::string &name) {
  for (size_t i = 0; i < n; i++)
    if (name == p[i].name) return &p[i];
  return nullptr;
}
// A value of a parameter that is not its default.
std::string other_value(const fl_param &p) {
  if (p.flags & FL_LIST || std::isinf(p.def)) return "1";
  if (p.choices) return parts(p.choices, '|')[p.def == 0 ? 1 : 0];
  const double v = p.def * 2 < p.hi && p.def > 0 ? p.def * 2 : p.def == 0 && p.hi >= 3 ? 3 : p.def / 2;
  std::ostringstream text;
  text << (p.flags & FL_WHOLE ? std::floor(v) : v);
  return text.str();
}
}

TEST_CASE("a key that the rule does not take, or that would do nothing beside the others, is refused with what is allowed",
          "[rules]") {
  for (size_t r = 0; r < fl_rule_count(); r++) {
    const fl_rule *rule = fl_rule_at(r);
    for (bool server : { false, true }) {
      const std::string prefix = server ? "server_" : "";
      const Settings plain = server ? Settings{ { "rule", "sgd" }, { "server_rule", rule->name }, { "server_lr", "0.1" },
                                                { "server_hessian", "never" } }
                                    : Settings{ { "rule", rule->name } };
      Settings base = plain;
      if (server && std::string(rule->name) != "sophia") base.pop_back();
      auto with = [&](const std::string &key, const std::string &value) {
        Settings s = base;
        for (auto &p : s) if (p.first == key) return p.second = value, s;
        s.push_back({ key, value });
        return s;
      };
      for (size_t other = 0; other < fl_rule_count(); other++)  // every key of every other rule
        for (size_t i = 0; i < fl_rule_at(other)->n_params; i++) {
          const fl_param &p = fl_rule_at(other)->params[i];
          if (find(rule->params, rule->n_params, p.name) || (server && std::string(p.name) == "lr")) continue;
          INFO(rule->name << " " << prefix << p.name);
          const std::string why = rules::why_not(with(prefix + p.name, other_value(p)));
          CHECK(why.find("unknown parameter '" + prefix + p.name + "'") != std::string::npos);
          for (size_t j = 0; j < rule->n_params; j++) CHECK(why.find(prefix + rule->params[j].name) != std::string::npos);
        }
      for (const Need &need : needs_of(rule->needs)) {
        INFO(rule->name << " " << prefix << need.key);
        const fl_param *p = find(rule->params, rule->n_params, need.key);
        REQUIRE(p);
        bool idle = true;                       // by default
        std::vector<Settings> acts;
        for (auto &any : need.any) {
          if (any.first.rfind("stage ", 0) == 0) continue;
          const fl_param *on = find(rule->params, rule->n_params, any.first);
          if (!on) continue;                    // of the stage shared, which sets it
          for (const std::string &value : any.second) {
            const auto all = parts(on->choices, '|');
            const auto at = std::find(all.begin(), all.end(), value);
            REQUIRE(at != all.end());
            const std::string standard = server && any.first == "hessian" ? "never" : all[size_t(on->def)];
            idle &= value != standard;
            if (server && (value == "gnb" || value == "hutchinson")) continue;
            Settings s = with(prefix + any.first, value);
            s.push_back({ prefix + need.key, other_value(*p) });
            if (value == "adagrad" || value != "adam" || any.first != "graft") acts.push_back(s);
          }
        }
        for (const Settings &s : acts) CHECK(rules::why_not(s) == "");
        if (!idle) continue;
        const std::string why = rules::why_not(with(prefix + need.key, other_value(*p)));
        CHECK(why.find("would do nothing; allowed: only with " + need.any[0].first + " = ") != std::string::npos);
      }
    }
  }
}

TEST_CASE("keys of the run and of stages that would do nothing are refused; said as they are they pass", "[rules]") {
  const struct { Settings idle, acts; } cases[] = {
    { { { "lr_decay", "0.9" } }, { { "lr_schedule", "exponential" } } },
    { { { "lr_min", "0.01" } }, { { "lr_schedule", "cosine" } } },
    { { { "step_gamma", "0.5" } }, { { "lr_schedule", "step" } } },
    { { { "step_size", "5" } }, { { "lr_schedule", "step" } } },
    { { { "milestones", "5+7" } }, { { "lr_schedule", "multi_step" } } },
    { { { "unit", "epoch" } }, { { "warmup", "2" } } },
    { { { "unit", "epoch" } }, { { "stack", "ema" } } },
    { { { "clip", "late" } }, { { "stack", "scaffold" } } },
    { { { "stack", "swa" }, { "swa_lr", "0.01" } }, { { "lr_schedule", "swa" } } },
    { { { "block_rule", "tensor" } }, { { "stack", "shared" }, { "rule", "adamw" } } },
    { { { "block_rule", "tensor" }, { "stack", "shared" }, { "aggregate", "no" }, { "rule", "adamw" } },
      { { "aggregate", "yes" } } },
    { { { "block_rule", "tensor" }, { "stack", "shared" }, { "rule", "soap" } }, { { "rule", "yogi" } } },
    { { { "m_index", "global" }, { "rule", "adamw" } }, { { "stack", "shared" } } },
    { { { "soap_skip_first", "no" }, { "rule", "soap" } }, { { "stack", "shared" } } },
  };
  for (auto &c : cases) {
    Settings s = { { "rule", "sgd" }, { "lr", "0.1" } };
    auto put = [&](const Settings &more) {
      for (auto &m : more) {
        auto at = std::find_if(s.begin(), s.end(), [&](auto &p) { return p.first == m.first; });
        if (at == s.end()) s.push_back(m);
        else at->second = m.second;
      }
    };
    put(c.idle);
    INFO(c.idle[0].first);
    CHECK_THAT(rules::why_not(s), Catch::Contains("would do nothing; allowed: only with"));
    put(c.acts);
    CHECK(rules::why_not(s) == "");
  }
  // the default, said aloud
  CHECK(rules::why_not({ { "rule", "sgd" }, { "lr_schedule", "constant" }, { "lr_decay", "0.998" } }) == "");
}

TEST_CASE("eps is above 0 in every rule that divides by it", "[rules]") {
  for (size_t r = 0; r < fl_rule_count(); r++)
    for (size_t i = 0; i < fl_rule_at(r)->n_params; i++) {
      const fl_param &p = fl_rule_at(r)->params[i];
      const std::string name = p.name;
      if (name != "eps" && (name.size() < 4 || name.substr(name.size() - 4) != "_eps")) continue;
      INFO(fl_rule_at(r)->name << " " << p.name);
      const bool adam = std::string(fl_rule_at(r)->name) == "adam";         // the root of FedLADA begins above 0 and never falls
      CHECK_THAT(rules::why_not({ { "rule", fl_rule_at(r)->name }, { p.name, "0" } }),
                 Catch::Contains(std::string(p.name) +
                                 (adam ? " = 0; allowed: from 1e-38, or 0 with amsgrad"
                                  : " = '0'; allowed: a number from 1e-38")));
      CHECK((adam || float(p.lo) > 0.0f));
    }
}
