// federated.hpp - what the tests of the federated methods share: their problem, a client's round and the server's part in plain
// double precision, and the comparison.
#pragma once
#include "session.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/session.h>
#include <functional>
#include <string>
#include <vector>

namespace federated {
using Vec = std::vector<double>;
using settings = std::vector<std::pair<std::string, std::string>>;
enum { D = 29, N = 7, M = 4, EPOCHS = 2, BATCH = 2, R = 4 };
const size_t offset[N + 1] = { 0, 5, 6, 9, 17, 21, 23, 29 };
const fl_tensor tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                              { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const fl_layout layout = { 2, D, 0, tensor };
inline double start_of(int i) { return (float)((i * 37 % 19) / 9.5 - 1); }
inline double target(size_t sample, int i) { return (double)((sample * 31 + (size_t)i * 7) % 13) / 6.0; }
inline double curvature(int i) { return 1.0 + i % 3; }
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
inline void init(void *, uint64_t, float *x) {
  for (int i = 0; i < D; i++) x[i] = (float)start_of(i);
}
inline double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  return gradient(x, row, count, g);
}
const fl_objective objective = { "quadratic", nullptr, &layout, 29, 0, 0, init, nullptr, loss_grad, nullptr };
inline size_t cohort(void *, uint64_t round, uint32_t *out, size_t) {
  for (uint32_t j = 0; j < M; j++) out[j] = (uint32_t)((round * 2 + 3 * j) % N);
  return M;
}
inline size_t size_of(size_t client) { return offset[client + 1] - offset[client]; }
inline size_t batch(void *, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t) {
  const size_t n = size_of(client), count = n < BATCH ? n : (size_t)BATCH;
  for (size_t j = 0; j < count; j++) out[j] = (uint32_t)(offset[client] + (step * BATCH + j + round) % n);
  return count;
}

// ---- the reference ------------------------------------------------------------------------------------------------------
inline Vec operator+(Vec a, const Vec &b) { for (int i = 0; i < D; i++) a[i] += b[i]; return a; }
inline Vec operator-(Vec a, const Vec &b) { for (int i = 0; i < D; i++) a[i] -= b[i]; return a; }
inline Vec operator*(double s, Vec a) { for (double &v : a) v *= s; return a; }
inline double norm(const Vec &a) { double s = 0; for (double v : a) s += v * v; return std::sqrt(s); }
inline Vec unit(const Vec &a) { return (1.0 / (norm(a) + 1e-12)) * a; }
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

inline Vec simulate(Method m, bool samples) {
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
inline Vec mean(const Clients &c, const Vecs &v) {
  Vec s = zero;
  for (size_t j = 0; j < c.size(); j++) s = s + c[j].p * v[j];
  return s;
}
inline const auto average = [](const Vec &x, const Clients &c, const Vecs &d) { return x + mean(c, d); };
inline Vec direction(const Clients &c, const Vecs &d) {        // D of federated-adaptive 0.2
  Vec s = zero;
  for (size_t j = 0; j < c.size(); j++) s = s - (1.0 / (M * c[j].K * c[j].lr)) * d[j];
  return s;
}
// K steps of y <- y - lr*(v(k, y) + weight_decay*y)
inline Vec descend(const Client &c, const std::function<Vec(uint64_t, const Vec &)> &v) {
  Vec y = c.x;
  for (uint64_t k = 0; k < (uint64_t)c.K; k++) y = y - c.lr * (v(k, y) + WD * y);
  return y;
}
inline std::function<Vec(uint64_t, const Vec &)> plain(const Client &c) {
  return [&c](uint64_t k, const Vec &y) { return c.grad(k, y); };
}
inline Vec sam(const Client &c, uint64_t k, const Vec &y, double rho) { return c.grad(k, y + rho * unit(c.grad(k, y))); }

// ---- the product --------------------------------------------------------------------------------------------------------
struct Run : session::Session {
  Run(const settings &set, int threads)
      : Session(set, objective, std::vector<size_t>(federated::offset, federated::offset + N + 1), R, BATCH) {
    problem.cohort = cohort, problem.batch = batch;
    options.participation = (double)M / N, options.local_epochs = EPOCHS, options.threads = threads;
    open();
    REQUIRE(error == "");
  }
};
// The parameters after R rounds; evaluated: what is evaluated and saved in their place.
inline std::vector<float> product(settings set, int threads, std::vector<float> *evaluated = nullptr) {
  const settings common = { { "lr", "0.05" }, { "lr_schedule", "exponential" }, { "lr_decay", "0.9" }, { "clip_norm", ".inf" } };
  for (auto &p : common) {
    bool said = false;
    for (auto &q : set) said |= q.first == p.first;
    if (!said) set.push_back(p);
  }
  Run run(set, threads);
  CHECK(fl_rounds(run.s, nullptr, nullptr) == 1);
  if (evaluated) *evaluated = run.average();
  return run.x();
}
// To `tolerance` of the way that x went; one and three threads the same bits. point: what is to be evaluated, x if not given.
inline void agree(const settings &set, const Vec &want, const Vec *point = nullptr, double tolerance = 1e-4) {
  INFO(set[0].second);
  std::vector<float> seen;
  const std::vector<float> got = product(set, 1, &seen), again = product(set, 3);
  double worst = 0, way = 0;
  for (int i = 0; i < D; i++) {
    worst = std::fmax(worst, std::fabs(got[i] - want[i]));
    way = std::fmax(way, std::fabs(want[i] - start_of(i)));
    CHECK(got[i] == again[i]);
    CHECK(seen[i] == Approx(point ? (*point)[i] : (double)got[i]).margin(1e-5));
  }
  CHECK(way > 1e-3);
  CHECK(worst <= tolerance * way);
}
const std::pair<std::string, std::string> decay = { "weight_decay", "0.01" };
} // namespace federated
using namespace federated;
