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
const std::string base = "data: {name: fashion_mnist}\nmodel: lenet5\n";
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
  Suite t("seeds: [1, 2, 3]\ndata: {name: fashion_mnist}\npartition: {name: dirichlet, dirichlet_alpha: 0.3, seed: 42}\nmodel: lenet5\n"
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
  Suite t("data: fashion_mnist\nmodel: [lenet5, mlp]\nalgorithms: [{name: fedavg, lr: 0.1, model: lenet5}, {name: fedavg, lr: 0.2, model: mlp}]\n");
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
  const std::string text = base + "algorithms: [fedavg]\n";
  Suite plain(text), interval(text, {"federated.checkpoint_seconds=1"}), rounds(text, {"federated.rounds=31"}), seed(text, {}, "2");
  Suite written(base + "algorithms: [{lr: 1e-1, name: fedavg}]\n");
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
  CHECK(Suite(base + "algorithms: [{name: fedavg, lr: [0.1, x]}]\n").error.find("FILE:3:39: lr = 'x'; allowed:") == 0);
}
