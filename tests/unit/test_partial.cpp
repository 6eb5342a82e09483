// Who takes part and how much each does: statistics of the draws, their independence of each other, rounds worked out by hand.
#include "session.hpp"
#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <fedlane/session.h>
#include <functional>
#include <set>

namespace {
// 0.5*(x - row)^2 in one coordinate.
const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { 1, 0, 0, 0 }, 0, 1 };
const fl_layout layout = { 1, 1, 0, &tensor };
void init(void *, uint64_t, float *x) { x[0] = 8; }
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  double sum = 0, loss = 0;
  for (size_t i = 0; i < count; i++) {
    const double e = (double)x[0] - row[i];
    sum += e / (double)count, loss += 0.5 * e * e / (double)count;
  }
  g[0] = (float)sum;
  return loss;
}
fl_objective make(size_t n) { return { "quadratic", nullptr, &layout, n, 0, 0, init, nullptr, loss_grad, nullptr }; }
std::vector<size_t> equal(size_t clients, size_t each) {
  std::vector<size_t> offset;
  for (size_t i = 0; i <= clients; i++) offset.push_back(i * each);
  return offset;
}
const rules::Settings plain = { { "rule", "sgd" }, { "lr", "0.1" }, { "weight_decay", "0" }, { "clip_norm", ".inf" } };

const rules::Settings private_set = { { "stack", "dp" }, { "rule", "sgd" } };   // its account is of Poisson sampling as it is

// Clients with equal samples, and what is drawn of them.
struct Population {
  fl_objective objective;
  session::Session run;
  Population(size_t clients, size_t each, double participation, const fl_partial &partial, const rules::Settings &set = plain)
      : objective(make(clients * each)), run(set, objective, equal(clients, each), 1000, 1) {
    run.options.partial = partial, run.options.participation = participation;
    run.open();
    REQUIRE(run.error == "");
  }
  std::vector<uint32_t> cohort(uint64_t round) const {
    std::vector<uint32_t> out(fl_session_cohort_size(run.s));
    out.resize(fl_session_cohort(run.s, round, out.data()));
    return out;
  }
};
fl_partial sampling(int kind) {
  fl_partial p = {};
  p.sampling = kind;
  return p;
}
fl_partial available(int kind, double part, uint64_t period = 0) {
  fl_partial p = {};
  p.availability = kind, p.available_part = part, p.available_period = period;
  return p;
}
fl_partial stragglers(double part, int unit, uint64_t least, uint64_t most) {
  fl_partial p = {};
  p.stragglers = part, p.straggler_unit = unit, p.straggler_min = least, p.straggler_max = most;
  return p;
}
std::set<uint32_t> as_set(const std::vector<uint32_t> &v) { return std::set<uint32_t>(v.begin(), v.end()); }
}

TEST_CASE("Poisson: every client by itself; sizes, pairs and clients come as often as the binomial law says") {
  const Population p(200, 1, 0.03, sampling(FL_SAMPLE_POISSON), private_set);
  const int R = 4000;
  const double n = 200, q = 0.03;
  double sum = 0, squares = 0, empty = 0, neighbours = 0, first_is_least = 0, two = 0;
  std::vector<double> times(200);
  for (uint64_t r = 0; r < (uint64_t)R; r++) {
    const auto c = p.cohort(r);
    const auto who = as_set(c);
    CHECK(who.size() == c.size());
    sum += (double)c.size(), squares += (double)(c.size() * c.size()), empty += c.empty();
    for (uint32_t i : who) times[i]++, neighbours += who.count(i + 1);
    if (c.size() > 1) two++, first_is_least += c[0] == *who.begin();
  }
  const double mean = sum / R, variance = squares / R - mean * mean;
  CHECK(std::fabs(mean - n * q) < 4 * std::sqrt(n * q * (1 - q) / R));
  CHECK(variance == Approx(n * q * (1 - q)).epsilon(0.1));
  CHECK(empty / R == Approx(std::pow(1 - q, n)).margin(4 * std::sqrt(std::pow(1 - q, n) / R)));
  CHECK(neighbours == Approx(199 * q * q * R).epsilon(0.15));
  double chi = 0;
  for (double t : times) chi += (t - q * R) * (t - q * R) / (q * R * (1 - q));
  CHECK(chi < 200 + 5 * std::sqrt(400));
  CHECK(chi > 200 - 5 * std::sqrt(400));
  CHECK(first_is_least / two < 0.5);            // the order is drawn as well
}

TEST_CASE("Poisson: certain, all come; the mean size is what the job tells") {
  CHECK(Population(50, 1, 1, sampling(FL_SAMPLE_POISSON)).cohort(3).size() == 50);
  const Population p(1000, 1, 0.0125, sampling(FL_SAMPLE_POISSON));
  CHECK(fl_session_job(p.run.s)->expected == Approx(12.5));
  CHECK(fl_session_job(p.run.s)->poisson);
  CHECK(fl_session_cohort_size(p.run.s) < 150);
  CHECK(fl_session_job(Population(1000, 1, 0.0125, {}).run.s)->expected == 12);
}

TEST_CASE("Poisson: a draw of nobody is drawn again, but in private runs; who is drawn may still be away") {
  const double n = 40, q = 0.04, none = std::pow(1 - q, n);      // a fifth of the draws is empty
  const Population again(40, 1, q, sampling(FL_SAMPLE_POISSON)), once(40, 1, q, sampling(FL_SAMPLE_POISSON), private_set);
  const int R = 3000;
  double sum = 0, empty = 0, redrawn = 0, first_position = 0;
  std::set<std::vector<uint32_t>> different;
  for (uint64_t r = 0; r < (uint64_t)R; r++) {
    const auto c = again.cohort(r), p = once.cohort(r);
    CHECK(!c.empty());
    sum += (double)c.size();
    if (!p.empty()) { CHECK(c == p); continue; }
    empty++, redrawn += (double)c.size(), first_position += c[0];
    different.insert(c);
  }
  const double mean = n * q / (1 - none), deviation = std::sqrt((n * q * (1 - q) + n * n * q * q) / (1 - none) - mean * mean);
  CHECK(empty / R == Approx(none).margin(4 * std::sqrt(none / R)));
  CHECK(sum / R == Approx(mean).margin(4 * deviation / std::sqrt(R)));
  CHECK(redrawn / empty == Approx(mean).margin(4 * deviation / std::sqrt(empty)));
  CHECK(first_position / empty == Approx(19.5).margin(4 * 11.6 / std::sqrt(empty)));
  CHECK(different.size() > empty / 4);
  fl_partial away = available(FL_AVAILABLE_BERNOULLI, 0.5);
  away.sampling = FL_SAMPLE_POISSON;
  const Population there(40, 1, q, away);
  size_t left = 0;
  for (uint64_t r = 0; r < 200; r++) left += there.cohort(r).empty();
  CHECK(left > 40);
  Population hopeless(2, 1, 1e-7, sampling(FL_SAMPLE_POISSON));   // a thousand draws of nobody
  CHECK(hopeless.run.round().cohort == 0);
}

TEST_CASE("a round without clients is recorded and moves nothing") {
  Population p(3, 2, 0.4, available(FL_AVAILABLE_BERNOULLI, 0.15),
               { { "name", "fedavgm" }, { "lr", "0.1" }, { "clip_norm", ".inf" } });
  int empty = 0, others = 0;
  float before = 8;
  for (int r = 0; r < 40; r++) {
    const fl_metrics m = p.run.round();
    CHECK(m.round == (uint64_t)r + 1);
    CHECK(m.cohort == p.cohort((uint64_t)r).size());
    if (m.cohort == 0) {
      empty++;
      CHECK(p.run.x()[0] == before);            // the server's momentum does not move it either
      CHECK(m.update_norm == 0);
      CHECK(std::isnan(m.train_loss));
      CHECK(m.bytes_up + m.bytes_down == 0);
    } else {
      others++;
      CHECK(p.run.x()[0] != before);
    }
    before = p.run.x()[0];
  }
  CHECK(empty > 15);
  CHECK(others > 3);
}

TEST_CASE("a fixed cohort is the first round's, in every round") {
  const Population fixed(40, 1, 0.25, sampling(FL_SAMPLE_FIXED)), free(40, 1, 0.25, {});
  CHECK(fixed.cohort(0) == free.cohort(0));
  CHECK(fixed.cohort(7) == fixed.cohort(0));
  CHECK(free.cohort(7) != free.cohort(0));
}

TEST_CASE("availability: a chance in every round, or a part of a period with a phase of one's own") {
  const int R = 400, N = 60;
  const Population b(N, 1, 0.1, available(FL_AVAILABLE_BERNOULLI, 0.3)), all(N, 1, 1, available(FL_AVAILABLE_BERNOULLI, 0.3));
  double there = 0;
  for (uint64_t r = 0; r < (uint64_t)R; r++) {
    const auto here = as_set(all.cohort(r));
    const auto drawn = b.cohort(r);
    there += (double)here.size();
    CHECK(drawn.size() == std::min<size_t>(6, here.size()));     // m, of those that are there
    for (uint32_t i : drawn) CHECK(here.count(i));
  }
  CHECK(there / (R * N) == Approx(0.3).margin(4 * std::sqrt(0.3 * 0.7 / (R * N))));

  const Population p(500, 1, 1, available(FL_AVAILABLE_PERIODIC, 0.25, 8));
  std::vector<std::vector<int>> on(500, std::vector<int>(24));
  for (uint64_t r = 0; r < 24; r++)
    for (uint32_t i : p.cohort(r)) on[i][r] = 1;
  std::vector<int> starts(8);
  for (auto &o : on) {
    CHECK(std::count(o.begin(), o.end(), 1) == 6);               // 2 of each 8
    int start = 0;
    for (int r = 0; r < 8; r++) {
      CHECK(o[r] == o[r + 8]);
      if (o[r + 8] && !o[r + 7]) start = r;
    }
    CHECK(o[(start + 1) % 8]);                                   // in one piece
    starts[start]++;
  }
  for (int s : starts) CHECK(std::fabs(s - 62.5) < 5 * std::sqrt(62.5));
}

TEST_CASE("one draw does not move another") {
  fl_partial all = stragglers(0.5, FL_STRAGGLE_EPOCHS, 1, 0);
  const Population without(100, 4, 0.2, {});
  Population only_work(100, 4, 0.2, {});
  only_work.run.options.local_epochs = 5, only_work.run.options.partial = all;
  only_work.run.open();
  REQUIRE(only_work.run.error == "");
  Population both(100, 4, 0.2, {});
  all.dropout = 0.4;
  both.run.options.local_epochs = 5, both.run.options.partial = all;
  both.run.open();
  REQUIRE(both.run.error == "");
  for (uint64_t r = 0; r < 50; r++) {
    const auto drawn = without.cohort(r), left = both.cohort(r);
    CHECK(only_work.cohort(r) == drawn);                         // stragglers do not change who is drawn
    CHECK(left.size() < drawn.size() + 1);
    size_t at = 0;
    for (uint32_t i : left) {                                    // nor do drop-outs: a part of the same draw, in its order
      while (at < drawn.size() && drawn[at] != i) at++;
      CHECK(at < drawn.size());
      CHECK(fl_session_steps(both.run.s, r, i) == fl_session_steps(only_work.run.s, r, i));
    }
  }
}

TEST_CASE("drop-outs and stragglers come as often as asked, each client for itself") {
  fl_partial half = stragglers(0.25, FL_STRAGGLE_EPOCHS, 2, 4);
  half.dropout = 0.3;
  Population p(50, 3, 1, {});
  p.run.options.partial = half, p.run.options.local_epochs = 8;
  p.run.open();
  REQUIRE(p.run.error == "");
  const int R = 200;
  double left = 0;
  std::vector<double> epochs(9);
  std::set<std::vector<uint32_t>> different;
  for (uint64_t r = 0; r < (uint64_t)R; r++) {
    const auto c = p.cohort(r);
    left += (double)c.size();
    different.insert(c);
    for (uint32_t i = 0; i < 50; i++) {
      const uint64_t k = fl_session_steps(p.run.s, r, i);
      CHECK(k % 3 == 0);
      epochs[k / 3]++;
    }
  }
  CHECK(different.size() == (size_t)R);
  const double n = 50.0 * R;
  CHECK(left / n == Approx(0.7).margin(4 * std::sqrt(0.21 / n)));
  CHECK(epochs[8] / n == Approx(0.75).margin(4 * std::sqrt(0.19 / n)));
  for (int e = 2; e <= 4; e++) CHECK(epochs[e] / n == Approx(0.25 / 3).margin(4 * std::sqrt(0.08 / n)));
  CHECK(epochs[2] + epochs[3] + epochs[4] + epochs[8] == n);

  p.run.options.partial = stragglers(1, FL_STRAGGLE_STEPS, 5, 0);
  p.run.open();
  REQUIRE(p.run.error == "");
  std::set<uint64_t> steps;
  for (uint64_t r = 0; r < 100; r++) steps.insert(fl_session_steps(p.run.s, r, 0));
  CHECK(steps.size() == 20);                                     // 5 to 24
  CHECK(*steps.begin() == 5);
  CHECK(*steps.rbegin() == 24);
}

// Three clients with one, two and three samples, batch 1: x moves towards their rows; unequal steps by the definitions.
namespace {
using Vec = std::vector<double>;
double descend(double y, double target_mean, uint64_t steps, double correction = 0) {
  for (uint64_t k = 0; k < steps; k++) y -= 0.1 * (y - target_mean + correction);
  return y;
}
}
TEST_CASE("unequal steps by hand: FedAvg, FedNova, SCAFFOLD and FedCM divide by each client's own") {
  // every row of client i is the number i, so that the order of the batches does not matter
  static const auto rows = [](void *, const fl_kernels *, const float *x, const uint32_t *row, size_t, float *g, void *) {
    const double e = (double)x[0] - (row[0] < 1 ? 0 : row[0] < 3 ? 1 : 2);
    g[0] = (float)e;
    return 0.5 * e * e;
  };
  fl_objective objective = make(6);
  objective.loss_grad = rows;
  const double share[3] = { 1 / 6.0, 2 / 6.0, 3 / 6.0 };
  for (const std::string name : { "fedavg", "fednova", "scaffold", "fedcm" }) {
    INFO(name);
    rules::Settings set = { { "name", name }, { "lr", "0.1" }, { "weight_decay", "0" }, { "lr_schedule", "constant" },
                            { "clip_norm", ".inf" } };
    if (name == "fednova") set.push_back({ "momentum", "0" });
    if (name == "fedcm") set.push_back({ "alpha", "0.4" });
    const bool samples = name == "fedavg" || name == "fednova";
    session::Session run(set, objective, { 0, 1, 3, 6 }, 6, 1);
    run.options.local_epochs = 6;
    run.options.partial = stragglers(0.8, FL_STRAGGLE_EPOCHS, 1, 0);
    run.options.partial.dropout = 0.25;
    run.open();
    REQUIRE(run.error == "");
    double x = 8, c = 0, direction = 0;
    Vec own(3);
    size_t unequal = 0, fewer = 0;
    for (uint64_t r = 0; r < 6; r++) {
      std::vector<uint32_t> who(3);
      who.resize(fl_session_cohort(run.s, r, who.data()));
      double total = 0, move = 0, tau = 0, dc = 0, next = 0;
      for (uint32_t i : who) total += samples ? share[i] : 1;
      for (uint32_t i : who) {
        const uint64_t k = fl_session_steps(run.s, r, i);
        const double p = (samples ? share[i] : 1) / total;
        unequal += k != 6 * (i + 1);
        if (name == "fedcm") {
          double y = x;
          for (uint64_t t = 0; t < k; t++) y -= 0.1 * (0.4 * (y - i) + 0.6 * direction);
          move += p * (y - x), next -= p * (y - x) / (0.1 * (double)k);
        } else if (name == "scaffold") {
          const double delta = descend(x, i, k, c - own[i]) - x, change = -delta / (0.1 * (double)k) - c;
          move += p * delta, dc += change / 3, own[i] += change;           // over N, also when fewer come
        } else {
          const double delta = descend(x, i, k) - x;
          move += name == "fednova" ? p * delta / (double)k : p * delta;
          tau += p * (double)k;
        }
      }
      x += name == "fednova" ? tau * move : move;
      c += dc;
      if (!who.empty()) direction = next;
      fewer += who.size() < 3;
      const fl_metrics m = run.round();
      CHECK(m.dropped == 3.0 - (double)who.size());
      CHECK(run.x()[0] == Approx(x).epsilon(1e-5));
    }
    CHECK(unequal > 0);
    CHECK(fewer > 0);
  }
}

TEST_CASE("partial work: the same bits with one, two and three threads") {
  fl_partial p = stragglers(0.5, FL_STRAGGLE_STEPS, 1, 0);
  p.sampling = FL_SAMPLE_POISSON, p.dropout = 0.2, p.availability = FL_AVAILABLE_BERNOULLI, p.available_part = 0.8;
  rules::Floats first;
  for (int threads = 1; threads <= 3; threads++) {
    Population run(60, 7, 0.4, p, { { "name", "scaffold" }, { "lr", "0.01" }, { "clip_norm", ".inf" } });
    run.run.options.threads = threads;
    run.run.open();
    REQUIRE(run.run.error == "");
    for (int r = 0; r < 6; r++) run.run.round();
    if (threads == 1) first = run.run.x();
    CHECK(run.run.x() == first);
  }
}

TEST_CASE("partial work: what is not allowed is refused with its name") {
  const auto refusal = [](const std::function<void(fl_options &)> &change) {
    const fl_objective objective = make(8);
    session::Session run(plain, objective, { 0, 4, 8 }, 1, 1);
    run.options.local_epochs = 3;
    change(run.options);
    return run.open().error;
  };
  using Catch::Matchers::Contains;
  CHECK(refusal([](fl_options &) {}) == "");
  CHECK_THAT(refusal([](fl_options &o) { o.partial.dropout = 1.5; }), Contains("client_dropout = 1.5; allowed: 0 to 1"));
  CHECK_THAT(refusal([](fl_options &o) { o.partial.sampling = 3; }), Contains("sampling = 3"));
  CHECK_THAT(refusal([](fl_options &o) { o.partial.availability = 1; }), Contains("available_part = 0"));
  CHECK_THAT(refusal([](fl_options &o) { o.partial = available(FL_AVAILABLE_PERIODIC, 0.5, 1); }),
             Contains("available_period = 1; allowed: 2"));
  CHECK_THAT(refusal([](fl_options &o) { o.partial = stragglers(0.5, FL_STRAGGLE_EPOCHS, 3, 0); }),
             Contains("straggler_min = 3 of 3 local_epochs"));
  CHECK_THAT(refusal([](fl_options &o) { o.partial = stragglers(0.5, FL_STRAGGLE_STEPS, 4, 2); }), Contains("straggler_max = 2"));
}
