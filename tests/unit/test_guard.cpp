// The regression guard's statistics: U and p against SciPy's (fixtures/u_test.py), verdicts of samples where it is plain, and
// what keeps a file from judging.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>
extern "C" {
#include "harness/guard.h"
}

namespace {

using Values = std::vector<double>;

struct Strata {
  std::vector<size_t> na, nb;
  Values a, b;
  fl_timings view() const { return { na.size(), na.data(), nb.data(), a.data(), b.data() }; }
};

// Of `launches` launches with n samples each: `before`, `now`, scattered by `noise`; neighbours share a drift.
Strata samples(double before, double now, double noise, double drift, size_t launches = 3, size_t n = 5, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Strata s;
  for (size_t k = 0; k < launches; k++) {
    s.na.push_back(n);
    s.nb.push_back(n);
    const double level = std::exp(drift * normal(engine));
    for (size_t i = 0; i < n; i++) {
      s.a.push_back(before * level * std::exp(noise * normal(engine)));
      s.b.push_back(now * level * std::exp(noise * normal(engine)));
    }
  }
  return s;
}

fl_judgement judged(const Strata &s, double min_effect, int paired = 1) {
  const fl_timings t = s.view();
  return fl_judge(&t, paired, min_effect);
}

} // namespace

TEST_CASE("U and its p are SciPy's") {
  json_t *file = json_load_file(FEDLANE_FIXTURES "/u_test.json", 0, nullptr), *one = nullptr;
  const json_t *cases = json_object_get(file, "cases");
  REQUIRE(json_array_size(cases) >= 20);
  size_t i = 0;
  json_array_foreach(cases, i, one) {
    Strata s;
    for (const char *side : { "a", "b" }) {
      size_t k = 0, j = 0;
      json_t *stratum = nullptr, *value = nullptr;
      json_array_foreach(json_object_get(one, side), k, stratum) {
        (*side == 'a' ? s.na : s.nb).push_back(json_array_size(stratum));
        json_array_foreach(stratum, j, value) (*side == 'a' ? s.a : s.b).push_back(json_number_value(value));
      }
    }
    const fl_timings t = s.view();
    double u = -1;
    const double p = fl_u_test(&t, &u), truth = json_number_value(json_object_get(one, "p"));
    INFO("case " << i);
    CHECK(u == json_number_value(json_object_get(one, "u")));
    CHECK(p == Approx(truth).epsilon(1e-9));
  }
  json_decref(file);
}

TEST_CASE("a median of samples") {
  const double v[] = { 5, 1, 4, 2 };
  CHECK(fl_median(v, 4) == 3);
  CHECK(fl_median(v, 3) == 4);
  CHECK(fl_median(v, 1) == 5);
  CHECK(std::isnan(fl_median(v, 0)));
}

TEST_CASE("what samples say") {
  SECTION("a change beyond the least effect has a direction") {
    const fl_judgement slower = judged(samples(100, 105, 0.003, 0), 0.02), faster = judged(samples(100, 95, 0.003, 0), 0.02);
    CHECK(slower.verdict == FL_SLOWER);
    CHECK(slower.effect == Approx(0.05).margin(0.005));
    CHECK((slower.low > 0.04 && slower.high < 0.06 && slower.low <= slower.effect && slower.effect <= slower.high));
    CHECK(slower.p < 1e-4);
    CHECK(faster.verdict == FL_FASTER);
    CHECK(faster.effect == Approx(-0.05).margin(0.005));
  }
  SECTION("a change below is none, however sure it is") {
    const fl_judgement j = judged(samples(100, 101, 0.001, 0), 0.02);
    CHECK(j.verdict == FL_SAME);
    CHECK(j.p < 1e-4);
    CHECK(judged(samples(100, 101, 0.001, 0), 0.005).verdict == FL_SLOWER);
  }
  SECTION("what launches differ in, neighbours share") {
    CHECK(judged(samples(100, 105, 0.003, 0.3), 0.02).verdict == FL_SLOWER);
    CHECK(judged(samples(100, 105, 0.003, 0.3), 0.02, 0).verdict == FL_NOISY);
  }
  SECTION("samples that scatter by more than the effect say nothing") {
    CHECK(judged(samples(100, 100, 0.2, 0), 0.02).verdict == FL_NOISY);
    CHECK(judged(samples(100, 105, 0.2, 0), 0.02).verdict == FL_NOISY);
  }
  SECTION("a launch that points the other way is the luck of its memory") {
    Strata s = samples(100, 105, 0.001, 0);
    for (size_t i = 0; i < 5; i++) { std::swap(s.a[i], s.b[i]); }
    CHECK(judged(s, 0.02).verdict == FL_NOISY);
  }
  SECTION("of six launches two that point the other way are too many, however few of their neighbours do") {
    Strata s = samples(100, 105, 0.001, 0, 6);
    for (size_t k : { 0, 5 }) {
      for (size_t i = 0; i < 3; i++) { std::swap(s.a[5 * k + i], s.b[5 * k + i]); }
    }
    CHECK((judged(s, 0.02).p < 0.01 && judged(s, 0.02).low > 0));
    CHECK(judged(s, 0.02).verdict == FL_NOISY);
    for (size_t i = 0; i < 3; i++) { std::swap(s.a[i], s.b[i]); }
    CHECK(judged(s, 0.02).verdict == FL_SLOWER);
  }
  SECTION("neighbours alone do not make a change: U must differ, too") {
    Strata s = samples(100, 105, 0, 0);
    for (size_t i = 0; i < s.a.size(); i++) { s.a[i] *= 1 + 0.2 * (double)(i % 5), s.b[i] *= 1 + 0.2 * (double)(i % 5); }
    CHECK((judged(s, 0.02).p > 0.01 && judged(s, 0.02).low > 0));
    CHECK(judged(s, 0.02).verdict == FL_NOISY);
  }
  SECTION("eight samples decide nothing") {
    CHECK(judged(samples(100, 120, 0.001, 0, 2, 4), 0.02).verdict == FL_NOISY);
    CHECK(judged(samples(100, 120, 0.001, 0, 3, 3), 0.02).verdict == FL_SLOWER);
  }
  SECTION("equal samples are the same") { CHECK(judged(samples(100, 100, 0, 0), 0.02).verdict == FL_SAME); }
}

TEST_CASE("equal programs are seldom called unequal, a slower one is found") {
  int alarms = 0, found = 0;
  for (unsigned seed = 0; seed < 1000; seed++) {
    alarms += judged(samples(100, 100, 0.01, 0.05, 3, 5, seed), 0.02).verdict > FL_SAME &&
              judged(samples(100, 100, 0.01, 0.05, 3, 5, seed), 0.02).verdict != FL_NOISY;
    found += judged(samples(100, 105, 0.01, 0.05, 3, 5, seed), 0.02).verdict == FL_SLOWER;
  }
  CHECK(alarms <= 5); // one look; the guard wants two that agree
  CHECK(found >= 950);
}

TEST_CASE("intervals hold the truth") {
  int paired = 0, unpaired = 0;
  for (unsigned seed = 0; seed < 1000; seed++) {
    const Strata s = samples(100, 103, 0.02, 0, 3, 5, seed);
    const fl_judgement p = judged(s, 0.02), q = judged(s, 0.02, 0);
    paired += p.low <= 0.03 && 0.03 <= p.high;
    unpaired += q.low <= 0.03 && 0.03 <= q.high;
  }
  CHECK(paired >= 980); // of 990 and more expected
  CHECK(unpaired >= 975);
}

TEST_CASE("counts decide by their effect, unless they do not repeat") {
  const size_t two = 2;
  const auto counts = [&](Values a, Values b) {
    const fl_timings t = { 1, &two, &two, a.data(), b.data() };
    return fl_judge_counts(&t, 0.01).verdict;
  };
  CHECK(counts({ 1000, 1000 }, { 1009, 1009 }) == FL_SAME);
  CHECK(counts({ 1000, 1000 }, { 1011, 1011 }) == FL_SLOWER);
  CHECK(counts({ 1000, 1001 }, { 980, 981 }) == FL_FASTER);
  CHECK(counts({ 1000, 1000 }, { 1011, 1031 }) == FL_NOISY);
  CHECK(counts({ 1000, 1006 }, { 1031, 1031 }) == FL_NOISY);
}

TEST_CASE("looks until two agree") {
  const auto decide = [](const std::vector<fl_verdict> &looks) { return fl_decide(looks.data(), looks.size()); };
  CHECK(decide({ FL_SAME }) == FL_SAME);
  CHECK(decide({ FL_SLOWER }) == -1);
  CHECK(decide({ FL_NOISY }) == -1);
  CHECK(decide({ FL_SLOWER, FL_SLOWER }) == FL_SLOWER);
  CHECK(decide({ FL_SLOWER, FL_SAME }) == -1);
  CHECK(decide({ FL_SLOWER, FL_SAME, FL_SAME }) == FL_SAME);
  CHECK(decide({ FL_NOISY, FL_FASTER, FL_FASTER }) == FL_FASTER);
  CHECK(decide({ FL_SLOWER, FL_FASTER, FL_NOISY, FL_NOISY }) == FL_NOISY);
  CHECK(decide({ FL_NOISY, FL_NOISY, FL_SLOWER, FL_SLOWER }) == FL_SLOWER);
}

TEST_CASE("what keeps a file from judging is named") {
  const auto context = [](const char *cpu, const char *flags, const char *threads, const char *metric) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "machine_cpu", cpu, "machine_architecture", "x86_64",
                     "machine_isa_used", "avx2", "machine_threads", threads, "machine_compiler", "GNU 12", "machine_flags", flags,
                     "pages", "huge", "metric", metric);
  };
  const auto differs = [&](json_t *a, json_t *b) {
    char what[512];
    const int n = fl_guard_differs(a, b, what, sizeof what);
    json_decref(a);
    json_decref(b);
    CHECK((n != 0) == (what[0] != 0));
    return std::string(what);
  };
  const auto one = [&] { return context("A", "-O3", "2", "time"); };
  CHECK(differs(one(), one()) == "");
  CHECK(differs(one(), context("B", "-O3", "2", "time")) == "machine_cpu is A there, B here");
  CHECK(differs(one(), context("A", "-O2", "4", "time")) ==
        "machine_threads is 2 there, 4 here; machine_flags is -O3 there, -O2 here");
  CHECK(differs(context("A", "-O3", "2", "callgrind"), context("A", "-O3", "4", "callgrind")) == ""); // rows of one thread only
  for (const char *key : { "machine_cpu", "machine_architecture", "machine_isa_used", "machine_threads", "machine_compiler",
                           "machine_flags", "pages", "metric" }) {
    json_t *changed = one();
    json_object_set_new(changed, key, json_string("other"));
    CHECK(differs(one(), changed).find(std::string(key) + " is ") == 0);
  }
  CHECK(differs(json_object(), one()).find("machine_cpu is unknown there, A here") == 0);
}
