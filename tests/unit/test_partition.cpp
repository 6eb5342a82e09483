// Partitioners: laws of federated-structured-robust 10 ("Statistical tests"), settings, JSON, golden hashes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/partition.h"
}

namespace {
char err[1024];

struct Split {
  fl_split s{};
  Split() = default;
  Split(const Split &) = delete;
  ~Split() { fl_split_free(&s); }
  std::vector<uint32_t> list(size_t i) const { return {s.index + s.offset[i], s.index + s.offset[i + 1]}; }
  std::vector<uint32_t> all() const { return {s.index, s.index + s.offset[s.clients]}; }
};

int build(fl_partition_config &c, std::vector<fl_setting> set) {
  err[0] = 0;
  return fl_partition_build(set.data(), set.size(), &c, err, sizeof err);
}
fl_partition_config config(std::vector<fl_setting> set) {
  fl_partition_config c;
  INFO(err);
  REQUIRE(build(c, set) == 0);
  return c;
}
std::string refusal(std::vector<fl_setting> set) {
  fl_partition_config c;
  CHECK(build(c, set) == -1);
  return err;
}
std::vector<uint8_t> labels(size_t n, unsigned classes) { // unsorted, all classes equally often
  std::vector<uint8_t> y(n);
  for (size_t i = 0; i < n; i++)
    y[i] = static_cast<uint8_t>(i * 7 % classes);
  return y;
}
bool make(Split &s, const fl_partition_config &c, size_t clients, const std::vector<uint8_t> &y, size_t classes = 10,
          const int32_t *client = nullptr) {
  err[0] = 0;
  return fl_split_make(&s.s, &c, clients, y.data(), client, y.size(), classes, err, sizeof err) == 0;
}
size_t distinct(const std::vector<uint32_t> &v) { return std::set<uint32_t>(v.begin(), v.end()).size(); }
size_t classes_held(const Split &s, const std::vector<uint8_t> &y, size_t client) {
  std::set<uint8_t> seen;
  for (uint32_t i : s.list(client))
    seen.insert(y[i]);
  return seen.size();
}
double mean_concentration(const Split &s, const std::vector<uint8_t> &y, size_t classes) { // mean over clients of sum_c share^2
  std::vector<uint32_t> counts(s.s.clients * classes);
  fl_split_counts(&s.s, y.data(), classes, counts.data());
  double mean = 0;
  for (size_t i = 0; i < s.s.clients; i++) {
    const double n = static_cast<double>(s.s.offset[i + 1] - s.s.offset[i]);
    for (size_t c = 0; c < classes; c++)
      mean += std::pow(counts[i * classes + c] / n, 2) / static_cast<double>(s.s.clients);
  }
  return mean;
}
// Acar et al.'s partition by the standard library's generator: the mean of sum_c share^2, 10 classes of clients*size/10 samples.
double acar_concentration(size_t clients, size_t size, double alpha, unsigned seed) {
  std::mt19937_64 g(seed);
  std::gamma_distribution<double> gamma(alpha);
  std::vector<std::vector<double>> q(clients, std::vector<double>(10)), has(clients, std::vector<double>(10));
  for (auto &row : q)
    for (double &v : row)
      v = gamma(g) + 1e-300;
  std::vector<size_t> left(10, clients * size / 10), room(clients, size);
  for (size_t n = clients * size; n > 0; n--) {
    size_t i = g() % clients;
    while (!room[i])
      i = g() % clients;
    std::vector<double> now(10);
    for (size_t c = 0; c < 10; c++)
      now[c] = left[c] ? q[i][c] + 1e-9 : 0; // used up: any class that is left
    const size_t c = std::discrete_distribution<size_t>(now.begin(), now.end())(g);
    left[c]--, room[i]--, has[i][c]++;
  }
  double mean = 0;
  for (const auto &row : has)
    for (double v : row)
      mean += v * v / static_cast<double>(size * size * clients);
  return mean;
}
std::string temporary(const char *text) {
  char name[] = "/tmp/fedlane-split-XXXXXX";
  close(mkstemp(name));
  std::ofstream(name) << text;
  return name;
}
} // namespace

TEST_CASE("partition iid: near-equal, disjoint, covering", "[partition]") {
  const auto y = labels(1003, 10);
  Split s;
  REQUIRE(make(s, config({{"name", "iid", ""}, {"seed", "5", ""}}), 10, y));
  CHECK(s.all().size() == 1003);
  CHECK(distinct(s.all()) == 1003);
  for (size_t i = 0; i < 10; i++)
    CHECK(s.list(i).size() == (i < 3 ? 101 : 100));
}

TEST_CASE("partition dirichlet: disjoint, covering, smallest size, limits of alpha", "[partition]") {
  const auto y = labels(20000, 10);
  for (const char *alpha : {"0.1", "0.3", "1"}) {
    Split s;
    REQUIRE(make(s, config({{"name", "dirichlet", ""}, {"dirichlet_alpha", alpha, ""}, {"min_size", "20", ""},
                            {"seed", "42", ""}}), 50, y));
    CHECK(s.all().size() == 20000);
    CHECK(distinct(s.all()) == 20000);
    for (size_t i = 0; i < 50; i++)
      CHECK(s.list(i).size() >= 20);
  }
  Split even, skew;
  REQUIRE(make(even, config({{"name", "dirichlet", ""}, {"dirichlet_alpha", "1e6", ""}}), 20, y));
  CHECK(mean_concentration(even, y, 10) == Approx(0.1).epsilon(0.02));
  // 0.001: about one class a client, and none of the gammas can be held outside of logarithms
  REQUIRE(make(skew, config({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0.001", ""}, {"min_size", "1", ""}}), 10, y));
  CHECK(mean_concentration(skew, y, 10) > 0.85);
  std::vector<uint32_t> first = skew.list(0), sorted = first;
  std::sort(sorted.begin(), sorted.end());
  CHECK(first != sorted);
}

TEST_CASE("partition dirichlet: impossible sizes are refused with a way out", "[partition]") {
  Split s;
  const auto y = labels(500, 10);
  CHECK_FALSE(make(s, config({{"name", "dirichlet", ""}}), 100, y));
  CHECK(std::string(err).find("min_size = 10 for 100 clients needs 1000 samples, the data have 500") != std::string::npos);
  CHECK_FALSE(make(s, config({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0.01", ""}}), 50, y));
  CHECK(std::string(err).find("in 1000 draws") != std::string::npos);
  CHECK(s.s.index == nullptr);
}

TEST_CASE("partition dirichlet_client: equal sizes, E sum q^2 = (alpha+1)/(C alpha+1)", "[partition]") {
  const auto y = labels(60000, 10);
  const struct { const char *text; double alpha; } t[] = {{"0.1", 0.1}, {"0.5", 0.5}, {"0.6", 0.6}};
  for (const auto &a : t) {
    Split s;
    REQUIRE(make(s, config({{"name", "dirichlet_client", ""}, {"dirichlet_alpha", a.text, ""}, {"seed", "42", ""}}), 300, y));
    for (size_t i = 0; i < 300; i++)
      REQUIRE(s.list(i).size() == 200);
    CHECK(distinct(s.all()) < 60000); // some class wrapped round
    const double want = (a.alpha + 1) / (10 * a.alpha + 1);
    const double sampled = want + (1 - want) / 200; // plug-in estimate of sum q^2 from 200 labels
    CHECK(mean_concentration(s, y, 10) == Approx(sampled).epsilon(0.1));
  }
  Split one; // a class without samples is never drawn
  REQUIRE(make(one, config({{"name", "dirichlet_client", ""}}), 10, std::vector<uint8_t>(100, 3)));
  CHECK(one.all().size() == 100);
}

TEST_CASE("partition shard: disjoint, at most two labels a shard", "[partition]") {
  const auto y = labels(6000, 10);
  Split s, three;
  REQUIRE(make(s, config({{"name", "shard", ""}}), 100, y));
  CHECK(s.all().size() == 6000);
  CHECK(distinct(s.all()) == 6000);
  for (size_t i = 0; i < 100; i++) {
    CHECK(s.list(i).size() == 60);
    CHECK(classes_held(s, y, i) <= 2); // 200 shards of 30 align with classes of 600
  }
  REQUIRE(make(three, config({{"name", "shard", ""}, {"shards_per_client", "3", ""}}), 7, y));
  CHECK(three.all().size() == 6000 / 21 * 21);
  CHECK(distinct(three.all()) == 6000 / 21 * 21);
  for (size_t i = 0; i < 7; i++)
    CHECK(classes_held(three, y, i) <= 6);
}

TEST_CASE("partition pathological: exactly k labels, near-equal parts", "[partition]") {
  const auto y = labels(5000, 10);
  for (unsigned k : {1u, 2u, 5u, 10u}) {
    Split s;
    const std::string text = std::to_string(k);
    REQUIRE(make(s, config({{"name", "pathological", ""}, {"classes_per_client", text.c_str(), ""}, {"seed", "3", ""}}), 30, y));
    CHECK(distinct(s.all()) == s.all().size());
    CHECK(s.all().size() == 5000); // 30 clients: every class has an owner
    for (size_t i = 0; i < 30; i++)
      CHECK(classes_held(s, y, i) == k);
  }
  Split few, none;
  CHECK(make(few, config({{"name", "pathological", ""}, {"classes_per_client", "1", ""}}), 4, y));
  CHECK(few.all().size() == 2000); // classes 4 ... 9 have no owner
  CHECK_FALSE(make(none, config({{"name", "pathological", ""}, {"classes_per_client", "11", ""}}), 4, y));
  CHECK(std::string(err).find("classes_per_client = 11; allowed: 1 to 10") != std::string::npos);
}

TEST_CASE("partition pathological: class assignment modes", "[partition]") {
  const auto y = labels(6000, 10);
  Split det, rnd;
  const auto set = [](const char *mode, const char *k) {
    return config({{"name", "pathological", ""}, {"classes_per_client", k, ""}, {"class_assignment_mode", mode, ""}});
  };
  REQUIRE(make(det, set("deterministic", "3"), 100, y));
  std::vector<uint32_t> counts(1000);
  fl_split_counts(&det.s, y.data(), 10, counts.data());
  for (size_t i = 0; i < 100; i++) // every class has 30 owners: 20 samples each
    for (size_t c = 0; c < 10; c++)
      REQUIRE(counts[i * 10 + c] == ((c + 10 - i % 10) % 10 < 3 ? 20u : 0u));
  CHECK(distinct(det.all()) == 6000);
  REQUIRE(make(rnd, set("random", "3"), 100, y));
  fl_split_counts(&rnd.s, y.data(), 10, counts.data());
  size_t owners[10] = {}, first = 0;
  for (size_t i = 0; i < 100; i++) {
    CHECK(classes_held(rnd, y, i) == 3);
    first += counts[i * 10 + i % 10] > 0;
    for (size_t c = 0; c < 10; c++)
      owners[c] += counts[i * 10 + c] > 0;
  }
  CHECK(first < 60); // 30 expected; first-deterministic has 100
  for (size_t c = 0; c < 10; c++) {
    CHECK((owners[c] > 12 && owners[c] < 48)); // 30 +- 4 sigma
    for (size_t i = 0; i < 100; i++)
      if (counts[i * 10 + c])
        CHECK((counts[i * 10 + c] == 600 / owners[c] || counts[i * 10 + c] == 600 / owners[c] + 1));
  }
  Split few; // Flower refuses this too: 25 owners of a class of 20
  CHECK_FALSE(make(few, set("deterministic", "5"), 50, labels(200, 10)));
  CHECK(std::string(err).find("class 0 has 20 samples for the 25 clients that are to hold it") != std::string::npos);
}

TEST_CASE("partition pathological: equal sizes are drawn from the classes held", "[partition]") {
  const auto y = labels(60000, 10);
  for (const char *k : {"3", "6"}) {
    Split s;
    REQUIRE(make(s, config({{"name", "pathological", ""}, {"classes_per_client", k, ""}, {"equal_sizes", "yes", ""},
                            {"class_assignment_mode", "random", ""}}), 100, y));
    std::vector<uint32_t> counts(1000);
    fl_split_counts(&s.s, y.data(), 10, counts.data());
    const double p = 1.0 / std::atoi(k), sigma = std::sqrt(600 * p * (1 - p));
    double chi = 0;
    for (size_t i = 0; i < 100; i++) {
      REQUIRE(s.list(i).size() == 600);
      CHECK(classes_held(s, y, i) == static_cast<size_t>(std::atoi(k)));
      for (size_t c = 0; c < 10; c++)
        if (counts[i * 10 + c]) {
          CHECK(std::abs(counts[i * 10 + c] - 600 * p) < 5 * sigma);
          chi += std::pow(counts[i * 10 + c] - 600 * p, 2) / (600 * p);
        }
    }
    const double freedom = 100.0 * (std::atoi(k) - 1); // multinomial: chi-squared of that many degrees
    CHECK(std::abs(chi - freedom) < 5 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("partition inner_dirichlet: disjoint, sizes as asked for, proportions while classes last", "[partition]") {
  const auto y = labels(60000, 10);
  const struct { const char *text; double alpha; } t[] = {{"0.1", 0.1}, {"0.6", 0.6}};
  for (const auto &a : t) {
    double mean = 0, want = 0;
    for (unsigned seed = 1; seed <= 8; seed++) {
      Split s;
      REQUIRE(make(s, config({{"name", "inner_dirichlet", ""}, {"dirichlet_alpha", a.text, ""},
                              {"seed", std::to_string(seed).c_str(), ""}}), 200, labels(20000, 10)));
      CHECK(distinct(s.all()) == 20000);
      for (size_t i = 0; i < 200; i++)
        REQUIRE(s.list(i).size() == 100);
      mean += mean_concentration(s, labels(20000, 10), 10) / 8;
      want += acar_concentration(200, 100, a.alpha, seed) / 8;
    }
    const double free = (a.alpha + 1) / (10 * a.alpha + 1); // if no class ever ran out
    CHECK(mean < 1.02 * (free + (1 - free) / 100));
    CHECK(mean == Approx(want).epsilon(0.05));
  }
  Split sized;
  REQUIRE(make(sized, config({{"name", "inner_dirichlet", ""}, {"size_sigma", "0.5", ""}}), 300, y));
  CHECK(sized.all().size() == 60000);
  CHECK(distinct(sized.all()) == 60000);
  double sum = 0, square = 0; // the logarithms of the sizes: mean ln(n/N) - sigma^2/2, standard deviation sigma
  for (size_t i = 1; i < 300; i++) {
    const double v = std::log(static_cast<double>(sized.list(i).size()));
    sum += v;
    square += v * v;
  }
  const double mean = sum / 299;
  CHECK(mean == Approx(std::log(200.0) - 0.125).margin(4 * 0.5 / std::sqrt(299.0)));
  CHECK(std::sqrt(square / 299 - mean * mean) == Approx(0.5).epsilon(0.2));
}

TEST_CASE("partition natural: the data's own clients, ascending, samples in order", "[partition]") {
  const auto y = labels(8, 4);
  const int32_t client[8] = { 30, 2, 7, 30, 2, 2147483646, 7, 2 };
  const auto c = config({ { "name", "natural", "" } });
  Split s;
  REQUIRE(make(s, c, 4, y, 4, client));
  CHECK(s.list(0) == std::vector<uint32_t>{ 1, 4, 7 });
  CHECK(s.list(1) == std::vector<uint32_t>{ 2, 6 });
  CHECK(s.list(2) == std::vector<uint32_t>{ 0, 3 });
  CHECK(s.list(3) == std::vector<uint32_t>{ 5 });
  for (size_t wrong : { 3, 5 }) {
    Split t;
    CHECK(!make(t, c, wrong, y, 4, client));
    CHECK(std::string(err) == "partition natural: clients = " + std::to_string(wrong) +
          "; allowed: 4, the clients in client_train");
  }
  Split t;
  CHECK(!make(t, c, 4, y, 4));
  CHECK(std::string(err).find("the data name no clients") != std::string::npos);
}

TEST_CASE("partition: seeds differ, the same seed repeats", "[partition]") {
  const auto y = labels(3000, 10);
  for (const char *name : {"iid", "dirichlet", "dirichlet_client", "inner_dirichlet", "shard", "pathological"}) {
    INFO(name);
    Split a, b, c;
    REQUIRE(make(a, config({{"name", name, ""}, {"seed", "1", ""}}), 20, y));
    REQUIRE(make(b, config({{"name", name, ""}, {"seed", "1", ""}}), 20, y));
    REQUIRE(make(c, config({{"name", name, ""}, {"seed", "9007199254740992", ""}}), 20, y));
    CHECK(std::string(a.s.sha256) == b.s.sha256);
    CHECK(a.all() == b.all());
    CHECK(std::string(a.s.sha256) != c.s.sha256);
  }
}

TEST_CASE("partition: golden hashes, the same on every machine", "[partition]") {
  const auto y = labels(3000, 10);
  const struct { const char *name, *sha256; } golden[] = {
    {"iid", "9211c58ffac43474efc45b384a319822a86b26f3768285317b8b44aa49f3c89a"},
    {"dirichlet", "c657b597e6a26dab55c793e544f75ff8ea1eaf0f4b1c6db203d05aea4e8f6038"},
    {"dirichlet_client", "36bc0c31b9b435f429b5de5c2be128e4baaa9c0e93f722e16573839d658fd0c7"},
    {"inner_dirichlet", "ea197aa10239cb00d998eec58ce195275eaded7b0e637c21c34a581165539300"},
    {"shard", "a3bdad9f7f6cf5de51aa249023e58c7325da69dfc073889e7d9c9bb0cf4ec63e"},
    {"pathological", "526e6785338e792c701d20ac2d4c2c017bb323b3dd53db68b7e556cc4766638d"},
  };
  for (const auto &g : golden) {
    INFO(g.name);
    Split s;
    REQUIRE(make(s, config({{"name", g.name, ""}, {"seed", "42", ""}}), 20, y));
    CHECK(std::string(s.s.sha256) == g.sha256);
  }
}

TEST_CASE("partition: saved, loaded, replayed", "[partition]") {
  const auto y = labels(700, 10);
  Split a, b, c;
  REQUIRE(make(a, config({{"name", "dirichlet", ""}, {"seed", "9", ""}}), 8, y));
  const std::string path = temporary("");
  REQUIRE(fl_split_save(&a.s, path.c_str(), err, sizeof err) == 0);
  REQUIRE(fl_split_load(&b.s, path.c_str(), 700, err, sizeof err) == 0);
  CHECK(a.all() == b.all());
  CHECK(std::string(a.s.sha256) == b.s.sha256);
  const auto file = config({{"name", "file", ""}, {"path", path.c_str(), ""}});
  CHECK(make(c, file, 8, y));
  CHECK(a.all() == c.all());
  Split d;
  CHECK_FALSE(make(d, file, 9, y));
  CHECK(std::string(err) == path + ": clients: 8, but the configuration has 9");
  CHECK(fl_split_load(&d.s, path.c_str(), 600, err, sizeof err) == -1);
  CHECK(std::string(err).find("allowed: a sample number from 0 to 599") != std::string::npos);
  CHECK(fl_split_save(&a.s, "/nonexistent/x.json", err, sizeof err) == -1);
  std::remove(path.c_str());
}

TEST_CASE("partition: bad files name the field", "[partition]") {
  const struct { const char *text, *message; } t[] = {
    {"{\"clients\": 1, \"index\": [[0, 1]", ":1:"},
    {"[1]", "allowed: an object"},
    {"{\"clients\": 0, \"index\": []}", "clients: allowed: an integer of at least 1"},
    {"{\"clients\": \"2\", \"index\": []}", "clients: allowed"},
    {"{\"clients\": 2, \"index\": [[0]]}", "index: 1 lists; allowed: a list of 2 lists"},
    {"{\"clients\": 1, \"index\": [[0, 10]]}", "index[0][1] = 10; allowed: a sample number from 0 to 9"},
    {"{\"clients\": 1, \"index\": [[-1]]}", "index[0][0] = -1"},
    {"{\"clients\": 1, \"index\": [[0.5]]}", "index[0][0] = 0.5"},
    {"{\"clients\": 1, \"index\": [7]}", "index[0]: allowed: a list"},
    {"{\"clients\": 1, \"index\": [[]]}", "index: no sample number in any list; allowed: at least one"},
    {"{\"clients\": 1, \"indices\": [[1]]}", "unknown field 'indices'; did you mean 'index'?"},
  };
  for (const auto &bad : t) {
    const std::string path = temporary(bad.text);
    Split s;
    CHECK(fl_split_load(&s.s, path.c_str(), 10, err, sizeof err) == -1);
    INFO(err);
    CHECK(std::string(err).find(bad.message) != std::string::npos);
    CHECK(std::string(err).find(path) != std::string::npos);
    CHECK(s.s.index == nullptr);
    std::remove(path.c_str());
  }
  Split s;
  CHECK(fl_split_load(&s.s, "/nonexistent/split.json", 10, err, sizeof err) == -1);
  CHECK(std::string(err).find("/nonexistent/split.json") != std::string::npos);
}

TEST_CASE("partition: settings are checked and the nearest name is given", "[partition]") {
  const auto has = [](const std::string &text, const char *part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(refusal({{"name", "dirichlett", "a.yaml:3:1"}}), "a.yaml:3:1: unknown partitioner 'dirichlett'; did you mean 'dirichlet'?");
  has(refusal({{"name", "dirichlet", ""}, {"dirichlet_alfa", "1", "a.yaml:4:1"}}),
      "a.yaml:4:1: unknown key of partition dirichlet 'dirichlet_alfa'; did you mean 'dirichlet_alpha'?");
  has(refusal({{"name", "iid", ""}, {"min_size", "1", "--set"}}), "allowed: name, seed");
  has(refusal({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0", "--set"}}),
      "dirichlet_alpha = '0'; allowed: a number from 0.001 to 1000000");
  has(refusal({{"name", "dirichlet", ""}, {"dirichlet_alpha", "nan", ""}}), "dirichlet_alpha = 'nan'");
  has(refusal({{"name", "dirichlet", ""}, {"dirichlet_alpha", "0.5x", ""}}), "dirichlet_alpha = '0.5x'");
  has(refusal({{"name", "shard", ""}, {"shards_per_client", "1.5", ""}}), "allowed: a whole number from 1");
  has(refusal({{"seed", "-1", ""}}), "seed = '-1'; allowed: a whole number from 0");
  has(refusal({{"seed", "18446744073709551616", ""}}), "seed = '18446744073709551616'");
  has(refusal({{"seed", "1", ""}, {"seed", "2", ""}}), "key 'seed' given twice");
  has(refusal({{"name", "file", ""}}), "'path' is missing");
  const fl_partition_config c = config({{"dirichlet_alpha", "0.3", ""}, {"seed", "42", ""}, {"name", "dirichlet", ""}});
  CHECK(std::string(c.kind->name) == "dirichlet");
  CHECK((c.h[0] == 0.3 && c.h[1] == 10 && c.seed == 42));
  CHECK(fl_partitioner_count() == 8);
  CHECK(fl_partitioner_at(8) == nullptr);
  Split s;
  CHECK_FALSE(make(s, config({}), 11, labels(10, 10)));
  has(err, "clients = 11; allowed: 1 to 10");
  CHECK_FALSE(make(s, config({}), 2, labels(10, 10), 9));
  has(err, "label[7] = 9; allowed: 0 to 8");
}
