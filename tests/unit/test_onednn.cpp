// The second backend's operations against the native kernels: equal to rounding, which is measured by the sum of the absolute
// products. Only in builds that have the plug-in.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>
extern "C" {
#include "harness/backend.h"
}

namespace {
using floats = std::vector<float>;
using bytes = std::vector<uint8_t>;

const fl_onednn_backend &backend() {
  static char error[2200];
  const char *why = nullptr;
  static const fl_onednn_backend *b = fl_onednn_load(fl_kernels_select(nullptr, &why), error, sizeof error);
  INFO(error);
  REQUIRE(b != nullptr);
  return *b;
}
const fl_kernels &native() {
  const char *why = nullptr;
  return *fl_kernels_select(nullptr, &why);
}
const fl_kernels &onednn() { return backend().kernels; }

size_t index_of(const std::string &operation) {
  size_t i = 0;
  while (backend().operation[i] && operation != backend().operation[i]) i++;
  REQUIRE(backend().operation[i] != nullptr);
  return i;
}
uint64_t native_calls() {
  uint64_t calls[FL_BACKEND_OPERATIONS] = { 0 }, all = 0;
  fl_backend_count(&backend(), calls);
  for (const uint64_t c : calls) all += c;
  return all;
}

floats draw(size_t n, unsigned seed) {
  std::mt19937 r(seed);
  floats v(n);
  for (float &x : v) x = float(int(r() % 4001) - 2000) / 1000.0f;
  return v;
}
floats size_of(floats v) {
  for (float &x : v) x = std::fabs(x);
  return v;
}

// Each within 32 roundings of the sum of absolute products.
void same(const char *what, const floats &got, const floats &want, const floats &size) {
  REQUIRE(got.size() == want.size());
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < got.size(); i++) {
    const double off = std::fabs(double(got[i]) - double(want[i])) / (std::fabs(double(size[i])) + 1e-30);
    if (!(off <= worst)) {
      worst = off;
      where = i;
    }
  }
  INFO(what << " " << where << ": " << got[where] << ", native " << want[where] << ", of products " << size[where]);
  CHECK(worst < 32 * std::ldexp(1.0, -24));
}
// Within 1e-5 of the largest.
void near(const char *what, const floats &got, const floats &want) {
  float largest = 0;
  for (const float x : want) largest = std::fmax(largest, std::fabs(x));
  for (size_t i = 0; i < want.size(); i++) {
    if (std::fabs(got[i] - want[i]) <= 1e-5f * (largest + 1e-20f)) continue;
    INFO(what << " " << i << ": " << got[i] << ", native " << want[i]);
    FAIL();
  }
}

struct Conv { fl_conv s; size_t n; bool bias; };
const Conv convs[] = {
  { FL_CONV_OF(1, 28, 28, 6, 5, 2), 3, true },           { FL_CONV_OF(6, 14, 14, 16, 5, 0), 2, true },
  { FL_CONV_OF(3, 9, 7, 5, 3, 1), 1, false },            { FL_CONV_OF(32, 8, 8, 64, 3, 1), 5, true },
  { FL_CONV_OF(4, 1, 1, 8, 1, 0), 7, true },             { FL_CONV_OF(3, 1, 1, 4, 3, 1), 2, true },
  { FL_CONV_OF(1, 5, 5, 1, 5, 0), 1, true },             { FL_CONV_OF(17, 11, 13, 19, 3, 0), 2, true },
  { { 8, 7, 9, 16, 3, 1, 0, 0, 2, 1, 0 }, 3, true },     { { 5, 10, 8, 7, 3, 0, 0, 0, 3, 1, 0 }, 2, false },
  { { 12, 5, 6, 8, 3, 1, 0, 0, 1, 4, 0 }, 2, true },     { { 16, 8, 8, 16, 3, 1, 0, 0, 1, 16, 0 }, 3, true },
  { { 24, 6, 6, 24, 3, 1, 0, 0, 2, 24, 0 }, 2, false },  { { 3, 6, 10, 4, 3, 1, 5, 2, 1, 1, 0 }, 2, true },
  { { 64, 16, 16, 128, 1, 0, 0, 0, 2, 1, 0 }, 2, false }, { { 16, 8, 8, 32, 3, 1, 0, 0, 1, 1, 1 }, 4, true },
};
struct Sizes { size_t x, w, y, work; };
Sizes sizes_of(const Conv &c) {
  const fl_conv &s = c.s;
  return { c.n * s.c * s.h * s.w, s.o * s.c / fl_conv_groups(&s) * s.k * fl_conv_kw(&s),
           c.n * s.o * fl_conv_oh(&s) * fl_conv_ow(&s), fl_conv_work(&s, c.n) };
}
struct Gradients { floats y, dx, dw, db; };
Gradients all_of(const fl_kernels &k, const Conv &c, const floats &x, const floats &w, const floats &b, const floats &dy) {
  const Sizes z = sizes_of(c);
  Gradients g = { floats(z.y, NAN), floats(z.x, NAN), floats(z.w, NAN), floats(c.bias ? c.s.o : 0, NAN) };
  floats work(z.work);
  k.conv_forward(&c.s, c.n, x.data(), w.data(), c.bias ? b.data() : nullptr, g.y.data(), work.data());
  k.conv_grad_weight(&c.s, c.n, x.data(), dy.data(), g.dw.data(), c.bias ? g.db.data() : nullptr, work.data());
  k.conv_grad_input(&c.s, c.n, w.data(), dy.data(), g.dx.data(), work.data());
  return g;
}
} // namespace

TEST_CASE("onednn: the operations are named and in the table, and no others") {
  const fl_kernels &a = native(), &b = onednn();
  std::vector<std::string> differ, named;
  for (const char *const *op = backend().operation; *op; op++) named.push_back(*op);
#define FL_OP(family, name, ret, args, traffic, formula) \
  if (a.name != b.name) differ.push_back(#name);
#include <fedlane/ops.def>
  std::sort(differ.begin(), differ.end());
  std::sort(named.begin(), named.end());
  CHECK(differ == named);
  CHECK(backend().operations == [] {
    std::string all;
    for (const char *const *op = backend().operation; *op; op++) all += (all.empty() ? "" : ", ") + std::string(*op);
    return all;
  }());
}

TEST_CASE("onednn: products") {
  const uint64_t before = native_calls();
  const size_t shape[][3] = { { 1, 1, 1 }, { 50, 10, 784 }, { 7, 33, 5 }, { 64, 64, 64 }, { 3, 17, 300 } };
  for (const auto &sizes : shape) {
    const size_t m = sizes[0], n = sizes[1], k = sizes[2];
    INFO(m << " x " << n << " x " << k);
    const size_t lda = std::max(m, k) + 3, ldb = std::max(n, k) + 1, ldc = n + 2;
    const floats a = draw(std::max(m, k) * lda, 1), b = draw(std::max(n, k) * ldb, 2), c = draw(m * ldc, 3);
    const floats sa = size_of(a), sb = size_of(b), sc = size_of(c);
    const auto run = [&](const fl_kernels &t, auto member, const floats &x, const floats &y, floats z) {
      if constexpr (std::is_same_v<decltype(member), decltype(&fl_kernels::gemm_nn_add)>)
        (t.*member)(m, n, k, x.data(), lda, y.data(), ldb, z.data(), ldc);
      else (t.*member)(m, n, k, x.data(), lda, y.data(), ldb, z.data(), ldc, FL_GEMM_PIECE);
      return z;
    };
    const auto try_one = [&](const char *what, auto member) {
      same(what, run(onednn(), member, a, b, c), run(native(), member, a, b, c), run(native(), member, sa, sb, sc));
    };
    try_one("gemm_nn", &fl_kernels::gemm_nn);
    try_one("gemm_nt", &fl_kernels::gemm_nt);
    try_one("gemm_tn", &fl_kernels::gemm_tn);
    try_one("gemm_nn_add", &fl_kernels::gemm_nn_add);
    try_one("gemm_tn_add", &fl_kernels::gemm_tn_add);
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: convolutions") {
  const uint64_t before = native_calls();
  for (const Conv &c : convs) {
    const fl_conv &s = c.s;
    INFO(s.c << " x " << s.h << " x " << s.w << ", " << s.o << " kernels " << s.k << " x " << fl_conv_kw(&s) << ", stride "
             << fl_conv_stride(&s) << ", groups " << fl_conv_groups(&s) << ", batch " << c.n);
    const Sizes z = sizes_of(c);
    const floats x = draw(z.x, 1), w = draw(z.w, 2), b = draw(s.o, 3), dy = draw(z.y, 4);
    Conv plain = c; // Winograd's rounding is no matter of the products alone
    plain.s.winograd = 0;
    const Gradients want = all_of(native(), plain, x, w, b, dy), got = all_of(onednn(), c, x, w, b, dy);
    const Gradients size = all_of(native(), plain, size_of(x), size_of(w), size_of(b), size_of(dy));
    same("y", got.y, want.y, size.y);
    same("dx", got.dx, want.dx, size.dx);
    same("dw", got.dw, want.dw, size.dw);
    if (c.bias) same("db", got.db, want.db, size.db);
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: convolution, ReLU and pooling in one") {
  const uint64_t before = native_calls();
  for (const Conv &c : convs) {
    const fl_conv &s = c.s;
    const size_t oh = fl_conv_oh(&s), ow = fl_conv_ow(&s), windows = c.n * s.o * (oh / 2) * (ow / 2);
    if (!windows || fl_conv_groups(&s) > 1 || fl_conv_stride(&s) > 1 || s.kw || s.winograd || !c.bias) continue;
    INFO(s.c << " x " << s.h << " x " << s.w << ", " << s.o << " kernels " << s.k << ", batch " << c.n);
    const Sizes z = sizes_of(c);
    const floats x = draw(z.x, 1), w = draw(z.w, 2), b = draw(s.o, 3), dy = draw(windows, 4);
    floats work(std::max(fl_conv_pool_work(&s, c.n), z.work)), full(z.y), size(z.y), want(windows), got(windows), of(windows);
    bytes want_at(windows), got_at(windows);
    native().conv_pool(&s, c.n, x.data(), w.data(), b.data(), want.data(), want_at.data(), work.data());
    onednn().conv_pool(&s, c.n, x.data(), w.data(), b.data(), got.data(), got_at.data(), work.data());
    native().conv_forward(&s, c.n, x.data(), w.data(), b.data(), full.data(), work.data());
    const floats sx = size_of(x), sw = size_of(w), sb = size_of(b);
    native().conv_forward(&s, c.n, sx.data(), sw.data(), sb.data(), size.data(), work.data());
    for (size_t i = 0; i < windows; i++) {
      const size_t plane = i / (oh / 2 * (ow / 2)), r = i / (ow / 2) % (oh / 2), column = i % (ow / 2), place = got_at[i] & 3;
      const size_t at = (plane * oh + 2 * r + place / 2) * ow + 2 * column + place % 2;
      of[i] = size[at];
      CHECK(bool(got_at[i] & 4) == !(got[i] > 0)); // and an open one names the place of the maximum
      if (got[i] > 0) CHECK(std::fabs(full[at] - got[i]) <= 32 * std::ldexp(size[at], -24));
    }
    same("y", got, want, of);
    floats dx(z.x), dw(z.w), db(s.o), odx(z.x), odw(z.w), odb(s.o), sdx(z.x), sdw(z.w), sdb(s.o);
    const floats sdy = size_of(dy);
    const auto back = [&](const fl_kernels &k, const floats &fx, const floats &fw, const floats &fdy, floats &a, floats &d,
                          floats &e) {
      k.conv_pool_back(&s, c.n, fx.data(), fw.data(), fdy.data(), want_at.data(), a.data(), d.data(), e.data(), work.data());
    };
    back(native(), x, w, dy, dx, dw, db);
    back(onednn(), x, w, dy, odx, odw, odb);
    back(native(), sx, sw, sdy, sdx, sdw, sdb);
    same("dx", odx, dx, sdx);
    same("dw", odw, dw, sdw);
    same("db", odb, db, sdb);
    floats again(z.w), bias(s.o);
    onednn().conv_pool_back(&s, c.n, x.data(), w.data(), dy.data(), want_at.data(), nullptr, again.data(), bias.data(),
                            work.data());
    CHECK(again == odw);
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: pooling has the native bits, with equal numbers, NaN and infinities") {
  const size_t shape[][3] = { { 1, 2, 2 }, { 5, 7, 9 }, { 64, 8, 8 }, { 3, 2, 33 }, { 300, 28, 28 } };
  const size_t at_index = index_of("maxpool2");
  for (const auto &sizes : shape) {
    const size_t planes = sizes[0], h = sizes[1], w = sizes[2];
    for (int wild = 0; wild < 3; wild++) {
      INFO(planes << " x " << h << " x " << w << ", wild " << wild);
      const size_t size = planes * h * w, windows = planes * (h / 2) * (w / 2);
      floats x = draw(size, 1), y(windows), oy(windows), dx(size, NAN), odx(size, NAN);
      for (float &v : x) v = std::floor(v); // many are equal
      if (wild == 1) x[size / 2] = NAN;
      if (wild == 2) std::fill(x.begin(), x.end(), -std::numeric_limits<float>::infinity());
      bytes at(windows), oat(windows);
      const floats dy = draw(windows, 2);
      uint64_t before[FL_BACKEND_OPERATIONS] = { 0 }, after[FL_BACKEND_OPERATIONS] = { 0 };
      fl_backend_count(&backend(), before);
      native().maxpool2(planes, h, w, x.data(), y.data(), at.data());
      onednn().maxpool2(planes, h, w, x.data(), oy.data(), oat.data());
      native().maxpool2_back(planes, h, w, dy.data(), at.data(), dx.data());
      onednn().maxpool2_back(planes, h, w, dy.data(), oat.data(), odx.data());
      fl_backend_count(&backend(), after);
      CHECK(after[at_index] - before[at_index] == (wild ? 1 : 0)); // what oneDNN would lose is native, and counted
      CHECK(oat == at);
      CHECK(odx == dx);
      for (size_t i = 0; i < windows; i++) CHECK((oy[i] == y[i] || (std::isnan(oy[i]) && std::isnan(y[i]))));
    }
  }
}

TEST_CASE("onednn: pooling over any windows") {
  const uint64_t before = native_calls();
  const fl_pool shape[] = { { 7, 9, 3, 1, 1, 1 }, { 7, 9, 3, 2, 1, 0 }, { 8, 5, 2, 3, 0, 1 }, { 1, 1, 1, 1, 0, 1 },
                            { 4, 4, 4, 4, 0, 1 }, { 11, 13, 5, 2, 2, 0 }, { 20, 17, 16, 1, 8, 1 }, { 1, 1, 2, 1, 1, 0 },
                            { 9, 9, 2, 2, 0, 1 } };
  for (const fl_pool &s : shape) {
    for (const size_t planes : { size_t(1), size_t(19) }) {
      INFO(s.h << " x " << s.w << ", windows " << s.k << ", stride " << s.stride << ", pad " << s.pad << ", planes " << planes);
      const size_t in = planes * s.h * s.w, windows = planes * fl_pool_oh(&s) * fl_pool_ow(&s);
      const floats x = draw(in, 1), dy = draw(windows, 2), sx = size_of(x), sdy = size_of(dy);
      floats y(windows), oy(windows), sy(windows), dx(in, NAN), odx(in, NAN), sdx(in, NAN);
      bytes at(windows), oat(windows);
      native().max_pool(&s, planes, x.data(), y.data(), at.data());
      onednn().max_pool(&s, planes, x.data(), oy.data(), oat.data());
      CHECK(oy == y);
      CHECK(oat == at);
      native().max_pool_back(&s, planes, dy.data(), at.data(), dx.data());
      onednn().max_pool_back(&s, planes, dy.data(), at.data(), odx.data());
      native().max_pool_back(&s, planes, sdy.data(), at.data(), sdx.data());
      same("dx of max_pool", odx, dx, sdx);
      native().avg_pool(&s, planes, x.data(), y.data());
      onednn().avg_pool(&s, planes, x.data(), oy.data());
      native().avg_pool(&s, planes, sx.data(), sy.data());
      same("y of avg_pool", oy, y, sy);
      native().avg_pool_back(&s, planes, dy.data(), dx.data());
      onednn().avg_pool_back(&s, planes, dy.data(), odx.data());
      native().avg_pool_back(&s, planes, sdy.data(), sdx.data());
      same("dx of avg_pool", odx, dx, sdx);
    }
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: layer norm") {
  const uint64_t before = native_calls();
  const size_t shape[][2] = { { 1, 1 }, { 5, 3 }, { 65, 192 }, { 7, 33 }, { 2, 5000 } };
  for (const auto &sizes : shape) {
    const size_t rows = sizes[0], n = sizes[1];
    INFO(rows << " x " << n);
    const floats x = draw(rows * n, 1), gamma = draw(n, 2), beta = draw(n, 3), dy = draw(rows * n, 4);
    const auto run = [&](const fl_kernels &k) {
      std::vector<floats> out = { floats(rows * n), floats(2 * rows), floats(rows * n), floats(n), floats(n) };
      floats work(fl_norm_work(n, rows, 32));
      k.layer_norm(rows, n, x.data(), gamma.data(), beta.data(), 1e-3f, out[0].data(), out[1].data());
      k.layer_norm_back(rows, n, x.data(), gamma.data(), out[1].data(), dy.data(), out[2].data(), out[3].data(), out[4].data(),
                        32, work.data());
      return out;
    };
    const std::vector<floats> want = run(native()), got = run(onednn());
    const char *const name[] = { "y", "statistics", "dx", "dgamma", "dbeta" };
    // The gradient of one number is nothing but rounding, of numbers as large as dy over the deviation.
    for (int i = 0; i < 5; i++) {
      INFO(name[i]);
      if (n > 1 || i != 2) near(name[i], got[i], want[i]);
    }
    floats in_place = x, stat(2 * rows), back = dy, dg(n), db(n), work(fl_norm_work(n, rows, 32));
    onednn().layer_norm(rows, n, in_place.data(), gamma.data(), beta.data(), 1e-3f, in_place.data(), stat.data());
    CHECK(in_place == got[0]);
    onednn().layer_norm_back(rows, n, x.data(), gamma.data(), stat.data(), back.data(), back.data(), dg.data(), db.data(), 32,
                             work.data());
    CHECK(back == got[2]);
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: the map of batch norm") {
  const uint64_t before = native_calls();
  const size_t shape[][3] = { { 1, 1, 1 }, { 3, 5, 7 }, { 50, 64, 64 }, { 2, 33, 1 }, { 4, 16, 1024 } };
  for (const auto &sizes : shape) {
    const size_t n = sizes[0], c = sizes[1], hw = sizes[2];
    for (int relu = 0; relu < 2; relu++) {
      INFO(n << " x " << c << " x " << hw << ", relu " << relu);
      const floats x = draw(n * c * hw, 1), gamma = draw(c, 2), beta = draw(c, 3);
      floats stat = draw(2 * c, 4), want(n * c * hw), got(n * c * hw), in_place = x;
      for (size_t j = c; j < 2 * c; j++) stat[j] = std::fabs(stat[j]) + 0.01f;
      native().batch_norm(n, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, want.data());
      onednn().batch_norm(n, c, hw, x.data(), stat.data(), gamma.data(), beta.data(), relu, got.data());
      near("y", got, want);
      onednn().batch_norm(n, c, hw, in_place.data(), stat.data(), gamma.data(), beta.data(), relu, in_place.data());
      CHECK(in_place == got);
    }
  }
  CHECK(native_calls() == before);
}

// Its gates, cells and steps are native; its products are not.
TEST_CASE("onednn: LSTM and GRU") {
  const uint64_t before = native_calls();
  const fl_recurrent shape[] = { { 7, 5, 12 }, { 3, 20, 33 }, { 1, 1, 1 } };
  for (const fl_recurrent &s : shape) {
    for (size_t n : { size_t(1), size_t(20) }) {
      INFO("length " << s.length << ", in " << s.in << ", hidden " << s.hidden << ", batch " << n);
      const size_t rows = n * s.length, h = s.hidden;
      const floats x = draw(rows * s.in, 1), dy = draw(rows * h, 2), wi = draw(4 * h * s.in, 3), wh = draw(4 * h * h, 4),
                   b = draw(4 * h, 5);
      const auto run = [&](const fl_kernels &k, bool gru) {
        floats y(rows * h), gates(rows * 4 * h), more(rows * h), work(fl_recurrent_work(&s, n));
        floats dx(rows * s.in), dwi(4 * h * s.in), dwh(4 * h * h), dbi(4 * h), dbh(4 * h);
        const fl_recurrent_weights w = { wi.data(), wh.data(), b.data(), b.data() };
        const fl_recurrent_gradients g = { dwi.data(), dwh.data(), dbi.data(), dbh.data() };
        (gru ? fl_gru : fl_lstm)(&k, &s, n, x.data(), &w, y.data(), gates.data(), more.data(), work.data());
        if (gru) fl_gru_back(&k, &s, n, x.data(), &w, y.data(), gates.data(), more.data(), dy.data(), dx.data(), &g, work.data());
        else fl_lstm_back(&k, &s, n, x.data(), &w, y.data(), gates.data(), more.data(), dy.data(), dx.data(), &g, work.data());
        return std::vector<floats>{ y, dx, dwi, dwh, dbi, dbh };
      };
      for (const bool gru : { false, true }) {
        const std::vector<floats> want = run(native(), gru), got = run(onednn(), gru);
        for (size_t i = 0; i < want.size(); i++) near(gru ? "GRU" : "LSTM", got[i], want[i]);
      }
    }
  }
  CHECK(native_calls() == before);
}

TEST_CASE("onednn: an empty batch is native, and counted") {
  const fl_conv s = FL_CONV_OF(1, 5, 5, 2, 3, 1);
  floats w(18, 1.0f), dw(18, NAN), db(2, NAN), work(fl_conv_work(&s, 0));
  const uint64_t before = native_calls();
  onednn().conv_grad_weight(&s, 0, w.data(), w.data(), dw.data(), db.data(), work.data());
  for (const float x : dw) CHECK(x == 0);
  CHECK(native_calls() == before + 1);
}

TEST_CASE("onednn: threads at the same time, and more shapes than are kept") {
  const Conv &c = convs[3];
  const Sizes z = sizes_of(c);
  const floats x = draw(z.x, 1), w = draw(z.w, 2), b = draw(c.s.o, 3), dy = draw(z.y, 4);
  const Gradients alone = all_of(onednn(), c, x, w, b, dy);
  std::vector<Gradients> made(4);
  std::vector<std::thread> threads;
  for (Gradients &g : made) threads.emplace_back([&] { g = all_of(onednn(), c, x, w, b, dy); });
  for (std::thread &t : threads) t.join();
  for (const Gradients &g : made) {
    CHECK(g.y == alone.y);
    CHECK(g.dx == alone.dx);
    CHECK(g.dw == alone.dw);
    CHECK(g.db == alone.db);
  }
  const uint64_t before = native_calls();
  const floats row = draw(1200, 1), gamma = draw(1200, 2);
  floats first(1200), y(1200), stat(2);
  const auto norm = [&](size_t n, floats &to) {
    onednn().layer_norm(1, n, row.data(), gamma.data(), gamma.data(), 1e-5f, to.data(), stat.data());
  };
  norm(1200, first);
  for (size_t n = 1; n <= 1200; n++) norm(n, y);
  CHECK(y == first);
  CHECK(native_calls() == before);
}
