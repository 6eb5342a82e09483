// small.hpp - what a method of the catalogue needs to run on the tests' few clients and samples, beside its defaults.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

// A method that runs on a model with adapters alone: test_ilora.cpp asks of it what other tests ask of every method.
inline bool on_adapters(const std::string &method) { return method == "ilora"; }

inline std::vector<std::pair<std::string, std::string>> small_settings(const std::string &method) {
  static const std::map<std::string, std::pair<std::string, std::string>> needs = {
    { "fltrust", { "root_samples", "10" } }, { "fedbcgd", { "blocks", "2" } }, { "fedbcgd_plus", { "blocks", "2" } } };
  const auto at = needs.find(method);
  std::vector<std::pair<std::string, std::string>> set = { { "name", method } };
  if (at != needs.end()) set.push_back(at->second);
  return set;
}
