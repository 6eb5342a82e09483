// The first-order federated methods (the others: test_federated_adaptive.cpp) against plain double-precision references, written
// from federated-adaptive and federated-flat-private and not from the code: seven unequal clients, four of them a round, batches
// of two, on both problems of federated.hpp.
#include "federated.hpp"
#include "small.hpp"
#include <catch2/catch.hpp>
#include <cmath>
#include <fedlane/session.h>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

TEST_CASE("FedAvg, FedAvgM, FedProx and FedNova equal their references", "[federated]") {
  use(GENERATE(0, 1));
  agree({ { "name", "fedavg" }, decay }, simulate({ [](Client &c) { return descend(c, plain(c)); }, average }, true));

  Vec u = zero;
  agree({ { "name", "fedavgm" }, { "server_momentum", "0.7" }, { "server_lr", "0.8" }, decay },
        simulate({ [](Client &c) { return descend(c, plain(c)); },
                    [&](const Vec &x, const Clients &c, const Vecs &d) { u = 0.7 * u + mean(c, d); return x + 0.8 * u; } },
                    true));
  u = zero;
  agree({ { "name", "fedavgm" }, { "server_momentum", "0.7" }, { "server_nesterov", "yes" }, { "server_lr", "0.8" }, decay },
        simulate({ [](Client &c) { return descend(c, plain(c)); },
                    [&](const Vec &x, const Clients &c, const Vecs &d) {
                      const Vec move = mean(c, d);
                      u = 0.7 * u + move;
                      return x + 0.8 * (0.7 * u + move);
                    } }, true));

  agree({ { "name", "fedprox" }, { "mu", "0.5" }, decay },
        simulate({ [](Client &c) { return descend(c,
                                                   [&](uint64_t k, const Vec &y) { return c.grad(k, y) + 0.5 * (y - c.x); }); },
                                                   average }, true));

  for (const double momentum : { 0.0, 0.6 }) for (const double mu : { 0.0, 0.8 }) {
    if (momentum > 0 && mu > 0) continue;
    std::map<size_t, double> a;
    agree({ { "name", "fednova" }, { "momentum", std::to_string(momentum) }, { "nova_mu", std::to_string(mu) }, decay },
          simulate({ [&](Client &c) {
                       Vec y = c.x, buf = zero;
                       for (uint64_t k = 0; k < (uint64_t)c.K; k++) {
                         buf = momentum * buf + (c.grad(k, y) + WD * y);
                         y = y - c.lr * (buf + mu * (y - c.x));
                       }
                       const double K = c.K, rho = momentum, lm = c.lr * mu;   // the closed forms of 5
                       a[c.id] = mu > 0 ? (1 - std::pow(1 - lm, K)) / lm : rho > 0
                           ? (K - rho * (1 - std::pow(rho, K)) / (1 - rho)) / (1 - rho) : K;
                       return y;
                     },
                      [&](const Vec &x, const Clients &c, const Vecs &d) {
                        double tau = 0;
                        Vec s = zero;
                        for (size_t j = 0; j < c.size(); j++) {
                          tau += c[j].p * (mu > 0 ? c[j].K : a[c[j].id]);
                          s = s + (c[j].p / a[c[j].id]) * d[j];
                        }
                        return x + tau * s;
                      } }, true));
  }
}

TEST_CASE("SCAFFOLD, FedGAMMA and FedLESAM-S equal their references", "[federated]") {
  use(GENERATE(0, 1));
  enum { DERIVED, TWO, ONE, BATCH };            // option 2 in two forms; option 1 with all rows, and with the first batch
  enum { PLAIN, CLIPPED, SAM, LESAM };          // CLIPPED: a raw clip beside the correction bounds the gradient alone
  for (const int search : { PLAIN, CLIPPED, SAM, LESAM }) for (const int option : { DERIVED, TWO, ONE, BATCH }) {
    std::map<size_t, Vec> ci, old;
    for (size_t i = 0; i < N; i++) ci[i] = zero;
    Vec c0 = zero, change = zero;
    settings set = { { "name", search == SAM ? "fedgamma" : search == LESAM ? "fedlesam_s" : "scaffold" },
                     { "option", option <= TWO ? "2" : "1" }, decay };
    if (option == DERIVED) set.push_back({ "derive", "yes" });
    if (option == BATCH) set.push_back({ "control_rows", "batch" });
    if (search == SAM || search == LESAM) set.push_back({ "sam_rho", "0.3" });
    if (search == CLIPPED) set.push_back({ "clip_norm", "1.5" });
    agree(set, simulate({ [&](Client &c) {
                            const Vec e = old.count(c.id) ? 0.3 * unit(old[c.id] - c.x) : zero;
                            const Vec y = descend(c, [&](uint64_t k, const Vec &z) {
                              Vec g = search == SAM ? sam(c, k, z, 0.3) : search == LESAM ? c.grad(k, z + e) : c.grad(k, z);
                              if (search == CLIPPED) g = std::fmin(1.0, 1.5 / (norm(g) + 1e-6)) * g;
                              return g + c0 - ci[c.id];
                            });
                            const Vec fresh = option <= TWO ? ci[c.id] - c0 - (1.0 / (c.K * c.lr)) * (y - c.x)
                                : option == ONE ? c.whole(c.x) : c.grad(0, c.x);
                            change = change + (1.0 / N) * (fresh - ci[c.id]);
                            ci[c.id] = fresh;
                            old[c.id] = c.x;
                            return y;
                          },
                           [&](const Vec &x, const Clients &c, const Vecs &d) {
                             c0 = c0 + change;
                             change = zero;
                             return x + mean(c, d);
                           } }, false));
  }
}

TEST_CASE("FedDyn equals its reference", "[federated]") {
  use(GENERATE(0, 1));
  const double alpha = 0.4;
  // FedDyn as federated-adaptive 7 writes it, with h_i, H and unequal sizes; alpha_i on the client alone.
  std::map<size_t, Vec> h;
  for (size_t i = 0; i < N; i++) h[i] = zero;
  Vec H = zero;
  auto alpha_of = [&](size_t i) { return alpha * ((double)SAMPLES / N) / (double)size_of(i); };
  Vec active_mean = zero;
  const Vec dyn = simulate({ [&](Client &c) {
                     const double a = alpha_of(c.id);
                     const Vec y = descend(c, [&](uint64_t k, const Vec &z) { return c.grad(k, z) - h[c.id] + a * (z - c.x); });
                     h[c.id] = h[c.id] - a * (y - c.x);
                     return y;
                   },
                    [&](const Vec &x, const Clients &c, const Vecs &d) {
                      for (auto &v : d) H = H - (alpha / N) * v;
                      active_mean = x + mean(c, d);
                      return active_mean - (1 / alpha) * H;
                    } }, false);
  agree({ { "name", "feddyn" }, { "alpha", "0.4" }, decay }, dyn, &active_mean);
  agree({ { "name", "feddyn" }, { "alpha", "0.4" }, { "dyn_evaluate", "broadcast" }, decay }, dyn);
}

TEST_CASE("FedSpeed, FedSMOO and FedLESAM-D equal their references", "[federated]") {
  use(GENERATE(0, 1));
  const double alpha = 0.4, rho = 0.3, blend = 0.7;
  Vec active_mean = zero;
  enum { PGN, ASCENT, BLEND, SMOO, LESAM };     // ASCENT, BLEND: PGN whose way up is the gradient, whose blend has its direction
  for (const int search : { PGN, ASCENT, BLEND, SMOO, LESAM })
    for (const bool active : { false, true }) for (const bool last : { false, true }) {
    if (last && search != SMOO) continue;
    std::map<size_t, Vec> sum, mu, e_last, old;
    for (size_t i = 0; i < N; i++) sum[i] = mu[i] = zero;
    Vec s = zero;
    settings set = { { "name", search < SMOO ? "fedspeed" : search == SMOO ? "fedsmoo" : "fedlesam_d" }, { "alpha", "0.4" },
                     { "sam_rho", "0.3" }, { "dyn_average", active ? "active" : "all" }, decay };
    if (search < SMOO) set.push_back({ "pgn_alpha", "0.7" });
    if (search == ASCENT) set.push_back({ "pgn_ascent", "gradient" });
    if (search == BLEND) set.push_back({ "pgn_blend", "unit" });
    if (last) set.push_back({ "smoo_subtract_last", "yes" });
    const Vec want = simulate({ [&](Client &c) {
                            const Vec e0 = old.count(c.id) ? rho * unit(old[c.id] - c.x) : zero, before = sum[c.id];
                            const Vec y = descend(c, [&](uint64_t k, const Vec &z) {
                              const Vec g1 = c.grad(k, z);
                              Vec g = c.grad(k, z + e0);
                              if (search < SMOO)
                                g = (1 - blend) * (search == BLEND ? unit(g1) : g1) +
                                    blend * c.grad(k, z + rho * (search == ASCENT ? g1 : unit(g1)));
                              if (search == SMOO) {
                                const Vec e = rho * unit(g1 - mu[c.id] - s);
                                mu[c.id] = mu[c.id] + e - s;
                                e_last[c.id] = e;
                                g = c.grad(k, z + e);
                              }
                              return g + alpha * (z - c.x) + alpha * before;
                            });
                            sum[c.id] = sum[c.id] + (y - c.x);
                            old[c.id] = c.x;
                            return y;
                          },
                           [&](const Vec &x, const Clients &c, const Vecs &d) {
                             Vec a = zero, all = zero, mine = zero;
                             for (auto &k : c)
                               a = a + (1.0 / M) * (last ? mu[k.id] - e_last[k.id] : mu[k.id]),
                                   mine = mine + (1.0 / M) * sum[k.id];
                             for (size_t i = 0; i < N; i++) all = all + (1.0 / N) * sum[i];
                             s = rho * unit(a);
                             active_mean = x + mean(c, d);
                             return active_mean + (active ? mine : all);
                           } }, false);
    agree(set, want, &active_mean);
  }
}

TEST_CASE("FedCM, MoFedSAM, FedACG, FedSAM, FedASAM and FedLESAM equal their references", "[federated]") {
  use(GENERATE(0, 1));
  for (const double rho : { 0.0, 0.3 }) {
    Vec g0 = zero;
    settings set = { { "name", rho > 0 ? "mofedsam" : "fedcm" }, { "alpha", "0.25" }, { "server_lr", "0.9" }, decay };
    if (rho > 0) set.push_back({ "sam_rho", "0.3" });
    agree(set, simulate({ [&](Client &c) {
                            return descend(c, [&](uint64_t k,
                                                  const Vec &y) { return 0.25 * (rho > 0 ? sam(c, k, y, rho) : c.grad(k, y)) +
                                                                  0.75 * g0;
                                                  });
                          },
                           [&](const Vec &x, const Clients &c, const Vecs &d) {
                             g0 = direction(c, d);
                             return x + 0.9 * mean(c, d);
                           } }, false));
  }
  Vec u = zero;
  agree({ { "name", "fedacg" }, { "acg_momentum", "0.6" }, { "mu", "0.3" }, decay },
        simulate({ [](Client &c) { return descend(c,
                                                   [&](uint64_t k, const Vec &y) { return c.grad(k, y) + 0.3 * (y - c.x); }); },
                    [&](const Vec &x, const Clients &c, const Vecs &d) { u = 0.6 * u + mean(c, d); return x + u; },
                    [&](const Vec &x) { return x + 0.6 * u; } }, false));
  agree({ { "name", "fedsam" }, { "sam_rho", "0.3" }, decay },
        simulate({ [](Client &c) { return descend(c, [&](uint64_t k, const Vec &y) { return sam(c, k, y, 0.3); }); }, average },
                  false));
  agree({ { "name", "fedasam" }, { "sam_rho", "0.3" }, { "asam_eta", "0.1" }, decay },
        simulate({ [](Client &c) {
                     return descend(c, [&](uint64_t k, const Vec &y) {
                       Vec T(D, 1.0), g = c.grad(k, y), e = g;
                       for (int i = 0; i < D; i++) if (in_matrix(i)) T[i] = std::fabs(y[i]) + 0.1;
                       for (int i = 0; i < D; i++) g[i] *= T[i], e[i] *= T[i] * T[i];
                       return c.grad(k, y + (0.3 / (norm(g) + 1e-12)) * e);
                     });
                   }, average }, false));
  std::map<size_t, Vec> old;
  agree({ { "name", "fedlesam" }, { "sam_rho", "0.3" }, decay },
        simulate({ [&](Client &c) {
                     const Vec e = old.count(c.id) ? 0.3 * unit(old[c.id] - c.x) : zero;
                     old[c.id] = c.x;
                     return descend(c, [&](uint64_t k, const Vec &y) { return c.grad(k, y + e); });
                   }, average }, false));
}

TEST_CASE("FedAdagrad, FedYogi and FedAdam equal their references", "[federated]") {
  use(GENERATE(0, 1));
  for (const std::string name : { "fedadagrad", "fedadagrad with a mean", "fedyogi", "fedadam" }) {
    Vec m = zero, v(D, 1e-4);
    const bool sums = name.find("fedadagrad") == 0;
    const double b1 = name == "fedadagrad" ? 0 : sums ? 0.6 : 0.9, b2 = 0.99;
    settings set = { { "name", sums ? "fedadagrad" : name }, { "server_lr", "0.05" }, { "server_eps", "0.01" },
                     { "server_initial_accumulator", "1e-4" }, decay };
    if (sums && b1 > 0) set.push_back({ "server_beta1", "0.6" });
    agree(set,
          simulate({ [](Client &c) { return descend(c, plain(c)); },
                      [&](const Vec &x, const Clients &c, const Vecs &d) {
                        const Vec move = mean(c, d);
                        Vec out = x;
                        for (int i = 0; i < D; i++) {
                          const double q = move[i] * move[i];
                          m[i] = b1 * m[i] + (1 - b1) * move[i];
                          v[i] = sums ? v[i] + q : name == "fedadam" ? b2 * v[i] + (1 - b2) * q
                              : v[i] - (1 - b2) * q * (v[i] > q ? 1 : v[i] < q ? -1 : 0);
                          out[i] += 0.05 * m[i] / (std::sqrt(v[i]) + 0.01);
                        }
                        return out;
                      } }, false));
  }
}

TEST_CASE("FedSWA and FedMoSWA equal their references", "[federated]") {
  use(GENERATE(0, 1));
  const double end = 0.2;
  auto eta = [&](const Client &c, uint64_t k) { const double at = (double)k / c.K; return c.lr * ((1 - at) + at * end); };
  auto fall = [&](const Client &c, const Vec &correction) {
    Vec y = c.x;
    for (uint64_t k = 0; k < (uint64_t)c.K; k++) y = y - eta(c, k) * (c.grad(k, y) + correction + WD * y);
    return y;
  };
  agree({ { "name", "fedswa" }, { "lr_end_ratio", "0.2" }, { "server_lr", "1.5" }, decay },
        simulate({ [&](Client &c) { return fall(c, zero); },
                    [](const Vec &x, const Clients &c, const Vecs &d) { return x + 1.5 * mean(c, d); } }, false));
  for (const int option : { 2, 1 }) {
    std::map<size_t, Vec> ci;
    for (size_t i = 0; i < N; i++) ci[i] = zero;
    Vec m = zero, fresh = zero;
    agree({ { "name", "fedmoswa" }, { "lr_end_ratio", "0.2" }, { "gamma", "0.3" }, { "server_lr", "1.5" },
            { "option", std::to_string(option) }, decay },
          simulate({ [&](Client &c) {
                       double sum = 0;
                       for (uint64_t k = 0; k < (uint64_t)c.K; k++) sum += eta(c, k);
                       const Vec y = fall(c, m - ci[c.id]);
                       ci[c.id] = option == 2 ? ci[c.id] - m - (1 / sum) * (y - c.x) : c.whole(c.x);
                       fresh = fresh + (1.0 / M) * (ci[c.id] - m);
                       return y;
                     },
                      [&](const Vec &x, const Clients &c, const Vecs &d) {
                        m = m + 0.3 * fresh;
                        fresh = zero;
                        return x + 1.5 * mean(c, d);
                      } }, false));
  }
}

TEST_CASE("A falling step size lets a pull along the global direction fall alike", "[federated]") {
  use(GENERATE(0, 1));
  const double end = 0.2, alpha = 0.3;
  Vec D0 = zero;
  auto eta = [&](const Client &c, uint64_t k) { const double at = (double)k / c.K; return c.lr * ((1 - at) + at * end); };
  agree({ { "stack", "restart+shared" }, { "rule", "sgd" }, { "lr_end_ratio", "0.2" }, { "alpha", "0.3" }, { "aggregate", "no" },
          { "weights", "equal" }, decay },
        simulate({ [&](Client &c) {
                     Vec y = c.x;
                     for (uint64_t k = 0; k < (uint64_t)c.K; k++)
                       y = y - eta(c, k) * (c.grad(k, y) + WD * y) - (eta(c, k) * alpha) * D0;
                     return y;
                   },
                   [&](const Vec &x, const Clients &c, const Vecs &d) {
                     Vec next = zero;
                     for (size_t j = 0; j < c.size(); j++) {
                       double sum = 0;
                       for (uint64_t k = 0; k < (uint64_t)c[j].K; k++) sum += eta(c[j], k);
                       next = next - (1 / (M * sum)) * d[j];
                     }
                     D0 = next;
                     return x + mean(c, d);
                   } }, false));
}

TEST_CASE("FedMoSWA: a client without data sends that it has no control", "[federated]") {
  // One coordinate, loss (x - a)^2/2, a = 1 and 2 of the second and third client: one step of eta = 0.5, as K = 1.
  static const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { 1, 0, 0, 0 }, 0, 1 };
  static const fl_layout layout = { 1, 1, 0, &tensor };
  fl_objective o = {};
  o.name = "line", o.layout = &layout, o.n = 2;
  o.init = [](void *, uint64_t, float *x) { x[0] = 8; };
  o.loss_grad = [](void *, const fl_kernels *, const float *x, const uint32_t *row, size_t, float *g, void *) {
    g[0] = x[0] - 1 - (float)row[0];
    return 0.5 * (double)g[0] * (double)g[0];
  };
  for (const char *option : { "1", "2" }) {
    session::Session s({ { "name", "fedmoswa" }, { "lr", "0.5" }, { "lr_schedule", "constant" }, { "weight_decay", "0" },
                         { "clip_norm", ".inf" }, { "gamma", "0.25" }, { "server_lr", "1" }, { "option", option } }, o,
                       { 0, 0, 1, 2 }, 5, 1);
    REQUIRE(s.open().error == "");
    double x = 8, m = 0, own[3] = { 0, 0, 0 };
    for (int r = 0; r < 5; r++) {
      double move = 0, fresh = (0 - m) / 3;
      for (int i = 1; i < 3; i++) {
        const double delta = -0.5 * (x - i - own[i] + m);
        own[i] = option[0] == '1' ? x - i : own[i] - m - delta / 0.5;
        move += delta / 3, fresh += (own[i] - m) / 3;
      }
      x += move, m += 0.25 * fresh;
      s.round();
      CHECK(s.x()[0] == Approx(x).epsilon(1e-5));
    }
  }
}

TEST_CASE("neutral values give FedAvg to the bit, at the methods' own defaults", "[federated]") {
  use(GENERATE(0, 1));
  const settings few[] = { { { "name", "fedprox" }, { "mu", "0" } }, { { "name", "fedavgm" }, { "server_momentum", "0" } },
                           { { "name", "fedsam" }, { "sam_rho", "0" }, { "weights", "samples" } },
                           { { "name", "fedcm" }, { "alpha", "1" }, { "weights", "samples" } },
                           { { "name", "fedlesam" }, { "sam_rho", "0" }, { "weights", "samples" } } };
  Run plain({ { "name", "fedavg" } }, 1);
  CHECK(fl_rounds(plain.s, nullptr, nullptr) == 1);
  for (const settings &set : few) {
    INFO(set[0].second);
    Run run(set, 1);
    CHECK(fl_rounds(run.s, nullptr, nullptr) == 1);
    CHECK(rules::same(run.x(), plain.x()));
  }
}

TEST_CASE("clip=late clips the gradient with what joins it, but not the multiples of y", "[federated]") {
  use(GENERATE(0, 1));
  std::map<size_t, Vec> sum;
  for (size_t i = 0; i < N; i++) sum[i] = zero;
  agree({ { "name", "fedspeed" }, { "alpha", "0.4" }, { "sam_rho", "0.3" }, { "clip_norm", "1.5" },
          { "dyn_evaluate", "broadcast" }, decay },
        simulate({ [&](Client &c) {
                     const Vec before = sum[c.id];
                     const Vec y = descend(c, [&](uint64_t k, const Vec &z) {
                       const Vec v = sam(c, k, z, 0.3) + 0.4 * (before - c.x);
                       return std::fmin(1.0, 1.5 / (norm(v) + 1e-6)) * v + 0.4 * z;
                     });
                     sum[c.id] = sum[c.id] + (y - c.x);
                     return y;
                   },
                    [&](const Vec &x, const Clients &c, const Vecs &d) {
                      Vec all = zero;
                      for (size_t i = 0; i < N; i++) all = all + (1.0 / N) * sum[i];
                      return x + mean(c, d) + all;
                    } }, false));
}

// ---- the costs that docs/federated-*.md print ----------------------------------------------------------------------------
namespace {
// "2d + d_M - 1" with d and the others as they are here.
double worth(const std::string &text, double blocks) {
  const std::map<std::string, double> value = { { "d", D }, { "d_M", 24 }, { "T", 36 + 16 }, { "B", blocks }, { "", 1 },
                                                { "k", 2 }, { "s", 2 }, { "b", 24 / 2 + 5 } };
  std::istringstream in(text);
  std::string word;
  double sum = 0, sign = 1;
  while (in >> word) {
    if (word == "+" || word == "-") { sign = word == "+" ? 1 : -1; continue; }
    const size_t digits = word.find_first_not_of("0123456789");
    const std::string symbol = digits == std::string::npos ? "" : word.substr(digits);
    REQUIRE(value.count(symbol) == 1);
    sum += sign * (digits == 0 ? 1 : std::stod(word)) * value.at(symbol);
  }
  return sum;
}
std::vector<std::string> cells(const std::string &line) {
  std::vector<std::string> out;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, '|');) {
    const size_t a = cell.find_first_not_of(' '), b = cell.find_last_not_of(' ');
    out.push_back(a == std::string::npos ? "" : cell.substr(a, b - a + 1));
  }
  return out;
}
void compare_costs(const std::string &name, const std::vector<std::string> &row) {
  INFO(name);
  settings set = small_settings(name);
  set.push_back({ "clip_norm", ".inf" });
  Run run(set, 1);
  const fl_job *job = fl_session_job(run.s);
  fl_metrics m;
  REQUIRE(fl_round(run.s, &m) == 0);
  size_t client = 0, server = job->server_rule->state ? job->server_rule->state(job->h_server, job) : 0, steps = 0;
  for (size_t i = 0; i < job->n_stages; i++)
    for (size_t j = 0; j < job->stage[i]->n_slots; j++) {
      const fl_slot &slot = job->stage[i]->slot[j];
      const size_t floats = slot.floats ? slot.floats(job, job->h_stage[i]) : (size_t)D;
      if (slot.place == FL_CLIENT) client += floats;
      if (slot.place == FL_SERVER) server += floats;
    }
  uint32_t who[M];
  cohort(nullptr, 0, who, M);
  for (uint32_t i : who) steps += EPOCHS * ((size_of(i) + BATCH - 1) / BATCH);
  for (size_t i = 0; i < job->n_stages; i++)    // the server's own samples
    if (job->stage[i]->own) steps += EPOCHS * ((job->stage[i]->own(job->h_stage[i], job) + BATCH - 1) / BATCH);
  const double blocks = (double)job->blocks.n;
  CHECK((double)m.bytes_down / 4 / M == worth(row[3], blocks));
  CHECK((double)m.bytes_up / 4 / M == worth(row[4], blocks));
  CHECK((double)client == worth(row[5], blocks));
  CHECK((double)server == worth(row[6], blocks));
  const double told = std::stod(row[7]);
  CHECK((double)m.gradient_evaluations == told * (double)steps);
}
} // namespace

TEST_CASE("what the pages of the federated families say of costs is what is sent, kept and evaluated", "[federated]") {
  use(0);
  std::map<std::string, int> seen;
  for (const char *page : { "adaptive", "flat", "structured", "private" }) {
    std::ifstream in(std::string(FEDLANE_FIXTURES "/../../docs/federated-") + page + ".md");
    REQUIRE(in);
    for (std::string line; std::getline(in, line);) {
      const auto row = cells(line);
      if (row.size() < 8 || row[1][0] != '`') continue;
      std::istringstream names(row[1]);
      for (std::string name; names >> name;) {
        name = name.substr(1, name.rfind('`') - 1);
        seen[name]++;
        if (!on_adapters(name)) compare_costs(name, row);
      }
    }
  }
  for (size_t i = 0; i < fl_method_count(); i++) {
    INFO(fl_method_at(i)->name);
    CHECK(seen[fl_method_at(i)->name] == 1);
  }
}
