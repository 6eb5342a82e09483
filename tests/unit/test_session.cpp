// Rounds worked out by hand: what a session does between the oracle and the server's step, and who is drawn.
#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <cmath>
#include <functional>
#include <fedlane/session.h>
#include <omp.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {
// 0.5*(x - row % 7)^2 of a sample, in one coordinate; counts the rows that it was asked for.
const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { 1, 0, 0, 0 }, 0, 1 };
const fl_layout layout = { 1, 1, 0, &tensor };
thread_local std::vector<size_t> asked;         // by the thread that opened the session, when it works alone
void init(void *, uint64_t, float *x) { x[0] = 8; }
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    const double e = (double)x[0] - index[i] % 7;
    sum += e / (double)count, loss += 0.5 * e * e / (double)count;
  }
  g[0] = (float)sum;
  asked.push_back(count);
  return loss;
}
const fl_objective objective = { "quadratic", nullptr, &layout, 1000, 0, 0, init, nullptr, loss_grad, nullptr };

using Clients = std::vector<std::vector<uint32_t>>;
using Settings = std::vector<std::pair<const char *, const char *>>;
struct Run {
  std::vector<size_t> offset;
  std::vector<uint32_t> index;
  fl_problem problem = {};
  fl_options options = {};
  fl_session *s = nullptr;
  explicit Run(const Clients &clients) : offset{ 0 } {
    for (auto &c : clients) {
      index.insert(index.end(), c.begin(), c.end());
      offset.push_back(index.size());
    }
    problem.objective = &objective, problem.clients = clients.size();
    problem.offset = offset.data(), problem.index = index.data();
    options.rounds = 3, options.participation = 1, options.local_epochs = 1, options.batch_size = 100, options.threads = 1;
  }
  ~Run() { fl_close(s); }
  void open(const Settings &settings) {
    std::vector<fl_setting> set = { { "clip_norm", ".inf", "test" } };
    for (auto &one : settings) {
      if (!std::strcmp(one.first, "clip_norm")) set[0].value = one.second;
      else set.push_back({ one.first, one.second, "test" });
    }
    fl_algorithm a;
    char err[512] = "";
    REQUIRE(fl_algorithm_build(set.data(), set.size(), &a, err, sizeof err) == 0);
    fl_close(s);
    REQUIRE(fl_open(&s, &problem, &a, &options, err, sizeof err) == 0);
    asked.clear();
  }
  float round(fl_metrics *m = nullptr) {
    REQUIRE(fl_round(s, m) == 0);
    return fl_params(s, nullptr)[0];
  }
};
}

TEST_CASE("a client's weight is its share of the cohort's samples, or 1/m") {
  Run r(Clients{ { 0 }, { 7, 14, 1 }, { 6, 13, 20, 27, 34 } });      // targets 0; 0, 0, 1; 6
  const double x = 8, change[3] = { -0.1 * x, -0.1 * (x - 1 / 3.0), -0.1 * (x - 6) };
  fl_metrics m;
  r.open({ { "name", "fedavg" }, { "weight_decay", "0" }, { "lr", "0.1" } });
  CHECK(r.round(&m) == Approx(x + (1 * change[0] + 3 * change[1] + 5 * change[2]) / 9).epsilon(1e-6));
  CHECK(m.train_loss == Approx((1 * 32 + 3 * (2 * 32 + 24.5) / 3 + 5 * 2) / 9));
  r.open({ { "name", "fedavg" }, { "weight_decay", "0" }, { "lr", "0.1" }, { "weights", "equal" } });
  CHECK(r.round() == Approx(x + (change[0] + change[1] + change[2]) / 3).epsilon(1e-6));
}

TEST_CASE("the last batch of an epoch is its own mean") {
  Run r(Clients{ { 0, 7, 14, 21, 28 } });              // all targets 0: any batch has the gradient x
  r.options.batch_size = 3, r.options.local_epochs = 2;
  r.open({ { "rule", "sgd" }, { "lr", "0.1" } });
  CHECK(r.round() == Approx(8 * 0.9 * 0.9 * 0.9 * 0.9).epsilon(1e-6));
  CHECK(asked == std::vector<size_t>{ 3, 2, 3, 2 });
  r.options.local_steps = 3;
  r.open({ { "rule", "sgd" }, { "lr", "0.1" } });
  CHECK(r.round() == Approx(8 * 0.9 * 0.9 * 0.9).epsilon(1e-6));
}

TEST_CASE("a rule begins every client's round without a past") {
  Run r(Clients{ { 0 }, { 7 } });
  r.options.local_epochs = 2;
  const char *const rules[] = { "momentum", "adamw" };
  for (const char *rule : rules) {
    INFO(rule);
    const Settings set = { { "rule", rule }, { "lr", "0.1" }, { "weight_decay", "0" } };
    r.open(set);
    const float first = r.round(), second = r.round();
    if (!std::strcmp(rule, "momentum")) {       // u = x; then 0.9*u + (x - 0.1*u)
      const double factor = 1 - 0.1 - 0.1 * (0.9 + 0.9);
      CHECK(first == Approx(8 * factor).epsilon(1e-6));
      CHECK(second == Approx(8 * factor * factor).epsilon(1e-6));
    }
    // Both clients are alike, so one of them alone must do the same as both.
    Run one(Clients{ { 0 } });
    one.options.local_epochs = 2;
    one.open(set);
    CHECK(one.round() == first);
    CHECK(one.round() == second);
  }
}

TEST_CASE("a cohort is a draw without repetition whose order is that of the draw") {
  Run r(Clients(40, { 0 }));
  r.options.participation = 0.25, r.options.seed = 9;
  r.open({ { "rule", "sgd" } });
  size_t ascending = 0;
  std::vector<int> seen(40);
  for (uint64_t round = 0; round < 400; round++) {
    uint32_t c[40], want[10];
    REQUIRE(fl_session_cohort(r.s, round, c) == 10);
    const fl_key key = { 9, FL_PURPOSE_COHORT, (uint32_t)round, 0, 0 };
    fl_sample(want, 10, 40, &key);
    CHECK(std::equal(want, want + 10, c));
    CHECK(std::set<uint32_t>(c, c + 10).size() == 10);
    for (int i = 0; i + 1 < 10; i++) ascending += c[i] < c[i + 1];
    for (int i = 0; i < 10; i++) seen[c[i]]++;
  }
  CHECK(ascending > 400 * 9 / 2 - 180);         // half of the neighbours; 180 is more than five deviations
  CHECK(ascending < 400 * 9 / 2 + 180);
  for (int n : seen) CHECK(std::abs(n - 100) < 45);
}

TEST_CASE("a client's batches: another order every epoch, round and client; none of it the cohort's numbers") {
  std::vector<uint32_t> rows(30);
  for (uint32_t i = 0; i < 30; i++) rows[i] = i;
  Run r(Clients{ rows, rows });
  r.options.batch_size = 30, r.options.local_epochs = 2;
  r.open({ { "rule", "sgd" } });
  std::set<std::vector<uint32_t>> orders;
  for (uint64_t round = 0; round < 5; round++)
    for (uint32_t client = 0; client < 2; client++)
      for (uint64_t epoch = 0; epoch < 2; epoch++) {
        std::vector<uint32_t> order(30), want(30);
        REQUIRE(fl_session_batch(r.s, round, client, epoch, order.data()) == 30);
        const fl_key key = { 0, FL_PURPOSE_SHUFFLE, (uint32_t)round, client, (uint32_t)epoch };
        fl_permutation(want.data(), 30, &key);
        CHECK(order == want);
        orders.insert(order);
        std::sort(order.begin(), order.end());
        CHECK(order == rows);
      }
  CHECK(orders.size() == 20);
  // Equal numbers would tie who is drawn to how its samples are ordered.
  const int purposes[5] = { FL_PURPOSE_INIT, FL_PURPOSE_COHORT, FL_PURPOSE_SHUFFLE, FL_PURPOSE_PARTITION, FL_PURPOSE_VALIDATION };
  for (int i = 0; i < 5; i++) CHECK(purposes[i] == i + 1);
}

TEST_CASE("more clients than a window: the same bits with any number of threads") {
  Clients clients;
  for (uint32_t i = 0; i < 60; i++) {           // sizes 0 to 16 in no order
    clients.emplace_back();
    for (uint32_t k = 0; k < i * 29 % 17; k++) clients.back().push_back(i * 13 + k);
  }
  std::vector<float> one;
  for (int threads : { 1, 2, 5, 8 }) {          // from 5 on, the window is wider than 16
    INFO(threads << " threads");
    Run r(clients);
    r.options.threads = threads, r.options.batch_size = 4;
    r.open({ { "stack", "scaffold" }, { "rule", "sgd" }, { "lr", "0.01" }, { "weights", "samples" } });
    std::vector<float> x;
    for (int i = 0; i < 3; i++) x.push_back(r.round());
    if (one.empty()) one = x;
    CHECK(std::memcmp(one.data(), x.data(), sizeof(float) * 3) == 0);
  }
}

TEST_CASE("SCAFFOLD: a client without samples leaves the controls alone; the server divides by all clients, not by the cohort") {
  const Settings set = { { "name", "scaffold" }, { "weight_decay", "0" }, { "lr", "0.1" }, { "lr_schedule", "constant" } };
  Run empty(Clients{ { 0 }, {} });
  empty.open(set);
  CHECK(empty.round() == Approx(7.6).epsilon(1e-6));       // change -0.8, halved; c_1 = 8, c = 4
  CHECK(empty.round() == Approx(7.42).epsilon(1e-6));      // change -0.1*(7.6 + 4 - 8); c_1 = 7.6, c = 3.8
  CHECK(empty.round() == Approx(7.239).epsilon(1e-6));     // change -0.1*(7.42 + 3.8 - 7.6)
  Run alone(Clients{ { 0 }, { 0 }, { 0 } });
  alone.problem.cohort = [](void *, uint64_t, uint32_t *out, size_t) { return *out = 0, (size_t)1; };
  alone.options.participation = 0.34;
  alone.open(set);
  CHECK(alone.round() == Approx(7.2).epsilon(1e-6));       // c_1 = 8, c = 8/3
  CHECK(alone.round() == Approx(7.2 - 0.1 * (7.2 + 8 / 3.0 - 8)).epsilon(1e-6));
  CHECK(alone.round() == Approx(6.792).epsilon(1e-6));     // c_1 = 7.2, c = 2.4
}

TEST_CASE("clients are handed out longest first inside a window of 16 positions") {
  Clients clients;
  for (uint32_t i = 0; i < 40; i++) clients.emplace_back(1 + i * 29 % 17, i);
  Run r(clients);
  r.open({ { "rule", "sgd" } });
  r.round();
  std::vector<size_t> want;
  uint32_t cohort[40];
  REQUIRE(fl_session_cohort(r.s, 0, cohort) == 40);
  for (uint32_t c : cohort) want.push_back(clients[c].size());
  for (size_t w = 0; w < 40; w += 16)
    std::sort(want.begin() + (long)w, want.begin() + (long)std::min<size_t>(w + 16, 40), std::greater<size_t>());
  CHECK(asked == want);
}

TEST_CASE("forms of momentum, the clip and the server's step") {
  Run r(Clients{ { 0 } });                      // gradient x, from 8, lr 0.1, two steps
  r.options.local_epochs = 2;
  fl_metrics m;
  auto after = [&](Settings set) {
    set.push_back({ "lr", "0.1" });
    r.open(set);
    return r.round(&m);
  };
  auto momentum = [&](const char *key, const char *value) {
    Settings set = { { "rule", "momentum" }, { "momentum", "0.9" } };
    set.push_back({ key, value });
    return after(set);
  };
  CHECK(momentum("nesterov", "yes") == Approx(4.6008).epsilon(1e-6));     // u 8, 13.68; direction 15.2, 18.792
  CHECK(momentum("dampening", "0.5") == Approx(6.12).epsilon(1e-6));      // u 8, 10.8: the first gradient is undamped
  CHECK(momentum("weight_decay", "0.5") == Approx(4.7).epsilon(1e-6));    // u 12, 21
  // The gradient is clipped, the decay is not.
  const Settings clipped = { { "rule", "sgd" }, { "clip_norm", "2" }, { "weight_decay", "0.5" } };
  CHECK(after(clipped) == Approx(6.83).epsilon(1e-6));                    // 0.95*8 - 0.2 = 7.4
  CHECK(after({ { "rule", "sgd" }, { "clip_norm", "8.5" } }) == Approx(6.48).epsilon(1e-6));
  CHECK(m.update_norm == Approx(1.52));
  CHECK(after({ { "rule", "sgd" }, { "server_lr", "0.5" } }) == Approx(8 - 0.5 * 1.52).epsilon(1e-6));
  CHECK(m.update_norm == Approx(0.76));
}

namespace {
std::string refused(const fl_layout &l, size_t batch_size = 100) {
  Run t({ { 0, 1, 2 } });
  fl_objective o = objective;
  o.layout = &l;
  t.problem.objective = &o;
  t.options.batch_size = batch_size;
  fl_algorithm a;
  char err[512] = "";
  const fl_setting set = { "name", "fedavg", "test" };
  REQUIRE(fl_algorithm_build(&set, 1, &a, err, sizeof err) == 0);
  const int r = fl_open(&t.s, &t.problem, &a, &t.options, err, sizeof err);
  REQUIRE((r == 0) == (err[0] == 0));
  return err;
}
}

TEST_CASE("a layout that the rules could not walk is refused", "[session]") {
  const fl_tensor weight = { "w", FL_MATRIX, 0, 0, 2, { 2, 3, 0, 0 }, 0, 6 },
      bias = { "b", FL_BIAS, 0, 0, 1, { 2, 0, 0, 0 }, 6, 2 };
  std::vector<fl_tensor> good = { weight, bias };
  auto with = [&](std::function<void(std::vector<fl_tensor> &)> change, size_t d = 8, size_t buffers = 0) {
    std::vector<fl_tensor> t = good;
    change(t);
    return refused({ t.size(), d, buffers, t.data() });
  };
  CHECK(with([](std::vector<fl_tensor> &) {}) == "");
  CHECK(with([](std::vector<fl_tensor> &t) { t[0].size = 1000; }).find("tensor 'w': size = 1000; allowed: 6") !=
        std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[0].shape[0] = 0; }).find("shape[0] = 0") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[0].shape[0] = SIZE_MAX; }).find("shape") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[0].ndim = 5; }).find("ndim = 5") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[1].offset = 5; }).find("offset = 5; allowed: 6") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[1].name = nullptr; }).find("no name") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[1].role = FL_BUFFER; }).find("buffers begin at d = 8") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &) {}, 7, 1).find("reaches over d = 7") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &) {}, 8, 2).find("d + buffers = 10") != std::string::npos);
  CHECK(with([](std::vector<fl_tensor> &t) { t[1].role = FL_BUFFER; }, 6, 2) == "");
}

TEST_CASE("a batch of all samples costs the largest client's rows, not the number that was written", "[session]") {
  Run whole({ { 0, 1, 2 }, { 3 } }), all({ { 0, 1, 2 }, { 3 } });
  whole.options.batch_size = 3, all.options.batch_size = UINT32_MAX;
  whole.open({ { "name", "fedavg" } });
  all.open({ { "name", "fedavg" } });
  CHECK(fl_session_state_bytes(all.s) == fl_session_state_bytes(whole.s));
  CHECK(refused(layout, SIZE_MAX).find("batch_size = 18446744073709551615; allowed: 1 to 2^32 - 1") != std::string::npos);
}

// A caller's functions: what they hand out in round 1 (0-based), as each case sets it; well-behaved before.
namespace {
std::vector<uint32_t> cohort_of_1, rows_of_1;   // rows of client 1, step 1
size_t rows_said;                               // how many rows it says it has
void with_callers(Run &r) {
  r.problem.cohort = [](void *, uint64_t round, uint32_t *out, size_t max) {
    if (round != 1) return *out = 0, (size_t)1;
    std::copy(cohort_of_1.begin(), cohort_of_1.begin() + (long)std::min(max, cohort_of_1.size()), out);
    return cohort_of_1.size();
  };
  r.problem.batch = [](void *, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t) {
    if (round != 1 || client != 1 || step != 1) return *out = client, (size_t)1;
    std::copy(rows_of_1.begin(), rows_of_1.end(), out);
    return rows_said;
  };
}
}

TEST_CASE("a caller's cohort has 1 to max clients, each known and none twice; a refused round can be repeated") {
  Run r(Clients{ { 0 }, { 1 }, { 2 }, { 3 } });
  with_callers(r);
  r.options.participation = 0.75, r.options.threads = 2;
  r.open({ { "stack", "scaffold" }, { "rule", "sgd" } });
  const float before = r.round();
  struct { std::vector<uint32_t> cohort; const char *want; } cases[] = {
    { {}, "round 2: a cohort of 0 clients; allowed: 1 to 3" },
    { { 0, 1, 2, 3 }, "round 2: a cohort of 4 clients; allowed: 1 to 3" },
    { { 0, 4 }, "round 2: cohort[1] = 4; allowed: 0 to 3" },
    { { 2, 1, 2 }, "round 2: client 2 is in the cohort more than once; allowed: each client once" },
  };
  for (const auto &c : cases) {
    cohort_of_1 = c.cohort;
    CHECK(fl_round(r.s, nullptr) == -1);
    CHECK(fl_rounds(r.s, nullptr, nullptr) == -1);
    CHECK(std::string(fl_session_error(r.s)) == c.want);
    CHECK(fl_params(r.s, nullptr)[0] == before);
  }
  cohort_of_1 = { 2, 1, 3 }, rows_of_1 = { 1 }, rows_said = 1;
  CHECK(fl_round(r.s, nullptr) == 0);
  CHECK(std::string(fl_session_error(r.s)).empty());
}

TEST_CASE("a caller's batch: at least one row, at most the batch size, each a sample; a session that failed stays failed") {
  struct { std::vector<uint32_t> rows; size_t said; const char *want; } cases[] = {
    { {}, 0, "round 2: batch of client 1, step 1: 0 rows; allowed: 1 to 4" },
    { {}, 5, "round 2: batch of client 1, step 1: 5 rows; allowed: 1 to 4" },
    { { 7, 8, 1000 }, 3, "round 2: batch of client 1, step 1: row[2] = 1000; allowed: 0 to 999" },
  };
  for (const auto &c : cases)
    for (int threads : { 1, 3 }) {
      Run r(Clients{ { 0, 1, 2, 3, 4, 5 }, { 6, 7, 8, 9, 10 }, { 11 }, { 12 } });
      with_callers(r);
      cohort_of_1 = { 3, 1, 0, 2 }, rows_of_1 = c.rows, rows_said = c.said;
      r.options.batch_size = 4, r.options.local_epochs = 3, r.options.threads = threads;
      r.open({ { "stack", "scaffold" }, { "rule", "sgd" } });
      const float before = r.round();
      fl_metrics m = {};
      for (int twice = 0; twice < 2; twice++) {
        CHECK(fl_round(r.s, &m) == -1);
        CHECK(fl_rounds(r.s, nullptr, nullptr) == -1);
        CHECK(std::string(fl_session_error(r.s)) == c.want);
        rows_of_1 = { 1 }, rows_said = 1;       // too late
      }
      CHECK(m.round == 0);
      CHECK(fl_params(r.s, nullptr)[0] == before);
      // The clients' states are half-way: nothing to go on from.
      CHECK(fl_session_save(r.s, [](void *, const void *, size_t) { return 0; }, nullptr) == -1);
    }
}

TEST_CASE("where OpenMP gives fewer threads than a session has, it says so and does not wait for them") {
  Run r(Clients{ { 0 }, { 1 } });
  r.options.threads = 2;
  r.open({ { "rule", "sgd" } });
  int one = 0, all = 0, opened = 0;
  std::string why;
  char err[512] = "";
  fl_algorithm a;
  fl_session *inner = nullptr;
  const fl_setting set[] = { { "stack", "", "test" }, { "rule", "sgd", "test" } };
  REQUIRE(fl_algorithm_build(set, 2, &a, err, sizeof err) == 0);
  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(0);                 // a team of one, as inside a region where nesting is off
  one = fl_round(r.s, nullptr);
  why = fl_session_error(r.s);
  all = fl_rounds(r.s, nullptr, nullptr);
  opened = fl_open(&inner, &r.problem, &a, &r.options, err, sizeof err);
  fl_close(inner);
  omp_set_max_active_levels(levels);
  CHECK(one == -1);
  CHECK(all == -1);
  CHECK(opened == -1);
  CHECK(why.find("2 threads are needed, OpenMP gave 1; allowed: a call outside of other parallel regions") == 0);
  CHECK(why == err);
  for (const char *word : { "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "omp_set_max_active_levels", "threads = 1" })
    CHECK(why.find(word) != std::string::npos);
  CHECK(fl_round(r.s, nullptr) == 0);           // nothing had changed
}

TEST_CASE("thread-seconds: no part falls, and a round adds threads x wall, also after a resume with other threads") {
  std::vector<uint32_t> rows(400);
  for (uint32_t i = 0; i < 400; i++) rows[i] = i;
  Clients clients(9, rows);
  clients[3].resize(1), clients[5].clear();
  fl_objective tested = objective;
  tested.n_test = 1000;
  tested.evaluate = [](void *, const fl_kernels *, const float *x, size_t, size_t count, fl_eval *out, void *) {
    for (int i = 0; i < 20000; i++) out->loss += std::sqrt((double)x[0] + i);
    out->count = count;
  };
  std::vector<unsigned char> state;
  fl_metrics last = {};
  double want = 0;
  uint64_t rounds = 0;
  for (int threads : { 4, 1, 3 }) {
    Run r(clients);
    r.problem.objective = &tested;
    r.options.rounds = 18, r.options.batch_size = 10, r.options.threads = threads, r.options.eval_every = 2;
    r.open({ { "rule", "sgd" }, { "lr", "0.01" } });
    size_t at = 0;
    char err[256] = "";
    std::pair<std::vector<unsigned char> *, size_t *> from{ &state, &at };
    if (rounds)
      REQUIRE(fl_session_load(r.s, [](void *self, void *out, size_t n) {
        auto *f = static_cast<decltype(from) *>(self);
        std::memcpy(out, f->first->data() + *f->second, n);
        return *f->second += n, 0;
      }, &from, err, sizeof err) == 0);
    for (int i = 0; i < 6; i++) {
      fl_metrics m;
      INFO(threads << " threads, round " << rounds + 1);
      REQUIRE(fl_round(r.s, &m) == 0);
      want += threads * (m.seconds - last.seconds + m.seconds_evaluation - last.seconds_evaluation);
      double sum = 0;
      for (int t = 0; t < FL_T_COUNT; t++) {
        INFO(fl_time_name[t]);
        CHECK(m.thread_seconds[t] >= last.thread_seconds[t]);
        sum += m.thread_seconds[t];
      }
      CHECK(sum == Approx(want).epsilon(1e-9));
      last = m;
      rounds++;
    }
    state.clear();
    REQUIRE(fl_session_save(r.s, [](void *self, const void *bytes, size_t n) {
      auto *out = static_cast<std::vector<unsigned char> *>(self);
      const auto *b = static_cast<const unsigned char *>(bytes);
      return out->insert(out->end(), b, b + n), 0;
    }, &state) == 0);
  }
}

TEST_CASE("FedAdamW's second moments are averaged over clients alike, whatever the weights of their changes") {
  Run r(Clients{ { 0 }, Clients::value_type(9, 6) });        // targets 0 and 6, one and nine samples
  r.open({ { "name", "fedadamw" }, { "alpha", "0" }, { "weight_decay", "0" }, { "lr", "0.1" }, { "lr_schedule", "constant" },
           { "weights", "samples" } });
  CHECK(r.round() == Approx(7.9).epsilon(1e-6));             // the first step is the gradient's sign
  const double x = 7.9, mean = 0.001 * (8 * 8 + 2 * 2) / 2;
  auto step = [&](double g) { return 0.1 * g / std::sqrt((0.999 * mean + 0.001 * g * g) / (1 - 0.999 * 0.999)); };
  CHECK(r.round() == Approx(x - (1 * step(x) + 9 * step(x - 6)) / 10).epsilon(1e-6));
}
