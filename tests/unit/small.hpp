// small.hpp - what a method of the catalogue needs to run on the tests' few clients and samples, beside its defaults.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

inline std::vector<std::pair<std::string, std::string>> small_settings(const std::string &method) {
  static const std::map<std::string, std::pair<std::string, std::string>> needs = {
    { "fltrust", { "root_samples", "10" } }, { "fedbcgd", { "blocks", "2" } }, { "fedbcgd_plus", { "blocks", "2" } } };
  const auto at = needs.find(method);
  std::vector<std::pair<std::string, std::string>> set = { { "name", method } };
  if (at != needs.end()) set.push_back(at->second);
  return set;
}
