// What the specification says of each element-wise rule in closed form: equalities between rules, first steps, limits, filters.
#include "rules.hpp"
#include <complex>
#include <limits>

namespace {
using rules::Flat;
using rules::Floats;
using rules::Run;
using rules::same;
using rules::Settings;

const double pi = 3.14159265358979323846;

Floats numbers(size_t n) {
  Floats x(n);
  for (size_t i = 0; i < n; i++) x[i] = float(std::cos(2.3 * double(i) + 0.7) * (1 + double(i % 7)));
  return x;
}
Settings with(Settings a, const Settings &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
// `steps` steps from `start` with gradient a*y; the same gradient at every step when `constant`.
Floats after(const Settings &set, const Floats &start, uint64_t steps, double a = 1, bool constant = false) {
  Flat flat(start.size());
  Run run(set, &flat.layout, start, steps);
  run.gradient = [&](uint64_t, const float *y, float *g) {
    for (size_t i = 0; i < start.size(); i++) g[i] = float(a * double(constant ? start[i] : y[i]));
  };
  return run.steps(steps);
}
// One parameter: y after each of `steps` steps of prescribed gradients.
std::vector<double> scalar(const Settings &set, double start, uint64_t steps,
                           const std::function<double(uint64_t, double)> &gradient,
                           const std::function<double(uint64_t)> &schedule = {}) {
  Flat flat(1);
  Run run(set, &flat.layout, { float(start) }, steps);
  run.gradient = [&](uint64_t k, const float *y, float *g) { g[0] = float(gradient(k, double(y[0]))); };
  run.schedule = schedule;
  run.steps(steps);
  std::vector<double> path;
  for (size_t k = 1; k < run.path.size(); k++) path.push_back(double(run.path[k][0]));
  path.push_back(double(run.y[0]));
  return path;
}
double ones(uint64_t, double) { return 1; }
const Settings flat_decay = { { "weight_decay", "0" } };
} // namespace

TEST_CASE("SGD on 0.5 |p|^2 multiplies p by 1 - lr - lr*weight_decay", "[rules]") {
  const Floats p = numbers(37), q = after({ { "rule", "sgd" }, { "lr", "0.1" }, { "weight_decay", "0.5" } }, p, 1);
  for (size_t i = 0; i < p.size(); i++) CHECK(double(q[i]) == Approx(double(p[i]) * (1 - 0.1 - 0.05)).epsilon(1e-6));
}

TEST_CASE("the three forms of momentum", "[rules]") {
  const Floats p = numbers(40);
  const Floats a = after({ { "rule", "momentum" }, { "lr", "0.005" }, { "momentum", "0.9" } }, p, 30);
  const Floats b = after({ { "rule", "momentum_ema" }, { "lr", "0.05" }, { "momentum", "0.9" } }, p, 30);
  const Floats c = after({ { "rule", "momentum_velocity" }, { "lr", "0.005" }, { "momentum", "0.9" } }, p, 30);
  for (size_t i = 0; i < p.size(); i++) {
    CHECK(a[i] == Approx(b[i]).epsilon(1e-5));  // A with lr*(1 - momentum) is B with lr
    CHECK(a[i] == Approx(c[i]).epsilon(1e-5));  // and C while lr is constant
  }
  for (const char *form : { "momentum", "momentum_ema" })
    CHECK(same(after({ { "rule", form }, { "lr", "0.1" }, { "momentum", "0" } }, p, 7),
               after({ { "rule", "sgd" }, { "lr", "0.1" } }, p, 7)));
  const Floats d = after({ { "rule", "momentum_velocity" }, { "lr", "0.1" }, { "momentum", "0" } }, p, 7),
      sgd = after({ { "rule", "sgd" }, { "lr", "0.1" } }, p, 7);
  for (size_t i = 0; i < p.size(); i++) CHECK(d[i] == Approx(sgd[i]).epsilon(1e-6));
  // A constant gradient: the step tends to lr*|g|/(1 - momentum) for A, lr*|g| for B.
  const auto pa = scalar({ { "rule", "momentum" }, { "lr", "0.01" } }, 0, 300, ones),
      pb = scalar({ { "rule", "momentum_ema" }, { "lr", "0.01" } }, 0, 300, ones);
  CHECK(pa[298] - pa[299] == Approx(0.1).epsilon(1e-4));
  CHECK(pb[298] - pb[299] == Approx(0.01).epsilon(1e-4));
  // After lr has dropped to 0 from the third step on, C goes on moving, A stops.
  auto drop = [](uint64_t k) { return k < 3 ? 0.1 : 0.0; };
  const auto sa = scalar({ { "rule", "momentum" } }, 0, 4, ones, drop),
      sc = scalar({ { "rule", "momentum_velocity" } }, 0, 4, ones, drop);
  CHECK(sa[3] == sa[1]);
  CHECK(sc[3] == Approx(-0.1 - 0.19 - 0.171 - 0.1539).epsilon(1e-6));
  // Dampening acts from the second step on: 1, then 0.9 + 0.1; as an average (form B) it would begin with 0.1.
  const auto damped = scalar({ { "rule", "momentum" }, { "lr", "1" }, { "dampening", "0.9" } }, 0, 2, ones);
  CHECK(damped[0] == -1);
  CHECK(damped[1] == Approx(-2));
  CHECK(scalar({ { "rule", "momentum_ema" }, { "lr", "1" } }, 0, 1, ones)[0] == Approx(-0.1));
  CHECK(scalar({ { "rule", "momentum_ema" }, { "lr", "1" }, { "bias_correction", "yes" } }, 0, 5, ones)[4] == Approx(-5));
}

TEST_CASE("Nesterov on 0.5 a x^2 is the power of a 2x2 matrix; its first step is lr*(1 + momentum)*g", "[rules]") {
  const double a = 1.3, lr = 0.1, mu = 0.9;
  const auto x = scalar({ { "rule", "momentum" }, { "nesterov", "yes" }, { "lr", "0.1" } }, 2, 25,
                        [&](uint64_t, double y) { return a * y; });
  CHECK(x[0] == Approx(2 - lr * (1 + mu) * a * 2).epsilon(1e-6));
  // (x, m) <- ((1 - lr a (1 + mu)) x - lr mu^2 m, a x + mu m); m = 0 makes m_1 = g_1
  double s = 2, m = 0;
  for (size_t k = 0; k < 25; k++) {
    const double next = (1 - lr * a * (1 + mu)) * s - lr * mu * mu * m;
    m = a * s + mu * m, s = next;
    CHECK(x[k] == Approx(s).margin(2e-6));
  }
  CHECK_THAT(rules::why_not({ { "rule", "momentum" }, { "nesterov", "yes" }, { "dampening", "0.1" } }),
             Catch::Contains("dampening = 0.1; allowed: above 0, and 0"));
  CHECK_THAT(rules::why_not({ { "rule", "momentum" }, { "nesterov", "yes" }, { "momentum", "0" } }),
             Catch::Contains("momentum = 0 and dampening = 0; allowed: above 0, and 0"));
}

TEST_CASE("FSGDM: its momentum by stages, and what it equals while that is frozen", "[rules]") {
  // u_t seen from outside: with a buffer of 1 and gradient 0 the buffer becomes u_t.
  auto u = [](const Settings &set, uint64_t t, uint64_t total) {
    Flat flat(1);
    Run run(with({ { "rule", "fsgdm" }, { "weight_decay", "0" } }, set), &flat.layout, { 0 }, total);
    run.gradient = [](uint64_t, const float *, float *g) { g[0] = 0; };
    run.lo.clock.t = t - 1, run.state[0] = 1;
    run.steps(1);
    return double(run.state[0]);
  };
  const Settings ten = { { "n_stages", "10" }, { "c", "0.05" } };
  double before = 0;
  for (uint64_t t = 1; t <= 100; t++) {
    const double now = u(ten, t, 100), tau = double(t / 10 * 10);
    CHECK(now == Approx(tau / (tau + 5)).margin(1e-7));
    CHECK(now >= before);
    CHECK(now <= 1 / 1.05 + 1e-7);
    before = now;
  }
  CHECK(u(ten, 9, 100) == 0);
  CHECK(u(ten, 99, 100) < 0.948);
  CHECK(u(ten, 100, 100) == Approx(1 / 1.05));  // n_stages divides the steps: the very last alone
  CHECK(u({ { "n_stages", "7" } }, 50, 100) == Approx(42 / (42 + 3.3)));  // delta = floor(100/7) = 14
  CHECK(u({ { "n_stages", "7" }, { "total_steps", "1000" } }, 50, 100) == 0);
  // Frozen at u = 0.9: half of two stages, c = 0.5/9.
  auto frozen = [](const char *v, const Floats &start) {
    Flat flat(start.size());
    Run run({ { "rule", "fsgdm" }, { "lr", "0.05" }, { "weight_decay", "0" }, { "n_stages", "2" }, { "total_steps", "1000000" },
              { "c", "0.055555555555555552" }, { "v", v } }, &flat.layout, start, 1000000);
    run.gradient = [&](uint64_t, const float *y, float *g) { std::copy(y, y + start.size(), g); };
    run.lo.clock.t = 500000;
    return run.steps(20);
  };
  const Floats p = numbers(33), a = after({ { "rule", "momentum" }, { "lr", "0.05" } }, p, 20), one = frozen("1", p);
  const Floats b = after({ { "rule", "momentum_ema" }, { "lr", "0.05" } }, p, 20), tenth = frozen("0.1", p);
  for (size_t i = 0; i < p.size(); i++) {
    CHECK(one[i] == Approx(a[i]).epsilon(1e-5).margin(1e-6));
    CHECK(tenth[i] == Approx(b[i]).epsilon(1e-5).margin(1e-6));
  }
  const Settings sgd_like = { { "rule", "fsgdm" }, { "lr", "0.1" }, { "weight_decay", "0" }, { "n_stages", "3" },
                              { "c", "1000000" }, { "v", "0.5" } };
  const Floats c = after(sgd_like, p, 9), sgd = after({ { "rule", "sgd" }, { "lr", "0.05" } }, p, 9);
  for (size_t i = 0; i < p.size(); i++) CHECK(c[i] == Approx(sgd[i]).epsilon(1e-5));
  const Settings raw = { { "rule", "fsgdm" }, { "lr", "0.1" }, { "n_stages", "3" }, { "first_step", "raw" } };
  CHECK(same(after(raw, p, 9), after({ { "rule", "fsgdm" }, { "lr", "0.1" }, { "n_stages", "3" } }, p, 9)));
  const Settings half = { { "v", "0.5" } };
  CHECK_FALSE(same(after(with(raw, half), p, 9),
                   after(with({ { "rule", "fsgdm" }, { "lr", "0.1" }, { "n_stages", "3" } }, half), p, 9)));
  CHECK_THAT(rules::why_not({ { "rule", "fsgdm" }, { "total_steps", "20" } }),
             Catch::Contains("n_stages = 300; allowed: 1 to 20, the total_steps"));
}

TEST_CASE("the momentum kernel as a filter: after 4000 steps of exp(iwt) its state is H(w) exp(iwt)", "[rules]") {
  auto response = [](double u, double v, double w) { return std::polar(std::fabs(v) / std::sqrt(1 - 2 * u * std::cos(w) + u * u),
                                                                       -std::atan2(u * std::sin(w), 1 - u * std::cos(w))); };
  auto gain = [&](double u, double v, double w) { return std::abs(response(u, v, w)); };
  CHECK(gain(0.9, 1, 0) == Approx(10));
  CHECK(gain(0.9, 1, pi / 2) == Approx(0.743294).epsilon(1e-6));
  CHECK(gain(0.9, 1, pi) == Approx(0.526316).epsilon(1e-6));
  CHECK(gain(0.9, 0.1, pi / 2) == Approx(0.0743294).epsilon(1e-6));
  CHECK(gain(0.9, 1, std::acos(0.45)) == Approx(1));                              // unit gain at cos w = u/2
  CHECK(gain(0.9, 0.1, std::acos(1 - 0.01 / 1.8)) == Approx(std::sqrt(0.5)));     // cut-off of the coupled form
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  for (const auto &uv : { std::pair<double, double>{ 0.9, 1 }, { 0.9, 0.1 }, { 0.5, 1 }, { 0, 1 }, { -0.6, 1 } })
    for (double w : { 0.0, 0.05, 0.4, pi / 2, 2.5, pi })
      for (int nesterov : { 0, 1 }) {
        float y[2] = { 0, 0 }, state[2] = { 0, 0 };
        const fl_momentum_args a = { float(uv.first), float(uv.second), 1.0f, 0.0f, nesterov };   // y = -direction
        for (int t = 1; t <= 4000; t++) {
          const float g[2] = { float(std::cos(w * t)), float(std::sin(w * t)) };
          k->momentum(2, y, state, g, &a);
        }
        INFO("u " << uv.first << " v " << uv.second << " w " << w << " nesterov " << nesterov);
        const std::complex<double> turn = std::polar(1.0, w * 4000), h = response(uv.first, uv.second, w);
        const std::complex<double> m{ double(state[0]), double(state[1]) }, d{ -double(y[0]), -double(y[1]) };
        CHECK(std::abs(m / turn - h) < 3e-6 * std::abs(h));
        // Nesterov's direction v*g + u*m, for v = 1: 1 + u/(1 - u exp(-iw)).
        const std::complex<double> ahead = uv.second + uv.first * uv.second / (1.0 - uv.first * std::polar(1.0, -w));
        CHECK(std::abs(d / turn - (nesterov ? ahead : h)) < 3e-6 * std::abs(nesterov ? ahead : h));
      }
}

TEST_CASE("clipping keeps the gradient's direction and brings its norm to at most max_norm", "[rules]") {
  for (const size_t n : { 1, 7, 64, 1000, 5000 })
    for (const double size : { 1e-6, 0.3, 1.0, 40.0, 1e12 })
      for (const double limit : { 1e-3, 1.0, 10.0, double(INFINITY) }) {
        Flat flat(n);
        Run run({ { "rule", "sgd" }, { "lr", "1" }, { "weight_decay", "0" } }, &flat.layout, Floats(n, 0));   // from 0: y = -k*g
        Floats g = numbers(n);
        double square = 0, dot = 0, moved = 0;
        for (auto &x : g) x = float(double(x) * size), square += double(x) * double(x);
        run.gradient = [&](uint64_t, const float *, float *out) { std::copy(g.begin(), g.end(), out); };
        run.clip_norm = limit;
        run.steps(1);
        for (size_t i = 0; i < n; i++) dot -= double(run.y[i]) * double(g[i]), moved += double(run.y[i]) * double(run.y[i]);
        INFO(n << " of norm " << std::sqrt(square) << " to " << limit);
        CHECK(std::sqrt(moved) <= limit * (1 + 1e-7));
        CHECK(dot >= (1 - 1e-12) * std::sqrt(square * moved));   // parallel, to rounding's square
        CHECK(std::sqrt(moved) == Approx(std::sqrt(square) * std::min(1.0, limit / (std::sqrt(square) + 1e-6))).epsilon(1e-6));
      }
}

TEST_CASE("Adam and AdamW in closed form", "[rules]") {
  const Floats p = numbers(40);
  const Settings bare = { { "rule", "adam" }, { "lr", "0.01" }, { "beta1", "0" }, { "beta2", "0" }, { "eps", "1e-38" } };
  const Settings sign = { { "rule", "signsgd" }, { "lr", "0.01" }, { "weight_decay", "0" } };
  CHECK(same(after(bare, p, 6), after(sign, p, 6)));
  // A constant gradient: |dp| = lr at every step; the first step for any betas.
  const auto steady = scalar({ { "rule", "adam" }, { "lr", "0.01" }, { "eps", "1e-38" } }, 0, 50,
                             [](uint64_t, double) { return 0.3; });
  for (size_t k = 1; k < 50; k++) CHECK(steady[k - 1] - steady[k] == Approx(0.01).epsilon(1e-4));
  CHECK(scalar({ { "rule", "adam" }, { "lr", "0.1" }, { "beta1", "0.3" }, { "beta2", "0.7" }, { "eps", "0.5" } }, 0, 1,
               [](uint64_t, double) { return -2.0; })[0] == Approx(0.1 * 2 / 2.5).epsilon(1e-6));
  // Scale of the gradient: without eps of no effect, by a power of two to the bit.
  const Settings no_eps = { { "rule", "adam" }, { "lr", "0.01" }, { "eps", "1e-38" } };
  CHECK(same(after(no_eps, p, 9), after(no_eps, p, 9, 1024)));
  const Floats thousand = after(no_eps, p, 9, 1000), plain = after(no_eps, p, 9);
  for (size_t i = 0; i < p.size(); i++) CHECK(thousand[i] == Approx(plain[i]).epsilon(1e-5));
  CHECK(same(after({ { "rule", "adamw" }, { "lr", "0.01" }, { "weight_decay", "0" } }, p, 9),
             after({ { "rule", "adam" }, { "lr", "0.01" } }, p, 9)));
  const auto decayed = scalar({ { "rule", "adamw" }, { "lr", "0.1" }, { "weight_decay", "0.5" } }, 3, 8,
                              [](uint64_t, double) { return 0.0; });
  for (size_t k = 0; k < 8; k++) CHECK(decayed[k] == Approx(3 * std::pow(0.95, double(k + 1))).epsilon(1e-6));
  // AMSGrad after one large gradient: the maximum stays, v falls.
  auto spike = [](uint64_t k, double) { return k == 1 ? 100.0 : 0.01; };
  const Settings fast = { { "rule", "adam" }, { "lr", "0.1" }, { "beta1", "0" }, { "beta2", "0.5" },
                          { "bias_correction", "no" } };
  const auto forgets = scalar(fast, 0, 30, spike), keeps = scalar(with(fast, { { "amsgrad", "yes" } }), 0, 30, spike);
  CHECK(forgets[28] - forgets[29] == Approx(0.1).epsilon(0.3));
  CHECK(keeps[28] - keeps[29] == Approx(0.1 * 0.01 / std::sqrt(5000)).epsilon(0.1));
}

TEST_CASE("FedAdam and FedYogi as adam and yogi without bias correction", "[rules]") {
  // beta1 0, beta2 nearly 1: x + lr/(2 tau)*Delta, so lr = 2 tau is FedAvg's server step.
  const Settings fedadam = { { "rule", "adam" }, { "lr", "0.002" }, { "beta1", "0" }, { "beta2", "0.999999999999" },
                             { "eps", "1e-3" }, { "bias_correction", "no" }, { "initial_accumulator", "1e-6" } };
  CHECK(scalar(fedadam, 1, 1, [](uint64_t, double) { return 0.25; })[0] == Approx(0.75).epsilon(1e-5));
  // While v << g^2, v grows by (1 - beta2)*g^2 in both.
  const Settings small = { { "beta2", "0.99" }, { "eps", "1e-3" }, { "initial_accumulator", "1e-6" }, { "bias_correction", "no" },
                           { "lr", "0.01" } };
  auto big = [](uint64_t, double) { return 5.0; };
  const auto yogi = scalar(with({ { "rule", "yogi" } }, small), 0, 3, big),
      adam = scalar(with({ { "rule", "adam" } }, small), 0, 3, big);
  for (size_t k = 0; k < 3; k++) CHECK(yogi[k] == Approx(adam[k]).epsilon(0.02));
  // Yogi's second moment falls by steps of (1 - beta2)*g^2, also where it is far above g^2.
  Flat flat(1);
  Run run({ { "rule", "yogi" }, { "initial_accumulator", "1" } }, &flat.layout, { 0 });
  run.gradient = [](uint64_t, const float *, float *g) { g[0] = 0.1f; };
  run.steps(10);
  CHECK(double(run.state[1]) == Approx(1 - 10 * 0.01 * 0.01).epsilon(1e-6));
}

TEST_CASE("AdaGrad and RMSprop in closed form", "[rules]") {
  const auto sum = scalar({ { "rule", "adagrad" }, { "lr", "0.5" } }, 0, 20, [](uint64_t, double) { return 0.7; });
  for (size_t t = 1; t <= 20; t++)
    CHECK((t == 1 ? 0.0 : sum[t - 2]) - sum[t - 1] == Approx(0.5 / std::sqrt(double(t))).epsilon(1e-4));
  CHECK(scalar({ { "rule", "rmsprop" }, { "lr", "0.01" } }, 0, 1, [](uint64_t, double) { return -3.0; })[0] ==
        Approx(0.01 / std::sqrt(0.01)).epsilon(1e-5));
  const Floats p = numbers(40);
  CHECK(same(after({ { "rule", "rmsprop" }, { "lr", "0.01" } }, p, 9),
             after({ { "rule", "adam" }, { "lr", "0.01" }, { "beta1", "0" }, { "beta2", "0.99" }, { "bias_correction", "no" } },
                   p, 9)));
  // Centred with a constant gradient the second moment tends to 0 (and rounding below it is clamped): eps alone is left.
  const Floats q = after({ { "rule", "rmsprop" }, { "lr", "1e-6" }, { "centred", "yes" }, { "beta2", "0.5" }, { "eps", "0.01" } },
                         p, 100, 1, true);
  for (float v : q) CHECK(std::isfinite(v));
}

TEST_CASE("Adam-mini: blocks of one are AdamW, equal entries are AdamW, order inside a block does not matter", "[rules]") {
  static const fl_tensor t[2] = { { "w", FL_MATRIX, 0, 0, 2, { 4, 6, 0, 0 }, 0, 24 },
                                  { "b", FL_BIAS, 0, 0, 1, { 5, 0, 0, 0 }, 24, 5 } };
  static const fl_layout layout = { 2, 29, 0, t };
  auto run = [&](const Settings &set, const Floats &start, std::function<float(size_t)> g) {
    Run r(set, &layout, start);
    r.gradient = [&](uint64_t k, const float *, float *out) { for (size_t i = 0; i < 29; i++) out[i] = g(i) / float(k); };
    return r.steps(6);
  };
  const Floats p = numbers(29), q = numbers(64);
  auto any = [&](size_t i) { return q[i + 20]; };
  const Settings mini = { { "rule", "adam_mini" }, { "lr", "0.01" }, { "weight_decay", "0.1" }, { "decay_vectors", "yes" } };
  const Settings adamw = { { "rule", "adamw" }, { "lr", "0.01" }, { "weight_decay", "0.1" } };
  CHECK(same(run(with(mini, { { "mini_blocks", "full" } }), p, any), run(adamw, p, any)));
  auto equal = [&](size_t i) { return (i % 2 ? -1.0f : 1.0f) * float(1 + i / 6); };
  const Floats a = run(mini, p, equal), b = run(adamw, p, equal);
  for (size_t i = 0; i < 29; i++) CHECK(a[i] == Approx(b[i]).epsilon(2e-6));
  auto turned = [](size_t i) { return i < 24 ? i / 6 * 6 + (i + 1) % 6 : i; };  // rows of 6, turned by one
  Floats p2(29);
  for (size_t i = 0; i < 29; i++) p2[i] = p[turned(i)];
  const Floats straight = run(mini, p, any), permuted = run(mini, p2, [&](size_t i) { return any(turned(i)); });
  for (size_t i = 0; i < 29; i++) CHECK(permuted[i] == Approx(straight[turned(i)]).epsilon(1e-6));
  const Floats kept = run({ { "rule", "adam_mini" }, { "lr", "0.01" }, { "weight_decay", "0.1" } }, p,
                          [](size_t) { return 0.0f; });
  for (size_t i = 0; i < 29; i++)
    CHECK(kept[i] == Approx(i < 24 ? double(p[i]) * std::pow(0.999, 6) : double(p[i])).epsilon(1e-6));
}

TEST_CASE("Lion, signSGD, Signum: equalities, bounds, signs of 0 and NaN", "[rules]") {
  Floats p = numbers(50);
  p[7] = 0.0f, p[8] = -0.0f;
  const Settings lr = { { "lr", "0.01" }, { "weight_decay", "0" } };
  auto rule = [&](const char *name, const Settings &more) { return with(with({ { "rule", name } }, lr), more); };
  CHECK(same(after(rule("lion", { { "beta1", "0.8" }, { "beta2", "0.8" } }), p, 9),
             after(rule("signum", { { "momentum", "0.8" } }), p, 9)));
  CHECK(same(after(rule("lion", { { "beta1", "0" } }), p, 9), after(rule("signsgd", {}), p, 9)));
  CHECK(same(after(rule("signum", { { "momentum", "0" } }), p, 9), after(rule("signsgd", {}), p, 9)));
  CHECK(same(after(rule("signsgd", {}), p, 9), after(rule("signsgd", {}), p, 9, 1e-3)));
  for (const char *name : { "lion", "signsgd", "signum" }) {
    const Floats q = after(rule(name, {}), p, 1);
    for (size_t i = 0; i < p.size(); i++) {
      const double move = std::fabs(double(q[i]) - double(p[i]));
      CHECK((move == 0 || move == Approx(0.01).epsilon(1e-4)));
    }
    CHECK((q[7] == 0 && q[8] == 0));
  }
  CHECK(after(rule("signsgd", { { "sign_of_zero", "plus" } }), p, 1)[8] == -0.01f);
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const char *name : { "lion", "signsgd", "signum", "signadam", "signadampp" }) {
    Flat flat(3);
    Run run(rule(name, {}), &flat.layout, { 1, 1, 1 });
    run.gradient = [&](uint64_t, const float *, float *g) { g[0] = nan, g[1] = inf, g[2] = -inf; };
    run.steps(1);
    INFO(name);
    CHECK(std::isnan(run.y[0]));
    CHECK((run.y[1] < 1 && run.y[2] > 1 && std::isfinite(run.y[1]) && std::isfinite(run.y[2])));
  }
}

TEST_CASE("signADAM and signADAM++ in closed form", "[rules]") {
  const Floats p = numbers(60);
  const Settings lr = { { "lr", "0.01" }, { "weight_decay", "0" } };
  auto rule = [&](const char *name, const Settings &more) { return with(with({ { "rule", name } }, lr), more); };
  const Floats first = after(rule("signadam", {}), p, 1);
  for (size_t i = 0; i < p.size(); i++)
    CHECK(std::fabs(double(p[i]) - double(first[i])) == Approx(0.01 * 0.1 / std::sqrt(0.001)).epsilon(1e-3));
  CHECK(same(after(rule("signadam", { { "beta2", "0" }, { "eps", "1e-38" } }), p, 9),
             after(rule("signadampp", { { "threshold", "0" } }), p, 9)));
  const Floats sign = after(rule("signsgd", {}), p, 9);
  CHECK(same(after(rule("signadampp", { { "threshold", "0" }, { "beta1", "0" } }), p, 9), sign));
  CHECK(same(after(rule("signadampp", { { "threshold", "0" }, { "use_momentum", "no" } }), p, 9), sign));
  CHECK(same(after(rule("signadampp", { { "threshold", "1000" } }), p, 9), p));   // above max |g|, m = 0: nothing moves
  size_t before = 0;
  for (const char *threshold : { "0", "0.5", "1", "2", "4", "8" }) {
    const Floats q = after(rule("signadampp", { { "threshold", threshold } }), p, 1);
    size_t zeros = 0;
    for (size_t i = 0; i < p.size(); i++) zeros += q[i] == p[i];
    CHECK(zeros >= before);
    before = zeros;
  }
  CHECK(before == p.size());
  // |g| = threshold: left out, or kept as in the paper's Algorithm 3.
  auto at = [](uint64_t, double) { return 0.25; };
  CHECK(scalar(rule("signadampp", { { "threshold", "0.25" } }), 1, 1, at)[0] == 1);
  CHECK(scalar(rule("signadampp", { { "threshold", "0.25" }, { "keep_equal", "yes" } }), 1, 1, at)[0] ==
        Approx(1 - 0.001).epsilon(1e-7));
  CHECK(scalar(rule("signadampp", { { "threshold", "0.25" }, { "average", "no" } }), 1, 2,
               [](uint64_t, double) { return 3.0; })[1] ==
        Approx(1 - 0.01 * (1 + 1.9)).epsilon(1e-6));
  for (const char *name : { "signadam", "signadampp" }) {       // the averages of signs are at most 1
    Flat flat(p.size());
    Run run(rule(name, {}), &flat.layout, p);
    run.gradient = [&](uint64_t k, const float *y,
                       float *g) { for (size_t i = 0; i < p.size(); i++) g[i] = k % 5 ? 100 * y[i] : -y[i]; };
    run.steps(40);
    for (size_t i = 0; i < p.size(); i++) CHECK(std::fabs(run.state[i]) <= 1);
  }
  // Adaptive: two tensors, each with a threshold from its own spread. s = 0.1*deviation after one step.
  static const fl_tensor t[2] = { { "a", FL_BIAS, 0, 0, 1, { 4, 0, 0, 0 }, 0, 4 },
                                  { "b", FL_BIAS, 0, 0, 1, { 4, 0, 0, 0 }, 4, 4 } };
  static const fl_layout layout = { 2, 8, 0, t };
  Run run({ { "rule", "signadampp" }, { "lr", "0.01" }, { "adaptive", "yes" }, { "conf_scale", "8" }, { "weight_decay", "1" } },
          &layout, { 1, 1, 1, 1, 1, 1, 1, 1 });
  run.gradient = [](uint64_t, const float *,
                    float *g) { std::copy_n(Floats{ 1, -1, 1, -0.7f, 100, -100, 30, 90 }.data(), 8, g); };
  run.steps(1);                                 // deviation 0.9 and 82: thresholds 0.72 and 65
  const double step = 0.01 * 0.1, want[8] = { -step, step, -step, 0, -step, step, 0, -step };
  for (size_t i = 0; i < 8; i++) CHECK(run.y[i] == Approx(0.99 + want[i]).epsilon(1e-6));
}
