// Buffers (running statistics of a caller's model) under every method: averaged plainly with the weights p_i (federated-adaptive
// 0.6), moved once a step whatever a method asks for, and nothing of a method reaches them; nor do they reach the parameters.
#include "federated.hpp"
#include "small.hpp"
#include <cstring>

namespace {
enum { WIDE = 3 };                              // floats of the buffers
// After a batch: b <- 0.75 b + 0.25 mean of a feature of its samples.
double feature(size_t sample, int e) { return (double)((sample * 7 + (size_t)e * 5) % 11) / 4.0 - 1; }
double step_grad(void *, const fl_kernels *k, const float *x, const uint32_t *row, size_t count, float *g, float *b, void *) {
  for (int e = 0; e < WIDE; e++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) sum += feature(row[j], e);
    b[e] = (float)(0.75 * b[e] + 0.25 * sum / (double)count);
  }
  return federated::loss_grad(nullptr, k, x, row, count, g, nullptr);
}
void start(void *self, uint64_t seed, float *x) {
  federated::init(self, seed, x);
  for (int e = 0; e < WIDE; e++) x[D + e] = (float)(e + 1);
}
struct WithBuffers {
  std::vector<fl_tensor> tensors;
  fl_layout layout;
  fl_objective objective = federated::objective();
  WithBuffers() : tensors(problem->layout.tensor, problem->layout.tensor + problem->layout.n), layout(problem->layout) {
    tensors.push_back({ "running", FL_BUFFER, 9, 0, 1, { WIDE, 0, 0, 0 }, (size_t)D, WIDE });
    layout.n = tensors.size(), layout.buffers = WIDE, layout.tensor = tensors.data();
    objective.layout = &layout, objective.init = start, objective.step_grad = step_grad;
  }
};
// Client: K steps from the server's buffers; server: sum p_i b_i.
std::vector<double> plain(bool samples) {
  std::vector<double> server;
  for (int e = 0; e < WIDE; e++) server.push_back(e + 1);
  for (uint64_t r = 0; r < R; r++) {
    uint32_t who[M], row[BATCH];
    double total = 0;
    cohort(nullptr, r, who, M);
    for (uint32_t i : who) total += (double)size_of(i);
    std::vector<double> next(WIDE, 0.0);
    for (uint32_t i : who) {
      std::vector<double> b = server;
      for (uint64_t k = 0; k < EPOCHS * ((size_of(i) + BATCH - 1) / BATCH); k++) {
        const size_t count = batch(nullptr, r, i, k, row, BATCH);
        for (int e = 0; e < WIDE; e++) {
          double sum = 0;
          for (size_t j = 0; j < count; j++) sum += feature(row[j], e);
          b[(size_t)e] = 0.75 * b[(size_t)e] + 0.25 * sum / (double)count;
        }
      }
      for (int e = 0; e < WIDE; e++) next[(size_t)e] += b[(size_t)e] * (samples ? (double)size_of(i) / total : 1.0 / M);
    }
    server = next;
  }
  return server;
}
}

TEST_CASE("Every method averages the buffers plainly and leaves them alone otherwise", "[buffers]") {
  federated::use(0);
  const WithBuffers model;
  const std::vector<size_t> offsets(federated::offset, federated::offset + N + 1);
  for (size_t i = 0; i < fl_method_count(); i++) {
    const fl_method *method = fl_method_at(i);
    INFO(method->name);
    if (on_adapters(method->name)) continue;
    settings set = { { "name", method->name } };
    if (!std::strcmp(method->name, "fltrust")) set.push_back({ "root_samples", "4" });
    if (!std::strncmp(method->name, "fedbcgd", 7)) set.push_back({ "blocks", "2" });
    const std::vector<double> want = plain(!std::strcmp(method->weights, "samples"));
    Run bare(set, 1);
    CHECK(fl_rounds(bare.s, nullptr, nullptr) == 1);
    for (int threads = 1; threads <= 3; threads += 2) {
      session::Session run(set, model.objective, offsets, R, BATCH);
      run.problem.cohort = cohort, run.problem.batch = batch;
      run.options.participation = (double)M / N, run.options.local_epochs = EPOCHS, run.options.threads = threads;
      run.open();
      if (!std::strcmp(method->name, "fltrust") || !std::strcmp(method->name, "dp_fedavg") ||
          !std::strcmp(method->stack, "trimmed")) {   // refused, and why
        CHECK(run.error.find("the model has 3 buffers") != std::string::npos);
        continue;
      }
      REQUIRE(run.error == "");
      CHECK(fl_rounds(run.s, nullptr, nullptr) == 1);
      const rules::Floats x = run.x(), seen = run.average();
      const bool picks = !std::strcmp(method->name, "multi_krum");    // the mean of those that it admits
      for (int e = 0; !picks && e < WIDE; e++) {
        CHECK(x[(size_t)(D + e)] == Approx(want[(size_t)e]).epsilon(1e-6));
        CHECK(seen[(size_t)(D + e)] == Approx(want[(size_t)e]).epsilon(1e-6));
      }
      CHECK(!std::memcmp(x.data(), bare.x().data(), (size_t)D * sizeof(float)));
    }
  }
}

TEST_CASE("Central training moves the buffers once a step, also under a search at a second point", "[buffers]") {
  federated::use(0);
  const WithBuffers model;
  for (const char *stack : { "", "sam", "asam", "pgn", "swa", "ema" }) {
    INFO(stack);
    settings set = { { "stack", stack }, { "rule", "sgd" }, { "lr", "0.05" } };
    if (!std::strcmp(stack, "swa")) set.push_back({ "swa_start", "1" });
    session::Session run(set, model.objective, { 0, SAMPLES }, 2, 4);
    run.problem.batch = [](void *, uint64_t, uint32_t, uint64_t step, uint32_t *out, size_t) -> size_t {
      for (uint32_t j = 0; j < 4; j++) out[j] = (uint32_t)((step * 4 + j) % SAMPLES);
      return 4;
    };
    run.open();
    REQUIRE(run.error == "");
    CHECK(fl_rounds(run.s, nullptr, nullptr) == 1);
    double b[WIDE] = { 1, 2, 3 };
    for (int epoch = 0; epoch < 2; epoch++)
      for (size_t step = 0; step < (SAMPLES + 3) / 4; step++)
        for (int e = 0; e < WIDE; e++) {
          double sum = 0;
          for (size_t j = 0; j < 4; j++) sum += feature((step * 4 + j) % SAMPLES, e);
          b[e] = 0.75 * b[e] + 0.25 * sum / 4;
        }
    for (int e = 0; e < WIDE; e++) CHECK(run.x()[(size_t)(D + e)] == Approx(b[e]).epsilon(1e-6));
  }
}
