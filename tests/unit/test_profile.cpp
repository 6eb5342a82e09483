// The accounts of `fedlane profile` on a table that does nothing, the FLOPs and bytes of each kernel against hand-computed ones,
// the bounds of rows, what is written of them.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>
extern "C" {
#include "harness/profile/report.h"
}

namespace {

const fl_kernels *counting;

void axpy(size_t n, float *y, float, const float *x) { counting->add(n, y, y, x); } // a kernel that calls another of the table
void add(size_t, float *y, const float *, const float *) { y[0] += 1; }
double sum(size_t, const float *) { return 42; }
template <class... A> void nothing(A...) {}

fl_kernels fake() {
  fl_kernels k = {};
  k.isa = FL_ISA_SCALAR, k.name = "fake";
  k.axpy = axpy, k.add = add, k.sum = sum;
  k.mix = nothing, k.rmsprop = nothing, k.sign_step = nothing, k.adamw = nothing, k.mean_runs = nothing, k.gemm_nt = nothing;
  k.gemm_syrk = nothing, k.gemm_nn_add = nothing, k.conv_forward = nothing, k.conv_grad_weight = nothing;
  k.conv_pool = nothing, k.conv_pool_back = nothing, k.softmax_xent = nothing, k.maxpool2 = nothing, k.normalize = nothing;
  k.gram = nothing, k.rotate = nothing, k.max_pool = nothing, k.avg_pool_back = nothing;
  return k;
}

struct Freed { void operator()(fl_accounts *a) const { std::free(a); } };
using Accounts = std::unique_ptr<fl_accounts, Freed>;
Accounts accounts() {
  Accounts a(static_cast<fl_accounts *>(std::calloc(1, sizeof(fl_accounts))));
  fl_profile_add(a.get());
  return a;
}
const fl_account &at_rest(const Accounts &a, int op, fl_at part = FL_AT_OTHER) { return a->account[part][FL_PLACE_REST][op]; }

enum { THREADS = 8 }; // of all cases of this file

} // namespace

TEST_CASE("profile: every kernel of the registry has a row of what it computes") {
  for (int op = 0; op < FL_OPS; op++) {
    INFO(fl_op_table[op].name << ": harness/profile/work.h has no WORK_" << fl_op_table[op].name);
    CHECK(fl_op_table[op].known);
  }
}

TEST_CASE("profile: accounts") {
  const fl_kernels table = fake();
  counting = fl_profile_start(&table, THREADS);
  REQUIRE(counting);
  CHECK(std::string(counting->name) == "fake");
  float y[4] = { 0 }, x[4] = { 0 };
  fl_mark(counting, FL_AT_OTHER, 0);
  SECTION("a call inside another counts as part of it, and results come through") {
    counting->axpy(10, y, 1, x);
    CHECK(y[0] == 1); // the inner one was called all the same
    CHECK(counting->sum(3, x) == 42);
    counting->add(5, y, x, x);
    const Accounts a = accounts();
    CHECK(at_rest(a, FL_OP_axpy).calls == 1);
    CHECK(at_rest(a, FL_OP_axpy).flops == 20);
    CHECK(at_rest(a, FL_OP_axpy).bytes == 120);
    CHECK(at_rest(a, FL_OP_add).calls == 1);
    CHECK(at_rest(a, FL_OP_add).elements == 5);
    CHECK(at_rest(a, FL_OP_sum).width == 2);
  }
  SECTION("places: a part, its layers, and back") {
    fl_mark(counting, FL_AT_GRADIENT, 0);
    fl_mark(counting, FL_AT_INPUT, 0);
    counting->add(1, y, x, x);
    for (size_t i = 0; i < 3; i++) { fl_mark(counting, FL_AT_FORWARD, i), counting->add(10 + i, y, x, x); }
    fl_mark(counting, FL_AT_BACKWARD, 2), counting->add(20, y, x, x);
    fl_mark(counting, FL_AT_LOSS, 0), counting->add(30, y, x, x);
    fl_mark(counting, FL_AT_REST, 0), counting->add(40, y, x, x);
    fl_mark(counting, FL_AT_FORWARD, 100000), counting->add(50, y, x, x); // more layers than places
    fl_mark(counting, FL_AT_OPTIMIZER, 0), counting->add(60, y, x, x);
    const Accounts a = accounts();
    const auto elements = [&](fl_at part, size_t place) { return a->account[part][place][FL_OP_add].elements; };
    CHECK(elements(FL_AT_GRADIENT, FL_PLACE_INPUT) == 1);
    for (size_t i = 0; i < 3; i++) { CHECK(elements(FL_AT_GRADIENT, fl_place_of_layer(i, 0)) == 10 + static_cast<int64_t>(i)); }
    CHECK(elements(FL_AT_GRADIENT, fl_place_of_layer(2, 1)) == 20);
    CHECK(elements(FL_AT_GRADIENT, FL_PLACE_LOSS) == 30);
    CHECK(elements(FL_AT_GRADIENT, FL_PLACE_REST) == 90);
    CHECK(elements(FL_AT_OPTIMIZER, FL_PLACE_REST) == 60);
    CHECK(a->visits[FL_AT_GRADIENT][fl_place_of_layer(1, 0)] == 1);
    CHECK(a->visits[FL_AT_GRADIENT][FL_PLACE_REST] == 3);
  }
  SECTION("threads have accounts of their own, which are added; a reset empties all") {
    std::thread other([&] {
      float mine[4] = { 0 };
      fl_mark(counting, FL_AT_EVALUATION, 0);
      for (int i = 0; i < 1000; i++) { counting->add(2, mine, mine, mine); }
    });
    fl_mark(counting, FL_AT_EVALUATION, 0);
    for (int i = 0; i < 1000; i++) { counting->add(3, y, x, x); }
    other.join();
    CHECK(at_rest(accounts(), FL_OP_add, FL_AT_EVALUATION).calls == 2000);
    CHECK(at_rest(accounts(), FL_OP_add, FL_AT_EVALUATION).elements == 5000);
    fl_profile_reset();
    CHECK(at_rest(accounts(), FL_OP_add, FL_AT_EVALUATION).calls == 0);
  }
}

TEST_CASE("profile: of many short calls some are timed, all are counted") {
  const fl_kernels table = fake();
  counting = fl_profile_start(&table, THREADS);
  REQUIRE(counting);
  float y[4] = { 0 }, x[4] = { 0 };
  fl_mark(counting, FL_AT_OTHER, 0);
  for (int i = 0; i < 100000; i++) { counting->add(3, y, x, x); }
  const fl_account a = at_rest(accounts(), FL_OP_add);
  CHECK(a.calls == 100000);
  CHECK(a.elements == 300000);
  CHECK(a.bytes == 3600000);
  CHECK(a.timed >= 256);
  CHECK(a.timed <= a.calls);
}

TEST_CASE("profile: FLOPs and bytes by shape") {
  const fl_kernels table = fake();
  counting = fl_profile_start(&table, THREADS);
  REQUIRE(counting);
  fl_mark(counting, FL_AT_OTHER, 0);
  float f[1] = { 0 };
  uint8_t b[1] = { 0 };
  const auto check = [&](int op, int64_t flops, int64_t bytes) {
    INFO(fl_op_table[op].name);
    const fl_account a = at_rest(accounts(), op);
    CHECK(a.calls == 1);
    CHECK(a.flops == flops);
    CHECK(a.bytes == bytes);
    fl_profile_reset();
  };
  counting->gemm_nt(3, 5, 7, f, 7, f, 7, f, 5, 4096), check(FL_OP_gemm_nt, 210, 4 * (21 + 35 + 15));
  counting->gemm_nt(50, 200, 784, f, 784, f, 784, f, 200, 4096), check(FL_OP_gemm_nt, 15680000, 4 * (39200 + 156800 + 10000));
  counting->gemm_nn_add(4, 4, 2, f, 2, f, 4, f, 4), check(FL_OP_gemm_nn_add, 64, 4 * (8 + 8 + 32));
  counting->gemm_syrk(4, 3, f, 3, f, 4, 4096), check(FL_OP_gemm_syrk, 60, 4 * (12 + 16)); // 10 dot products of 3
  // LeNet-5's convolutions: 28 x 28 padded by 2 to 6 planes, and 14 x 14 of 6 to 16 planes of 10 x 10
  const fl_conv one = { 1, 28, 28, 6, 5, 2 }, two = { 6, 14, 14, 16, 5, 0 };
  counting->conv_forward(&one, 2, f, f, f, f, f), check(FL_OP_conv_forward, 470400, 4 * (1568 + 150 + 6 + 9408));
  counting->conv_forward(&two, 1, f, f, f, f, f), check(FL_OP_conv_forward, 480000, 4 * (1176 + 2400 + 16 + 1600));
  counting->conv_grad_weight(&two, 1, f, f, f, f, f), check(FL_OP_conv_grad_weight, 480000, 4 * (1176 + 2400 + 16 + 1600));
  counting->conv_pool(&two, 1, f, f, f, f, b, f), check(FL_OP_conv_pool, 480000, 4 * (1176 + 2400 + 16 + 400) + 400);
  counting->conv_pool_back(&two, 1, f, f, f, b, nullptr, f, f, f);
  check(FL_OP_conv_pool_back, 2 * 400 * 150, 4 * (1176 + 2400 + 16 + 400) + 400);
  counting->conv_pool_back(&two, 1, f, f, f, b, f, f, f, f);
  check(FL_OP_conv_pool_back, 4 * 400 * 150, 4 * (2 * 1176 + 2400 + 16 + 400) + 400);
  // element-wise: arrays that are left out are neither moved nor computed with
  const fl_mix_args mix = { 1, 1, 1, 1 };
  counting->mix(10, f, f, f, f, f, &mix), check(FL_OP_mix, 70, 200);
  counting->mix(10, f, f, nullptr, f, nullptr, &mix), check(FL_OP_mix, 30, 120);
  const fl_rmsprop_args rms = { 0, 0, 0, 0, 0, 0, 0 };
  counting->rmsprop(10, f, f, nullptr, nullptr, f, &rms), check(FL_OP_rmsprop, 100, 200);
  counting->rmsprop(10, f, f, f, f, f, &rms), check(FL_OP_rmsprop, 180, 360);
  const fl_sign_args sign = { 0, 0, 0, 0, 0, 0 };
  counting->sign_step(10, f, nullptr, f, &sign), check(FL_OP_sign_step, 20, 120);
  counting->sign_step(10, f, f, f, &sign), check(FL_OP_sign_step, 50, 200);
  const fl_adamw_args adam = { 0, 0, 0, 0, 0, 0, 0 };
  counting->adamw(61706, f, f, f, f, &adam), check(FL_OP_adamw, 13 * 61706, 28 * 61706);
  const fl_run runs[] = { { 0, 5 }, { 5, 8 } };
  counting->mean_runs(2, runs, f, f), check(FL_OP_mean_runs, 15, 52);
  double d[1] = { 0 };
  counting->gram(3, 100, f, 100, d), check(FL_OP_gram, 1200, 4 * 300 + 72); // six pairs
  const uint32_t range[] = { 3, 3, 2, 2 };
  counting->rotate(2, range, f, f), check(FL_OP_rotate, 5 * 32 * 6, 5 * 32 * 8);
  counting->softmax_xent(2, 10, f, b, 1, f, f), check(FL_OP_softmax_xent, 2 * (260 + 31), 160);
  counting->maxpool2(6, 28, 28, f, f, b), check(FL_OP_maxpool2, 0, 6 * 196 * 21);
  const fl_pool window = { 28, 28, 3, 2, 1, 1 }; // 14 x 14 windows of 9
  counting->max_pool(&window, 6, f, f, b), check(FL_OP_max_pool, 0, 6 * (4 * 784 + 5 * 196));
  counting->avg_pool_back(&window, 6, f, f), check(FL_OP_avg_pool_back, 10 * 6 * 196, 6 * (4 * 784 + 4 * 196));
  counting->normalize(784, f, b, 1, 0), check(FL_OP_normalize, 1568, 784 * 5);
}

// ---- rows and what is written of them --------------------------------------------------------------------------------------
namespace {

// A session of one thread, whose gradient took 10 s: 6 in gemm_nt of a layer, 1 in its bias; whose optimizer took 4: 3 in adamw.
// Ceilings are given, so that none is measured: 1 GB/s in L1, 1 GFLOP/s, a division with a root 1 ns.
struct Given {
  fl_suite suite = {};
  fl_model *model = nullptr;
  fl_profile p = {};
  Accounts sums{ static_cast<fl_accounts *>(std::calloc(1, sizeof(fl_accounts))) };
  void account(fl_at part, size_t place, int op, uint64_t seconds, int64_t elements, int64_t bytes, int64_t flops) {
    sums->account[part][place][op] = { 2, 2, seconds * 1000, elements, bytes, flops, 2 };
    sums->visits[part][place] = 1000000000; // footprints of nothing: in L1
  }
  void ceiling(const char *traffic, size_t arrays) {
    fl_ceilings &c = p.ceilings;
    c.bandwidth = static_cast<fl_bandwidth *>(std::realloc(c.bandwidth, (c.n + 1) * sizeof *c.bandwidth));
    c.bandwidth[c.n++] = { fl_streams_of(traffic, arrays), FL_LEVEL_L1, 1, 1e-9, "given" };
  }
  Given() {
    static const fl_kernels table = fake();
    char err[2000] = "", path[] = "/tmp/fedlane-profile-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    const char text[] = "data: {name: fashion_mnist}\nmodel: logistic\nfederated: {rounds: 7}\nalgorithms: [fedavg]\n";
    REQUIRE(write(file, text, sizeof text - 1) == static_cast<ssize_t>(sizeof text - 1));
    close(file);
    const int bad = fl_suite_load(&suite, path, nullptr, 0, nullptr, err, sizeof err);
    std::remove(path);
    INFO(err);
    REQUIRE(bad == 0);
    std::strcpy(suite.run[0].label, "a; b");
    p.config = &suite.run[0];
    p.kernels = &table;
    p.threads = 1;
    p.rounds = 3;
    p.pairs = 3;
    p.overhead = 0.01;
    std::strcpy(p.hash, "00");
    std::strcpy(p.bare_hash, "00");
    p.part_seconds[FL_T_GRADIENT] = 10, p.part_seconds[FL_T_OPTIMIZER] = 4, p.part_seconds[FL_T_IDLE] = 2;
    ceiling("8r4w", 3), ceiling("4r4w", 2), ceiling("4r4w", 1), ceiling("16r12w", 4);
    p.ceilings.compute = static_cast<fl_compute *>(std::calloc(1, sizeof(fl_compute)));
    p.ceilings.compute[0] = { 1, 2e-9, 1e-9, 1e-9, 1e-9, 16 };
    p.ceilings.n_compute = 1;
    account(FL_AT_GRADIENT, fl_place_of_layer(0, 0), FL_OP_gemm_nt, 6, 1000000, 1000000000, 3000000000);
    account(FL_AT_GRADIENT, fl_place_of_layer(0, 0), FL_OP_bias_rows, 1, 1000000, 500000000, 1000000);
    account(FL_AT_OPTIMIZER, FL_PLACE_REST, FL_OP_adamw, 3, 1000000000, 1000000000, 1000000000);
    REQUIRE(fl_profile_rows(&p, sums.get(), 1e-3, 0) == 0);
  }
  ~Given() {
    fl_profile_free(&p);
    fl_suite_free(&suite);
  }
};

} // namespace

TEST_CASE("profile: rows are bounded by what takes the most of their time") {
  Given g;
  REQUIRE(g.p.n == 3);
  size_t n = 0;
  const std::unique_ptr<fl_profile_row, decltype(&std::free)> kernels(fl_profile_group(&g.p, FL_BY_OPERATION, &n), std::free);
  REQUIRE(n == 3);
  const fl_profile_row *row = kernels.get();
  CHECK(row[0].op == FL_OP_gemm_nt); // the longest first
  CHECK(row[0].seconds == Approx(6));
  CHECK(row[0].bound == Approx(3)); // 3 GFLOP, of which an fma of 2 ns makes two
  CHECK(std::string(row[0].limit) == "FMA");
  CHECK(row[1].op == FL_OP_adamw);
  CHECK(row[1].bound == Approx(1));
  CHECK(std::string(row[1].limit) == "L1"); // as long as the divider, and first
  CHECK(row[2].bound == Approx(0.5));
  const std::unique_ptr<fl_profile_row, decltype(&std::free)> places(fl_profile_group(&g.p, FL_BY_PLACE, &n), std::free);
  REQUIRE(n == 2);
  CHECK(places.get()[0].seconds == Approx(7));
  CHECK(places.get()[0].bound == Approx(3.5));
  CHECK(std::string(places.get()[0].limit) == "FMA");
  CHECK(fl_profile_in_kernels(&g.p, FL_T_GRADIENT) == Approx(7));
  CHECK(fl_profile_total(&g.p) == Approx(16));
}

TEST_CASE("profile: an empty call's ticks are not the kernel's") {
  Given g;
  fl_profile again = g.p;
  again.row = nullptr, again.n = 0;
  REQUIRE(fl_profile_rows(&again, g.sums.get(), 1e-3, 500) == 0); // two calls each: a second less
  CHECK(fl_profile_in_kernels(&again, FL_T_GRADIENT) == Approx(5));
  CHECK(fl_profile_in_kernels(&again, FL_T_OPTIMIZER) == Approx(2));
  std::free(again.row);
}

TEST_CASE("profile: the calls that were timed stand for all") {
  Given g;
  fl_profile again = g.p;
  again.row = nullptr, again.n = 0;
  for (int op : { FL_OP_gemm_nt, FL_OP_bias_rows }) {           // 7 s of 2 calls, of which there were 6
    g.sums->account[FL_AT_GRADIENT][fl_place_of_layer(0, 0)][op].calls = 6;
  }
  REQUIRE(fl_profile_rows(&again, g.sums.get(), 1e-3, 0) == 0);
  CHECK(fl_profile_in_kernels(&again, FL_T_GRADIENT) == Approx(21));
  CHECK(fl_profile_in_kernels(&again, FL_T_OPTIMIZER) == Approx(3));
  std::free(again.row);
}

TEST_CASE("profile: folded stacks have every second once, JSON says what the tables do") {
  char err[300] = "", folder[] = "/tmp/fedlane-profile-XXXXXX";
  REQUIRE(mkdtemp(folder));
  const std::string dir = folder;
  Given g;
  fl_profile p = g.p;
  for (size_t i = 0; i < p.n; i++) { p.row[i].place = FL_PLACE_REST; } // no model here that could name a layer
  json_t *o = fl_profile_json(&p);
  CHECK(json_number_value(json_object_get(o, "thread_seconds")) == Approx(16));
  CHECK(json_is_true(json_object_get(o, "same_bits")));
  CHECK(json_array_size(json_object_get(o, "kernels")) == 3);
  const json_t *first = json_array_get(json_object_get(o, "kernels"), 0), *part = json_array_get(json_object_get(o, "parts"), 0);
  CHECK(std::string(json_string_value(json_object_get(first, "kernel"))) == "gemm_nt");
  CHECK(json_number_value(json_object_get(first, "of_ceiling")) == Approx(0.5));
  CHECK(json_number_value(json_object_get(first, "share")) == Approx(6.0 / 16));
  CHECK(json_number_value(json_object_get(part, "rest")) == Approx(3));
  json_decref(o);
  REQUIRE(fl_profile_write(&p, folder, err, sizeof err) == 0);
  std::ifstream in(dir + "/profile.folded");
  double all = 0;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    const size_t space = line.rfind(' ');
    all += std::stod(line.substr(space + 1));
    lines.push_back(line.substr(0, space));
  }
  CHECK(all == Approx(16e9));
  CHECK(lines == std::vector<std::string>{ "a, b;gradient;gemm_nt", "a, b;gradient;bias_rows", "a, b;optimizer;adamw",
                                           "a, b;gradient;the rest", "a, b;optimizer;the rest", "a, b;idle" });
  std::remove((dir + "/profile.folded").c_str());
  std::remove((dir + "/profile.json").c_str());
  CHECK(std::remove(folder) == 0);
}

TEST_CASE("counters: there, or with a reason") {
  fl_counters c;
  double value[FL_COUNTERS];
  const int n = fl_counters_open(&c);
  fl_counters_run(&c, 1);
  fl_counters_run(&c, 0);
  fl_counters_read(&c, value);
  if (n < FL_COUNTERS) { CHECK(c.why != 0); }
  for (int i = 0; i < FL_COUNTERS; i++) { CHECK((c.file[i] >= 0 || std::isnan(value[i]))); }
  fl_counters_close(&c);
  CHECK(c.file[FL_COUNT_CYCLES] == -1);
}

TEST_CASE("ceilings: measured once, at the level that holds the bytes") {
  fl_ceilings c = {};
  c.isa = fl_kernels_select(nullptr, nullptr)->isa;
  const fl_bandwidth near = *fl_ceiling_bandwidth(&c, fl_streams_of("8r4w", 2), FL_LEVEL_L1, 1);
  CHECK(near.mix.in_place == 1);
  CHECK(near.seconds > 0);
  CHECK(fl_ceiling_bandwidth(&c, fl_streams_of("8r4w", 2), FL_LEVEL_L1, 1)->seconds == near.seconds); // kept
  CHECK(c.n == 1);
  const fl_compute *compute = fl_ceiling_compute(&c, 1);
  if (fl_compute_loops_of(c.isa)) { CHECK(compute->fma > 0); }
  CHECK(fl_level_of(1000, 1) == FL_LEVEL_L1);
  CHECK(fl_level_of(1e12, 1) == FL_LEVEL_DRAM);
  fl_ceilings_free(&c);
}

TEST_CASE("Every kernel with traffic has loops of its streams, also where an array is several of them", "[profile]") {
  for (const fl_op_info &op : fl_op_table) {
    if (!strcmp(op.traffic, "0r0w")) continue;
    const fl_streams s = fl_streams_of(op.traffic, op.arrays);
    INFO(op.name << ": " << op.traffic << ", " << op.arrays << " arrays");
    CHECK((s.in_place <= s.reads && s.in_place <= s.writes && s.reads + s.bytes + s.writes - s.in_place <= 12));
    CHECK(fl_stream_loops_of(s, FL_ISA_SCALAR).plain[FL_STREAM_COPY]);
  }
}
