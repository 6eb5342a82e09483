/* sophia.c - the clipped step by diagonal curvature, and the average of the curvature (deep-first-order 19). */
#include "kernels/simd/each.h"

typedef struct { v16 beta1, omb1, c, eps, decay, lr; } sophia_v;

/* The quotient that is to be clipped. */
FL_INLINE v16 sophia16(size_t lanes, float *m, const float *h, const float *g, const sophia_v *c, const int floored) {
  const v16 mm = v_flush(v_fma(c->beta1, v_get(m, lanes), v_mul(c->omb1, v_get(g, lanes)))), hh = v_get(h, lanes);
  v_put(m, lanes, mm);
  return v_div(mm, floored ? v_max(c->eps, v_mul(c->c, hh)) : v_fma(c->c, v_max(v_zero(), hh), c->eps));
}
FL_INLINE void clipped16(size_t lanes, float *y, v16 q, const sophia_v *c) {
  const v16 r = v_max(v_set(-1.0f), v_min(v_set(1.0f), q));
  v_put(y, lanes, v_fnma(c->lr, r, v_mul(c->decay, v_get(y, lanes))));
}

void FL_FN(sophia)(size_t n, float *y, float *m, const float *h, const float *g, const fl_sophia_args *a) {
  const sophia_v c = { v_set(a->beta1), v_set(a->omb1), v_set(a->c), v_set(a->eps), v_set(a->decay), v_set(a->lr) };
  if (a->floored) FL_EACH_SPLIT(n, v16, sophia16(lanes, m + i, h + i, g + i, &c, 1), clipped16(lanes, y + i, half, &c));
  else FL_EACH_SPLIT(n, v16, sophia16(lanes, m + i, h + i, g + i, &c, 0), clipped16(lanes, y + i, half, &c));
}

FL_INLINE void curvature16(size_t lanes, float *h, v16 beta, v16 omb, const float *a, const float *b) {
  v_put(h, lanes, v_flush(v_fma(beta, v_get(h, lanes), v_mul(v_mul(omb, v_get(a, lanes)), v_get(b, lanes)))));
}

void FL_FN(curvature)(size_t n, float *h, float beta, float omb, const float *a, const float *b) {
  FL_EACH(n, curvature16(lanes, h + i, v_set(beta), v_set(omb), a + i, b + i));
}
