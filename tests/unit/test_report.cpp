// Statistics of a report's tables against their definitions, and what is refused of published figures.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/published.h"
#include "harness/report.h"
}

// Mass of Student's t with v degrees of freedom between -t and t: Simpson's rule over its density.
static double mass(double t, double v) {
  const double scale = std::exp(std::lgamma((v + 1) / 2) - std::lgamma(v / 2)) / std::sqrt(v * M_PI);
  const int n = 20000;
  double sum = 0;
  for (int i = 0; i <= n; i++) {
    const double x = t * i / n, density = scale * std::pow(1 + x * x / v, -(v + 1) / 2);
    sum += density * (i == 0 || i == n ? 1 : i % 2 ? 4 : 2);
  }
  return 2 * sum * t / n / 3;
}

TEST_CASE("the interval of a mean holds 95 % of Student's t") {
  for (size_t n = 2; n <= 200; n++) {
    INFO("of " << n << " values");
    CHECK(std::abs(mass(fl_student(n), (double)n - 1) - 0.95) < 2e-7);
  }
  CHECK(fl_student(1) == 0);
}

TEST_CASE("mean and sample deviation") {
  const double v[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
  const fl_spread s = fl_spread_of(v, 8), one = fl_spread_of(v, 1);
  CHECK(s.mean == 5);
  CHECK(std::abs(s.deviation - std::sqrt(32.0 / 7)) < 1e-15);
  CHECK((one.mean == 2 && one.deviation == 0 && one.n == 1));
  CHECK(std::isnan(fl_spread_of(v, 0).mean));
}

TEST_CASE("published figures are refused by line") {
  struct { const char *text, *error; } const cases[] = {
    { "row,column,accuracy,model\na,b,1.5,mlp\n", "" },
    { "row,column,accuracy,pick,note\r\n\"a, b\",c,1,best,\"two\nlines\"\r\n\r\nd,e,2,,\"say \"\"x\"\"\"\r\n", "" },
    { "row,accuracy\na,1\n", ":1: no column 'column'" },
    { "", ":1: no column 'row'" },
    { "row,column,accuracy,modell\na,b,1,mlp\n", ":1: column 'modell' is no key of these runs; allowed: row, column" },
    { "row,column,accuracy,model\na,b,1,mlp\n\na,b,1\n", ":4: 3 fields; allowed: as many as line 1 has, 4" },
    { "row,column,accuracy\n\"a\nb\",b,1\na,b,1,2\n", ":4: 4 fields" },
    { "row,column,accuracy\na,b,many\n", ":2: accuracy = 'many'; allowed: percent" },
    { "row,column,accuracy\na,b,\n", ":2: accuracy = ''" },
    { "row,column,accuracy,pick\na,b,1,worst\n", ":2: pick = 'worst'; allowed: best" },
  };
  char path[] = "/tmp/fedlane-published-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  json_t *known = json_pack("{s:b}", "model", 1);
  for (const auto &c : cases) {
    char err[500] = "";
    std::ofstream(path) << c.text;
    const int bad = fl_published_check(path, known, err, sizeof err);
    INFO(c.text << err);
    CHECK(bad == (*c.error ? -1 : 0));
    CHECK(std::string(err).find(*c.error ? std::string(path) + c.error : "") == 0);
  }
  json_decref(known);
  std::remove(path);
}
