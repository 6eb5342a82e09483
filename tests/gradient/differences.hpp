// Gradients against central differences: at a few places of every trained tensor, drawn from a seed.
#pragma once
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>
#include <fedlane/objective.h>

// step: of a coordinate. |difference - g| may be as large as of_tensor times the tensor's largest |g|, of_value times the
// difference and absolute together; with of_tensor no tensor's gradient may be 0 throughout.
struct Differences { double step, of_tensor, of_value, absolute; int draws; unsigned seed; };

// loss(): of p, whose coordinates are moved one at a time.
template <class Gradient, class Loss>
void check_differences(const Differences &how, const fl_layout &l, std::vector<double> &p, const Gradient &g, Loss &&loss) {
  std::mt19937 r(how.seed);
  for (size_t t = 0; t < l.n; t++) {
    const fl_tensor &tensor = l.tensor[t];
    if (tensor.role == FL_BUFFER) continue;
    double norm = 0;
    for (size_t i = 0; i < tensor.size; i++) norm = std::max(norm, std::fabs(double(g[tensor.offset + i])));
    INFO(tensor.name << ": |g| = " << norm);
    if (how.of_tensor > 0) CHECK(norm > 0);
    for (int draw = 0; draw < how.draws; draw++) {
      const size_t i = tensor.offset + r() % tensor.size;
      const double old = p[i];
      p[i] = old + how.step;
      const double up = loss();
      p[i] = old - how.step;
      const double down = loss(), slope = (up - down) / (2 * how.step);
      p[i] = old;
      INFO("coordinate " << i - tensor.offset << ": difference " << slope << ", gradient " << g[i]);
      CHECK(std::fabs(slope - g[i]) <= how.of_tensor * norm + how.of_value * std::fabs(slope) + how.absolute);
    }
  }
}
