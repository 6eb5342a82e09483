// Detection, double functions, reductions against a plain reading of the contract, Newton-Schulz against the worked numbers
// of federated-adaptive 21.
#include <catch2/catch.hpp>
#include "kernels/isa.h"
#include "worked.hpp"
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace {
double ulps(double got, long double want) {
  if (got == (double)want) {
    return std::fabs((double)((got - want) / (long double)(std::nextafter(std::fabs(got), INFINITY) - std::fabs(got))));
  }
  const double w = (double)want, ulp = std::nextafter(std::fabs(w), INFINITY) - std::fabs(w);
  return (double)(std::fabs((long double)got - want) / (long double)ulp);
}

std::vector<const fl_kernels *> tables() {
  std::vector<const fl_kernels *> all;
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (const fl_kernels *k = fl_kernels_of((fl_isa)i)) { all.push_back(k); }
  }
  return all;
}

std::vector<float> numbers(size_t n, uint32_t seed) {
  std::vector<float> x(n);
  for (float &v : x) {
    seed = seed * 1664525u + 1013904223u;
    v = ((float)(seed >> 8) - 8388608.0f) * (seed & 64 ? 0x1p-23f : 0x1p-13f);
  }
  return x;
}

// The contract read aloud: 32 partials, halving, chunks of 4096, left child = largest power of two below n.
template <class Term> double leaf(size_t first, size_t n, Term term) {
  double p[32] = { 0 };
  for (size_t i = 0; i < n; i++) { p[i % 32] = term(p[i % 32], first + i); }
  for (int half = 16; half; half /= 2) {
    for (int j = 0; j < half; j++) { p[j] += p[j + half]; }
  }
  return p[0];
}
template <class Term> double tree(size_t chunk, size_t chunks, size_t n, Term term) {
  if (chunks <= 1) { return leaf(chunk * 4096, std::min<size_t>(4096, n - chunk * 4096), term); }
  size_t left = 1;
  while (left * 2 < chunks) { left *= 2; }
  return tree(chunk, left, n, term) + tree(chunk + left, chunks - left, n, term);
}
template <class Term> double reduced(size_t n, Term term) { return tree(0, (n + 4095) / 4096, n, term); }
} // namespace

TEST_CASE("every table names itself and passes the start-up self-test") {
  for (const fl_kernels *k : tables()) {
    CHECK(std::string(k->name) == fl_isa_name(k->isa));
    const char *broken = fl_kernels_self_test(k);
    INFO(k->name << ": " << (broken ? broken : ""));
    CHECK(broken == nullptr);
  }
}

static void flushing_scale(size_t n, float *y, float a, const float *x) {
  for (size_t i = 0; i < n; i++) { y[i] = std::fabs(a * x[i]) < 0x1p-126f ? 0.0f : a * x[i]; }
}
static void unfused_axpy(size_t n, float *y, float a, const float *x) {
  for (size_t i = 0; i < n; i++) {
    const volatile float p = a * x[i];
    y[i] = p + y[i];
  }
}

TEST_CASE("the self-test finds flushed subnormals and unfused multiply-add") {
  fl_kernels k = *fl_kernels_of(FL_ISA_SCALAR);
  k.scale = flushing_scale;
  CHECK(fl_kernels_self_test(&k) != nullptr);
  k = *fl_kernels_of(FL_ISA_SCALAR);
  k.axpy = unfused_axpy;
  CHECK(fl_kernels_self_test(&k) != nullptr);
}

TEST_CASE("choice of a table") {
  const char *error = nullptr;
  fl_isa_info info;
  fl_isa_detect(&info);
  CHECK((info.cpu & info.os & info.built & (1u << FL_ISA_SCALAR)) != 0);
  CHECK(fl_kernels_of(FL_ISA_SCALAR)->isa == FL_ISA_SCALAR);
  CHECK(fl_kernels_select("sse9", &error) == nullptr);
  REQUIRE(error != nullptr);
  CHECK(std::string(error).find("sse9") != std::string::npos);
  CHECK(std::string(error).find("scalar, avx2, avx512, neon") != std::string::npos);
  const fl_kernels *scalar = fl_kernels_select("scalar", &error);
  REQUIRE(scalar != nullptr);
  CHECK(error == nullptr);
  CHECK((scalar->isa == FL_ISA_SCALAR || scalar->isa == FL_ISA_SCALAR_FMA));
  for (int i = FL_ISA_AVX2; i < FL_ISA_COUNT; i++) {
    const fl_kernels *k = fl_kernels_select(fl_isa_name((fl_isa)i), &error);
    CHECK(k == fl_kernels_of((fl_isa)i));
    CHECK((k == nullptr) == (error != nullptr));
  }
  setenv("FEDLANE_MAX_CPU_ISA", "scalar", 1);
  CHECK(fl_kernels_select(nullptr, &error) == scalar);
  setenv("FEDLANE_MAX_CPU_ISA", "fast", 1);
  CHECK(fl_kernels_select(nullptr, &error) == nullptr);
  CHECK(std::string(error).find("FEDLANE_MAX_CPU_ISA") != std::string::npos);
  unsetenv("FEDLANE_MAX_CPU_ISA");
  CHECK(fl_kernels_select(nullptr, &error) != nullptr);
}

TEST_CASE("a CPU's report counts only as far as the operating system enables the registers") {
  const unsigned S = 1u << FL_ISA_SCALAR_FMA, A = 1u << FL_ISA_AVX2, W = 1u << FL_ISA_AVX512;
  /* Intel's manual, CPUID: leaf 1 ecx bits 12, 27, 28; leaf 7 ebx bits 5, 16, 17, 30, 31. XCR0: 0 x87, 1 SSE, 2 AVX, 5-7
   * AVX-512. */
  const unsigned one = 1u << 12 | 1u << 27 | 1u << 28, seven = 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const struct { const char *what; unsigned leaf1, leaf7; uint64_t xcr0; unsigned cpu, os; } machine[] = {
    { "everything", one, seven, 0xe7, S | A | W, S | A | W },
    { "AVX-512 reported, zmm not enabled", one, seven, 0x07, S | A | W, S | A },
    { "AVX-512 reported, upper zmm not enabled", one, seven, 0x67, S | A | W, S | A },
    { "AVX-512 reported, masks not enabled", one, seven, 0xc7, S | A | W, S | A },
    { "AVX-512 reported, ymm not enabled", one, seven, 0xe3, S | A | W, 0 },
    { "nothing but SSE enabled", one, seven, 0x03, S | A | W, 0 },
    { "XCR0 cannot be read", one & ~(1u << 27), seven, 0xe7, S | A | W, 0 },
    { "without AVX-512VL", one, seven & ~(1u << 31), 0xe7, S | A, S | A | W },
    { "without AVX-512DQ", one, seven & ~(1u << 17), 0xe7, S | A, S | A | W },
    { "without AVX-512BW", one, seven & ~(1u << 30), 0xe7, S | A, S | A | W },
    { "AVX2 alone", one, 1u << 5, 0x07, S | A, S | A },
    { "AVX and FMA without AVX2", one, 0, 0x07, S, S | A },
    { "AVX without FMA", one & ~(1u << 12), 1u << 5, 0x07, 0, S | A },
    { "FMA without AVX (a mask of the hypervisor)", one & ~(1u << 28), seven, 0xe7, 0, S | A | W },
    { "a CPU of 2008", 0, 0, 0, 0, 0 },
  };
  for (const auto &m : machine) {
    fl_isa_info info = {};
    fl_isa_of_x86(m.leaf1, m.leaf7, m.xcr0, &info);
    INFO(m.what);
    CHECK(info.cpu == m.cpu);
    CHECK(info.os == m.os);
  }
}

TEST_CASE("the floating-point environment is set and given back") {
  std::fesetround(FE_UPWARD);
  const uint64_t old = fl_fpenv_enter();
  volatile float one = 1.0f, tiny = 0x1p-25f;
  CHECK(one + tiny == 1.0f);
  fl_fpenv_restore(old);
  CHECK(one + tiny > 1.0f);
  std::fesetround(FE_TONEAREST);
}

TEST_CASE("double functions are within 1.5 ULP and right at the edges") {
  double worst_exp = 0, worst_log = 0, worst_cos = 0;
  uint64_t s = 1;
  for (int i = 0; i < 200000; i++) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    const double u = (double)(s >> 11) * 0x1p-53, x = (u - 0.5) * 1400.0, near_one = 0.25 + 4.0 * u;
    worst_exp = std::max(worst_exp, ulps(fl_exp(x), expl((long double)x)));
    worst_log = std::max(worst_log, ulps(fl_log(near_one), logl((long double)near_one)));
    worst_log = std::max(worst_log, ulps(fl_log(std::exp(x)), logl((long double)std::exp(x))));
    const double f = u * 0.49; // the zero of cosine apart: near it the reference's own pi is too short
    worst_cos = std::max(worst_cos, ulps(fl_cos_pi(f), cosl(3.14159265358979323846264338327950288L * (long double)f)));
  }
  INFO("exp " << worst_exp << " log " << worst_log << " cos " << worst_cos);
  CHECK(worst_exp < 1.5);
  CHECK(worst_log < 1.5);
  CHECK(worst_cos < 1.5);
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(fl_exp(0.0) == 1.0);
  CHECK(fl_exp(-inf) == 0.0);
  CHECK(fl_exp(inf) == inf);
  CHECK(fl_exp(710.0) == inf);
  CHECK(fl_exp(-746.0) == 0.0);
  CHECK(fl_exp(-745.0) == std::exp(-745.0)); // the smallest subnormal
  CHECK(std::isnan(fl_exp(NAN)));
  CHECK(fl_log(1.0) == 0.0);
  CHECK(fl_log(0.0) == -inf);
  CHECK(fl_log(inf) == inf);
  CHECK(std::isnan(fl_log(-1.0)));
  CHECK(std::isnan(fl_log(NAN)));
  CHECK(ulps(fl_log(5e-324), logl((long double)5e-324)) < 1.5);
  CHECK(fl_cos_pi(0.0) == 1.0);
  CHECK(fl_cos_pi(0.5) == 0.0);
  CHECK(fl_cos_pi(-1.0) == -1.0);
  CHECK(fl_cos_pi(1.5) == 0.0);
  CHECK(fl_cos_pi(2.0) == 1.0);
  CHECK(fl_cos_pi(1e300) == 1.0);
  CHECK(fl_cos_pi(0.75) == -fl_cos_pi(0.25));
  CHECK(std::isnan(fl_cos_pi(inf)));
}

TEST_CASE("log Gamma: 50 digits of another program, integers, both zeros, edges") {
  static const double known[][2] = { // mpmath 1.3 at the double that is written
    { 5e-324, 744.44007192138126231 }, { 1e-300, 690.77552789821370518 }, { 1e-10, 23.025850929882735237 },
    { 0.03125, 3.4484891277979584797 }, { 0.1, 2.252712651734205902 }, { 0.25, 1.2880225246980774574 },
    { 0.4375, 0.70547614598544527359 }, { 0.5, 0.57236494292470008707 }, { 0.75, 0.20328095143129537148 },
    { 0.9, 0.066376239734742954426 }, { 0.999, 0.00057803853289138023817 }, { 1.0009765625, -0.0005629031799912046317 },
    { 1.125, -0.060023184126039582931 }, { 1.398763139, -0.11953620540291710708 }, { 1.5, -0.12078223763524522235 },
    { 1.75, -0.084401121020485555958 }, { 1.999, -0.00042246180069210728418 }, { 2.0009765625, 0.00041318279306425426426 },
    { 2.4, 0.21685932244884157388 }, { 2.5, 0.28468287047291915963 }, { 2.75, 0.47521466691493713031 },
    { 3.0, 0.69314718055994530942 }, { 3.5, 1.2009736023470742248 }, { 4.25, 2.1144569274503714755 },
    { 5.0, 3.1780538303479456196 }, { 6.75, 6.1159158914315454158 }, { 7.999, 8.5231457861589154881 },
    { 8.0, 8.5251613610654143002 }, { 8.5, 9.5492672573009977117 }, { 10.0, 12.801827480081469611 },
    { 12.3, 18.238983407092243696 }, { 25.0, 54.78472939811231919 }, { 100.0, 359.13420536957539878 },
    { 170.5, 704.00442773420467079 }, { 1000.0, 5905.2204232091812118 }, { 60001.0, 600132.41046209695989 },
    { 123456.789, 1323902.0187950631743 }, { 1e8, 1.7420680661038347093e+9 }, { 1e15, 3.353877639491066891e+16 },
    { 1e100, 2.2925850929940457206e+102 }, { 1e300, 6.8977552789821374147e+302 }
  };
  for (const auto &k : known) {
    INFO("x " << k[0]);
    CHECK(std::fabs(fl_lgamma(k[0]) - k[1]) <= 1.4e-15 * std::fabs(k[1]));
  }
  long double factorial = 0;
  for (int n = 2; n <= 2000; n++) {
    CHECK(ulps(fl_lgamma(double(n) + 1), factorial += logl((long double)n)) < 6);
    const double x = double(n) * 0.0137, rise = fl_lgamma(x + 1) - fl_lgamma(x); // Gamma(x + 1) = x Gamma(x)
    CHECK(std::fabs(rise - std::log(x)) < 1e-14 * (1 + std::fabs(fl_lgamma(x + 1))));
  }
  CHECK(fl_lgamma(1.0) == 0.0);
  CHECK(fl_lgamma(2.0) == 0.0);
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(fl_lgamma(0.0) == inf);
  CHECK(fl_lgamma(inf) == inf);
  CHECK(fl_lgamma(1e306) == inf);
  CHECK(std::isnan(fl_lgamma(-0.5)));
  CHECK(std::isnan(fl_lgamma(-inf)));
  CHECK(std::isnan(fl_lgamma(NAN)));
}

TEST_CASE("integer powers and sample pieces") {
  CHECK(fl_pow_int(0.9, 0) == 1.0);
  CHECK(fl_pow_int(0.9, 1) == 0.9);
  CHECK(fl_pow_int(2.0, 1000) == std::ldexp(1.0, 1000));
  CHECK(fl_pow_int(0.999, 5) == ((0.999 * 0.999) * (0.999 * 0.999)) * 0.999);
  CHECK(fl_pow_int(0.5, UINT64_MAX) == 0.0);
  CHECK(fl_sample_piece(0) == 32);
  CHECK(fl_sample_piece(1) == 32);
  CHECK(fl_sample_piece(100) == 32);
  CHECK(fl_sample_piece(128) == 32);
  CHECK(fl_sample_piece(129) == 16);
  CHECK(fl_sample_piece(784) == 4);
  CHECK(fl_sample_piece(4096) == 1);
  CHECK(fl_sample_piece(1000000) == 1);
}

TEST_CASE("reductions follow the order of the contract") {
  for (size_t n : { 0, 1, 31, 32, 33, 100, 4095, 4096, 4097, 12288, 12289, 20481, 61706 }) {
    const std::vector<float> x = numbers(n, 7), y = numbers(n, 11);
    for (const fl_kernels *k : tables()) {
      INFO(k->name << " n = " << n);
      CHECK(k->sum(n, x.data()) == reduced(n, [&](double p, size_t i) { return p + (double)x[i]; }));
      CHECK(k->dot(n, x.data(), y.data()) ==
            reduced(n, [&](double p, size_t i) { return std::fma((double)x[i], (double)y[i], p); }));
      CHECK(k->sumsq(n, x.data()) == reduced(n, [&](double p, size_t i) { return std::fma((double)x[i], (double)x[i], p); }));
      CHECK(k->sumsq_diff(n, x.data(), y.data()) == reduced(n, [&](double p, size_t i) {
              const double d = (double)x[i] - (double)y[i];
              return std::fma(d, d, p);
            }));
      float m = 0.0f;
      for (float v : x) { m = std::max(m, std::fabs(v)); }
      CHECK(k->absmax(n, x.data()) == m);
    }
  }
}

TEST_CASE("absmax keeps a NaN wherever it stands") {
  for (const fl_kernels *k : tables()) {
    for (size_t at = 0; at < 130; at++) {
      std::vector<float> x(130, std::numeric_limits<float>::infinity());
      x[at] = -NAN;
      CHECK(std::isnan(k->absmax(x.size(), x.data())));
    }
  }
}

TEST_CASE("state that decays is stored without subnormals, and zero learning rate keeps the parameters") {
  for (const fl_kernels *k : tables()) {
    std::vector<float> y(20, 0.5f), m(20, 0x1p-126f), v(20, 0x1p-126f), g(20, 0.0f), u(20, 1.0f);
    const fl_adamw_args a = { 0.9f, 0.1f, 0.9f, 0.1f, 1.0f, 0.0f, 1e-8f };
    k->adamw(20, y.data(), m.data(), v.data(), g.data(), &a);
    for (size_t i = 0; i < 20; i++) { CHECK((m[i] == 0.0f && v[i] == 0.0f && y[i] == 0.5f)); }
    std::fill(m.begin(), m.end(), -0x1p-126f);
    k->muon_momentum(20, m.data(), u.data(), g.data(), 0.95f, 0.05f, 0);
    for (size_t i = 0; i < 20; i++) { CHECK((m[i] == 0.0f && !std::signbit(m[i]) && u[i] == 0.0f)); }
    std::fill(m.begin(), m.end(), 0x1p-126f);
    const fl_momentum_args s = { 0.9f, 1.0f, 0.1f, 1.0f, 0 };
    k->momentum(20, y.data(), m.data(), g.data(), &s);
    for (size_t i = 0; i < 20; i++) { CHECK((m[i] == 0.0f && y[i] == 0.5f)); }
  }
}

TEST_CASE("Newton-Schulz gives the worked numbers") {
  static const float u[6] = { 1, 2, 3, 4, 5, 6 }, ut[6] = { 1, 4, 2, 5, 3, 6 };
  for (const fl_kernels *k : tables()) {
    std::vector<float> work(fl_newton_schulz_work(2, 3)), o(6), t(ut, ut + 6);
    fl_newton_schulz(k, 2, 3, u, o.data(), 5, work.data());
    fl_newton_schulz(k, 3, 2, t.data(), t.data(), 5, work.data()); // in place, tall
    for (int i = 0; i < 6; i++) {
      CHECK(o[i] == Approx(worked::newton_schulz[i]).margin(1e-5));
      CHECK(t[(i % 3) * 2 + i / 3] == o[i]);
    }
    // 1 x 1: the normalised value is 1, so the table's scalar map f, f(f) ... applies.
    for (int steps = 1; steps <= 5; steps++) {
      const float one = 3.0f;
      float r, scratch[4];
      REQUIRE(fl_newton_schulz_work(1, 1) <= 4);
      fl_newton_schulz(k, 1, 1, &one, &r, steps, scratch);
      CHECK(r == Approx(worked::map[0].f[steps - 1]).margin(1e-5));
    }
    // A diagonal with singular values 1 : 1/2 : 1/10 maps each by f alone; the norm divides by |X|_F first.
    const float d[9] = { 1, 0, 0, 0, 0.5f, 0, 0, 0, 0.1f };
    std::vector<float> w9(fl_newton_schulz_work(3, 3)), o9(9);
    fl_newton_schulz(k, 3, 3, d, o9.data(), 5, w9.data());
    for (int i = 0; i < 3; i++) {
      double s = (double)d[4 * i] / std::sqrt(1.26);
      for (int j = 0; j < 5; j++) { s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * s * s * s * s * s; }
      CHECK(o9[4 * i] == Approx(s).margin(1e-5));
    }
  }
}

// The pieces are too short for the stores past the caches.
TEST_CASE("arrays that no cache holds get the bits of short ones, and nothing behind them is written", "[kernels]") {
  constexpr size_t piece = 1000003, n = (size_t{ 1 } << 23) + 37, at = 3;
  const std::vector<float> g = numbers(n, 1), y = numbers(n, 2);
  const fl_mix_args mix = { 0.9f, 0.1f, 0.2f, 0.3f };
  for (const fl_kernels *k : tables()) {
    if (k->isa == FL_ISA_SCALAR) { continue; } // the source of scalar+fma, and slow
    INFO(k->name);
    std::vector<float> far(n + at + 1, 7.0f), near(n), m = g, m_near = g;
    const auto compare = [&](auto &&step) {
      step(size_t{ 0 }, n, far.data() + at, m.data());
      for (size_t i = 0; i < n; i += piece) { step(i, std::min(piece, n - i), near.data() + i, m_near.data() + i); }
      CHECK(std::memcmp(far.data() + at, near.data(), n * sizeof(float)) == 0);
      CHECK((far[at - 1] == 7.0f && far[at + n] == 7.0f));
    };
    compare([&](size_t i, size_t count, float *out, float *) { k->mix(count, out, &g[i], &y[i], &g[i], &y[i], &mix); });
    compare([&](size_t i, size_t count, float *out, float *) { k->add(count, out, &g[i], &y[i]); });
    compare([&](size_t i, size_t count, float *out, float *) { k->sub(count, out, &g[i], &y[i]); });
    compare([&](size_t i, size_t count, float *out, float *) { k->scale(count, out, 0.3f, &g[i]); });
    compare([&](size_t i, size_t count, float *out, float *) { k->stretch(count, out, &g[i], &y[i], 0.01f); });
    compare([&](size_t i, size_t count, float *out, float *s) { k->muon_momentum(count, s, out, &y[i], 0.9f, 0.1f, 1); });
    CHECK(m == m_near);
  }
}
