// Searches: draws against Philox written out in Python, combinations, the choice, ends of ranges, the split by client.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/data.h"
#include "harness/partition.h"
#include "harness/tune.h"
}

namespace {
std::string draw(const fl_tune_key &k, uint64_t seed, size_t i) {
  char out[FL_TUNE_VALUE];
  fl_tune_draw(&k, seed, i, out);
  return out;
}

fl_tune_key range(const char *name, bool log, double lo, double hi, size_t points = 0, bool whole = false) {
  fl_tune_key k = {};
  std::snprintf(k.key, sizeof k.key, "%s", name);
  k.log = log, k.lo = lo, k.hi = hi, k.n = points, k.whole = whole;
  return k;
}

fl_tune_score scored(double v) {
  fl_tune_score s = {};
  s.score = v;
  return s;
}

// A configuration in a file of its own; the answer of fl_tune_load, its message in err.
struct file {
  std::string path = "test_tune_" + std::to_string(getpid()) + ".yaml";
  explicit file(const std::string &text) {
    std::FILE *f = std::fopen(path.c_str(), "w");
    REQUIRE(f);
    std::fputs(text.c_str(), f);
    std::fclose(f);
  }
  ~file() { std::remove(path.c_str()); }
};
const std::string head = "data: fashion_mnist\nmodel: logistic\nfederated: {rounds: 2}\n";

std::string refusal(const std::string &text) {
  const file f(text);
  char err[3000] = "";
  fl_tune t;
  if (fl_tune_load(&t, f.path.c_str(), nullptr, 0, nullptr, err, sizeof err)) return err;
  fl_tune_free(&t);
  return "";
}
} // namespace

TEST_CASE("draws of a search are a function of seed, key and number") {
  const std::vector<std::string> lr = { "0.03624", "0.001705", "0.0328", "0.002637", "0.00109", "0.09838" };
  const std::vector<std::string> mu = { "0.006983", "0.01972", "0.1066", "0.184", "0.3948", "0.002289" };
  for (size_t i = 0; i < lr.size(); i++) {
    CHECK(draw(range("lr", true, 1e-3, 1), 1, i) == lr[i]);
    CHECK(draw(range("mu", true, 1e-3, 1), 1, i) == mu[i]);
  }
  const char *linear[] = { "0.2628", "0.125", "0.2241", "0.3513" }, *whole[] = { "3", "1", "2", "4", "4", "3", "4", "2" },
             *log_whole[] = { "7", "1", "4", "18", "23", "8", "21", "4" };
  for (size_t i = 0; i < 4; i++) CHECK(draw(range("mu", false, 0.1, 0.5), 7, i) == linear[i]);
  for (size_t i = 0; i < 8; i++) CHECK(draw(range("mu", false, 1, 5, 0, true), 7, i) == whole[i]);
  for (size_t i = 0; i < 8; i++) CHECK(draw(range("mu", true, 1, 100, 0, true), 7, i) == log_whole[i]);
  for (size_t i = 0; i < 200; i++) {
    const double v = std::strtod(draw(range("x", true, 0.02, 0.03), 5, i).c_str(), nullptr);
    CHECK((v >= 0.02 && v <= 0.03));
  }
}

TEST_CASE("points of a range have its ends and even distances") {
  const fl_tune_key k = range("lr", true, 1e-3, 1, 5), w = range("steps", false, 1, 9, 3, true);
  const char *log[] = { "0.001", "0.005623", "0.03162", "0.1778", "1" }, *linear[] = { "1", "5", "9" };
  char out[FL_TUNE_VALUE];
  for (size_t i = 0; i < 5; i++) {
    fl_tune_point(&k, i, out);
    CHECK(std::string(out) == log[i]);
  }
  for (size_t i = 0; i < 3; i++) {
    fl_tune_point(&w, i, out);
    CHECK(std::string(out) == linear[i]);
  }
}

TEST_CASE("trials: every combination where they are no more than the budget, else draws without a repetition") {
  const fl_tune_key a = range("a", false, 1, 3, 3, true), b = range("b", false, 10, 20, 2, true),
                    few = range("c", false, 1, 4, 0, true);
  fl_tune_space s = {};
  s.key[0] = &a, s.key[1] = &b, s.n_keys = 2;
  REQUIRE(fl_tune_fill(&s, 6, 1) == 0);
  REQUIRE(s.trials == 6);
  const char *all[] = { "1", "10", "1", "20", "2", "10", "2", "20", "3", "10", "3", "20" };
  for (size_t i = 0; i < 12; i++) CHECK(std::string(s.value[i]) == all[i]);
  std::free(s.value);

  REQUIRE(fl_tune_fill(&s, 5, 1) == 0);
  REQUIRE(s.trials == 5);
  std::set<std::string> seen;
  for (size_t i = 0; i < 5; i++) seen.insert(std::string(s.value[2 * i]) + " " + s.value[2 * i + 1]);
  CHECK(seen.size() == 5);
  std::free(s.value);

  s.key[0] = &few, s.n_keys = 1;                /* four whole numbers are all that can be drawn */
  REQUIRE(fl_tune_fill(&s, 9, 1) == 0);
  CHECK(s.trials == 4);
  std::free(s.value);

  s.n_keys = 0;                                 /* nothing to choose: one trial */
  REQUIRE(fl_tune_fill(&s, 9, 1) == 0);
  CHECK(s.trials == 1);
  std::free(s.value);
}

TEST_CASE("the choice: best score, ties to the earlier trial, never one that is no number") {
  const double nan = std::nan(""), inf = INFINITY;
  const fl_tune_score s[] = { scored(nan), scored(0.5), scored(0.7), scored(0.7), scored(inf), scored(0.2) };
  CHECK(fl_tune_best(s, 6, 0) == 2);
  CHECK(fl_tune_best(s, 6, 1) == 5);
  CHECK(fl_tune_best(s, 1, 0) == 1);
  CHECK(fl_tune_best(s + 4, 1, 0) == 1);
  CHECK(fl_tune_best(s, 2, 1) == 1);
}

TEST_CASE("an end of what was tried is told, unless the parameter itself ends there") {
  const file f(head + "algorithms: [fedprox, fedavg]\ntune: {trials: 9, space: {algorithms.lr: [0.1, 0.2, 0.4], "
                      "algorithms.fedprox.mu: [0, 0.1], algorithms.lr_schedule: [constant, cosine]}}\n");
  char err[3000] = "";
  double ends[2];
  fl_tune t;
  REQUIRE(fl_tune_load(&t, f.path.c_str(), nullptr, 0, nullptr, err, sizeof err) == 0);
  REQUIRE(t.n_methods == 2);
  const fl_algorithm *a = &t.suite.run[0].algorithm;
  const fl_tune_space *s = &t.space[0], *avg = &t.space[1];
  REQUIRE(s->trials == 9);                      /* 9 of 12 combinations */
  REQUIRE(avg->trials == 6);                    /* all of them: a small space ends before the budget does */
  REQUIRE(s->n_keys == 3);
  REQUIRE(t.suite.n == 15);
  bool seen[3] = {};
  for (size_t i = 0; i < s->trials; i++) {
    const double lr = std::strtod(s->value[3 * i], nullptr), mu = std::strtod(s->value[3 * i + 1], nullptr);
    CHECK(fl_tune_at_end(s, 0, i, a, ends) == (lr != 0.2));
    CHECK(ends[0] == 0.1);
    CHECK(ends[1] == 0.4);
    CHECK(fl_tune_at_end(s, 1, i, a, ends) == (mu != 0));      /* 0 is the least that mu can be */
    CHECK(fl_tune_at_end(s, 2, i, a, ends) == 0);              /* names have no ends */
    seen[lr == 0.1 ? 0 : lr == 0.2 ? 1 : 2] = true;
    CHECK(t.suite.run[i].algorithm.h_run[FL_H_LR] == lr);
  }
  CHECK((seen[0] && seen[1] && seen[2]));
  CHECK(t.suite.run[0].validation == 0.1);
  CHECK(t.suite.run[0].validation_from == FL_VALIDATION_CLIENTS);
  CHECK(std::string(t.suite.run[8].label) == "fedprox trial=9");
  CHECK(std::string(t.suite.run[9].label) == "fedavg trial=1");
  fl_tune_free(&t);
}

TEST_CASE("a search that says nothing, too much, or what no method has is refused with its place") {
  const auto tune = [](const std::string &t) { return refusal(head + "algorithms: [fedavg, fedprox]\ntune: " + t + "\n"); };
  const auto has = [](const std::string &message, const char *part) {
    INFO(message << "\nwithout: " << part);
    CHECK(message.find(part) != std::string::npos);
  };
  CHECK(tune("{trials: 3, space: {algorithms.mu: [0.1, 1]}}").empty());
  has(refusal(head + "algorithms: [fedavg]\n"), "'tune' is missing");
  has(tune("{space: {algorithms.lr: [1]}}"), "no trials");
  has(tune("{trials: 0, space: {algorithms.lr: [1]}}"), "trials = '0'; allowed: a whole number from 1");
  has(tune("{trials: 3}"), "no space");
  has(tune("{trials: 3, space: {}}"), "no space");
  has(tune("{trials: 3, space: {algorithms.lr: []}}"), "is empty");
  has(tune("{trials: 3, space: {algorithms.lr: 0.1}}"), "one value");
  has(tune("{trials: 3, space: {algorithms.lr: [0.1, 0.1]}}"), "twice");
  has(tune("{trials: 3, space: {algorithms.lr: {log: [1, 0.1]}}}"), "lo below hi");
  has(tune("{trials: 3, space: {algorithms.lr: {log: [0, 0.1]}}}"), "above 0");
  has(tune("{trials: 3, space: {algorithms.lr: {log: [0.1, 1], linear: [0.1, 1]}}}"), "{log: [lo, hi]} or");
  has(tune("{trials: 3, space: {algorithms.lr: {log: [0.1, 1], step: 3}}}"), "unknown key of a range 'step'");
  has(tune("{trials: 3, space: {algorithms.lr: {linear: [1, 3], whole: yes, points: 9}}}"), "fewer points");
  has(tune("{trials: 3, space: {algorithms.lrr: [1, 2]}}"), "no parameter 'lrr'");
  has(tune("{trials: 3, space: {algorithms.fedavg.mu: [1, 2]}}"), "fedavg has no parameter 'mu'");
  has(tune("{trials: 3, space: {algorithms.fedpro.mu: [1, 2]}}"), "did you mean 'fedprox'");
  has(tune("{trials: 3, space: {algorithms.rule: [sgd, adam]}}"), "no parameter 'rule'");
  has(tune("{trials: 3, space: {federated.rounds: [1, 2]}}"), "algorithms.KEY or algorithms.METHOD.KEY");
  has(tune("{trials: 3, space: {algorithms.lr: [1, fast]}}"), "lr = 'fast'");
  has(tune("{trials: 3, validation: 0, space: {algorithms.lr: [1]}}"), "validation = '0'");
  has(tune("{trials: 3, metric: speed, space: {algorithms.lr: [1]}}"), "accuracy|best_accuracy|loss");
  has(tune("{trials: 3, spaces: {algorithms.lr: [1]}}"), "did you mean 'space'");
  const std::string one = "tune: {trials: 3, space: {algorithms.lr: [1, 2]}}\n";
  has(refusal(head + "algorithms: [{name: fedavg, lr: 0.1}]\n" + one), "lr is fixed here");
  has(refusal(head + "algorithms: [{name: fedprox, mu: [0.1, 1]}]\n" + one), "a list in a search");
  has(refusal(head + "partition: {name: dirichlet, seed: [1, 2]}\nalgorithms: [fedavg]\n" + one), "a list in a search");
  has(refusal("data: {name: fashion_mnist, validation: 0}\nmodel: logistic\nfederated: {}\nalgorithms: [fedavg]\n" + one),
      "data.validation = 0");
  has(refusal("data: {name: fashion_mnist, validation: 0.2}\nmodel: logistic\nfederated: {}\nalgorithms: [fedavg]\n"
              "tune: {trials: 3, validation: 0.1, space: {algorithms.lr: [1]}}\n"), "one of them");
}

TEST_CASE("a validation split by client takes a part of each and leaves the rest its own") {
  char err[500];
  fl_dataset d = {};
  auto *pixels = (uint8_t *)std::malloc(60), *label = (uint8_t *)std::malloc(60), *tp = (uint8_t *)std::malloc(4),
       *tl = (uint8_t *)std::malloc(4);
  for (int i = 0; i < 60; i++) pixels[i] = (uint8_t)i, label[i] = (uint8_t)(i % 5);
  for (int i = 0; i < 4; i++) tp[i] = 200, tl[i] = 0;
  d.train = { 60, 1, 1, 1, 5, pixels, label };
  d.test = { 4, 1, 1, 1, 5, tp, tl };
  const size_t sizes[4] = { 30, 25, 4, 1 };
  fl_split s;
  REQUIRE(fl_split_alloc(&s, 4, 60) == 0);
  for (size_t i = 0; i < 60; i++) s.index[i] = (uint32_t)(59 - i);
  for (size_t i = 0; i < 4; i++) s.offset[i + 1] = s.offset[i] + sizes[i];
  const fl_split_data all = { 60, 5, label, nullptr, nullptr, 0, nullptr };
  REQUIRE(fl_split_finish(&s, &all) == 0);
  const std::string before = s.sha256;
  REQUIRE(fl_split_holdout(&s, &d, 0.2, err, sizeof err) == 0);
  const size_t left[4] = { 24, 20, 4, 1 };
  std::set<int> rows;
  for (size_t i = 0, from = 60; i < 4; i++) {
    REQUIRE(s.offset[i + 1] - s.offset[i] == left[i]);
    for (size_t p = s.offset[i]; p < s.offset[i + 1]; p++) {
      CHECK((s.index[p] < from && s.index[p] >= from - sizes[i]));       /* its own rows, in their order */
      if (p > s.offset[i]) CHECK(s.index[p] < s.index[p - 1]);
      rows.insert((int)s.index[p]);
    }
    from -= sizes[i];
  }
  CHECK(d.train.n == 60);
  REQUIRE(d.test.n == 11);
  for (size_t i = 0; i < 11; i++) {
    CHECK(d.test.label[i] == d.test.pixels[i] % 5);
    CHECK((d.test.pixels[i] >= 30) == (i < 6));
    rows.insert(d.test.pixels[i]);
  }
  CHECK(rows.size() == 60);
  CHECK(s.sha256 != before);
  CHECK(fl_split_holdout(&s, &d, 0.001, err, sizeof err) == -1);
  CHECK(std::string(err).find("data.validation = 0.001 of each client") != std::string::npos);
  s.index[0] = s.index[1];
  REQUIRE(fl_split_finish(&s, &all) == 0);
  CHECK(fl_split_holdout(&s, &d, 0.2, err, sizeof err) == -1);
  CHECK(std::string(err).find("no sample to two clients") != std::string::npos);
  fl_split_free(&s);
  fl_dataset_free(&d);
}
