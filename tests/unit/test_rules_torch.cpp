// The rules that PyTorch has too, against its double-precision results in tests/fixtures/rules.json (scripts/torch_rules.py).
#include "rules.hpp"
#include <jansson.h>
#include <sstream>

namespace {
rules::Floats floats(const json_t *a) {
  rules::Floats x;
  for (size_t i = 0; i < json_array_size(a); i++) x.push_back(float(json_number_value(json_array_get(a, i))));
  return x;
}
} // namespace

TEST_CASE("rules against PyTorch's optimizers on a quadratic", "[rules]") {
  json_error_t error;
  json_t *root = json_load_file(FEDLANE_FIXTURES "/rules.json", 0, &error);
  INFO(FEDLANE_FIXTURES "/rules.json: " << error.text);
  REQUIRE(root);
  const rules::Floats a = floats(json_object_get(root, "curvature")), b = floats(json_object_get(root, "centre")),
                      start = floats(json_object_get(root, "start"));
  const json_t *cases = json_object_get(root, "cases"), *steps = json_object_get(root, "steps");
  REQUIRE(json_array_size(cases) == 20);
  for (size_t c = 0; c < json_array_size(cases); c++) {
    const std::string text = json_string_value(json_object_get(json_array_get(cases, c), "settings"));
    const json_t *points = json_object_get(json_array_get(cases, c), "points");
    INFO(text);
    rules::Settings set;
    std::istringstream words(text);
    for (std::string word; words >> word;) set.push_back({ word.substr(0, word.find('=')), word.substr(word.find('=') + 1) });
    rules::Flat flat(start.size());
    if (const json_t *shape = json_object_get(json_array_get(cases, c), "shape")) {
      flat.tensor.role = FL_MATRIX, flat.tensor.ndim = 2;
      for (size_t i = 0; i < 2; i++) flat.tensor.shape[i] = size_t(json_integer_value(json_array_get(shape, i)));
    }
    rules::Run run(set, &flat.layout, start, 20);
    run.gradient = [&](uint64_t, const float *y, float *g) {
      for (size_t i = 0; i < start.size(); i++) g[i] = float(double(a[i]) * (double(y[i]) - double(b[i])));
    };
    run.steps(20);
    run.path.push_back(run.y);
    for (size_t s = 0; s < json_array_size(steps); s++) {
      const size_t k = size_t(json_integer_value(json_array_get(steps, s)));
      INFO("after step " << k);
      for (size_t i = 0; i < start.size(); i++) {
        const double want = json_number_value(json_array_get(json_array_get(points, s), i));
        CHECK(std::fabs(double(run.path[k][i]) - want) <= 1e-5 * std::max(1.0, std::fabs(want)));
      }
    }
  }
  json_decref(root);
}
