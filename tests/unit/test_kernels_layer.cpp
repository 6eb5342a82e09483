// The layer and GEMM kernels of every ISA that runs here against plain loops in the documented order, bit for bit.
#include "plain.hpp"
#include <string>

namespace {
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
