// What federated-adaptive 2-20 and federated-flat-private 1-11 say a method becomes at neutral values, in its first round or
// under full participation, and their traps, as a table of pairs that must agree.
#include "reduced.hpp"

namespace {
struct Pair { settings a, b; uint64_t rounds; uint64_t steps; double tolerance; };   // tolerance 0: to the bit
const settings late = { { "clip", "late" } };
void check(const Pair &p) {
  INFO(text(p.a) << "| " << text(p.b));
  agrees(Reduced(p.a, p.steps).after(p.rounds), Reduced(p.b, p.steps).after(p.rounds), p.tolerance);
}
} // namespace

TEST_CASE("reductions of the averaging methods", "[federated][reductions]") {
  use(GENERATE(0, 1));
  const Pair pairs[] = {
    { named("fedavgm", { { "server_momentum", "0.9" } }), named("fedavg"), 1, ALL_STEPS, 0 },
    { named("fedprox", { { "mu", "5" } }), named("fedavg"), 1, ONE_STEP, 1e-5 },
    { named("fednova", { { "momentum", "0.5" } }), { { "rule", "momentum" }, { "momentum", "0.5" }, { "weight_decay", "0.0001" },
                                                     { "weights", "samples" } }, R, ONE_STEP, 1e-5 },
    { named("fednova", { { "momentum", "0.5" } }), { { "rule", "momentum" }, { "momentum", "0.5" }, { "weight_decay", "0.0001" },
                                                     { "weights", "samples" } }, R, 2, 1e-5 },
    { named("fedacg", { { "acg_momentum", "0" }, { "mu", "0.3" } }),
      named("fedprox", { { "mu", "0.3" }, { "weights", "equal" } }), R, ALL_STEPS, 0 },
    { named("fedacg", { { "acg_momentum", "0" }, { "mu", "0" } }), equal, R, ALL_STEPS, 0 },
    { named("scaffold"), equal, 1, ALL_STEPS, 0 },
    { named("scaffold", { { "derive", "yes" } }), named("scaffold"), R, ALL_STEPS, 1e-5 },
    { named("fedadam", { { "server_beta1", "0" }, { "server_beta2", "0.999999999999" }, { "server_eps", "0.01" },
                         { "server_initial_accumulator", "1e-4" }, { "server_lr", "0.02" } }), equal, R, ALL_STEPS, 1e-5 },
    { named("fedyogi", { { "server_initial_accumulator", "1e-20" } }),
      named("fedadam", { { "server_initial_accumulator", "1e-20" } }), 1, ALL_STEPS, 1e-5 },
    { named("fedadam", { { "server_eps", "0.01" } }),            // v begins at eps^2, whatever eps is
      named("fedadam", { { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" } }), R, ALL_STEPS, 0 },
    { named("fedyogi", { { "server_eps", "0.01" } }),
      named("fedyogi", { { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" } }), R, ALL_STEPS, 0 },
    { named("fedadagrad", { { "server_eps", "0.01" } }),
      named("fedadagrad", { { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" } }), R, ALL_STEPS, 0 },
    { named("fednova", { { "momentum", "0" }, { "nova_mu", "0.3" }, { "clip", "late" } }),
      named("fednova", { { "momentum", "0" }, { "nova_mu", "0.3" } }), R, ALL_STEPS, 1e-5 },
    { named("fedadagrad", { { "server_beta1", "1e-9" } }), named("fedadagrad"), R, ALL_STEPS, 1e-5 },
    { named("fedswa", { { "lr_end_ratio", "1" }, { "server_lr", "1" } }), equal, R, ALL_STEPS, 0 },
    { named("fedmoswa", { { "gamma", "0.7" } }), named("fedswa"), 1, ALL_STEPS, 0 },
    { named("fedmoswa", { { "lr_end_ratio", "1" }, { "server_lr", "1" }, { "gamma", "0" } }), equal, 1, ALL_STEPS, 0 },
  };
  for (const Pair &p : pairs) check(p);
}

TEST_CASE("reductions of the methods that search for flatness", "[federated][reductions]") {
  use(GENERATE(0, 1));
  const settings still = { { "sam_rho", "0" } }, same_size = { { "dyn_sizes", "no" }, { "clip", "late" } };
  const Pair pairs[] = {
    { named("fedsam", still), equal, R, ALL_STEPS, 0 },
    { named("fedasam", still + settings{ { "weight_decay", "0.001" } }), equal, R, ALL_STEPS, 0 },
    { named("mofedsam", { { "alpha", "1" } }), named("fedsam"), R, ALL_STEPS, 0 },
    { named("mofedsam", still), named("fedcm", late), R, ALL_STEPS, 0 },
    { named("mofedsam", still + settings{ { "alpha", "1" } }), equal, R, ALL_STEPS, 0 },
    { named("fedgamma", still), named("scaffold", late), R, ALL_STEPS, 0 },
    { named("fedgamma", still), equal, 1, ALL_STEPS, 0 },
    { named("fedspeed", still), named("feddyn", same_size), R, ALL_STEPS, 0 },
    { named("fedspeed", { { "pgn_alpha", "0" } }), named("feddyn", same_size), R, ALL_STEPS, 0 },
    { named("fedsmoo", still), named("fedspeed", { { "pgn_alpha", "0" } }), R, ALL_STEPS, 0 },
    { named("fedsmoo"), named("fedspeed", { { "pgn_alpha", "1" } }), 1, ONE_STEP, 1e-5 },
    { named("fedlesam", still), equal, R, ALL_STEPS, 0 },
    { named("fedlesam", { { "sam_rho", "0.5" } }), equal, 1, ALL_STEPS, 0 },
    { named("fedlesam_s", still), named("scaffold", late), R, ALL_STEPS, 0 },
    { named("fedlesam_d", still), named("feddyn", same_size), R, ALL_STEPS, 0 },
    { { { "stack", "pgn" }, { "rule", "sgd" }, { "pgn_alpha", "1" }, { "sam_rho", "0.2" } },
      { { "stack", "sam" }, { "rule", "sgd" }, { "sam_rho", "0.2" } }, R, ALL_STEPS, 0 },
    { { { "stack", "pgn" }, { "rule", "sgd" }, { "pgn_alpha", "0" } }, { { "rule", "sgd" } }, R, ALL_STEPS, 0 },
  };
  for (const Pair &p : pairs) check(p);
}

TEST_CASE("reductions of the methods over adaptive and matrix rules", "[federated][reductions]") {
  use(GENERATE(0, 1));
  const settings none = { { "alpha", "0" }, { "aggregate", "no" } }, half = { { "lr", "0.05" }, { "alpha", "0.5" } };
  std::vector<Pair> pairs = {
    { named("fedadamw"), named("local_adamw"), 1, ALL_STEPS, 0 },
    { named("fedadamw", none), named("local_adamw"), R, ALL_STEPS, 0 },
    { named("fedadamw", { { "alpha", "0" } }), named("fedadamw", { { "alpha", "0" }, { "mix", "convex" } }), R, ALL_STEPS, 0 },
    { named("fedadamw", { { "m_index", "global" } }), named("fedadamw"), 1, ALL_STEPS, 0 },
    { named("fedlada", { { "alpha", "1" } }),
      { { "stack", "shared" }, { "rule", "adam" }, { "alpha", "0" }, { "mix", "convex" }, { "beta2", "0.99" },
        { "amsgrad", "yes" }, { "bias_correction", "no" }, { "eps", "0" }, { "initial_accumulator", "1e-4" },
        { "block_rule", "full" } }, R, ALL_STEPS, 0 },
    { named("fedmuon", none + settings{ { "momentum", "0.95" } }), named("local_muon"), R, ALL_STEPS, 0 },
    { named("fedmuon", half), named("local_muon", { { "lr", "0.025" }, { "momentum", "0.98" } }), 1, ALL_STEPS, 0 },
    { named("fedmuon", { { "compression_ratio", "100" } }), named("fedmuon"), R, ALL_STEPS, 0 },
    { named("fedmuon", { { "momentum_form", "sum" } }), named("fedmuon"), R, ALL_STEPS, 1e-3 },
  };
  for (const std::string rule : { "soap", "sophia", "shampoo", "muon" }) {
    const std::string fedpac = "fedpac_" + rule, local = "local_" + rule;
    pairs.push_back({ named(fedpac.c_str(), none), named(local.c_str()), R, ALL_STEPS, 0 });
    pairs.push_back({ named(fedpac.c_str(), half), named(local.c_str(), { { "lr", "0.025" } }), 1, ALL_STEPS, 0 });
    INFO(fedpac);                               // alpha = 1, and D = 0: nothing ever moves
    for (const std::string &name : { fedpac, std::string("fedmuon") }) {
      const auto x = Reduced(named(name.c_str(), { { "alpha", "1" } }), ALL_STEPS).after(R);
      for (int i = 0; i < D; i++) CHECK((double)x[(size_t)i] == start_of(i));
    }
  }
  for (const Pair &p : pairs) check(p);
}

// The gradient of the mean loss over all samples, or with equal weights of the clients' means.
namespace {
// rho: each client's where its own way up leads.
Vec descent_direction(const Vec &x, bool by_samples, double rho = 0) {
  Vec sum = zero;
  for (size_t i = 0; i < N; i++) {
    const Client c = { i, 0, 0, 1, 0, x };
    sum = sum + (by_samples ? (double)size_of(i) / SAMPLES : 1.0 / N) * c.whole(x + rho * unit(c.whole(x)));
  }
  return sum;
}
} // namespace

TEST_CASE("one whole step of every client is gradient descent, or its momentum", "[federated][reductions]") {
  use(GENERATE(0, 1));
  const settings cases[] = { named("fedavg"), named("scaffold"), named("fedcm", { { "alpha", "0.3" } }),
                             named("fedsam", { { "sam_rho", "0.2" } }),
                             named("fedbcgd_plus", { { "blocks", "1" }, { "server_rule", "sgd" } }) };
  for (const settings &set : cases) {
    const std::string name = set[0].second;
    INFO(name);
    Vec x = beginning(), d = zero;
    double lr = LR;
    for (int r = 0; r < R; r++, lr *= DECAY) {
      const Vec g = descent_direction(x, name == "fedavg", name == "fedsam" ? 0.2 : 0);
      d = name == "fedcm" ? 0.3 * g + 0.7 * d : g;
      x = x - lr * d;
    }
    agrees(Reduced(set + unweighted, ONE_STEP, true).after(R), x);
  }
}

TEST_CASE("FedProx whose lr*mu is 1 steps from the anchor, FedSpeed without a pull moves by the share of its memory, too",
          "[federated][reductions]") {
  use(GENERATE(0, 1));
  agrees(Reduced(named("fedprox", { { "mu", "20" }, { "lr_schedule", "constant" } }) + unweighted, ALL_STEPS).after(1),
         [&] {
           Vec x = beginning();
           Vecs delta;
           Clients active;
           uint32_t who[M];
           cohort(nullptr, 0, who, M);
           double total = 0;
           for (uint32_t i : who) total += (double)size_of(i);
           for (uint32_t i : who) {
             active.push_back({ i, 0, LR, (double)(EPOCHS * ((size_of(i) + BATCH - 1) / BATCH)), (double)size_of(i) / total, x });
             Vec y = x;
             for (uint64_t k = 0; k < (uint64_t)active.back().K; k++) y = x - LR * active.back().grad(k, y);
             delta.push_back(y - x);
           }
           return x + mean(active, delta);
         }());
  const settings free = { { "alpha", "0" }, { "pgn_alpha", "0" }, { "dyn_evaluate", "broadcast" } };
  const auto plain = Reduced(equal, ALL_STEPS).after(1), twice = Reduced(named("fedspeed", free), ALL_STEPS).after(1);
  Vec want((size_t)D);
  for (int i = 0; i < D; i++) want[(size_t)i] = start_of(i) + (1 + (double)M / N) * ((double)plain[(size_t)i] - start_of(i));
  agrees(twice, want);
}

TEST_CASE("the server's part of a state is the mean of all clients', whoever acted", "[federated][reductions]") {
  use(GENERATE(0, 1));
  const struct { settings set; size_t client, server; } cases[] = {
    { named("scaffold"), 1, 0 }, { named("scaffold", { { "option", "1" } }), 1, 0 },
    { named("scaffold", { { "derive", "yes" } }), 1, 0 },
    { named("fedgamma"), 1, 0 }, { named("feddyn"), 0, 1 }, { named("fedspeed"), 0, 1 },
    { named("fedbcgd_plus", { { "blocks", "3" } }), 1, 0 } };
  for (const auto &c : cases) {
    INFO(text(c.set));
    Watched run(c.set, ALL_STEPS, c.client, c.server);
    for (int r = 0; r < R; r++) {
      run.round();
      Vec sum = zero;
      for (const Vec &s : watch.states) sum = sum + (1.0 / N) * s;
      CHECK(norm(sum) > 1e-3);
      CHECK(norm(watch.kept - sum) <= 1e-5 * norm(sum));
    }
  }
}
