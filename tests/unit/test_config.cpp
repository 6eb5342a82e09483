// test_config.cpp - a configuration resolves into the runs that it says, and wrong ones name their place.
#include <catch2/catch.hpp>
#include <cstdio>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/config.h"
}

namespace {
struct Suite {
  fl_suite s{};
  std::string error;
  int status = 0;
  Suite(const std::string &yaml, std::vector<const char *> set = {}, const char *seeds = nullptr) {
    char path[] = "/tmp/fedlane-config-XXXXXX", err[2000] = "";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, yaml.data(), yaml.size()) == static_cast<ssize_t>(yaml.size()));
    close(fd);
    status = fl_suite_load(&s, path, set.data(), set.size(), seeds, err, sizeof err);
    unlink(path);
    error = err;
    const auto at = error.find(path);
    if (at != std::string::npos) error.replace(at, sizeof path - 1, "FILE");
  }
  ~Suite() { fl_suite_free(&s); }
  Suite(const Suite &) = delete;
  Suite &operator=(const Suite &) = delete;
};
const std::string base = "data: {name: fashion_mnist}\nmodel: lenet5\n", fed = base + "federated: {}\n";
std::string id(const fl_config &c, const char *file = "f", const char *partition = "p") {
  char text[17];
  static fl_dataset data;
  fl_split split = {};
  data.n_files = 1;
  snprintf(data.file[0].sha256, sizeof data.file[0].sha256, "%s", file);
  snprintf(split.sha256, sizeof split.sha256, "%s", partition);
  fl_run_id(&c, &data, &split, text);
  return text;
}
}

TEST_CASE("the values of a file arrive", "[config]") {
  Suite t("seeds: [1, 2, 3]\ndata: {name: fashion_mnist}\npartition: {name: dirichlet, dirichlet_alpha: 0.3, seed: 42}\nmodel: "
          "lenet5\n"
          "federated: {clients: 100, participation: 0.1, rounds: 30, local_epochs: 1, batch_size: 50, "
          "target_accuracy: 0.5, stop_at_target: yes}\n"
          "algorithms: [{name: fedavg, lr: 0.05}, scaffold, {stack: [scaffold], rule: adamw, lr: 1e-3}]\n");
  INFO(t.error);
  REQUIRE(t.status == 0);
  REQUIRE(t.s.n == 9);
  const fl_config &c = t.s.run[1];
  CHECK(c.seed == 2);
  CHECK(std::string(c.label) == "fedavg");
  CHECK(std::string(c.folder) == "fedavg-s2");
  CHECK(c.algorithm.h_run[FL_H_LR] == 0.05);
  CHECK(c.clients == 100);
  CHECK(c.participation == 0.1);
  CHECK(c.rounds == 30);
  CHECK(c.batch_size == 50);
  CHECK(c.target_accuracy == 0.5);
  CHECK(c.stop_at_target == 1);
  CHECK(c.checkpoint_seconds == 10);
  CHECK(c.partition.seed == 42);
  CHECK(std::string(t.s.run[8].label) == "scaffold+adamw");
}

TEST_CASE("lists are sweeps, labels and folders unique", "[config]") {
  Suite t(base + "partition: {name: dirichlet, dirichlet_alpha: [0.1, 0.3]}\nfederated: {rounds: [1, 2]}\n"
          "algorithms: [{name: fedavg, lr: [0.1, 0.01, 1e-3]}, fedavg, fedavg]\n", {}, "5,6");
  INFO(t.error);
  REQUIRE(t.status == 0);
  REQUIRE(t.s.n == 2 * 2 * (3 + 1 + 1) * 2);
  CHECK(std::string(t.s.run[0].label) == "fedavg dirichlet_alpha=0.1 rounds=1 lr=0.1");
  std::set<std::string> folders, ids;
  for (size_t i = 0; i < t.s.n; i++) folders.insert(t.s.run[i].folder), ids.insert(id(t.s.run[i]));
  CHECK(folders.size() == t.s.n);
  CHECK(ids.size() == 2 * 2 * 3 * 2);             // the plain fedavg has lr 0.1 too: the same computation
}

TEST_CASE("an entry may be for one model", "[config]") {
  Suite t("data: fashion_mnist\nmodel: [lenet5, mlp]\nfederated: {}\nalgorithms: [{name: fedavg, lr: 0.1, model: lenet5}, {name: "
          "fedavg, lr: 0.2, model: mlp}]\n");
  INFO(t.error);
  REQUIRE(t.s.n == 2);
  CHECK(t.s.run[0].algorithm.h_run[FL_H_LR] == 0.1);
  CHECK(std::string(t.s.run[1].label) == "fedavg model=mlp");
  CHECK(t.s.run[1].algorithm.h_run[FL_H_LR] == 0.2);
}

TEST_CASE("--set overrides", "[config]") {
  Suite t(base + "algorithms: [fedavg, {name: scaffold, lr: 0.5}]\n",
          {"federated.rounds=5,model=mlp,algorithms.lr=[0.1,0.2]", "partition.name=iid", "algorithms.scaffold.lr=0.3"});
  INFO(t.error);
  REQUIRE(t.status == 0);
  REQUIRE(t.s.n == 3);
  CHECK(t.s.run[0].rounds == 5);
  CHECK(std::string(t.s.run[0].model) == "mlp");
  CHECK(t.s.run[1].algorithm.h_run[FL_H_LR] == 0.2);
  CHECK(t.s.run[2].algorithm.h_run[FL_H_LR] == 0.3);
}

TEST_CASE("run_id: what changes bits, and nothing else", "[config]") {
  const std::string text = fed + "algorithms: [fedavg]\n";
  Suite plain(text), interval(text, {"federated.checkpoint_seconds=1"}), rounds(text, {"federated.rounds=31"}),
      seed(text, {}, "2");
  Suite written(fed + "algorithms: [{lr: 1e-1, name: fedavg}]\n");
  REQUIRE(plain.status + interval.status + rounds.status + seed.status + written.status == 0);
  CHECK(id(*plain.s.run) == id(*interval.s.run));
  CHECK(id(*plain.s.run) == id(*written.s.run));
  CHECK(id(*plain.s.run) != id(*rounds.s.run));
  CHECK(id(*plain.s.run) != id(*seed.s.run));
  CHECK(id(*plain.s.run) != id(*plain.s.run, "other data"));
  CHECK(id(*plain.s.run) != id(*plain.s.run, "f", "another partition"));
}

TEST_CASE("messages name place, value and the nearest name", "[config]") {
  CHECK(Suite(base + "federated: {rounds: 2.5}\nalgorithms: [fedavg]\n").error ==
        "FILE:3:13: rounds = '2.5'; allowed: a whole number from 1 to 16777215");
  CHECK(Suite(base + "algorithms: [fedavg]\nmodel: mlp\n").error.find("FILE:4:1: key 'model' given twice, first at ") == 0);
  CHECK(Suite(base + "sedes: 1\nalgorithms: [fedavg]\n").error.find("FILE:3:1: unknown key 'sedes'; did you mean 'seeds'?") == 0);
  CHECK(Suite(fed + "algorithms: [{name: fedavg, lr: [0.1, x]}]\n").error.find("FILE:4:39: lr = 'x'; allowed:") == 0);
}

TEST_CASE("without a federated block a run is central", "[config]") {
  Suite t(base + "training: {epochs: [2, 3], batch_size: 20}\nalgorithms: [{rule: adamw, lr: 1e-3, lr_schedule: cosine, unit: "
                 "epoch}, {rule: sgd}]\n");
  INFO(t.error);
  REQUIRE(t.s.n == 4);
  const fl_config &c = t.s.run[0];
  CHECK(c.central == 1);
  CHECK(c.rounds == 2);
  CHECK(c.batch_size == 20);
  CHECK(c.clients == 1);
  CHECK(std::string(c.label) == "adamw epochs=2");
  json_t *o = fl_config_json(&c), *algorithm = json_object_get(o, "algorithm");
  CHECK(json_integer_value(json_object_get(json_object_get(o, "training"), "epochs")) == 2);
  CHECK(json_string_value(json_object_get(algorithm, "unit")) == std::string("epoch"));
  for (const char *none : { "federated", "partition" }) CHECK(json_object_get(o, none) == nullptr);
  for (const char *none : { "server_lr", "server_rule", "weights" }) CHECK(json_object_get(algorithm, none) == nullptr);
  json_decref(o);
  Suite plain(base + "algorithms: [{rule: sgd}]\n");
  REQUIRE(plain.status == 0);
  CHECK(plain.s.run[0].central == 1);
  CHECK(plain.s.run[0].rounds == 5);
  CHECK(Suite(base + "algorithms: [{rule: sgd}]\n", {"federated.rounds=2"}).s.run[0].central == 0);
}

TEST_CASE("what has no meaning in a kind of run is refused", "[config]") {
  const struct { std::string text, error; } bad[] = {
    { base + "algorithms: [fedavg]\n", "FILE:3:14: algorithm 'fedavg' is a federated method, and there is no 'federated' block" },
    { base + "partition: iid\nalgorithms: [{rule: sgd}]\n", "FILE:3:1: 'partition' without 'federated'" },
    { fed + "training: {epochs: 3}\nalgorithms: [{rule: sgd}]\n", "FILE:4:1: 'training' beside 'federated'" },
    { base + "training: {epocs: 3}\nalgorithms: [{rule: sgd}]\n",
      "FILE:3:12: unknown key of training 'epocs'; did you mean 'epochs'?" },
    { base + "epochs: 3\nalgorithms: [{rule: sgd}]\n", "FILE:3:1: 'epochs' belongs to 'training'" },
    { base + "algorithms: [{rule: sgd, server_lr: 2}]\n", "FILE:3:26: server_lr = '2'; allowed: only in a federated run" },
    { base + "algorithms: [{rule: sgd, server_rule: sgd}]\n",
      "FILE:3:26: server_rule = 'sgd'; allowed: only in a federated run" },
    { base + "algorithms: [{rule: sgd, weights: equal}]\n", "FILE:3:26: weights = 'equal'; allowed: only in a federated run" },
    { fed + "algorithms: [{rule: sgd, unit: epoch}]\n", "FILE:4:26: unit = 'epoch'; allowed: only in central training" },
    { base + "algorithms: [{stack: [scaffold], rule: sgd}]\n", "stage scaffold acts on clients and what they send" },
    { base + "algorithms: [{stack: [shared], rule: adamw}]\n", "stage shared acts on clients and what they send" },
  };
  for (auto &b : bad) {
    const std::string error = Suite(b.text).error;
    INFO(error);
    CHECK(error.find(b.error) != std::string::npos);
  }
}

TEST_CASE("a server rule and its parameters, milestones", "[config]") {
  Suite t(fed + "algorithms: [{rule: sgd, server_rule: [sgd, momentum], server_lr: 0.5}, "
                "{name: fedavg, server_rule: adamw, server_lr: 0.01, server_beta1: 0.5, lr_schedule: multi_step, milestones: "
                "[10, 10+20]}]\n");
  INFO(t.error);
  REQUIRE(t.s.n == 4);
  CHECK(std::string(t.s.run[0].label) == "sgd");
  CHECK(std::string(t.s.run[1].label) == "sgd server_rule=momentum");
  CHECK(std::string(t.s.run[2].label) == "fedavg server_rule=adamw milestones=10");
  const fl_algorithm &a = t.s.run[3].algorithm;
  CHECK(std::string(a.server_rule->name) == "adamw");
  CHECK(a.h_server[0] == 0.5);
  CHECK(a.h_run[FL_H_MILESTONES] == 2);
  CHECK(a.milestone[1] == 20);
  // What a result records builds the same algorithm again.
  json_t *o = fl_config_json(&t.s.run[3]), *algorithm = json_object_get(o, "algorithm");
  CHECK(json_string_value(json_object_get(algorithm, "milestones")) == std::string("10+20"));
  CHECK(json_string_value(json_object_get(algorithm, "server_rule")) == std::string("adamw"));
  CHECK(json_real_value(json_object_get(algorithm, "server_beta1")) == 0.5);
  json_decref(o);
  CHECK(Suite(fed + "algorithms: [{rule: sgd, server_beta1: 0.5}]\n").error.find("unknown parameter 'server_beta1'") !=
        std::string::npos);
  CHECK(Suite(fed + "algorithms: [{rule: sgd, server_rule: adm}]\n").error.find("FILE:4:26: unknown rule 'adm'") == 0);
  CHECK(Suite(fed + "algorithms: [{rule: sgd, server_rule: adamw, server_beta1: 1}]\n").error ==
        "FILE:4:46: server_beta1 = '1'; allowed: a number from 0 to below 1");
  for (const char *list : { "10+5", "0", "5+5", "a", "1+", "+1", "1.5" })
    CHECK(Suite(fed + "algorithms: [{rule: sgd, milestones: " + list +
                "}]\n").error.find("allowed: none, or at most 16 whole numbers") !=
          std::string::npos);
}

TEST_CASE("diagnostics are a set, no sweep; without them the run_id is what it was", "[config]") {
  Suite none(fed + "algorithms: [fedavg]\n");
  Suite t(base + "federated: {eval_every: 2, diagnostics: [sharpness, drift], diagnostics_every: 4, sharpness_steps: 7}\n"
                 "algorithms: [fedavg]\n");
  INFO(t.error);
  REQUIRE(t.s.n == 1);
  CHECK(t.s.run[0].diagnostics == (FL_D_DRIFT | FL_D_SHARPNESS));
  CHECK((t.s.run[0].diagnostics_every == 4 && t.s.run[0].sharpness_steps == 7 && t.s.run[0].gap_rho == 0.05));
  json_t *with = fl_config_json(&t.s.run[0]), *without = fl_config_json(&none.s.run[0]);
  char *text = json_dumps(json_object_get(json_object_get(with, "federated"), "diagnostics"), JSON_COMPACT);
  CHECK(std::string(text) == "[\"drift\",\"sharpness\"]");
  free(text);
  CHECK(!json_object_get(json_object_get(with, "federated"), "gap_rho"));
  for (const char *key : { "diagnostics", "diagnostics_every", "diagnostics_rows", "gap_rho", "sharpness_steps" })
    CHECK(!json_object_get(json_object_get(without, "federated"), key));
  json_decref(with);
  json_decref(without);
  Suite one(fed + "algorithms: [fedavg]\n", { "federated.diagnostics=updates+clients" });
  CHECK((one.s.n == 1 && one.s.run[0].diagnostics == (FL_D_UPDATES | FL_D_CLIENTS)));
  Suite wrong(base + "federated: {diagnostics: [drift, drfit]}\nalgorithms: [fedavg]\n");
  CHECK(wrong.error == "FILE:3:13: diagnostics = 'drfit'; allowed: " FL_DIAGNOSTICS);
  Suite twice(base + "federated: {diagnostics: [drift, drift]}\nalgorithms: [fedavg]\n");
  CHECK(twice.error.find("'drift' more than once") != std::string::npos);
  Suite idle(base + "federated: {diagnostics: drift, gap_rho: 0.1}\nalgorithms: [fedavg]\n");
  CHECK(idle.error.find("gap_rho would do nothing; allowed: only with diagnostics: sam_gap") != std::string::npos);
}
