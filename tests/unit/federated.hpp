// federated.hpp - what test_federated.cpp compares with: its problem, a client's round and the server's part in plain double
// precision.
#pragma once
#include <cmath>
#include <fedlane/session.h>
#include <functional>
#include <string>
#include <vector>

namespace {
using Vec = std::vector<double>;
using settings = std::vector<std::pair<std::string, std::string>>;
enum { D = 29, N = 7, M = 4, EPOCHS = 2, BATCH = 2, R = 4 };
const size_t offset[N + 1] = { 0, 5, 6, 9, 17, 21, 23, 29 };
const fl_tensor tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                              { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const fl_layout layout = { 2, D, 0, tensor };
double start_of(int i) { return (float)((i * 37 % 19) / 9.5 - 1); }
double target(size_t sample, int i) { return (double)((sample * 31 + (size_t)i * 7) % 13) / 6.0; }
double curvature(int i) { return 1.0 + i % 3; }
template <class Real> double gradient(const Real *x, const uint32_t *row, size_t count, Real *g) {
  double loss = 0;
  for (int i = 0; i < D; i++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
      const double e = (double)x[i] - target(row[j], i);
      sum += e * curvature(i);
      loss += 0.5 * e * e * curvature(i);
    }
    g[i] = (Real)(sum / (double)count);
  }
  return loss / (double)count;
}
void init(void *, uint64_t, float *x) {
  for (int i = 0; i < D; i++) x[i] = (float)start_of(i);
}
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  return gradient(x, row, count, g);
}
const fl_objective objective = { "quadratic", nullptr, &layout, 29, 0, 0, init, nullptr, loss_grad, nullptr };
size_t cohort(void *, uint64_t round, uint32_t *out, size_t) {
  for (uint32_t j = 0; j < M; j++) out[j] = (uint32_t)((round * 2 + 3 * j) % N);
  return M;
}
size_t size_of(size_t client) { return offset[client + 1] - offset[client]; }
size_t batch(void *, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t) {
  const size_t n = size_of(client), count = n < BATCH ? n : (size_t)BATCH;
  for (size_t j = 0; j < count; j++) out[j] = (uint32_t)(offset[client] + (step * BATCH + j + round) % n);
  return count;
}

// ---- the reference ------------------------------------------------------------------------------------------------------
Vec operator+(Vec a, const Vec &b) { for (int i = 0; i < D; i++) a[i] += b[i]; return a; }
Vec operator-(Vec a, const Vec &b) { for (int i = 0; i < D; i++) a[i] -= b[i]; return a; }
Vec operator*(double s, Vec a) { for (double &v : a) v *= s; return a; }
double norm(const Vec &a) { double s = 0; for (double v : a) s += v * v; return std::sqrt(s); }
Vec unit(const Vec &a) { return (1.0 / (norm(a) + 1e-12)) * a; }
const Vec zero(D, 0.0);

struct Client {                                 // one client's round
  size_t id; uint64_t r; double lr, K, p; Vec x;
  Vec grad(uint64_t k, const Vec &y) const {
    uint32_t row[BATCH];
    Vec g(D);
    const size_t count = batch(nullptr, r, (uint32_t)id, k, row, BATCH);
    gradient(y.data(), row, count, g.data());
    return g;
  }
  Vec whole(const Vec &y) const {               // over all local data
    std::vector<uint32_t> row;
    Vec g(D);
    for (size_t i = offset[id]; i < offset[id + 1]; i++) row.push_back((uint32_t)i);
    gradient(y.data(), row.data(), row.size(), g.data());
    return g;
  }
};
using Clients = std::vector<Client>;
using Vecs = std::vector<Vec>;
struct Method {                                 // client: from where it starts to y_K; server: x from the clients' changes
  std::function<Vec(Client &)> client;
  std::function<Vec(const Vec &x, const Clients &, const Vecs &delta)> server;
  std::function<Vec(const Vec &x)> send = [](const Vec &x) { return x; };
};
const double LR = 0.05, DECAY = 0.9, WD = 0.01;

Vec reference(Method m, bool samples) {
  Vec x(D);
  for (int i = 0; i < D; i++) x[i] = start_of(i);
  for (uint64_t r = 0; r < R; r++) {
    uint32_t who[M];
    double total = 0;
    cohort(nullptr, r, who, M);
    for (uint32_t i : who) total += (double)size_of(i);
    Clients active;
    Vecs delta;
    for (uint32_t i : who) {
      const double share = samples ? (double)size_of(i) / total : 1.0 / M;
      active.push_back({ i, r, LR * std::pow(DECAY, (double)r), (double)(EPOCHS * ((size_of(i) + BATCH - 1) / BATCH)), share,
                         m.send(x) });
      const Vec y = m.client(active.back());
      delta.push_back(y - active.back().x);
    }
    x = m.server(x, active, delta);
  }
  return x;
}
Vec mean(const Clients &c, const Vecs &v) {
  Vec s = zero;
  for (size_t j = 0; j < c.size(); j++) s = s + c[j].p * v[j];
  return s;
}
auto average = [](const Vec &x, const Clients &c, const Vecs &d) { return x + mean(c, d); };
Vec direction(const Clients &c, const Vecs &d) {        // D of federated-adaptive 0.2
  Vec s = zero;
  for (size_t j = 0; j < c.size(); j++) s = s - (1.0 / (M * c[j].K * c[j].lr)) * d[j];
  return s;
}
// K steps of y <- y - lr*(v(k, y) + weight_decay*y)
Vec descend(const Client &c, const std::function<Vec(uint64_t, const Vec &)> &v) {
  Vec y = c.x;
  for (uint64_t k = 0; k < (uint64_t)c.K; k++) y = y - c.lr * (v(k, y) + WD * y);
  return y;
}
std::function<Vec(uint64_t, const Vec &)> plain(const Client &c) {
  return [&c](uint64_t k, const Vec &y) { return c.grad(k, y); };
}
Vec sam(const Client &c, uint64_t k, const Vec &y, double rho) { return c.grad(k, y + rho * unit(c.grad(k, y))); }
} // namespace
