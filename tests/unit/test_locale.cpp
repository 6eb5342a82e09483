// The library inside a program with a decimal comma. Hidden: tests/e2e/locale.sh makes such a locale and asks for it.
#include <catch2/catch.hpp>
#include <clocale>
#include <cstdlib>
#include <fedlane/session.h>
#include <map>
#include <string>

TEST_CASE("numbers have a point in any locale", "[.comma]") {
  REQUIRE(std::setlocale(LC_ALL, "") != nullptr);
  REQUIRE(std::string(std::localeconv()->decimal_point) == ",");
  const size_t methods = fl_method_count();
  char err[1024] = "";
  for (size_t i = 0; i < methods; i++) {        // their own defaults have decimal points
    fl_algorithm a;
    const fl_setting set[] = { { "name", fl_method_at(i)->name, "test" }, { "lr", "0.25", "test" } };
    INFO(fl_method_at(i)->name << ": " << err);
    REQUIRE(fl_algorithm_build(set, 2, &a, err, sizeof err) == 0);
    CHECK(a.h_run[FL_H_LR] == 0.25);
    std::map<std::string, std::string> said;
    fl_algorithm_each(&a, [](void *self, const char *key, const char *value, int) {
      (*static_cast<std::map<std::string, std::string> *>(self))[key] = value;
      CHECK(std::strtod("0,5", nullptr) == 0.5);           // the caller's function has the caller's locale
    }, &said);
    CHECK(said["lr"] == "0.25");
  }
  fl_algorithm a;
  const fl_setting comma[] = { { "name", "fedavg", "test" }, { "lr_decay", "0,5", "test" } };
  CHECK(fl_algorithm_build(comma, 2, &a, err, sizeof err) == -1);
  CHECK(std::string(err) == "test: lr_decay = '0,5'; allowed: a number above 0 to 1");
  const fl_param fraction = { "fraction", 0.5, 0.25, 0.75, nullptr, "", 0 };
  const fl_setting outside = { "fraction", "0.875", "test" };
  double v;
  CHECK(fl_param_read(&fraction, &outside, &v, err, sizeof err) == -1);
  CHECK(std::string(err) == "test: fraction = '0.875'; allowed: a number from 0.25 to 0.75");
  const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { 1, 0, 0, 0 }, 0, 1 };
  const fl_layout layout = { 1, 1, 0, &tensor };
  fl_objective objective = {};
  objective.layout = &layout, objective.n = 1;
  objective.init = [](void *, uint64_t, float *) {};
  objective.loss_grad = [](void *, const fl_kernels *, const float *, const uint32_t *, size_t, float *, void *) { return 0.0; };
  const size_t offset[] = { 0, 1 };
  const uint32_t index[] = { 0 };
  fl_problem problem = {};
  problem.objective = &objective, problem.clients = 1, problem.offset = offset, problem.index = index;
  fl_options options = {};
  options.participation = 1.5;
  fl_session *s;
  CHECK(fl_open(&s, &problem, &a, &options, err, sizeof err) == -1);
  CHECK(std::string(err) == "participation = 1.5; allowed: above 0, at most 1");
  CHECK(std::strtod("0,5", nullptr) == 0.5);    // the caller's locale is still there
}
