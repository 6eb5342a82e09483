// What fedlane partition says of a client, against the plain formulas in doubles of the C library, and where they are known.
#include "partition.hpp"
extern "C" {
#include "harness/partition_stats.h"
}
using namespace partition_test;

namespace {
struct Json {
  json_t *root;
  explicit Json(json_t *r) : root(r) {}
  Json(const Json &) = delete;
  ~Json() { json_decref(root); }
};

std::vector<fl_client_stats> stats_of(const Split &s, const std::vector<uint8_t> &y, size_t classes) {
  const fl_split_data d{y.size(), classes, y.data(), nullptr, nullptr, 0, nullptr};
  std::vector<fl_client_stats> out(s.s.clients);
  const auto counts = counts_of(s, y, classes);
  REQUIRE(fl_split_client_stats(&s.s, &d, counts.data(), out.data()) == 0);
  return out;
}

// Lists by hand, one a client.
void by_hand(Split &s, const std::vector<std::vector<uint32_t>> &lists, const std::vector<uint8_t> &y, size_t classes) {
  std::string text = "{\"clients\": " + std::to_string(lists.size()) + ", \"index\": [";
  for (size_t i = 0; i < lists.size(); i++) {
    text += i ? ", [" : "[";
    for (size_t k = 0; k < lists[i].size(); k++)
      text += (k ? ", " : "") + std::to_string(lists[i][k]);
    text += "]";
  }
  const std::string path = temporary((text + "]}").c_str());
  const fl_split_data d{y.size(), classes, y.data(), nullptr, nullptr, 0, nullptr};
  INFO(err);
  REQUIRE(fl_split_load(&s.s, path.c_str(), &d, err, sizeof err) == 0);
  std::remove(path.c_str());
}
} // namespace

TEST_CASE("partition statistics are the plain formulas of shares", "[partition]") {
  const size_t classes = 7;
  std::vector<uint8_t> y(900); // classes of unequal sizes
  for (size_t i = 0; i < y.size(); i++)
    y[i] = static_cast<uint8_t>(i * i * 11 % 31 % classes);
  std::vector<double> g(classes);
  for (uint8_t c : y)
    g[c] += 1.0 / 900;
  for (const char *name : {"iid", "dirichlet", "dirichlet_client", "dirichlet_rounded", "shard", "noise"}) {
    INFO(name);
    Split s;
    REQUIRE(make(s, config({{"name", name, ""}}), 12, y, classes));
    const auto stats = stats_of(s, y, classes);
    for (size_t i = 0; i < 12; i++) {
      const auto list = s.list(i);
      const double n = static_cast<double>(list.size());
      double entropy = 0, distance = 0, divergence = 0, held = 0;
      for (size_t c = 0; c < classes && n > 0; c++) {
        const auto has = std::count_if(list.begin(), list.end(), [&](uint32_t k) { return y[k] == c; });
        const double p = static_cast<double>(has) / n, m = (p + g[c]) / 2;
        entropy -= p > 0 ? p * std::log(p) : 0;
        distance += std::abs(p - g[c]) / 2;
        divergence += (p > 0 ? p * std::log2(p / m) : 0) / 2 + g[c] * std::log2(g[c] / m) / 2;
        held += has > 0;
      }
      CHECK(stats[i].samples == n);
      CHECK(stats[i].classes == held);
      CHECK(stats[i].effective_classes == Approx(n > 0 ? std::exp(entropy) : 0).epsilon(1e-12));
      CHECK(stats[i].total_variation == Approx(distance).epsilon(1e-12).margin(1e-14));
      CHECK(stats[i].jensen_shannon == Approx(divergence).epsilon(1e-12).margin(1e-14));
      CHECK(stats[i].noise_sigma == (s.s.sigma ? 0.1 * static_cast<double>(i) / 11 : 0));
    }
  }
}

TEST_CASE("partition statistics where they are known; a client without samples", "[partition]") {
  const std::vector<uint8_t> y{0, 1, 2, 3, 0, 1, 2, 3};
  Split s; // all classes evenly, one of four, two of four, nothing, one sample twice
  by_hand(s, {{0, 1, 2, 3}, {0, 4}, {0, 1}, {}, {3, 3}}, y, 4);
  const auto stats = stats_of(s, y, 4);
  const double one = (std::log2(8 / 5.0) + std::log2(2 / 5.0) / 4 + 3 / 4.0) / 2; // p = 1, g = 1/4
  const struct { double samples, classes, effective, distance, divergence; } want[] = {
    {4, 4, 4, 0, 0}, {2, 1, 1, 0.75, one}, {2, 2, 2, 0.5, 0.5 * (std::log2(4 / 3.0) + std::log2(2 / 3.0) / 2 + 0.5)},
    {0, 0, 0, 0, 0}, {2, 1, 1, 0.75, one}};
  for (size_t i = 0; i < 5; i++) {
    INFO(i);
    CHECK(stats[i].samples == want[i].samples);
    CHECK(stats[i].classes == want[i].classes);
    CHECK(stats[i].effective_classes == Approx(want[i].effective).epsilon(1e-14));
    CHECK(stats[i].total_variation == Approx(want[i].distance).margin(1e-15));
    CHECK(stats[i].jensen_shannon == Approx(want[i].divergence).margin(1e-15));
  }
  const fl_split_data d{y.size(), 4, y.data(), nullptr, nullptr, 0, nullptr};
  const Json all(fl_split_stats(&s.s, &d));
  REQUIRE(all.root);
  const auto number = [&](const char *key) { return json_integer_value(json_object_get(all.root, key)); };
  CHECK(number("samples") == 8);
  CHECK(number("assigned") == 10);
  CHECK(number("distinct") == 5);
  CHECK(json_is_false(json_object_get(all.root, "disjoint")));
  CHECK(json_is_false(json_object_get(all.root, "complete")));
  const json_t *summary = json_object_get(json_object_get(all.root, "summary"), "classes");
  CHECK(json_real_value(json_object_get(summary, "min")) == 0);
  CHECK(json_real_value(json_object_get(summary, "mean")) == Approx(8 / 5.0));
  CHECK(json_real_value(json_object_get(summary, "max")) == 4);
  CHECK(json_object_get(json_object_get(all.root, "summary"), "noise_sigma") == nullptr);
}
