// The validation split: training rows on both sides, none twice, the test rows gone, the same rows every time.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>
#include <string>
extern "C" {
#include "harness/data.h"
}

namespace {
// 50 rows of one pixel whose value is the row's number; label = row % 5; 10 test rows of pixel 200.
fl_dataset numbered() {
  fl_dataset d = {};
  auto *pixels = (uint8_t *)std::malloc(50), *label = (uint8_t *)std::malloc(50), *tp = (uint8_t *)std::malloc(10),
      *tl = (uint8_t *)std::malloc(10);
  auto *client = (int32_t *)std::malloc(50 * sizeof(int32_t));
  for (int i = 0; i < 50; i++) pixels[i] = (uint8_t)i, label[i] = (uint8_t)(i % 5), client[i] = 1000 + i;
  for (int i = 0; i < 10; i++) tp[i] = 200, tl[i] = 0;
  d.train = { 50, 1, 1, 1, 5, pixels, label };
  d.test = { 10, 1, 1, 1, 5, tp, tl };
  d.client = client;
  return d;
}
} // namespace

TEST_CASE("a validation split divides the training rows") {
  char err[300];
  fl_dataset d = numbered(), again = numbered();
  REQUIRE(fl_dataset_holdout(&d, 0.2, err, sizeof err) == 0);
  REQUIRE(fl_dataset_holdout(&again, 0.2, err, sizeof err) == 0);
  CHECK(d.train.n == 40);
  CHECK(d.test.n == 10);
  std::set<int> rows;
  for (size_t i = 0; i < 40; i++) {
    rows.insert(d.train.pixels[i]);
    CHECK(d.train.label[i] == d.train.pixels[i] % 5);
    CHECK(d.client[i] == 1000 + d.train.pixels[i]);
    CHECK(d.train.pixels[i] == again.train.pixels[i]);
  }
  for (size_t i = 0; i < 10; i++) rows.insert(d.test.pixels[i]);
  CHECK(rows.size() == 50);
  CHECK(rows.count(200) == 0);
  fl_dataset_free(&d);
  fl_dataset_free(&again);
}

TEST_CASE("a validation split that leaves a side empty is refused") {
  char err[300] = "";
  fl_dataset d = numbered();
  CHECK(fl_dataset_holdout(&d, 0.001, err, sizeof err) == -1);
  CHECK(std::string(err).find("data.validation = 0.001") != std::string::npos);
  CHECK(d.train.n == 50);
  fl_dataset_free(&d);
}
