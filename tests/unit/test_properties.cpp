// Properties that federated-adaptive 2-20, federated-flat-private 1-11 and federated-structured-robust 1, 2 list of their
// methods beside reductions and references: the pull alone, one client against central training, clients that are
// all alike, fixed points.
#include "reduced.hpp"
#include <cstring>

namespace {
Vec difference(const std::vector<float> &a, const std::vector<float> &b) {
  Vec d((size_t)D);
  for (int i = 0; i < D; i++) d[(size_t)i] = (double)a[(size_t)i] - (double)b[(size_t)i];
  return d;
}
// a is `factor` times b.
void is_times(const Vec &a, double factor, const Vec &b, double tolerance = 2e-5) {
  CHECK(norm(b) > 1e-4);
  CHECK(norm(a - factor * b) <= tolerance * norm(b));
}

// The problem in the first round; without any gradient from then on.
double first_round_only(void *self, const fl_kernels *k, const float *x, const uint32_t *row, size_t count, float *g,
                        void *work) {
  if (row[0] != SAMPLES - 1) return loss_grad(self, k, x, row, count, g, work);
  std::memset(g, 0, (size_t)D * sizeof *g);
  return 0;
}
struct Coasting : Reduced {
  explicit Coasting(const settings &set) : Reduced(set, 2) {
    o.loss_grad = first_round_only;
    Session::problem.batch = [](void *, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t) {
      out[0] = round ? SAMPLES - 1 : (uint32_t)((client * 3 + step) % (SAMPLES - 1));
      return (size_t)1;
    };
    open();
    REQUIRE(error == "");
  }
};
} // namespace

TEST_CASE("the pull along the global direction alone: the last move times its weight and the ratio of step sizes",
          "[federated][properties]") {
  use(GENERATE(0, 1));
  const settings own = { { "aggregate", "no" }, { "weight_decay", "0" } };
  const struct { settings set; double factor; } cases[] = {
    { named("fedadamw", { { "alpha", "0.4" } }) + own, 0.4 * DECAY },
    { named("fedadamw", { { "alpha", "0.4" }, { "rescale_correction", "no" } }) + own, 0.4 },
    { named("fedadamw", { { "alpha", "0.4" }, { "mix", "convex" } }) + own, 0.4 * DECAY },
    { named("fedmuon", { { "alpha", "0.4" } }) + own, 0.4 * DECAY },
    { named("fedpac_soap", { { "alpha", "0.4" } }) + own, 0.4 * DECAY },
    { named("fedpac_sophia", { { "alpha", "0.4" } }) + own, 0.4 * DECAY },
    { named("fedpac_shampoo", { { "alpha", "0.4" }, { "aggregate", "no" } }), 0.4 * DECAY },
    { named("fedlada", { { "alpha", "0.4" } }) + unweighted, 0.6 * DECAY },
    { named("fedcm", { { "alpha", "0.4" } }) + unweighted, 0.6 * DECAY },
    { named("mofedsam", { { "alpha", "0.4" } }) + unweighted, 0.6 * DECAY },
    { named("fedacg", { { "acg_momentum", "0.7" }, { "mu", "0" } }) + unweighted, 0.7 },
    { named("fedavgm", { { "server_momentum", "0.7" } }) + unweighted, 0.7 },
    { named("fedavg") + unweighted, 0 },
    { named("fedadam", { { "server_beta1", "0" } }) + unweighted, 0 } };
  for (const auto &c : cases) {
    INFO(text(c.set));
    Coasting run(c.set);
    const auto x0 = run.x(), x1 = run.after(1), x2 = run.after(1);
    is_times(difference(x2, x1), c.factor, difference(x1, x0));
  }
  Coasting adam(named("fedadam") + unweighted); // no change, but its momentum
  const auto x1 = adam.after(1), x2 = adam.after(1);
  CHECK(norm(difference(x2, x1)) > 1e-3);
}

// ---- one client ---------------------------------------------------------------------------------------------------------------
namespace {
enum { K = 3 };
std::vector<float> alone(const settings &set, bool central, uint64_t rounds) {
  const fl_objective o = objective();
  session::Session s(with_common(set + settings{ { "lr_schedule", "constant" } }), o, { 0, SAMPLES }, rounds, BATCH);
  s.options.central = central, s.options.local_steps = K, s.options.local_epochs = 1;
  s.problem.batch = [](void *, uint64_t round, uint32_t, uint64_t step, uint32_t *out, size_t) {
    for (uint64_t j = 0; j < BATCH; j++) out[j] = (uint32_t)(((round * K + step) * 5 + j * 3) % SAMPLES);
    return (size_t)BATCH;
  };
  REQUIRE(s.open().error == "");
  for (uint64_t r = 0; r < rounds; r++) s.round();
  return s.x();
}
} // namespace

TEST_CASE("one client is central training: as long as nothing begins anew with a round", "[federated][properties]") {
  use(GENERATE(0, 1));
  const settings moments = { { "beta1", "0" }, { "beta2", "0.9" }, { "eps", "0.01" }, { "weight_decay", "0.1" } },
                 sophia = { { "beta1", "0" }, { "hess_every", "1" }, { "hessian", "gradient_square" }, { "sophia_rho", "0.5" } },
                 shampoo = { { "precond_every", "1" }, { "eps", "0.01" } },
                 shared = { { "stack", "shared" }, { "alpha", "0" } };
  const struct { settings federated, central; uint64_t rounds; double tolerance; } cases[] = {
    { { { "rule", "sgd" }, decay }, { { "rule", "sgd" }, decay }, R, 1e-5 },
    { named("fedprox", { { "mu", "0" }, decay }), { { "rule", "sgd" }, decay }, R, 1e-5 },
    { named("scaffold", { decay }), { { "rule", "sgd" }, decay }, R, 1e-5 },     // c is c_i
    { named("fednova", { { "momentum", "0" }, decay }), { { "rule", "sgd" }, decay }, R, 1e-5 },
    { named("local_adamw", { { "eps", "0.01" } }), { { "rule", "adamw" }, { "eps", "0.01" } }, 1, 1e-5 },
    { shared + settings{ { "rule", "adamw" }, { "block_rule", "full" }, { "m_index", "global" } } + moments,
      settings{ { "rule", "adamw" } } + moments, R, 1e-4 },
    { shared + settings{ { "rule", "sophia" } } + sophia, settings{ { "rule", "sophia" } } + sophia, R, 1e-4 },
    { shared + settings{ { "rule", "shampoo" } } + shampoo, settings{ { "rule", "shampoo" } } + shampoo, R, 1e-3 } };
  for (const auto &c : cases) {
    INFO(text(c.federated));
    agrees(alone(c.federated, false, c.rounds), alone(c.central, true, c.rounds), c.tolerance);
  }
}

// The vectors' Adam begins anew every round; the quadratic's matrix knows nothing of them.
TEST_CASE("FedMuon of one client without a pull is Muon whose buffer goes on", "[federated][properties]") {
  use(0);
  const settings muon = { { "momentum", "0.98" }, { "muon_lr_scale", "0.5" }, { "weight_decay", "0.01" } };
  const auto a = alone(settings{ { "stack", "shared" }, { "rule", "muon" }, { "alpha", "0" } } + muon, false, R);
  const auto b = alone(settings{ { "rule", "muon" } } + muon, true, R);
  double way = 0, apart = 0, vectors = 0;
  for (int i = 0; i < D; i++) {
    const double off = std::fabs((double)a[(size_t)i] - (double)b[(size_t)i]);
    if (in_matrix(i)) apart = std::fmax(apart, off), way = std::fmax(way, std::fabs((double)b[(size_t)i] - start_of(i)));
    else vectors = std::fmax(vectors, off);
  }
  CHECK(apart <= 1e-4 * way);
  CHECK(vectors > 1e-3);
}

// ---- clients alike ------------------------------------------------------------------------------------------------------------
namespace {
// All clients with the batches of one.
struct Alike : Reduced {
  explicit Alike(const settings &set, bool all = false) : Reduced(set + settings{ { "lr_schedule", "constant" } }, K, all) {
    Session::problem.batch = [](void *, uint64_t round, uint32_t, uint64_t step, uint32_t *out, size_t) {
      for (uint64_t j = 0; j < BATCH; j++) out[j] = (uint32_t)(((round * K + step) * 5 + j * 3) % SAMPLES);
      return (size_t)BATCH;
    };
    options.local_epochs = K, options.batch_size = BATCH;
    if (has_theta()) options.diagnostics = FL_D_PRECONDITIONER;
    open();
    REQUIRE(error == "");
  }
  bool has_theta() const { return a.n_stages && std::string(a.stage[0]->name) == "shared"; }
};
} // namespace

TEST_CASE("clients that are alike: control has nothing to do, blocks lose nothing, preconditioners do not drift",
          "[federated][properties]") {
  use(GENERATE(0, 1));
  const auto fedavg = Alike(equal + settings{ decay }).after(R);
  for (const char *blocks : { "1", "2", "4" }) {
    INFO(blocks << " blocks");
    agrees(Alike(named("fedbcgd", { { "blocks", blocks }, decay })).after(R), fedavg);
  }
  agrees(Alike(named("fednova", { { "momentum", "0" }, decay })).after(R), fedavg);
  agrees(Alike(named("scaffold", { decay }), true).after(R), fedavg);
  agrees(Alike(named("fedgamma", { { "sam_rho", "0.1" }, decay }), true).after(R),
         Alike(named("fedsam", { { "sam_rho", "0.1" }, decay }), true).after(R));
  agrees(Alike(named("fedbcgd_plus", { { "blocks", "1" }, { "server_momentum", "0.6" }, decay }), true).after(R),
         Alike(named("fedavgm", { { "weights", "equal" }, { "server_momentum", "0.6" }, decay }), true).after(R));
  for (const std::string rule : { "muon", "sophia", "soap", "shampoo" }) {
    INFO(rule);
    Alike run(named(("fedpac_" + rule).c_str()));
    for (int r = 0; r < R; r++) CHECK(run.round().preconditioner_drift <= 1e-12);
  }
}

TEST_CASE("FedBCGD: who of a block's clients comes first changes nothing but the order of a sum", "[federated][properties]") {
  use(GENERATE(0, 1));
  for (const char *name : { "fedbcgd", "fedbcgd_plus" }) {
    Reduced a(named(name, { { "blocks", "2" } }), ALL_STEPS), b(named(name, { { "blocks", "2" } }), ALL_STEPS);
    b.Session::problem.cohort = [](void *, uint64_t round, uint32_t *out, size_t most) {
      const size_t m = cohort(nullptr, round, out, most);
      std::swap(out[0], out[2]), std::swap(out[1], out[3]);      // positions 0, 2 and 1, 3 send the same block
      return m;
    };
    b.open();
    agrees(b.after(R), a.after(R), 1e-5);
    Reduced other(named(name, { { "blocks", "2" } }), ALL_STEPS);
    other.Session::problem.cohort = [](void *, uint64_t round, uint32_t *out, size_t most) {
      const size_t m = cohort(nullptr, round, out, most);
      std::swap(out[0], out[1]);
      return m;
    };
    other.open();
    CHECK(norm(difference(other.after(R), a.x())) > 1e-3);
  }
}

// ---- single properties --------------------------------------------------------------------------------------------------------
TEST_CASE("Local AdamW of one step is signed and of no magnitude", "[federated][properties]") {
  use(GENERATE(0, 1));
  Vec x = beginning();
  for (uint64_t r = 0; r < R; r++) {
    const double lr = LR * std::pow(DECAY, (double)r);
    uint32_t who[M];
    cohort(nullptr, r, who, M);
    Vec move = zero;
    for (uint32_t i : who) {
      const Client c = { i, r, lr, 1, 1.0 / M, x };
      const Vec g = c.grad(0, x);
      for (size_t j = 0; j < (size_t)D; j++) move[j] -= lr / M * (0.1 * x[j] + g[j] / (std::fabs(g[j]) + 1e-3));
    }
    x = x + move;
  }
  agrees(Reduced(named("local_adamw", { { "weight_decay", "0.1" }, { "eps", "1e-3" } }), ONE_STEP).after(R), x, 1e-4);
}

TEST_CASE("FedACG without its proximal term broadcasts the iterates of Nesterov's server momentum", "[federated][properties]") {
  use(GENERATE(0, 1));
  Reduced acg(named("fedacg", { { "acg_momentum", "0.6" }, { "mu", "0" }, decay }), ALL_STEPS);
  Reduced nesterov(named("fedavgm", { { "server_momentum", "0.6" }, { "server_nesterov", "yes" }, { "weights", "equal" },
                                      decay }), ALL_STEPS);
  auto before = acg.x();
  for (int r = 0; r < R; r++) {
    const auto now = acg.after(1);
    Vec z((size_t)D);
    for (int i = 0; i < D; i++) z[(size_t)i] = now[(size_t)i] + 0.6 * ((double)now[(size_t)i] - before[(size_t)i]);
    agrees(nesterov.after(1), z, 1e-5);
    before = now;
  }
}

TEST_CASE("means over blocks weighted by their sizes are the mean of the second moment", "[federated][properties]") {
  use(GENERATE(0, 1));
  double want = 0;
  for (const char *rule : { "full", "neuron", "head", "tensor" }) {
    INFO(rule);
    Reduced run(named("fedadamw", { { "block_rule", rule } }), ALL_STEPS);
    static double sum;
    watch.of = run.a.stage[0];
    fl_stage own = *watch.of;
    own.server_finish = [](const double *h, fl_server *sv) {
      watch.of->server_finish(h, sv);
      sum = 0;
      for (size_t b = 0; b < sv->job->blocks.n; b++) sum += (double)sv->job->blocks.run[b].size * sv->at[1][b];
    };
    run.a.stage[0] = &own;
    run.open();
    run.after(1);
    if (want == 0) want = sum;
    CHECK(want > 1e-3);
    CHECK(sum == Approx(want).epsilon(1e-6));
  }
}

TEST_CASE("ASAM of a network without weights, whose T is 1, is SAM", "[federated][properties]") {
  use(0);
  const fl_tensor vector = { "v", FL_BIAS, 0, 0, 1, { 29, 0, 0, 0 }, 0, 29 };
  const fl_layout layout = { 1, 29, 0, &vector };
  const auto run = [&](const settings &set) {
    Reduced r(set, ALL_STEPS);
    r.o.layout = &layout;
    r.open();
    return r.after(R);
  };
  agrees(run(named("fedasam", { { "sam_rho", "0.3" }, { "asam_eta", "0.2" }, decay })),
         run(named("fedsam", { { "sam_rho", "0.3" }, decay })), 1e-6);
}

// ---- where methods end --------------------------------------------------------------------------------------------------------
namespace {
// Every client's exact gradient at every one of its (unequal) steps, for as many rounds as it takes.
double whole_gradient(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t, float *g, void *) {
  size_t client = 0;
  while (offset[client + 1] <= row[0]) client++;
  const Client c = { client, 0, 0, 1, 0, Vec(x, x + D) };
  const Vec out = c.whole(c.x);
  for (int i = 0; i < D; i++) g[i] = (float)out[(size_t)i];
  return 0;
}
Vec minimum(bool by_samples) {
  Vec best = zero;
  for (int i = 0; i < D; i++)
    for (size_t c = 0; c < N; c++)
      for (size_t j = offset[c]; j < offset[c + 1]; j++)
        best[(size_t)i] += target(j, i) / (by_samples ? (double)SAMPLES : (double)(N * size_of(c)));
  return best;
}
const settings steady = { { "lr_schedule", "constant" }, { "weight_decay", "0" } };
Vec rest(Reduced &run) {
  run.o.loss_grad = whole_gradient;
  run.Session::problem.cohort = nullptr;
  run.options.participation = 1, run.options.rounds = 1500, run.options.eval_every = 1500;
  run.open();
  REQUIRE(run.error == "");
  REQUIRE(fl_rounds(run.s, nullptr, nullptr) == 1);
  const auto x = run.x();
  return Vec(x.begin(), x.end());
}
} // namespace

TEST_CASE("unequal steps: FedNova ends near the minimum of the mean over samples, FedAvg does not", "[federated][properties]") {
  use(0);
  const auto away = [](const settings &set) {
    Reduced run(set + steady, ALL_STEPS);
    return norm(rest(run) - minimum(true));
  };
  const double nova = away(named("fednova", { { "momentum", "0" }, { "lr", "0.005" } }));
  const double averaged = away(named("fedavg", { { "lr", "0.005" } }));
  INFO(nova << " " << averaged);
  CHECK(averaged > 0.1);
  CHECK(nova < 0.1 * averaged);
}

TEST_CASE("FedDyn at rest: x is the joint minimum and h_i the gradient of f_i there", "[federated][properties]") {
  use(0);
  const double alpha = 0.5;
  Watched run(named("feddyn", { { "alpha", "0.5" }, { "dyn_sizes", "no" } }) + steady, ALL_STEPS, 0, 1);
  const Vec x = rest(run);
  CHECK(norm(x - minimum(false)) < 1e-3);
  for (size_t i = 0; i < N; i++) {
    const Client c = { i, 0, 0, 1, 0, x };
    CHECK(norm(-alpha * watch.states[i] - c.whole(x)) <= 1e-3 * norm(c.whole(x)));
  }
}

// ---- FedSMOO: from each client's own perturbation to one that is shared ------------------------------------------------------
namespace {
std::vector<std::vector<float>> points[N];      // of every gradient that a client asked for, by the one thread
Vec perturbation(size_t client, size_t step) { return difference(points[client][2 * step + 1], points[client][2 * step]); }
double slope(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t, float *g, void *) {
  size_t client = 0;
  while (offset[client + 1] <= row[0]) client++;
  for (size_t i = 0; i < (size_t)D; i++)
    g[i] = 0.3f * ((float)((client * 37 + i * 11 + client * client * 5) % 23) - 11.0f) / 11.0f;
  points[client].push_back(std::vector<float>(x, x + D));
  return 0;
}
} // namespace

TEST_CASE("FedSMOO: early every client searches along its own gradient, later all along one direction",
          "[federated][properties]") {
  use(0);
  Reduced run(named("fedsmoo", { { "sam_rho", "0.1" }, { "alpha", "0" }, { "lr", "1e-9" }, { "lr_schedule", "constant" } }) +
              unweighted, 8);
  run.o.loss_grad = slope;
  run.Session::problem.cohort = nullptr;
  run.options.participation = 1, run.options.rounds = 60, run.options.local_epochs = 8;
  run.open();
  REQUIRE(run.error == "");
  // The mean cosine of all pairs of clients' perturbations in their last steps of a round.
  const auto agreement = [&](int rounds) {
    for (int r = 0; r < rounds; r++) {
      for (auto &of : points) of.clear();
      run.round();
    }
    Vecs e;
    for (size_t c = 0; c < N; c++) e.push_back(unit(perturbation(c, 7)));
    double sum = 0;
    for (size_t a = 0; a < N; a++)
      for (size_t b = 0; b < a; b++)
        for (int i = 0; i < D; i++) sum += e[a][(size_t)i] * e[b][(size_t)i] / (N * (N - 1) / 2.0);
    return sum;
  };
  const double early = agreement(1);
  // mu_i goes rho a step towards g: 8 of them do not reach it, so the way up is the gradient's in each.
  for (size_t c = 0; c < N; c++) {
    std::vector<float> own(D);
    const uint32_t row = (uint32_t)offset[c];
    slope(nullptr, nullptr, own.data(), &row, 1, own.data(), nullptr);
    const Vec g(own.begin(), own.end());
    REQUIRE(norm(g) > 0.8);
    for (size_t k = 0; k < 8; k++) CHECK(norm(perturbation(c, k) - 0.1 * unit(g)) < 1e-5);
  }
  const double late = agreement(59);
  INFO(early << " " << late);
  CHECK(early < 0.3);
  CHECK(late > 0.97);
}
