// federated.hpp - what the tests of the federated methods share: two problems, a client's round and the server's part in plain
// double precision, and the comparison. `use` chooses the problem: a quadratic whose curvature differs by coordinate, or a small
// network.
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
enum { N = 7, M = 4, EPOCHS = 2, BATCH = 2, R = 4, SAMPLES = 29 };
const size_t offset[N + 1] = { 0, 5, 6, 9, 17, 21, 23, 29 };

// ---- the problems: mean loss over some samples and its gradient ------------------------------------------------------------
struct Problem {
  fl_layout layout;
  double (*start)(int);
  double (*gradient)(const double *x, const uint32_t *row, size_t count, double *g);
};
inline double target(size_t sample, int i) { return (double)((sample * 31 + (size_t)i * 7) % 13) / 6.0; }
inline double curvature(int i) { return 1.0 + i % 3; }
inline double quadratic(const double *x, const uint32_t *row, size_t count, double *g) {
  double loss = 0;
  for (int i = 0; i < 29; i++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
      const double e = x[i] - target(row[j], i);
      sum += e * curvature(i);
      loss += 0.5 * e * e * curvature(i);
    }
    g[i] = sum / (double)count;
  }
  return loss / (double)count;
}
// 4 inputs, 5 hidden units (tanh), 3 classes (softmax and cross-entropy).
enum { IN = 4, HIDDEN = 5, CLASSES = 3, B1 = HIDDEN * IN, W2 = B1 + HIDDEN, B2 = W2 + CLASSES * HIDDEN, WEIGHTS = B2 + CLASSES };
inline double input(size_t sample, int i) { return (double)((sample * 17 + (size_t)i * 23) % 11) / 5.0 - 1; }
inline double network(const double *x, const uint32_t *row, size_t count, double *g) {
  double loss = 0;
  for (int i = 0; i < WEIGHTS; i++) g[i] = 0;
  for (size_t s = 0; s < count; s++) {
    const int label = (int)((row[s] * 5 + row[s] / 6) % CLASSES);
    double h[HIDDEN], e[CLASSES], sum = 0;
    for (int j = 0; j < HIDDEN; j++) {
      h[j] = x[B1 + j];
      for (int i = 0; i < IN; i++) h[j] += x[j * IN + i] * input(row[s], i);
      h[j] = std::tanh(h[j]);
    }
    for (int c = 0; c < CLASSES; c++) {
      double z = x[B2 + c];
      for (int j = 0; j < HIDDEN; j++) z += x[W2 + c * HIDDEN + j] * h[j];
      sum += e[c] = std::exp(z);
    }
    loss -= std::log(e[label] / sum);
    for (int c = 0; c < CLASSES; c++) e[c] = (e[c] / sum - (c == label)) / (double)count;
    for (int c = 0; c < CLASSES; c++) {
      g[B2 + c] += e[c];
      for (int j = 0; j < HIDDEN; j++) g[W2 + c * HIDDEN + j] += e[c] * h[j];
    }
    for (int j = 0; j < HIDDEN; j++) {
      double back = 0;
      for (int c = 0; c < CLASSES; c++) back += e[c] * x[W2 + c * HIDDEN + j];
      back *= 1 - h[j] * h[j];
      g[B1 + j] += back;
      for (int i = 0; i < IN; i++) g[j * IN + i] += back * input(row[s], i);
    }
  }
  return loss / (double)count;
}
const fl_tensor quadratic_tensor[] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                                       { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const fl_tensor network_tensor[] = { { "w1", FL_MATRIX, 0, 0, 2, { HIDDEN, IN, 0, 0 }, 0, B1 },
                                     { "b1", FL_BIAS, 0, 0, 1, { HIDDEN, 0, 0, 0 }, B1, HIDDEN },
                                     { "w2", FL_HEAD, 1, 0, 2, { CLASSES, HIDDEN, 0, 0 }, W2, CLASSES * HIDDEN },
                                     { "b2", FL_BIAS, 1, 0, 1, { CLASSES, 0, 0, 0 }, B2, CLASSES } };
const Problem problems[] = {
  { { 2, 29, 0, quadratic_tensor }, [](int i) { return (double)(float)((i * 37 % 19) / 9.5 - 1); }, quadratic },
  { { 4, WEIGHTS, 0, network_tensor }, [](int i) { return (double)(float)((i * 37 % 19) / 9.5 - 1); }, network },
};
inline const Problem *problem = &problems[0];
inline int D = 29;
inline Vec zero(29, 0.0);
inline void use(int which) {
  problem = &problems[which];
  D = (int)problem->layout.d;
  zero.assign((size_t)D, 0.0);
}
inline double start_of(int i) { return problem->start(i); }
// The tensor of a coordinate; whether it is a matrix.
inline size_t tensor_of(int i) {
  size_t t = 0;
  while ((size_t)i >= problem->layout.tensor[t].offset + problem->layout.tensor[t].size) t++;
  return t;
}
inline bool in_matrix(int i) { return problem->layout.tensor[tensor_of(i)].ndim == 2; }
inline void init(void *, uint64_t, float *x) {
  for (int i = 0; i < D; i++) x[i] = (float)start_of(i);
}
inline double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  const Vec wide(x, x + D);
  Vec out((size_t)D);
  const double loss = problem->gradient(wide.data(), row, count, out.data());
  for (int i = 0; i < D; i++) g[i] = (float)out[(size_t)i];
  return loss;
}
inline fl_objective objective() {
  fl_objective o = {};
  o.name = "small", o.layout = &problem->layout, o.n = SAMPLES, o.init = init, o.loss_grad = loss_grad;
  return o;
}
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

struct Client {                                 // one client's round
  size_t id; uint64_t r; double lr, K, p; Vec x;
  Vec grad(uint64_t k, const Vec &y) const {
    uint32_t row[BATCH];
    Vec g(D);
    const size_t count = batch(nullptr, r, (uint32_t)id, k, row, BATCH);
    problem->gradient(y.data(), row, count, g.data());
    return g;
  }
  Vec whole(const Vec &y) const {               // over all local data
    std::vector<uint32_t> row;
    Vec g(D);
    for (size_t i = offset[id]; i < offset[id + 1]; i++) row.push_back((uint32_t)i);
    problem->gradient(y.data(), row.data(), row.size(), g.data());
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
struct Problem32 { fl_objective o = objective(); };
struct Run : Problem32, session::Session {
  Run(const settings &set, int threads)
      : Session(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), R, BATCH) {
    Session::problem.cohort = cohort, Session::problem.batch = batch;
    options.participation = (double)M / N, options.local_epochs = EPOCHS, options.threads = threads;
    open();
    REQUIRE(error == "");
  }
};
// The settings with those that all have, where they do not say otherwise.
inline settings with_common(const settings &given) {
  settings set = given;
  const settings common = { { "lr", "0.05" }, { "lr_schedule", "exponential" }, { "lr_decay", "0.9" }, { "clip_norm", ".inf" } };
  for (auto &p : common) {
    bool said = false;
    for (auto &q : given) said |= q.first == p.first || (p.first == "lr_decay" && q.first == "lr_schedule");
    if (!said) set.push_back(p);
  }
  return set;
}
// The parameters after R rounds; evaluated: what is evaluated and saved in their place.
inline std::vector<float> product(const settings &set, int threads, std::vector<float> *evaluated = nullptr) {
  Run run(with_common(set), threads);
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
// A run that is saved in the middle and loaded by another, with other threads, ends as one that goes through.
inline void resumes(const settings &set) {
  Run whole(set, 3), first(set, 1), second(set, 2);
  for (int r = 0; r < R; r++) whole.round();
  for (int r = 0; r < R / 2; r++) first.round();
  second.load(first.save());
  for (int r = R / 2; r < R; r++) second.round();
  CHECK(second.x() == whole.x());
}
const std::pair<std::string, std::string> decay = { "weight_decay", "0.01" };
} // namespace federated
using namespace federated;
