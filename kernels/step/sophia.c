/* sophia.c - the clipped step by diagonal curvature, and the average of the curvature (deep-first-order 19). */
#include "kernels/simd/each.h"

FL_INLINE void sophia16(size_t lanes, float *y, float *m, const float *h, const float *g, const fl_sophia_args *a, const int floored) {
  const v16 mm = v_flush(v_fma(v_set(a->beta1), v_get(m, lanes), v_mul(v_set(a->omb1), v_get(g, lanes))));
  const v16 hh = v_get(h, lanes), eps = v_set(a->eps), c = v_set(a->c);
  const v16 den = floored ? v_max(eps, v_mul(c, hh)) : v_fma(c, v_max(v_zero(), hh), eps);
  const v16 r = v_max(v_set(-1.0f), v_min(v_set(1.0f), v_div(mm, den)));
  v_put(m, lanes, mm);
  v_put(y, lanes, v_fnma(v_set(a->lr), r, v_mul(v_set(a->decay), v_get(y, lanes))));
}

void FL_FN(sophia)(size_t n, float *y, float *m, const float *h, const float *g, const fl_sophia_args *a) {
  if (a->floored) FL_EACH(n, sophia16(lanes, y + i, m + i, h + i, g + i, a, 1));
  else FL_EACH(n, sophia16(lanes, y + i, m + i, h + i, g + i, a, 0));
}

FL_INLINE void curvature16(size_t lanes, float *h, v16 beta, v16 omb, const float *a, const float *b) {
  v_put(h, lanes, v_flush(v_fma(beta, v_get(h, lanes), v_mul(v_mul(omb, v_get(a, lanes)), v_get(b, lanes)))));
}

void FL_FN(curvature)(size_t n, float *h, float beta, float omb, const float *a, const float *b) {
  FL_EACH(n, curvature16(lanes, h + i, v_set(beta), v_set(omb), a + i, b + i));
}
