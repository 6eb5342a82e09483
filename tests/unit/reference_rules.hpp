// The element-wise rules in plain double precision, each from its section of deep-first-order (and federated-adaptive 10 for
// Yogi), not from the kernels: options by the names of the configuration, defaults as published.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace reference {
using Numbers = std::vector<double>;
struct Span { size_t offset, size; };

struct Rule {
  std::string name;
  std::map<std::string, std::string> set;
  std::vector<Span> tensors, blocks;            // blocks: Adam-mini's
  std::vector<bool> decays;                     // by tensor: Adam-mini leaves norms and biases alone
  std::vector<bool> near{};                     // elements that came within 1e-6 of a jump of a sign
  std::map<std::string, Numbers> state{};

  double number(const std::string &key, double standard) const {
    const auto at = set.find(key);
    return at == set.end() ? standard : std::stod(at->second);
  }
  bool is(const std::string &key, const std::string &value) const {
    const auto at = set.find(key);
    return at != set.end() && at->second == value;
  }
  Numbers &vector(const std::string &key, size_t n, double initial = 0) {
    Numbers &v = state[key];
    if (v.empty()) v.assign(n, initial);
    return v;
  }
  double sign(double x, double scale, size_t i) {
    if (x != 0 && std::fabs(x) < 1e-6 * scale) near[i] = true;
    return x > 0 ? 1 : x < 0 ? -1 : 0;
  }

  // Step k = 1, 2, ... of `total` with gradient g.
  void step(Numbers &p, Numbers g, uint64_t k, uint64_t total, double lr) {
    const size_t n = p.size();
    if (near.empty()) near.assign(n, false);
    const double t = double(k);
    if (name == "sgd") { coupled(g, p, 0); for (size_t i = 0; i < n; i++) p[i] -= lr * g[i]; }
    else if (name.rfind("momentum", 0) == 0) momenta(p, g, t, lr);
    else if (name == "fsgdm") fsgdm(p, g, t, double(total), lr);
    else if (name == "adam" || name == "adamw" || name == "yogi") adam(p, g, t, lr);
    else if (name == "adagrad" || name == "rmsprop") roots(p, g, t, lr);
    else if (name == "adam_mini") adam_mini(p, g, t, lr);
    else if (name == "signadampp") signadampp(p, g, lr);
    else signs(p, g, lr);
  }

private:
  void coupled(Numbers &g, const Numbers &p, double standard) const {
    const double decay = number("weight_decay", standard);
    for (size_t i = 0; i < p.size(); i++) g[i] += decay * p[i];
  }

  void momenta(Numbers &p, Numbers &g, double t, double lr) {
    const double mu = number("momentum", 0.9), dampening = number("dampening", 0);
    Numbers &m = vector("m", p.size());
    coupled(g, p, 0);
    for (size_t i = 0; i < p.size(); i++) {
      if (name == "momentum") {
        m[i] = t == 1 ? g[i] : mu * m[i] + (1 - dampening) * g[i];
        p[i] -= lr * (is("nesterov", "yes") ? g[i] + mu * m[i] : m[i]);
      } else if (name == "momentum_ema") {
        m[i] = mu * m[i] + (1 - mu) * g[i];
        p[i] -= lr * m[i] / (is("bias_correction", "yes") ? 1 - std::pow(mu, t) : 1);
      } else {
        m[i] = mu * m[i] - lr * g[i];
        p[i] += m[i];
      }
    }
  }

  void fsgdm(Numbers &p, Numbers &g, double t, double total, double lr) {
    const double sigma = number("total_steps", 0) > 0 ? number("total_steps", 0) : total, v = number("v", 1);
    const double delta = std::floor(sigma / number("n_stages", 300)), tau = std::floor(t / delta) * delta;
    const double u = tau / (tau + number("c", 0.033) * sigma);
    Numbers &m = vector("m", p.size());
    coupled(g, p, 5e-4);
    for (size_t i = 0; i < p.size(); i++) {
      m[i] = t == 1 && is("first_step", "raw") ? g[i] : u * m[i] + v * g[i];
      p[i] -= lr * m[i];
    }
  }

  void adam(Numbers &p, Numbers &g, double t, double lr) {
    const bool yogi = name == "yogi", w = name == "adamw", off = yogi ? !is("bias_correction", "yes")
        : is("bias_correction", "no");
    const double b1 = number("beta1", 0.9), b2 = number("beta2", yogi ? 0.99 : 0.999), eps = number("eps", yogi ? 1e-3 : 1e-8);
    const double c1 = off ? 1 : 1 - std::pow(b1, t), c2 = off ? 1 : 1 - std::pow(b2, t);
    const double initial = number("initial_accumulator", yogi ? eps * eps : 0);
    Numbers &m = vector("m", p.size()), &v = vector("v", p.size(), initial), &top = vector("top", p.size(), initial);
    if (!w) coupled(g, p, 0);
    for (size_t i = 0; i < p.size(); i++) {
      if (w) p[i] *= 1 - lr * number("weight_decay", 0.01);
      m[i] = b1 * m[i] + (1 - b1) * g[i];
      const double square = g[i] * g[i];
      v[i] = yogi ? v[i] - (1 - b2) * square * sign(v[i] - square, v[i] + square, i) : b2 * v[i] + (1 - b2) * square;
      top[i] = std::max(top[i], v[i]);
      const double root = std::sqrt(is("amsgrad", "yes") ? top[i] : v[i]);
      if (is("eps_form", "compact")) p[i] -= lr * std::sqrt(c2) / c1 * m[i] / (root + eps);
      else p[i] -= lr / c1 * m[i] / (root / std::sqrt(c2) + eps);
    }
  }

  void roots(Numbers &p, Numbers &g, double t, double lr) {
    const bool sum = name == "adagrad", inside = is("form", "tensorflow");
    const double b2 = number("beta2", 0.99), eps = number("eps", sum ? 1e-10 : 1e-8), mu = number("momentum", 0);
    Numbers &v = vector("v", p.size(), number("initial_accumulator", 0)), &a = vector("a", p.size()), &b = vector("b", p.size());
    coupled(g, p, 0);
    for (size_t i = 0; i < p.size(); i++) {
      v[i] = sum ? v[i] + g[i] * g[i] : b2 * v[i] + (1 - b2) * g[i] * g[i];
      a[i] = b2 * a[i] + (1 - b2) * g[i];
      const double q = is("centred", "yes") ? std::max(0.0, v[i] - a[i] * a[i]) : v[i];
      double d = g[i] / (inside ? std::sqrt(q + eps) : std::sqrt(q) + eps);
      if (sum) p[i] -= lr / (1 + (t - 1) * number("adagrad_decay", 0)) * d;
      else if (mu == 0) p[i] -= lr * d;
      else {
        b[i] = mu * b[i] + (inside ? lr * d : d);
        p[i] -= inside ? b[i] : lr * b[i];
      }
    }
  }

  void adam_mini(Numbers &p, const Numbers &g, double t, double lr) {
    const double b1 = number("beta1", 0.9), b2 = number("beta2", 0.999), eps = number("eps", 1e-8);
    Numbers &m = vector("m", p.size()), &v = vector("v", blocks.size());
    for (size_t b = 0; b < blocks.size(); b++) {
      double square = 0;
      size_t tensor = 0;
      while (blocks[b].offset >= tensors[tensor].offset + tensors[tensor].size) tensor++;
      for (size_t i = blocks[b].offset; i < blocks[b].offset + blocks[b].size; i++) square += g[i] * g[i];
      v[b] = b2 * v[b] + (1 - b2) * square / double(blocks[b].size);
      for (size_t i = blocks[b].offset; i < blocks[b].offset + blocks[b].size; i++) {
        if (decays[tensor] || is("decay_vectors", "yes")) p[i] *= 1 - lr * number("weight_decay", 0);
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        p[i] -= lr / (1 - std::pow(b1, t)) * m[i] / (std::sqrt(v[b]) / std::sqrt(1 - std::pow(b2, t)) + eps);
      }
    }
  }

  void signs(Numbers &p, Numbers &g, double lr) {
    Numbers &m = vector("m", p.size()), &v = vector("v", p.size());
    if (name == "lion") {
      const double b1 = number("beta1", 0.9), b2 = number("beta2", 0.99);
      for (size_t i = 0; i < p.size(); i++) {
        p[i] *= 1 - lr * number("weight_decay", 0.1);
        p[i] -= lr * sign(b1 * m[i] + (1 - b1) * g[i], b1 * std::fabs(m[i]) + (1 - b1) * std::fabs(g[i]), i);
        m[i] = b2 * m[i] + (1 - b2) * g[i];
      }
      return;
    }
    const Numbers raw = g;
    coupled(g, p, 5e-4);
    for (size_t i = 0; i < p.size(); i++) {
      const double scale = std::fabs(raw[i]) + std::fabs(g[i] - raw[i]);      // what rounding of g is relative to
      if (name == "signsgd") {
        p[i] -= lr * (g[i] == 0 && is("sign_of_zero", "plus") ? 1 : sign(g[i], scale, i));
      } else if (name == "signum") {
        const double mu = number("momentum", 0.9), before = m[i];
        m[i] = mu * m[i] + (1 - mu) * g[i];
        p[i] -= lr * sign(m[i], mu * std::fabs(before) + (1 - mu) * scale, i);
      } else if (name == "signadam") {
        const double b1 = number("beta1", 0.9), b2 = number("beta2", 0.999), u = sign(g[i], scale, i);
        m[i] = b1 * m[i] + (1 - b1) * u;
        v[i] = b2 * v[i] + (1 - b2) * u * u;
        p[i] -= lr * m[i] / (std::sqrt(v[i]) + number("eps", 1e-8));
      } else {
        throw std::runtime_error("no reference of rule " + name);
      }
    }
  }

  void signadampp(Numbers &p, Numbers &g, double lr) {
    const bool adaptive = is("adaptive", "yes");
    const double b1 = number("beta1", 0.9), decay = number("weight_decay", 5e-4);
    Numbers &m = vector("m", p.size()), &s = vector("s", tensors.size());
    if (!adaptive) coupled(g, p, 5e-4);
    for (size_t j = 0; j < tensors.size(); j++) {
      const size_t first = tensors[j].offset, end = first + tensors[j].size;
      double threshold = number("threshold", 5e-4), mean = 0, square = 0;
      if (adaptive) {
        const double conf_beta = number("conf_beta", 0.9);
        for (size_t i = first; i < end; i++) mean += g[i] / double(tensors[j].size);
        for (size_t i = first; i < end; i++) square += (g[i] - mean) * (g[i] - mean) / double(tensors[j].size);
        s[j] = conf_beta * s[j] + (1 - conf_beta) * std::sqrt(square);
        threshold = number("conf_scale", 0.999) * s[j];
      }
      for (size_t i = first; i < end; i++) {
        const double size = std::fabs(g[i]);
        const bool counts = is("keep_equal", "yes") ? size >= threshold : size > threshold;
        if (size != 0 && std::fabs(size - threshold) < 1e-6 * (size + threshold)) near[i] = true;
        const double u = counts ? sign(g[i], 0, i) : 0;
        m[i] = b1 * m[i] + (is("average", "no") ? 1 : 1 - b1) * u;
        p[i] = p[i] * (adaptive ? 1 - lr * decay : 1) - lr * (is("use_momentum", "no") ? u : m[i]);
      }
    }
  }
};
} // namespace reference
