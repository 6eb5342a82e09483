/* signs.c - steps along signs: Lion (and Signum, which is Lion with equal decays), and the thresholded sign of signSGD and
 * signADAM++, with or without its moving average. */
#include "kernels/step/sign.h"

typedef struct { v16 beta1, omb1, beta2, omb2, decay, down; } lion_v; /* down: -lr */

/* The sign is of the sum before it is stored, so that a momentum below 2^-126, stored as 0, still has a direction. */
FL_INLINE void lion16(size_t lanes, float *y, float *m, const float *g, const lion_v *c) {
  const v16 gi = v_get(g, lanes), mi = v_get(m, lanes);
  const v16 u = v_fma(c->beta1, mi, v_mul(c->omb1, gi));
  v_put(m, lanes, v_flush(v_fma(c->beta2, mi, v_mul(c->omb2, gi))));
  v_put(y, lanes, v_fma(c->decay, v_get(y, lanes), signed_by(c->down, u)));
}
void FL_FN(lion)(size_t n, float *y, float *m, const float *g, const fl_lion_args *a) {
  const lion_v c = { v_set(a->beta1), v_set(a->omb1), v_set(a->beta2), v_set(a->omb2), v_set(a->decay), v_set(-a->lr) };
  FL_EACH(n, lion16(lanes, y + i, m + i, g + i, &c));
}

typedef struct { v16 beta1, size, decay, lr, threshold, below; } sign_v; /* size: of what the sign is given to; below: times it */

FL_INLINE void sign16(size_t lanes, float *y, const float *g, const sign_v *c) {
  v_put(y, lanes, v_fma(c->decay, v_get(y, lanes), sign_above(c->size, v_get(g, lanes), c->threshold, c->below)));
}
FL_INLINE void average16(size_t lanes, float *y, float *m, const float *g, const sign_v *c) {
  const v16 u = v_flush(v_fma(c->beta1, v_get(m, lanes), sign_above(c->size, v_get(g, lanes), c->threshold, c->below)));
  v_put(m, lanes, u);
  v_put(y, lanes, v_fnma(c->lr, u, v_mul(c->decay, v_get(y, lanes))));
}
void FL_FN(sign_step)(size_t n, float *y, float *m, const float *g, const fl_sign_args *a) {
  const float size = m ? a->omb1 : -a->lr;
  const sign_v c = { v_set(a->beta1), v_set(size), v_set(a->decay), v_set(a->lr), v_set(a->threshold), v_set(size * a->below) };
  if (m) {
    FL_EACH(n, average16(lanes, y + i, m + i, g + i, &c));
  } else {
    FL_EACH(n, sign16(lanes, y + i, g + i, &c));
  }
}
