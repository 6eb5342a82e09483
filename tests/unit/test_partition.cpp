// Partitioners: laws of federated-structured-robust 10 ("Statistical tests"), settings, JSON, golden hashes.
#include "partition.hpp"
using namespace partition_test;

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
          "; allowed: 4, the clients that the data name");
  }
  Split t;
  CHECK(!make(t, c, 4, y, 4));
  CHECK(std::string(err).find("the data name no clients") != std::string::npos);
}

TEST_CASE("partition: seeds differ, the same seed repeats", "[partition]") {
  const auto y = labels(3000, 10);
  for (const char *name : {"iid", "dirichlet", "dirichlet_client", "inner_dirichlet", "dirichlet_rounded", "shard",
                           "pathological", "distribution", "group", "linear", "square", "quantity", "quantity_lognormal",
                           "noise"}) {
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
    {"dirichlet_rounded", "bee43e1e095e3a8346d9e5a274a7a4cdd953a75e7c6ed681762324d2a2dcafe4"},
    {"distribution", "401fc0cab0a5e1d83787fc1bfe012db146ccc5bdf9a27889fbd702d9b801a009"},
    {"group", "9e720fa269e8299609ae3d9bfc795514da711cca2924688d276b98e11513bb9c"},
    {"linear", "6e73297320e20b3de69b68cfdf34fdd691a9be1af3c7ed18d184018fd129db96"},
    {"square", "ba3ecd74f9367682881aaa6859405b0d9333c78f32801894d57268759575d2b3"},
    {"quantity", "1710929bdf130840d101c1c973fb060275ab5c4f5f56d8c153f93ae47059a74e"},
    {"quantity_lognormal", "6d87ce7fcc782e50e44ee9c1788357a6d20c47d82c1379a5545e2444a2dd4074"},
    {"noise", "cb513b2abc53950a01f5be8fc5910798119eb0f524530439188bc3d7fe796768"},
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
  const fl_split_data data{700, 10, y.data(), nullptr, nullptr, 0, nullptr};
  const fl_split_data fewer{600, 10, y.data(), nullptr, nullptr, 0, nullptr};
  Split a, b, c;
  REQUIRE(make(a, config({{"name", "dirichlet", ""}, {"seed", "9", ""}}), 8, y));
  const std::string path = temporary("");
  REQUIRE(fl_split_save(&a.s, path.c_str(), err, sizeof err) == 0);
  REQUIRE(fl_split_load(&b.s, path.c_str(), &data, err, sizeof err) == 0);
  CHECK(a.all() == b.all());
  CHECK(std::string(a.s.sha256) == b.s.sha256);
  const auto file = config({{"name", "file", ""}, {"path", path.c_str(), ""}});
  CHECK(make(c, file, 8, y));
  CHECK(a.all() == c.all());
  Split d;
  CHECK_FALSE(make(d, file, 9, y));
  CHECK(std::string(err) == path + ": clients: 8, but the configuration has 9");
  CHECK(fl_split_load(&d.s, path.c_str(), &fewer, err, sizeof err) == -1);
  CHECK(std::string(err).find("samples: 700, but the data have 600") != std::string::npos);
  CHECK(fl_split_save(&a.s, "/nonexistent/x.json", err, sizeof err) == -1);
  std::remove(path.c_str());
}

TEST_CASE("partition: bad files name the field", "[partition]") {
  const auto y = labels(10, 10);
  const fl_split_data ten{10, 10, y.data(), nullptr, nullptr, 0, nullptr};
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
    {"{\"version\": 2, \"clients\": 1, \"samples\": 10, \"index\": [[0]]}", "version: allowed: 1"},
    {"{\"clients\": 1, \"samples\": 11, \"index\": [[0]]}", "samples: 11, but the data have 10"},
    {"{\"clients\": 1, \"labels_sha256\": \"beef\", \"index\": [[0]]}", "labels_sha256: beef, but the labels of the data have "},
    {"{\"clients\": 1, \"labels_sha256\": 5, \"index\": [[0]]}", "labels_sha256: allowed: a text"},
    {"{\"clients\": 2, \"disjoint\": true, \"index\": [[3, 0], [1, 3]]}",
     "index[1][1] = 3, which client 0 has already, and 'disjoint' is true"},
    {"{\"clients\": 1, \"complete\": true, \"index\": [[0, 1, 2, 4, 5, 6, 7, 8, 9]]}", "sample 3 is in no list, and 'complete'"},
    {"{\"clients\": 1, \"disjoint\": 1, \"index\": [[0]]}", "disjoint: allowed: true, false"},
    {"{\"clients\": 1, \"noise\": {\"sigma\": [1]}, \"index\": [[0]]}", "noise.seed: allowed: an integer"},
    {"{\"clients\": 1, \"noise\": {\"sigma\": [1, 2], \"seed\": 1}, \"index\": [[0]]}", "noise.sigma: allowed: a list of 1"},
    {"{\"clients\": 1, \"noise\": {\"sigma\": [-1], \"seed\": 1}, \"index\": [[0]]}", "noise.sigma[0]: allowed: a number from 0"},
    {"{\"clients\": 2, \"noise\": {\"sigma\": [0, 1], \"seed\": 1}, \"index\": [[0], [0]]}", "noise: allowed: only where"},
    {"{\"clients\": 1, \"indices\": [[1]]}", "unknown field 'indices'; did you mean 'index'?"},
  };
  for (const auto &bad : t) {
    const std::string path = temporary(bad.text);
    Split s;
    CHECK(fl_split_load(&s.s, path.c_str(), &ten, err, sizeof err) == -1);
    INFO(err);
    CHECK(std::string(err).find(bad.message) != std::string::npos);
    CHECK(std::string(err).find(path) != std::string::npos);
    CHECK(s.s.index == nullptr);
    std::remove(path.c_str());
  }
  Split s;
  CHECK(fl_split_load(&s.s, "/nonexistent/split.json", &ten, err, sizeof err) == -1);
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
  has(refusal({{"name", "shard", ""}, {"shards_per_client", "1.5", ""}}), "allowed: a whole number from 0");
  has(refusal({{"seed", "-1", ""}}), "seed = '-1'; allowed: a whole number from 0");
  has(refusal({{"seed", "18446744073709551616", ""}}), "seed = '18446744073709551616'");
  has(refusal({{"seed", "1", ""}, {"seed", "2", ""}}), "key 'seed' given twice");
  has(refusal({{"name", "file", ""}}), "'path' is missing");
  const fl_partition_config c = config({{"dirichlet_alpha", "0.3", ""}, {"seed", "42", ""}, {"name", "dirichlet", ""}});
  CHECK(std::string(c.kind->name) == "dirichlet");
  CHECK((c.h[0] == 0.3 && c.h[1] == 10 && c.seed == 42));
  CHECK(fl_partitioner_count() == 18);
  CHECK(fl_partitioner_at(18) == nullptr);
  Split s;
  CHECK_FALSE(make(s, config({}), 11, labels(10, 10)));
  has(err, "clients = 11; allowed: 1 to 10");
  CHECK_FALSE(make(s, config({}), 2, labels(10, 10), 9));
  has(err, "label[7] = 9; allowed: 0 to 8");
}
