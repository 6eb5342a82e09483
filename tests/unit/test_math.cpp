// exp and log: <= 2 ULP against the C library in double, special values, tails, and the same bits through every table.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fedlane/kernels.h>
#include <limits>
#include <string>
#include <vector>

namespace {
using Op = void (*)(size_t, float *, const float *);
const float inf = std::numeric_limits<float>::infinity();

std::vector<float> inputs() {
  std::vector<float> x = {0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, std::nanf(""), 0x1p-149f, -0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f,
                          0x1.fffffep127f, -0x1.fffffep127f, 88.72283f, 88.72284f, 88.9f, 89.0f, 89.1f, -87.33655f, -87.3f, -95.5f,
                          -103.2f, -103.97f, -103.98f, -104.9f, -105.1f, 0x1.fffffep-1f, 0x1.000002p0f, 0x1.6a09e6p-1f, 0x1.6a09e8p-1f,
                          0x1.6a09e4p-1f};
  uint32_t b = 12345;
  for (int i = 0; i < 1 << 20; i++) { // every second one of a size where exp is neither 0 nor infinite
    b = b * 1664525u + 1013904223u;
    uint32_t u = b ^ (b >> 15);
    if (i % 2)
      u = (u & 0x807fffffu) | ((100u + (b >> 9) % 34u) << 23);
    float f;
    std::memcpy(&f, &u, 4);
    x.push_back(f);
  }
  return x;
}

double ulps(float got, double want) {
  if (std::isnan(want) || std::isnan(got))
    return std::isnan(want) && std::isnan(got) ? 0 : 1e9;
  const float w = static_cast<float>(want);
  if (std::isinf(w) || std::isinf(got))
    return w == got ? 0 : (std::isinf(w) ? std::fabs(got) : std::fabs(want)) >= 0x1.fffffap127 ? 1 : 1e9;
  int e;
  std::frexp(want, &e);
  return std::fabs(got - want) / std::ldexp(1.0, (e < -125 ? -125 : e) - 24);
}

bool same(float a, float b) { return std::isnan(a) ? std::isnan(b) : std::memcmp(&a, &b, 4) == 0; }

void accuracy(Op op, double (*exact)(double)) {
  const std::vector<float> x = inputs();
  std::vector<float> y(x.size());
  op(x.size(), y.data(), x.data());
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); i++) {
    const double u = ulps(y[i], exact(static_cast<double>(x[i])));
    if (u > worst) {
      worst = u;
      at = x[i];
    }
  }
  INFO("largest error at x = " << at);
  CHECK(worst <= 2.0);
}

void every_isa(Op fl_kernels::*op) {
  const std::vector<float> x = inputs();
  std::vector<float> want(x.size()), got(x.size());
  (fl_kernels_of(FL_ISA_SCALAR)->*op)(x.size(), want.data(), x.data());
  for (int isa = FL_ISA_SCALAR_FMA; isa < FL_ISA_COUNT; isa++) {
    const fl_kernels *k = fl_kernels_of(static_cast<fl_isa>(isa));
    if (!k)
      continue;
    (k->*op)(x.size(), got.data(), x.data());
    size_t bad = 0;
    while (bad < x.size() && same(want[bad], got[bad]))
      bad++;
    INFO(k->name << ": first difference at " << bad);
    CHECK(bad == x.size());
    for (size_t n = 0; n < 40; n++) { // tails: in place, nothing behind the end
      std::vector<float> t(x.begin() + 7, x.begin() + 7 + 64);
      (k->*op)(n, t.data(), t.data());
      for (size_t i = 0; i < 64; i++)
        REQUIRE(same(t[i], i < n ? want[7 + i] : x[7 + i]));
    }
  }
}
} // namespace

TEST_CASE("exp: accuracy and special values", "[math]") {
  const fl_kernels *k = fl_kernels_of(FL_ISA_SCALAR);
  REQUIRE(k);
  accuracy(k->exp, [](double v) { return std::exp(v); });
  const float x[6] = {inf, -inf, std::nanf(""), 0.0f, -0.0f, -103.5f};
  float y[6];
  k->exp(6, y, x);
  CHECK(y[0] == inf);
  CHECK((y[1] == 0 && !std::signbit(y[1])));
  CHECK(std::isnan(y[2]));
  CHECK((y[3] == 1 && y[4] == 1));
  CHECK(y[5] == 0x1p-149f);
}

TEST_CASE("log: accuracy and special values", "[math]") {
  const fl_kernels *k = fl_kernels_of(FL_ISA_SCALAR);
  REQUIRE(k);
  accuracy(k->log, [](double v) { return std::log(v); });
  const float x[7] = {inf, -inf, std::nanf(""), 0.0f, -0.0f, 1.0f, -0x1p-149f};
  float y[7];
  k->log(7, y, x);
  CHECK(y[0] == inf);
  CHECK((std::isnan(y[1]) && std::isnan(y[2]) && std::isnan(y[6])));
  CHECK((y[3] == -inf && y[4] == -inf));
  CHECK((y[5] == 0 && !std::signbit(y[5])));
}

TEST_CASE("exp and log: the same bits on every ISA", "[math]") {
  every_isa(&fl_kernels::exp);
  every_isa(&fl_kernels::log);
}
