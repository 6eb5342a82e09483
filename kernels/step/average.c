/* average.c - averages of parameters over time, and the scale that adaptive searches give a gradient. */
#include "kernels/simd/stream.h"

/* Decays, so without subnormals. */
FL_INLINE void ema16(size_t lanes, float *a, const float *x, v16 decay, v16 rest) {
  v_put(a, lanes, v_flush(v_fma(decay, v_get(a, lanes), v_mul(rest, v_get(x, lanes)))));
}
/* Exactly x where a is x already. */
FL_INLINE void towards16(size_t lanes, float *a, const float *x, v16 w) {
  const v16 old = v_get(a, lanes);
  v_put(a, lanes, v_fma(w, v_sub(v_get(x, lanes), old), old));
}
FL_INLINE void stretch16(size_t lanes, float *u, const float *y, const float *g, v16 eta, int past) {
  v_out(u, lanes, v_mul(v_add(v_abs(v_get(y, lanes)), eta), v_get(g, lanes)), past);
}

void FL_FN(ema)(size_t n, float *a, const float *x, float decay, float rest) {
  const v16 d = v_set(decay), r = v_set(rest);
  FL_EACH(n, ema16(lanes, a + i, x + i, d, r));
}

void FL_FN(towards)(size_t n, float *a, const float *x, float w) {
  const v16 vw = v_set(w);
  FL_EACH(n, towards16(lanes, a + i, x + i, vw));
}

void FL_FN(stretch)(size_t n, float *u, const float *y, const float *g, float eta) {
  const v16 ve = v_set(eta);
  FL_EACH_OUT(n, u, u == y || u == g, stretch16(lanes, u + i, y + i, g + i, ve, past));
}
