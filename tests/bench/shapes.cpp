// shapes.cpp - kernels with shapes: products and layers as the models use them, and the figures' table of docs/kernels.md.
#include "shapes.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

// Where the streams lie that move so many bytes a call: a cache holds 32 bytes an element of its size.
size_t nearest_size(const Sizes &s, double bytes) {
  return bytes <= 32.0 * static_cast<double>(s.l1) ? s.l1 : bytes <= 32.0 * static_cast<double>(s.l2) ? s.l2 : s.l3;
}

void add_shape_on(Book &book, const Op &op, const Shape &shape, const fl_kernels *k) {
  Line line;
  line.kernel = op.name;
  line.isa = k->name;
  line.name = line.kernel + "/" + line.isa + "/" + shape.name + (book.options.huge_pages ? "" : "/pages:4k") + "/threads:" +
              std::to_string(shape.threads);
  line.threads = shape.threads;
  line.elements = shape.elements;
  line.flops = shape.flops;
  line.fmas = shape.double_fmas > 0 ? 0 : shape.flops / 2;
  line.double_fmas = shape.double_fmas;
  line.bytes = shape.elements * (op.traffic.reads + op.traffic.writes);
  if (line.bytes > 0 && shape.streams) {
    line.bandwidth = book.bandwidth(op.traffic.mix(shape.in_place), { nearest_size(book.sizes, line.bytes), 1, false });
  }
  line.prepare = [shape] { arena.refill({ shape.floats, 1, false }, shape.arrays, true); };
  line.run = [k, shape](int64_t calls, size_t) {
    float *array[STREAMS];
    for (size_t j = 0; j < shape.arrays; j++) { array[j] = arena.array(j, shape.floats); }
    return timed(1, [&](unsigned) {
      for (int64_t i = 0; i < calls; i++) { shape.call(k, array); }
    });
  };
  book.add(line, shape.floats, shape.arrays);
}

} // namespace

void add_shape(Book &book, const Op &op, const Shape &shape) {
  for (const fl_kernels *k : book.options.isas) { add_shape_on(book, op, shape, k); }
}

std::string dimension(const char *name, size_t value) { return std::string(name) + ":" + std::to_string(value); }

namespace {

// ---- products --------------------------------------------------------------------------------------------------------------
struct Product { size_t m, n, k; };
const Product square[] = { { 128, 128, 128 }, { 256, 256, 256 }, { 512, 512, 512 }, { 1024, 1024, 1024 } };
const Product nn[] = { { 50, 200, 784 }, { 10, 200, 50 }, { 64, 576, 1024 }, { 784, 64, 576 }, { 197, 192, 192 },
                       { 197, 768, 192 }, { 50, 10, 784 }, { 10, 10, 784 } };
const Product nt[] = { { 50, 200, 10 } }, tn[] = { { 784, 10, 50 }, { 784, 200, 50 } };
enum Form { NN, NT, TN };

void each_part(void *self, size_t parts, void (*body)(void *, size_t), void *arg) {
#pragma omp parallel for schedule(static, 1) num_threads(*static_cast<unsigned *>(self))
  for (size_t i = 0; i < parts; i++) { body(arg, i); }
}

void add_product(Book &book, const Op &op, Form form, const Product &p, unsigned threads) {
  static const fl_product forms[] = { FL_PRODUCT_NN, FL_PRODUCT_NT, FL_PRODUCT_TN };
  Shape s;
  s.threads = threads;
  s.name = dimension("m", p.m) + "/" + dimension("n", p.n) + "/" + dimension("k", p.k);
  s.elements = static_cast<double>(p.m * p.n);
  s.flops = 2.0 * s.elements * static_cast<double>(p.k);
  s.floats = std::max({ p.m * p.n, p.m * p.k, p.n * p.k });
  s.arrays = 3;
  s.call = [form, p, threads](const fl_kernels *k, float *const *a) {
    unsigned members = threads;
    const fl_team team = { &members, threads, each_part };
    fl_gemm_team(k, threads > 1 ? &team : nullptr, forms[form], p.m, p.n, p.k, a[0], form == TN ? p.m : p.k, a[1],
                 form == NT ? p.k : p.n, a[2], p.n, FL_GEMM_PIECE);
  };
  add_shape(book, op, s);
}

template <size_t COUNT>
void add_products(Book &book, const Op &op, Form form, const Product (&list)[COUNT]) {
  for (const unsigned threads : book.options.threads) {
    for (const Product &p : square) { add_product(book, op, form, p, threads); }
    for (const Product &p : list) { add_product(book, op, form, p, threads); }
  }
}

// The products that a symmetric result needs: one side of the diagonal, and the diagonal.
void add_symmetric(Book &book, const Op &op, decltype(fl_kernels::gemm_syrk) fl_kernels::*member, size_t n, size_t k) {
  const double elements = static_cast<double>(n * n);
  add_shape(book, op, { dimension("n", n) + "/" + dimension("k", k), elements, static_cast<double>(n * (n + 1) * k),
                        n * std::max(n, k), 2,
                        [=](const fl_kernels *t, float *const *a) { (t->*member)(n, k, a[0], k, a[1], n, FL_GEMM_PIECE); } });
}

// ---- parts of the factorisations, as they meet a matrix of 256 x 256 ----------------------------------------------------------
enum { PANEL = FL_PANEL, ORDER = 256, BEHIND = ORDER - PANEL };

// C = C + A B, or A^T B, with the k of a panel: C grows a little with every call.
void add_update(Book &book, const Op &op, decltype(fl_kernels::gemm_nn_add) fl_kernels::*member, bool transposed) {
  const double elements = ORDER * BEHIND;
  add_shape(book, op, { dimension("m", ORDER) + "/" + dimension("n", BEHIND) + "/" + dimension("k", PANEL), elements,
                        2 * elements * PANEL, ORDER * BEHIND, 3, [=](const fl_kernels *k, float *const *a) {
    (k->*member)(ORDER, BEHIND, PANEL, a[0], transposed ? ORDER : PANEL, a[1], BEHIND, a[2], BEHIND);
  } });
}

// ---- means of runs: what Adam-mini and FedAdamW's blocks ask for
// -----------------------------------------------------------------
void add_runs(Book &book, const Op &op, decltype(fl_kernels::mean_runs) fl_kernels::*member) {
  enum { RUNS = 64, LENGTH = 1000 };
  std::vector<fl_run> runs;
  for (size_t r = 0; r < RUNS; r++) { runs.push_back({ r * LENGTH, LENGTH }); }
  add_shape(book, op, { dimension("runs", RUNS) + "/" + dimension("n", RUNS * LENGTH), RUNS * LENGTH, 0, RUNS * LENGTH, 2,
                        [=](const fl_kernels *k, float *const *a) { (k->*member)(RUNS, runs.data(), a[0], a[1]); } });
}

// ---- pairs of vectors: a cohort's updates, in doubles
// ------------------------------------------------------------------------------
void add_pairs(Book &book, const Op &op, decltype(fl_kernels::gram) fl_kernels::*member, unsigned flops) {
  static const struct { size_t m, n; } shapes[] = { { 10, 7850 }, { 32, 4096 }, { 100, 7850 } };
  for (const auto &v : shapes) {
    const double pairs = static_cast<double>(v.m * (v.m + 1) / 2), n = static_cast<double>(v.n);
    Shape s = { dimension("m", v.m) + "/" + dimension("n", v.n), pairs, flops * pairs * n, v.m * v.n, 2,
                [=](const fl_kernels *k,
                    float *const *a) { (k->*member)(v.m, v.n, a[0], v.n, reinterpret_cast<double *>(a[1])); } };
    s.double_fmas = pairs * n;
    add_shape(book, op, s);
  }
}

// ---- layers ------------------------------------------------------------------------------------------------------------------
const fl_conv convolutions[] = { FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0) }; // LeNet-5
// Others of ResNet-18 and VGG-11 for 32x32 images; the 3x3 ones of stride 1 are the Winograd kernels' too.
const fl_conv residual[] = { FL_CONV_OF(3, 32, 32, 64, 3, 1), FL_CONV_OF(64, 32, 32, 64, 3, 1),
                             FL_CONV_OF(128, 16, 16, 128, 3, 1), FL_CONV_OF(256, 8, 8, 256, 3, 1),
                             FL_CONV_OF(512, 4, 4, 512, 3, 1), FL_CONV_OF(64, 16, 16, 128, 3, 1),
                             FL_CONV_OF(128, 8, 8, 256, 3, 1), FL_CONV_OF(256, 4, 4, 512, 3, 1),
                             FL_CONV_OF(512, 2, 2, 512, 3, 1),
                             { 64, 32, 32, 128, 3, 1, 0, 0, 2, 1, 0 }, { 128, 16, 16, 256, 3, 1, 0, 0, 2, 1, 0 },
                             { 256, 8, 8, 512, 3, 1, 0, 0, 2, 1, 0 }, { 64, 32, 32, 128, 1, 0, 0, 0, 2, 1, 0 },
                             { 128, 16, 16, 256, 1, 0, 0, 0, 2, 1, 0 }, { 256, 8, 8, 512, 1, 0, 0, 0, 2, 1, 0 } };
enum { BATCH = 50, CLASSES = 10, HIDDEN = 200, PLANES = 300, SIDE = 28, INSIDE = 4 };

const uint8_t *below(unsigned limit) { // labels, places of maxima
  static std::map<unsigned, std::vector<uint8_t>> made;
  std::vector<uint8_t> &v = made[limit];
  if (v.empty()) {
    for (unsigned i = 0; i < PLANES * SIDE * SIDE; i++) { v.push_back(static_cast<uint8_t>(i * 7 % limit)); }
  }
  return v.data();
}

// Softmax and bias may have their output where the input is; softmax computes so long that streams do not matter.
void add_rows(Book &book, const Op &op, size_t rows, size_t n, size_t arrays,
              const std::function<void(const fl_kernels *, float *const *)> &call) {
  add_shape(book, op, { dimension("rows", rows) + "/" + dimension("n", n), static_cast<double>(rows * n), 0, rows * n, arrays,
                        call, op.traffic.reads && op.traffic.writes ? 1u : 0u, 1, 0, std::strncmp(op.name, "softmax", 7) != 0 });
}

void add_convolution(Book &book, const Op &op, const fl_conv &c,
                     const std::function<void(const fl_kernels *, const fl_conv *, float *const *)> &call, double products = 1) {
  const size_t out = c.o * fl_conv_oh(&c) * fl_conv_ow(&c), taps = c.c * c.k * c.k;
  Shape s;
  s.name = dimension("n", BATCH) + "/" + dimension("c", c.c) + "/" + dimension("h", c.h) + "/" + dimension("o", c.o) + "/" +
           dimension("k", c.k) + "/" + dimension("p", c.p) + (c.stride > 1 ? "/" + dimension("stride", c.stride) : "");
  s.elements = static_cast<double>(BATCH * out);
  s.flops = 2.0 * products * s.elements * static_cast<double>(taps);
  const bool pools = std::strncmp(op.name, "conv_pool", 9) == 0;
  s.floats = std::max({ BATCH * out, BATCH * c.c * c.h * c.w, c.o * taps,
                        pools ? fl_conv_pool_work(&c, BATCH) : fl_conv_work(&c, BATCH) });
  s.arrays = pools ? 7 : 5;
  s.call = [c, call](const fl_kernels *k, float *const *a) { call(k, &c, a); };
  add_shape(book, op, s);
}

} // namespace

FL_SHAPED(gemm_nn) { add_products(book, op, NN, nn); }
FL_SHAPED(gemm_nt) { add_products(book, op, NT, nt); }
FL_SHAPED(gemm_tn) { add_products(book, op, TN, tn); }
FL_SHAPED(gemm_syrk) {
  add_symmetric(book, op, member, 64, 64);
  add_symmetric(book, op, member, 246, 251);
  add_symmetric(book, op, member, 1024, 1024);
}

FL_SHAPED(gemm_nn_add) { add_update(book, op, member, false); }
FL_SHAPED(gemm_tn_add) { add_update(book, op, member, true); }
FL_SHAPED(transpose) {
  add_shape(book, op, { dimension("m", ORDER) + "/" + dimension("n", ORDER), ORDER * ORDER, 0, ORDER * ORDER, 2,
                        [member](auto *k, auto *a) { (k->*member)(ORDER, ORDER, a[0], ORDER, a[1], ORDER); } });
}
FL_SHAPED(qr_panel) {
  enum { SIZE = ORDER * PANEL };
  add_shape(book, op, { dimension("m", ORDER) + "/" + dimension("n", PANEL), SIZE, 2.0 * SIZE * PANEL, SIZE, 4,
                        [member](auto *k, auto *a) {
    std::copy(a[0], a[0] + SIZE, a[1]);
    (k->*member)(ORDER, PANEL, a[1], a[2], a[3]);
  } });
}
FL_SHAPED(wy) {
  enum { SIZE = PANEL * PANEL };
  add_shape(book, op, { dimension("n", PANEL), SIZE, 1.0 / 3 * SIZE * PANEL, SIZE, 2, [member](auto *k, auto *a) {
    (k->*member)(PANEL, a[0], a[1]);
  } });
}
FL_SHAPED(cholesky_panel) {
  enum { SIZE = ORDER * PANEL };
  add_shape(book, op, { dimension("m", PANEL) + "/" + dimension("n", ORDER), SIZE, 1.0 * SIZE * PANEL, SIZE, 2,
                        [member](auto *k, auto *a) {
    for (size_t i = 0; i < PANEL; i++) { a[0][i * ORDER + i] = 4.0f * ORDER; } // the call before left its factor
    (k->*member)(PANEL, ORDER, a[0], ORDER, a[1], ORDER);
  } });
}
FL_SHAPED(rotate) { // sweeps over all rows of one panel
  enum { SWEEPS = 16, ROTATIONS = SWEEPS * (ORDER - 1) };
  std::vector<uint32_t> range;
  std::vector<float> cs;
  for (size_t i = 0; i < SWEEPS; i++) { range.insert(range.end(), { ORDER - 1, ORDER - 1 }); }
  for (size_t i = 0; i < ROTATIONS; i++) { cs.insert(cs.end(), { 0.6f, 0.8f }); }
  const double elements = static_cast<double>(ROTATIONS) * PANEL;
  add_shape(book, op, { dimension("sweeps", SWEEPS) + "/" + dimension("rows", ORDER), elements, 6 * elements, ORDER * PANEL, 1,
                        [=](auto *k, auto *a) { (k->*member)(SWEEPS, range.data(), cs.data(), a[0]); } });
}

FL_SHAPED(mean_runs) { add_runs(book, op, member); }
FL_SHAPED(mean_sq_runs) { add_runs(book, op, member); }
FL_SHAPED(gram) { add_pairs(book, op, member, 2); }
FL_SHAPED(sq_distances) { add_pairs(book, op, member, 3); }

FL_SHAPED(bias_rows) {
  add_rows(book, op, BATCH, HIDDEN, 2, [member](auto *k, auto *a) { (k->*member)(BATCH, HIDDEN, a[0], a[1]); });
}
FL_SHAPED(bias_grad) {
  add_rows(book, op, BATCH, HIDDEN, 2, [member](auto *k, auto *a) { (k->*member)(BATCH, HIDDEN, a[0], a[1], 32); });
}
FL_SHAPED(softmax_xent) {
  add_rows(book, op, BATCH, CLASSES, 3,
           [member](auto *k, auto *a) { (k->*member)(BATCH, CLASSES, a[0], below(CLASSES), 0.02f, a[1], a[2]); });
}
FL_SHAPED(softmax_sample) {
  add_rows(book, op, BATCH, CLASSES, 4, [member](auto *k, auto *a) {
    (k->*member)(BATCH, CLASSES, a[0], a[1], a[2], reinterpret_cast<uint8_t *>(a[3]));
  });
}
FL_SHAPED(argmax_rows) {
  add_rows(book, op, BATCH, CLASSES, 2,
           [member](auto *k, auto *a) { (k->*member)(BATCH, CLASSES, a[0], reinterpret_cast<int32_t *>(a[1])); });
}

static std::string planes() { return dimension("planes", PLANES) + "/" + dimension("h", SIDE) + "/" + dimension("w", SIDE); }
FL_SHAPED(maxpool2) {
  add_shape(book, op, { planes(), PLANES * SIDE * SIDE / 4.0, 0, PLANES * SIDE * SIDE, 3, [member](auto *k, auto *a) {
    (k->*member)(PLANES, SIDE, SIDE, a[0], a[1], reinterpret_cast<uint8_t *>(a[2]));
  } });
}
FL_SHAPED(maxpool2_back) {
  add_shape(book, op, { planes(), PLANES * SIDE * SIDE / 4.0, 0, PLANES * SIDE * SIDE, 2, [member](auto *k, auto *a) {
    (k->*member)(PLANES, SIDE, SIDE, a[0], below(INSIDE), a[1]);
  } });
}

static void each_convolution(Book &book, const Op &op,
                             const std::function<void(const fl_kernels *, const fl_conv *, float *const *)> &call) {
  for (const fl_conv &c : convolutions) { add_convolution(book, op, c, call); }
  for (const fl_conv &c : residual) { add_convolution(book, op, c, call); }
}
static void each_winograd(Book &book, const Op &op,
                          const std::function<void(const fl_kernels *, const fl_conv *, float *const *)> &call) {
  for (fl_conv c : residual) {
    c.winograd = 1;
    if (fl_conv_winograd(&c)) { add_convolution(book, op, c, call, 36.0 / 144); }
  }
}

FL_SHAPED(conv_forward) {
  each_convolution(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3], a[4]); });
}
FL_SHAPED(conv_grad_weight) {
  each_convolution(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3], a[4]); });
}
FL_SHAPED(conv_grad_input) {
  each_convolution(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3]); });
}
FL_SHAPED(winograd_forward) {
  each_winograd(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3], a[4]); });
}
FL_SHAPED(winograd_grad_weight) {
  each_winograd(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3]); });
}
FL_SHAPED(winograd_grad_input) {
  each_winograd(book, op, [member](auto *k, auto *s, auto *a) { (k->*member)(s, BATCH, a[0], a[1], a[2], a[3]); });
}
FL_SHAPED(conv_pool) {
  for (const fl_conv &c : convolutions) {
    add_convolution(book, op, c, [member](auto *k, auto *s, auto *a) {
      (k->*member)(s, BATCH, a[0], a[1], a[2], a[3], reinterpret_cast<uint8_t *>(a[4]), a[5]);
    });
  }
}
// Of the windows a fifth has no gradient, the others' places are anywhere; products for the weights and for the input.
FL_SHAPED(conv_pool_back) {
  const double products = 2 * 0.8 / INSIDE;
  for (const fl_conv &c : convolutions) {
    add_convolution(book, op, c, [member](auto *k, auto *s, auto *a) {
      (k->*member)(s, BATCH, a[0], a[1], a[2], below(INSIDE + 1), a[3], a[4], a[5], a[6]);
    }, products);
  }
}

// ---- what is built on the tables -----------------------------------------------------------------------------------------

// n x n, in array 0; results in 1 and 2, work in 3. A call leaves its input as it was.
static void add_square(Book &book, const char *name, double flops, size_t work, size_t n,
                const std::function<void(const fl_kernels *, size_t n, float *const *a)> &call) {
  add_shape(book, { "matrix", name, "", { 0, 0 } },
            { dimension("n", n), static_cast<double>(n * n), flops, std::max(n * n, work), 4,
                                                      [=](const fl_kernels *k, float *const *a) { call(k, n, a); } });
}

static void add_decompositions(Book &book) {
  for (size_t n = 64; n <= 512; n *= 2) {
    const double cube = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
    add_square(book, "qr", 8.0 / 3 * cube, fl_qr_work(n, n), n,
               [](auto *k, size_t size, auto *a) { fl_qr(k, size, size, a[0], a[1], a[2], a[3]); });
    add_square(book, "cholesky", 1.0 / 3 * cube, fl_cholesky_work(n), n, [](auto *k, size_t size, auto *a) {
      for (size_t i = 0; i < size; i++) { a[0][i * size + i] = 4.0f * static_cast<float>(size); } // positive definite
      if (fl_cholesky(k, size, a[0], a[1], a[3])) { // it stopped early, so its time is none
        std::fprintf(stderr, "fedlane bench: cholesky/n:%zu: the matrix is not positive definite\n", size);
        std::abort();
      }
    });
    add_square(book, "eigh", 0, fl_eigh_work(n), n, // how much it computes depends on the matrix
               [](auto *k, size_t size, auto *a) { fl_eigh(k, size, a[0], a[2], a[1], a[3]); });
    add_square(book, "inverse_root", 0, fl_inverse_root_work(n), n, [](auto *k, size_t size, auto *a) {
      if (fl_inverse_root(k, size, a[0], 4.0, 1e-4f, a[1], a[3])) {
        std::fprintf(stderr, "fedlane bench: inverse_root/n:%zu: no root\n", size);
        std::abort();
      }
    });
    add_square(book, "orthogonal_iteration", (2 + 8.0 / 3) * cube, fl_orthogonal_iteration_work(n), n,
               [](auto *k, size_t size, auto *a) { fl_orthogonal_iteration(k, size, a[0], a[1], a[3]); });
  }
}

void add_matrix(Book &book) {
  static const struct { size_t a, b; } sizes[] = { { 64, 64 }, { 246, 251 }, { 1024, 1024 } };
  enum { STEPS = 5 };
  const Op op = { "matrix", "newton_schulz", "", { 0, 0 } };
  for (const auto &m : sizes) {
    Shape s;
    s.name = dimension("m", m.a) + "/" + dimension("n", m.b);
    s.elements = static_cast<double>(m.a * m.b);
    const double rows = static_cast<double>(std::min(m.a, m.b));
    s.flops = STEPS * (3 * rows * s.elements + rows * rows * rows); // the symmetric products X X' and A A count half
    s.floats = std::max(m.a * m.b, fl_newton_schulz_work(m.a, m.b));
    s.arrays = 3;
    s.call = [m](const fl_kernels *k, float *const *a) { fl_newton_schulz(k, m.a, m.b, a[0], a[1], STEPS, a[2]); };
    add_shape(book, op, s);
  }
  add_decompositions(book);
  add_sequences(book);
}

} // namespace bench
