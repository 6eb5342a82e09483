// A plain forward pass in double over the layers of a network with sequences: loops as in a textbook, from the layers as they are
// written, nothing shared with models/layer. Gradients are held to its central differences.
#pragma once
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
extern "C" {
#include "models/model.h"
}

namespace sequences {
using Vector = std::vector<double>;
struct Value { Vector x; size_t rows, cols; };   // positions and features; an image: channels and places

class Net {
protected:
  const fl_net &net;
  const fl_layout &layout;
  const Vector &p;

  static double setting(const fl_layer_spec &l, const std::string &key, double otherwise) {
    const std::string text = " " + std::string(l.settings);
    const size_t at = text.find(" " + key + "=");
    if (at == std::string::npos) return otherwise;
    const std::string value = text.substr(at + key.size() + 2, text.find(' ', at + 1) - at - key.size() - 2);
    return value == "yes" ? 1 : value == "no" ? 0 : std::stod(value);
  }
  static bool says(const fl_layer_spec &l, const std::string &what) {
    return (" " + std::string(l.settings) + " ").find(" " + what + " ") != std::string::npos;
  }
  const double *tensor(const std::string &name) const {
    for (size_t i = 0; i < layout.n; i++)
      if (name == layout.tensor[i].name) return p.data() + layout.tensor[i].offset;
    return nullptr;
  }
  size_t shape(const std::string &name, int i) const {
    for (size_t k = 0; k < layout.n; k++)
      if (name == layout.tensor[k].name) return layout.tensor[k].shape[i];
    throw std::runtime_error("no tensor " + name);
  }

  Value linear(const Value &in, const std::string &weight, const std::string &bias) const {
    const size_t out = shape(weight, 0);
    const double *w = tensor(weight), *b = tensor(bias);
    Value y{ Vector(in.rows * out), in.rows, out };
    for (size_t r = 0; r < in.rows; r++)
      for (size_t o = 0; o < out; o++) {
        double sum = b ? b[o] : 0;
        for (size_t i = 0; i < in.cols; i++) sum += w[o * in.cols + i] * in.x[r * in.cols + i];
        y.x[r * out + o] = sum;
      }
    return y;
  }
  Value attention(const Value &in, const fl_layer_spec &l) const {
    const std::string name = l.name;
    const size_t t = in.rows, d = in.cols, heads = size_t(setting(l, "heads", 1)), e = d / heads;
    const bool causal = setting(l, "causal", 0) > 0;
    const Value qkv = linear(in, name + ".qkv.weight", name + ".qkv.bias");
    Value y{ Vector(t * d, 0), t, d };
    for (size_t h = 0; h < heads; h++)
      for (size_t i = 0; i < t; i++) {
        const size_t seen = causal ? i + 1 : t;
        Vector a(seen);
        double top = -1e300, sum = 0;
        for (size_t j = 0; j < seen; j++) {
          for (size_t c = 0; c < e; c++) a[j] += qkv.x[i * 3 * d + h * e + c] * qkv.x[j * 3 * d + d + h * e + c];
          a[j] /= std::sqrt(double(e));
          top = std::max(top, a[j]);
        }
        for (double &v : a) sum += v = std::exp(v - top);
        for (size_t j = 0; j < seen; j++)
          for (size_t c = 0; c < e; c++)
            y.x[i * d + h * e + c] += a[j] / sum * (kept ? kept(name, h, i, j) : 1) * qkv.x[j * 3 * d + 2 * d + h * e + c];
      }
    return linear(y, name + ".proj.weight", name + ".proj.bias");
  }
  Value layer_norm(Value v, const fl_layer_spec &l) const {
    const double *w = tensor(std::string(l.name) + ".weight"), *b = tensor(std::string(l.name) + ".bias");
    for (size_t r = 0; r < v.rows; r++) {
      double *x = &v.x[r * v.cols], mean = 0, variance = 0;
      for (size_t i = 0; i < v.cols; i++) mean += x[i] / double(v.cols);
      for (size_t i = 0; i < v.cols; i++) variance += (x[i] - mean) * (x[i] - mean) / double(v.cols);
      for (size_t i = 0; i < v.cols; i++) x[i] = (x[i] - mean) / std::sqrt(variance + setting(l, "eps", 1e-5)) * w[i] + b[i];
    }
    return v;
  }
  // Of a square image and a stride that is the kernel.
  Value patches(const Value &in, const fl_layer_spec &l) const {
    const std::string name = l.name;
    const size_t out = shape(name + ".weight", 0), k = shape(name + ".weight", 2), c = in.rows;
    const size_t side = size_t(std::lround(std::sqrt(double(in.cols)))), m = side / k;
    const double *w = tensor(name + ".weight"), *b = tensor(name + ".bias");
    Value y{ Vector(out * m * m), out, m * m };
    for (size_t o = 0; o < out; o++)
      for (size_t i = 0; i < m * m; i++) {
        double sum = b[o];
        for (size_t q = 0; q < c; q++)
          for (size_t r = 0; r < k; r++)
            for (size_t s = 0; s < k; s++)
              sum += w[((o * c + q) * k + r) * k + s] * in.x[(q * side + i / m * k + r) * side + i % m * k + s];
        y.x[o * m * m + i] = sum;
      }
    return y;
  }
  static Value turned(const Value &in) {
    Value y{ Vector(in.x.size()), in.cols, in.rows };
    for (size_t r = 0; r < in.rows; r++)
      for (size_t c = 0; c < in.cols; c++) y.x[c * in.rows + r] = in.x[r * in.cols + c];
    return y;
  }
  static Value pooled(const Value &in, const fl_layer_spec &l) {
    Value y{ Vector(in.cols, 0), 1, in.cols };
    const size_t first = says(l, "of=last") ? in.rows - 1 : 0, end = says(l, "of=first") ? 1 : in.rows;
    for (size_t r = first; r < end; r++)
      for (size_t c = 0; c < in.cols; c++) y.x[c] += in.x[r * in.cols + c] / double(end - first);
    return y;
  }

  Value layer(const fl_layer_spec &l, const std::vector<Value> &in) const {
    const std::string type = l.type, name = l.name;
    Value v = in[0];
    if (type == "linear") return linear(v, name + ".weight", name + ".bias");
    if (type == "attention") return attention(v, l);
    if (type == "layer_norm") return layer_norm(v, l);
    if (type == "conv") return patches(v, l);
    if (type == "sequence") return turned(v);
    if (type == "sequence_pool") return pooled(v, l);
    if (type == "relu") {
      for (double &x : v.x) x = std::max(x, 0.0);
    } else if (type == "gelu") {
      const auto by_tanh = [](double x) { return std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)); };
      for (double &x : v.x) x *= (1 + (says(l, "form=tanh") ? by_tanh(x) : std::erf(x / std::sqrt(2)))) / 2;
    } else if (type == "add") {
      for (size_t k = 1; k < in.size(); k++)
        for (size_t i = 0; i < v.x.size(); i++) v.x[i] += in[k].x[i];
    } else if (type == "position") {
      for (size_t i = 0; i < v.x.size(); i++) v.x[i] += tensor(name + ".weight")[i];
    } else if (type == "class_token") {
      const double *w = tensor(name + ".weight");
      v.x.insert(v.x.begin(), w, w + v.cols), v.rows++;
    } else if (type == "embedding") {
      const size_t d = shape(name + ".weight", 1);
      Value y{ {}, v.x.size(), d };
      for (double token : v.x) y.x.insert(y.x.end(), tensor(name + ".weight") + size_t(token) * d,
                                          tensor(name + ".weight") + size_t(token) * d + d);
      return y;
    } else throw std::runtime_error("no layer of type " + type);
    return v;
  }

public:
  // What a probability of attention is multiplied by (layer, head, query, key); empty: nothing is dropped.
  std::function<double(const std::string &, size_t, size_t, size_t)> kept;
  Net(const fl_net &n, const fl_layout &l, const Vector &at) : net(n), layout(l), p(at) {}

  Value logits(const Value &input) const {
    std::map<std::string, Value> done{ { "input", input } };
    std::string before = "input";
    for (size_t i = 0; i < net.n; i++) {
      const fl_layer_spec &l = net.layer[i];
      std::vector<Value> in;
      std::string from = (l.from ? l.from : before) + " ";
      for (size_t at = 0, end; (end = from.find(' ', at)) != std::string::npos; at = end + 1)
        in.push_back(done.at(from.substr(at, end - at)));
      done[l.name] = layer(l, in);
      before = l.name;
    }
    return done.at(before);
  }
  // Mean over the rows of the logits, each with its label.
  double loss(const Value &input, const uint8_t *label) const {
    const Value v = logits(input);
    double loss = 0;
    for (size_t r = 0; r < v.rows; r++) {
      const double *x = &v.x[r * v.cols];
      double top = x[0], sum = 0;
      for (size_t i = 0; i < v.cols; i++) top = std::max(top, x[i]);
      for (size_t i = 0; i < v.cols; i++) sum += std::exp(x[i] - top);
      loss += (top + std::log(sum) - x[label[r]]) / double(v.rows);
    }
    return loss;
  }
};
}
