// Philox known answers (Random123's kat_vectors), the element map, streams, and the laws of the draws with fixed seeds.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fedlane/kernels.h>
#include <numeric>
#include <set>
#include <vector>

namespace {
fl_key key(uint32_t round = 0, uint32_t client = 0, uint32_t step = 0) {
  return {0x123456789abcdef0u, FL_PURPOSE_TEST, round, client, step};
}

template <class F> void every_isa(F f) {
  for (int isa = 0; isa < FL_ISA_COUNT; isa++)
    if (const fl_kernels *k = fl_kernels_of(static_cast<fl_isa>(isa))) {
      INFO(k->name);
      f(k);
    }
}

// Kolmogorov-Smirnov distance of sorted draws to a distribution function, times sqrt(n): above 1.95 with chance 0.001.
template <class F> double ks(std::vector<double> x, F cdf) {
  std::sort(x.begin(), x.end());
  const double n = static_cast<double>(x.size());
  double d = 0;
  for (size_t i = 0; i < x.size(); i++) {
    const double p = cdf(x[i]), lo = static_cast<double>(i) / n;
    d = std::max({d, p - lo, lo + 1 / n - p});
  }
  return d * std::sqrt(n);
}
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
} // namespace

TEST_CASE("philox: known answers", "[random]") {
  struct { uint32_t c[4]; uint64_t k; uint32_t want[4]; } t[3] = {
    {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{~0u, ~0u, ~0u, ~0u}, ~UINT64_C(0), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822u, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (const auto &v : t) {
    uint32_t out[4];
    fl_philox(v.c, v.k, out);
    for (int i = 0; i < 4; i++)
      CHECK(out[i] == v.want[i]);
  }
}

TEST_CASE("bits: element i is word (i/16)%4 of block 16*(i/64) + i%16", "[random]") {
  const fl_key k = key(0xabcdef, 0xfedcba98, 77);
  every_isa([&](const fl_kernels *t) {
    std::vector<uint32_t> y(1000);
    t->bits(y.size(), y.data(), 5, &k);
    for (size_t i = 0; i < y.size(); i++) {
      const size_t e = i + 5;
      const uint32_t c[4] = {static_cast<uint32_t>(16 * (e / 64) + e % 16), k.step, k.client, (255u << 24) + k.round};
      uint32_t w[4];
      fl_philox(c, k.seed, w);
      REQUIRE(y[i] == w[e / 16 % 4]);
    }
  });
  fl_stream s;
  fl_stream_init(&s, &k);
  std::vector<uint32_t> y(300);
  fl_kernels_of(FL_ISA_SCALAR)->bits(y.size(), y.data(), 0, &k);
  for (uint32_t w : y)
    REQUIRE(fl_stream_u32(&s) == w);
  s.i = 70; // the position is the whole state
  CHECK(fl_stream_u32(&s) == y[70]);
}

TEST_CASE("draws: any offset and length, the same bits on every ISA", "[random]") {
  const fl_key k = key(3, 9, 1);
  const size_t n = 700;
  std::vector<uint32_t> b(n);
  std::vector<float> u(n), g(n);
  const fl_kernels *ref = fl_kernels_of(FL_ISA_SCALAR);
  ref->bits(n, b.data(), 0, &k);
  ref->uniform(n, u.data(), 0, &k);
  ref->gaussian(n, g.data(), 0, &k);
  every_isa([&](const fl_kernels *t) {
    for (size_t first : {0u, 1u, 15u, 16u, 63u, 64u, 65u, 130u})
      for (size_t len : {0u, 1u, 15u, 16u, 63u, 64u, 65u, 128u, 200u, 500u}) {
        std::vector<uint32_t> yb(len + 1, 7u);
        std::vector<float> yu(len + 1, 7.0f), yg(len + 1, 7.0f);
        t->bits(len, yb.data(), first, &k);
        t->uniform(len, yu.data(), first, &k);
        t->gaussian(len, yg.data(), first, &k);
        REQUIRE(std::memcmp(yb.data(), b.data() + first, 4 * len) == 0);
        REQUIRE(std::memcmp(yu.data(), u.data() + first, 4 * len) == 0);
        REQUIRE(std::memcmp(yg.data(), g.data() + first, 4 * len) == 0);
        REQUIRE((yb[len] == 7u && yu[len] == 7.0f && yg[len] == 7.0f));
      }
  });
  const size_t many = 1 << 17;
  std::vector<float> want(many), got(many);
  ref->gaussian(many, want.data(), 0, &k);
  every_isa([&](const fl_kernels *t) {
    t->gaussian(many, got.data(), 0, &k);
    CHECK(std::memcmp(want.data(), got.data(), 4 * many) == 0);
  });
}

TEST_CASE("gaussian: Box-Muller of the words, to rounding", "[random]") {
  const fl_key k = key(11);
  const size_t n = 1 << 16;
  std::vector<uint32_t> w(n);
  std::vector<float> g(n);
  const fl_kernels *t = fl_kernels_of(FL_ISA_SCALAR);
  t->bits(n, w.data(), 0, &k);
  t->gaussian(n, g.data(), 0, &k);
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t first = i & ~size_t{16}; // the pair's element with the radius
    const float u = std::fma(static_cast<float>(w[first] >> 16), 0x1p-16f,
                             std::fma(static_cast<float>(w[first] & 65535), 0x1p-32f, 0x1p-33f));
    const double r = std::sqrt(-2 * std::log(static_cast<double>(u))), a = w[first + 16] * (2 * M_PI * 0x1p-32);
    const double want = r * ((i & 16) ? std::sin(a) : std::cos(a));
    worst = std::max(worst, std::fabs(g[i] - want) / (std::fabs(want) + 1e-30));
  }
  CHECK(worst < 4 * 0x1p-24);
}

TEST_CASE("uniform and gaussian: their laws", "[random]") {
  const fl_key k = key(1);
  const size_t n = 200000;
  std::vector<float> y(n);
  const fl_kernels *t = fl_kernels_of(FL_ISA_SCALAR);
  t->uniform(n, y.data(), 0, &k);
  CHECK(*std::min_element(y.begin(), y.end()) >= 0.0f);
  CHECK(*std::max_element(y.begin(), y.end()) < 1.0f);
  CHECK(ks({y.begin(), y.end()}, [](double x) { return x; }) < 1.95);
  t->gaussian(n, y.data(), 0, &k);
  double m = 0, v = 0, q = 0;
  for (float x : y) {
    m += x;
    v += static_cast<double>(x) * x;
    q += static_cast<double>(x) * x * x * x;
  }
  CHECK(std::fabs(m / n) < 4 / std::sqrt(n));
  CHECK(std::fabs(v / n - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::fabs(q / n - 3) < 4 * std::sqrt(96.0 / n));
  CHECK(ks({y.begin(), y.end()}, normal_cdf) < 1.95);
}

TEST_CASE("rademacher and bernoulli: their words compared, and their laws", "[random]") {
  const fl_key k = key(12, 5, 7);
  const size_t n = 100000;
  std::vector<uint32_t> w(n);
  std::vector<float> y(n);
  every_isa([&](const fl_kernels *t) {
    t->bits(n, w.data(), 3, &k);
    t->rademacher(n, y.data(), 3, &k);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
      wrong += y[i] != (w[i] >> 31 ? -1.0f : 1.0f);
    CHECK(wrong == 0);
    for (double p : {-1.0, 0.0, 1e-300, 0.001, 0.1, 1.0 / 3, 0.5, 1 - 0x1p-32, 1 - 0x1p-33, 1.0, 2.0}) {
      INFO("p " << p);
      t->bernoulli(n, y.data(), 3, &k, p, 1.25f);
      size_t ones = 0;
      wrong = 0;
      for (size_t i = 0; i < n; i++) {
        wrong += y[i] != (static_cast<double>(w[i]) * 0x1p-32 < p ? 1.25f : 0.0f);
        ones += y[i] != 0;
      }
      CHECK(wrong == 0);
      const double q = std::min(1.0, std::max(0.0, p));
      CHECK(std::fabs(static_cast<double>(ones) - static_cast<double>(n) * q) <=
            4 * std::sqrt(static_cast<double>(n) * q * (1 - q)) + 1e-3);
    }
    // Words that lie on the limit: p is the word's own place, or the next above.
    t->bernoulli(1, y.data(), 3, &k, w[0] * 0x1p-32, 1.0f);
    CHECK(y[0] == 0.0f);
    t->bernoulli(1, y.data(), 3, &k, std::nextafter(w[0] * 0x1p-32, 1.0), 1.0f);
    CHECK(y[0] == 1.0f);
    t->bernoulli(1, y.data(), 3, &k, NAN, 1.0f);
    CHECK(y[0] == 0.0f);
  });
  // Runs of eight signs: 256 patterns, equally often.
  std::vector<double> seen(256);
  const fl_kernels *t = fl_kernels_of(FL_ISA_SCALAR);
  t->rademacher(n, y.data(), 0, &k);
  for (size_t i = 0; i + 8 <= n; i += 8) {
    size_t pattern = 0;
    for (size_t j = 0; j < 8; j++)
      pattern = 2 * pattern + (y[i + j] > 0);
    seen[pattern] += 1;
  }
  double chi = 0;
  for (double c : seen)
    chi += (c - n / 2048.0) * (c - n / 2048.0) / (n / 2048.0);
  CHECK(chi < 330.5); // 255 degrees, 0.001
  CHECK(chi > 189);   // and not too even
}

// The definition of kernels.h, element by element from Philox, with the C library's functions in double.
static double gamma_by_definition(fl_key k, size_t i, double alpha, const fl_kernels *t, bool *close) {
  const double a = alpha < 1 ? alpha + 1 : alpha, d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  const auto open = [](uint32_t w) { return (w + 0.5) * 0x1p-32; };
  const uint32_t step = k.step;
  *close = false;
  for (uint32_t attempt = 0;; attempt++) {
    float x;
    uint32_t w;
    k.step = step + 1 + 2 * attempt;
    t->gaussian(1, &x, i, &k);
    k.step = step + 2 + 2 * attempt;
    t->bits(1, &w, i, &k);
    const double s = 1 + c * static_cast<double>(x), v = s * s * s;
    if (s <= 0) continue;
    const double margin = static_cast<double>(x) * static_cast<double>(x) / 2 + d * (1 - v + std::log(v)) - std::log(open(w));
    *close |= std::fabs(margin) < 1e-4; // in floats it may go either way
    if (margin <= 0) continue;
    k.step = step;
    t->bits(1, &w, i, &k);
    return d * v * (alpha < 1 ? std::pow(open(w), 1 / alpha) : 1);
  }
}

TEST_CASE("gamma: the definition, its law, and each element for itself", "[random]") {
  const fl_key k = key(21, 3, 40);
  const size_t n = 40000;
  std::vector<float> y(n), part(n);
  for (double alpha : {0.1, 0.5, 1.0, 2.0, 30.0, 1e6}) {
    INFO("alpha " << alpha);
    const fl_kernels *t = fl_kernels_of(FL_ISA_SCALAR);
    t->gamma(n, y.data(), 0, &k, alpha);
    for (size_t i = 0; i < 4000; i++) {
      bool close;
      const double want = gamma_by_definition(k, i, alpha, t, &close);
      if (!close) REQUIRE(std::fabs(y[i] - want) <= 3e-5 * want + 1e-38);
    }
    double mean = 0, var = 0;
    for (float v : y) {
      mean += static_cast<double>(v) / n;
      var += (static_cast<double>(v) - alpha) * (static_cast<double>(v) - alpha) / n;
    }
    CHECK(std::fabs(mean - alpha) < 4 * std::sqrt(alpha / n));
    CHECK(std::fabs(var - alpha) < 4 * std::sqrt((2 * alpha * alpha + 6 * alpha) / n));
    const std::vector<double> sample(y.begin(), y.end());
    if (alpha == 0.5) CHECK(ks(sample, [](double v) { return std::erf(std::sqrt(v)); }) < 1.95);
    if (alpha == 1.0) CHECK(ks(sample, [](double v) { return 1 - std::exp(-v); }) < 1.95);
    if (alpha == 2.0) CHECK(ks(sample, [](double v) { return 1 - std::exp(-v) * (1 + v); }) < 1.95);
    every_isa([&](const fl_kernels *isa) {
      isa->gamma(n, part.data(), 0, &k, alpha);
      REQUIRE(std::memcmp(part.data(), y.data(), 4 * n) == 0);
      for (size_t first : {1u, 17u, 63u, 1000u, 1024u, 5000u})
        for (size_t len : {1u, 40u, 64u, 1023u, 3000u}) {
          isa->gamma(len, part.data(), first, &k, alpha);
          REQUIRE(std::memcmp(part.data(), y.data() + first, 4 * len) == 0);
        }
    });
  }
  for (double alpha : {0.0, -1.0, 1e31, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    fl_kernels_of(FL_ISA_SCALAR)->gamma(20, y.data(), 0, &k, alpha);
    CHECK(std::all_of(y.begin(), y.begin() + 20, [](float v) { return std::isnan(v); }));
  }
}

TEST_CASE("draws of neighbouring keys and neighbouring elements are not correlated", "[random]") {
  const size_t n = 1 << 16;
  const fl_key base = key(100, 200, 300);
  std::vector<fl_key> near(7, base);
  near[1].client++, near[2].step++, near[3].round++, near[4].seed++, near[5].purpose--, near[6].client = 300, near[6].step = 200;
  const fl_kernels *t = fl_kernels_of(FL_ISA_SCALAR);
  std::vector<float> x(n + 64), y(n);
  t->gaussian(n + 64, x.data(), 0, &base);
  const auto correlation = [&](const float *a, const float *b) {
    double s = 0;
    for (size_t i = 0; i < n; i++)
      s += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return s / std::sqrt(static_cast<double>(n)); // a standard normal number if they are independent
  };
  for (size_t i = 1; i < near.size(); i++) {
    INFO("key " << i);
    t->gaussian(n, y.data(), 0, &near[i]);
    CHECK(std::fabs(correlation(x.data(), y.data())) < 4);
  }
  for (size_t lag : {1u, 2u, 15u, 16u, 17u, 32u, 48u, 64u}) {
    INFO("lag " << lag);
    CHECK(std::fabs(correlation(x.data(), x.data() + lag)) < 4);
  }
}

TEST_CASE("stream: uniform, below, gaussian, gamma", "[random]") {
  const fl_key k = key(2);
  fl_stream s;
  fl_stream_init(&s, &k);
  const size_t n = 100000;
  std::vector<double> x(n);
  for (double &v : x)
    v = fl_stream_uniform(&s);
  CHECK(ks(x, [](double v) { return v; }) < 1.95);
  for (double &v : x)
    v = fl_stream_gaussian(&s);
  CHECK(ks(x, normal_cdf) < 1.95);
  std::vector<double> count(7);
  for (size_t i = 0; i < n; i++)
    count.at(fl_stream_below(&s, 7)) += 1;
  double chi = 0;
  for (double c : count)
    chi += (c - n / 7.0) * (c - n / 7.0) / (n / 7.0);
  CHECK(chi < 22.5); // 6 degrees, 0.001
  CHECK(fl_stream_below(&s, 1) == 0);
  for (double alpha : {0.05, 0.5, 1.0, 3.5}) {
    INFO("alpha " << alpha);
    double mean = 0, var = 0, low = 0;
    for (size_t i = 0; i < n; i++) {
      const double lg = fl_stream_log_gamma_draw(&s, alpha), g = std::exp(lg);
      mean += g / n;
      var += (g - alpha) * (g - alpha) / n;
      low += lg < -100;
    }
    CHECK(std::fabs(mean - alpha) < 5 * std::sqrt(alpha / n));
    CHECK(std::fabs(var - alpha) < 5 * std::sqrt((2 * alpha * alpha + 6 * alpha) / n));
    // Below e^-100 the density is x^(alpha-1)/Gamma(alpha): the chance is e^(-100 alpha)/Gamma(alpha+1).
    const double p = std::exp(-100 * alpha) / std::tgamma(alpha + 1);
    CHECK(std::fabs(low / n - p) < 5 * std::sqrt(p / n) + 1e-9);
  }
  for (int i = 0; i < 1000; i++) // no underflow, no infinity where a plain draw is always 0
    REQUIRE(std::isfinite(fl_stream_log_gamma_draw(&s, 1e-3)));
  std::vector<double> g(20000);
  for (double &v : g)
    v = std::exp(fl_stream_log_gamma_draw(&s, 1.0));
  CHECK(ks(g, [](double v) { return 1 - std::exp(-v); }) < 1.95);
}

TEST_CASE("permutation, shuffle, sample", "[random]") {
  const fl_key k = key(4);
  std::vector<uint32_t> p(1001), q(1001);
  fl_permutation(p.data(), p.size(), &k);
  for (uint32_t i = 0; i < q.size(); i++)
    q[i] = 3 * i;
  fl_shuffle(q.data(), q.size(), &k);
  for (size_t i = 0; i < p.size(); i++)
    REQUIRE(q[i] == 3 * p[i]);
  std::sort(p.begin(), p.end());
  for (uint32_t i = 0; i < p.size(); i++)
    REQUIRE(p[i] == i);
  // All 24 orders of four, and all 12 ordered pairs of four, equally often.
  std::vector<double> order(256), pairs(16);
  const int n = 24000;
  for (int i = 0; i < n; i++) {
    const fl_key r = key(5, static_cast<uint32_t>(i));
    uint32_t a[4];
    fl_permutation(a, 4, &r);
    order[a[0] + 4 * a[1] + 16 * a[2] + 64 * a[3]] += 1;
    fl_sample(a, 2, 4, &r);
    REQUIRE(a[0] != a[1]);
    pairs[a[0] + 4 * a[1]] += 1;
  }
  double chi = 0, chi2 = 0;
  for (double c : order)
    chi += c == 0 ? 0 : (c - n / 24.0) * (c - n / 24.0) / (n / 24.0);
  for (double c : pairs)
    chi2 += c == 0 ? 0 : (c - n / 12.0) * (c - n / 12.0) / (n / 12.0);
  CHECK(std::count(order.begin(), order.end(), 0.0) == 256 - 24);
  CHECK(std::count(pairs.begin(), pairs.end(), 0.0) == 4);
  CHECK(chi < 49.7);
  CHECK(chi2 < 31.3);
}

// The constants are from a reading of the definitions in Python's integers (Philox, element map, Lemire's bound, swaps in a plain
// list). The functions are compiled once for all instruction sets; on AArch64 the golden runs hold cohorts and batches, which
// they draw.
TEST_CASE("golden hashes of permutations and samples", "[random]") {
  auto hash = [](const std::vector<uint32_t> &items) { // FNV-1a of the little-endian bytes
    uint64_t h = 0xcbf29ce484222325u;
    for (uint32_t item : items)
      for (int shift = 0; shift < 32; shift += 8)
        h = (h ^ ((item >> shift) & 255u)) * 0x100000001b3u;
    return h;
  };
  const fl_key k[4] = {key(7), key(8), key(9), key(10)};
  std::vector<uint32_t> small(1001), large(60000), few(40), many(3000);
  fl_permutation(small.data(), small.size(), &k[0]);
  fl_permutation(large.data(), large.size(), &k[1]);
  fl_sample(few.data(), few.size(), 1000, &k[2]);
  fl_sample(many.data(), many.size(), 4000000000u, &k[3]); // some 7 of 100 words are rejected
  CHECK(hash(small) == 0x1ff29770bcd89524u);
  CHECK(hash(large) == 0x3fd99fce74872111u);
  CHECK(hash(few) == 0xbc40791356185245u);
  CHECK(hash(many) == 0x66e5186120b94b16u);
}

TEST_CASE("sample: few and many draws agree, distinct, in range", "[random]") {
  const fl_key k = key(6);
  // Few draws are resolved without memory, more by a table, most of the items by an array: the first draws are the same.
  std::vector<uint32_t> plain(5000), first(5000);
  for (size_t n : {1u, 2u, 17u, 100u, 700u, 5000u}) {
    fl_sample(plain.data(), n, n, &k);
    for (size_t m : {0u, 1u, 2u, 16u, 17u, 100u, 512u, 513u, 600u, 1200u, 1300u}) {
      if (m > n) continue;
      INFO(m << " of " << n);
      fl_sample(first.data(), m, n, &k);
      CHECK(std::equal(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(m), plain.begin()));
    }
  }
  // The plain reading: an array, whose place i changes with a place drawn from i on.
  std::vector<uint32_t> array(1000000), million(3000);
  std::iota(array.begin(), array.end(), 0u);
  fl_stream s;
  fl_stream_init(&s, &k);
  fl_sample(million.data(), million.size(), array.size(), &k);
  for (size_t i = 0; i < million.size(); i++) {
    std::swap(array[i], array[i + fl_stream_below(&s, static_cast<uint32_t>(array.size() - i))]);
    REQUIRE(million[i] == array[i]);
  }
  std::vector<uint32_t> few(512), many(1000), all(1000);
  fl_sample(few.data(), few.size(), 1000, &k);
  fl_sample(many.data(), many.size(), 1000, &k);
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK(std::set<uint32_t>(many.begin(), many.end()).size() == 1000);
  CHECK(*std::max_element(many.begin(), many.end()) == 999);
  std::vector<uint32_t> big(300);
  fl_sample(big.data(), big.size(), 4000000000u, &k);
  CHECK(std::set<uint32_t>(big.begin(), big.end()).size() == 300);
  CHECK(*std::max_element(big.begin(), big.end()) < 4000000000u);
}
