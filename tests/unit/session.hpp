// A session in memory on a small objective, for the tests of central training and of stages.
#pragma once
#include "rules.hpp"
#include <fedlane/session.h>

namespace session {
using Bytes = std::vector<unsigned char>;

// One client: central training on all rows; more: a federated run of all of them, one epoch a round.
struct Session {
  fl_algorithm a;
  std::vector<size_t> offset;
  std::vector<uint32_t> index;
  fl_problem problem = {};
  fl_options options = {};
  fl_session *s = nullptr;
  std::string error;

  Session(const rules::Settings &set, const fl_objective &objective, std::vector<size_t> offsets, uint64_t rounds, size_t batch)
      : a(rules::build(set)), offset(std::move(offsets)), index(objective.n) {
    for (uint32_t i = 0; i < index.size(); i++) index[i] = i;
    problem.objective = &objective, problem.clients = offset.size() - 1, problem.offset = offset.data(),
        problem.index = index.data();
    options.central = problem.clients == 1, options.rounds = rounds, options.batch_size = batch, options.eval_every = 1,
        options.seed = 3;
    options.participation = 1, options.local_epochs = 1, options.threads = 1;
  }
  ~Session() { fl_close(s); }
  Session(const Session &) = delete;
  Session &open() {
    char err[512] = "";
    fl_close(s);
    fl_open(&s, &problem, &a, &options, err, sizeof err);
    error = err;
    return *this;
  }
  rules::Floats x() const {
    size_t n;
    const float *p = fl_params(s, &n);
    return rules::Floats(p, p + n);
  }
  rules::Floats average() const {
    size_t n;
    const float *p = fl_averaged(s, &n);
    return rules::Floats(p, p + n);
  }
  fl_metrics round() {
    fl_metrics m;
    REQUIRE(fl_round(s, &m) == 0);
    return m;
  }
  Bytes save() const {
    Bytes bytes;
    REQUIRE(fl_session_save(s, [](void *to, const void *p, size_t n) {
      const auto *from = static_cast<const unsigned char *>(p);
      static_cast<Bytes *>(to)->insert(static_cast<Bytes *>(to)->end(), from, from + n);
      return 0;
    }, &bytes) == 0);
    return bytes;
  }
  void load(const Bytes &bytes) {
    std::pair<const unsigned char *, size_t> at = { bytes.data(), 0 };
    char err[200] = "";
    REQUIRE(fl_session_load(s, [](void *from, void *p, size_t n) {
      auto *in = static_cast<std::pair<const unsigned char *, size_t> *>(from);
      std::memcpy(p, in->first + in->second, n);
      in->second += n;
      return 0;
    }, &at, err, sizeof err) == 0);
    CHECK(at.second == bytes.size());
  }
};
} // namespace session
