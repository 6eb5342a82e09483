// Central training against loops written out by hand, and the server rule that keeps a state.
#include "session.hpp"

namespace {
enum { D = 21, ROWS = 23, BATCH = 5, STEPS = (ROWS + BATCH - 1) / BATCH, EPOCHS = 4 };
// Its own target for each sample; a matrix and a vector, so that Muon has both kinds.
const fl_tensor tensor[2] = { { "w", FL_MATRIX, 0, 0, 2, { 4, 4, 0, 0 }, 0, 16 },
                              { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 16, 5 } };
const fl_layout layout = { 2, D, 0, tensor };
void init(void *, uint64_t seed, float *x) {
  for (int i = 0; i < D; i++) x[i] = (float)((seed * 7 + (uint64_t)i * 5) % 11) / 4.0f - 1.0f;
}
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0;
  for (int i = 0; i < D; i++) g[i] = 0;
  for (size_t j = 0; j < count; j++)
    for (int i = 0; i < D; i++) {
      const float e = x[i] - (float)((index[j] * 31 + (uint32_t)i * 7) % 13) / 6.0f;
      g[i] += e / (float)count * (1.0f + (float)(i % 3));
      loss += 0.5 * e * e;
    }
  return loss / (double)count;
}
void evaluate(void *, const fl_kernels *, const float *x, size_t, size_t count, fl_eval *out, void *) {
  for (int i = 0; i < D; i++) out->loss += (double)x[i] * (double)count;
  out->count += count;
}
const fl_objective objective = { "quadratic", nullptr, &layout, ROWS, 70, 0, init, nullptr, loss_grad, evaluate, nullptr };

using rules::Settings;
struct Central : session::Session {
  explicit Central(const Settings &set, int threads = 1) : session::Session(set, objective, { 0, ROWS }, EPOCHS, BATCH) {
    options.threads = threads;
  }
  void open() {
    session::Session::open();
    REQUIRE(error == "");
  }
};
const char *const names[] = { "sgd", "momentum", "adamw", "muon" };
}

TEST_CASE("central training is the loop: draw, gradient, clip, step") {
  for (const char *rule : names)
    for (const char *clip : { ".inf", "2" }) {
      INFO(rule << ", clip_norm " << clip);
      Central c({ { "rule", rule }, { "lr", "0.05" }, { "lr_schedule", "cosine" }, { "warmup", "3" }, { "clip_norm", clip } });
      c.open();
      const fl_job *job = fl_session_job(c.s);
      REQUIRE(job->local_steps == STEPS);
      const fl_rule *r = c.a.rule;
      const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
      std::vector<float> x(D), g(D), state(r->state ? r->state(c.a.h_rule, job) : 0),
          work(r->work ? r->work(c.a.h_rule, job) : 0);
      init(nullptr, 3, x.data());
      fl_local lo = {};
      lo.job = job, lo.k = k, lo.y = x.data(), lo.g = g.data(), lo.state = state.data(), lo.work = work.data(), lo.mix.ga = 1;
      if (r->start) r->start(c.a.h_rule, &lo, nullptr);
      uint64_t t = 0;
      for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        double sum = 0;
        const fl_key key = { 3, FL_PURPOSE_SHUFFLE, (uint32_t)epoch, 0, 0 };
        uint32_t order[ROWS];
        fl_permutation(order, ROWS, &key);
        for (size_t b = 0; b < STEPS; b++) {
          const size_t count = b + 1 < STEPS ? BATCH : ROWS - b * BATCH;
          sum += loss_grad(nullptr, k, x.data(), order + b * BATCH, count, g.data(), nullptr);
          const double lr = fl_lr_at(&c.a, t, EPOCHS * STEPS);
          t++;
          lo.clock = { lr, lr, t, t, EPOCHS * STEPS };
          const double norm = std::sqrt(k->sumsq(D, g.data())), scale = std::string(clip) == "2" ? 2 / (norm + 1e-6) : 1;
          lo.clip = scale < 1 ? scale : 1;
          r->step(c.a.h_rule, &lo);
        }
        fl_metrics m;
        REQUIRE(fl_round(c.s, &m) == 0);
        CHECK(c.x() == x);
        CHECK(m.train_loss == sum / STEPS);
        CHECK(m.round == epoch + 1);
        CHECK(m.cohort == 1);
        CHECK(m.total_bytes_up + m.total_bytes_down == 0);
        CHECK(m.gradient_evaluations == t);
        CHECK(m.samples == ROWS * (epoch + 1));
        CHECK(m.lr == fl_lr_at(&c.a, t - 1, EPOCHS * STEPS));
      }
      CHECK(fl_round(c.s, nullptr) == 1);
    }
}

TEST_CASE("central training: the same bits on any number of threads and after a resume") {
  for (const char *rule : names) {
    INFO(rule);
    const Settings set = { { "rule", rule }, { "lr", "0.05" }, { "lr_schedule", "cosine" } };
    Central one(set), three(set, 3), resumed(set, 2);
    one.open(), three.open(), resumed.open();
    session::Bytes bytes;
    fl_metrics m, n;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
      REQUIRE(fl_round(one.s, &m) == 0);
      REQUIRE(fl_round(three.s, &n) == 0);
      CHECK(one.x() == three.x());
      CHECK(m.test_loss == n.test_loss);
      CHECK(m.update_norm == n.update_norm);
      if (epoch == 1) bytes = one.save();
    }
    resumed.load(bytes);
    while (fl_round(resumed.s, &n) == 0) continue;
    CHECK(resumed.x() == one.x());
    CHECK(n.update_norm == m.update_norm);
  }
}

TEST_CASE("central training: unit epoch holds the lr for an epoch; local_steps caps it") {
  Central c({ { "rule", "sgd" }, { "lr", "0.1" }, { "lr_schedule", "step" }, { "step_size", "1" }, { "step_gamma", "0.5" },
              { "unit", "epoch" } });
  c.options.local_steps = 2;
  c.open();
  fl_metrics m;
  for (int epoch = 0; epoch < EPOCHS; epoch++) {
    REQUIRE(fl_round(c.s, &m) == 0);
    CHECK(m.lr == 0.1 * std::pow(0.5, epoch));
    CHECK(m.gradient_evaluations == 2 * (uint64_t)(epoch + 1));
  }
}

TEST_CASE("central training has one client and no cohort") {
  Central c(Settings{ { "rule", "sgd" } });
  const size_t two[3] = { 0, 10, ROWS };
  char err[512] = "";
  c.problem.clients = 2, c.problem.offset = two;
  CHECK(fl_open(&c.s, &c.problem, &c.a, &c.options, err, sizeof err) == -1);
  CHECK(std::string(err).find("central: clients = 2; allowed: 1") == 0);
  Central d({ { "stack", "scaffold" }, { "rule", "sgd" } });
  CHECK(fl_open(&d.s, &d.problem, &d.a, &d.options, err, sizeof err) == -1);
  CHECK(std::string(err).find("stage scaffold acts on clients") == 0);
}

namespace {
// The server's x with one client and lr 0 but for the pull of one sgd step: g_server = -(change), step by `rule` on the server.
std::vector<float> server_run(const Settings &extra, int threads, double *norm) {
  Settings set = { { "rule", "sgd" }, { "lr", "0.1" }, { "clip_norm", ".inf" } };
  set.insert(set.end(), extra.begin(), extra.end());
  Central c(set, threads);
  c.options.central = 0, c.options.participation = 1, c.options.local_epochs = 1;
  c.open();
  fl_metrics m;
  for (int r = 0; r < EPOCHS; r++) REQUIRE(fl_round(c.s, &m) == 0);
  *norm = m.update_norm;
  return c.x();
}
}

TEST_CASE("a server rule keeps its state over the rounds") {
  double norm, other;
  const auto plain = server_run({}, 1, &norm);
  // Momentum 0 is gradient descent; and the norm of x's change is that of sgd's formula.
  const auto zero = server_run({ { "server_rule", "momentum" }, { "server_lr", "1" }, { "server_momentum", "0" } }, 2, &other);
  CHECK(zero == plain);
  CHECK(other == Approx(norm).epsilon(1e-5));
  // Heavy ball by hand: x <- x + server_lr*u, u <- 0.9*u + (mean change), from runs of one round.
  std::vector<double> x(D), u(D, 0.0);
  std::vector<float> start(D);
  init(nullptr, 3, start.data());
  for (int i = 0; i < D; i++) x[(size_t)i] = (double)start[(size_t)i];
  for (uint64_t r = 0; r < EPOCHS; r++) {
    std::vector<double> y = x;
    const fl_key key = { 3, FL_PURPOSE_SHUFFLE, (uint32_t)r, 0, 0 };
    uint32_t order[ROWS];
    fl_permutation(order, ROWS, &key);
    for (size_t b = 0; b < STEPS; b++) {
      const size_t count = b + 1 < STEPS ? BATCH : ROWS - b * BATCH;
      for (size_t i = 0; i < D; i++) {
        double g = 0;
        for (size_t j = 0; j < count; j++)
          g += (y[i] - ((order[b * BATCH + j] * 31 + i * 7) % 13) / 6.0) / (double)count * (1.0 + (double)(i % 3));
        y[i] -= 0.1 * g;
      }
    }
    for (size_t i = 0; i < D; i++) u[i] = 0.9 * u[i] + (y[i] - x[i]), x[i] += 0.5 * u[i];
  }
  const auto heavy = server_run({ { "server_rule", "momentum" }, { "server_momentum", "0.9" }, { "server_lr", "0.5" } }, 1,
                                &norm);
  for (size_t i = 0; i < D; i++) CHECK((double)heavy[i] == Approx(x[i]).epsilon(1e-5).margin(1e-6));
  // Every rule can be the server's here, on any number of threads.
  for (const char *rule : names) {
    INFO(rule);
    CHECK(server_run({ { "server_rule", rule }, { "server_lr", "0.01" } }, 1, &norm) ==
          server_run({ { "server_rule", rule }, { "server_lr", "0.01" } }, 3, &other));
    CHECK(norm == other);
  }
}

TEST_CASE("fl_check refuses what fl_open refuses, with the same words") {
  for (const Settings &set : { Settings{ { "rule", "fsgdm" } }, Settings{ { "rule", "sgd" }, { "warmup", "20" } },
                               Settings{ { "rule", "sgd" }, { "stack", "swa" }, { "swa_start", "5" } },
                               Settings{ { "rule", "sgd" } } }) {
    session::Session s(set, objective, { 0, ROWS }, EPOCHS, BATCH);
    char err[512] = "";
    const int refused = fl_check(&s.problem, &s.a, &s.options, err, sizeof err);
    CHECK(s.open().error == err);
    CHECK((refused != 0) == (s.s == nullptr));
  }
}

TEST_CASE("Sophia tells the share of its unclipped coordinates, on any number of threads; other rules tell none") {
  for (bool central : { true, false }) {
    const Settings set = { { "rule", "sophia" }, { "lr", "0.01" }, { "hessian", "gradient_square" }, { "hess_every", "2" },
                           { "sophia_rho", "1" } };
    const std::vector<size_t> clients = central ? std::vector<size_t>{ 0, ROWS } : std::vector<size_t>{ 0, 9, ROWS };
    double share = -1;
    for (int threads : { 1, 3 }) {
      session::Session s(set, objective, clients, EPOCHS, BATCH);
      s.options.threads = threads;
      s.open();
      REQUIRE(s.error == "");
      s.round();
      const double now = s.round().unclipped;
      CHECK(now > 0);
      CHECK(now < 1);
      if (threads > 1) CHECK(now == share);
      share = now;
    }
  }
  Central plain(Settings{ { "rule", "adamw" } });
  plain.open();
  CHECK(std::isnan(plain.round().unclipped));
}
