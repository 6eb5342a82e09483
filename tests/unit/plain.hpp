// plain.hpp - what tests of kernels share: draws, equality to the bit, sums in the documented order, every table.
#ifndef FEDLANE_TESTS_PLAIN_HPP
#define FEDLANE_TESTS_PLAIN_HPP
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>
#include <fedlane/kernels.h>

using floats = std::vector<float>;
const float nan_f = std::numeric_limits<float>::quiet_NaN();

inline floats draw(size_t n, uint32_t seed) {
  fl_key key = {};
  key.seed = seed;
  key.purpose = FL_PURPOSE_TEST;
  fl_stream s;
  fl_stream_init(&s, &key);
  floats v(n);
  for (float &x : v) {
    x = (float)(fl_stream_uniform(&s) * 4.0 - 2.0);
    if (fl_stream_below(&s, 16) == 0) x = fl_stream_below(&s, 2) ? -0.0f : x * 1e-24f;
  }
  return v;
}

inline uint32_t bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return x != x ? 0x7fc00000u : u;
}

inline bool same(const floats &a, const floats &b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (bits(a[i]) != bits(b[i])) {
      UNSCOPED_INFO("element " << i << ": " << a[i] << " against " << b[i]);
      return false;
    }
  }
  return true;
}

// The documented order: a chain from +0 inside a piece, pieces by the tree.
inline float tree(const floats &leaf, size_t from, size_t n) {
  if (n == 1) return leaf[from];
  size_t left = 1;
  while (2 * left < n) left *= 2;
  return tree(leaf, from, left) + tree(leaf, from + left, n - left);
}

inline float chain(size_t k, size_t piece, const std::function<float(size_t, float)> &step) {
  floats leaf;
  for (size_t i = 0; i < k; i += piece) {
    float acc = 0.0f;
    for (size_t j = i; j < k && j < i + piece; j++) acc = step(j, acc);
    leaf.push_back(acc);
  }
  return (leaf.empty() ? 0.0f : tree(leaf, 0, leaf.size())) + 0.0f;
}

template <class F> void each_isa(F f) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    const fl_kernels *k = fl_kernels_of((fl_isa)i);
    if (!k) continue;
    INFO("ISA " << k->name);
    f(k);
  }
}
#endif
