// LSTM and GRU over a sequence against loops in double after PyTorch's formulas; gradients against central differences of those.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <vector>
#include <fedlane/divide.h>

namespace {
using floats = std::vector<float>;
using doubles = std::vector<double>;

floats draw(size_t n, unsigned seed, float size) {
  std::mt19937 r(seed);
  floats v(n);
  for (float &x : v) x = float(int(r() % 4001) - 2000) / 2000.0f * size;
  return v;
}
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// arg: x, w_ih, w_hh, b_ih, b_hh, as torch.nn.LSTM and torch.nn.GRU document them; y of all samples.
struct Reference {
  size_t n, length, in, hidden;
  bool gru;
  doubles arg[5];
  size_t gates() const { return (gru ? 3 : 4) * hidden; }

  double gate(size_t w, size_t k, const double *input, size_t g) const { // one row of w, and its bias
    double sum = arg[w + 2][g];
    for (size_t i = 0; i < k; i++) sum += arg[w][g * k + i] * input[i];
    return sum;
  }
  doubles forward() const {
    doubles y(n * length * hidden);
    for (size_t b = 0; b < n; b++) {
      doubles h(hidden), c(hidden), next(hidden);
      for (size_t t = 0; t < length; t++) {
        const double *x = arg[0].data() + (b * length + t) * in;
        for (size_t j = 0; j < hidden; j++) {
          const auto of_x = [&](size_t g) { return gate(1, in, x, g * hidden + j); };
          const auto of_h = [&](size_t g) { return gate(2, hidden, h.data(), g * hidden + j); };
          if (gru) {
            const double r = logistic(of_x(0) + of_h(0)), z = logistic(of_x(1) + of_h(1)), m = std::tanh(of_x(2) + r * of_h(2));
            next[j] = (1 - z) * m + z * h[j];
          } else {
            const double i = logistic(of_x(0) + of_h(0)), f = logistic(of_x(1) + of_h(1)), g = std::tanh(of_x(2) + of_h(2));
            c[j] = f * c[j] + i * g;
            next[j] = logistic(of_x(3) + of_h(3)) * std::tanh(c[j]);
          }
        }
        h = next;
        for (size_t j = 0; j < hidden; j++) y[(b * length + t) * hidden + j] = h[j];
      }
    }
    return y;
  }
};

void check_recurrent(size_t n, size_t length, size_t in, size_t hidden, bool gru) {
  INFO((gru ? "GRU" : "LSTM") << " n " << n << " length " << length << " in " << in << " hidden " << hidden);
  Reference ref = { n, length, in, hidden, gru, {} };
  const size_t all = ref.gates(), rows = n * length, sizes[] = { rows * in, all * in, all * hidden, all, all };
  floats arg[5], first[5];
  for (unsigned i = 0; i < 5; i++) {
    arg[i] = draw(sizes[i], i + 1, i == 0 ? 2.0f : 0.5f);
    ref.arg[i].assign(arg[i].begin(), arg[i].end());
  }
  const floats dy = draw(rows * hidden, 9, 1);
  const doubles want = ref.forward();
  const fl_recurrent s = { length, in, hidden };
  const fl_recurrent_weights w = { arg[1].data(), arg[2].data(), arg[3].data(), arg[4].data() };
  for (int isa = 0; isa < FL_ISA_COUNT; isa++) {
    const fl_kernels *k = fl_kernels_of(fl_isa(isa));
    if (!k) continue;
    INFO("ISA " << k->name);
    floats y(rows * hidden), gates(rows * all), kept(rows * hidden), work(fl_recurrent_work(&s, n) + 1, NAN), d[5];
    for (size_t i = 0; i < 5; i++) d[i].assign(sizes[i], NAN);
    const fl_recurrent_gradients g = { d[1].data(), d[2].data(), d[3].data(), d[4].data() };
    work.back() = 42;
    (gru ? fl_gru : fl_lstm)(k, &s, n, arg[0].data(), &w, y.data(), gates.data(), kept.data(), work.data());
    for (size_t i = 0; i < y.size(); i++) CHECK(std::fabs(y[i] - want[i]) < 3e-6);
    (gru ? fl_gru_back : fl_lstm_back)(k, &s, n, arg[0].data(), &w, y.data(), gates.data(), kept.data(), dy.data(), d[0].data(),
                                       &g, work.data());
    CHECK(work.back() == 42);
    if (isa == 0) {
      std::mt19937 r(3);
      const auto value = [&] {
        const doubles out = ref.forward();
        double sum = 0;
        for (size_t i = 0; i < out.size(); i++) sum += out[i] * dy[i];
        return sum;
      };
      for (size_t a = 0; a < 5; a++) {
        first[a] = d[a];
        for (int trial = 0; trial < 8; trial++) {
          const size_t i = r() % sizes[a];
          const double step = 1e-5, old = ref.arg[a][i];
          ref.arg[a][i] = old + step;
          const double up = value();
          ref.arg[a][i] = old - step;
          const double down = value();
          ref.arg[a][i] = old;
          INFO("argument " << a << " coordinate " << i);
          CHECK(d[a][i] == Approx((up - down) / (2 * step)).epsilon(2e-5).margin(2e-5));
        }
      }
    }
    for (size_t a = 0; a < 5; a++) CHECK(!std::memcmp(d[a].data(), first[a].data(), 4 * sizes[a])); // every ISA the same bits
  }
}
} // namespace

TEST_CASE("LSTM and GRU over a sequence", "[recurrent]") {
  for (const bool gru : { false, true }) {
    check_recurrent(1, 1, 1, 1, gru);
    check_recurrent(3, 5, 4, 7, gru);
    check_recurrent(2, 9, 17, 20, gru);
    check_recurrent(5, 3, 8, 33, gru);
    check_recurrent(19, 3, 20, 6, gru);
  }
}

// A batch's weight gradients are those of its shards of 32 samples, added.
TEST_CASE("Shards of a batch give the bits of the whole", "[recurrent]") {
  const size_t n = 40, length = 6, in = 5, hidden = 9, left = 32, all = 4 * hidden;
  const fl_recurrent s = { length, in, hidden };
  const floats x = draw(n * length * in, 1, 1), dy = draw(n * length * hidden, 2, 1), w_ih = draw(all * in, 3, 0.5f);
  const floats w_hh = draw(all * hidden, 4, 0.5f), bias = draw(all, 5, 0.5f);
  const fl_recurrent_weights w = { w_ih.data(), w_hh.data(), bias.data(), bias.data() };
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  const auto run = [&](size_t from, size_t count, floats d[4]) {
    floats y(count * length * hidden), gates(count * length * all), cells(y.size()), work(fl_recurrent_work(&s, count));
    d[0].resize(all * in), d[1].resize(all * hidden), d[2].resize(all), d[3].resize(all);
    const fl_recurrent_gradients g = { d[0].data(), d[1].data(), d[2].data(), d[3].data() };
    const float *own = x.data() + from * length * in;
    fl_lstm(k, &s, count, own, &w, y.data(), gates.data(), cells.data(), work.data());
    fl_lstm_back(k, &s, count, own, &w, y.data(), gates.data(), cells.data(), dy.data() + from * length * hidden, nullptr, &g,
                 work.data());
  };
  floats whole[4], a[4], b[4];
  run(0, n, whole);
  run(0, left, a);
  run(left, n - left, b);
  for (size_t i = 0; i < 4; i++)
    for (size_t j = 0; j < whole[i].size(); j++) CHECK(whole[i][j] == a[i][j] + b[i][j]);
}

// Parts of the samples go through all steps by themselves.
TEST_CASE("A team gives the bits of one thread", "[recurrent]") {
  const bool gru = GENERATE(false, true);
  const size_t n = GENERATE(size_t(1), size_t(2), size_t(7), size_t(40)), length = 5, in = 6, hidden = 9, rows = n * length;
  const size_t all = (gru ? 3 : 4) * hidden, sizes[] = { rows * in, all * in, all * hidden, all, all };
  const fl_recurrent s = { length, in, hidden };
  floats arg[5];
  for (unsigned i = 0; i < 5; i++) arg[i] = draw(sizes[i], i + 1, 0.5f);
  const floats dy = draw(rows * hidden, 9, 1);
  const fl_recurrent_weights w = { arg[1].data(), arg[2].data(), arg[3].data(), arg[4].data() };
  const auto run = [&](const fl_kernels *k) {
    floats y(rows * hidden), gates(rows * all), kept(rows * hidden), work(fl_recurrent_work(&s, n), NAN), out;
    floats d[5];
    for (size_t i = 0; i < 5; i++) d[i].assign(sizes[i], NAN);
    const fl_recurrent_gradients g = { d[1].data(), d[2].data(), d[3].data(), d[4].data() };
    (gru ? fl_gru : fl_lstm)(k, &s, n, arg[0].data(), &w, y.data(), gates.data(), kept.data(), work.data());
    out = y;
    (gru ? fl_gru_back : fl_lstm_back)(k, &s, n, arg[0].data(), &w, y.data(), gates.data(), kept.data(), dy.data(), d[0].data(),
                                       &g, work.data());
    for (const floats &v : d) out.insert(out.end(), v.begin(), v.end());
    return out;
  };
  const fl_kernels *k = fl_kernels_select(nullptr, nullptr);
  const floats want = run(k);
  fl_kernels table;
  fl_divided_table(k, &table);
  fl_crew *crew = fl_crew_open(3);
  std::thread a(fl_crew_serve, crew), b(fl_crew_serve, crew);
  floats memory(1 << 20);
  fl_division division = {};
  division.k = k, division.team = fl_crew_team(crew), division.memory = memory.data(), division.floats = memory.size();
  division.least = 1;
  fl_divide_over(&division);
  const floats team = run(&table), plain = run(k);
  fl_divide_over(nullptr);
  fl_crew_dismiss(crew);
  a.join(), b.join();
  fl_crew_close(crew);
  INFO((gru ? "GRU" : "LSTM") << ", " << n << " samples");
  CHECK(!std::memcmp(team.data(), want.data(), 4 * want.size()));
  CHECK(!std::memcmp(plain.data(), want.data(), 4 * want.size()));
}
