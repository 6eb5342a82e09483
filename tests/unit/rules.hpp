// One rule on a small problem through the training loop itself, for the tests of rules.
#pragma once
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fedlane/optimizer.h>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace rules {
using Settings = std::vector<std::pair<std::string, std::string>>;
using Floats = std::vector<float>;

inline fl_algorithm build(const Settings &set) {
  std::vector<fl_setting> s;
  for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "test" });
  fl_algorithm a;
  char err[512] = "";
  const int r = fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err);
  REQUIRE(std::string(err) == "");
  REQUIRE(r == 0);
  return a;
}
inline std::string why_not(const Settings &set) {
  std::vector<fl_setting> s;
  for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "test" });
  fl_algorithm a;
  char err[2048] = "";                          // names all parameters
  return fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err) ? err : "";
}
inline bool same(const Floats &a, const Floats &b) {
  return a.size() == b.size() && !std::memcmp(a.data(), b.data(), 4 * a.size());
}

// A vector of n floats that is one bias tensor.
struct Flat {
  fl_tensor tensor;
  fl_layout layout;
  explicit Flat(size_t n) : tensor{ "x", FL_BIAS, 0, 0, 1, { n, 0, 0, 0 }, 0, n }, layout{ 1, n, 0, &tensor } {}
  Flat(const Flat &) = delete;
};

struct Run {
  fl_algorithm a;
  fl_job job{};
  Floats y, g, state, work;
  fl_local lo{};
  std::function<void(uint64_t, const float *, float *)> gradient;  // of step k = 1, 2, ... at y
  std::function<void(const fl_key *, const float *, float *)> sampled;     // with labels drawn by the key; empty: gradient
  std::function<double(uint64_t)> schedule;     // lr of step k; empty: lr
  std::vector<Floats> path;                     // y before each step
  uint64_t k = 0;
  size_t batch = 1;                             // rows behind a gradient, as the rule is told
  double clip_norm = INFINITY;

  Run(const Settings &set, const fl_layout *layout, const Floats &start, uint64_t total = 12, const fl_kernels *kernels = nullptr)
      : a(build(set)), y(start), g(layout->d) {
    job.layout = layout, job.rule = a.rule, job.h_rule = a.h_rule, job.rounds = 1, job.local_steps = total,
        job.sampled_labels = 1;
    char refused[400] = "";
    fl_job_refuse(&job, refused, sizeof refused);
    REQUIRE(std::string(refused) == "");
    state.resize(a.rule->state ? a.rule->state(a.h_rule, &job) : 0);
    work.resize(a.rule->work ? a.rule->work(a.h_rule, &job) : 0);
    lo.job = &job, lo.k = kernels ? kernels : fl_kernels_select(nullptr, nullptr);
    lo.y = y.data(), lo.g = g.data(), lo.state = state.data(), lo.work = work.data();
    lo.mix.ga = 1, lo.clock.total = total, lo.clock.lr = lo.clock.lr_decay = a.h_run[FL_H_LR];
    if (a.rule->start) a.rule->start(a.h_rule, &lo, nullptr);
  }
  Run(const Run &) = delete;

  // A new run of the rule: its state from theta, or the initial one; y stays.
  void restart(const float *theta) {
    lo.clock.k = lo.clock.t = k = 0;
    lo.theta = theta;
    if (a.rule->start) a.rule->start(a.h_rule, &lo, theta);
  }
  Floats &steps(uint64_t n) {
    const fl_oracle oracle = { this, 1, batch, next, ask };
    lo.oracle = &oracle, lo.steps = n;
    fl_local_run(&lo, clip_norm, 0, nullptr);
    return y;
  }

private:
  static void next(void *self, uint64_t) {
    Run *r = static_cast<Run *>(self);
    r->k++;
    r->path.push_back(r->y);
    if (r->schedule) r->lo.clock.lr = r->lo.clock.lr_decay = r->schedule(r->k);
  }
  static double ask(void *self, const fl_ask *ask, float *g) {
    Run *r = static_cast<Run *>(self);
    if (ask->labels && r->sampled) r->sampled(ask->labels, ask->at, g);
    else r->gradient(r->k, ask->at, g);
    return 0;
  }
};

// The same with its gradients, and the rows behind them, given at once.
struct Given : Run {
  Given(const Settings &set, const fl_layout &l, const Floats &start, std::function<void(uint64_t, const float *, float *)> f,
        size_t rows = 1)
      : Run(set, &l, start, 1000) { gradient = std::move(f), batch = rows; }
};
} // namespace rules
