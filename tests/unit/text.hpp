// text.hpp - samples of text in memory: tokens that a generator draws, a label each.
#pragma once
#include <cstdint>
#include <random>
#include <vector>
extern "C" {
#include "models/model.h"
}

struct Text {
  std::vector<int32_t> token;
  std::vector<uint8_t> label;
  fl_samples s = {};
  Text(size_t rows, size_t length, size_t classes) : token(rows * length), label(rows * length) {
    std::mt19937 r(4);
    for (int32_t &v : token) v = int32_t(r() % classes);
    for (size_t i = 0; i < label.size(); i++) label[i] = uint8_t((token[i] * 3 + 1) % int32_t(classes));
    s.n = rows, s.c = s.h = 1, s.w = s.positions = length, s.classes = classes, s.tokens = token.data(), s.label = label.data();
  }
};
