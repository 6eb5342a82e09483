// A plain forward pass in double over the layers of a network of images, a whole batch at once, since batch norm looks at all of
// it: loops as in a textbook, from the layers as they are written. Gradients are held to its central differences.
#pragma once
#include "sequences.hpp"

namespace images {
using sequences::Vector;
struct Batch {
  Vector x;
  size_t n, c, h, w;
  double at(size_t i, size_t q, long y, long z) const {
    return y < 0 || z < 0 || y >= long(h) || z >= long(w) ? 0 : x[((i * c + q) * h + size_t(y)) * w + size_t(z)];
  }
  Batch like(size_t channels, size_t rows, size_t columns) const {
    return { Vector(n * channels * rows * columns), n, channels, rows, columns };
  }
};

class Net : sequences::Net {
  const std::map<std::string, Vector> &drawn;    // what dropout multiplies by
  struct Window { size_t k, stride, oh, ow; long pad; };
  static Window window(const Batch &v, const fl_layer_spec &l, double size, double stride) {
    const size_t k = size_t(setting(l, "kernel", size)), pad = size_t(setting(l, "pad", 0));
    const size_t own = size_t(setting(l, "stride", stride)), s = own ? own : k;
    return { k, s, (v.h + 2 * pad - k) / s + 1, (v.w + 2 * pad - k) / s + 1, long(pad) };
  }

  Batch conv(const Batch &in, const fl_layer_spec &l) const {
    const std::string name = l.name;
    const Window s = window(in, l, 3, 1);
    const size_t groups = size_t(setting(l, "groups", 1)), out = shape(name + ".weight", 0), cg = in.c / groups;
    const double *w = tensor(name + ".weight"), *b = tensor(name + ".bias");
    Batch y = in.like(out, s.oh, s.ow);
    for (size_t i = 0, to = 0; i < in.n; i++)
      for (size_t o = 0; o < out; o++)
        for (size_t r = 0; r < s.oh; r++)
          for (size_t z = 0; z < s.ow; z++, to++) {
            double sum = b ? b[o] : 0;
            for (size_t q = 0; q < cg; q++)
              for (size_t u = 0; u < s.k; u++)
                for (size_t v = 0; v < s.k; v++)
                  sum += w[((o * cg + q) * s.k + u) * s.k + v] *
                         in.at(i, o / (out / groups) * cg + q, long(r * s.stride + u) - s.pad, long(z * s.stride + v) - s.pad);
            y.x[to] = sum;
          }
    return y;
  }
  static Batch pool(const Batch &in, const fl_layer_spec &l, bool largest) {
    const Window s = window(in, l, 2, 0);
    Batch y = in.like(in.c, s.oh, s.ow);
    for (size_t i = 0, to = 0; i < in.n * in.c; i++)
      for (size_t r = 0; r < s.oh; r++)
        for (size_t z = 0; z < s.ow; z++, to++) {
          double sum = 0, top = -1e300;
          size_t inside = 0;
          for (size_t u = 0; u < s.k; u++)
            for (size_t v = 0; v < s.k; v++) {
              const long a = long(r * s.stride + u) - s.pad, b = long(z * s.stride + v) - s.pad;
              const double x = in.at(i / in.c, i % in.c, a, b);
              sum += x;
              if (a < 0 || b < 0 || a >= long(in.h) || b >= long(in.w)) continue;
              top = std::max(top, x);
              inside++;
            }
          y.x[to] = largest ? top : sum / double(setting(l, "count_pad", 1) > 0 ? s.k * s.k : inside);
        }
    return y;
  }
  // Groups of channels of each sample, or (batch) channels over all samples.
  Batch normalised(Batch v, const fl_layer_spec &l, size_t groups, bool batch) const {
    const double *w = tensor(std::string(l.name) + ".weight"), *b = tensor(std::string(l.name) + ".bias");
    const size_t hw = v.h * v.w, sets = batch ? v.c : v.n * groups;
    const auto set_of = [&](size_t i, size_t c) { return batch ? c : i * groups + c / (v.c / groups); };
    Vector mean(sets, 0), variance(sets, 0);
    const double count = double(v.x.size()) / double(sets);
    for (int pass = 0; pass < 3; pass++)
      for (size_t i = 0; i < v.n; i++)
        for (size_t c = 0; c < v.c; c++)
          for (size_t j = 0; j < hw; j++) {
            double &x = v.x[(i * v.c + c) * hw + j];
            const size_t s = set_of(i, c);
            if (pass == 0) mean[s] += x / count;
            else if (pass == 1) variance[s] += (x - mean[s]) * (x - mean[s]) / count;
            else x = (x - mean[s]) / std::sqrt(variance[s] + setting(l, "eps", 1e-5)) * w[c] + b[c];
          }
    return v;
  }
  Batch linear(const Batch &in, const fl_layer_spec &l) const {
    const size_t size = in.c * in.h * in.w, out = shape(std::string(l.name) + ".weight", 0);
    const double *w = tensor(std::string(l.name) + ".weight"), *b = tensor(std::string(l.name) + ".bias");
    Batch y = in.like(out, 1, 1);
    for (size_t i = 0; i < in.n; i++)
      for (size_t o = 0; o < out; o++) {
        y.x[i * out + o] = b ? b[o] : 0;
        for (size_t j = 0; j < size; j++) y.x[i * out + o] += w[o * size + j] * in.x[i * size + j];
      }
    return y;
  }
  Batch layer(const fl_layer_spec &l, const std::vector<Batch> &in) const {
    const std::string type = l.type;
    Batch v = in[0];
    if (type == "conv") return conv(v, l);
    if (type == "max_pool" || type == "avg_pool") return pool(v, l, type == "max_pool");
    if (type == "group_norm") return normalised(v, l, size_t(setting(l, "groups", 1)), false);
    if (type == "batch_norm") return normalised(v, l, 1, true);
    if (type == "linear") return linear(v, l);
    if (type == "global_pool") {
      Batch y = v.like(v.c, 1, 1);
      for (size_t i = 0; i < v.x.size(); i++) y.x[i / (v.h * v.w)] += v.x[i] / double(v.h * v.w);
      return y;
    }
    for (size_t i = 0; i < v.x.size(); i++) {
      double &x = v.x[i];
      if (type == "relu") x = std::max(x, 0.0);
      else if (type == "tanh") x = std::tanh(x);
      else if (type == "silu") x = x / (1 + std::exp(-x));
      else if (type == "sigmoid") x = 1 / (1 + std::exp(-x));
      else if (type == "dropout") x *= drawn.at(l.name)[i];
      else if (type != "add") throw std::runtime_error("no layer of type " + type);
    }
    for (size_t k = 1; k < in.size(); k++)
      for (size_t i = 0; i < v.x.size(); i++) v.x[i] += in[k].x[i];
    return v;
  }

public:
  Net(const fl_net &n, const fl_layout &l, const Vector &at, const std::map<std::string, Vector> &draws)
    : sequences::Net(n, l, at), drawn(draws) {}

  // Mean over the samples.
  double loss(const Batch &input, const uint8_t *label) const {
    std::map<std::string, Batch> done{ { "input", input } };
    std::string before = "input";
    for (size_t i = 0; i < net.n; i++) {
      const fl_layer_spec &l = net.layer[i];
      std::vector<Batch> in;
      const std::string from = (l.from ? l.from : before) + " ";
      for (size_t at = 0, end; (end = from.find(' ', at)) != std::string::npos; at = end + 1)
        in.push_back(done.at(from.substr(at, end - at)));
      done[l.name] = layer(l, in);
      before = l.name;
    }
    const Batch &v = done.at(before);
    double loss = 0;
    for (size_t r = 0; r < v.n; r++) {
      double sum = 0;
      for (size_t i = 0; i < v.c; i++) sum += std::exp(v.x[r * v.c + i]);
      loss += (std::log(sum) - v.x[r * v.c + label[r]]) / double(v.n);
    }
    return loss;
  }
};
}
