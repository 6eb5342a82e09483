/* norm_plane.h - one channel's plane of a group or batch norm: y = (x - mean)*a + b, perhaps through ReLU, and back. The sign of
 * y that the way back through ReLU needs is computed again, to the same bit, so that y is not kept. */
#ifndef FL_LAYER_NORM_PLANE_H
#define FL_LAYER_NORM_PLANE_H
#include "kernels/layer/moments.h"

typedef struct { v16 mean, a, b; int relu; } plane;

FL_INLINE v16 plane_value(const plane *p, v16 centred) { return v_fma(centred, p->a, p->b); }

FL_INLINE void plane_forward(const int relu, const plane *p, size_t n, const float *x, float *y) {
  FL_EACH(n, {
    const v16 v = plane_value(p, v_sub(v_get(x + i, lanes), p->mean));
    v_put(y + i, lanes, relu ? v_sel(v_lt(v, v_zero()), v_zero(), v) : v);
  });
}

/* dy as it is behind ReLU: of relu_back. */
FL_INLINE v16 plane_gradient(const int relu, const plane *p, v16 centred, v16 dy) {
  if (!relu) return dy;
  const v16 v = plane_value(p, centred);
  return v_sel(v_gt(v, v_zero()), dy, v_sel(v_eq(v, v), v_zero(), v));
}

/* Partials of sum dy and of sum dy*(x - mean), which go on from plane to plane. */
typedef struct { v16 dy[4], dot[4]; } plane_sums;
FL_INLINE void plane_add(const int relu, const plane *p, plane_sums *to, size_t n, const float *x, const float *dy) {
  plane_sums s = *to;
  FL_EACH_PART(n, {
    const v16 centred = v_sub(v_get(x + i, lanes), p->mean), d = plane_gradient(relu, p, centred, v_get(dy + i, lanes));
    s.dy[part] = v_add(s.dy[part], d);
    s.dot[part] = v_fma(d, centred, s.dot[part]);
  });
  *to = s;
}

/* dx = fma(a, dy, fma(x - mean, slope, shift)) */
FL_INLINE void plane_back(const int relu, const plane *p, v16 slope, v16 shift, size_t n, const float *x, const float *dy,
                          float *dx) {
  FL_EACH(n, {
    const v16 centred = v_sub(v_get(x + i, lanes), p->mean);
    const v16 d = plane_gradient(relu, p, centred, v_get(dy + i, lanes));
    v_put(dx + i, lanes, v_fma(p->a, d, v_fma(centred, slope, shift)));
  });
}
#endif
