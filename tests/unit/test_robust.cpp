// Attacks, multi-Krum and FLTrust (federated-structured-robust 7, 8) against plain double references: by hand on vectors, and in
// runs of several rounds with partial participation, in which the malicious are the ones that the seed draws.
#include "federated.hpp"
#include "hooks.hpp"
#include "tests/gradient/reference.hpp"
#include <algorithm>
#include <limits>
#include <memory>

namespace {
const fl_tensor one_tensor = { "v", FL_BIAS, 0, 0, 1, { 300, 0, 0, 0 }, 0, 300 };
const fl_layout one_layout = { 1, 300, 0, &one_tensor };
using hooks::Floats;
using hooks::noise;

// R1-R3 as written: every distance, every score in full.
template <class V> std::vector<double> krum(const std::vector<V> &u, size_t f, size_t most) {
  const size_t n = u.size();
  std::vector<std::pair<double, size_t>> score;
  for (size_t i = 0; i < n; i++) {
    std::vector<double> e;
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
      for (size_t c = 0; c < u[i].size(); c++) sum += ((double)u[i][c] - u[j][c]) * ((double)u[i][c] - u[j][c]);
      if (j != i) e.push_back(std::isfinite(sum) ? sum : std::numeric_limits<double>::infinity());
    }
    std::sort(e.begin(), e.end());
    double sum = 0;
    for (size_t j = 0; j < n - f - 2; j++) sum += e[j];
    score.push_back({ sum, i });
  }
  std::sort(score.begin(), score.end());
  std::vector<double> share(n, 0.0);
  for (size_t j = 0; j < most; j++) share[score[j].second] = 1.0 / (double)most;
  return share;
}
std::vector<bool> malicious(size_t count) {
  const fl_key key = { 3, FL_PURPOSE_ATTACK, 0, 0, 0 };
  std::vector<uint32_t> who(count);
  std::vector<bool> bad(N);
  fl_sample(who.data(), count, N, &key);
  for (uint32_t i : who) bad[i] = true;
  return bad;
}
Vec scaled(const Vecs &u, const std::vector<double> &share) {
  Vec sum = zero;
  for (size_t j = 0; j < u.size(); j++) sum = sum + share[j] * u[j];
  return sum;
}
// Training on the server's own samples, as a client's: drawn from the seed, shuffled anew every epoch.
Vec own_update(uint64_t r, double lr, const Vec &x, uint32_t n) {
  const fl_key key = { 3, FL_PURPOSE_OWN, 0, 0, 0 };
  std::vector<uint32_t> rows(n), perm(n);
  fl_sample(rows.data(), n, offset[N], &key);
  Vec y = x;
  for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
    const fl_key shuffle = { 3, FL_PURPOSE_SHUFFLE, (uint32_t)r, N, epoch };
    fl_permutation(perm.data(), n, &shuffle);
    for (uint32_t i = 0; i < n; i += BATCH) {
      uint32_t batch[BATCH], count = 0;
      for (; count < BATCH && i + count < n; count++) batch[count] = rows[perm[i + count]];
      Vec g((size_t)D);
      problem->gradient(y.data(), batch, count, g.data());
      y = y - lr * (g + WD * y);
    }
  }
  return y - x;
}
} // namespace

TEST_CASE("multi-Krum by hand: the scores of the definition, ties to the lower position, nothing finite needed", "[robust]") {
  for (size_t n = 3; n <= 13; n++)
    for (size_t f = 0; 2 * f + 3 <= n; f++)
      for (const size_t most : { size_t(1), n - f }) {
        INFO(n << " " << f << " " << most);
        std::vector<Floats> u;
        for (size_t i = 0; i < n; i++) u.push_back(noise(300, (unsigned)(100 * n + i), i < f ? 3.0f : 0.0f));
        hooks::Stage krum_by_hand({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", std::to_string(f) },
                                    { "krum_m", std::to_string(most) } }, one_layout, n);
        CHECK(krum_by_hand.combine(u) == krum(u, f, most));
        if (f) u[f - 1][7] = std::numeric_limits<float>::quiet_NaN();
        const auto share = krum_by_hand.combine(u);
        CHECK(share == krum(u, f, most));
        for (size_t i = 0; i < f; i++) CHECK(share[i] == 0);      // far off, and one of them NaN
      }
  hooks::Stage least({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", "1" }, { "krum_m", "1" } }, one_layout, 6);
  CHECK(least.combine(std::vector<Floats>(6, noise(300, 1))) == std::vector<double>{ 1, 0, 0, 0, 0, 0 });
  hooks::Stage all({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", "0" } }, one_layout, 4);
  CHECK(all.combine({ noise(300, 1), noise(300, 2), noise(300, 3), noise(300, 4) }) == std::vector<double>(4, 0.25));
}

TEST_CASE("Krum's choice goes along with an exchange of clients, a shift of all and a change of scale", "[robust]") {
  enum { CLIENTS = 9 };
  hooks::Stage krum_by_hand({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", "3" }, { "krum_m", "2" } }, one_layout,
                            CLIENTS);
  std::vector<Floats> u, shifted, scaled, turned(CLIENTS);
  const Floats shift = noise(300, 99);
  for (size_t i = 0; i < CLIENTS; i++) {
    u.push_back(noise(300, (unsigned)i, i < 3 ? 2.0f : 0.0f));
    shifted.push_back(u[i]), scaled.push_back(u[i]);
    for (size_t c = 0; c < 300; c++) shifted[i][c] += shift[c], scaled[i][c] *= 7.0f;
    turned[(i * 4 + 1) % CLIENTS] = u[i];
  }
  const auto share = krum_by_hand.combine(u), other = krum_by_hand.combine(turned);
  CHECK(std::count(share.begin(), share.end(), 0.5) == 2);
  CHECK(krum_by_hand.combine(shifted) == share);
  CHECK(krum_by_hand.combine(scaled) == share);
  for (size_t i = 0; i < CLIENTS; i++) CHECK(other[(i * 4 + 1) % CLIENTS] == share[i]);
}

TEST_CASE("FLTrust by hand: weights by the angle, lengths as the server's own", "[robust]") {
  hooks::Stage s({ { "stack", "fltrust" }, { "rule", "sgd" } }, one_layout, 4);
  const Floats u0 = noise(300, 1, 0.5f), zeros(300, 0.0f);
  Floats far = noise(300, 2, 0.5f), against = u0, huge = u0;
  for (float &v : against) v = -v;
  for (float &v : huge) v *= 1000;
  auto length = [](const Floats &v) { double t = 0; for (float x : v) t += (double)x * x; return std::sqrt(t); };
  auto cosine = [&](const Floats &v) {
    double t = 0;
    for (size_t i = 0; i < v.size(); i++) t += (double)v[i] * u0[i];
    return t / (length(v) * length(u0));
  };
  for (double w : s.combine({ u0, u0, u0, u0 })) CHECK(w == Approx(1.0 / 3).epsilon(1e-12));
  const auto w = s.combine({ far, against, huge, zeros, u0 });
  const double trust = cosine(far) + 1;
  CHECK(w[0] == Approx(cosine(far) * length(u0) / length(far) / trust).epsilon(1e-12));
  CHECK(w[1] == 0);
  CHECK(w[2] == Approx(1e-3 / trust).epsilon(1e-6));
  CHECK(w[3] == 0);
  CHECK(w[0] * length(far) + w[2] * length(huge) <= length(u0) * (1 + 1e-12));
  far[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(s.combine({ far, against, against, zeros, u0 }) == std::vector<double>(4, 0.0));
  CHECK(s.combine({ u0, against, huge, far, zeros }) == std::vector<double>(4, 0.0));
}

TEST_CASE("attacked averaging, multi-Krum and FLTrust equal their references", "[robust]") {
  use(GENERATE(0, 1));
  const auto bad = malicious(2);
  const settings attack = { { "malicious", "0.3" }, { "attack_scale", "5" }, decay };
  auto with = [&](settings head, const settings &more = {}) {
    head.insert(head.end(), attack.begin(), attack.end());
    head.insert(head.end(), more.begin(), more.end());
    return head;
  };
  auto client = [&](double factor, uint64_t from) {
    return [=](Client &c) {
      const Vec y = descend(c, plain(c));
      return bad[c.id] && c.r + 1 >= from ? c.x + factor * (y - c.x) : y;
    };
  };
  agree(with({ { "stack", "attack" }, { "rule", "sgd" } }), simulate({ client(-5, 1), average }, true));
  agree(with({ { "stack", "attack" }, { "rule", "sgd" } }, { { "attack", "scale" }, { "attack_from", "3" } }),
        simulate({ client(5, 3), average }, true));
  for (const size_t most : { 1, 2, 3 })
    agree(with({ { "stack", "attack+krum" }, { "rule", "sgd" } }, { { "krum_m", std::to_string(most) }, { "krum_f", "0" } }),
          simulate({ client(-5, 1),
                     [&](const Vec &x, const Clients &, const Vecs &d) { return x + scaled(d, krum(d, 0, most)); } }, false));
  agree(with({ { "stack", "attack+fltrust" }, { "rule", "sgd" } }, { { "root_samples", "9" } }),
        simulate({ client(-5, 1), [&](const Vec &x, const Clients &c, const Vecs &d) {
                    const Vec u0 = own_update(c[0].r, c[0].lr, x, 9);
                    std::vector<double> share;
                    double trust = 0;
                    for (const Vec &u : d) {
                      double dot = 0;
                      for (int i = 0; i < D; i++) dot += u[(size_t)i] * u0[(size_t)i];
                      const double t = norm(u) > 0 ? std::fmax(0, dot / (norm(u) * norm(u0))) : 0;
                      share.push_back(t > 0 ? t * norm(u0) / norm(u) : 0), trust += t;
                    }
                    return trust > 0 ? x + (1 / trust) * scaled(d, share) : x;
                  } }, false));
  // Controls weigh 1/N: of those that are averaged, by the same choice; who was rejected has renewed its own.
  for (const size_t most : { 1, 3 }) {
    Vecs ci(N, zero), change;
    Vec control = zero;
    agree({ { "stack", "scaffold+krum" }, { "rule", "sgd" }, { "krum_m", std::to_string(most) }, { "krum_f", "0" }, decay },
          simulate({ [&](Client &c) {
                       const Vec y = descend(c, [&](uint64_t k, const Vec &z) { return c.grad(k, z) + control - ci[c.id]; });
                       change.push_back((-1 / (c.K * c.lr)) * (y - c.x) - control);
                       ci[c.id] = ci[c.id] + change.back();
                       return y;
                     },
                     [&](const Vec &x, const Clients &, const Vecs &d) {
                       const auto share = krum(d, 0, most);
                       control = control + ((double)M / N) * scaled(change, share);
                       change.clear();
                       return x + scaled(d, share);
                     } }, false));
  }
  use(0);
}

TEST_CASE("nothing of a rejected upload is left, also where it is not finite", "[robust]") {
  // Every client walks along a gradient of its own; the first one's way overflows, its loss and gradient do not.
  static const fl_tensor tensor = { "x", FL_BIAS, 0, 0, 1, { 4, 0, 0, 0 }, 0, 4 };
  static const fl_layout layout = { 1, 4, 0, &tensor };
  fl_objective o = {};
  o.name = "walk", o.layout = &layout, o.n = 6;
  o.init = [](void *, uint64_t, float *x) { std::fill(x, x + 4, 1.0f); };
  o.loss_grad = [](void *, const fl_kernels *, const float *, const uint32_t *row, size_t, float *g, void *) {
    for (int i = 0; i < 4; i++) g[i] = row[0] == 0 ? 3e38f : (float)row[0] / 8;
    return 1.0;
  };
  for (const int threads : { 1, 3 }) {
    session::Session s({ { "stack", "krum" }, { "rule", "sgd" }, { "lr", "2" }, { "clip_norm", ".inf" }, { "krum_f", "1" } }, o,
                       { 0, 1, 2, 3, 4, 5, 6 }, 2, 1);
    s.options.threads = threads;
    REQUIRE(s.open().error == "");
    for (int r = 1; r <= 2; r++) {
      const fl_metrics m = s.round();
      CHECK(m.admitted == 5);
      CHECK(!m.diverged);
      for (float v : s.x()) CHECK(v == Approx(1 - r * 2 * (1 + 2 + 3 + 4 + 5) / 8.0 / 5));
    }
  }
}

TEST_CASE("robust rules: reductions to averaging, what they say of whom they reject, resumed runs", "[robust]") {
  CHECK(product({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", "0" } }, 1) ==
        product({ { "name", "fedavg" }, { "weights", "equal" }, { "weight_decay", "0" } }, 1));
  CHECK(product({ { "stack", "krum+shared" }, { "rule", "adamw" }, { "krum_f", "0" } }, 2) ==
        product({ { "stack", "shared" }, { "rule", "adamw" } }, 1));
  CHECK(product({ { "stack", "attack" }, { "rule", "sgd" }, { "malicious", "0" } }, 1) == product({ { "rule", "sgd" } }, 1));
  CHECK(product({ { "stack", "attack" }, { "rule", "sgd" }, { "attack", "scale" } }, 1) == product({ { "rule", "sgd" } }, 1));

  Run run({ { "stack", "attack+krum" }, { "rule", "sgd" }, { "malicious", "0.3" }, { "attack_scale", "100" }, { "krum_m", "2" },
            { "lr", "0.05" } }, 2);
  const auto bad = malicious(2);
  for (int r = 0; r < R; r++) {
    uint32_t who[M];
    size_t attackers = 0;
    cohort(nullptr, (uint64_t)r, who, M);
    for (uint32_t i : who) attackers += bad[i];
    const fl_metrics m = run.round();
    CHECK(m.admitted == 2);
    if (attackers) CHECK(m.rejected_malicious == 1);
    else CHECK(std::isnan(m.rejected_malicious));
    CHECK(m.rejected_benign == Approx((2.0 - (double)attackers) / (4.0 - (double)attackers)));
  }
  Run plain_run({ { "rule", "sgd" } }, 1);
  CHECK(std::isnan(plain_run.round().admitted));

  resumes({ { "stack", "attack+krum" }, { "rule", "sgd" }, { "malicious", "0.5" } });
  resumes({ { "stack", "attack+fltrust" }, { "rule", "sgd" }, { "attack", "gaussian" }, { "malicious", "0.5" },
            { "root_samples", "7" } });
}

TEST_CASE("flipped labels are trained on as data with the labels C - 1 - y, unscaled or not", "[robust]") {
  const reference::Samples honest(40, 5);
  reference::Samples flipped(40, 5);
  for (uint8_t &label : flipped.label) label = (uint8_t)(9 - label);
  auto train = [](const reference::Samples &samples, const settings &set) {
    char err[256] = "";
    fl_net_sized room;
    std::unique_ptr<fl_model, void (*)(fl_model *)> model(
        fl_model_new(fl_net_find("logistic", &room), &samples.s, nullptr, reference::mean, reference::deviation, err, sizeof err),
        fl_model_free);
    REQUIRE(model);
    session::Session s(set, *fl_model_objective(model.get()), { 0, 9, 25, 40 }, 3, 4);
    REQUIRE(s.open().error == "");
    REQUIRE(fl_rounds(s.s, nullptr, nullptr) == 1);
    return s.x();
  };
  const settings plain_set = { { "rule", "sgd" } };
  settings attack = { { "stack", "attack" }, { "rule", "sgd" }, { "attack", "label_flip" }, { "malicious", "1" } };
  CHECK(train(honest, attack) == train(flipped, plain_set));
  CHECK(train(honest, attack) != train(honest, plain_set));
  attack.push_back({ "attack_from", "4" });
  CHECK(train(honest, attack) == train(honest, plain_set));
}

TEST_CASE("robust rules refuse what they cannot do, with key, value and what is allowed", "[robust]") {
  auto refused = [](const settings &set) {
    const fl_objective o = objective();
    session::Session s(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), R, BATCH);
    s.problem.cohort = federated::cohort, s.problem.batch = federated::batch, s.options.participation = (double)M / N;
    return s.open().error;
  };
  CHECK_THAT(refused({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_f", "1" } }),
             Catch::Contains("krum_f = 1 with 4 clients a round; allowed: at most 0"));
  CHECK_THAT(refused({ { "stack", "krum" }, { "rule", "sgd" }, { "krum_m", "5" } }), Catch::Contains("allowed: 0 to 4"));
  CHECK_THAT(refused({ { "stack", "fltrust" }, { "rule", "sgd" } }), Catch::Contains("= 100; allowed: 1 to the 29"));
  CHECK_THAT(refused({ { "stack", "attack" }, { "rule", "sgd" }, { "attack", "label_flip" } }),
             Catch::Contains("flipped labels"));
  CHECK_THAT(refused({ { "stack", "attack" }, { "rule", "sgd" }, { "malicious", "0.1" } }), Catch::Contains("7 clients is none"));
  const fl_tensor vast = { "v", FL_BIAS, 0, 0, 1, { size_t(1) << 38, 0, 0, 0 }, 0, size_t(1) << 38 };
  const fl_layout vast_layout = { 1, size_t(1) << 38, 0, &vast };
  fl_objective large = objective();
  large.layout = &vast_layout;
  session::Session all({ { "name", "multi_krum" } }, large, std::vector<size_t>(federated::offset, federated::offset + N + 1), R,
                       BATCH);
  CHECK_THAT(all.open().error, Catch::Contains("stage krum keeps all uploads of a round, 7 x 1099511627776 bytes"));
  auto unreadable = [](const std::vector<fl_setting> &set) {
    fl_algorithm a;
    char err[512] = "";
    CHECK(fl_algorithm_build(set.data(), set.size(), &a, err, sizeof err) == -1);
    return std::string(err);
  };
  auto stack = [&](const char *stages) { return unreadable({ { "stack", stages, "t" }, { "rule", "sgd", "t" } }); };
  CHECK_THAT(stack("krum+fltrust"), Catch::Contains("how much an upload counts"));
  CHECK_THAT(stack("scaffold+fltrust"), Catch::Contains("stage scaffold keeps c_i"));
  CHECK_THAT(stack("nova+krum"), Catch::Contains("stage nova sends"));
  CHECK_THAT(unreadable({ { "name", "multi_krum", "t" }, { "weights", "samples", "t" } }),
             Catch::Contains("only without a stage"));
}
