// Stages of a step and of x: the gradient at another point (sam, asam), averages (swa, ema), a user's own hooks; schedules.
#include "session.hpp"

namespace {
enum { D = 7, ROWS = 12, BATCH = 4, STEPS = 3, EPOCHS = 4 };
const fl_tensor tensor[3] = { { "w", FL_MATRIX, 0, 0, 2, { 2, 2, 0, 0 }, 0, 4 }, { "b", FL_BIAS, 0, 0, 1, { 2, 0, 0, 0 }, 4, 2 },
                              { "n", FL_NORM, 1, 0, 1, { 1, 0, 0, 0 }, 6, 1 } };
const fl_layout layout = { 3, D, 0, tensor };
const double curvature[D] = { 1, 2, 3, 0.5, 1.5, 2.5, 0.7 };
double target(uint32_t row, int i) { return (double)((row * 5 + (uint32_t)i * 3) % 7) / 4; }
void init(void *, uint64_t, float *x) {
  for (int i = 0; i < D; i++) x[i] = 1.0f - 0.4f * (float)i;
}
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0;
  for (int i = 0; i < D; i++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
      const double e = (double)x[i] - target(index[j], i);
      sum += curvature[i] * e / (double)count, loss += 0.5 * curvature[i] * e * e / (double)count;
    }
    g[i] = (float)sum;
  }
  return loss;
}
std::vector<std::vector<float>> evaluated;      // the points, by the one thread
void evaluate(void *, const fl_kernels *, const float *x, size_t, size_t count, fl_eval *out, void *) {
  evaluated.push_back(std::vector<float>(x, x + D));
  out->count += count;
}
const fl_objective objective = { "quadratic", nullptr, &layout, ROWS, 1, 0, init, nullptr, loss_grad, evaluate, nullptr };

using rules::Settings;
std::string build(const Settings &set) { return rules::why_not(set); }
struct Session : session::Session {
  explicit Session(const Settings &set, bool central = true)
      : session::Session(set, objective, central ? std::vector<size_t>{ 0, ROWS } : std::vector<size_t>{ 0, 5, ROWS }, EPOCHS,
                         BATCH) {
      }
  Session &open() {
    session::Session::open();
    evaluated.clear();
    return *this;
  }
};
Settings with(Settings a, const Settings &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
const Settings sgd = { { "rule", "sgd" }, { "lr", "0.1" }, { "clip_norm", ".inf" } };
}

TEST_CASE("sam and asam with radius 0 are the rule alone, to the bit") {
  for (const char *rule : { "sgd", "momentum", "adamw" })
    for (const char *stage : { "sam", "asam" })
      for (bool central : { true, false }) {
        INFO(rule << " " << stage << (central ? " central" : " federated"));
        Session plain({ { "rule", rule }, { "lr", "0.05" } }, central);
        Session zero({ { "rule", rule }, { "lr", "0.05" }, { "stack", stage }, { "sam_rho", "0" } }, central);
        plain.open(), zero.open();
        for (int r = 0; r < EPOCHS; r++) CHECK(plain.round().gradient_evaluations == zero.round().gradient_evaluations);
        CHECK(plain.x() == zero.x());
      }
}

TEST_CASE("sam and asam against the equations in double") {
  const struct { Settings set; double rho, eta; int adaptive; } cases[] = {
    { { { "stack", "sam" }, { "sam_rho", "0.3" } }, 0.3, 0, 0 },
    { { { "stack", "asam" }, { "sam_rho", "0.7" } }, 0.7, 0.01, 1 },
    { { { "stack", "asam" }, { "sam_rho", "0.7" }, { "asam_eta", "0.2" }, { "asam_tensors", "all" } }, 0.7, 0.2, 2 } };
  for (auto &c : cases) {
    INFO("rho " << c.rho << ", adaptive " << c.adaptive);
    Session s(with(sgd, c.set));
    s.options.batch_size = ROWS;                // all rows: the order does not matter
    s.open();
    double y[D], mean[D] = { 0 };
    std::vector<float> start(D);
    init(nullptr, 0, start.data());
    for (int i = 0; i < D; i++) {
      y[i] = (double)start[(size_t)i];
      for (uint32_t r = 0; r < ROWS; r++) mean[i] += target(r, i) / ROWS;
    }
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
      double tg[D], t[D], norm = 0, g[D];
      for (int i = 0; i < D; i++) {
        t[i] = c.adaptive == 2 || (c.adaptive == 1 && i < 4) ? std::abs(y[i]) + c.eta : 1;
        tg[i] = t[i] * curvature[i] * (y[i] - mean[i]);
        norm += tg[i] * tg[i];
      }
      for (int i = 0; i < D; i++) g[i] = curvature[i] * (y[i] + c.rho * t[i] * tg[i] / (std::sqrt(norm) + 1e-12) - mean[i]);
      for (int i = 0; i < D; i++) y[i] -= 0.1 * g[i];
      const fl_metrics m = s.round();
      CHECK(m.gradient_evaluations == 2 * (uint64_t)(epoch + 1));
      for (int i = 0; i < D; i++) CHECK((double)s.x()[(size_t)i] == Approx(y[i]).margin(2e-6));
    }
  }
}

TEST_CASE("swa is the arithmetic mean of the iterates, and feeds nothing back") {
  const Settings momentum = { { "rule", "momentum" }, { "lr", "0.1" } };
  const struct { const char *unit, *start, *every; std::vector<size_t> taken; } cases[] = {
    { "step", "5", "3", { 5, 8, 11 } }, { "step", "1", "1", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } },
        { "epoch", "2", "1", { 6, 9, 12 } } };
  for (auto &c : cases) {
    INFO(c.unit << " " << c.start << " " << c.every);
    Session s(with(momentum, { { "stack", "swa" }, { "swa_start", c.start }, { "swa_every", c.every }, { "unit", c.unit } }));
    Session raw(momentum);
    s.options.local_steps = raw.options.local_steps = STEPS;
    s.problem.batch = raw.problem.batch = [](void *, uint64_t, uint32_t, uint64_t, uint32_t *out, size_t) {
      for (uint32_t i = 0; i < BATCH; i++) out[i] = i;
      return (size_t)BATCH;
    };
    s.open(), raw.open();
    REQUIRE(s.error == "");
    std::vector<std::vector<float>> x;          // by step, of the same batches, in float as the rule makes them
    Session one(with(momentum, { { "stack", "ema" } }));
    one.options.local_steps = 1, one.options.rounds = EPOCHS * STEPS, one.problem.batch = s.problem.batch;
    one.open();
    for (int i = 0; i < EPOCHS * STEPS; i++) one.round(), x.push_back(one.x());
    for (int i = 0; i < EPOCHS; i++) raw.round();
    for (int i = 0; i < EPOCHS; i++) s.round();
    CHECK(s.x() == raw.x());
    CHECK(s.x() == x.back());
    for (int i = 0; i < D; i++) {
      double mean = 0;
      for (size_t t : c.taken) mean += (double)x[t - 1][(size_t)i] / (double)c.taken.size();
      CHECK((double)s.average()[(size_t)i] == Approx(mean).margin(3e-7));
    }
    CHECK(evaluated.back() == s.average());
    CHECK(evaluated.back() != s.x());
  }
}

TEST_CASE("swa: before its start x is evaluated; in a federated run a move is a round; a start that never comes is refused") {
  Session s(with(sgd, { { "stack", "swa" }, { "swa_start", "2" } }), false), raw(sgd, false);
  raw.open();
  std::vector<std::vector<float>> x;
  for (int r = 0; r < EPOCHS; r++) raw.round(), x.push_back(raw.x());
  s.open();
  REQUIRE(s.error == "");
  for (size_t r = 0; r < EPOCHS; r++) {
    s.round();
    CHECK(s.x() == x[r]);
    CHECK(evaluated.back() == s.average());
    for (size_t i = 0; i < D; i++) {
      double mean = 0;
      for (size_t t = 1; t <= r; t++) mean += (double)x[t][i] / (double)r;
      CHECK((double)s.average()[i] == Approx(r < 1 ? (double)x[0][i] : mean).margin(1e-7));
    }
  }
  Session late(with(sgd, { { "stack", "swa" }, { "swa_start", "5" } }), false);
  CHECK(late.open().error == "stage swa: swa_start = 5; allowed: 1 to 4, the rounds, steps or epochs of the run, or nothing "
                             "would be averaged; rule is 'sgd'");
}

TEST_CASE("ema: begins at x_0, decays by decay, is evaluated and saved, and comes back from a checkpoint") {
  Session s(with(sgd, { { "stack", "ema" }, { "ema_decay", "0.75" } })),
      again(with(sgd, { { "stack", "ema" }, { "ema_decay", "0.75" } }));
  s.options.local_steps = again.options.local_steps = 1;
  s.open(), again.open();
  std::vector<float> start(D);
  init(nullptr, 0, start.data());
  CHECK(s.average() == start);
  std::vector<double> a(start.begin(), start.end());
  session::Bytes bytes;
  for (int r = 0; r < EPOCHS; r++) {
    s.round();
    for (size_t i = 0; i < D; i++) a[i] = 0.75 * a[i] + 0.25 * (double)s.x()[i];
    for (size_t i = 0; i < D; i++) CHECK((double)s.average()[i] == Approx(a[i]).margin(1e-6));
    CHECK(evaluated.back() == s.average());
    if (r == 1) bytes = s.save();
  }
  again.load(bytes);
  for (int r = 2; r < EPOCHS; r++) again.round();
  CHECK(again.average() == s.average());
  // Impulse response: x = 1 once, then 0, leaves (1 - decay)*decay^k.
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  std::vector<float> avg(20, 0.0f), x(20, 1.0f);
  for (int n = 0; n < 30; n++, x.assign(20, 0.0f)) {
    k->ema(20, avg.data(), x.data(), 0.75f, 0.25f);
    CHECK((double)avg[19] == Approx(0.25 * std::pow(0.75, n)).epsilon(1e-5));
  }
}

namespace {
struct Seen { int before = 0, after = 0, slots = 0; };
Seen seen;
const fl_slot own_slots[2] = { { "count", FL_SERVER, 0, nullptr }, { "scratch", FL_WORK, 0, nullptr } };
void own_before(const double *, fl_local *lo) {
  seen.before++;
  lo->at[1][0] = 1.0f;
  lo->clock.lr = 0.1 / (double)(1 + lo->clock.k);
}
void own_after(const double *, fl_server *sv) {
  seen.slots += sv->at[0][0] == (float)sv->t;
  sv->at[0][0] += 1.0f;
  seen.after++;
}
}

TEST_CASE("averages of a point that does not move are that point; ema with decay 0 is the last point") {
  const std::vector<Settings> averages =
      { { { "stack", "swa" }, { "swa_start", "1" } }, { { "stack", "ema" }, { "ema_decay", "0.9" } } };
  for (const bool central : { true, false }) {
    INFO((central ? "central" : "federated"));
    for (const Settings &average : averages) {
      INFO(average[0].second);
      Session still(with({ { "rule", "sgd" }, { "lr", "1e-20" } }, average), central);   // lr*g is far below half an ULP
      REQUIRE(still.open().error == "");
      const std::vector<float> start = still.x();
      for (int r = 0; r < EPOCHS; r++) {
        still.round();
        CHECK(still.x() == start);
        for (size_t i = 0; i < D; i++) CHECK(still.average()[i] == Approx(start[i]).epsilon(1e-6));
      }
    }
    Session last(with(sgd, { { "stack", "ema" }, { "ema_decay", "0" } }), central);
    REQUIRE(last.open().error == "");
    for (int r = 0; r < EPOCHS; r++) {
      last.round();
      CHECK(last.average() == last.x());
    }
  }
}

TEST_CASE("a user's own stage acts before a step and after a move, with its own slots among those of others") {
  fl_stage own = {};
  own.name = "own", own.slot = own_slots, own.n_slots = 2, own.before_step = own_before, own.after = own_after;
  Session s(with(sgd, { { "stack", "sam+ema" } }));
  s.a.stage[2] = s.a.stage[1], s.a.stage[1] = &own, s.a.n_stages = 3;
  std::memcpy(s.a.h_stage[2], s.a.h_stage[1], sizeof s.a.h_stage[1]);
  seen = {};
  s.open();
  REQUIRE(s.error == "");
  for (int r = 0; r < EPOCHS; r++) s.round();
  CHECK(seen.before == EPOCHS * STEPS);
  CHECK(seen.after == EPOCHS * STEPS + 1);      // once at the start, with t = 0
  CHECK(seen.slots == seen.after);
}

TEST_CASE("stages that exclude each other are refused") {
  CHECK(build({ { "rule", "sgd" }, { "stack", "sam+asam" } }) ==
        "test: stages sam and asam both make the gradient; allowed: one of them");
  CHECK(build({ { "rule", "sgd" }, { "stack", "swa+ema" } }) ==
        "test: stages swa and ema both say what is evaluated; allowed: one of them");
  CHECK(build({ { "rule", "sgd" }, { "lr_schedule", "swa" } }).find("test: lr_schedule swa: the stack has no stage swa") == 0);
  CHECK(build({ { "rule", "sgd" }, { "stack", "cm+dyn" } }) ==
        "test: 'alpha' is a parameter of cm and of stage dyn; allowed: one of them");
  CHECK(build({ { "rule", "sgd" }, { "stack", "prox+cm+scaffold" } }) ==
        "test: stage scaffold: 3 vectors of the stack join the gradient; allowed: 2");
  CHECK(build({ { "rule", "adam" }, { "stack", "shared+lada" } }) ==
        "test: stages shared and lada both pull along a direction after the step; allowed: one of them");
  for (const char *stage : { "acg", "dyn" }) {
    const std::string sets = std::string("test: stage ") + stage +
        " sets x itself: server_rule = ";
    CHECK(build({ { "rule", "sgd" }, { "stack", stage }, { "server_lr", "0.5" } }).find(sets) == 0);
    CHECK(build({ { "rule", "sgd" }, { "stack", stage }, { "server_rule", "momentum" }, { "server_lr", "1" } }).find(sets) == 0);
  }
  CHECK(build({ { "rule", "sgd" }, { "stack", "acg+dyn" } }) == "test: stages acg and dyn both set x; allowed: one of them");
  for (const char *stack : { "nova+scaffold", "scaffold+nova", "nova+cm", "nova+dyn", "acg+nova", "restart+nova" }) {
    INFO(stack);
    CHECK(build({ { "rule", "sgd" }, { "stack", stack } }).find("test: stage nova sends each change divided by") == 0);
  }
  CHECK(build({ { "rule", "adam" }, { "stack", "nova" } }) ==
        "test: stage nova: what a step adds up to is known for the rules sgd and momentum; rule is 'adam'");
  CHECK(build({ { "rule", "momentum" }, { "stack", "nova" },
                { "nova_mu", "0.1" } }).find("test: stage nova: nova_mu > 0 with momentum > 0") == 0);
  CHECK(build({ { "rule", "sgd" }, { "stack", "nova+prox" } }).find("test: stage nova has the proximal term itself") == 0);
}

TEST_CASE("keys that would do nothing, and stages in an order that makes another method, are refused") {
  const auto has = [](const Settings &set, const std::string &part) {
    const std::string text = build(set);
    INFO(text << " | " << part);
    CHECK(text.find(part) != std::string::npos);
  };
  has({ { "name", "fedspeed" }, { "pgn_blend", "unit" } }, "pgn_alpha = 1, which blends nothing");
  CHECK(build({ { "name", "fedspeed" }, { "pgn_blend", "unit" }, { "pgn_alpha", "0.5" } }) == "");
  has({ { "name", "fedbcgd" }, { "clip", "late" } }, "clip = 'late' would do nothing");
  has({ { "name", "fedbcgd_plus" }, { "bcgd_control", "code" }, { "clip", "late" } }, "clip = 'late' would do nothing");
  CHECK(build({ { "name", "fedbcgd_plus" }, { "clip", "late" } }) == "");
  has({ { "name", "fedmuon" }, { "convex_decay", "mixed" } }, "convex_decay = mixed with rule muon");
  CHECK(build({ { "name", "fedadamw" }, { "mix", "convex" }, { "convex_decay", "mixed" } }) == "");
  CHECK(build({ { "name", "fednova" }, { "momentum", "0" }, { "nova_mu", "0.1" }, { "clip", "late" } }) == "");
  has({ { "name", "fednova" }, { "clip", "late" } }, "clip = 'late' would do nothing");
  for (const std::string other : { "topk", "sign", "attack" }) {
    has({ { "rule", "sgd" }, { "stack", "scaffold+" + other }, { "derive", "yes" } }, "derive = yes before stage " + other);
    CHECK(build({ { "rule", "sgd" }, { "stack", other + "+scaffold" }, { "derive", "yes" } }) == "");
    CHECK(build({ { "rule", "sgd" }, { "stack", "scaffold+" + other } }) == "");
  }
  has({ { "name", "fedlada" }, { "eps", "1e-8" } }, "which is FedLADA's eps^2");
  CHECK(build({ { "name", "fedlada" }, { "eps", "1e-8" }, { "amsgrad", "no" }, { "initial_accumulator", "0" } }) == "");
  has({ { "rule", "adam" }, { "eps", "0" }, { "amsgrad", "yes" }, { "initial_accumulator", "-1" } }, "rule adam: eps = 0");
  for (const char *rule : { "adam", "yogi", "adagrad" })
    has({ { "rule", rule }, { "initial_accumulator", "-0.5" } }, "initial_accumulator = -0.5; allowed: from 0, or -1");
}

TEST_CASE("schedules: closed forms, a pure function of t") {
  auto lr = [](Settings set, uint64_t t, uint64_t total) {
    set.insert(set.end(), { { "rule", "sgd" }, { "lr", "0.4" } });
    const fl_algorithm a = rules::build(set);
    return fl_lr_at(&a, t, total);
  };
  const Settings cosine = { { "lr_schedule", "cosine" }, { "lr_min", "0.1" } };
  CHECK(lr(cosine, 0, 100) == 0.4);
  CHECK(lr(cosine, 50, 100) == Approx(0.25).epsilon(1e-15));
  CHECK(lr(cosine, 100, 100) == Approx(0.1).epsilon(1e-15));
  CHECK(lr(cosine, 25, 100) == Approx(0.25 + 0.15 * std::cos(std::acos(-1.0) / 4)).epsilon(1e-14));
  const Settings steps = { { "lr_schedule", "step" }, { "step_size", "10" }, { "step_gamma", "0.5" } };
  const double by_ten[] = { 0.4, 0.4, 0.2, 0.2, 0.1 };
  for (uint64_t i = 0; i < 5; i++) CHECK(lr(steps, i * 5 + i / 4, 100) == by_ten[i]);
  const Settings multi = { { "lr_schedule", "multi_step" }, { "milestones", "10+25" }, { "step_gamma", "0.1" } };
  CHECK(lr(multi, 9, 100) == 0.4);
  CHECK(lr(multi, 10, 100) == Approx(0.04).epsilon(1e-15));
  CHECK(lr(multi, 24, 100) == lr(multi, 10, 100));
  CHECK(lr(multi, 25, 100) == Approx(0.004).epsilon(1e-15));
  // Warm-up: lr*(t + 1)/warmup, then the schedule of t - warmup and T - warmup.
  const Settings warm = with(cosine, { { "warmup", "8" } });
  for (uint64_t t = 0; t < 8; t++) CHECK(lr(warm, t, 108) == Approx(0.4 * (double)(t + 1) / 8).epsilon(1e-15));
  for (uint64_t t = 0; t <= 100; t += 10) CHECK(lr(warm, t + 8, 108) == lr(cosine, t, 100));
  CHECK(lr({ { "lr_schedule", "exponential" }, { "lr_decay", "0.5" }, { "warmup", "2" } }, 5, 9) == 0.05);
  const Settings swa = { { "stack", "swa" }, { "swa_start", "100" }, { "swa_lr", "0.1" }, { "lr_schedule", "swa" } };
  CHECK(lr(swa, 50, 200) == 0.4);
  CHECK(lr(swa, 70, 200) == Approx(0.25).epsilon(1e-14));
  CHECK(lr(swa, 90, 200) == Approx(0.1).epsilon(1e-14));
  CHECK(lr(swa, 199, 200) == 0.1);
  const Settings cyclic = { { "stack", "swa" }, { "swa_start", "110" }, { "swa_every", "10" }, { "swa_lr", "0.1" },
                            { "lr_schedule", "cyclic" } };
  CHECK(lr(cyclic, 99, 200) == 0.4);
  for (uint64_t t = 100; t < 140; t++)          // 1 to 10 tenths of the way; at the end of round 110, 120 ... an average
    CHECK(lr(cyclic, t, 200) == Approx(0.4 - 0.3 * (double)(t % 10 + 1) / 10).epsilon(1e-14));
  const Settings ahead = { { "lr_schedule", "exponential" }, { "lr_decay", "0.5" }, { "lr_offset", "1" } };
  for (uint64_t t = 0; t < 5; t++) CHECK(lr(ahead, t, 9) == 0.4 * std::pow(0.5, (double)t + 1));
  CHECK(lr(with(cosine, { { "lr_offset", "50" } }), 0, 100) == lr(cosine, 50, 100));
  CHECK(lr(with(cosine, { { "lr_offset", "50" } }), 99, 100) == Approx(0.1).epsilon(1e-15));
  CHECK(build({ { "rule", "sgd" }, { "lr_offset", "1" } }).find("would do nothing") != std::string::npos);
  CHECK(build({ { "rule", "sgd" }, { "lr_schedule", "cyclic" } }).find("the stack has no stage swa") != std::string::npos);
  CHECK(build({ { "rule", "sgd" }, { "lr", "0.1" }, { "lr_schedule", "cosine" }, { "lr_min", "0.2" } }) ==
        "test: lr_schedule cosine: lr_min is above lr: 0.2; allowed: 0 to 0.1");
}
