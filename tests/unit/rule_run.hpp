// A rule on its own: a run of steps over a layout of the test's, with gradients from a function of (step, point).
#pragma once
#include <catch2/catch.hpp>
#include <cstring>
#include <fedlane/session.h>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace rule_run {
using settings = std::vector<std::pair<std::string, std::string>>;
using gradient = std::function<void(uint64_t step, const float *at, const fl_ask *, float *g)>;

inline fl_algorithm build(const settings &set) {
  std::vector<fl_setting> s;
  for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "test" });
  fl_algorithm a;
  char err[512] = "";
  const int r = fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err);
  REQUIRE(std::string(err) == "");
  REQUIRE(r == 0);
  return a;
}

struct Run {
  fl_algorithm algorithm;
  fl_layout layout;
  fl_job job = {};
  fl_local lo = {};
  fl_oracle oracle = {};
  gradient grad;
  uint64_t now = 0;
  std::vector<float> y, g, state, work;
  std::vector<fl_run> blocks;

  Run(const settings &set, const fl_layout &l, std::vector<float> start, gradient f, size_t batch = 1,
      const fl_kernels *k = fl_kernels_select(nullptr, nullptr))
      : algorithm(build(set)), layout(l), grad(std::move(f)), y(std::move(start)) {
    job.layout = &layout, job.clients = 1, job.rounds = 1, job.local_steps = 1000;
    job.rule = algorithm.rule, job.h_rule = algorithm.h_rule, job.sampled_labels = 1;
    blocks.resize(fl_blocks_of(&layout, 0, nullptr) + 1);
    job.blocks = { fl_blocks_of(&layout, 0, blocks.data()), blocks.data() };
    REQUIRE(fl_rules_refuse(&job) == nullptr);
    g.resize(layout.d);
    state.resize((job.rule->state ? job.rule->state(job.h_rule, &job) : 0) + 1);
    work.resize((job.rule->work ? job.rule->work(job.h_rule, &job) : 0) + 1);
    oracle.self = this, oracle.n = batch, oracle.batch = batch;
    oracle.next = [](void *self, uint64_t t) { static_cast<Run *>(self)->now = t + 1; };
    oracle.grad = [](void *self, const fl_ask *ask, float *out) {
      Run *r = static_cast<Run *>(self);
      r->grad(r->now, ask->at, ask, out);
      return 0.0;
    };
    lo.job = &job, lo.k = k, lo.oracle = &oracle, lo.y = y.data(), lo.g = g.data(), lo.state = state.data(), lo.work = work.data();
    lo.start = y.data(), lo.clip = 1.0, lo.mix.ga = 1.0f, lo.lr = algorithm.h_run[FL_H_LR];
    lo.clock.lr = lo.clock.lr_decay = lo.lr;
    lo.clock.total = 1000;
  }
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;
  // `steps` steps from the rule's initial state, or from theta.
  const std::vector<float> &steps(uint64_t n, const float *theta = nullptr) {
    lo.steps = n;
    lo.clock.t = 0;
    lo.theta = theta;
    if (job.rule->start) job.rule->start(job.h_rule, &lo, theta);
    fl_local_run(&lo, 1.0 / 0.0, nullptr);
    return y;
  }
};
}  // namespace rule_run
