// norms.cpp - normalisation as ViT-Tiny and ResNet-18 meet it: 50 samples of 65 x 192, and of (64, 32 x 32) and (512, 4 x 4).
#include "shapes.h"
#include <algorithm>

namespace bench {
namespace {

constexpr float eps = 1e-5f;
enum { BATCH = 50, POSITIONS = 65, WIDTH = 192, ROWS = BATCH * POSITIONS };
struct Planes { size_t c, hw; };
const Planes resnet[] = { { 64, 1024 }, { 512, 16 } };

Shape rows_shape(size_t arrays, std::function<void(const fl_kernels *, float *const *)> call) {
  return { dimension("rows", ROWS) + "/" + dimension("n", WIDTH), 1.0 * ROWS * WIDTH, 0, ROWS * WIDTH, arrays, std::move(call) };
}

template <class Call> void add_planes(Book &book, const Op &op, size_t arrays, const char *variant, Call call) {
  for (const Planes &p : resnet) {
    const size_t all = BATCH * p.c * p.hw;
    add_shape(book, op, { dimension("n", BATCH) + "/" + dimension("c", p.c) + "/" + dimension("hw", p.hw) + variant,
                          static_cast<double>(all), 0, std::max(all, fl_norm_work(p.c, BATCH, 1)), arrays,
                          [p, call](const fl_kernels *k, float *const *a) { call(k, p, a); } });
  }
}

template <class Member> void add_group(Book &book, const Op &op, Member member, int relu) {
  add_planes(book, op, 5, relu ? "/relu" : "", [=](auto *k, const Planes &p, auto *a) {
    const fl_group_norm s = { p.c, p.hw, 2, eps, relu };
    (k->*member)(&s, BATCH, a[0], a[1], a[2], a[3], a[4]);
  });
}

template <class Member> void add_group_back(Book &book, const Op &op, Member member, int relu) {
  add_planes(book, op, 9, relu ? "/relu" : "", [=](auto *k, const Planes &p, auto *a) {
    const fl_group_norm s = { p.c, p.hw, 2, eps, relu };
    (k->*member)(&s, BATCH, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], fl_sample_piece(p.hw), a[8]);
  });
}

} // namespace

FL_SHAPED(layer_norm) {
  add_shape(book, op, rows_shape(5, [member](auto *k, auto *a) {
    (k->*member)(ROWS, WIDTH, a[0], a[1], a[2], eps, a[3], a[4]);
  }));
}
FL_SHAPED(layer_norm_back) {
  add_shape(book, op, rows_shape(8, [member](auto *k, auto *a) {
    (k->*member)(ROWS, WIDTH, a[0], a[1], a[2], a[3], a[4], a[5], a[6], POSITIONS * fl_sample_piece(POSITIONS), a[7]);
  }));
}
FL_SHAPED(group_norm) {
  add_group(book, op, member, 0);
  add_group(book, op, member, 1);
}
FL_SHAPED(group_norm_back) {
  add_group_back(book, op, member, 0);
  add_group_back(book, op, member, 1);
}
FL_SHAPED(batch_moments) {
  add_planes(book, op, 2, "", [member](auto *k, const Planes &p, auto *a) {
    (k->*member)(BATCH, p.c, p.hw, a[0], fl_sample_piece(p.hw), reinterpret_cast<double *>(a[1]));
  });
}
FL_SHAPED(batch_norm) {
  add_planes(book, op, 5, "", [member](auto *k, const Planes &p, auto *a) {
    (k->*member)(BATCH, p.c, p.hw, a[0], a[1], a[2], a[3], 0, a[4]);
  });
}
FL_SHAPED(batch_norm_grad) {
  add_planes(book, op, 7, "", [member](auto *k, const Planes &p, auto *a) {
    (k->*member)(BATCH, p.c, p.hw, a[0], a[1], a[2], a[3], 0, a[4], a[5], a[6], fl_sample_piece(p.hw));
  });
}
FL_SHAPED(batch_norm_back) {
  add_planes(book, op, 8, "", [member](auto *k, const Planes &p, auto *a) {
    (k->*member)(BATCH, p.c, p.hw, a[0], a[1], a[2], a[3], 0, a[4], a[5], a[6], BATCH * p.hw, a[7]);
  });
}

} // namespace bench
