// A round that nobody came to is as if it had not been: every method that a run with such rounds trains is, to the bit, what a
// run of the other rounds alone trains; and what is evaluated before anybody came is where the run began.
#include "federated.hpp"
#include "small.hpp"

namespace {
// Batches do not depend on the round, and the cohort is a list: round by round the clients of `rounds`.
size_t same_batch(void *, uint64_t, uint32_t client, uint64_t step, uint32_t *out, size_t most) {
  return federated::batch(nullptr, 0, client, step, out, most);
}
struct List { std::vector<std::vector<uint32_t>> rounds; };
size_t listed(void *self, uint64_t round, uint32_t *out, size_t) {
  const auto &who = static_cast<List *>(self)->rounds[round];
  std::copy(who.begin(), who.end(), out);
  return who.size();
}
struct Listed : Problem32, session::Session {
  List list;
  Listed(const settings &set, const std::vector<std::vector<uint32_t>> &rounds, double dropout, uint64_t seed, int threads = 1)
      : Session(set, o, std::vector<size_t>(federated::offset, federated::offset + N + 1), 12, BATCH), list{ rounds } {
    Session::problem.self = &list, Session::problem.cohort = listed, Session::problem.batch = same_batch;
    options.participation = (double)M / N, options.local_epochs = EPOCHS, options.partial.dropout = dropout, options.seed = seed;
    options.threads = threads;
    open();
    REQUIRE(error == "");
  }
  std::vector<uint32_t> who(uint64_t round) const {
    std::vector<uint32_t> out(fl_session_cohort_size(s));
    out.resize(fl_session_cohort(s, round, out.data()));
    return out;
  }
};
const double DROPOUT = 0.75;
enum { ROUNDS = 12 };
std::vector<std::vector<uint32_t>> drawn() {
  std::vector<std::vector<uint32_t>> out(ROUNDS, std::vector<uint32_t>(M));
  for (uint64_t r = 0; r < ROUNDS; r++) cohort(nullptr, r, out[r].data(), M);
  return out;
}
// A seed by which the first round, and a later one between others, are empty; *left: who comes, without these.
uint64_t find_seed(std::vector<std::vector<uint32_t>> *left) {
  for (uint64_t seed = 1; seed < 1000; seed++) {
    const Listed run({ { "name", "fedavg" } }, drawn(), DROPOUT, seed);
    if (!run.who(0).empty() || run.who(1).empty() || run.who(2).empty() || !run.who(3).empty() || run.who(4).empty()) continue;
    left->clear();
    for (uint64_t r = 0; r < ROUNDS; r++)
      if (!run.who(r).empty()) left->push_back(run.who(r));
    left->resize(ROUNDS, left->back());         // rounds that the shorter run does not reach
    return seed;
  }
  FAIL("no seed");
  return 0;
}
void as_if_not(settings set, uint64_t seed, const std::vector<std::vector<uint32_t>> &left, int threads) {
  set.push_back({ "lr_schedule", "constant" });
  INFO(set[0].second << ", " << threads << " threads");
  Listed with(set, drawn(), DROPOUT, seed, threads), without(set, left, 0, seed);
  const rules::Floats begin = with.x();
  uint64_t served = 0, idle = 0;
  for (uint64_t r = 0; r < ROUNDS; r++) {
    const bool empty = with.who(r).empty();
    with.round();
    if (!empty) without.round(), served++;
    idle += empty;
    CHECK(rules::same(with.x(), without.x()));
    CHECK(rules::same(with.average(), without.average()));
    if (!served) CHECK(rules::same(with.average(), begin));
    for (float v : with.x()) REQUIRE(std::isfinite(v));
  }
  CHECK((served > 4 && idle > 1));
}
} // namespace

TEST_CASE("A round without clients is as if it had not been, for every method", "[federated]") {
  std::vector<std::vector<uint32_t>> left;
  const uint64_t seed = find_seed(&left);
  for (size_t i = 0; i < fl_method_count(); i++) {
    const std::string name = fl_method_at(i)->name;
    if (on_adapters(name) || name == "dp_fedavg" || name == "fltrust") continue;   // noise comes all the same; own draws by round
    as_if_not(small_settings(name), seed, left, 1 + (int)(i % 3));
  }
  const settings more[] = {
    { { "name", "fedpac_soap" }, { "soap_skip_first", "no" } },
    { { "name", "fedbcgd_plus" }, { "blocks", "2" }, { "bcgd_control", "code" } },
    { { "name", "fedavg" }, { "server_rule", "adam" }, { "server_lr", "0.05" } },
    { { "name", "fedavg" }, { "server_rule", "momentum" }, { "server_dampening", "0.5" }, { "server_lr", "1" } },
    { { "name", "fedpac_shampoo" }, { "variant", "ema" } },
    { { "name", "feddyn" }, { "dyn_average", "active" } },
    { { "name", "fedadamw" }, { "m_index", "global" } },
  };
  for (const settings &set : more) as_if_not(set, seed, left, 2);
}

TEST_CASE("An empty first round survives a checkpoint", "[federated]") {
  std::vector<std::vector<uint32_t>> left;
  const uint64_t seed = find_seed(&left);
  for (const char *name : { "fedlada", "fedpac_shampoo", "feddyn" }) {
    INFO(name);
    const settings set = { { "name", name } };
    Listed whole(set, drawn(), DROPOUT, seed), first(set, drawn(), DROPOUT, seed), second(set, drawn(), DROPOUT, seed);
    first.round();
    second.load(first.save());
    whole.round();
    CHECK(rules::same(second.average(), whole.average()));
    for (int r = 1; r < 6; r++) whole.round(), second.round();
    CHECK(rules::same(second.x(), whole.x()));
  }
}
