// ILoRA (federated-structured-robust 5) against a plain double reference in the specification's terms: the server holds W, B, A
// and c; a client B_k, A_k and c_k. On a 6 x 5 matrix under a quadratic, and on a small network whose head is trained as it is.
#include "federated.hpp"
#include "reference_matrix.hpp"
extern "C" {
#include "models/model.h"
}
#include <algorithm>
#include <array>
#include <cstring>

namespace {
// ---- plain matrices --------------------------------------------------------------------------------------------------------
struct Matrix {
  size_t m, n;
  Vec v;
  Matrix(size_t rows, size_t cols) : m(rows), n(cols), v(rows * cols) {}
  double &operator()(size_t i, size_t j) { return v[i * n + j]; }
  double operator()(size_t i, size_t j) const { return v[i * n + j]; }
};
Matrix times(const Matrix &a, const Matrix &b) {
  Matrix c(a.m, b.n);
  for (size_t i = 0; i < a.m; i++)
    for (size_t k = 0; k < a.n; k++)
      for (size_t j = 0; j < b.n; j++) c(i, j) += a(i, k) * b(k, j);
  return c;
}
Matrix turned(const Matrix &a) {
  Matrix c(a.n, a.m);
  for (size_t i = 0; i < a.m; i++)
    for (size_t j = 0; j < a.n; j++) c(j, i) = a(i, j);
  return c;
}
void add(Matrix &a, double s, const Matrix &b) {
  for (size_t i = 0; i < a.v.size(); i++) a.v[i] += s * b.v[i];
}
double apart(Matrix a, const Matrix &b) { return add(a, -1, b), norm(a.v); }
Matrix columns(const Matrix &a, size_t count) {
  Matrix c(a.m, count);
  for (size_t i = 0; i < a.m; i++)
    for (size_t j = 0; j < count; j++) c(i, j) = a(i, j);
  return c;
}
Matrix rows(const Matrix &a, size_t count) { return turned(columns(turned(a), count)); }
double along(const Matrix &a, size_t i, size_t j) { return times(turned(a), a)(i, j); }
// Orthonormal columns of which the first q + 1 span those of a. *clear: the least part of a column that those before do not span.
Matrix orthonormal(const Matrix &a, double *clear) {
  Matrix out(a.m, a.n);
  out.v = reference::orthogonal_factor(a.m, a.n, a.v);
  for (size_t q = 0; q < a.n; q++) {
    double own = 0;
    for (size_t i = 0; i < a.m; i++) own += out(i, q) * a(i, q);
    *clear = std::min(*clear, own / std::sqrt(along(a, q, q)));
  }
  return out;
}
// The columns in the order of a pivoted QR.
Matrix longest(const Matrix &a, size_t r) {
  Matrix left = a, c(a.m, r);
  for (size_t q = 0; q < r; q++) {
    size_t best = 0;
    for (size_t j = 1; j < a.n; j++)
      if (along(left, j, j) > along(left, best, best)) best = j;
    Matrix unit(a.m, 1);
    for (size_t i = 0; i < a.m; i++) c(i, q) = a(i, best), unit(i, 0) = left(i, best) / std::sqrt(along(left, best, best));
    add(left, -1, times(unit, times(turned(unit), left)));
  }
  return c;
}
// What the best product of the rank leaves.
double best_error(const Matrix &a, size_t rank) {
  Vec square;
  reference::Matrix v;
  reference::jacobi(a.n, times(turned(a), a).v, square, v);
  double s = 0;
  for (size_t i = rank; i < square.size(); i++) s += std::max(0.0, square[i]);
  return std::sqrt(s);
}

// ---- the problems: the first tensor is the matrix, of full rank -------------------------------------------------------------
double uneven(int i) { return (double)(float)std::sin(1.3 * i * i + 0.7 * i + 0.2); }
const fl_tensor wide_tensor[] = { { "w", FL_MATRIX, 0, 0, 2, { 4, 6, 0, 0 }, 0, 24 },
                                  { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const fl_tensor tall_tensor[] = { { "w", FL_MATRIX, 0, 0, 2, { 6, 4, 0, 0 }, 0, 24 },
                                  { "b", FL_BIAS, 1, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
const Problem mine[] = { { { 2, 29, 0, wide_tensor }, uneven, quadratic },
                         { { 2, 29, 0, tall_tensor }, uneven, quadratic },
                         { { 4, WEIGHTS, 0, network_tensor }, uneven, network } };
void use_mine(int which) {
  problem = &mine[which];
  D = (int)problem->layout.d;
  zero.assign((size_t)D, 0.0);
}
size_t frozen() { return problem == &mine[2] ? (size_t)W2 : 29; }      // floats of the inner vector before the head

struct Adapted {
  fl_objective inner = objective();
  char err[200] = "";
  fl_adapters *adapters;
  explicit Adapted(size_t rank) : Adapted(fl_adapter_form{ rank, double(rank), nullptr }) {}
  explicit Adapted(const fl_adapter_form &form) : adapters(fl_adapters_new(&inner, &form, err, sizeof err)) {
    REQUIRE(err == std::string());
  }
  ~Adapted() { fl_adapters_free(adapters); }
};
struct Low : Adapted, session::Session {
  size_t rank, m, n, head;                      // the flat vector: A, B^T, the head, W's base and the rest of the inner one
  Low(const settings &set, size_t r, double participation, int threads = 1)
      : Adapted(r),
        Session(set, *fl_adapters_objective(adapters), { federated::offset, federated::offset + N + 1 }, R, BATCH),
        rank(r), m(federated::problem->layout.tensor[0].shape[0]), n(federated::problem->layout.tensor[0].shape[1]),
        head((size_t)D - frozen()) {
    Session::problem.batch = batch;
    options.participation = participation, options.local_epochs = EPOCHS, options.threads = threads;
    open();
    REQUIRE(error == "");
  }
  Matrix part(size_t at, size_t r, size_t c) const {
    const rules::Floats all = x();
    Matrix out(r, c);
    for (size_t i = 0; i < r * c; i++) out.v[i] = all[at + i];
    return out;
  }
  Matrix A() const { return part(0, rank, n); }
  Matrix B() const { return turned(part(rank * n, rank, m)); }
  Matrix W() const {
    Matrix w = part(rank * (m + n) + head, m, n);
    add(w, 1, times(B(), A()));
    return w;
  }
  Matrix trained_head() const { return part(rank * (m + n), 1, head); }
};

// ---- the reference -----------------------------------------------------------------------------------------------------------
enum How { LEADING, PIVOTED };
struct Side { Matrix A, B; Vec head; };         // factors, or what belongs to them: gradients, moments, controls
Side nothing(size_t r, size_t m, size_t n, size_t head) { return { Matrix(r, n), Matrix(m, r), Vec(head) }; }
template <class F> void each(Side &a, F f) {
  for (auto *v : { &a.A.v, &a.B.v, &a.head })
    for (size_t i = 0; i < v->size(); i++) f((int)(v == &a.A.v ? 0 : v == &a.B.v ? 1 : 2), i, (*v)[i]);
}
double &at(Side &a, int part, size_t i) { return (part == 0 ? a.A.v : part == 1 ? a.B.v : a.head)[i]; }
Side cut(const Side &a, size_t r) { return { rows(a.A, r), columns(a.B, r), a.head }; }

struct Reference {
  size_t rank, m, n;
  int levels;
  How how;
  double lr, decay, beta1;                      // beta1 < 0: plain gradient descent
  bool control = true;
  Matrix W, delta;
  Side s, c;
  std::vector<Side> ck;
  Vec rest;                                     // of the frozen inner vector, behind the matrix
  double up = 0, down = 0, ranks = 0;           // floats of a round; ranks of all rounds so far
  Vec seen;
  double clear = 1;                             // over all rounds
  Reference(size_t r, int rank_levels, How h, double step, double wd, double b1)
      : rank(r), m(problem->layout.tensor[0].shape[0]), n(problem->layout.tensor[0].shape[1]), levels(rank_levels), how(h),
        lr(step), decay(wd), beta1(b1), W(m, n), delta(m, n), s(nothing(r, m, n, (size_t)D - frozen())), c(s), ck(N, c), seen(N) {
    for (size_t i = 0; i < m * n; i++) W.v[i] = start_of((int)i);
    for (size_t i = m * n; i < frozen(); i++) rest.push_back(start_of((int)i));
    for (size_t i = 0; i < s.head.size(); i++) s.head[i] = start_of((int)(frozen() + i));
    refactor(W);
  }
  void refactor(const Matrix &w) {
    s.B = orthonormal(how == PIVOTED ? longest(w, rank) : columns(w, rank), &clear);
    s.A = times(turned(s.B), w);
  }
  size_t rank_of(size_t id) const { return rank >> id % (size_t)levels; }
  Side gradient(const Matrix &base, const Side &y, uint64_t round, size_t id, uint64_t k) const {
    uint32_t row[BATCH];
    const size_t count = batch(nullptr, round, (uint32_t)id, k, row, BATCH);
    Matrix w = base, G(m, n);
    add(w, 1, times(y.B, y.A));
    Vec all = w.v, g((size_t)D);
    all.insert(all.end(), rest.begin(), rest.end());
    all.insert(all.end(), y.head.begin(), y.head.end());
    problem->gradient(all.data(), row, count, g.data());
    std::copy(g.begin(), g.begin() + (long)(m * n), G.v.begin());
    return { times(turned(y.B), G), times(G, turned(y.A)), Vec(g.begin() + (long)frozen(), g.end()) };
  }
  void client(uint64_t round, size_t id, double p, Side &sum, Vec &holders, Matrix &moved, Vec &head) {
    const size_t r = rank_of(id);
    Side y = cut(s, r), mm = nothing(r, m, n, y.head.size()), vv = mm, raw = mm, of = cut(c, r), own = cut(ck[id], r);
    const Matrix before = times(y.B, y.A);
    Matrix base = W;
    add(base, -1, before);
    const double K = (double)(EPOCHS * ((size_of(id) + BATCH - 1) / BATCH));
    for (uint64_t k = 0; k < (uint64_t)K; k++) {
      Side g = gradient(base, y, round, id, k);
      each(g, [&](int part, size_t i, double v) {
        at(raw, part, i) += v / K;
        if (control) v += at(of, part, i) - at(own, part, i);
        double &first = at(mm, part, i), &second = at(vv, part, i), &x = at(y, part, i);
        first = beta1 * first + (1 - beta1) * v, second = 0.999 * second + 0.001 * v * v;
        const double t = (double)k + 1;
        const double adam = first / (1 - std::pow(beta1, t)) / (std::sqrt(second / (1 - std::pow(0.999, t))) + 1e-8);
        const double step = beta1 < 0 ? v : adam;
        x -= lr * (step + decay * x);
      });
    }
    const Matrix after = times(y.B, y.A);
    add(delta, p, after), add(moved, p, after), add(moved, -p, before);
    for (size_t i = 0; i < head.size(); i++) head[i] += p * y.head[i];
    for (size_t q = 0; q < r; q++) holders[q] += p;
    ck[id] = nothing(rank, m, n, head.size());
    for (size_t q = 0; q < r; q++) {
      for (size_t j = 0; j < n; j++) sum.A(q, j) += p * raw.A(q, j), ck[id].A(q, j) = raw.A(q, j);
      for (size_t i = 0; i < m; i++) sum.B(i, q) += p * raw.B(i, q), ck[id].B(i, q) = raw.B(i, q);
    }
    for (size_t i = 0; i < head.size(); i++) sum.head[i] += p * raw.head[i];
    ck[id].head = raw.head;
    const double floats = (control ? 2 : 1) * (double)(r * (m + n) + head.size());
    up += floats, down += floats + std::min((ranks - seen[id]) * (double)(m + n), (double)(m * n));
    seen[id] = ranks;
  }
  void round(uint64_t number, const std::vector<uint32_t> &who) {
    double total = 0, fresh = 0;
    for (uint32_t id : who) total += (double)size_of(id), fresh += (double)rank_of(id);
    Side sum = nothing(rank, m, n, s.head.size());
    Vec holders(rank), head(s.head.size());
    Matrix moved(m, n);
    up = down = 0, delta = Matrix(m, n);
    for (uint32_t id : who) client(number, id, (double)size_of(id) / total, sum, holders, moved, head);
    for (size_t q = 0; q < rank; q++) {
      if (holders[q] == 0) continue;
      for (size_t j = 0; j < n; j++) c.A(q, j) = sum.A(q, j) / holders[q];
      for (size_t i = 0; i < m; i++) c.B(i, q) = sum.B(i, q) / holders[q];
    }
    c.head = sum.head, s.head = head, ranks += fresh;
    add(W, 1, moved);
    refactor(delta);
  }
};

settings with(settings more) {
  const bool stack = std::any_of(more.begin(), more.end(), [](auto &q) { return q.first == "stack"; });
  if (!stack) more.push_back({ "name", "ilora" });
  const settings common = { { "lr", "0.02" }, { "lr_schedule", "constant" }, { "weight_decay", "0.1" } };
  for (auto &p : common)
    if (std::none_of(more.begin(), more.end(), [&](auto &q) { return q.first == p.first; })) more.push_back(p);
  return more;
}
std::vector<uint32_t> who_comes(const Low &run, uint64_t round) {
  std::vector<uint32_t> who(N);
  who.resize(fl_session_cohort(run.s, round, who.data()));
  return who;
}
} // namespace

namespace {
void follow(Low &run, Reference &ref) {
  const Matrix start = ref.W;
  CHECK(apart(run.W(), start) < 1e-6);
  CHECK(apart(times(run.B(), run.A()), times(ref.s.B, ref.s.A)) < 1e-5);
  for (uint64_t r = 0; r < R; r++) {
    ref.round(r, who_comes(run, r));
    const fl_metrics seen = run.round();
    INFO("round " << r);
    CHECK(apart(run.W(), ref.W) <= 1e-4 * apart(ref.W, start));
    CHECK(apart(times(run.B(), run.A()), times(ref.s.B, ref.s.A)) <= 1e-4 * norm(ref.s.A.v));
    for (size_t i = 0; i < run.head; i++) CHECK(run.trained_head().v[i] == Approx(ref.s.head[i]).margin(1e-4));
    CHECK((double)seen.bytes_up == 4 * ref.up);
    CHECK((double)seen.bytes_down == 4 * ref.down);
    if (ref.clear < 1e-3) break;                // the last columns of the next factors are arbitrary
  }
}
} // namespace

TEST_CASE("ILoRA with equal and mixed ranks equals its reference", "[federated]") {
  for (int which = 0; which < 3; which++)
    for (const size_t rank : { 4, 2, 1 })
      for (const int n : { 1, 3 })
        for (const bool pivot : { false, true })
          for (const bool adam : { true, false })
            for (const bool control : { true, false }) {
              if (rank >> (n - 1) == 0) continue;
              use_mine(which);
              settings set = { { "rank_levels", std::to_string(n) }, { "refactor", pivot ? "qr_pivot" : "qr" } };
              if (!adam) set.insert(set.end(), { { "stack", "ilora" }, { "rule", "sgd" }, { "clip_norm", ".inf" } });
              if (!control) set.push_back({ "ilora_control", "no" });
              Low run(with(set), rank, 0.6);
              Reference ref(rank, n, pivot ? PIVOTED : LEADING, 0.02, 0.1, adam ? 0.9 : -1);
              ref.control = control;
              INFO("problem " << which << ", rank " << rank << ", levels " << n << ", pivot " << pivot << ", adam " << adam
                              << ", control " << control);
              follow(run, ref);
            }
}

// ---- what the section lists ------------------------------------------------------------------------------------------------
namespace {
uint32_t alone = 0;
size_t cohort_of_one(void *, uint64_t, uint32_t *out, size_t) { return out[0] = alone, 1; }
// The sum of p_k W_k and of p_k head_k after a round that every client makes by itself.
struct Means { Matrix W, head, product; };
Means of_clients(const settings &set, size_t rank) {
  Means sum = { Matrix(Low(set, rank, 1).m, Low(set, rank, 1).n), Matrix(1, Low(set, rank, 1).head), Matrix(0, 0) };
  sum.product = sum.W;
  for (alone = 0; alone < N; alone++) {
    Low run(set, rank, 1.0 / N);
    run.Session::problem.cohort = cohort_of_one;
    run.open();
    REQUIRE(run.error == "");
    run.round();
    const double p = (double)size_of(alone) / SAMPLES;
    add(sum.W, p, run.W()), add(sum.head, p, run.trained_head()), add(sum.product, p, times(run.B(), run.A()));
  }
  return sum;
}
const char *const refactors[] = { "qr", "qr_pivot", "svd" };
settings by(const char *refactor, int n, settings more = {}) {
  more.insert(more.end(), { { "rank_levels", std::to_string(n) }, { "refactor", refactor } });
  return with(more);
}
} // namespace

TEST_CASE("ILoRA: W is the mean of the clients' W, whatever their ranks and whatever the factors lose", "[federated]") {
  for (int which = 0; which < 3; which++)
    for (const char *refactor : refactors)
      for (const int n : { 1, 3 }) {
        use_mine(which);
        INFO("problem " << which << ", " << refactor << ", levels " << n);
        const settings set = by(refactor, n);
        Low run(set, 4, 1);
        run.round();
        const Means want = of_clients(set, 4);
        CHECK(apart(run.W(), want.W) < 3e-6);
        CHECK(apart(run.trained_head(), want.head) < 3e-6);
        // Rank 4 is all that these matrices have: equal ranks and r_s >= rank(sum), so B A is the sum of the products to the last
        // digits. A client by itself has none but its own: one client, B_s A_s = B_1 A_1.
        if (n == 1) CHECK(apart(times(run.B(), run.A()), want.product) < 3e-6);
      }
}

TEST_CASE("ILoRA: no learning leaves W, one client leaves the base, and the columns of B are orthonormal", "[federated]") {
  for (int which = 0; which < 3; which++)
    for (const char *refactor : refactors) {
      use_mine(which);
      INFO("problem " << which << ", " << refactor);
      Low still(by(refactor, 2, { { "lr", "1e-30" } }), 2, 0.6);
      const Matrix before = still.W();
      for (size_t i = 0; i < before.v.size(); i++) CHECK(before.v[i] == Approx(start_of((int)i)).margin(1e-6));
      for (int r = 0; r < 4; r++) still.round();
      CHECK(apart(still.W(), before) < 5e-6);

      Low one(by(refactor, 1), 2, 1.0 / N);
      const Matrix base = one.part(2 * (one.m + one.n) + one.head, one.m, one.n);
      for (int r = 0; r < 4; r++) one.round();
      CHECK(apart(one.part(2 * (one.m + one.n) + one.head, one.m, one.n), base) < 5e-6);
      CHECK(apart(one.W(), before) > 1e-2);
      const Matrix b = one.B();
      for (size_t i = 0; i < 4; i++) CHECK(along(b, i / 2, i % 2) == Approx(i / 2 == i % 2).margin(2e-6));
    }
}

TEST_CASE("ILoRA: the leading columns lose more than the best product does, svd is that, and full rank loses nothing",
          "[federated]") {
  for (int which = 0; which < 3; which++)
    for (const size_t rank : { 1, 2, 3, 4 }) {
      use_mine(which);
      double lost[3];
      for (int i = 0; i < 3; i++) {
        Low run(by(refactors[i], 1), rank, 1);
        lost[i] = apart(run.W(), times(run.B(), run.A()));
      }
      Low run(by("qr", 1), rank, 1);
      const double best = best_error(run.W(), rank);
      INFO("problem " << which << ", rank " << rank << ": " << lost[0] << " " << lost[1] << " " << lost[2]);
      CHECK(lost[2] == Approx(best).margin(2e-6));
      CHECK(lost[0] >= best - 1e-6);
      CHECK(lost[1] >= best - 1e-6);
      if (rank == 4) CHECK(std::max(lost[0], lost[1]) < 2e-6);
      if (rank == 2 && which == 0) CHECK(lost[0] > 1.05 * best);
    }
}

namespace {
// A loss that is linear in the matrix: its gradient G_k keeps every row at right angles to the rows of the first A, so that one
// step of gradient descent moves A alone.
Matrix pull[N] = { Matrix(4, 6), Matrix(4, 6), Matrix(4, 6), Matrix(4, 6), Matrix(4, 6), Matrix(4, 6), Matrix(4, 6) };
double straight(const double *x, const uint32_t *row, size_t, double *g) {
  size_t client = 0;
  double loss = 0;
  while (row[0] >= federated::offset[client + 1]) client++;
  for (int i = 0; i < 29; i++) g[i] = i < 24 ? pull[client].v[(size_t)i] : 0, loss += g[i] * x[i];
  return loss;
}
const Problem linear = { { 2, 29, 0, wide_tensor }, uneven, straight };
} // namespace

TEST_CASE("ILoRA: clients with the same orthonormal B average their A", "[federated]") {
  problem = &linear, D = 29;
  const settings set = with({ { "stack", "ilora" }, { "rule", "sgd" }, { "clip_norm", ".inf" }, { "weight_decay", "0" },
                              { "lr", "0.1" }, { "rank_levels", "1" } });
  Low run(set, 2, 1);
  run.options.local_epochs = 0, run.options.local_steps = 1;
  run.open();
  const Matrix b = run.B(), a = run.A();
  double clear = 1;
  const Matrix flat = orthonormal(turned(a), &clear);                                   // 6 x 2: the rows of A
  Matrix want = a;
  for (size_t k = 0; k < N; k++) {
    for (size_t i = 0; i < 24; i++) pull[k].v[i] = uneven((int)(i + 31 * k));
    add(pull[k], -1, times(times(pull[k], flat), turned(flat)));
    add(want, -0.1 * (double)size_of(k) / SAMPLES, times(turned(b), pull[k]));
  }
  run.round();
  CHECK(apart(times(run.B(), run.A()), times(b, want)) < 3e-6);
  CHECK(apart(want, a) > 1e-2);
}

TEST_CASE("ILoRA: any number of threads and every instruction set, and resumed in the middle: the same bits", "[federated]") {
  for (const char *refactor : refactors) {
    use_mine(2);
    const settings set = by(refactor, 2);
    Low whole(set, 4, 0.6);
    CHECK(fl_rounds(whole.s, nullptr, nullptr) == 1);
    for (int threads = 1; threads <= 3; threads++)
      for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
        if (!fl_kernels_of((fl_isa)isa)) continue;
        Low again(set, 4, 0.6, threads);
        again.options.kernels = fl_kernels_select(fl_isa_name((fl_isa)isa), nullptr);
        again.open();
        CHECK(fl_rounds(again.s, nullptr, nullptr) == 1);
        CHECK(rules::same(again.x(), whole.x()));
      }
    Low first(set, 4, 0.6), second(set, 4, 0.6, 2);
    first.round(), first.round();
    second.load(first.save());
    CHECK(fl_rounds(second.s, nullptr, nullptr) == 1);
    CHECK(rules::same(second.x(), whole.x()));
    CHECK(second.save().size() == whole.save().size());
  }
}

TEST_CASE("Adapters: the model at the start, FedIT by any method, and nothing of the base is sent or moved", "[federated]") {
  use_mine(2);
  Low fedit({ { "name", "fedavg" }, { "lr", "0.5" } }, 2, 1);
  const rules::Floats start = fedit.x();
  const fl_layout *l = fl_adapters_objective(fedit.adapters)->layout;
  CHECK((l->d == 2 * (5 + 4) + 18 && l->buffers == 25 && l->n == 6));
  CHECK(std::string(l->tensor[0].name) + l->tensor[1].name + l->tensor[2].name + l->tensor[4].name == "w1.lora_Aw1.lora_B_Tw2w1");
  for (size_t i = 0; i < 10; i++) CHECK(start[8 + i] == 0);                             // B^T
  for (size_t i = 0; i < 8; i++) CHECK(std::fabs(start[i]) <= 0.5);                     // A, +-1/sqrt(4)
  for (size_t i = 0; i < 18; i++) CHECK(start[18 + i] == (float)start_of(25 + (int)i));
  for (size_t i = 0; i < 25; i++) CHECK(start[36 + i] == (float)start_of((int)i));
  double up, down;
  REQUIRE(fl_session_traffic(fedit.s, &up, &down) == 0);
  CHECK((up == 4.0 * (double)l->d * N * R && down == up));
  const fl_metrics m = fedit.round();
  CHECK((m.bytes_up == 4 * l->d * N && m.bytes_down == 4 * l->d * N));
  fedit.round();
  for (size_t i = 0; i < 25; i++) CHECK(fedit.x()[36 + i] == start[36 + i]);
  // B and A averaged each by itself are not the mean of the products.
  const settings set = { { "name", "fedavg" }, { "lr", "0.5" }, { "weights", "samples" } };
  Low two(set, 2, 1);
  two.round();
  const Means want = of_clients(set, 2);
  CHECK(apart(two.trained_head(), want.head) < 3e-6);
  CHECK(apart(two.W(), want.W) > 1e-3);
}

TEST_CASE("ILoRA and adapters: what they refuse, and what they keep", "[federated]") {
  char err[400] = "";
  use_mine(1);
  Low run(by("qr", 2), 4, 1);
  double up, down;
  REQUIRE(fl_session_traffic(run.s, &up, &down) == 0);
  CHECK(up == R * (double)run.round().bytes_up);          // of each client's own rank
  CHECK(down == 4.0 * 80 * N * R);              // 2d, as if all had the model's
  const fl_job *job = fl_session_job(run.s);
  size_t client = 0, server = 0;
  for (size_t j = 0; j < job->stage[0]->n_slots; j++) {
    const fl_slot &slot = job->stage[0]->slot[j];
    const size_t floats = slot.floats ? slot.floats(job, job->h_stage[0]) : job->layout->d;
    client += slot.place == FL_CLIENT ? floats : 0, server += slot.place == FL_SERVER ? floats : 0;
  }
  CHECK((client == 42 && server == 42));        // d + 2, as the page says
  run.a = rules::build(by("qr", 4));
  CHECK_THAT(run.open().error, Catch::Contains("rank_levels = 4 of rank 4: the last clients would have no rank"));
  const fl_objective plain = objective();
  session::Session none(with({}), plain, { 0, 5, 29 }, 2, BATCH);
  CHECK_THAT(none.open().error, Catch::Contains("the model has none; allowed: a model with adapters, such as mlp_lora8"));
  const fl_adapter_form five = { 5, 5, nullptr };
  CHECK(fl_adapters_new(&plain, &five, err, sizeof err) == nullptr);
  CHECK_THAT(err, Catch::Contains("adapters of rank 5: w of model small is 6 x 4; allowed: at most rank 4"));
  for (const auto &[key, value, why] : std::vector<std::array<const char *, 3>>{
         { "server_lr", "0.5", "sets x itself" }, { "rank_levels", "0", "rank_levels" }, { "rank_levels", "14", "rank_levels" },
         { "refactor", "lq", "qr" } })
    CHECK_THAT(rules::why_not(with({ { key, value } })), Catch::Contains(why));
  for (const char *stack : { "ilora+topk", "topk+ilora", "prox+ilora", "ilora+swa", "ilora+sam", "attack+ilora" })
    CHECK_THAT(rules::why_not({ { "stack", stack }, { "rule", "adamw" } }), Catch::Contains("allowed: ilora as the only stage"));
}
