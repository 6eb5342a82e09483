// Populations whose states are larger than the memory, and cohorts that a caller draws wrongly.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>
#include <fedlane/session.h>
extern "C" uint64_t fl_memory_available(void); // of the library

namespace {
constexpr size_t D = 250000, CLIENTS = 1000000; // SCAFFOLD: 1 MB a client, 1 TB in all
const fl_tensor tensor = { "w", FL_BIAS, 0, 0, 1, { D, 0, 0, 0 }, 0, D };
const fl_layout layout = { 1, D, 0, &tensor };
void init(void *, uint64_t, float *x) { std::memset(x, 0, D * sizeof *x); }
double loss_grad(void *, const fl_kernels *, const float *, const uint32_t *, size_t, float *g, void *) {
  for (size_t i = 0; i < D; i++) g[i] = 1.0f;
  return 1.0;
}
const fl_objective objective = { "flat", nullptr, &layout, 1, 0, 0, init, nullptr, loss_grad, nullptr };
size_t cohort_size = 2;
uint32_t cohort_id = 0, cohort_step = 1;
size_t cohort(void *, uint64_t, uint32_t *out, size_t max) {
  for (size_t i = 0; i < max && i < cohort_size; i++) out[i] = cohort_id + cohort_step * static_cast<uint32_t>(i);
  return cohort_size;
}

struct Session {
  std::vector<size_t> offset;
  std::vector<uint32_t> index;
  fl_session *s = nullptr;
  char err[500] = "";
  explicit Session(double participation, bool own_cohort = false) {
    offset.resize(CLIENTS + 1);
    index.assign(CLIENTS, 0);
    for (size_t i = 0; i <= CLIENTS; i++) offset[i] = i;
    const fl_setting set[] = { { "name", "scaffold", "test" } };
    fl_algorithm a;
    REQUIRE(fl_algorithm_build(set, 1, &a, err, sizeof err) == 0);
    fl_problem p = {};
    p.objective = &objective, p.clients = CLIENTS, p.offset = offset.data(), p.index = index.data();
    if (own_cohort) p.cohort = cohort;
    fl_options o = {};
    o.rounds = 10, o.participation = participation, o.local_epochs = 1, o.batch_size = 1, o.threads = 1;
    INFO(err);
    REQUIRE(fl_open(&s, &p, &a, &o, err, sizeof err) == 0);
  }
  ~Session() { fl_close(s); }
};
} // namespace

TEST_CASE("a million clients with a state each: memory is for those that are drawn", "[memory]") {
  Session t(2e-6);
  fl_metrics m;
  for (int r = 0; r < 3; r++) REQUIRE(fl_round(t.s, &m) == 0);
  CHECK(m.cohort == 2);
}

TEST_CASE("a round whose new states do not fit the memory is refused and changes nothing", "[memory]") {
  const double machine = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  REQUIRE(machine < 1e12);                      // else even this population would fit
  Session t(1.0);
  for (int twice = 0; twice < 2; twice++) {
    CHECK(fl_round(t.s, nullptr) == -1);
    const std::string why = fl_session_error(t.s);
    INFO(why);
    CHECK(why.find("round 1: the states of 1000000 more clients need 1000000 x 1000000 bytes = 1000.000 GB; ") == 0);
    CHECK(why.find("GB of memory are available") != std::string::npos);
  }
  CHECK(fl_rounds(t.s, nullptr, nullptr) == -1);
  size_t n;
  CHECK(fl_params(t.s, &n)[0] == 0.0f);
}

namespace {
size_t scratch = 0;
size_t scratch_of(void *, size_t) { return scratch; }
fl_objective with_scratch() {
  fl_objective o = objective;
  o.work = scratch_of;
  return o;
}
// One client with one row, or two, on two threads: two workers, or a team of two beside the two workspaces.
struct Shared {
  const fl_objective o = with_scratch();
  const size_t offset[3] = { 0, 1, 2 };
  const uint32_t index[2] = { 0, 0 };
  fl_problem p = {};
  fl_options options = {};
  fl_algorithm a;
  char err[500] = "";
  explicit Shared(size_t clients) {
    const fl_setting set[] = { { "name", "fedavg", "test" } };
    REQUIRE(fl_algorithm_build(set, 1, &a, err, sizeof err) == 0);
    p.objective = &o, p.clients = clients, p.offset = offset, p.index = index;
    options.rounds = 1, options.participation = 1, options.local_epochs = 1, options.batch_size = 1, options.threads = 2;
  }
};
} // namespace

TEST_CASE("what teams of threads share counts when a run is refused, and in its bytes", "[memory]") {
  Shared whole(2), team(1);
  scratch = static_cast<size_t>(0.3 * static_cast<double>(fl_memory_available()));
  INFO(whole.err);
  CHECK(fl_check(&whole.p, &whole.a, &whole.options, whole.err, sizeof whole.err) == 0);
  CHECK(fl_check(&team.p, &team.a, &team.options, team.err, sizeof team.err) == -1);
  const std::string why = team.err;
  INFO(why);
  CHECK(why.find("batch_size = 1: each of 2 threads needs a workspace of ") == 0);
  CHECK(why.find(" GB, and teams of 2 share ") != std::string::npos);
  scratch = 8 << 20;
  uint64_t bytes[2];
  for (Shared *each : { &whole, &team }) {
    fl_session *s = nullptr;
    REQUIRE(fl_open(&s, &each->p, &each->a, &each->options, each->err, sizeof each->err) == 0);
    CHECK(fl_session_team(s) == (each == &team ? 2 : 1));
    bytes[each == &team] = fl_session_state_bytes(s);
    fl_close(s);
  }
  CHECK(bytes[1] >= bytes[0] + 2 * scratch);
  scratch = 0;
}

TEST_CASE("a caller's cohort is checked", "[memory]") {
  Session t(2e-6, true);
  CHECK(fl_round(t.s, nullptr) == 0);
  cohort_id = CLIENTS - 1;
  CHECK(fl_round(t.s, nullptr) == -1);
  CHECK(std::string(fl_session_error(t.s)) == "round 2: cohort[1] = 1000000; allowed: 0 to 999999");
  cohort_id = 0;
  for (size_t wrong : { 0, 3 }) {
    cohort_size = wrong;
    CHECK(fl_round(t.s, nullptr) == -1);
    CHECK(std::string(fl_session_error(t.s)) == "round 2: a cohort of " + std::to_string(wrong) + " clients; allowed: 1 to 2");
  }
  cohort_size = 2;
  cohort_step = 0;
  CHECK(fl_round(t.s, nullptr) == -1);
  CHECK(std::string(fl_session_error(t.s)) == "round 2: client 0 is in the cohort more than once; allowed: each client once");
  cohort_step = 1;
  CHECK(fl_round(t.s, nullptr) == 0);
}
