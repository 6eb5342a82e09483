// The tests are written for Catch2 2 (one header, as in Debian 12); this is found in its place when version 3 is installed,
// which has other headers and other names.
#ifndef FEDLANE_CATCH3_HPP
#define FEDLANE_CATCH3_HPP
#include <catch2/catch_all.hpp>
#include <string>
using Catch::Approx;
namespace Catch {
inline auto Contains(const std::string &text) { return Matchers::ContainsSubstring(text); }
}
#endif
