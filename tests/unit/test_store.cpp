// Client states in a file: the same bits as in memory, and a checkpoint's states as they were, whatever was written after it.
#include "session.hpp"
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fedlane/session.h>
#include <unistd.h>

namespace {
enum { N = 20, D = 37 };
const fl_tensor tensor = { "x", FL_MATRIX, 0, 0, 2, { D, 1, 0, 0 }, 0, D };
const fl_layout layout = { 1, D, 0, &tensor };
void init(void *, uint64_t, float *x) {
  for (int i = 0; i < D; i++) x[i] = (float)(i % 5) - 2;
}
double loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *row, size_t count, float *g, void *) {
  double loss = 0;
  for (int i = 0; i < D; i++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) sum += ((double)x[i] - (row[j] * 7 + (size_t)i) % 11) / (double)count;
    g[i] = (float)sum;
    loss += 0.5 * sum * sum;
  }
  return loss;
}
const fl_objective objective = { "quadratic", nullptr, &layout, 60, 0, 0, init, nullptr, loss_grad, nullptr };
std::vector<size_t> three_each() {
  std::vector<size_t> offset;
  for (size_t i = 0; i <= N; i++) offset.push_back(3 * i);
  return offset;
}

struct File {
  char path[64] = "/tmp/fedlane-states-XXXXXX";
  File() { close(mkstemp(path)); }
  ~File() { unlink(path); }
  long size() const {
    FILE *f = std::fopen(path, "rb");
    std::fseek(f, 0, SEEK_END);
    const long n = std::ftell(f);
    std::fclose(f);
    return n;
  }
  void change(long at) const {
    FILE *f = std::fopen(path, "r+b");
    std::fseek(f, at, SEEK_SET);
    const int c = std::fgetc(f);
    std::fseek(f, at, SEEK_SET);
    std::fputc(c ^ 1, f);
    std::fclose(f);
  }
};
struct Run : session::Session {
  Run(const char *file, uint64_t memory, int threads = 1)
      : Session({ { "name", "scaffold" }, { "lr", "0.05" }, { "clip_norm", ".inf" } }, objective, three_each(), 12, 2) {
    options.participation = 0.3, options.threads = threads, options.state_file = file, options.state_memory = memory;
    open();
    REQUIRE(error == "");
  }
  void rounds(int n) {
    for (int i = 0; i < n; i++) round();
  }
};
}

TEST_CASE("client states in a file: the bits of memory, with any number of threads and any limit") {
  Run memory(nullptr, 0);
  memory.rounds(12);
  for (uint64_t limit : { 0, 5 * D * 4, 13 * D * 4, 1000000 })
    for (int threads = 1; threads <= 3; threads++) {
      const File file;
      Run run(file.path, limit, threads);
      run.rounds(12);
      CHECK(run.x() == memory.x());
      CHECK((file.size() > 0) == (limit < 100000));
    }
}

TEST_CASE("client states in a file are those of the checkpoint, whatever came after it") {
  Run whole(nullptr, 0);
  whole.rounds(12);
  const File file;
  session::Bytes saved;
  {
    Run run(file.path, 0);
    run.rounds(3);
    saved = run.save();                         // an older one
    fl_session_kept(run.s);
    run.rounds(2);
    saved = run.save();
    fl_session_kept(run.s);
    run.rounds(4);                              // the crash: these rounds are lost
  }
  for (int again = 0; again < 2; again++) {     // and one more, before the next checkpoint
    Run run(file.path, 0);
    run.load(saved);
    run.rounds(again ? 7 : 3);
    if (again) CHECK(run.x() == whole.x());
  }
  // A checkpoint that was written and not known to be safe leaves the one before as it was.
  {
    Run run(file.path, 0);
    run.load(saved);
    run.rounds(2);
    run.save();
    run.rounds(3);
  }
  Run run(file.path, 0);
  run.load(saved);
  run.rounds(7);
  CHECK(run.x() == whole.x());
  CHECK(file.size() <= 2 * N * 48 * 4);         // slots are used again: never more than two of a client
}

TEST_CASE("a checkpoint with its states inside goes on in a file") {
  Run whole(nullptr, 0), memory(nullptr, 0);
  whole.rounds(12);
  memory.rounds(4);
  const session::Bytes saved = memory.save();
  const File file;
  Run run(file.path, 0);
  run.load(saved);
  run.rounds(8);
  CHECK(run.x() == whole.x());
  CHECK(file.size() > 0);
}

TEST_CASE("client states that are damaged, cut off or gone are refused by name") {
  using Catch::Matchers::Contains;
  const File file;
  session::Bytes saved;
  {
    Run run(file.path, 0);
    run.rounds(4);
    saved = run.save();
  }
  const auto load = [&](const char *path) {
    Run run(path, 0);
    std::pair<const unsigned char *, size_t> at = { saved.data(), 0 };
    char err[500] = "";
    CHECK(fl_session_load(run.s, [](void *from, void *p, size_t n) {
      auto *in = static_cast<std::pair<const unsigned char *, size_t> *>(from);
      std::memcpy(p, in->first + in->second, n);
      in->second += n;
      return 0;
    }, &at, err, sizeof err) == -1);
    return std::string(err);
  };
  CHECK_THAT(load(nullptr), Contains("allowed: a session with a state_file"));
  for (long at = 5; at < file.size(); at += D * 4) file.change(at);
  Run run(file.path, 0);
  run.load(saved);
  int status = 0;
  while ((status = fl_round(run.s, nullptr)) == 0) {}
  CHECK(status == -1);
  CHECK_THAT(fl_session_error(run.s), Contains("is damaged") && Contains(file.path));
  REQUIRE(truncate(file.path, 3 * D * 4) == 0);
  CHECK_THAT(load(file.path), Contains("the checkpoint needs"));
  unlink(file.path);
  CHECK_THAT(load(file.path), Contains("No such file"));
}
