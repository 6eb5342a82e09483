// layers.cpp - losses, embeddings and what works on sequences, as the character models meet them.
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

} // namespace

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
