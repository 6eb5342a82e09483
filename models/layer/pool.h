/* pool.h - windows over an image, what max_pool and avg_pool have in common. */
#ifndef FL_LAYER_POOL_SHAPE_H
#define FL_LAYER_POOL_SHAPE_H
#include "models/layer/layer.h"

enum { POOL_KERNEL, POOL_STRIDE, POOL_PAD };    /* the first parameters of both */
#define POOL_PARAMS(most, outside) \
  { "kernel", 2, 1, most, NULL, "rows and columns of a window", FL_WHOLE }, \
  { "stride", 0, 0, 64, NULL, "rows and columns from one window to the next; 0: as many as a window has", FL_WHOLE }, \
  { "pad", 0, 0, (most) / 2, NULL, "rows and columns around the image, at most half a window: " outside, FL_WHOLE }

static inline fl_pool pool_of(const fl_module *m) {
  const size_t k = (size_t)m->h[POOL_KERNEL], stride = (size_t)m->h[POOL_STRIDE];
  return (fl_pool){ .h = m->from.dim[1], .w = m->from.dim[2], .k = k, .stride = stride ? stride : k,
                    .pad = (size_t)m->h[POOL_PAD], .count_pad = 1 };
}
/* 2x2, stride 2: the kernels maxpool2 and conv_pool. */
static inline int pool_is_plain(const fl_module *m) {
  const fl_pool s = pool_of(m);
  return s.k == 2 && s.stride == 2 && !s.pad;
}
static inline size_t pool_planes(const fl_module *m, size_t n) { return n * m->from.dim[0]; }

static inline int pool_bind(fl_module *m, fl_binder *b) {
  char text[64];
  if (m->from.kind != FL_IMAGE) return fl_bind_refuse(b, "it reads %s; allowed: an image", fl_shape_text(&m->from, text));
  const fl_pool s = pool_of(m);
  if (2 * s.pad > s.k)
    return fl_bind_refuse(b, "pad = %zu; allowed: at most half of its kernel = %zu, %zu", s.pad, s.k, s.k / 2);
  if (s.k > s.h + 2 * s.pad || s.k > s.w + 2 * s.pad)
    return fl_bind_refuse(b, "a %zux%zu window does not fit in %zux%zu with padding %zu", s.k, s.k, s.h, s.w, s.pad);
  m->to = (fl_shape){ FL_IMAGE, { m->from.dim[0], fl_pool_oh(&s), fl_pool_ow(&s) } };
  return 0;
}
#endif
