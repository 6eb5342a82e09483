/* descent.c - SGD, momentum, AdamW and the momentum of Muon. State that decays is stored without subnormals, and the step
 * uses the value that is stored: y is a function of the state before and the gradient alone. */
#include "kernels/simd/stream.h"

FL_INLINE void sgd16(size_t lanes, float *y, const float *g, v16 decay, v16 lr) {
  v_put(y, lanes, v_fnma(lr, v_get(g, lanes), v_mul(decay, v_get(y, lanes))));
}

void FL_FN(sgd)(size_t n, float *y, const float *g, float decay, float lr) {
  const v16 vd = v_set(decay), vl = v_set(lr);
  FL_EACH(n, sgd16(lanes, y + i, g + i, vd, vl));
}

typedef struct { v16 mu, damp, lr, decay; } momentum_v;

FL_INLINE void momentum16(size_t lanes, float *y, float *u, const float *g, const momentum_v *c, int nesterov) {
  const v16 t = v_mul(c->damp, v_get(g, lanes)), s = v_flush(v_fma(c->mu, v_get(u, lanes), t));
  const v16 d = nesterov ? v_fma(c->mu, s, t) : s;
  v_put(u, lanes, s);
  v_put(y, lanes, v_fnma(c->lr, d, v_mul(c->decay, v_get(y, lanes))));
}

void FL_FN(momentum)(size_t n, float *y, float *u, const float *g, const fl_momentum_args *a) {
  const momentum_v c = { v_set(a->mu), v_set(a->damp), v_set(a->lr), v_set(a->decay) };
  if (a->nesterov) {
    FL_EACH(n, momentum16(lanes, y + i, u + i, g + i, &c, 1));
  } else {
    FL_EACH(n, momentum16(lanes, y + i, u + i, g + i, &c, 0));
  }
}

typedef struct { v16 beta1, omb1, beta2, omb2, decay, step, eps; } adamw_v;

FL_INLINE void adamw16(size_t lanes, float *y, float *m, float *v, const float *g, const adamw_v *c) {
  const v16 gi = v_get(g, lanes);
  const v16 mi = v_flush(v_fma(c->beta1, v_get(m, lanes), v_mul(c->omb1, gi)));
  const v16 vi = v_flush(v_fma(c->beta2, v_get(v, lanes), v_mul(v_mul(c->omb2, gi), gi)));
  v_put(m, lanes, mi);
  v_put(v, lanes, vi);
  v_put(y, lanes, v_fnma(c->step, v_div(mi, v_add(v_sqrt(vi), c->eps)), v_mul(c->decay, v_get(y, lanes))));
}

void FL_FN(adamw)(size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a) {
  const adamw_v c = { v_set(a->beta1), v_set(a->omb1), v_set(a->beta2), v_set(a->omb2),
                      v_set(a->decay), v_set(a->step), v_set(a->eps) };
  FL_EACH(n, adamw16(lanes, y + i, m + i, v + i, g + i, &c));
}

FL_INLINE void muon16(size_t lanes, float *m, float *u, const float *g, v16 mu, v16 damp, int nesterov, int past) {
  const v16 t = v_mul(damp, v_get(g, lanes)), s = v_flush(v_fma(mu, v_get(m, lanes), t));
  v_put(m, lanes, s);
  v_out(u, lanes, nesterov ? v_fma(mu, s, t) : s, past);
}

void FL_FN(muon_momentum)(size_t n, float *m, float *u, const float *g, float mu, float damp, int nesterov) {
  const v16 vm = v_set(mu), vd = v_set(damp);
  if (nesterov) {
    FL_EACH_OUT(n, u, u == g, muon16(lanes, m + i, u + i, g + i, vm, vd, 1, past));
  } else {
    FL_EACH_OUT(n, u, u == g, muon16(lanes, m + i, u + i, g + i, vm, vd, 0, past));
  }
}
