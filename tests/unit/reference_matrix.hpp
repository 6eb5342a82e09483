// Shampoo, SOAP, Muon and Sophia in plain double precision for tensors of any number of axes, each from its section of
// deep-first-order (16-19), and the linear algebra that they need, as in a textbook: nothing shared with optimizers/ or kernels/.
#pragma once
#include "tests/jacobi.h"
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace reference {
using Matrix = std::vector<double>;
inline Matrix product(size_t m, size_t n, size_t k, const Matrix &a, bool at, const Matrix &b, bool bt) {
  Matrix c(m * n, 0);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++)
      for (size_t l = 0; l < k; l++) c[i * n + j] += (at ? a[l * m + i] : a[i * k + l]) * (bt ? b[j * k + l] : b[l * n + j]);
  return c;
}
// Cyclic Jacobi; eigenvalues descending, column j of v the j-th vector.
inline void jacobi(size_t n, Matrix a, std::vector<double> &w, Matrix &v) {
  Matrix q(n * n);
  jacobi_diagonalise(n, a.data(), q.data());
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return a[x * n + x] > a[y * n + y]; });
  w.resize(n), v.assign(n * n, 0);
  for (size_t j = 0; j < n; j++) {
    w[j] = a[order[j] * n + order[j]];
    for (size_t i = 0; i < n; i++) v[i * n + j] = q[i * n + order[j]];
  }
}
inline Matrix power(size_t n, const Matrix &s, double ridge, double exponent) {
  std::vector<double> w;
  Matrix v, scaled;
  jacobi(n, s, w, v);
  scaled = v;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) scaled[i * n + j] *= std::pow(std::max(w[j], 0.0) + ridge, exponent);
  return product(n, n, n, scaled, false, v, true);
}
// m x n, modified Gram-Schmidt, twice: the Q of QR with a positive diagonal.
inline Matrix orthogonal_factor(size_t m, size_t n, Matrix a) {
  for (size_t j = 0; j < n; j++)
    for (int twice = 0; twice < 2; twice++) {
      for (size_t k = 0; k < j; k++) {
        double dot = 0;
        for (size_t i = 0; i < m; i++) dot += a[i * n + k] * a[i * n + j];
        for (size_t i = 0; i < m; i++) a[i * n + j] -= dot * a[i * n + k];
      }
      double norm = 0;
      for (size_t i = 0; i < m; i++) norm += a[i * n + j] * a[i * n + j];
      for (size_t i = 0; i < m; i++) a[i * n + j] /= std::sqrt(norm);
    }
  return a;
}

// One axis of a tensor, rows x n x cols around it.
struct Axis {
  size_t rows, n, cols;
  double &at(Matrix &x, size_t r, size_t i, size_t c) const { return x[(r * n + i) * cols + c]; }
  double at(const Matrix &x, size_t r, size_t i, size_t c) const { return x[(r * n + i) * cols + c]; }
  Matrix statistics(const Matrix &g) const {    // (g unfolded along the axis)(the same)^T
    Matrix s(n * n, 0);
    for (size_t r = 0; r < rows; r++)
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
          for (size_t c = 0; c < cols; c++) s[i * n + j] += at(g, r, i, c) * at(g, r, j, c);
    return s;
  }
  Matrix times(const Matrix &q, bool transposed, const Matrix &x) const {
    Matrix out(x.size(), 0);
    for (size_t r = 0; r < rows; r++)
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
          for (size_t c = 0; c < cols; c++) at(out, r, i, c) += (transposed ? q[j * n + i] : q[i * n + j]) * at(x, r, j, c);
    return out;
  }
};
struct Tensor {
  size_t offset, size;
  std::vector<size_t> shape;
  // The axes that get a factor.
  std::vector<Axis> axes(size_t longest) const {
    std::vector<Axis> out;
    size_t rows = 1, rest = size;
    for (size_t n : shape) {
      rest /= n;
      if (shape.size() > 1 && n <= longest) out.push_back({ rows, n, rest });
      rows *= n;
    }
    return out;
  }
};
inline double length(const Matrix &x) {
  double s = 0;
  for (double v : x) s += v * v;
  return std::sqrt(s);
}
inline void ema(Matrix &s, double keep, double in, const Matrix &x) {
  for (size_t i = 0; i < s.size(); i++) s[i] = keep * s[i] + in * x[i];
}

// 17, variants S (sums) and E (averages, Adam graft), with the SGD graft for S.
struct Shampoo {
  double lr = 0.05, eps = 1e-2, b1 = 0.9, b2 = 0.95, graft_eps = 1e-8, decay = 0, keep = 1;   // keep: below 1, S averages too
  bool averages = false, sgd_graft = false;
  size_t every = 1, longest = 8192;
  struct State { std::vector<Matrix> s, root; Matrix m, v, a; };
  std::vector<State> state{};

  void step(const std::vector<Tensor> &tensors, Matrix &p, const Matrix &gradient, int k) {
    if (state.empty()) state.resize(tensors.size());
    for (size_t t = 0; t < tensors.size(); t++) {
      const Tensor &tensor = tensors[t];
      const auto axes = tensor.axes(longest);
      State &st = state[t];
      const Matrix g(gradient.begin() + long(tensor.offset), gradient.begin() + long(tensor.offset + tensor.size));
      if (k == 1) {
        st.m.assign(g.size(), 0), st.v.assign(g.size(), 0), st.root.resize(axes.size());
        if (st.a.empty()) st.a.assign(g.size(), eps);     // else handed in, as a server's means are
        if (st.s.empty()) for (auto &a : axes) st.s.push_back(Matrix(a.n * a.n, 0));
      }
      const double c1 = 1 - std::pow(b1, k), c2 = 1 - std::pow(b2, k), in = keep < 1 ? 1 - keep : 1;
      Matrix d = g, graft = g;
      for (size_t i = 0; i < g.size(); i++) {
        st.m[i] = b1 * st.m[i] + (1 - b1) * g[i], st.v[i] = b2 * st.v[i] + (1 - b2) * g[i] * g[i];
        st.a[i] = keep * st.a[i] + in * g[i] * g[i];
        if (averages) d[i] = st.m[i] / c1, graft[i] = d[i] / (std::sqrt(st.v[i] / c2) + graft_eps);
      }
      for (size_t i = 0; i < axes.size(); i++) {
        ema(st.s[i], averages ? b2 : keep, averages ? 1 - b2 : in, axes[i].statistics(g));
        Matrix s = st.s[i];
        for (auto &x : s) x /= averages ? c2 : 1;
        if ((k - 1) % int(every) == 0) st.root[i] = power(axes[i].n, s, eps, -1.0 / (2.0 * double(tensor.shape.size())));
        d = axes[i].times(st.root[i], false, d);
      }
      if (tensor.shape.size() < 2)
        for (size_t i = 0; i < g.size(); i++) d[i] = averages ? graft[i] : g[i] / std::sqrt(st.a[i]);
      const double scale = averages || sgd_graft ? length(graft) / length(d) : 1;
      for (size_t i = 0; i < g.size(); i++) p[tensor.offset + i] = p[tensor.offset + i] * (1 - lr * decay) - lr * scale * d[i];
    }
  }
};

// 18; m in the tensor's own coordinates.
struct Soap {
  double lr = 0.05, b1 = 0.9, b2 = 0.95, eps = 1e-2, decay = 0.1;
  size_t every = 2, longest = 10000;
  struct State { std::vector<Matrix> s, q; Matrix m, v; };
  std::vector<State> state{};

  void step(const std::vector<Tensor> &tensors, Matrix &p, const Matrix &gradient, int k) {
    if (state.empty()) state.resize(tensors.size());
    for (size_t t = 0; t < tensors.size(); t++) {
      const Tensor &tensor = tensors[t];
      const auto axes = tensor.axes(longest);
      State &st = state[t];
      const Matrix g(gradient.begin() + long(tensor.offset), gradient.begin() + long(tensor.offset + tensor.size));
      auto statistics = [&] { for (size_t i = 0; i < axes.size(); i++) ema(st.s[i], b2, 1 - b2, axes[i].statistics(g)); };
      auto turned = [&](Matrix x, bool to) {
        for (size_t i = 0; i < axes.size(); i++) x = axes[i].times(st.q[i], to, x);
        return x;
      };
      if (k == 1) {
        st.m.assign(g.size(), 0), st.v.assign(g.size(), 0), st.q.resize(axes.size());
        if (st.s.empty()) for (auto &a : axes) st.s.push_back(Matrix(a.n * a.n, 0));    // else handed in
        statistics();
        std::vector<double> w;
        for (size_t i = 0; i < axes.size(); i++) jacobi(axes[i].n, st.s[i], w, st.q[i]);
        continue;
      }
      const int n = k - 1;
      const Matrix turned_g = turned(g, true);
      for (size_t i = 0; i < g.size(); i++) {
        st.m[i] = b1 * st.m[i] + (1 - b1) * g[i], st.v[i] = b2 * st.v[i] + (1 - b2) * turned_g[i] * turned_g[i];
      }
      Matrix d = turned(st.m, true);
      for (size_t i = 0; i < g.size(); i++) d[i] /= std::sqrt(st.v[i]) + eps;
      d = turned(d, false);
      const double size = lr * std::sqrt(1 - std::pow(b2, n)) / (1 - std::pow(b1, n));
      for (size_t i = 0; i < g.size(); i++) p[tensor.offset + i] = (p[tensor.offset + i] - size * d[i]) * (1 - lr * decay);
      statistics();
      if (n % int(every) == 0)
        for (size_t i = 0; i < axes.size(); i++) refresh(st, axes[i], i);
    }
  }
  static void refresh(State &st, const Axis &a, size_t i) {
    const size_t n = a.n;
    const Matrix sq = product(n, n, n, st.s[i], false, st.q[i], false);
    std::vector<double> estimate(n, 0);
    for (size_t j = 0; j < n; j++)
      for (size_t r = 0; r < n; r++) estimate[j] += st.q[i][r * n + j] * sq[r * n + j];
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return estimate[x] > estimate[y]; });
    const Matrix old = st.v;
    Matrix sorted(n * n);
    for (size_t r = 0; r < a.rows; r++)
      for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < a.cols; c++) a.at(st.v, r, j, c) = a.at(old, r, order[j], c);
    for (size_t r = 0; r < n; r++)
      for (size_t j = 0; j < n; j++) sorted[r * n + j] = sq[r * n + order[j]];
    st.q[i] = orthogonal_factor(n, n, sorted);
  }
};

// 16, Keller's factor; a convolution is the matrix (out, rest) and its factor is its kernel's, 1 for a square one. The others:
// AdamW.
struct Muon {
  double lr = 0.02, scale = 1, momentum = 0.95, decay = 0.01, b1 = 0.9, b2 = 0.95, eps = 1e-10;
  bool nesterov = true, paper = false;          // paper: heavy ball, the exact polar factor, no factor of shape
  std::vector<Matrix> m{}, v{};

  // x (x^T x)^(-1/2), of full rank
  static Matrix polar(size_t rows, size_t cols, const Matrix &x) {
    if (rows < cols)
      return product(rows, cols, rows, power(rows, product(rows, rows, cols, x, false, x, true), 0, -0.5), false, x, false);
    return product(rows, cols, cols, x, false, power(cols, product(cols, cols, rows, x, true, x, false), 0, -0.5), false);
  }
  // The nearest matrix of that rank: x on its leading right singular vectors.
  static Matrix low_rank(size_t rows, size_t cols, size_t rank, const Matrix &x) {
    std::vector<double> w;
    Matrix v, p(cols * cols, 0);
    jacobi(cols, product(cols, cols, rows, x, true, x, false), w, v);
    for (size_t i = 0; i < cols; i++)
      for (size_t j = 0; j < cols; j++)
        for (size_t l = 0; l < rank; l++) p[i * cols + j] += v[i * cols + l] * v[j * cols + l];
    return product(rows, cols, cols, x, false, p, false);
  }

  static Matrix newton_schulz(size_t rows, size_t cols, Matrix x) {
    if (rows > cols) {
      Matrix t(x.size());
      for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) t[j * rows + i] = x[i * cols + j];
      t = newton_schulz(cols, rows, t);
      for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) x[i * cols + j] = t[j * rows + i];
      return x;
    }
    const double norm = length(x) + 1e-7;
    for (auto &e : x) e /= norm;
    for (int k = 0; k < 5; k++) {
      const Matrix a = product(rows, rows, cols, x, false, x, true), aa = product(rows, rows, rows, a, false, a, false);
      Matrix b(rows * rows);
      for (size_t i = 0; i < b.size(); i++) b[i] = -4.7750 * a[i] + 2.0315 * aa[i];
      const Matrix bx = product(rows, cols, rows, b, false, x, false);
      for (size_t i = 0; i < x.size(); i++) x[i] = 3.4445 * x[i] + bx[i];
    }
    return x;
  }
  void step(const std::vector<Tensor> &tensors, Matrix &p, const Matrix &gradient, int k) {
    if (m.empty()) for (auto &t : tensors) m.push_back(Matrix(t.size, 0)), v.push_back(Matrix(t.size, 0));
    for (size_t t = 0; t < tensors.size(); t++) {
      const Tensor &tensor = tensors[t];
      const double *g = gradient.data() + tensor.offset;
      double *y = p.data() + tensor.offset;
      if (tensor.shape.size() < 2) {
        for (size_t i = 0; i < tensor.size; i++) {
          m[t][i] = b1 * m[t][i] + (1 - b1) * g[i], v[t][i] = b2 * v[t][i] + (1 - b2) * g[i] * g[i];
          y[i] *= 1 - lr * decay;
          y[i] -= lr * (m[t][i] / (1 - std::pow(b1, k))) / (std::sqrt(v[t][i] / (1 - std::pow(b2, k))) + eps);
        }
        continue;
      }
      const size_t rows = tensor.shape[0], cols = tensor.size / rows;
      Matrix u(tensor.size);
      for (size_t i = 0; i < tensor.size; i++) {
        m[t][i] = momentum * m[t][i] + (paper ? 1 : 1 - momentum) * g[i];
        u[i] = nesterov ? (1 - momentum) * g[i] + momentum * m[t][i] : m[t][i];
      }
      const Matrix o = paper ? polar(rows, cols, u) : newton_schulz(rows, cols, u);
      const double factor = paper || tensor.shape.size() == 4 ? 1 : std::sqrt(std::max(1.0, double(rows) / double(cols)));
      for (size_t i = 0; i < tensor.size; i++) y[i] = y[i] * (1 - lr * scale * decay) - lr * scale * factor * o[i];
    }
  }
};

// 19 with the authors' denominator; the estimate of the curvature is handed in when one is due.
struct Sophia {
  double lr = 0.03, b1 = 0.9, b2 = 0.95, rho = 0.3, eps = 1e-6, decay = 0.1;
  Matrix m{}, h{};
  uint64_t unclipped = 0;
  void step(Matrix &p, const Matrix &g, const Matrix *estimate) {
    if (m.empty()) m.assign(p.size(), 0), h.assign(p.size(), 0);
    if (estimate) ema(h, b2, 1 - b2, *estimate), unclipped = 0;   // of the last estimate
    ema(m, b1, 1 - b1, g);
    for (size_t i = 0; i < p.size(); i++) {
      const double ratio = m[i] / (rho * std::max(h[i], 0.0) + eps);  // h < 0: the clipped sign step
      unclipped += estimate && std::fabs(ratio) < 1;
      p[i] = p[i] * (1 - lr * decay) - lr * std::max(-1.0, std::min(1.0, ratio));
    }
  }
};
} // namespace reference
