// Partitions in tests: settings, labels, lists, counts.
#pragma once
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/partition.h"
}

namespace partition_test {
inline char err[1024];

struct Split {
  fl_split s{};
  Split() = default;
  Split(const Split &) = delete;
  ~Split() { fl_split_free(&s); }
  std::vector<uint32_t> list(size_t i) const { return {s.index + s.offset[i], s.index + s.offset[i + 1]}; }
  std::vector<uint32_t> all() const { return {s.index, s.index + s.offset[s.clients]}; }
};

inline int build(fl_partition_config &c, std::vector<fl_setting> set) {
  err[0] = 0;
  return fl_partition_build(set.data(), set.size(), &c, err, sizeof err);
}
inline fl_partition_config config(std::vector<fl_setting> set) {
  fl_partition_config c;
  INFO(err);
  REQUIRE(build(c, set) == 0);
  return c;
}
inline std::string refusal(std::vector<fl_setting> set) {
  fl_partition_config c;
  CHECK(build(c, set) == -1);
  return err;
}
inline std::vector<uint8_t> labels(size_t n, unsigned classes) { // unsorted, all classes equally often
  std::vector<uint8_t> y(n);
  for (size_t i = 0; i < n; i++)
    y[i] = static_cast<uint8_t>(i * 7 % classes);
  return y;
}
inline bool make(Split &s, const fl_partition_config &c, size_t clients, const std::vector<uint8_t> &y, size_t classes = 10,
          const int32_t *client = nullptr) {
  err[0] = 0;
  const fl_split_data d{y.size(), classes, y.data(), client, nullptr, 0, nullptr};
  return fl_split_make(&s.s, &c, clients, &d, err, sizeof err) == 0;
}
inline std::vector<uint32_t> counts_of(const Split &s, const std::vector<uint8_t> &y, size_t classes) {
  std::vector<uint32_t> counts(s.s.clients * classes);
  const fl_split_data d{y.size(), classes, y.data(), nullptr, nullptr, 0, nullptr};
  fl_split_counts(&s.s, &d, counts.data());
  return counts;
}
inline size_t distinct(const std::vector<uint32_t> &v) { return std::set<uint32_t>(v.begin(), v.end()).size(); }
inline size_t classes_held(const Split &s, const std::vector<uint8_t> &y, size_t client) {
  std::set<uint8_t> seen;
  for (uint32_t i : s.list(client))
    seen.insert(y[i]);
  return seen.size();
}
// Mean over clients of sum_c share^2.
inline double mean_concentration(const Split &s, const std::vector<uint8_t> &y, size_t classes) {
  const std::vector<uint32_t> counts = counts_of(s, y, classes);
  double mean = 0;
  for (size_t i = 0; i < s.s.clients; i++) {
    const double n = static_cast<double>(s.s.offset[i + 1] - s.s.offset[i]);
    for (size_t c = 0; c < classes; c++)
      mean += std::pow(counts[i * classes + c] / n, 2) / static_cast<double>(s.s.clients);
  }
  return mean;
}
inline std::string temporary(const char *text) {
  char name[] = "/tmp/fedlane-split-XXXXXX";
  close(mkstemp(name));
  std::ofstream(name) << text;
  return name;
}
} // namespace partition_test
