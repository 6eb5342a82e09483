// layers.cpp - pooling; losses, embeddings and what works on sequences, as the character models meet them.
#include "shapes.h"
#include <algorithm>
#include <map>

namespace bench {
namespace {

enum { ROWS = 512, VOCABULARY = 65, WIDTH = 24, CONTEXT = 8 }; // mini GPT: 64 samples of 8 characters

const uint32_t *tokens(uint32_t below) {
  static std::map<uint32_t, std::vector<uint32_t>> made;
  std::vector<uint32_t> &v = made[below];
  for (uint32_t i = 0; v.size() < ROWS; i++) { v.push_back(i * 37 % below); }
  return v.data();
}

std::string rows_of(size_t n) { return dimension("rows", ROWS) + "/" + dimension("n", n); }

// ---- pooling, with windows that networks have -----------------------------------------------------------------------
enum { PLANES = 300, SIDE = 28 };
const fl_pool windows[] = { { SIDE, SIDE, 3, 2, 1, 0 }, { SIDE, SIDE, 3, 1, 1, 0 }, { SIDE, SIDE, 2, 2, 0, 1 },
                            { 8, 8, 3, 1, 1, 0 }, { SIDE, SIDE, 7, 7, 0, 1 } };

// Of a plane and its windows each float, and of a maximum its place, once. An element is a window; where windows are large, a
// place of the plane, beside which the window's own bytes are nothing.
void add_pools(Book &book, const Op &op, bool maxima, bool back,
               const std::function<void(const fl_kernels *, const fl_pool *, float *const *)> &call) {
  for (const fl_pool &s : windows) {
    const size_t of = s.h * s.w, out = fl_pool_oh(&s) * fl_pool_ow(&s);
    Op o = op;
    const bool large = of > 8 * out;
    const unsigned inside = large ? 4 : static_cast<unsigned>((4 * of + out / 2) / out), outside = large ? 0 : maxima ? 5 : 4;
    o.traffic = back ? Traffic{ outside, inside } : Traffic{ inside, outside };
    add_shape(book, o, { dimension("planes", PLANES) + "/" + dimension("h", s.h) + "/" + dimension("k", s.k) + "/" +
                         dimension("stride", s.stride), static_cast<double>(PLANES * (large ? of : out)), 0, PLANES * of, 3,
                         [=](const fl_kernels *k, float *const *a) { call(k, &s, a); } });
  }
}

const uint8_t *places(size_t below) {
  static std::map<size_t, std::vector<uint8_t>> made;
  std::vector<uint8_t> &v = made[below];
  for (size_t i = 0; v.size() < PLANES * SIDE * SIDE; i++) { v.push_back(static_cast<uint8_t>(i * 7 % below)); }
  return v.data();
}

} // namespace

FL_SHAPED(max_pool) {
  add_pools(book, op, true, false, [member](auto *k, auto *s, auto *a) {
    (k->*member)(s, PLANES, a[0], a[1], reinterpret_cast<uint8_t *>(a[2]));
  });
}
FL_SHAPED(max_pool_back) {
  add_pools(book, op, true, true,
            [member](auto *k, auto *s, auto *a) { (k->*member)(s, PLANES, a[0], places(s->k * s->k), a[1]); });
}
FL_SHAPED(avg_pool) {
  add_pools(book, op, false, false, [member](auto *k, auto *s, auto *a) { (k->*member)(s, PLANES, a[0], a[1]); });
}
FL_SHAPED(avg_pool_back) {
  add_pools(book, op, false, true, [member](auto *k, auto *s, auto *a) { (k->*member)(s, PLANES, a[0], a[1]); });
}
FL_SHAPED(cross_entropy) {
  for (const float smoothing : { 0.0f, 0.1f }) {
    add_shape(book, op, { rows_of(VOCABULARY) + (smoothing > 0 ? "/smoothing" : ""), 1.0 * ROWS * VOCABULARY, 0,
                          ROWS * VOCABULARY, 3, [=](auto *k, auto *a) {
      const fl_cross_entropy options = { 1.0f / ROWS, smoothing, FL_IGNORE_NONE };
      (k->*member)(ROWS, VOCABULARY, a[0], tokens(VOCABULARY), nullptr, &options, a[1], a[2]);
    }, 0, 1, 0, false });
  }
}
FL_SHAPED(multi_margin) {
  add_shape(book, op, { rows_of(VOCABULARY), 1.0 * ROWS * VOCABULARY, 0, ROWS * VOCABULARY, 3, [=](auto *k, auto *a) {
    (k->*member)(ROWS, VOCABULARY, a[0], tokens(VOCABULARY), 1.0f / ROWS, a[1], a[2]);
  }, 0, 1, 0, false });
}
FL_SHAPED(embed) {
  add_shape(book, op, { rows_of(WIDTH), 1.0 * ROWS * WIDTH, 0, ROWS * WIDTH, 2, [=](auto *k, auto *a) {
    (k->*member)(ROWS, WIDTH, a[0], tokens(VOCABULARY), a[1]);
  } });
}
FL_SHAPED(embed_grad) {
  add_shape(book, op, { rows_of(WIDTH), 1.0 * ROWS * WIDTH, 0, ROWS * WIDTH, 3, [=](auto *k, auto *a) {
    (k->*member)(ROWS, WIDTH, a[0], tokens(VOCABULARY), VOCABULARY, a[1], CONTEXT * fl_sample_piece(CONTEXT),
                 reinterpret_cast<uint32_t *>(a[2]));
  } });
}

} // namespace bench
