// What a run leaves behind: rounds.jsonl, hashes, safetensors, summary, checkpoints, and how they answer damage.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>
#include <fedlane/session.h>
extern "C" {
#include "harness/atomic.h"
#include "harness/record.h"
#include "harness/results.h"
#include "harness/safetensors.h"
int fl_cli_compare(int argc, char **argv);
}

namespace {
const fl_tensor tensors[] = {{"w", FL_MATRIX, 0, 0, 2, {2, 3}, 0, 6}, {"b", FL_BIAS, 0, 0, 1, {2}, 6, 2}};
const fl_layout layout = {2, 8, 0, tensors};

std::string read_all(const std::string &path) {
  std::ifstream f(path, std::ios::binary);
  std::stringstream s;
  s << f.rdbuf();
  return s.str();
}
void write_all(const std::string &path, const std::string &text) { std::ofstream(path, std::ios::binary) << text; }
bool exists(const std::string &path) { return access(path.c_str(), F_OK) == 0; }

struct scratch {
  std::string dir;
  scratch() {
    char name[] = "/tmp/fedlane-results-XXXXXX";
    REQUIRE(mkdtemp(name));
    dir = name;
  }
  ~scratch() { if (std::system(("rm -rf '" + dir + "'").c_str())) std::perror("rm"); }
};

// 0.5*|x - row|^2 per sample: enough of an objective to open a session on.
void init(void *, uint64_t, float *x) { for (int i = 0; i < 8; i++) x[i] = 1; }
size_t work(void *, size_t) { return 64; }
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t count, float *g, void *) {
  double loss = 0;
  for (int k = 0; k < 8; k++) g[k] = 0;
  for (size_t i = 0; i < count; i++)
    for (int k = 0; k < 8; k++) {
      float e = x[k] - static_cast<float>(index[i] % 5);
      g[k] += e / static_cast<float>(count);
      loss += 0.5 * static_cast<double>(e) * static_cast<double>(e) / static_cast<double>(count);
    }
  return loss;
}

struct fixture : scratch {
  fl_config config{};
  fl_dataset data{};
  fl_split split{};
  fl_objective objective{};
  fl_problem problem{};
  fl_options options{};
  std::vector<size_t> offset{0, 3, 6, 9};
  std::vector<uint32_t> index{0, 1, 2, 3, 4, 5, 6, 7, 8};
  fl_session *session = nullptr;
  char err[5000] = "", hash[65] = "", trajectory[65] = "";

  fixture() {
    fl_setting partition[] = {{"name", "iid", "test"}, {"seed", "42", "test"}};
    fl_setting algorithm[] = {{"name", "fedavg", "test"}, {"lr", "0.1", "test"}};
    INFO(err);
    REQUIRE(fl_partition_build(partition, 2, &config.partition, err, sizeof err) == 0);
    REQUIRE(fl_algorithm_build(algorithm, 2, &config.algorithm, err, sizeof err) == 0);
    config.seed = 7;
    config.clients = 3;
    config.participation = 1;
    config.rounds = 20;
    config.local_epochs = config.eval_every = 1;
    config.batch_size = 2;
    config.target_accuracy = 0.5;
    std::strcpy(config.data_name, "made");
    std::strcpy(config.model, "quadratic");
    std::strcpy(config.label, "fedavg");
    std::strcpy(data.name, "made");
    std::strcpy(data.file[0].path, "/nowhere/train");
    std::strcpy(data.file[0].sha256, "aa");
    data.n_files = 1;
    split.clients = 3;
    split.offset = offset.data();
    split.index = index.data();
    std::strcpy(split.sha256, "bb");
    objective.name = "quadratic";
    objective.layout = &layout;
    objective.n = 9;
    objective.init = init;
    objective.work = work;
    objective.loss_grad = loss_grad;
    problem.objective = &objective;
    problem.clients = 3;
    problem.offset = split.offset;
    problem.index = split.index;
    options.seed = 7;
    options.rounds = 20;
    options.participation = 1;
    options.local_epochs = 1;
    options.batch_size = 2;
    options.threads = 1;
  }
  ~fixture() { fl_close(session); }
  void open_session() {
    fl_close(session);
    session = nullptr;
    int bad = fl_open(&session, &problem, &config.algorithm, &options, err, sizeof err);
    INFO(err);
    REQUIRE(bad == 0);
  }
  fl_result *open(const std::string &sub) {
    return fl_result_open((dir + sub).c_str(), &config, &data, &split, &layout, nullptr, nullptr, 1, 1, 0, nullptr, err,
                          sizeof err);
  }
  // Rounds first..last with numbers that need all 17 digits; every third is not evaluated.
  static fl_metrics round_of(uint64_t r) {
    fl_metrics m{};
    m.round = r;
    m.train_loss = 1.0 / static_cast<double>(r + 2);
    m.evaluated = r % 3 != 0;
    m.test_loss = m.evaluated ? 0.1 * static_cast<double>(r) : std::nan("");
    m.accuracy = m.evaluated ? static_cast<double>(r) / 21 : 0;
    m.lr = r % 2 ? 0.1 : -0.0;
    m.update_norm = std::sqrt(static_cast<double>(r));
    m.bytes_up = 10;
    m.total_bytes_up = 10 * r;
    m.samples = 9 * r;
    m.cohort = 3;
    m.seconds = 0.25 * static_cast<double>(r) + 1.0 / 3;
    m.thread_seconds[FL_T_IDLE] = 0.5;
    m.bound = 1.5;
    return m;
  }
  void rounds(fl_result *r, uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; i++) {
      fl_metrics m = round_of(i);
      int bad = fl_result_round(r, &m, err, sizeof err);
      INFO(err);
      REQUIRE(bad == 0);
    }
  }
  void finish(fl_result *r, uint64_t last) {
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    fl_metrics m = round_of(last);
    int bad = fl_result_finish(r, x, &m, "done", hash, trajectory, err, sizeof err);
    INFO(err);
    REQUIRE(bad == 0);
    fl_result_close(r);
  }
  void whole(const std::string &sub, uint64_t n) {
    fl_result *r = open(sub);
    INFO(err);
    REQUIRE(r);
    rounds(r, 1, n);
    finish(r, n);
  }
  int compare(const std::string &a, const std::string &b) {
    std::string x = dir + a, y = dir + b;
    char name[] = "compare";
    char *argv[] = {name, x.data(), y.data(), nullptr};
    return fl_cli_compare(3, argv);
  }
};
}  // namespace

TEST_CASE("a round's line gives every bit back", "[results]") {
  const double special[] = {0.1, -0.0, 5e-324, 1.7976931348623157e308, 1.0, 1e22, std::nan(""), HUGE_VAL, -HUGE_VAL, 1 / 3.0};
  for (double v : special) {
    fl_metrics m = fixture::round_of(4), back;
    m.train_loss = v;
    char line[FL_RECORD_LINE], err[200] = "";
    size_t n = fl_record_line(&m, line);
    INFO(line);
    REQUIRE(n < FL_RECORD_LINE);
    REQUIRE(line[n - 1] == '\n');
    REQUIRE(fl_record_parse(line, n, &back, err, sizeof err) == 0);
    for (const fl_column &c : fl_columns) {
      INFO(c.name);
      CHECK(fl_record_bits(&c, &m) == fl_record_bits(&c, &back));
    }
    CHECK(back.thread_seconds[FL_T_IDLE] == 0.5);
    uint64_t word[FL_RECORD_WORDS];
    fl_record_pack(&m, word);
    fl_record_unpack(word, &back);
    CHECK(std::memcmp(&m.train_loss, &back.train_loss, 8) == 0);
    CHECK(back.bound == m.bound);
  }
}

TEST_CASE("a rule's own number is in a round's line when there is one", "[results]") {
  for (double v : {0.25, std::nan("")}) {
    fl_metrics m = fixture::round_of(2), back;
    m.unclipped = v;
    char line[FL_RECORD_LINE], err[200] = "";
    const size_t n = fl_record_line(&m, line);
    CHECK((std::strstr(line, "\"unclipped\"") != nullptr) == std::isfinite(v));
    REQUIRE(fl_record_parse(line, n, &back, err, sizeof err) == 0);
    CHECK((std::isnan(v) ? std::isnan(back.unclipped) : back.unclipped == v));
  }
}

TEST_CASE("hash counts every NaN as one, and is the sum of the safetensors data", "[results]") {
  scratch s;
  float x[8] = {1, -0.0f, std::numeric_limits<float>::denorm_min(), INFINITY, 0, 0, 0, 0}, y[8];
  std::memcpy(y, x, sizeof x);
  uint32_t a = 0x7fc00001u, b = 0xffc00000u;
  std::memcpy(&x[5], &a, 4);
  std::memcpy(&y[5], &b, 4);
  char hx[65], hy[65], saved[65], err[500] = "";
  fl_params_hash(x, 8, hx);
  fl_params_hash(y, 8, hy);
  CHECK(std::string(hx) == hy);
  y[1] = 0.0f;
  fl_params_hash(y, 8, hy);
  CHECK(std::string(hx) != hy);
  std::string path = s.dir + "/p.safetensors";
  REQUIRE(fl_safetensors_write(path.c_str(), &layout, nullptr, x, err, sizeof err) == 0);
  fl_safetensors t;
  REQUIRE(fl_safetensors_read(&t, path.c_str(), err, sizeof err) == 0);
  CHECK(t.size == 32);
  CHECK((t.data - t.memory) % 8 == 0);
  fl_sha256(t.data, t.size, saved);
  CHECK(std::string(saved) == hx);
  size_t begin, end;
  fl_safetensors_range(json_object_get(t.header, "b"), &begin, &end);
  CHECK(begin == 24);
  CHECK(end == 32);
  fl_safetensors_free(&t);
  std::string bytes = read_all(path);
  for (size_t n = 0; n < bytes.size(); n += 5) {
    write_all(path, bytes.substr(0, n));
    err[0] = 0;
    CHECK(fl_safetensors_read(&t, path.c_str(), err, sizeof err) == -1);
    CHECK(std::string(err).find("p.safetensors") != std::string::npos);
  }
}

TEST_CASE_METHOD(fixture, "a run cut at any round, with a half line, ends on the same trajectory", "[results]") {
  whole("/a/b/c", 12);
  std::string want = trajectory, lines = read_all(dir + "/a/b/c/rounds.jsonl"), file = dir + "/a/b/c/rounds.jsonl";
  for (uint64_t cut : {0, 1, 7, 12}) {
    write_all(file, lines.substr(0, lines.size() - (cut == 12 ? 0 : 40)));
    fl_result *r = open("/a/b/c");
    REQUIRE(r);
    REQUIRE(fl_result_cut(r, cut, err, sizeof err) == 0);
    CHECK(!exists(dir + "/a/b/c/summary.json"));
    rounds(r, cut + 1, 12);
    finish(r, 12);
    CHECK(trajectory == want);
    CHECK(read_all(file) == lines);
  }
  json_t *s = fl_file_read_json((dir + "/a/b/c/summary.json").c_str(), err, sizeof err);
  REQUIRE(s);
  // Evaluated: 5, 7, 8, 10, 11 are the last five.
  CHECK(json_real_value(json_object_get(s, "accuracy")) == Approx((5 + 7 + 8 + 10 + 11) / 5.0 / 21));
  CHECK(json_real_value(json_object_get(s, "best_accuracy")) == 11.0 / 21);
  CHECK(json_real_value(json_object_get(s, "final_loss")) == 0.1 * 11);
  CHECK(json_integer_value(json_object_get(s, "rounds_to_target")) == 11);
  CHECK(json_real_value(json_object_get(s, "seconds_to_target")) == round_of(11).seconds);
  CHECK(std::string(json_string_value(json_object_get(s, "hash"))) == hash);
  json_decref(s);
  s = fl_file_read_json((dir + "/a/b/c/run.json").c_str(), err, sizeof err);
  CHECK(json_array_size(json_object_get(s, "resumed_at")) == 3);
  CHECK(json_is_true(json_object_get(s, "reproducible")));
  json_decref(s);
}

TEST_CASE_METHOD(fixture, "a run's hash covers the buffers", "[results]") {
  const fl_tensor both[] = {{"w", FL_MATRIX, 0, 0, 2, {2, 3}, 0, 6}, {"mean", FL_BUFFER, 0, 0, 1, {2}, 6, 2}};
  const fl_layout with = {2, 6, 2, both};
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  char want[65];
  fl_metrics m = round_of(1);
  fl_result *r = fl_result_open((dir + "/a").c_str(), &config, &data, &split, &with, nullptr, nullptr, 1, 1, 0, nullptr, err,
                                sizeof err);
  REQUIRE(r);
  rounds(r, 1, 1);
  REQUIRE(fl_result_finish(r, x, &m, "done", hash, trajectory, err, sizeof err) == 0);
  fl_result_close(r);
  fl_params_hash(x, 8, want);
  CHECK(std::string(hash) == want);
  std::string file = read_all(dir + "/a/params.safetensors");
  CHECK(file.compare(file.size() - sizeof x, sizeof x, reinterpret_cast<char *>(x), sizeof x) == 0);
}

TEST_CASE_METHOD(fixture, "trajectory_hash leaves times out and nothing else", "[results]") {
  whole("/a", 5);
  std::string want = trajectory;
  for (const fl_column &c : fl_columns) {
    if (std::strcmp(c.name, "round") == 0) continue;
    fl_result *r = open("/b");
    REQUIRE(r);
    REQUIRE(fl_result_cut(r, 0, err, sizeof err) == 0);
    for (uint64_t i = 1; i <= 5; i++) {
      fl_metrics m = round_of(i);
      uint64_t word[FL_RECORD_WORDS];
      fl_record_pack(&m, word);
      if (i == 4) word[&c - fl_columns] ^= 1;
      fl_record_unpack(word, &m);
      REQUIRE(fl_result_round(r, &m, err, sizeof err) == 0);
    }
    finish(r, 5);
    INFO(c.name);
    CHECK((trajectory == want) == (c.timed || c.told));
    CHECK(compare("/a", "/b") == (c.timed ? 0 : 1));
  }
}

TEST_CASE_METHOD(fixture, "a result refuses what it cannot be", "[results]") {
  fl_result *r = open("/a");
  REQUIRE(r);
  CHECK(open("/a") == nullptr);
  CHECK(std::string(err).find("in use") != std::string::npos);
  rounds(r, 1, 3);
  fl_metrics m = round_of(5);
  CHECK(fl_result_round(r, &m, err, sizeof err) == -1);
  CHECK(std::string(err).find("round 5 cannot follow round 3") != std::string::npos);
  fl_result_close(r);
  REQUIRE((r = open("/a")));
  CHECK(fl_result_cut(r, 4, err, sizeof err) == -1);
  CHECK(std::string(err).find("3 complete lines") != std::string::npos);
  fl_result_close(r);
  std::strcpy(data.file[0].sha256, "cc");
  REQUIRE((r = open("/a")));
  CHECK(fl_result_cut(r, 2, err, sizeof err) == -1);
  CHECK(std::string(err).find("has SHA-256 cc, was aa") != std::string::npos);
  fl_result_close(r);
  write_all(dir + "/file", "");
  CHECK(open("/file") == nullptr);
  CHECK(std::string(err).find("Not a directory") != std::string::npos);
  CHECK(open("/file/below") == nullptr);
  CHECK(fl_result_open("/proc/fedlane", &config, &data, &split, &layout, nullptr, nullptr, 1, 1, 0, nullptr, err, sizeof err) ==
        nullptr);
  CHECK(std::string(err).find("/proc/fedlane") != std::string::npos);
  CHECK(fl_file_write("/dev/full/x", "a", 1, err, sizeof err) == -1);
}

TEST_CASE_METHOD(fixture, "compare names what differs and reports what it cannot read", "[results]") {
  whole("/a/one", 4);
  whole("/b/one", 4);
  CHECK(compare("/a", "/b") == 0);
  CHECK(compare("/a/one", "/b") == 1);  // no run of the same name
  CHECK(compare("/a/one", "/b/one") == 0);
  CHECK(compare("/a", "/none") == 1);
  std::string path = dir + "/b/one/params.safetensors", bytes = read_all(path), changed = bytes;
  changed[changed.size() - 1] ^= 1;
  write_all(path, changed);
  CHECK(compare("/a", "/b") == 1);
  write_all(path, bytes.substr(0, bytes.size() - 1));
  CHECK(compare("/a", "/b") == 1);
  write_all(path, bytes);
  CHECK(compare("/a", "/b") == 0);
  whole("/b/two", 4);
  CHECK(compare("/a", "/b") == 1);
  char name[] = "compare", flag[] = "--colour";
  char *one[] = {name, path.data(), nullptr}, *two[] = {name, flag, nullptr};
  CHECK(fl_cli_compare(2, one) == 2);
  CHECK(fl_cli_compare(2, two) == 2);
}

TEST_CASE_METHOD(fixture, "a checkpoint gives the session back, or says why not", "[results]") {
  open_session();
  fl_metrics m{}, back{};
  for (int i = 0; i < 3; i++) REQUIRE(fl_round(session, &m) == 0);
  CHECK(fl_checkpoint_load(dir.c_str(), &config, session, &back, err, sizeof err) == 1);
  REQUIRE(fl_checkpoint_save(dir.c_str(), &config, session, &m, err, sizeof err) == 0);
  size_t n;
  const float *x = fl_params(session, &n);
  std::vector<float> want(x, x + n);
  auto load = [&] {
    err[0] = 0;
    open_session();
    return fl_checkpoint_load(dir.c_str(), &config, session, &back, err, sizeof err);
  };
  auto says = [&](const char *what) {
    INFO(err);
    CHECK(std::string(err).find(what) != std::string::npos);
  };
  int bad = load();
  INFO(err);
  REQUIRE(bad == 0);
  CHECK(back.round == 3);
  CHECK(back.train_loss == m.train_loss);
  x = fl_params(session, &n);
  CHECK(std::memcmp(x, want.data(), n * sizeof *x) == 0);

  SECTION("a session that came from a checkpoint leaves the same one") {
    const fl_setting scaffold[] = {{"name", "scaffold", "test"}, {"lr", "0.1", "test"}};
    REQUIRE(fl_algorithm_build(scaffold, 2, &config.algorithm, err, sizeof err) == 0);
    open_session();
    for (int i = 0; i < 3; i++) REQUIRE(fl_round(session, &m) == 0);
    std::string path = dir + "/checkpoint.bin";
    REQUIRE(fl_checkpoint_save(dir.c_str(), &config, session, &m, err, sizeof err) == 0);
    std::string first = read_all(path);
    REQUIRE(load() == 0);
    REQUIRE(fl_checkpoint_save(dir.c_str(), &config, session, &back, err, sizeof err) == 0);
    CHECK((read_all(path) == first));  // with the states of all clients, and the server's
  }
  SECTION("damage") {
    std::string path = dir + "/checkpoint.bin", bytes = read_all(path);
    for (size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 37) {
      write_all(path, bytes.substr(0, cut));
      CHECK(load() == -1);
      says("damaged or cut off");
      std::string flipped = bytes;
      flipped[cut] ^= 16;
      write_all(path, flipped);
      CHECK(load() == -1);
      says("checkpoint.bin");
    }
  }
  SECTION("a changed configuration is refused by key, what does not change a round is not") {
    config.rounds = 30;
    config.checkpoint_seconds = 3;
    config.target_accuracy = 0.9;
    CHECK(load() == 0);
    config.rounds = 2;
    CHECK(load() == -1);
    says("already at round 3");
    config.rounds = 20;
    config.batch_size = 4;
    CHECK(load() == -1);
    says("batch_size is 4, the checkpoint was made with 2");
    config.batch_size = 2;
    config.seed = 8;
    CHECK(load() == -1);
    says("seed is 8, the checkpoint was made with 7");
    config.seed = 7;
    config.algorithm.h_run[FL_H_LR] = 0.2;
    CHECK(load() == -1);
    says("algorithm.lr is 0.2");
  }
}
