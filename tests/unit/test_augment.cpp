// Augmentation against plain loops: what is drawn, every shift and mirror image, and a gradient that is that of the moved rows.
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>
extern "C" {
#include "models/model.h"
}
using Image = std::vector<uint8_t>;

namespace {
// As torchvision says it: pad 4 with zeros, take h x w from (4 - down, 4 - right), then mirror.
Image plain(const Image &x, size_t c, size_t h, size_t w, int down, int right, bool mirrored) {
  Image padded(c * (h + 8) * (w + 8), 0), out(c * h * w);
  for (size_t k = 0; k < c; k++)
    for (size_t i = 0; i < h; i++)
      for (size_t j = 0; j < w; j++) padded[(k * (h + 8) + i + 4) * (w + 8) + j + 4] = x[(k * h + i) * w + j];
  for (size_t k = 0; k < c; k++)
    for (size_t i = 0; i < h; i++)
      for (size_t j = 0; j < w; j++) {
        const size_t column = mirrored ? w - 1 - j : j;
        out[(k * h + i) * w + j] = padded[(k * (h + 8) + i + size_t(4 - down)) * (w + 8) + column + size_t(4 - right)];
      }
  return out;
}
}

TEST_CASE("augmented rows are those of plain loops, for every shift", "[data]") {
  const size_t shapes[4][3] = { { 3, 9, 7 }, { 1, 28, 28 }, { 2, 3, 2 }, { 1, 1, 1 } };
  for (const auto &s : shapes) {
    Image x(s[0] * s[1] * s[2]), y(x.size());
    for (size_t i = 0; i < x.size(); i++) x[i] = uint8_t(1 + i * 37 % 255);
    for (int down = -4; down <= 4; down++)
      for (int right = -4; right <= 4; right++)
        for (int mirrored = 0; mirrored < 2; mirrored++) {
          const fl_augmented how = { down, right, mirrored };
          fl_augment_row(&how, s[0], s[1], s[2], x.data(), y.data());
          CHECK(y == plain(x, s[0], s[1], s[2], down, right, mirrored != 0));
        }
  }
}

TEST_CASE("how a row is augmented: evenly, by seed, round, client, step and row, and only as asked", "[data]") {
  const fl_key key = { 3, FL_PURPOSE_MASK, 7, 11, 13 };
  size_t down[9] = {}, right[9] = {}, mirrored = 0, n = 9000;
  for (uint32_t r = 0; r < n; r++) {
    const fl_augmented a = fl_augment_draw(3, &key, r), crop = fl_augment_draw(FL_AUGMENT_CROP, &key, r),
                       flip = fl_augment_draw(FL_AUGMENT_FLIP, &key, r);
    REQUIRE((a.down >= -4 && a.down <= 4 && a.right >= -4 && a.right <= 4));
    down[a.down + 4]++, right[a.right + 4]++, mirrored += size_t(a.mirrored);
    CHECK((crop.down == a.down && crop.right == a.right && !crop.mirrored));
    CHECK((flip.down == 0 && flip.right == 0 && flip.mirrored == a.mirrored));
  }
  for (size_t i = 0; i < 9; i++) CHECK((down[i] > 850 && down[i] < 1150 && right[i] > 850 && right[i] < 1150));
  CHECK((mirrored > 4300 && mirrored < 4700));
  const fl_key other[4] = { { 4, FL_PURPOSE_MASK, 7, 11, 13 }, { 3, FL_PURPOSE_MASK, 8, 11, 13 },
                            { 3, FL_PURPOSE_MASK, 7, 12, 13 }, { 3, FL_PURPOSE_MASK, 7, 11, 14 } };
  for (const fl_key &k : other) {
    size_t same = 0;
    for (uint32_t r = 0; r < 1000; r++) {
      const fl_augmented a = fl_augment_draw(3, &key, r), b = fl_augment_draw(3, &k, r);
      same += a.down == b.down && a.right == b.right && a.mirrored == b.mirrored;
    }
    CHECK(same < 30);                           // 1000/162 = 6
  }
}

TEST_CASE("a gradient with draws is that of the augmented rows; without, and in evaluation, of the rows", "[data]") {
  const size_t n = 6, c = 3, h = 8, w = 8, in = c * h * w;
  Image x(n * in), moved(n * in);
  std::vector<uint8_t> label(n);
  for (size_t i = 0; i < x.size(); i++) x[i] = uint8_t(i * 91 % 251);
  for (size_t i = 0; i < n; i++) label[i] = uint8_t(i % 4);
  const fl_key key = { 5, FL_PURPOSE_MASK, 1, 2, 3 };
  for (size_t i = 0; i < n; i++) {
    const fl_augmented a = fl_augment_draw(3, &key, uint32_t(i));
    const Image row(x.begin() + long(i * in), x.begin() + long((i + 1) * in));
    const Image y = plain(row, c, h, w, a.down, a.right, a.mirrored != 0);
    std::memcpy(&moved[i * in], y.data(), in);
  }
  CHECK(moved != x);
  fl_samples rows[2] = {};
  for (fl_samples &s : rows) s.n = n, s.c = c, s.h = h, s.w = w, s.classes = 4, s.label = label.data();
  rows[0].pixels = x.data(), rows[1].pixels = moved.data();
  rows[0].augment = 3;
  const uint32_t index[5] = { 4, 0, 5, 1, 3 };
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  char err[300];
  fl_model *m[2];
  std::vector<float> g[3];
  double loss[3];
  std::vector<float> p;
  std::vector<char> work;
  for (int i = 0; i < 2; i++) {
    REQUIRE((m[i] = fl_model_new(fl_net_find("logistic", nullptr), &rows[i], &rows[i], 0.4, 0.3, err, sizeof err)));
    const fl_objective *o = fl_model_objective(m[i]);
    p.resize(o->layout->d), work.resize(o->work(o->self, n));
    o->init(o->self, 1, p.data());
  }
  const fl_rows all = { index, 5, nullptr, &key, 0, nullptr };
  for (auto &v : g) v.resize(p.size());
  const fl_objective *o = fl_model_objective(m[0]), *plainly = fl_model_objective(m[1]);
  REQUIRE(o->grad);
  loss[0] = o->grad(o->self, k, p.data(), &all, g[0].data(), work.data());
  loss[1] = plainly->loss_grad(plainly->self, k, p.data(), index, 5, g[1].data(), work.data());
  CHECK((loss[0] == loss[1] && !std::memcmp(g[0].data(), g[1].data(), p.size() * sizeof(float))));
  loss[2] = o->loss_grad(o->self, k, p.data(), index, 5, g[2].data(), work.data());
  CHECK(loss[2] != loss[0]);
  rows[0].augment = 0;
  fl_model *without = fl_model_new(fl_net_find("logistic", nullptr), &rows[0], &rows[0], 0.4, 0.3, err, sizeof err);
  const fl_objective *q = fl_model_objective(without);
  fl_eval a, b;
  CHECK(q->loss_grad(q->self, k, p.data(), index, 5, g[1].data(), work.data()) == loss[2]);
  o->evaluate(o->self, k, p.data(), 0, n, &a, work.data());
  q->evaluate(q->self, k, p.data(), 0, n, &b, work.data());
  CHECK((a.loss == b.loss && a.correct == b.correct));
  for (fl_model *each : { m[0], m[1], without }) fl_model_free(each);
}
