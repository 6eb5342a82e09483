// DP-FedAvg (federated-flat-private 12, traps T3 and T10) against plain double references, its reductions, the statistics of its
// noise, and what it tells of its privacy.
#include "federated.hpp"
#include "hooks.hpp"
#include <algorithm>
#include <cstring>
#include <fedlane/privacy.h>

namespace {
double length(const Vec &v, int from, int to) {
  double s = 0;
  for (int i = from; i < to; i++) s += v[i] * v[i];
  return std::sqrt(s);
}
Vec clipped(Vec v, int from, int to, double most) {
  const double s = std::fmin(1.0, most / length(v, from, to));
  for (int i = from; i < to; i++) v[i] *= s;
  return v;
}
const int W = 24;                               // tensors: 0..24 and 24..29
Vec clipped_by(const std::string &by, const Vec &v, double C) {
  if (by == "global") return clipped(v, 0, D, C);
  const double each = by == "tensor" ? C / std::sqrt(2.0) : 0.5 * (length(v, 0, W) + length(v, W, D));
  return clipped(clipped(v, 0, W, each), W, D, each);
}
settings dp(settings more) {
  settings set = { { "name", "dp_fedavg" }, { "lr", "0.05" }, { "lr_schedule", "exponential" }, { "lr_decay", "0.9" },
                   { "clip_norm", ".inf" }, decay };
  for (auto &p : more) set.push_back(p);
  return set;
}
// A run whose cohorts are the session's own draws.

struct Drawn : Problem32, session::Session {
  Drawn(const settings &set, double participation, int sampling, uint64_t rounds)
      : Session(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), rounds, BATCH) {
    problem.batch = batch;
    options.participation = participation, options.local_epochs = EPOCHS, options.partial.sampling = sampling;
    open();
    REQUIRE(error == "");
  }
};
} // namespace

TEST_CASE("DP-FedAvg without noise: clipped changes, and FedAvg where nothing is clipped", "[federated][privacy]") {
  for (const std::string by : { "global", "tensor", "median" }) {
    settings set = { { "name", "dp_fedavg" }, { "noise_multiplier", "0" }, { "dp_clip_by", by }, decay };
    if (by != "median") set.push_back({ "dp_clip", "0.3" });
    agree(set, simulate({ [](Client &c) { return descend(c, plain(c)); },
                          [&](const Vec &x, const Clients &c, const Vecs &d) {
                            Vec sum = zero;
                            for (auto &v : d) sum = sum + (1.0 / (double)c.size()) * clipped_by(by, v, 0.3);
                            return x + sum;
                          } }, false));
  }
  CHECK(product({ { "name", "dp_fedavg" }, { "noise_multiplier", "0" }, { "dp_clip", ".inf" }, decay }, 1) ==
        product({ { "name", "fedavg" }, { "weights", "equal" }, decay }, 1));
  CHECK(product({ { "stack", "dp+prox" }, { "rule", "sgd" }, { "mu", "0.1" }, { "noise_multiplier", "0" }, { "dp_clip", ".inf" },
                  decay }, 1) == product({ { "name", "fedprox" }, { "mu", "0.1" }, { "weights", "equal" }, decay }, 1));
  for (const std::string place : { "server", "clients" })     // noise: the same bits on any number of threads
    CHECK(product({ { "name", "dp_fedavg" }, { "dp_noise", place } }, 1) ==
          product({ { "name", "dp_fedavg" }, { "dp_noise", place } }, 3));
  CHECK(product({ { "name", "dp_fedavg" } }, 1) != product({ { "name", "dp_fedavg" }, { "dp_noise", "clients" } }, 1));
}

TEST_CASE("Noise of DP-FedAvg: a random walk with the deviation that is accounted for", "[federated][privacy]") {
  enum { ROUNDS = 1500 };
  const double noise = 1.5, C = 0.4;            // nothing but noise moves x: the steps are 1e-12
  for (const std::string kind : { "server", "clients", "poisson" }) {
    settings set = { { "name", "dp_fedavg" }, { "lr", "1e-12" }, { "lr_schedule", "constant" }, { "noise_multiplier", "1.5" },
                     { "dp_clip", "0.4" }, { "dp_noise", kind == "clients" ? "clients" : "server" } };
    const bool poisson = kind == "poisson";
    Drawn run(set, poisson ? 0.3 : 0.6, poisson ? FL_SAMPLE_POISSON : FL_SAMPLE_UNIFORM, ROUNDS);
    const double S = poisson ? 0.3 * N : 4, want = noise * C / S;
    double sum = 0, squares = 0, lag = 0, beside = 0;
    size_t empty = 0;
    rules::Floats before = run.x(), last(D, 0.0f);
    for (int r = 0; r < ROUNDS; r++) {
      const fl_metrics m = run.round();
      const rules::Floats now = run.x();
      empty += m.cohort == 0;
      if (m.cohort == 0) CHECK(m.update_norm > 0);             // noise comes whoever comes
      for (int i = 0; i < D; i++) {
        const double step = (double)now[i] - before[i];
        sum += step, squares += step * step, lag += step * last[i];
        if (i) beside += step * last[i - 1];
      }
      for (int i = 0; i < D; i++) last[i] = now[i] - before[i];
      before = now;
    }
    CHECK((empty > 0) == poisson);
    const double n = (double)ROUNDS * D, error = 1 / std::sqrt(n);
    CHECK(std::fabs(sum / n) < 5 * error * want);
    CHECK(std::fabs(squares / n / (want * want) - 1) < 5 * std::sqrt(2.0) * error);   // of clients too: theirs do not correlate
    CHECK(std::fabs(lag / n) < 5 * error * want * want);
    CHECK(std::fabs(beside / n) < 5 * error * want * want);
  }
}

TEST_CASE("Poisson cohorts divide by the number that is expected", "[federated][privacy]") {
  const settings set = dp({ { "noise_multiplier", "0" }, { "dp_clip", "0.3" } });
  Drawn run(set, 0.5, FL_SAMPLE_POISSON, 8);
  Vec x(D);
  for (int i = 0; i < D; i++) x[i] = start_of(i);
  std::vector<uint32_t> who(fl_session_cohort_size(run.s));
  size_t other = 0;
  for (uint64_t r = 0; r < 8; r++) {
    const size_t m = fl_session_cohort(run.s, r, who.data());
    other += m != 3;
    Vec move = zero;
    for (size_t j = 0; j < m; j++) {
      const Client c = { who[j], r, LR * std::pow(DECAY, (double)r),
                         (double)(EPOCHS * ((size_of(who[j]) + BATCH - 1) / BATCH)), 0, x };
      move = move + (1 / 3.5) * clipped(descend(c, plain(c)) - x, 0, D, 0.3);
    }
    x = x + move;
    run.round();
    const rules::Floats got = run.x();
    for (int i = 0; i < D; i++) CHECK(got[i] == Approx(x[i]).margin(2e-6));
  }
  CHECK(other > 0);
}

TEST_CASE("What a private run tells of its privacy", "[federated][privacy]") {
  auto epsilon = [](fl_sampler sampler, double q, double noise, double rounds, double delta) {
    fl_accountant s;
    fl_accountant_start(&s);
    fl_accountant_add(&s, sampler, q, noise, rounds);
    return fl_accountant_epsilon(&s, FL_IMPROVED, delta, nullptr);
  };
  Drawn poisson(dp({ { "dp_delta", "0.001" } }), 0.3, FL_SAMPLE_POISSON, 3);
  Drawn uniform(dp({ { "noise_multiplier", "2" } }), 0.6, FL_SAMPLE_UNIFORM, 3);
  Drawn fixed(dp({}), 0.6, FL_SAMPLE_FIXED, 3);
  for (int r = 1; r <= 3; r++) {
    const fl_metrics p = poisson.round(), u = uniform.round(), f = fixed.round();
    CHECK(p.epsilon == Approx(epsilon(FL_POISSON, 0.3, 0.95, r, 1e-3)).epsilon(1e-12));
    CHECK(std::isnan(p.epsilon_as_poisson));
    CHECK(u.epsilon == Approx(epsilon(FL_FIXED_SIZE, 4.0 / N, 2, r, 1.0 / N)).epsilon(1e-12));
    CHECK(u.epsilon_as_poisson == Approx(epsilon(FL_POISSON, 4.0 / N, 2, r, 1.0 / N)).epsilon(1e-12));
    CHECK(f.epsilon == Approx(epsilon(FL_FIXED_SIZE, 1, 0.95, r, 1.0 / N)).epsilon(1e-12));   // who is there is always there
    CHECK(std::isnan(f.epsilon_as_poisson));
  }
  // Availability and a caller's cohorts are no draw among all: a client in every round, another in its place when it is left out.
  for (const int sampling : { FL_SAMPLE_UNIFORM, FL_SAMPLE_POISSON }) {
    Drawn away(dp({}), 0.6, sampling, 2);
    away.options.partial.availability = FL_AVAILABLE_BERNOULLI, away.options.partial.available_part = 0.99;
    const bool poisson = sampling == FL_SAMPLE_POISSON;
    const fl_metrics m = away.open().round();
    CHECK(m.epsilon == Approx(epsilon(poisson ? FL_POISSON : FL_FIXED_SIZE, poisson ? 0.6 : 1, 0.95, 1, 1.0 / N)).epsilon(1e-12));
    CHECK(std::isnan(m.epsilon_as_poisson));
  }
  const fl_metrics own = Run(dp({}), 1).round();
  CHECK(own.epsilon == Approx(epsilon(FL_FIXED_SIZE, 1, 0.95, 1, 1.0 / N)).epsilon(1e-12));
  CHECK(std::isnan(own.epsilon_as_poisson));
  double order;
  fl_accountant one;
  fl_accountant_start(&one);
  fl_accountant_add(&one, FL_FIXED_SIZE, 1, 0.95, 1);
  fl_accountant_epsilon(&one, FL_IMPROVED, 1.0 / N, &order);
  CHECK(own.epsilon_order == order);
  Drawn silent(dp({ { "noise_multiplier", "0" } }), 0.6, FL_SAMPLE_UNIFORM, 1);
  CHECK(std::isnan(silent.round().epsilon));
  Drawn median(dp({ { "dp_clip_by", "median" }, { "dp_noise", "clients" } }), 0.6, FL_SAMPLE_UNIFORM, 1);
  CHECK(std::isnan(median.round().epsilon));    // a clip that depends on the data guarantees nothing

  // Resumed: the same walk, the same account.
  Drawn whole(dp({}), 0.3, FL_SAMPLE_POISSON, 4), part(dp({}), 0.3, FL_SAMPLE_POISSON, 4);
  Drawn rest(dp({}), 0.3, FL_SAMPLE_POISSON, 4);
  fl_metrics a = {}, b = {};
  for (int r = 0; r < 4; r++) a = whole.round();
  for (int r = 0; r < 2; r++) part.round();
  rest.load(part.save());
  for (int r = 0; r < 2; r++) b = rest.round();
  CHECK(whole.x() == rest.x());
  CHECK(a.epsilon == b.epsilon);
}

TEST_CASE("What a stage makes of a change before the clip is clipped; every stage that does says so", "[federated][privacy]") {
  const size_t d = 29, k = 8;                    // floor(0.3*29)
  settings set = dp({ { "noise_multiplier", "0" }, { "dp_clip", "0.3" }, { "topk_part", "0.3" } });
  set[0] = { "stack", "topk+dp" };
  set.push_back({ "rule", "sgd" });
  Vecs e(N, zero);
  agree(set, simulate({ [&](Client &c) {
                          Vec z = e[c.id] + (descend(c, plain(c)) - c.x), q = zero;
                          std::vector<size_t> order(d);
                          for (size_t i = 0; i < d; i++) order[i] = i;
                          std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
                            return std::fabs(z[a]) > std::fabs(z[b]);
                          });
                          for (size_t i = 0; i < k; i++) q[order[i]] = z[order[i]];
                          e[c.id] = z - q;
                          return c.x + clipped(q, 0, D, 0.3);
                        }, average }, false));
  set.push_back({ "dp_noise", "clients" });
  set[6].second = "1";                           // noise_multiplier: the clients' own fills what was left out
  CHECK(set[6].first == "noise_multiplier");
  CHECK(Run(with_common(set), 1).round().bytes_up == M * 4 * d);

  for (size_t i = 0; i < fl_stage_count(); i++) {
    const fl_stage *s = fl_stage_at(i);
    if (!s->client_finish || s->acts & (FL_NORMALISES | FL_IN_PARTS) || !strcmp(s->name, "ilora")) continue;
    INFO(s->name);
    const std::string rule = !strcmp(s->name, "shared") || !strcmp(s->name, "lada") ? "adamw" : "sgd";
    hooks::Stage one({ { "stack", s->name }, { "rule", rule } }, problem->layout, M);
    rules::Floats state(4 * d), y(d);
    const rules::Floats change = hooks::noise(d, 7);
    one.job.expected = M, one.lo.malicious = 1, one.lo.state = state.data(), one.lo.y = y.data(), one.lo.start = y.data();
    one.finish(change);
    CHECK((one.uploads[0] != change) == ((s->acts & FL_EDITS) != 0));
  }
}

TEST_CASE("What DP-FedAvg refuses", "[federated][privacy]") {
  auto why = [](settings set, bool poisson, bool open) {
    std::vector<fl_setting> s;
    for (auto &p : set) s.push_back({ p.first.c_str(), p.second.c_str(), "here" });
    fl_algorithm a;
    char err[1000] = "";
    if (fl_algorithm_build(s.data(), s.size(), &a, err, sizeof err) || !open) return std::string(err);
    const fl_objective o = objective();
    session::Session run(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), 2, BATCH);
    run.options.partial.sampling = poisson ? FL_SAMPLE_POISSON : FL_SAMPLE_UNIFORM;
    return run.open().error;
  };
  auto has = [](const std::string &text, const std::string &part) {
    INFO(text << " | " << part);
    CHECK(text.find(part) != std::string::npos);
  };
  has(why({ { "name", "dp_fedavg" }, { "weights", "samples" } }, false, false), "allowed: equal");
  has(why({ { "name", "dp_fedavg" }, { "dp_clip", ".inf" } }, false, false), "a finite dp_clip");
  has(why({ { "name", "dp_fedavg" }, { "dp_clip", "0" } }, false, false), "above 0");
  has(why({ { "name", "dp_fedavg" }, { "dp_clip_by", "median" } }, false, false), "dp_noise = clients");
  has(why({ { "name", "dp_fedavg" }, { "noise_multiplier", "0" }, { "dp_delta", "0.01" } }, false, false), "no epsilon");
  has(why({ { "stack", "scaffold+dp" }, { "rule", "sgd" } }, false, true), "scaffold sends 'dc'");
  has(why({ { "stack", "dp+krum" }, { "rule", "sgd" } }, false, false), "weighs the clients anew");
  has(why({ { "stack", "cm+dp" }, { "rule", "sgd" } }, false, true), "allowed: clients");
  has(why({ { "name", "dp_fedavg" }, { "dp_noise", "clients" } }, true, true), "allowed: server");
  has(why({ { "name", "dp_fedavg" }, { "dp_clip", "0.3" }, { "dp_clip_by", "median" }, { "dp_noise", "clients" } }, false, false),
      "dp_clip = '0.3' would do nothing");
  for (const std::string other : { "topk", "sign", "attack" }) {        // behind the clip they would send another length
    has(why({ { "stack", "dp+" + other }, { "rule", "sgd" } }, false, false), "allowed: stack = [" + other + ", dp]");
    has(why({ { "stack", "dp+sam+" + other }, { "rule", "sgd" } }, false, false), "stage " + other + " behind dp");
    CHECK(why({ { "stack", other + "+dp" }, { "rule", "sgd" } }, false, true) == "");
  }
  CHECK(why({ { "stack", "cm+dp" }, { "rule", "sgd" }, { "dp_noise", "clients" } }, false, true) == "");
  CHECK(why({ { "name", "dp_fedavg" } }, true, true) == "");
}
