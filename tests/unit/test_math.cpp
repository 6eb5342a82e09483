// The functions of kernels/math: exp and log <= 2 ULP against the C library in double (all: tests/exhaustive), special values,
// tails, and the same bits through every table.
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
                          0x1.fffffep127f, -0x1.fffffep127f, 88.72283f, 88.72284f, 88.9f, 89.0f, 89.1f, -87.33655f, -87.3f,
                          -95.5f, -103.2f, -103.97f, -103.98f, -104.9f, -105.1f, 0x1.fffffep-1f, 0x1.000002p0f, 0x1.6a09e6p-1f,
                          0x1.6a09e8p-1f, 0x1.6a09e4p-1f};
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

namespace {
struct Special {
  const char *name;
  Op fl_kernels::*op;
  float at_inf, at_minus_inf, at_zero, at_minus_zero; // NaN gives NaN everywhere
};
const Special specials[] = {
    {"exp", &fl_kernels::exp, inf, 0.0f, 1.0f, 1.0f},
    {"log", &fl_kernels::log, inf, NAN, -inf, -inf},
    {"expm1", &fl_kernels::expm1, inf, -1.0f, 0.0f, -0.0f},
    {"log1p", &fl_kernels::log1p, inf, NAN, 0.0f, -0.0f},
    {"tanh", &fl_kernels::tanh, 1.0f, -1.0f, 0.0f, -0.0f},
    {"sigmoid", &fl_kernels::sigmoid, 1.0f, 0.0f, 0.5f, 0.5f},
    {"erf", &fl_kernels::erf, 1.0f, -1.0f, 0.0f, -0.0f},
    {"gelu", &fl_kernels::gelu, inf, -0.0f, 0.0f, -0.0f},
    {"gelu_tanh", &fl_kernels::gelu_tanh, inf, -0x1.8p-148f, 0.0f, -0.0f},
};
// NaN, infinities, zeros, and the smallest subnormals, which an odd function must not lose.
const float ends[7] = {NAN, inf, -inf, 0.0f, -0.0f, 0x1p-149f, -0x1p-149f};
} // namespace

TEST_CASE("functions: special values", "[math]") {
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  REQUIRE(k);
  for (const Special &s : specials) {
    INFO(s.name);
    float y[7];
    (k->*s.op)(7, y, ends);
    const float want[5] = {NAN, s.at_inf, s.at_minus_inf, s.at_zero, s.at_minus_zero};
    for (int i = 0; i < 5; i++) {
      INFO("at " << ends[i]);
      CHECK(same(y[i], want[i]));
    }
    if (s.op == &fl_kernels::expm1 || s.op == &fl_kernels::log1p || s.op == &fl_kernels::tanh || s.op == &fl_kernels::erf) {
      CHECK((y[5] == 0x1p-149f && y[6] == -0x1p-149f));
    }
  }
  const float beyond[2] = {-1.0f, -0x1.000002p0f};
  float y[2];
  k->log1p(2, y, beyond);
  CHECK(y[0] == -inf);
  CHECK(std::isnan(y[1]));
}

TEST_CASE("sincospi: exact where the exact value is a float", "[math]") {
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  REQUIRE(k);
  const float x[] = {0.0f, -0.0f, 0.5f, -0.5f, 1.0f, -1.0f, 1.5f, 2.0f, -3.0f, 2.5f, 0x1p22f + 0.5f, 0x1p23f + 1.0f, 0x1p30f,
                     -0x1p127f};
  const float sine[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.0f, -0.0f, -1.0f, 0.0f, -0.0f, 1.0f, 1.0f, 0.0f, 0.0f, -0.0f};
  const float cosine[] = {1.0f, 1.0f, 0.0f, 0.0f, -1.0f, -1.0f, 0.0f, 1.0f, -1.0f, 0.0f, 0.0f, -1.0f, 1.0f, 1.0f};
  constexpr size_t n = sizeof x / sizeof *x;
  float s[n], c[n];
  k->sincospi(n, s, c, x);
  for (size_t i = 0; i < n; i++) {
    INFO("at " << x[i]);
    CHECK(same(s[i], sine[i]));
    CHECK(same(c[i], cosine[i]));
  }
  k->sincospi(3, s, c, ends);
  CHECK((std::isnan(s[0]) && std::isnan(s[1]) && std::isnan(s[2]) && std::isnan(c[0]) && std::isnan(c[1]) && std::isnan(c[2])));
}

TEST_CASE("GELU: derivatives at the ends, and times dy", "[math]") {
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  REQUIRE(k);
  for (auto back : {k->gelu_back, k->gelu_tanh_back}) {
    const float x[5] = {NAN, inf, -inf, 0.0f, 0.0f}, dy[5] = {1.0f, 3.0f, 3.0f, 3.0f, NAN};
    float dx[5];
    back(5, dx, dy, x);
    CHECK(std::isnan(dx[0]));
    CHECK(dx[1] == 3.0f);
    CHECK(dx[2] == 0.0f);
    CHECK(dx[3] == 1.5f);
    CHECK(std::isnan(dx[4]));
  }
}

TEST_CASE("functions: the same bits on every ISA", "[math]") {
  for (const Special &s : specials) {
    INFO(s.name);
    every_isa(s.op);
  }
}
