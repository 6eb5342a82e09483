// The federated methods over adaptive and matrix rules (federated-adaptive 11-20) against plain double-precision references: what
// is shared, the pull along the global direction, and whose counter corrects what. The rules alone are test_rules*.cpp's.
#include "federated.hpp"
#include "reference_matrix.hpp"

namespace {
using reference::Matrix;
std::vector<reference::Tensor> tensors() {
  std::vector<reference::Tensor> out;
  for (size_t i = 0; i < problem->layout.n; i++) {
    const fl_tensor &t = problem->layout.tensor[i];
    out.push_back({ t.offset, t.size, std::vector<size_t>(t.shape, t.shape + t.ndim) });
  }
  return out;
}
const double LONGEST = EPOCHS * 4;              // local_steps: the largest client has 8 samples
const std::pair<std::string, std::string> none = { "weight_decay", "0" };

// K steps of the rule, each followed by the pull y <- y - pull*D.
template <class Step> Vec walk(const Client &c, double pull, const Vec &D0, Step step) {
  Vec y = c.x;
  for (uint64_t k = 0; k < (uint64_t)c.K; k++) {
    step(y, c.grad(k, y), (int)k + 1);
    y = y - pull * D0;
  }
  return y;
}
// theta is summed with weights 1/M while the clients run, and taken over by the server.
struct Shared {
  Vec D0 = zero;
  Matrix theta, sum;
  void add(const Matrix &mine) {
    if (sum.empty()) sum.assign(mine.size(), 0);
    for (size_t i = 0; i < mine.size(); i++) sum[i] += mine[i] / M;
  }
  Vec serve(const Vec &x, const Clients &c, const Vecs &d) {
    theta = sum;
    sum.clear();
    D0 = direction(c, d);
    return x + mean(c, d);
  }
};
// What is packed one after the other.
Matrix joined(const std::vector<Matrix *> &of) {
  Matrix out;
  for (auto m : of) out.insert(out.end(), m->begin(), m->end());
  return out;
}
void hand_out(const Matrix &theta, const std::vector<Matrix *> &to) {
  auto at = theta.begin();
  for (auto m : to) std::copy_n(at, m->size(), m->begin()), at += (long)m->size();
}
std::vector<Matrix *> matrices(const std::vector<reference::Tensor> &all, std::vector<Matrix> &m) {
  std::vector<Matrix *> out;
  for (size_t t = 0; t < all.size(); t++) if (all[t].shape.size() > 1) out.push_back(&m[t]);
  return out;
}
// Of a rule made with a step size, and the parts of it that are shared; alpha 0: nothing is.
template <class Make, class Parts>
void agree_sharing(const settings &set, double alpha, Make make, Parts parts_of, double tolerance) {
  const auto all = tensors();
  Shared s;
  agree(set, simulate({ [&](Client &c) {
                          auto rule = make((1 - alpha) * c.lr);
                          if (alpha > 0 && !s.theta.empty()) hand_out(s.theta, parts_of(rule));
                          const Vec y = walk(c, c.lr * alpha, s.D0,
                                             [&](Vec &p, const Vec &g, int k) { rule.step(all, p, g, k); });
                          s.add(joined(parts_of(rule)));
                          return y;
                        },
                         [&](const Vec &x, const Clients &c, const Vecs &d) { return s.serve(x, c, d); } }, false),
        nullptr, tolerance);
}
} // namespace

TEST_CASE("FedLADA equals its reference", "[federated]") {
  use(GENERATE(0, 1));
  Shared s;
  const double alpha = 0.3;
  agree({ { "name", "fedlada" }, { "alpha", "0.3" }, { "beta1", "0.9" }, none },
        simulate({ [&](Client &c) {
                     Vec m = zero, v = s.theta.empty() ? Vec(D, 1e-4) : s.theta, top = v;
                     const Vec y = walk(c, c.lr * (1 - alpha), s.D0, [&](Vec &p, const Vec &g, int) {
                       for (int i = 0; i < D; i++) {
                         m[i] = 0.9 * m[i] + 0.1 * g[i], v[i] = 0.99 * v[i] + 0.01 * g[i] * g[i];
                         top[i] = std::fmax(top[i], v[i]);
                         p[i] -= c.lr * alpha * m[i] / std::sqrt(top[i]);
                       }
                     });
                     s.add(top);
                     return y;
                   },
                    [&](const Vec &x, const Clients &c, const Vecs &d) { return s.serve(x, c, d); } }, false));
}

TEST_CASE("Local AdamW and FedAdamW equal their references", "[federated]") {
  use(GENERATE(0, 1));
  enum { LOCAL, ADDITIVE, CONVEX };
  for (const int kind : { LOCAL, ADDITIVE, CONVEX }) {
    Shared s;
    const double alpha = kind == LOCAL ? 0 : 0.4, share = kind == CONVEX ? 1 - alpha : 1;
    settings set = { { "name", kind == LOCAL ? "local_adamw" : "fedadamw" }, { "eps", "1e-3" }, { "weight_decay", "0.1" } };
    if (kind != LOCAL)
      set.insert(set.end(), { { "alpha", "0.4" }, { "block_rule", "tensor" },
                              { "mix", kind == CONVEX ? "convex" : "additive" } });
    agree(set, simulate({ [&](Client &c) {
                            Vec m = zero, v = zero;
                            if (kind != LOCAL && !s.theta.empty())
                              for (int i = 0; i < D; i++) v[i] = s.theta[tensor_of(i)];
                            const Vec y = walk(c, c.lr * alpha, s.D0, [&](Vec &p, const Vec &g, int k) {
                              const double t = kind == LOCAL ? k : (double)c.r * LONGEST + k;
                              for (int i = 0; i < D; i++) {
                                m[i] = 0.9 * m[i] + 0.1 * g[i], v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                                const double mh = m[i] / (1 - std::pow(0.9, k)), vh = v[i] / (1 - std::pow(0.999, t));
                                p[i] = (1 - c.lr * 0.1) * p[i] - share * c.lr * mh / (std::sqrt(vh) + 1e-3);
                              }
                            });
                            Matrix block(problem->layout.n, 0);
                            for (int i = 0; i < D; i++)
                              block[tensor_of(i)] += v[i] / (double)problem->layout.tensor[tensor_of(i)].size;
                            s.add(block);
                            return y;
                          },
                           [&](const Vec &x, const Clients &c, const Vecs &d) { return s.serve(x, c, d); } }, false));
  }
}

TEST_CASE("Local Muon, FedMuon and FedPAC over Muon equal their references", "[federated]") {
  use(GENERATE(0, 1));
  const auto all = tensors();
  for (const std::string name : { "local_muon", "fedmuon", "fedpac_muon" })
    agree_sharing({ { "name", name }, { "weight_decay", "0.1" } }, name == "local_muon" ? 0 : 0.5,
                  [&](double lr) {
                    reference::Muon rule;
                    rule.lr = lr, rule.scale = 0.5, rule.decay = 0.1, rule.momentum = name == "fedmuon" ? 0.98 : 0.95;
                    for (auto &t : all) rule.m.push_back(Matrix(t.size, 0));
                    rule.v = rule.m;
                    return rule;
                  },
                  [&](reference::Muon &rule) { return matrices(all, rule.m); }, 1e-3);
}

// The polar factor on the quadratic alone: the network's gradients of two samples have rank 2, and no two programs agree on the
// rest.
TEST_CASE("FedMuon as its paper has it, and with its momentum compressed, equals its reference", "[federated]") {
  enum { PAPER, COMPRESSED };
  for (const int kind : { PAPER, COMPRESSED }) for (const int which : { 0, 1 }) {
    if (kind == PAPER && which == 1) continue;
    use(which);
    const auto all = tensors();
    Shared s;
    settings set = { { "name", "fedmuon" }, { "weight_decay", "0.1" }, { "alpha", "0.4" } };
    if (kind == PAPER)
      set.insert(set.end(), { { "momentum_form", "sum" }, { "nesterov", "no" }, { "orthogonal", "polar" },
                              { "muon_scale", "none" }, { "muon_lr_scale", "1" } });
    else set.push_back({ "compression_ratio", "1" });
    agree(set, simulate({ [&](Client &c) {
                            reference::Muon rule;
                            rule.lr = 0.6 * c.lr, rule.decay = 0.1, rule.momentum = 0.98;
                            rule.scale = kind == PAPER ? 1 : 0.5, rule.paper = kind == PAPER, rule.nesterov = kind != PAPER;
                            for (auto &t : all) rule.m.push_back(Matrix(t.size, 0));
                            rule.v = rule.m;
                            if (!s.theta.empty()) hand_out(s.theta, matrices(all, rule.m));
                            const Vec y = walk(c, c.lr * 0.4, s.D0,
                                               [&](Vec &p, const Vec &g, int k) { rule.step(all, p, g, k); });
                            for (size_t t = 0; kind == COMPRESSED && t < all.size(); t++) {
                              if (all[t].shape.size() < 2) continue;
                              const size_t a = all[t].shape[0], b = all[t].shape[1], rank = a * b / (a + b + 1);
                              rule.m[t] = reference::Muon::low_rank(a, b, rank, rule.m[t]);
                            }
                            s.add(joined(matrices(all, rule.m)));
                            return y;
                          },
                           [&](const Vec &x, const Clients &c, const Vecs &d) { return s.serve(x, c, d); } }, false),
          nullptr, 1e-3);
  }
}

TEST_CASE("Local Sophia and FedPAC over Sophia equal their references", "[federated]") {
  use(GENERATE(0, 1));
  for (const std::string name : { "local_sophia", "fedpac_sophia" }) {
    Shared s;
    const double alpha = name == "local_sophia" ? 0 : 0.5;
    agree({ { "name", name }, { "sophia_rho", "0.5" } },
          simulate({ [&](Client &c) {
                       reference::Sophia rule;
                       rule.lr = (1 - alpha) * c.lr, rule.b2 = 0.99, rule.rho = 0.5, rule.eps = 1e-15, rule.decay = 0.1;
                       rule.m = zero, rule.h = alpha > 0 && !s.theta.empty() ? s.theta : zero;
                       const Vec y = walk(c, c.lr * alpha, s.D0, [&](Vec &p, const Vec &g, int) {
                         Matrix estimate(D);
                         const double rows = size_of(c.id) < BATCH ? 1 : BATCH;
                         for (int i = 0; i < D; i++) estimate[i] = rows * g[i] * g[i];
                         rule.step(p, g, &estimate);
                       });
                       s.add(rule.h);
                       return y;
                     },
                      [&](const Vec &x, const Clients &c, const Vecs &d) { return s.serve(x, c, d); } }, false));
  }
}

// SOAP's factors, or Shampoo's with the vectors' sums, tensor by tensor.
template <class Rule> std::vector<Matrix *> parts(const std::vector<reference::Tensor> &all, Rule &rule, bool sums) {
  std::vector<Matrix *> out;
  rule.state.resize(all.size());
  for (size_t t = 0; t < all.size(); t++) {
    auto &state = rule.state[t];
    if (all[t].shape.size() > 1) {
      if (state.s.empty()) for (size_t n : all[t].shape) state.s.push_back(Matrix(n * n, 0));
      for (auto &m : state.s) out.push_back(&m);
    }
    if constexpr (std::is_same_v<Rule, reference::Shampoo>) {
      if (sums && all[t].shape.size() == 1) state.a.resize(all[t].size), out.push_back(&state.a);
    }
  }
  return out;
}

// The first gradient of 6 x 4 leaves two of the six axes free, along which no two programs agree: hence the tolerance.
TEST_CASE("Local SOAP and FedPAC over SOAP equal their references", "[federated]") {
  use(GENERATE(0, 1));
  const auto all = tensors();
  for (const std::string name : { "local_soap", "fedpac_soap" })
    agree_sharing({ { "name", name }, { "eps", "0.1" }, { "precond_every", "2" }, { "weight_decay", "0.1" } },
                  name == "local_soap" ? 0 : 0.5,
                  [](double lr) {
                    reference::Soap rule;
                    rule.lr = lr, rule.b1 = 0.95, rule.eps = 0.1;
                    return rule;
                  },
                  [&](reference::Soap &rule) { return parts(all, rule, false); }, 5e-2);
}

TEST_CASE("Local Shampoo and FedPAC over Shampoo equal their references", "[federated]") {
  use(GENERATE(0, 1));
  const auto all = tensors();
  for (const std::string name : { "local_shampoo", "fedpac_shampoo" }) for (const double keep : { 1.0, 0.8 })
    agree_sharing({ { "name", name }, { "eps", "0.01" }, { "precond_every", "1" }, { "shampoo_decay", std::to_string(keep) } },
                  name == "local_shampoo" ? 0 : 0.5,
                  [&](double lr) {
                    reference::Shampoo rule;
                    rule.lr = lr, rule.keep = keep;
                    return rule;
                  },
                  [&](reference::Shampoo &rule) { return parts(all, rule, true); }, 1e-3);
}
