// Attention against softmax(scale q k^T) v in double, both forms and blocked lengths, and its gradients against that formula's.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>
#include <fedlane/kernels.h>

namespace {
using floats = std::vector<float>;
using doubles = std::vector<double>;

floats draw(size_t n, unsigned seed) {
  std::mt19937 r(seed);
  floats v(n);
  for (float &x : v) x = float(int(r() % 4001) - 2000) / 1000.0f;
  return v;
}

// One head of one sample, dense: values and, with dy, gradients by the chain rule of the formula.
struct Head {
  size_t length, dim;
  bool causal;
  double scale;
  doubles q, k, v, dy, y, dq, dk, dv, factor;   // factor: of each query's and key's p, empty: none
  double dot(const doubles &a, size_t i, const doubles &b, size_t j) const {
    double sum = 0;
    for (size_t c = 0; c < dim; c++) sum += a[i * dim + c] * b[j * dim + c];
    return sum;
  }
  double value() { // sum dy*y
    double total = 0;
    y.assign(length * dim, 0);
    dq.assign(length * dim, 0), dk = dq, dv = dq;
    for (size_t t = 0; t < length; t++) {
      const size_t keys = causal ? t + 1 : length;
      doubles p(keys);
      double sum = 0, mean = 0;
      for (size_t j = 0; j < keys; j++) sum += p[j] = std::exp(scale * dot(q, t, k, j));
      const auto f = [&](size_t j) { return factor.empty() ? 1 : factor[t * length + j]; };
      for (size_t j = 0; j < keys; j++) {
        p[j] /= sum;
        mean += p[j] * f(j) * dot(dy, t, v, j);
        for (size_t c = 0; c < dim; c++) y[t * dim + c] += p[j] * f(j) * v[j * dim + c];
      }
      for (size_t j = 0; j < keys; j++) {
        const double slope = p[j] * (f(j) * dot(dy, t, v, j) - mean) * scale;
        for (size_t c = 0; c < dim; c++) {
          dq[t * dim + c] += slope * k[j * dim + c];
          dk[j * dim + c] += slope * q[t * dim + c];
          dv[j * dim + c] += p[j] * f(j) * dy[t * dim + c];
        }
      }
      total += dot(dy, t, y, t);
    }
    return total;
  }
};

double distance(const doubles &a, const doubles &b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); i++) error += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(error / (norm + 1e-20));
}

// What `dropout` makes of ones, at the elements of all pairs: none where nothing is dropped.
doubles factors(const fl_attention &s, size_t n) {
  if (!s.draws) return {};
  const size_t size = n * fl_attention_drawn(&s);
  floats y(size), ones(size, 1);
  std::vector<uint32_t> mask(fl_dropout_words(size));
  fl_kernels_of(FL_ISA_SCALAR)->dropout(size, y.data(), ones.data(), s.first, s.draws, s.drop, mask.data());
  return doubles(y.begin(), y.end());
}
doubles factor_of(const fl_attention &s, const doubles &all, size_t pair) {
  doubles to;
  const size_t wide = (s.length + 15) / 16 * 16;
  for (size_t t = 0; !all.empty() && t < s.length; t++)
    for (size_t j = 0; j < s.length; j++) to.push_back(all[(pair * s.length + t) * wide + j]);
  return to;
}
} // namespace

TEST_CASE("The reference of attention agrees with central differences", "[attention]") {
  const floats draws = draw(4 * 7 * 5, 1);
  const auto part = [&](size_t i) { return doubles(draws.begin() + long(i * 35), draws.begin() + long(i * 35 + 35)); };
  for (const bool causal : { false, true }) for (const bool dropped : { false, true }) {
    Head h = { 7, 5, causal, 0.4, part(0), part(1), part(2), part(3), {}, {}, {}, {}, {} };
    for (size_t i = 0; dropped && i < 49; i++) h.factor.push_back(i % 3 ? 1.5 : 0);
    h.value();
    const doubles slopes[3] = { h.dq, h.dk, h.dv };
    doubles *arg[3] = { &h.q, &h.k, &h.v };
    for (size_t a = 0; a < 3; a++) {
      for (size_t i = 0; i < 35; i++) {
        const double step = 1e-5, old = (*arg[a])[i];
        (*arg[a])[i] = old + step;
        const double up = h.value();
        (*arg[a])[i] = old - step;
        const double down = h.value();
        (*arg[a])[i] = old;
        CHECK((up - down) / (2 * step) == Approx(slopes[a][i]).margin(1e-8));
      }
    }
  }
}

TEST_CASE("Attention and its gradients agree with the reference, from a fused buffer", "[attention]") {
  const size_t shapes[][4] = { { 1, 1, 1, 3 }, { 5, 8, 6, 4 }, { 3, 16, 2, 16 }, { 2, 17, 2, 4 }, { 2, 5, 1, 40 },
                               { 1, 65, 3, 64 },{ 1, 257, 1, 24 }, { 1, 530, 1, 8 } };
  const fl_key key = { 9, FL_PURPOSE_MASK, 4, 1, 2 };
  for (const auto &p : shapes) for (const int causal : { 0, 1 }) for (const double drop : { 0.0, 0.25 }) {
    const size_t n = p[0], length = p[1], heads = p[2], dim = p[3], width = heads * dim, ld = 3 * width;
    INFO("n " << n << " length " << length << " heads " << heads << " dim " << dim << " causal " << causal << " drop " << drop);
    const float scale = 1 / std::sqrt(float(dim));
    const fl_attention s = { length, heads, dim, ld, width, scale, causal, drop > 0 ? &key : nullptr, drop, 32 };
    const doubles factor = factors(s, n);
    const floats qkv = draw(n * length * ld, 2), dy = draw(n * length * width, 3);
    for (int i = 0; i < FL_ISA_COUNT; i++) {
      const fl_kernels *k = fl_kernels_of(fl_isa(i));
      if (!k || (k->isa == FL_ISA_SCALAR && length > 100)) continue;
      INFO("ISA " << k->name);
      floats y(dy.size()), stat(2 * n * heads * length), back(qkv.size()), work(fl_attention_work(&s) + 1);
      work.back() = 42;
      k->attention(&s, n, qkv.data(), qkv.data() + width, qkv.data() + 2 * width, y.data(), stat.data(), work.data());
      k->attention_back(&s, n, qkv.data(), qkv.data() + width, qkv.data() + 2 * width, y.data(), stat.data(), dy.data(),
                        back.data(), back.data() + width, back.data() + 2 * width, work.data());
      CHECK(work.back() == 42);
      for (size_t b = 0; b < n; b++) for (size_t h = 0; h < heads; h++) {
        const auto take = [&](const floats &from, size_t row, size_t at) {
          doubles to;
          for (size_t t = 0; t < length; t++)
            for (size_t c = 0; c < dim; c++) to.push_back(from[(b * length + t) * row + at + h * dim + c]);
          return to;
        };
        Head want = { length, dim, causal != 0, double(s.scale), take(qkv, ld, 0), take(qkv, ld, width), take(qkv, ld, 2 * width),
                      take(dy, width, 0), {}, {}, {}, {}, factor_of(s, factor, b * heads + h) };
        want.value();
        CHECK(distance(take(y, width, 0), want.y) < 2e-6);
        CHECK(distance(take(back, ld, 0), want.dq) < 1e-5);
        CHECK(distance(take(back, ld, width), want.dk) < 1e-5);
        CHECK(distance(take(back, ld, 2 * width), want.dv) < 1e-5);
      }
    }
  }
}
