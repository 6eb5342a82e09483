// Convolutions against plain loops in the documented order, to the bit.
#include "plain.hpp"

namespace {
struct conv_data {
  fl_conv s;
  size_t n, oh, ow;
  floats x, w, b, dy;
};

float *sample_row(floats &v, size_t plane, size_t h, size_t w, size_t y) { return v.data() + (plane * h + y) * w; }

// A convolution's sizes, with what is left out put in.
struct conv_sizes {
  size_t kw, pw, step, c, o, kk; // c, o: channels of a group
  explicit conv_sizes(const fl_conv &s)
    : kw(fl_conv_kw(&s)), pw(fl_conv_pw(&s)), step(fl_conv_stride(&s)), c(s.c / fl_conv_groups(&s)), o(s.o / fl_conv_groups(&s)),
      kk(s.k * kw) {}
};

floats conv_forward_ref(conv_data &d) {
  const fl_conv &s = d.s;
  const conv_sizes z(s);
  floats y(d.n * s.o * d.oh * d.ow);
  size_t at = 0;
  for (size_t i = 0; i < d.n; i++)
    for (size_t o = 0; o < s.o; o++) for (size_t r = 0; r < d.oh; r++) for (size_t q = 0; q < d.ow; q++) {
    y[at++] = chain(z.c * z.kk, FL_GEMM_PIECE, [&](size_t l, float acc) {
      const size_t yy = r * z.step + l % z.kk / z.kw - s.p, xx = q * z.step + l % z.kw - z.pw;
      if (yy >= s.h || xx >= s.w) return acc;
      return fmaf(d.w[o * z.c * z.kk + l], sample_row(d.x, i * s.c + o / z.o * z.c + l / z.kk, s.h, s.w, yy)[xx], acc);
    }) + d.b[o];
  }
  return y;
}

floats conv_input_ref(conv_data &d) {
  const fl_conv &s = d.s;
  const conv_sizes z(s);
  floats dx(d.n * s.c * s.h * s.w);
  size_t at = 0;
  for (size_t i = 0; i < d.n; i++)
    for (size_t c = 0; c < s.c; c++) for (size_t y = 0; y < s.h; y++) for (size_t x = 0; x < s.w; x++) {
    dx[at++] = chain(z.o * z.kk, FL_GEMM_PIECE, [&](size_t l, float acc) {
      const size_t o = c / z.c * z.o + l / z.kk, ky = l % z.kk / z.kw, kx = l % z.kw;
      if (y + s.p < ky || x + z.pw < kx || (y + s.p - ky) % z.step || (x + z.pw - kx) % z.step) return acc;
      const size_t r = (y + s.p - ky) / z.step, q = (x + z.pw - kx) / z.step;
      if (r >= d.oh || q >= d.ow) return acc;
      return fmaf(d.w[(o * z.c + c % z.c) * z.kk + l % z.kk], sample_row(d.dy, i * s.o + o, d.oh, d.ow, r)[q], acc);
    });
  }
  return dx;
}

void conv_weight_ref(conv_data &d, floats &dw, floats &db) {
  const fl_conv &s = d.s;
  const conv_sizes z(s);
  const size_t positions = d.oh * d.ow, piece = fl_sample_piece(positions) * positions;
  const auto grad = [&](size_t o, size_t l) { return d.dy[(l / positions * s.o + o) * positions + l % positions]; };
  for (size_t o = 0; o < s.o; o++) {
    db.push_back(chain(d.n * positions, piece, [&](size_t l, float acc) { return acc + grad(o, l); }));
    for (size_t c = 0; c < z.c; c++) for (size_t ky = 0; ky < s.k; ky++) for (size_t kx = 0; kx < z.kw; kx++) {
      dw.push_back(chain(d.n * positions, piece, [&](size_t l, float acc) {
        const size_t yy = l % positions / d.ow * z.step + ky - s.p, xx = l % d.ow * z.step + kx - z.pw;
        if (yy >= s.h || xx >= s.w) return acc;
        return fmaf(grad(o, l), sample_row(d.x, l / positions * s.c + o / z.o * z.c + c, s.h, s.w, yy)[xx], acc);
      }));
    }
  }
}

void check_conv(const fl_conv &s, size_t n) {
  INFO("c " << s.c << " h " << s.h << " w " << s.w << " o " << s.o << " k " << s.k << " p " << s.p << " kw " << s.kw << " pw "
           << s.pw << " stride " << s.stride << " groups " << s.groups << " n " << n);
  conv_data d = { s, n, fl_conv_oh(&s), fl_conv_ow(&s), {}, {}, {}, {} };
  d.x = draw(n * s.c * s.h * s.w, 3);
  d.w = draw(s.o * conv_sizes(s).c * conv_sizes(s).kk, 4);
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

TEST_CASE("convolutions equal plain loops in the documented order", "[conv]") {
  const fl_conv shapes[] = { FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0), FL_CONV_OF(1, 1, 1, 1, 1, 0),
                             FL_CONV_OF(3, 5, 7, 2, 3, 1),
                             FL_CONV_OF(2, 9, 4, 13, 3, 2), FL_CONV_OF(3, 12, 11, 20, 1, 0), FL_CONV_OF(2, 13, 12, 5, 11, 5),
                             FL_CONV_OF(4, 8, 33, 17, 3, 1),
                             FL_CONV_OF(31, 3, 3, 3, 1, 0), FL_CONV_OF(1, 12, 12, 12, 9, 8), FL_CONV_OF(12, 6, 6, 12, 5, 4) };
  for (const fl_conv &s : shapes) {
    check_conv(s, 1);
    check_conv(s, 3);
  }
  check_conv(FL_CONV_OF(1, 28, 28, 6, 5, 2), 13);
  check_conv(FL_CONV_OF(2, 3, 3, 3, 3, 1), 101);
  check_conv(FL_CONV_OF(6, 14, 14, 16, 5, 0), 50);
}

// Whole places of the kernel then lie in the padding, and places of the output beyond those that an input place can reach.
TEST_CASE("convolutions with as much padding as the kernel has rows, or more, equal plain loops", "[conv]") {
  const fl_conv shapes[] = { FL_CONV_OF(3, 5, 7, 4, 1, 1), FL_CONV_OF(3, 6, 6, 5, 3, 3), FL_CONV_OF(2, 4, 5, 3, 3, 5),
                             FL_CONV_OF(40, 5, 4, 33, 1, 2), FL_CONV_OF(36, 4, 3, 32, 2, 4), FL_CONV_OF(1, 1, 1, 2, 2, 2),
                             { 6, 5, 4, 4, 2, 3, 0, 0, 2, 2, 0 } };
  for (const fl_conv &s : shapes) {
    check_conv(s, 1);
    check_conv(s, 5);
  }
  const fl_conv pooled[] = { FL_CONV_OF(3, 5, 7, 4, 1, 1), FL_CONV_OF(3, 6, 6, 5, 3, 3), FL_CONV_OF(2, 4, 5, 17, 3, 5) };
  for (const fl_conv &s : pooled) check_conv_pool(s, 3);
}

TEST_CASE("strides, groups, oblong kernels, more channels equal plain loops", "[conv]") {
  const fl_conv shapes[] = { { 3, 5, 7, 2, 3, 1, 0, 0, 2, 0, 0 }, { 40, 8, 7, 33, 3, 1, 0, 0, 0, 0, 0 },
                             { 24, 8, 8, 48, 3, 1, 0, 0, 2, 0, 0 },
                             { 20, 9, 7, 24, 1, 0, 0, 0, 2, 0, 0 }, { 12, 9, 8, 12, 3, 1, 0, 0, 1, 12, 0 },
                             { 12, 9, 8, 24, 3, 1, 0, 0, 2, 4, 0 }, { 8, 13, 11, 12, 5, 1, 3, 2, 3, 2, 0 },
                             { 4, 6, 20, 5, 1, 0, 7, 3, 1, 1, 0 }, { 3, 7, 7, 5, 2, 0, 0, 0, 3, 1, 0 },
                             { 2, 40, 40, 3, 3, 1, 0, 0, 4, 1, 0 },
                             { 3, 4, 3, 2, 3, 2, 1, 1, 5, 1, 0 }, { 64, 3, 50, 16, 1, 0, 3, 1, 1, 1, 0 } };
  for (const fl_conv &s : shapes) {
    check_conv(s, 1);
    check_conv(s, 5);
  }
  const fl_conv points[] = { { 16, 32, 32, 33, 1, 0, 0, 0, 2, 1, 0 }, { 48, 5, 33, 20, 1, 0, 0, 0, 2, 1, 0 },
                             { 24, 7, 8, 40, 1, 0, 1, 0, 3, 2, 0 }, { 50, 12, 12, 48, 1, 0, 0, 0, 1, 1, 0 },
                             { 34, 7, 7, 40, 1, 0, 0, 0, 1, 2, 0 }, { 4, 3, 600, 5, 1, 0, 0, 0, 2, 1, 0 },
                             { 130, 8, 8, 100, 1, 0, 0, 0, 2, 1, 0 } };
  for (const fl_conv &s : points) {
    check_conv(s, 1);
    check_conv(s, 5);
  }
  check_conv({ 4100, 2, 3, 3, 1, 0, 0, 0, 2, 1, 0 }, 3); // k is cut
  check_conv({ 3, 2, 3, 4100, 1, 0, 0, 0, 2, 1, 0 }, 3);
  check_conv({ 18, 64, 60, 5, 1, 0, 0, 0, 2, 1, 0 }, 9); // weight gradients in pieces, which are parts of samples
  check_conv({ 480, 3, 4, 34, 3, 1, 0, 0, 1, 1, 0 }, 2); // k is cut, inside a plane
  check_conv({ 34, 4, 3, 480, 3, 1, 0, 0, 2, 1, 0 }, 2);
  check_conv({ 2, 70, 66, 3, 3, 1, 0, 0, 2, 1, 0 }, 9); // weight gradients in pieces of samples
}

namespace {
// Plain loops in double.
struct plain_conv {
  std::vector<double> y, dx, dw;
  explicit plain_conv(const conv_data &d) : y(d.dy.size()), dx(d.x.size()), dw(d.w.size()) {
    const fl_conv &s = d.s;
    for (size_t i = 0; i < d.n * s.o * s.c * 9; i++) {
      const size_t tap = i % 9, c = i / 9 % s.c, o = i / 9 / s.c % s.o, from = i / 9 / s.c / s.o * s.c + c;
      const size_t w = (o * s.c + c) * 9 + tap;
      for (size_t at = 0; at < s.h * s.w; at++) {
        const size_t yy = at / s.w + tap / 3 - 1, xx = at % s.w + tap % 3 - 1;
        if (yy >= s.h || xx >= s.w) continue;
        const size_t in = (from * s.h + yy) * s.w + xx, out = (i / 9 / s.c / s.o * s.o + o) * s.h * s.w + at;
        y[out] += static_cast<double>(d.w[w]) * static_cast<double>(d.x[in]);
        dx[in] += static_cast<double>(d.w[w]) * static_cast<double>(d.dy[out]);
        dw[w] += static_cast<double>(d.dy[out]) * static_cast<double>(d.x[in]);
      }
    }
  }
};

// Root of the mean square of the error, and the largest one, over the root of the mean square of what is right.
void check_error(const floats &got, const std::vector<double> &want, double rms, double largest) {
  double square = 0, error = 0, most = 0;
  for (size_t i = 0; i < got.size(); i++) {
    const double e = std::fabs(static_cast<double>(got[i]) - want[i]);
    square += want[i] * want[i];
    error += e * e;
    most = std::fmax(most, e);
  }
  CHECK(std::sqrt(error) <= rms * std::sqrt(square));
  CHECK(most <= largest * std::sqrt(square / static_cast<double>(got.size())));
}
}  // namespace

TEST_CASE("Winograd convolutions are as near to the truth as documented, a sample's result its own", "[conv]") {
  const fl_conv shapes[] = { { 16, 4, 4, 32, 3, 1, 0, 0, 0, 0, 1 }, { 32, 7, 9, 16, 3, 1, 0, 0, 1, 1, 1 },
                             { 64, 8, 8, 48, 3, 1, 3, 1, 0, 0, 1 },
                             { 16, 33, 30, 16, 3, 1, 0, 0, 0, 0, 1 }, { 80, 5, 20, 64, 3, 1, 0, 0, 0, 0, 1 },
                             { 16, 48, 48, 32, 3, 1, 0, 0, 0, 0, 1 }, { 32, 41, 64, 32, 3, 1, 0, 0, 0, 0, 1 } };
  for (const fl_conv &s : shapes) {
    const size_t n = 5, in = s.c * s.h * s.w, out = s.o * s.h * s.w;
    INFO("c " << s.c << " h " << s.h << " w " << s.w << " o " << s.o);
    REQUIRE(fl_conv_winograd(&s));
    conv_data d = { s, n, s.h, s.w, draw(n * in, 3), draw(s.o * s.c * 9, 4), draw(s.o, 5), draw(n * out, 6) };
    plain_conv want(d);
    floats unused;
    floats db;
    conv_weight_ref(d, unused, db);
    each_isa([&](const fl_kernels *t) {
      floats work(fl_conv_work(&s, n) + 1, nan_f), y(n * out), plain(n * out), one(n * out), dx(n * in), dw(d.w.size()), gb(s.o);
      work.back() = 42.0f;
      t->conv_forward(&s, n, d.x.data(), d.w.data(), nullptr, plain.data(), work.data());
      t->conv_forward(&s, n, d.x.data(), d.w.data(), d.b.data(), y.data(), work.data());
      t->conv_grad_input(&s, n, d.w.data(), d.dy.data(), dx.data(), work.data());
      t->conv_grad_weight(&s, n, d.x.data(), d.dy.data(), dw.data(), gb.data(), work.data());
      CHECK(work.back() == 42.0f);
      check_error(plain, want.y, 2e-6, 3e-5);
      check_error(dx, want.dx, 2e-6, 3e-5);
      check_error(dw, want.dw, 2e-6, 3e-5);
      CHECK(same(gb, db));
      for (size_t i = 0; i < plain.size(); i++) plain[i] += d.b[i / (s.h * s.w) % s.o];
      CHECK(same(plain, y));
      for (size_t i = 0; i < n; i++)
        t->winograd_forward(&s, 1, d.x.data() + i * in, d.w.data(), d.b.data(), one.data() + i * out, work.data());
      CHECK(same(one, y));
    });
  }
}

TEST_CASE("shapes that the Winograd kernels do not take", "[conv]") {
  const fl_conv shapes[] = { { 16, 8, 8, 16, 3, 1, 0, 0, 0, 0, 0 }, { 16, 8, 8, 16, 3, 1, 0, 0, 2, 0, 1 },
                             { 16, 8, 8, 16, 3, 0, 0, 0, 1, 0, 1 },
                             { 16, 8, 8, 16, 3, 1, 3, 0, 1, 0, 1 }, { 16, 8, 8, 16, 3, 1, 1, 1, 1, 0, 1 },
                             { 16, 8, 8, 16, 5, 1, 0, 0, 1, 0, 1 },
                             { 16, 8, 8, 16, 3, 1, 0, 0, 1, 2, 1 }, { 3, 8, 8, 16, 3, 1, 0, 0, 1, 1, 1 },
                             { 16, 8, 8, 10, 3, 1, 0, 0, 1, 1, 1 },
                             { 16, 2, 2, 16, 3, 1, 0, 0, 1, 1, 1 }, { 16, 65, 65, 16, 3, 1, 0, 0, 1, 1, 1 } };
  for (const fl_conv &s : shapes) CHECK_FALSE(fl_conv_winograd(&s));
}

TEST_CASE("a convolution's k is cut at every 4096", "[conv]") {
  check_conv(FL_CONV_OF(200, 4, 5, 3, 5, 2), 2);         // forward: 5000, a cut inside a plane
  check_conv(FL_CONV_OF(2, 4, 5, 200, 5, 2), 2);         // backward
  check_conv(FL_CONV_OF(340, 3, 4, 2, 5, 3), 1);         // three pieces
  check_conv(FL_CONV_OF(3, 5, 5, 913, 3, 1), 1);
  check_conv(FL_CONV_OF(4096, 2, 3, 2, 1, 0), 1);        // exactly one piece
  check_conv(FL_CONV_OF(20481, 2, 2, 9, 1, 0), 1);       // six, the last of one tap
  check_conv(FL_CONV_OF(3, 70, 66, 2, 3, 1), 2);         // a weight gradient's piece is a whole sample, however large
}

TEST_CASE("convolution, ReLU and pooling in one equal the three layers", "[conv]") {
  const fl_conv shapes[] = { FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0), FL_CONV_OF(2, 7, 9, 3, 3, 1),
                             FL_CONV_OF(17, 6, 6, 33, 3, 1),
                             FL_CONV_OF(3, 6, 40, 17, 1, 0), FL_CONV_OF(4, 13, 5, 1, 9, 5), FL_CONV_OF(1, 3, 3, 2, 2, 0),
                             FL_CONV_OF(1, 2, 70, 1, 1, 0),
                             FL_CONV_OF(40, 5, 4, 5, 3, 1), FL_CONV_OF(2, 4, 2, 61, 3, 1), FL_CONV_OF(8, 4, 134, 2, 3, 1) };
  for (const fl_conv &s : shapes) {
    check_conv_pool(s, 1);
    check_conv_pool(s, 3);
  }
  check_conv_pool(FL_CONV_OF(1, 28, 28, 6, 5, 2), 13);
  check_conv_pool(FL_CONV_OF(6, 14, 14, 16, 5, 0), 50);
  const fl_conv cut[] = { FL_CONV_OF(4, 8, 8, 164, 5, 2), FL_CONV_OF(164, 8, 8, 4, 5, 2) };
  for (const fl_conv &s : cut) CHECK_FALSE(fl_conv_pool_fits(&s));
}

// A NaN in a window: the window's value, and the gradient of its last NaN, are NaN, whatever came back.
TEST_CASE("convolution, ReLU and pooling in one hand NaN on", "[conv]") {
  const fl_conv s = FL_CONV_OF(1, 4, 4, 1, 1, 0);
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
