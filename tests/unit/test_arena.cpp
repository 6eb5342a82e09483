// Where the arrays of a network are put, against the definition.
#include <catch2/catch.hpp>
#include <algorithm>
#include <random>
#include <vector>
extern "C" {
#include "models/plan.h"
}

namespace {
// The definition: the largest first, each at the lowest place that nothing before it has while it is needed.
std::vector<size_t> by_definition(const std::vector<fl_span> &span) {
  std::vector<size_t> order(span.size()), at(span.size(), 0), done;
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return span[a].bytes > span[b].bytes; });
  for (const size_t i : order) {
    const auto in_the_way = [&](size_t j) {
      return span[i].first <= span[j].last && span[j].first <= span[i].last && at[i] < at[j] + span[j].bytes &&
             at[j] < at[i] + span[i].bytes;
    };
    while (std::any_of(done.begin(), done.end(), in_the_way)) at[i] += 64;
    done.push_back(i);
  }
  return at;
}
}

TEST_CASE("Arrays lie at the lowest free place, the largest first", "[network]") {
  std::mt19937 r(7);
  for (const size_t steps : { 3u, 12u, 60u })
    for (const size_t sizes : { 1u, 2u, 9u })
      for (const size_t n : { 0u, 1u, 2u, 17u, 70u }) {
        std::vector<fl_span> span;
        for (size_t i = 0; i < n; i++) {
          const size_t a = r() % steps, b = r() % steps;
          span.push_back({ std::min(a, b), r() % 3 ? std::min(a, b) : std::max(a, b), 64 * (r() % (sizes + 1)), r() });
        }
        const std::vector<size_t> want = by_definition(span);
        size_t most = 0;
        const size_t total = fl_spans_place(span.data(), n);
        INFO(n << " spans of up to " << sizes << " lines over " << steps << " steps");
        for (size_t i = 0; i < n; i++) {
          CHECK(span[i].offset == want[i]);
          most = std::max(most, want[i] + span[i].bytes);
        }
        CHECK(total == most);
      }
}
