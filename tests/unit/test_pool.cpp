// Pooling with any window, stride and padding, of every ISA, against plain loops in the documented order, bit for bit.
#include "plain.hpp"

namespace {
const float inf = std::numeric_limits<float>::infinity();
struct Plain {
  fl_pool s;
  size_t planes, oh, ow;
  floats y, dx;
  std::vector<uint8_t> at;
  explicit Plain(const fl_pool &shape, size_t n) : s(shape), planes(n), oh(0), ow(0) {
    while (oh * s.stride + s.k <= s.h + 2 * s.pad) oh++;
    while (ow * s.stride + s.k <= s.w + 2 * s.pad) ow++;
    y.resize(n * oh * ow), at.resize(y.size()), dx.resize(n * s.h * s.w);
  }
  // f(place in the input, ky * k + kx) for those of window (plane, oy, ox) that are inside, in order.
  template <class F> void inside(size_t c, size_t oy, size_t ox, F f) const {
    for (size_t i = 0; i < s.k; i++)
      for (size_t j = 0; j < s.k; j++) {
        const size_t a = oy * s.stride + i, b = ox * s.stride + j;
        if (a >= s.pad && b >= s.pad && a < s.h + s.pad && b < s.w + s.pad)
          f((c * s.h + a - s.pad) * s.w + b - s.pad, i * s.k + j);
      }
  }
  template <class F> void windows(F f) const {
    for (size_t i = 0; i < planes * oh * ow; i++) f(i, i / (oh * ow), i / ow % oh, i % ow);
  }
  void max(const floats &x) {
    windows([&](size_t i, size_t c, size_t oy, size_t ox) {
      bool first = true;
      inside(c, oy, ox, [&](size_t from, size_t place) {
        if (first || x[from] > y[i] || x[from] != x[from]) y[i] = x[from], at[i] = (uint8_t)place;
        first = false;
      });
    });
  }
  void max_back(const floats &dy) {
    windows([&](size_t i, size_t c, size_t oy, size_t ox) {
      inside(c, oy, ox, [&](size_t to, size_t place) { if (place == at[i]) dx[to] += dy[i]; });
    });
  }
  float share(size_t c, size_t oy, size_t ox) const {
    size_t n = 0;
    inside(c, oy, ox, [&](size_t, size_t) { n++; });
    return s.count_pad ? (float)(s.k * s.k) : (float)n;
  }
  void mean(const floats &x) {
    windows([&](size_t i, size_t c, size_t oy, size_t ox) {
      inside(c, oy, ox, [&](size_t from, size_t) { y[i] += x[from]; });
      y[i] /= share(c, oy, ox);
    });
  }
  void mean_back(const floats &dy) {
    windows([&](size_t i, size_t c, size_t oy, size_t ox) {
      const float d = dy[i] / share(c, oy, ox);
      inside(c, oy, ox, [&](size_t to, size_t) { dx[to] += d; });
    });
  }
};

std::vector<fl_pool> shapes() {
  std::vector<fl_pool> all;
  const size_t sizes[][2] = { { 1, 1 }, { 1, 9 }, { 6, 1 }, { 5, 7 }, { 8, 8 }, { 13, 38 }, { 17, 70 } };
  for (const auto &size : sizes)
    for (size_t k : { 1, 2, 3, 4, 7, 16 })
      for (size_t stride : { 1, 2, 3, 4, 9 })
        for (size_t pad = 0; pad <= k / 2; pad += k > 4 ? 3 : 1)
          if (size[0] + 2 * pad >= k && size[1] + 2 * pad >= k)
            all.push_back({ size[0], size[1], k, stride, pad, int(stride + pad) % 2 });
  for (size_t width : { 31, 32, 33 }) {         // the last of sixteen windows reaches over the edge
    all.push_back({ 5, width, 3, 1, 1, 0 });
    all.push_back({ 5, width, 5, 1, 2, 0 });
  }
  all.push_back({ 3, 5000, 3, 1, 1, 0 });
  all.push_back({ 600, 20, 5, 2, 2, 1 });
  all.push_back({ 19, 300, 16, 1, 8, 0 });
  return all;
}
// Small planes go sixteen side by side, and what is left over as others do: a few, or more than a few.
size_t some_planes(const fl_pool &s) { return s.h * s.w > 1024 ? 2 : (s.k + s.stride) % 2 ? 19 : 24; }

std::string text(const fl_pool &s) {
  return std::to_string(s.h) + "x" + std::to_string(s.w) + " k " + std::to_string(s.k) + " stride " + std::to_string(s.stride) +
         " pad " + std::to_string(s.pad) + " count_pad " + std::to_string(s.count_pad);
}
}

TEST_CASE("Maxima of windows, where they are, and their gradient equal plain loops", "[layer][pool]") {
  for (const fl_pool &s : shapes()) {
    INFO(text(s));
    for (int special = 0; special < 2; special++) {
      Plain p(s, some_planes(s));
      floats x = draw(p.dx.size(), 31), dy = draw(p.y.size(), 32);
      for (size_t i = 0; i < x.size(); i++) {
        x[i] = std::floor(x[i] * 2.0f);          // equal numbers
        if (special && i % 11 == 3) x[i] = nan_f;
        if (special && i < x.size() / 3) x[i] = -inf;
      }
      if (special) dy[0] = nan_f, dy.back() = inf;
      p.max(x), p.max_back(dy);
      each_isa([&](const fl_kernels *t) {
        floats y(p.y.size(), 7.0f), dx(p.dx.size(), 7.0f);
        std::vector<uint8_t> at(y.size(), 255);
        t->max_pool(&s, p.planes, x.data(), y.data(), at.data());
        CHECK(same(y, p.y));
        CHECK(at == p.at);
        t->max_pool_back(&s, p.planes, dy.data(), at.data(), dx.data());
        CHECK(same(dx, p.dx));
      });
    }
  }
}

TEST_CASE("Means of windows and their gradient equal plain loops", "[layer][pool]") {
  std::vector<fl_pool> all = shapes();
  all.push_back({ 66, 90, 64, 1, 32, 0 });
  all.push_back({ 140, 200, 64, 70, 10, 1 });
  all.push_back({ 64, 127, 64, 63, 0, 0 });
  for (const fl_pool &s : all) {
    INFO(text(s));
    for (int special = 0; special < 2; special++) {
      Plain p(s, some_planes(s));
      floats x = draw(p.dx.size(), 33), dy = draw(p.y.size(), 34);
      if (special) x[0] = nan_f, x.back() = -inf, dy.back() = nan_f, dy[0] = -inf;
      p.mean(x), p.mean_back(dy);
      each_isa([&](const fl_kernels *t) {
        floats y(p.y.size(), 7.0f), dx(p.dx.size(), 7.0f);
        t->avg_pool(&s, p.planes, x.data(), y.data());
        CHECK(same(y, p.y));
        t->avg_pool_back(&s, p.planes, dy.data(), dx.data());
        CHECK(same(dx, p.dx));
      });
    }
  }
}

TEST_CASE("Windows of 2x2 with stride 2 are maxpool2", "[layer][pool]") {
  const size_t sizes[][3] = { { 2, 2, 3 }, { 28, 28, 3 }, { 5, 7, 3 }, { 3, 67, 3 }, { 2, 2, 50 }, { 4, 4, 7 }, { 6, 2, 11 },
                              { 2, 8, 9 }, { 8, 8, 5 }, { 16, 16, 3 }, { 2, 16, 1 }, { 5, 16, 2 }, { 3, 4, 9 }, { 6, 6, 5 } };
  for (const auto &size : sizes) {
    const fl_pool s = { size[0], size[1], 2, 2, 0, 1 };
    const size_t planes = size[2], in = planes * s.h * s.w, out = planes * fl_pool_oh(&s) * fl_pool_ow(&s);
    floats x = draw(in, 35), dy = draw(out, 36);
    for (float &v : x) v = std::floor(v * 2.0f) + 0.0f;
    for (float &v : dy) v += 0.0f;               // the sum of a window's -0 is +0
    x[s.w + 1] = nan_f;
    if (planes > 3) x[in / 2] = nan_f, x[in / 3] = -inf, dy[out / 2] = inf;
    each_isa([&](const fl_kernels *t) {
      floats y(out), y2(out), dx(in), dx2(in);
      std::vector<uint8_t> at(out), at2(out);
      t->max_pool(&s, planes, x.data(), y.data(), at.data());
      t->maxpool2(planes, s.h, s.w, x.data(), y2.data(), at2.data());
      CHECK((same(y, y2) && at == at2));
      t->max_pool_back(&s, planes, dy.data(), at.data(), dx.data());
      t->maxpool2_back(planes, s.h, s.w, dy.data(), at.data(), dx2.data());
      CHECK(same(dx, dx2));
    });
  }
}
