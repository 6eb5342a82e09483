// Top-k with error feedback, FedBCGD and FedBCGD+ (federated-structured-robust 1-3) against plain double references over several
// rounds with partial participation; what is sent is encoded for real and measured.
#include "federated.hpp"
#include "hooks.hpp"
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

namespace {
using hooks::Floats;
using hooks::noise;
const fl_tensor long_tensor = { "v", FL_BIAS, 0, 0, 1, { 5000, 0, 0, 0 }, 0, 5000 };
const fl_layout long_layout = { 1, 5000, 0, &long_tensor };

// The k largest, ties to the lower index, by sorting.
template <class V> std::vector<size_t> largest(const V &z, size_t k) {
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return std::fabs(z[a]) > std::fabs(z[b]); });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}
template <class T> void put(std::vector<unsigned char> &bytes, const T &v) {
  const auto *p = reinterpret_cast<const unsigned char *>(&v);
  bytes.insert(bytes.end(), p, p + sizeof v);
}

// Blocks of the tests' problem by the flat rule: coordinates in storage order, the first of the runs one longer.
std::vector<int> flat_blocks(int blocks, int shared_layers) {
  int total = 0;
  std::vector<int> block((size_t)D, -1);
  for (int i = 0; i < D; i++) total += problem->layout.tensor[tensor_of(i)].layer < 2 - shared_layers;   // both have two layers
  for (int j = 0, at = 0; j < blocks; j++)
    for (int n = total / blocks + (j < total % blocks); n > 0; n--) block[(size_t)at++] = j;
  return block;
}
struct Blocks {
  std::vector<int> block;
  int blocks;
  bool sends(size_t position, int i) const {
    return block[(size_t)i] < 0 || block[(size_t)i] == (int)position % blocks;
  }
  double senders(int i) const {
    double n = 0;
    for (size_t p = 0; p < M; p++) n += sends(p, i);
    return n;
  }
  Vec part(size_t position, Vec v) const {
    for (int i = 0; i < D; i++) v[(size_t)i] = sends(position, i) ? v[(size_t)i] : 0;
    return v;
  }
  Vec mean_of_senders(const Vecs &v) const {
    Vec sum = zero;
    for (size_t p = 0; p < v.size(); p++) sum = sum + part(p, v[p]);
    for (int i = 0; i < D; i++) sum[(size_t)i] /= std::fmax(1, senders(i));
    return sum;
  }
};
struct Control {                                // FedBCGD+: what the clients and the server keep
  Blocks b;
  double momentum;
  bool code;
  std::map<size_t, Vec> ci;
  Vec c = zero, v = zero;
  const Vec &of(size_t id) { return ci.emplace(id, zero).first->second; }
  Vec client(const Client &k) {
    const Vec s = c - of(k.id);
    if (!code) return descend(k, [&](uint64_t t, const Vec &y) { return k.grad(t, y) + s; });
    Vec y = k.x;
    for (uint64_t t = 0; t < (uint64_t)k.K; t++) y = y - k.lr * (k.grad(t, y) + WD * y) - s;
    return y;
  }
  Vec server(const Vec &x, const Clients &k, const Vecs &d) {
    Vecs q;
    for (size_t p = 0; p < k.size(); p++) {
      const Vec mine = of(k[p].id), fresh = mine - c - (1.0 / (k[p].K * (code ? 1 : k[p].lr))) * d[p];
      q.push_back(code ? fresh - c : b.part(p, fresh - mine));
      ci[k[p].id] = code ? fresh : mine + q[p];
    }
    if (code) {
      c = (k[0].r == 0 ? 0.0 : 1.0) * c + (k[0].r == 0 ? 1.0 : 0.1) * b.mean_of_senders(q);
    } else {
      for (const Vec &one : q) c = c + (1.0 / N) * one;
      Vec mean_ci = zero;
      for (auto &one : ci) mean_ci = mean_ci + (1.0 / N) * one.second;
      CHECK(norm(c - mean_ci) < 1e-12);
    }
    v = (k[0].r == 0 ? 0.0 : momentum) * v + b.mean_of_senders(d);
    return x + v;
  }
};
} // namespace

TEST_CASE("top-k by hand: the largest entries, ties to the lower index, an encoding of the bits counted", "[structured]") {
  for (const double part : { 0.0001, 0.01, 0.1, 0.2, 1.0 }) {
    INFO(part);
    hooks::Stage s({ { "stack", "topk" }, { "rule", "sgd" }, { "topk_part", std::to_string(part) } }, long_layout, 1);
    const size_t k = std::max<size_t>(1, (size_t)(part * 5000 + 1e-9));
    std::vector<double> sent(5000, 0.0), changes(5000, 0.0);
    for (unsigned round = 0; round < 4; round++) {
      const Floats change = noise(5000, round), before = s.memory[0];   // 2,001 values: many ties
      Floats z(5000);
      for (size_t i = 0; i < 5000; i++) z[i] = before[i] + change[i];
      const uint64_t bits = s.finish(change);
      const Floats &q = s.uploads[0], &e = s.memory[0];
      double zz = 0, qq = 0, ee = 0;
      std::vector<unsigned char> message;
      for (const size_t i : largest(z, k)) put(message, (uint32_t)i), put(message, q[i]);
      CHECK(bits == 8 * message.size());
      Floats decoded(5000, 0.0f);
      for (size_t at = 0; at < message.size(); at += 8) {
        uint32_t i;
        std::memcpy(&i, &message[at], 4), std::memcpy(&decoded[i], &message[at + 4], 4);
      }
      CHECK(decoded == q);
      for (size_t i = 0; i < 5000; i++) {
        CHECK((q[i] == 0 ? e[i] == z[i] : (q[i] == z[i] && e[i] == 0)));
        zz += (double)z[i] * z[i], qq += (double)q[i] * q[i], ee += (double)e[i] * e[i];
        sent[i] += q[i], changes[i] += change[i];
      }
      CHECK(zz == Approx(qq + ee).epsilon(1e-12));
    }
    for (size_t i = 0; i < 5000; i++) CHECK(sent[i] + s.memory[0][i] == Approx(changes[i]).margin(1e-5));
  }
  hooks::Stage s({ { "stack", "topk" }, { "rule", "sgd" }, { "topk_part", "0.0005" }, { "topk_feedback", "no" } },
                  long_layout, 1);
  Floats v = noise(5000, 9);
  v[4000] = std::numeric_limits<float>::quiet_NaN(), v[17] = -std::numeric_limits<float>::infinity();
  CHECK(s.finish(v) == 64 * 2);
  CHECK((std::isnan(s.uploads[0][4000]) && s.uploads[0][17] == v[17]));
  CHECK(std::count(s.uploads[0].begin(), s.uploads[0].end(), 0.0f) == 4998);
}

TEST_CASE("top-k in runs equals its reference; all of the coordinates are FedAvg; bytes are those of a message", "[structured]") {
  for (const int i : { 0, 1, 2, 3 }) {
    const bool feedback = i % 2;
    use(i / 2);
    std::map<size_t, Vec> e;
    agree({ { "name", "topk_ef" }, { "topk_part", "0.2" }, { "topk_feedback", feedback ? "yes" : "no" }, decay },
          simulate({ [&](Client &c) {
                       const Vec z = e.emplace(c.id, zero).first->second + (descend(c, plain(c)) - c.x);
                       Vec q = zero;
                       for (const size_t at : largest(z, (size_t)D / 5)) q[at] = z[at];
                       if (feedback) e[c.id] = z - q;
                       return c.x + q;
                     }, average }, true));
  }
  use(0);
  CHECK(product({ { "name", "topk_ef" }, { "topk_part", "1" } }, 2) == product({ { "name", "fedavg" } }, 1));
  Run run({ { "name", "topk_ef" }, { "topk_part", "0.2" } }, 1);
  CHECK(run.round().bytes_up == M * 5 * 8);
  resumes({ { "name", "topk_ef" } });
}

TEST_CASE("what a plan says that clients send is what they send in a round, whatever the options", "[structured]") {
  use(GENERATE(0, 1));
  const settings cases[] = {
    { { "name", "fedbcgd" }, { "blocks", "3" }, { "bcgd_split", "flat" } }, { { "name", "fedbcgd" }, { "blocks", "3" } },
    { { "name", "fedbcgd_plus" }, { "blocks", "2" } },
    { { "name", "fedbcgd_plus" }, { "blocks", "4" }, { "bcgd_control", "code" } },
    { { "name", "topk_ef" }, { "topk_part", "0.3" } }, { { "stack", "scaffold+topk" }, { "rule", "sgd" } },
    { { "name", "scaffold" }, { "derive", "yes" } }, { { "name", "feddyn" }, { "dyn_average", "active" } },
    { { "name", "fedmuon" }, { "compression_ratio", "0.8" } }, { { "name", "fedmuon" }, { "compression_ratio", "0.01" } },
    { { "name", "fedlada" } }, { { "name", "fednova" } } };
  for (const settings &set : cases) {
    INFO(set[0].second);
    Run run(set, 1);
    double up, down;
    REQUIRE(fl_session_traffic(run.s, &up, &down) == 0);
    fl_metrics m;
    for (int r = 0; r < R; r++) m = run.round();
    CHECK(up == (double)m.total_bytes_up);
    CHECK(down == (double)m.total_bytes_down);
    CHECK(up > 0);
  }
}

TEST_CASE("FedBCGD and FedBCGD+ equal their references", "[structured]") {
  use(GENERATE(0, 1));
  for (const int blocks : { 1, 2, 3, 4 })
    for (const int shared : { 0, 1, 2 }) {
      if (shared == 2 && blocks > 1) continue;  // nothing is left for the blocks
      INFO(blocks << " blocks, " << shared << " shared layers");
      const Blocks b = { flat_blocks(blocks, shared), blocks };
      const settings common = { { "blocks", std::to_string(blocks) }, { "bcgd_shared", std::to_string(shared) },
                                { "bcgd_split", "flat" }, decay };
      auto with = [&](settings head) {
        head.insert(head.end(), common.begin(), common.end());
        return head;
      };
      agree(with({ { "name", "fedbcgd" } }),
            simulate({ [&](Client &c) { return descend(c, plain(c)); },
                       [&](const Vec &x, const Clients &, const Vecs &d) { return x + b.mean_of_senders(d); } }, false));
      for (const bool code : { false, true }) {
        Control c = { b, 0.45, code, {}, zero, zero };
        agree(with({ { "name", "fedbcgd_plus" }, { "bcgd_control", code ? "code" : "invariant" } }),
              simulate({ [&](Client &k) { return c.client(k); },
                         [&](const Vec &x, const Clients &k, const Vecs &d) { return c.server(x, k, d); } }, false));
      }
    }
  use(0);
}

TEST_CASE("FedBCGD: reductions, to the bit, and what is sent", "[structured]") {
  const settings fedavg = { { "name", "fedavg" }, { "weights", "equal" } };
  auto blocks = [](const char *n, const char *shared, settings more = {}) {
    settings s = { { "name", "fedbcgd" }, { "blocks", n }, { "bcgd_shared", shared } };
    s.insert(s.end(), more.begin(), more.end());
    return product(s, 2);
  };
  CHECK(blocks("1", "0") == product(fedavg, 1));
  CHECK(blocks("1", "2") == product(fedavg, 1));
  CHECK(blocks("1", "9") == product(fedavg, 1));
  CHECK(blocks("1", "0", { { "server_rule", "momentum" }, { "server_momentum", "0.6" }, { "server_lr", "1" } }) ==
        product({ { "name", "fedavgm" }, { "weights", "equal" }, { "server_momentum", "0.6" } }, 1));
  CHECK(blocks("3", "1") != product(fedavg, 1));
  const settings control = { { "bcgd_control", "invariant" } };
  CHECK(blocks("1", "0", control) == product({ { "name", "scaffold" } }, 1));
  CHECK(blocks("1", "2", control) == product({ { "name", "scaffold" } }, 1));
  // S*|Sh| + sum of |P_j(p)| floats: 4 clients, 5 shared, 24 in three blocks of 8; both uploads with control
  for (const bool plus : { false, true }) {
    Run run({ { "name", plus ? "fedbcgd_plus" : "fedbcgd" }, { "blocks", "3" } }, 1);
    CHECK(run.round().bytes_up == (plus ? 2 : 1) * 4 * (4 * 5 + 4 * 8));
  }
  resumes({ { "name", "fedbcgd_plus" }, { "blocks", "3" } });
}

TEST_CASE("FedBCGD by hand: whole layers in forward order, runs of coordinates where a block would be empty", "[structured]") {
  // Layers of 40, 6, 14, 20 + 4 (weight and bias) and the last, shared, of 10: T = 84.
  const fl_tensor tensors[6] = { { "a", FL_MATRIX, 0, 0, 2, { 8, 5, 0, 0 }, 0, 40 },
                                 { "b", FL_BIAS, 1, 0, 1, { 6, 0, 0, 0 }, 40, 6 },
                                 { "c", FL_BIAS, 2, 0, 1, { 14, 0, 0, 0 }, 46, 14 },
                                 { "d", FL_MATRIX, 3, 0, 2, { 4, 5, 0, 0 }, 60, 20 },
                                 { "e", FL_BIAS, 3, 0, 1, { 4, 0, 0, 0 }, 80, 4 },
                                 { "f", FL_BIAS, 4, 0, 1, { 10, 0, 0, 0 }, 84, 10 } };
  const fl_layout layers = { 6, 94, 0, tensors };
  auto sent = [&](const char *blocks, unsigned position, const char *split) {
    hooks::Stage s({ { "stack", "bcgd" }, { "rule", "sgd" }, { "blocks", blocks }, { "bcgd_split", split } }, layers, 10);
    s.lo.position = position;
    const uint64_t bits = s.finish(Floats(94, 1.0f));
    std::string map;
    for (size_t i = 0; i < 94; i++)
      if (i == 0 || s.uploads[0][i] != s.uploads[0][i - 1]) map += (s.uploads[0][i] != 0 ? "+" : "-") + std::to_string(i);
    CHECK(bits == 32 * (uint64_t)std::count(s.uploads[0].begin(), s.uploads[0].end(), 1.0f));
    return map;
  };
  // floor(2*(q + s/2)/84): 20 -> 0; 43 -> 1; 53 -> 1; 72 -> 1
  CHECK(sent("2", 0, "layer") == "+0-40+84");
  CHECK(sent("2", 1, "layer") == "-0+40");
  CHECK(sent("2", 4, "layer") == "+0-40+84");
  // 3: 20 -> 0; 43 and 53 -> 1; 72 -> 2
  CHECK(sent("3", 1, "layer") == "-0+40-60+84");
  CHECK(sent("3", 2, "layer") == "-0+60");
  // 5: 20 -> 1, so that block 0 would stay empty: 84 coordinates as 17, 17, 17, 17, 16
  CHECK(sent("5", 0, "layer") == "+0-17+84");
  CHECK(sent("5", 4, "layer") == "-0+68");
  CHECK(sent("2", 1, "flat") == "-0+42");
}

TEST_CASE("FedBCGD+ invariant reaches the joint optimum where FedBCGD stalls", "[structured]") {
  // All seven clients a round, one epoch of whole batches: distance to the minimum of the mean of the clients' losses.
  auto distance = [](settings set, uint64_t rounds) {
    set.insert(set.end(), { { "lr", "0.1" }, { "lr_schedule", "constant" }, { "weight_decay", "0" }, { "blocks", "2" },
                            { "clip_norm", ".inf" } });
    const fl_objective o = objective();
    session::Session s(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), rounds, 8);
    s.options.local_epochs = 5;
    REQUIRE(s.open().error == "");
    REQUIRE(fl_rounds(s.s, nullptr, nullptr) == 1);
    double worst = 0;
    for (int i = 0; i < D; i++) {
      double best = 0;
      for (size_t c = 0; c < N; c++)
        for (size_t j = federated::offset[c]; j < federated::offset[c + 1]; j++) best += target(j, i) / (double)(N * size_of(c));
      worst = std::fmax(worst, std::fabs(s.x()[(size_t)i] - best));
    }
    return worst;
  };
  // Every client has the same curvature in a coordinate, so it is the uneven number of holders that biases.
  const settings plus = { { "name", "fedbcgd_plus" }, { "server_rule", "sgd" } };
  CHECK(distance(plus, 60) < 1e-3);
  CHECK(distance({ { "name", "fedbcgd" } }, 60) > 10 * distance(plus, 60));
}

TEST_CASE("FedBCGD refuses what has no meaning", "[structured]") {
  auto refused = [](const settings &set) {
    const fl_objective o = objective();
    session::Session s(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), R, BATCH);
    s.problem.cohort = federated::cohort, s.problem.batch = federated::batch, s.options.participation = (double)M / N;
    return s.open().error;
  };
  CHECK_THAT(refused({ { "name", "fedbcgd" } }), Catch::Contains("blocks = 5 with 4 clients a round; allowed: 1 to 4"));
  CHECK_THAT(refused({ { "name", "fedbcgd" }, { "blocks", "2" }, { "bcgd_shared", "2" } }),
             Catch::Contains("bcgd_shared = 2 of 2 layers leaves nothing for blocks = 2"));
  auto unreadable = [](const std::vector<fl_setting> &set) {
    fl_algorithm a;
    char err[512] = "";
    CHECK(fl_algorithm_build(set.data(), set.size(), &a, err, sizeof err) == -1);
    return std::string(err);
  };
  for (const char *stack : { "bcgd+krum", "bcgd+topk", "dyn+bcgd", "attack+bcgd" })
    CHECK_THAT(unreadable({ { "stack", stack, "t" }, { "rule", "sgd", "t" } }), Catch::Contains("in parts"));
  CHECK_THAT(unreadable({ { "name", "fedbcgd", "t" }, { "weights", "samples", "t" } }), Catch::Contains("only without a stage"));
}
