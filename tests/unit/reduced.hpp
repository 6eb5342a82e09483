// reduced.hpp - runs of the two problems of federated.hpp for tests of what a method becomes: so many rounds of so many steps,
// some of the clients or all, and what a stage keeps.
#pragma once
#include "federated.hpp"

namespace federated {
inline settings operator+(settings a, const settings &b) { a.insert(a.end(), b.begin(), b.end()); return a; }
inline settings named(const char *name, const settings &more = {}) { return settings{ { "name", name } } + more; }
inline std::string text(const settings &set) {
  std::string out;
  for (auto &p : set) out += p.first + "=" + p.second + " ";
  return out;
}
enum { ALL_STEPS = 0, ONE_STEP = 1 };
inline const settings equal = { { "name", "fedavg" }, { "weights", "equal" } };
inline const settings unweighted = { { "weight_decay", "0" } };

struct Reduced : Run {
  // full: all clients, with all of their rows at once.
  Reduced(settings set, uint64_t steps, bool full = false) : Run(with_common(set), 1) {
    options.local_steps = steps;
    if (full) {
      Session::problem.cohort = nullptr, Session::problem.batch = nullptr;
      options.participation = 1, options.batch_size = SAMPLES;
    }
    open();
    REQUIRE(error == "");
  }
  std::vector<float> after(uint64_t rounds) {
    for (uint64_t r = 0; r < rounds; r++) round();
    return x();
  }
};
inline Vec beginning() {
  Vec x((size_t)D);
  for (int i = 0; i < D; i++) x[(size_t)i] = start_of(i);
  return x;
}
// To `tolerance` of the way that x went.
template <class V> void agrees(const std::vector<float> &got, const V &want, double tolerance = 1e-5) {
  double way = 0, apart = 0;
  for (int i = 0; i < D; i++) {
    way = std::fmax(way, std::fabs((double)want[(size_t)i] - start_of(i)));
    apart = std::fmax(apart, std::fabs((double)got[(size_t)i] - (double)want[(size_t)i]));
  }
  CHECK(way > 1e-4);
  CHECK(apart <= tolerance * way);
}

// What a stage keeps of every client, and on the server: in slots by the table's order. One at a time.
struct Watch {
  const fl_stage *of = nullptr;
  size_t client = 0, server = 0;
  std::vector<Vec> states;
  Vec kept;
};
inline Watch watch;
struct Watched : Reduced {
  fl_stage own;
  Watched(const settings &set, uint64_t steps, size_t client, size_t server, bool full = false) : Reduced(set, steps, full) {
    watch = { a.stage[0], client, server, std::vector<Vec>(N, zero), zero };
    own = *watch.of;
    own.client_finish = [](const double *h, fl_local *lo) {
      watch.of->client_finish(h, lo);
      watch.states[lo->id] = Vec(lo->at[watch.client], lo->at[watch.client] + D);
    };
    own.server_finish = [](const double *h, fl_server *sv) {
      watch.of->server_finish(h, sv);
      watch.kept = Vec(sv->at[watch.server], sv->at[watch.server] + D);
    };
    a.stage[0] = &own;
    open();
    REQUIRE(error == "");
  }
};
} // namespace federated
