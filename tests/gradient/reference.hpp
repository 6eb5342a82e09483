// A plain second implementation of the three networks in double: loops as in a textbook, nothing shared with models/.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>
extern "C" {
#include "models/model.h"
}

namespace reference {
using Vector = std::vector<double>;
struct Layer { char kind; size_t out, k, p; };  // c: convolution and ReLU and pooling, l: linear, r: linear and ReLU

inline std::vector<Layer> layers(const std::string &net, size_t classes) {
  if (net == "lenet5")
    return { { 'c', 6, 5, 2 }, { 'c', 16, 5, 0 }, { 'r', 120, 0, 0 }, { 'r', 84, 0, 0 }, { 'l', classes, 0, 0 } };
  if (net == "mlp") return { { 'r', 200, 0, 0 }, { 'r', 200, 0, 0 }, { 'l', classes, 0, 0 } };
  return { { 'l', classes, 0, 0 } };
}

// One sample: adds the gradient of its loss to g when given. Returns the loss; logits when asked for.
struct Net {
  std::vector<Layer> layer;
  size_t h, w;

  static double at(const Vector &x, size_t c, long i, long j, size_t h, size_t w) {
    return i < 0 || j < 0 || i >= long(h) || j >= long(w) ? 0 : x[(c * h + size_t(i)) * w + size_t(j)];
  }

  double run(const Vector &p, const Vector &input, unsigned label, Vector *g, Vector *logits = nullptr) const {
    struct Saved { Vector x, pre; std::vector<size_t> pick; size_t c, h, w, offset; };
    std::vector<Saved> saved;
    Vector x = input;
    size_t c = 1, hh = h, ww = w, offset = 0;
    for (const Layer &l : layer) {
      Saved s{ x, {}, {}, c, hh, ww, offset };
      if (l.kind == 'c') {
        const size_t oh = hh + 2 * l.p - l.k + 1, ow = ww + 2 * l.p - l.k + 1, bias = offset + l.out * c * l.k * l.k;
        s.pre.assign(l.out * oh * ow, 0);
        for (size_t o = 0; o < l.out; o++)
          for (size_t i = 0; i < oh; i++)
            for (size_t j = 0; j < ow; j++) {
              double sum = p[bias + o];
              for (size_t q = 0; q < c; q++)
                for (size_t a = 0; a < l.k; a++)
                  for (size_t b = 0; b < l.k; b++)
                    sum += p[offset + ((o * c + q) * l.k + a) * l.k + b] * at(x, q, long(i + a) - long(l.p),
                        long(j + b) - long(l.p), hh, ww);
              s.pre[(o * oh + i) * ow + j] = sum;
            }
        offset = bias + l.out;
        c = l.out;
        hh = oh / 2, ww = ow / 2;
        x.assign(c * hh * ww, 0);
        for (size_t y = 0; y < x.size(); y++) {
          const size_t o = y / (hh * ww), i = y / ww % hh, j = y % ww;
          size_t best = (o * oh + 2 * i) * ow + 2 * j;
          for (size_t a = 0; a < 2; a++)
            for (size_t b = 0; b < 2; b++) {
              const size_t t = (o * oh + 2 * i + a) * ow + 2 * j + b;
              if (std::max(s.pre[t], 0.0) > std::max(s.pre[best], 0.0)) best = t;
            }
          s.pick.push_back(best);
          x[y] = std::max(s.pre[best], 0.0);
        }
      } else {
        const size_t in = x.size(), bias = offset + l.out * in;
        s.pre.assign(l.out, 0);
        for (size_t o = 0; o < l.out; o++) {
          s.pre[o] = p[bias + o];
          for (size_t i = 0; i < in; i++) s.pre[o] += p[offset + o * in + i] * x[i];
        }
        offset = bias + l.out;
        x = s.pre;
        if (l.kind == 'r')
          for (double &v : x) v = std::max(v, 0.0);
      }
      saved.push_back(s);
    }
    if (logits) *logits = x;
    double top = x[0], sum = 0;
    for (double v : x) top = std::max(top, v);
    for (double v : x) sum += std::exp(v - top);
    const double loss = top + std::log(sum) - x[label];
    if (!g) return loss;
    Vector dy(x.size());
    for (size_t i = 0; i < x.size(); i++) dy[i] = std::exp(x[i] - top) / sum - (i == label);
    for (size_t n = layer.size(); n-- > 0;) {
      const Layer &l = layer[n];
      const Saved &s = saved[n];
      Vector dx(s.x.size(), 0);
      if (l.kind == 'c') {
        const size_t oh = s.h + 2 * l.p - l.k + 1, ow = s.w + 2 * l.p - l.k + 1, bias = s.offset + l.out * s.c * l.k * l.k;
        Vector d(s.pre.size(), 0);
        for (size_t y = 0; y < dy.size(); y++)
          if (s.pre[s.pick[y]] > 0) d[s.pick[y]] += dy[y];
        for (size_t t = 0; t < d.size(); t++) {
          if (d[t] == 0) continue;
          const size_t o = t / (oh * ow), i = t / ow % oh, j = t % ow;
          (*g)[bias + o] += d[t];
          for (size_t q = 0; q < s.c; q++)
            for (size_t a = 0; a < l.k; a++)
              for (size_t b = 0; b < l.k; b++) {
                const long r = long(i + a) - long(l.p), u = long(j + b) - long(l.p);
                if (r < 0 || u < 0 || r >= long(s.h) || u >= long(s.w)) continue;
                const size_t wi = s.offset + ((o * s.c + q) * l.k + a) * l.k + b, xi = (q * s.h + size_t(r)) * s.w + size_t(u);
                (*g)[wi] += d[t] * s.x[xi];
                dx[xi] += d[t] * p[wi];
              }
        }
      } else {
        const size_t in = s.x.size();
        for (size_t o = 0; o < l.out; o++) {
          const double d = l.kind == 'r' && !(s.pre[o] > 0) ? 0 : dy[o];
          (*g)[s.offset + l.out * in + o] += d;
          for (size_t i = 0; i < in; i++) {
            (*g)[s.offset + o * in + i] += d * s.x[i];
            dx[i] += d * p[s.offset + o * in + i];
          }
        }
      }
      dy = dx;
    }
    return loss;
  }
};

// Samples that look like images to the networks, the same on every machine.
struct Samples {
  std::vector<uint8_t> pixels, label;
  fl_samples s;
  Samples(size_t n, unsigned seed, size_t h = 28, size_t w = 28, size_t classes = 10) : pixels(n * h * w), label(n) {
    std::mt19937 r(seed);
    for (auto &v : pixels) v = uint8_t(r() % 3 ? 0 : r() >> 24);
    for (auto &v : label) v = uint8_t(r() % classes);
    s = {};
    s.n = n, s.c = 1, s.h = h, s.w = w, s.classes = classes, s.pixels = pixels.data(), s.label = label.data();
  }
};
constexpr double mean = 0.2860, deviation = 0.3530;

inline Vector input(const fl_samples &s, size_t row) {
  Vector x(s.h * s.w);
  for (size_t i = 0; i < x.size(); i++) x[i] = (s.pixels[row * x.size() + i] / 255.0 - mean) / deviation;
  return x;
}
}
