// sequences.cpp - attention as mini GPT (8 characters, 6 heads of 4) and ViT-Tiny (65 places, 3 heads of 64) meet it, and at a
// length beyond one block of keys; LSTM and GRU of 256 units over 80 characters.
#include "shapes.h"
#include <algorithm>

namespace bench {
namespace {

struct Heads { size_t n, length, heads, dim; int causal; };
const Heads heads[] = { { 64, 8, 6, 4, 1 }, { 1, 8, 6, 4, 1 }, { 50, 65, 3, 64, 0 }, { 1, 1024, 1, 64, 1 } };
enum { BATCH = 50, LENGTH = 80, UNITS = 256, INPUT = 8 };

// Products of scores and values: two forward, five on the way back; of causal attention a half.
template <class Call> void add_heads(Book &book, const Op &op, double products, Call call) {
  for (const Heads &h : heads) {
    const size_t width = h.heads * h.dim, rows = h.n * h.length;
    const fl_attention s = { h.length, h.heads, h.dim, 3 * width, width, 0.5f, h.causal, nullptr, 0, 0 };
    const double keys = h.causal ? 0.5 * static_cast<double>(h.length + 1) : static_cast<double>(h.length);
    Shape shape;
    shape.name = dimension("n", h.n) + "/" + dimension("length", h.length) + "/" + dimension("heads", h.heads) + "/" +
                 dimension("dim", h.dim);
    shape.elements = static_cast<double>(rows * width);
    shape.flops = 2 * products * keys * shape.elements;
    shape.floats = std::max(3 * rows * width, fl_attention_work(&s));
    shape.arrays = 6;
    shape.call = [=](const fl_kernels *k, float *const *a) { call(k, s, h.n, width, a); };
    add_shape(book, op, shape);
  }
}

Shape cells(size_t arrays, std::function<void(const fl_kernels *, float *const *)> call) {
  return { dimension("rows", BATCH) + "/" + dimension("n", UNITS), 1.0 * BATCH * UNITS, 0, 4 * BATCH * UNITS, arrays,
           std::move(call), 0, 1, 0, false };
}

// x, y, gates, what is kept, weights, work, dy, dx, gradients: arrays 0 to 8.
void add_sequence(Book &book, const char *name, size_t gates, size_t in, double products,
                  const std::function<void(const fl_kernels *, const fl_recurrent &, const fl_recurrent_weights &,
                                           const fl_recurrent_gradients &, float *const *)> &call) {
  const fl_recurrent s = { LENGTH, in, UNITS };
  const size_t all = gates * UNITS, rows = BATCH * LENGTH;
  Shape shape;
  shape.name = dimension("n", BATCH) + "/" + dimension("length", LENGTH) + "/" + dimension("in", in) + "/" +
               dimension("hidden", UNITS);
  shape.elements = static_cast<double>(rows * UNITS);
  shape.flops = 2 * products * static_cast<double>(rows * all * (in + UNITS));
  shape.floats = std::max(rows * all, fl_recurrent_work(&s, BATCH));
  shape.arrays = 9;
  shape.call = [=](const fl_kernels *k, float *const *a) {
    float *const w = a[4], *const d = a[8];
    const size_t hh = all * in, bias = hh + all * UNITS;
    call(k, s, { w, w + hh, w + bias, w + bias + all }, { d, d + hh, d + bias, d + bias + all }, a);
  };
  add_shape(book, { "recurrent", name, "", { 0, 0 } }, shape);
}

} // namespace

FL_SHAPED(attention) {
  add_heads(book, op, 2, [member](auto *k, auto &s, size_t n, size_t width, auto *a) {
    (k->*member)(&s, n, a[0], a[0] + width, a[0] + 2 * width, a[1], a[2], a[3]);
  });
}
FL_SHAPED(attention_back) {
  add_heads(book, op, 5, [member](auto *k, auto &s, size_t n, size_t width, auto *a) {
    (k->*member)(&s, n, a[0], a[0] + width, a[0] + 2 * width, a[1], a[2], a[3], a[4], a[4] + width, a[4] + 2 * width, a[5]);
  });
}
FL_SHAPED(lstm_cell) {
  add_shape(book, op, cells(5, [member](auto *k, auto *a) {
    (k->*member)(BATCH, UNITS, a[0], 4 * UNITS, a[1], a[2], a[3], UNITS, a[4], UNITS);
  }));
}
FL_SHAPED(lstm_cell_back) {
  add_shape(book, op, cells(6, [member](auto *k, auto *a) {
    (k->*member)(BATCH, UNITS, a[0], 4 * UNITS, a[1], a[2], UNITS, a[3], a[4], a[5]);
  }));
}
FL_SHAPED(gru_cell) {
  add_shape(book, op, cells(5, [member](auto *k, auto *a) {
    (k->*member)(BATCH, UNITS, a[0], 3 * UNITS, a[1], a[2], UNITS, a[3], a[4], UNITS);
  }));
}
FL_SHAPED(gru_cell_back) {
  add_shape(book, op, cells(5, [member](auto *k, auto *a) {
    (k->*member)(BATCH, UNITS, a[0], 3 * UNITS, a[1], UNITS, a[2], UNITS, a[3], a[4]);
  }));
}

void add_sequences(Book &book) {
  for (const size_t in : { size_t(INPUT), size_t(UNITS) }) {
    add_sequence(book, "lstm", 4, in, 1, [](auto *k, auto &s, auto &w, auto &, auto *a) {
      fl_lstm(k, &s, BATCH, a[0], &w, a[1], a[2], a[3], a[5]);
    });
    add_sequence(book, "lstm_back", 4, in, 2, [](auto *k, auto &s, auto &w, auto &d, auto *a) {
      fl_lstm_back(k, &s, BATCH, a[0], &w, a[1], a[2], a[3], a[6], a[7], &d, a[5]);
    });
    add_sequence(book, "gru", 3, in, 1, [](auto *k, auto &s, auto &w, auto &, auto *a) {
      fl_gru(k, &s, BATCH, a[0], &w, a[1], a[2], a[3], a[5]);
    });
    add_sequence(book, "gru_back", 3, in, 2, [](auto *k, auto &s, auto &w, auto &d, auto *a) {
      fl_gru_back(k, &s, BATCH, a[0], &w, a[1], a[2], a[3], a[6], a[7], &d, a[5]);
    });
  }
}

} // namespace bench
