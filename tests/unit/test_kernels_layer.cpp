// The layer and GEMM kernels of every ISA that runs here against plain loops in the documented order, bit for bit.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>
#include <fedlane/kernels.h>

namespace {
using floats = std::vector<float>;
const float nan_f = std::numeric_limits<float>::quiet_NaN();

floats draw(size_t n, uint32_t seed) {
  fl_key key = {};
  key.seed = seed;
  key.purpose = FL_PURPOSE_TEST;
  fl_stream s;
  fl_stream_init(&s, &key);
  floats v(n);
  for (float &x : v) {
    x = (float)(fl_stream_uniform(&s) * 4.0 - 2.0);
    if (fl_stream_below(&s, 16) == 0) x = fl_stream_below(&s, 2) ? -0.0f : x * 1e-24f;
  }
  return v;
}

uint32_t bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return x != x ? 0x7fc00000u : u;
}

bool same(const floats &a, const floats &b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (bits(a[i]) != bits(b[i])) {
      UNSCOPED_INFO("element " << i << ": " << a[i] << " against " << b[i]);
      return false;
    }
  }
  return true;
}

// The documented order: a chain from +0 inside a piece, pieces by the tree.
float tree(const floats &leaf, size_t from, size_t n) {
  if (n == 1) return leaf[from];
  size_t left = 1;
  while (2 * left < n) left *= 2;
  return tree(leaf, from, left) + tree(leaf, from + left, n - left);
}

float chain(size_t k, size_t piece, const std::function<float(size_t, float)> &step) {
  floats leaf;
  for (size_t i = 0; i < k; i += piece) {
    float acc = 0.0f;
    for (size_t j = i; j < k && j < i + piece; j++) acc = step(j, acc);
    leaf.push_back(acc);
  }
  return (leaf.empty() ? 0.0f : tree(leaf, 0, leaf.size())) + 0.0f;
}

template <class F> void each_isa(F f) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    const fl_kernels *k = fl_kernels_of((fl_isa)i);
    if (!k) continue;
    INFO("ISA " << k->name);
    f(k);
  }
}

void check_gemm(size_t m, size_t n, size_t k, size_t piece) {
  INFO("m " << m << " n " << n << " k " << k << " piece " << piece);
  const size_t wide = 3;
  const floats a = draw(m * k, 1), b = draw(k * n, 2);
  floats at(k * (m + wide)), bt(n * (k + wide)), an(m * (k + wide)), bn(k * (n + wide));
  floats want(m * (n + wide), 7.0f);
  for (size_t i = 0; i < m; i++) {
    for (size_t l = 0; l < k; l++) at[l * (m + wide) + i] = an[i * (k + wide) + l] = a[i * k + l];
    for (size_t j = 0; j < n; j++) {
      want[i * (n + wide) + j] = chain(k, piece, [&](size_t l, float acc) { return fmaf(a[i * k + l], b[l * n + j], acc); });
    }
  }
  for (size_t l = 0; l < k; l++) {
    for (size_t j = 0; j < n; j++) bn[l * (n + wide) + j] = bt[j * (k + wide) + l] = b[l * n + j];
  }
  each_isa([&](const fl_kernels *t) {
    floats c(m * (n + wide), 7.0f);
    t->gemm_nn(m, n, k, an.data(), k + wide, bn.data(), n + wide, c.data(), n + wide, piece);
    CHECK(same(c, want));
    c.assign(c.size(), 7.0f);
    t->gemm_nt(m, n, k, an.data(), k + wide, bt.data(), k + wide, c.data(), n + wide, piece);
    CHECK(same(c, want));
    c.assign(c.size(), 7.0f);
    t->gemm_tn(m, n, k, at.data(), m + wide, bn.data(), n + wide, c.data(), n + wide, piece);
    CHECK(same(c, want));
  });
}

struct conv_data {
  fl_conv s;
  size_t n, oh, ow;
  floats x, w, b, dy;
};

float *sample_row(floats &v, size_t plane, size_t h, size_t w, size_t y) { return v.data() + (plane * h + y) * w; }

floats conv_forward_ref(conv_data &d) {
  const fl_conv &s = d.s;
  const size_t kk = s.k * s.k;
  floats y(d.n * s.o * d.oh * d.ow);
  size_t at = 0;
  for (size_t i = 0; i < d.n; i++)
    for (size_t o = 0; o < s.o; o++) for (size_t r = 0; r < d.oh; r++) for (size_t q = 0; q < d.ow; q++) {
    y[at++] = chain(s.c * kk, FL_GEMM_PIECE, [&](size_t l, float acc) {
      const size_t yy = r + l % kk / s.k - s.p, xx = q + l % s.k - s.p;
      if (yy >= s.h || xx >= s.w) return acc;
      return fmaf(d.w[o * s.c * kk + l], sample_row(d.x, i * s.c + l / kk, s.h, s.w, yy)[xx], acc);
    }) + d.b[o];
  }
  return y;
}

floats conv_input_ref(conv_data &d) {
  const fl_conv &s = d.s;
  const size_t kk = s.k * s.k;
  floats dx(d.n * s.c * s.h * s.w);
  size_t at = 0;
  for (size_t i = 0; i < d.n; i++)
    for (size_t c = 0; c < s.c; c++) for (size_t y = 0; y < s.h; y++) for (size_t x = 0; x < s.w; x++) {
    dx[at++] = chain(s.o * kk, FL_GEMM_PIECE, [&](size_t l, float acc) {
      const size_t r = y + s.p - l % kk / s.k, q = x + s.p - l % s.k;
      if (r >= d.oh || q >= d.ow) return acc;
      return fmaf(d.w[(l / kk * s.c + c) * kk + l % kk], sample_row(d.dy, i * s.o + l / kk, d.oh, d.ow, r)[q], acc);
    });
  }
  return dx;
}

void conv_weight_ref(conv_data &d, floats &dw, floats &db) {
  const fl_conv &s = d.s;
  const size_t positions = d.oh * d.ow, piece = fl_sample_piece(positions) * positions;
  const auto grad = [&](size_t o, size_t l) { return d.dy[(l / positions * s.o + o) * positions + l % positions]; };
  for (size_t o = 0; o < s.o; o++) {
    db.push_back(chain(d.n * positions, piece, [&](size_t l, float acc) { return acc + grad(o, l); }));
    for (size_t c = 0; c < s.c; c++) for (size_t ky = 0; ky < s.k; ky++) for (size_t kx = 0; kx < s.k; kx++) {
      dw.push_back(chain(d.n * positions, piece, [&](size_t l, float acc) {
        const size_t yy = l % positions / d.ow + ky - s.p, xx = l % d.ow + kx - s.p;
        if (yy >= s.h || xx >= s.w) return acc;
        return fmaf(grad(o, l), sample_row(d.x, l / positions * s.c + c, s.h, s.w, yy)[xx], acc);
      }));
    }
  }
}

void check_conv(const fl_conv &s, size_t n) {
  INFO("c " << s.c << " h " << s.h << " w " << s.w << " o " << s.o << " k " << s.k << " p " << s.p << " n " << n);
  conv_data d = { s, n, fl_conv_oh(&s), fl_conv_ow(&s), {}, {}, {}, {} };
  d.x = draw(n * s.c * s.h * s.w, 3);
  d.w = draw(s.o * s.c * s.k * s.k, 4);
  d.b = draw(s.o, 5);
  d.dy = draw(n * s.o * d.oh * d.ow, 6);
  const floats y = conv_forward_ref(d), dx = conv_input_ref(d);
  floats dw, db;
  conv_weight_ref(d, dw, db);
  each_isa([&](const fl_kernels *t) {
    floats work(fl_conv_work(&s, n) + 1, nan_f), gy(y.size()), gx(dx.size()), gw(dw.size()), gb(db.size());
    work.back() = 42.0f;
    t->conv_forward(&s, n, d.x.data(), d.w.data(), d.b.data(), gy.data(), work.data());
    CHECK(same(gy, y));
    t->conv_grad_weight(&s, n, d.x.data(), d.dy.data(), gw.data(), gb.data(), work.data());
    CHECK(same(gw, dw));
    CHECK(same(gb, db));
    t->conv_grad_input(&s, n, d.w.data(), d.dy.data(), gx.data(), work.data());
    CHECK(same(gx, dx));
    CHECK(work.back() == 42.0f);
  });
}

// Convolution, ReLU and pooling as three layers in plain loops, then back through all of them.
void check_conv_pool(const fl_conv &s, size_t n) {
  INFO("c " << s.c << " h " << s.h << " w " << s.w << " o " << s.o << " k " << s.k << " p " << s.p << " n " << n);
  REQUIRE(fl_conv_pool_fits(&s));
  conv_data d = { s, n, fl_conv_oh(&s), fl_conv_ow(&s), {}, {}, {}, {} };
  d.x = draw(n * s.c * s.h * s.w, 3);
  d.w = draw(s.o * s.c * s.k * s.k, 4);
  d.b = draw(s.o, 5);
  const size_t ph = d.oh / 2, pw = d.ow / 2, windows = n * s.o * ph * pw;
  const floats full = conv_forward_ref(d), dy = draw(windows, 6);
  floats y(windows);
  std::vector<uint8_t> at(windows);
  d.dy.assign(full.size(), 0.0f);
  for (size_t i = 0; i < windows; i++) {
    const size_t from = (i / (ph * pw) * d.oh + i / pw % ph * 2) * d.ow + i % pw * 2, four[] = { 0, 1, d.ow, d.ow + 1 };
    float best = -1.0f;
    for (uint8_t j = 0; j < 4; j++) {
      const float v = full[from + four[j]], relu = v < 0 ? 0.0f : v;
      if (relu > best) { best = relu; at[i] = j; }
    }
    y[i] = best;
    if (best > 0) d.dy[from + four[at[i]]] = dy[i];
    else at[i] = 4;
  }
  const floats dx = conv_input_ref(d);
  floats dw, db;
  conv_weight_ref(d, dw, db);
  each_isa([&](const fl_kernels *t) {
    floats work(fl_conv_pool_work(&s, n) + 1, nan_f), gy(windows), gx(dx.size(), nan_f), gw(dw.size()), gb(db.size());
    std::vector<uint8_t> ga(windows);
    work.back() = 42.0f;
    t->conv_pool(&s, n, d.x.data(), d.w.data(), d.b.data(), gy.data(), ga.data(), work.data());
    CHECK(same(gy, y));
    CHECK(ga == at);
    for (float *to : { gx.data(), static_cast<float *>(nullptr) }) {
      t->conv_pool_back(&s, n, d.x.data(), d.w.data(), dy.data(), at.data(), to, gw.data(), gb.data(), work.data());
      CHECK(same(gw, dw));
      CHECK(same(gb, db));
    }
    CHECK(same(gx, dx));
    CHECK(work.back() == 42.0f);
  });
}
}  // namespace

TEST_CASE("matrix products equal plain loops in the documented order", "[gemm]") {
  const size_t shapes[][4] = { { 1, 1, 1, 4096 }, { 2, 16, 0, 4096 }, { 7, 10, 84, 4096 }, { 50, 84, 120, 4096 },
                               { 13, 48, 129, 4096 }, { 9, 33, 300, 4096 }, { 10, 84, 50, 32 }, { 17, 31, 100, 7 },
                               { 5, 50, 300, 100 }, { 3, 20, 300, 1 }, { 6, 784, 25, 4096 }, { 2, 17, 4100, 4096 },
                               { 25, 64, 200, 32 }, { 8, 96, 513, 256 }, { 70, 21, 150, 4096 }, { 130, 60, 1100, 4096 },
                               { 80, 770, 700, 4096 }, { 40, 10, 50, 4096 }, { 1030, 16, 70, 32 },
                               { 150, 304, 440, 200 } };
  for (const auto &s : shapes) check_gemm(s[0], s[1], s[2], s[3]);
}

TEST_CASE("the symmetric product is A A^T on both sides of the diagonal", "[gemm]") {
  const size_t shapes[][3] = { { 1, 3, 4096 }, { 16, 9, 4096 }, { 37, 50, 4096 }, { 100, 33, 4096 }, { 65, 40, 7 },
                               { 130, 20, 4096 } };
  for (const auto &s : shapes) {
    const size_t n = s[0], k = s[1], wide = 2;
    INFO("n " << n << " k " << k << " piece " << s[2]);
    const floats a = draw(n * (k + wide), 3);
    floats want(n * (n + wide), 7.0f);
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < n; j++) {
        want[i * (n + wide) + j] =
            chain(k, s[2], [&](size_t l, float acc) { return fmaf(a[i * (k + wide) + l], a[j * (k + wide) + l], acc); });
      }
    }
    each_isa([&](const fl_kernels *t) {
      floats c(n * (n + wide), 7.0f);
      t->gemm_syrk(n, k, a.data(), k + wide, c.data(), n + wide, s[2]);
      CHECK(same(c, want));
    });
  }
}

static void each_backwards(void *self, size_t n, void (*body)(void *, size_t), void *arg) {
  *static_cast<size_t *>(self) += n;
  while (n-- > 0) body(arg, n);
}

TEST_CASE("a team's product has the bits of one caller's, whatever the division", "[gemm]") {
  const size_t shapes[][3] = { { 300, 20, 130 }, { 90, 250, 70 }, { 64, 64, 400 }, { 1, 700, 900 }, { 5, 3, 2 }, { 700, 1, 800 },
                               /* what follows is not divided: no output, no product, one unit of rows and of columns */
                               { 0, 9, 9 }, { 9, 0, 9 }, { 9, 5, 0 }, { 8, 16, 5000 }, { 1, 16, 40000 }, { 8, 1, 70000 } };
  for (const auto &s : shapes) {
    const size_t m = s[0], n = s[1], d = s[2];
    const floats a = draw(m * d + 1, 4), b = draw(n * d + 1, 5);
    each_isa([&](const fl_kernels *t) {
      for (const fl_product form : { FL_PRODUCT_NN, FL_PRODUCT_NT, FL_PRODUCT_TN }) {
        const auto whole = form == FL_PRODUCT_NN ? t->gemm_nn : form == FL_PRODUCT_NT ? t->gemm_nt : t->gemm_tn;
        const size_t lda = form == FL_PRODUCT_TN ? m : d, ldb = form == FL_PRODUCT_NT ? d : n;
        floats want(m * n + 3, 7.0f);
        whole(m, n, d, a.data(), lda, b.data(), ldb, want.data(), n, 32);
        floats alone(m * n + 3, 7.0f);
        fl_gemm_team(t, nullptr, form, m, n, d, a.data(), lda, b.data(), ldb, alone.data(), n, 32);
        CHECK(same(alone, want));
        for (const size_t workers : { 1, 2, 3, 7 }) {
          size_t handed_out = 0;
          const fl_team team = { &handed_out, workers, each_backwards };
          floats c(m * n + 3, 7.0f);
          fl_gemm_team(t, &team, form, m, n, d, a.data(), lda, b.data(), ldb, c.data(), n, 32);
          CHECK(same(c, want));
          CHECK(handed_out <= workers);
          const bool divided = workers > 1 && m * n * d >= 1u << 19 && (n >= 32 * workers || m > 8);
          CHECK(handed_out >= (divided ? 2 : 0));
          CHECK((divided || handed_out == 0)); /* a part alone is the caller's, without the team */
        }
      }
    });
  }
}

TEST_CASE("a row of a product does not depend on the rows beside it", "[gemm]") {
  const floats a = draw(64 * 70, 8), b = draw(40 * 70, 9);
  each_isa([&](const fl_kernels *t) {
    floats all(64 * 40);
    t->gemm_nt(64, 40, 70, a.data(), 70, b.data(), 70, all.data(), 40, 4096);
    for (size_t m : { 1, 2, 7 }) {
      floats c(m * 40);
      t->gemm_nt(m, 40, 70, a.data(), 70, b.data(), 70, c.data(), 40, 4096);
      CHECK(same(c, floats(all.begin(), all.begin() + (long)(m * 40))));
    }
  });
}

TEST_CASE("convolutions equal plain loops in the documented order", "[conv]") {
  const fl_conv shapes[] = { { 1, 28, 28, 6, 5, 2 }, { 6, 14, 14, 16, 5, 0 }, { 1, 1, 1, 1, 1, 0 }, { 3, 5, 7, 2, 3, 1 },
                             { 2, 9, 4, 13, 3, 2 }, { 3, 12, 11, 20, 1, 0 }, { 2, 13, 12, 5, 11, 5 }, { 4, 8, 33, 17, 3, 1 },
                             { 31, 3, 3, 3, 1, 0 }, { 1, 12, 12, 12, 9, 8 }, { 12, 6, 6, 12, 5, 4 } };
  for (const fl_conv &s : shapes) {
    check_conv(s, 1);
    check_conv(s, 3);
  }
  check_conv({ 1, 28, 28, 6, 5, 2 }, 13);
  check_conv({ 2, 3, 3, 3, 3, 1 }, 101);
  check_conv({ 6, 14, 14, 16, 5, 0 }, 50);
}

TEST_CASE("a convolution's k is cut at every 4096", "[conv]") {
  check_conv({ 200, 4, 5, 3, 5, 2 }, 2);         // forward: 5000, a cut inside a plane
  check_conv({ 2, 4, 5, 200, 5, 2 }, 2);         // backward
  check_conv({ 340, 3, 4, 2, 5, 3 }, 1);         // three pieces
  check_conv({ 3, 5, 5, 913, 3, 1 }, 1);
  check_conv({ 4096, 2, 3, 2, 1, 0 }, 1);        // exactly one piece
  check_conv({ 20481, 2, 2, 9, 1, 0 }, 1);       // six, the last of one tap
  check_conv({ 3, 70, 66, 2, 3, 1 }, 2);         // a weight gradient's piece is a whole sample, however large
}

TEST_CASE("bias, ReLU, normalisation", "[layer]") {
  for (size_t n : { 1, 10, 16, 33, 84, 120 }) {
    const size_t rows = 5;
    floats x = draw(rows * n, 10), dy = draw(rows * n, 11);
    const floats bias = draw(n, 12);
    x[0] = nan_f;
    floats sum(x), pos(x), back(dy), norm(rows * n);
    std::vector<uint8_t> u(rows * n);
    for (size_t i = 0; i < rows * n; i++) {
      u[i] = (uint8_t)(i * 37);
      sum[i] = x[i] + bias[i % n];
      pos[i] = x[i] < 0 ? 0.0f : x[i];
      back[i] = x[i] > 0 ? dy[i] : x[i] == x[i] ? 0.0f : x[i];
      norm[i] = fmaf((float)u[i], 0.0124f, -0.4242f);
    }
    each_isa([&](const fl_kernels *t) {
      floats y(x);
      t->bias_rows(rows, n, y.data(), bias.data());
      CHECK(same(y, sum));
      t->relu(rows * n, y.data(), x.data());
      CHECK(same(y, pos));
      t->relu_back(rows * n, y.data(), dy.data(), x.data());
      CHECK(same(y, back));
      t->normalize(rows * n, y.data(), u.data(), 0.0124f, -0.4242f);
      CHECK(same(y, norm));
    });
  }
}

TEST_CASE("the bias gradient is a chain in a piece and the tree over pieces", "[layer]") {
  for (size_t rows : { 1, 31, 32, 50, 130 }) for (size_t n : { 1, 10, 84, 150, 256 }) for (size_t piece : { 1, 7, 32 }) {
    const floats dy = draw(rows * n, 13);
    floats want(n);
    for (size_t j = 0; j < n; j++) want[j] = chain(rows, piece, [&](size_t r, float acc) { return acc + dy[r * n + j]; });
    each_isa([&](const fl_kernels *t) {
      floats db(n);
      t->bias_grad(rows, n, dy.data(), db.data(), piece);
      CHECK(same(db, want));
    });
  }
}

TEST_CASE("softmax with cross-entropy", "[layer]") {
  for (size_t classes : { 1, 2, 10, 16, 62, 100, 150 }) {
    const size_t rows = 19;
    floats x = draw(rows * classes, 14);
    for (float &v : x) v *= 5.0f;
    x[classes] = nan_f;
    std::vector<uint8_t> label(rows);
    for (size_t r = 0; r < rows; r++) label[r] = (uint8_t)(r * 7 % classes);
    floats want_d, want_loss;
    each_isa([&](const fl_kernels *t) {
      // The order of the sum with this table's own exp: element i to partial i%64, then halving.
      floats d(rows * classes), loss(rows);
      t->softmax_xent(rows, classes, x.data(), label.data(), 0.02f, d.data(), loss.data());
      for (size_t r = 0; r < rows; r++) {
        const float *row = x.data() + r * classes;
        float max = row[0], part[64] = {};
        floats e(classes);
        for (size_t i = 0; i < classes; i++) max = row[i] > max || row[i] != row[i] ? row[i] : max;
        for (size_t i = 0; i < classes; i++) e[i] = row[i] - max;
        t->exp(classes, e.data(), e.data());
        for (size_t i = 0; i < classes; i++) part[i % 64] += e[i];
        for (size_t half = 32; half; half /= 2) for (size_t j = 0; j < half; j++) part[j] += part[j + half];
        floats want(classes), got(d.begin() + (long)(r * classes), d.begin() + (long)((r + 1) * classes));
        for (size_t i = 0; i < classes; i++) want[i] = (e[i] / part[0] - (i == label[r] ? 1.0f : 0.0f)) * 0.02f;
        CHECK(same(got, want));
        double exact = 0;
        for (size_t i = 0; i < classes; i++) exact += std::exp((double)row[i] - (double)row[label[r]]);
        if (r == 1) CHECK(loss[r] != loss[r]);
        else CHECK((double)loss[r] == Approx(std::log(exact)).margin(2e-6));
      }
      if (want_d.empty()) { want_d = d; want_loss = loss; }
      CHECK(same(d, want_d));
      CHECK(same(loss, want_loss));
    });
  }
}

TEST_CASE("the prediction is the first largest logit", "[layer]") {
  const floats x = { 1, 3, 3, -1, 2, 2, nan_f, 9, 0.0f, -0.0f, -1, -2, -5, -4, -3, -3 };
  const std::vector<int32_t> want = { 1, -1, 0, 2 };
  each_isa([&](const fl_kernels *t) {
    std::vector<int32_t> p(4);
    t->argmax_rows(4, 4, x.data(), p.data());
    CHECK(p == want);
  });
}

TEST_CASE("2x2 pooling and its gradient", "[layer]") {
  const size_t sizes[][2] = { { 2, 2 }, { 28, 28 }, { 10, 10 }, { 5, 7 }, { 3, 67 }, { 4, 64 }, { 1, 5 } };
  for (const auto &size : sizes) {
    const size_t h = size[0], w = size[1], planes = 3, oh = h / 2, ow = w / 2, n = planes * oh * ow;
    INFO("h " << h << " w " << w);
    floats x = draw(planes * h * w, 15), y(n), dx(x.size(), 0.0f);
    for (float &v : x) v = std::floor(v * 2.0f) + 0.0f;
    if (n) x[w + 1] = nan_f;
    const floats dy = draw(n, 16);
    std::vector<uint8_t> at(n);
    for (size_t i = 0; i < n; i++) {
      const size_t from = (i / (oh * ow) * h + i / ow % oh * 2) * w + i % ow * 2;
      const size_t four[] = { from, from + 1, from + w, from + w + 1 };
      float m = x[from];
      for (uint8_t j = 1; j < 4; j++) if (x[four[j]] > m || x[four[j]] != x[four[j]]) { m = x[four[j]]; at[i] = j; }
      y[i] = m;
      dx[four[at[i]]] = dy[i];
    }
    each_isa([&](const fl_kernels *t) {
      floats gy(n), gx(x.size(), nan_f);
      std::vector<uint8_t> ga(n);
      t->maxpool2(planes, h, w, x.data(), gy.data(), ga.data());
      CHECK(same(gy, y));
      CHECK(ga == at);
      t->maxpool2_back(planes, h, w, dy.data(), at.data(), gx.data());
      CHECK(same(gx, dx));
    });
  }
}

TEST_CASE("convolution, ReLU and pooling in one equal the three layers", "[conv]") {
  const fl_conv shapes[] = { { 1, 28, 28, 6, 5, 2 }, { 6, 14, 14, 16, 5, 0 }, { 2, 7, 9, 3, 3, 1 }, { 17, 6, 6, 33, 3, 1 },
                             { 3, 6, 40, 17, 1, 0 }, { 4, 13, 5, 1, 9, 5 }, { 1, 3, 3, 2, 2, 0 }, { 1, 2, 70, 1, 1, 0 },
                             { 40, 5, 4, 5, 3, 1 }, { 2, 4, 2, 61, 3, 1 }, { 8, 4, 134, 2, 3, 1 } };
  for (const fl_conv &s : shapes) {
    check_conv_pool(s, 1);
    check_conv_pool(s, 3);
  }
  check_conv_pool({ 1, 28, 28, 6, 5, 2 }, 13);
  check_conv_pool({ 6, 14, 14, 16, 5, 0 }, 50);
  const fl_conv cut[] = { { 4, 8, 8, 164, 5, 2 }, { 164, 8, 8, 4, 5, 2 } };
  for (const fl_conv &s : cut) CHECK_FALSE(fl_conv_pool_fits(&s));
}

// A NaN in a window: the window's value, and the gradient of its last NaN, are NaN, whatever came back.
TEST_CASE("convolution, ReLU and pooling in one hand NaN on", "[conv]") {
  const fl_conv s = { 1, 4, 4, 1, 1, 0 };
  const floats x = { 1, nan_f, 1, 2, nan_f, 1, -3, 4, -1, -1, 0, 0, -1, -1, 0, 0 }, w = { 1 }, b = { 0 }, dy = { 1, 2, 3, 4 };
  each_isa([&](const fl_kernels *t) {
    floats work(fl_conv_pool_work(&s, 1)), y(4), dx(16), dw(1), db(1);
    std::vector<uint8_t> at(4);
    t->conv_pool(&s, 1, x.data(), w.data(), b.data(), y.data(), at.data(), work.data());
    CHECK(same(y, { nan_f, 4, 0, 0 }));
    CHECK(at == std::vector<uint8_t>{ 10, 3, 4, 4 });
    t->conv_pool_back(&s, 1, x.data(), w.data(), dy.data(), at.data(), dx.data(), dw.data(), db.data(), work.data());
    CHECK(std::isnan(dx[4]));           // what shares its vector may be too
    for (size_t i = 8; i < 16; i++) CHECK(dx[i] == 0.0f);
    CHECK(std::isnan(dw[0]));
    CHECK(std::isnan(db[0]));
  });
}
