// Synthetic clients: sizes, labels and pixels as the page says, the same whenever and wherever they are made.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fedlane/kernels.h>
#include <set>
#include <string>
#include <vector>
extern "C" {
#include "harness/population.h"
}

namespace {
struct Population {
  fl_dataset data = {};
  explicit Population(const fl_population_config &c = { 5, 1, 200, 0.5 }, size_t clients = 1000000) {
    char err[300] = "";
    REQUIRE(fl_population_open(&data, &c, clients, err, sizeof err) == 0);
  }
  ~Population() { fl_dataset_free(&data); }
  size_t size(uint32_t client, uint32_t *first) const { return fl_population_samples(data.population, client, first); }
  int row(uint32_t row, std::vector<uint8_t> &pixels) const {
    uint8_t label = 255;
    pixels.assign(784, 0);
    fl_population_row(data.population, fl_kernels_select(nullptr, nullptr), row, pixels.data(), &label);
    return label;
  }
};
// A word of Philox by its own definition: counter (0, step, client, purpose*2^24 + what).
uint32_t word(uint64_t seed, uint32_t what, uint32_t which, uint32_t step, int i) {
  const uint32_t counter[4] = { 0, step, which, (11u << 24) + what };
  uint32_t out[4];
  fl_philox(counter, seed, out);
  return out[i];
}
}

TEST_CASE("a population's sizes: every one of min to max equally often, rows that do not overlap") {
  const Population p;
  std::vector<double> times(201);
  for (uint32_t i = 0; i < 100000; i++) {
    uint32_t first;
    const size_t n = p.size(i, &first);
    REQUIRE(n >= 1);
    REQUIRE(n <= 200);
    CHECK(first == 200 * i);
    CHECK(n == 1 + ((uint64_t)word(5, 0, i, 0, 0) * 200 >> 32));
    times[n]++;
  }
  double chi = 0;
  for (int n = 1; n <= 200; n++) chi += (times[n] - 500) * (times[n] - 500) / 500;
  CHECK(chi > 199 - 5 * std::sqrt(398));
  CHECK(chi < 199 + 5 * std::sqrt(398));
}

TEST_CASE("a population's labels: the client's own class with the chance asked for, else any") {
  const Population p;
  std::vector<uint8_t> pixels;
  double own = 0, rows = 0;
  std::vector<double> label(10), favourite(10);
  for (uint32_t i = 0; i < 400; i++) {
    const int mine = (int)((uint64_t)word(5, 0, i, 1, 0) * 10 >> 32);
    favourite[mine]++;
    for (uint32_t j = 0; j < 20; j++) {
      const int l = p.row(200 * i + j, pixels);
      own += l == mine, label[l]++, rows++;
    }
  }
  CHECK(own / rows == Approx(0.55).margin(4 * std::sqrt(0.25 / rows)));
  for (double f : favourite) CHECK(std::fabs(f - 40) < 5 * std::sqrt(40));
  for (double l : label) CHECK(std::fabs(l - 800) < 250);        // the clients' favourites are not exactly level
  const Population level({ 5, 1, 200, 0 }), alone({ 5, 1, 200, 1 });
  std::set<int> seen;
  for (uint32_t j = 0; j < 50; j++) CHECK(alone.row(200 * 7 + j, pixels) == (int)((uint64_t)word(5, 0, 7, 1, 0) * 10 >> 32));
  for (uint32_t j = 0; j < 100; j++) seen.insert(level.row(200 * 7 + j, pixels));
  CHECK(seen.size() == 10);
}

TEST_CASE("a population's pixels: an eighth of the class's pattern and noise; mean and deviation as told") {
  const Population p;
  std::vector<uint8_t> a, b;
  double sum = 0, squares = 0, n = 0;
  std::vector<std::vector<double>> mean(10, std::vector<double>(784));
  std::vector<double> count(10);
  for (uint32_t r = 0; r < 4000; r++) {
    const int l = p.row(r * 37, a);
    count[l]++;
    for (int i = 0; i < 784; i++) sum += a[i], squares += a[i] * a[i], n++, mean[l][i] += a[i];
  }
  CHECK(sum / n / 255 == Approx(p.data.mean).epsilon(0.01));
  CHECK(std::sqrt(squares / n - sum / n * sum / n) / 255 == Approx(p.data.std).epsilon(0.01));
  for (int c = 0; c < 10; c++)
    for (int i = 0; i < 784; i++) {
      CHECK(mean[c][i] / count[c] > 111.5 - 6 * 65 / std::sqrt(count[c]));
      CHECK(mean[c][i] / count[c] < 111.5 + 31 + 6 * 65 / std::sqrt(count[c]));
    }
  CHECK(p.row(123456789, a) == p.row(123456789, b));             // whenever it is made
  CHECK(a == b);
  p.row(123456788, b);
  CHECK(a != b);
  const Population fewer({ 5, 1, 200, 0.5 }, 700000), other({ 6, 1, 200, 0.5 });
  fewer.row(123456789, b);
  CHECK(a == b);                                // a client does not depend on how many there are
  other.row(123456789, b);
  CHECK(a != b);
}

TEST_CASE("a population that cannot be is refused with what is allowed") {
  using Catch::Matchers::Contains;
  const auto refusal = [](const fl_population_config &c, size_t clients) {
    fl_dataset d;
    char err[300] = "";
    CHECK(fl_population_open(&d, &c, clients, err, sizeof err) == -1);
    return std::string(err);
  };
  CHECK_THAT(refusal({ 1, 5, 4, 0 }, 10), Contains("min_samples = 5, max_samples = 4"));
  CHECK_THAT(refusal({ 1, 1, 200, 0 }, 30000000), Contains("clients*max_samples below 2^32"));
}
