/* adaptive.c - steps divided by the root of a second moment: AMSGrad, Yogi, signADAM (with AdamW's arguments), and RMSprop with
 * AdaGrad, which is RMSprop with beta2 = omb2 = 1. State that decays is stored without subnormals, and the step uses what is
 * stored; a square root's argument that rounding made negative counts as 0. */
#include "kernels/step/sign.h"

typedef struct { v16 beta1, omb1, beta2, omb2, decay, step, eps; } adam_v;

static inline adam_v adam_set(const fl_adamw_args *a) {
  return (adam_v){ v_set(a->beta1), v_set(a->omb1), v_set(a->beta2), v_set(a->omb2), v_set(a->decay), v_set(a->step), v_set(a->eps) };
}
FL_INLINE v16 first_moment(v16 m, v16 g, const adam_v *c) { return v_flush(v_fma(c->beta1, m, v_mul(c->omb1, g))); }
FL_INLINE v16 second_moment(v16 v, v16 g, const adam_v *c) { return v_flush(v_fma(c->beta2, v, v_mul(v_mul(c->omb2, g), g))); }
FL_INLINE v16 divided(v16 y, v16 m, v16 v, const adam_v *c) {
  return v_fnma(c->step, v_div(m, v_add(v_sqrt(v), c->eps)), v_mul(c->decay, y));
}

FL_INLINE void amsgrad16(size_t lanes, float *y, float *m, float *v, float *top, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes), mi = first_moment(v_get(m, lanes), gi, c), vi = second_moment(v_get(v, lanes), gi, c);
  const v16 ti = v_keep_max(v_get(top, lanes), vi);
  v_put(m, lanes, mi);
  v_put(v, lanes, vi);
  v_put(top, lanes, ti);
  v_put(y, lanes, divided(v_get(y, lanes), mi, ti, c));
}
void FL_FN(amsgrad)(size_t n, float *y, float *m, float *v, float *top, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH(n, amsgrad16(lanes, y + i, m + i, v + i, top + i, g + i, &c));
}

FL_INLINE void yogi16(size_t lanes, float *y, float *m, float *v, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes), mi = first_moment(v_get(m, lanes), gi, c);
  const v16 vi = v_get(v, lanes), square = v_mul(gi, gi);
  const v16 next = v_flush(v_fnma(signed_by(c->omb2, v_sub(vi, square)), square, vi));
  v_put(m, lanes, mi);
  v_put(v, lanes, next);
  v_put(y, lanes, divided(v_get(y, lanes), mi, next, c));
}
void FL_FN(yogi)(size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH(n, yogi16(lanes, y + i, m + i, v + i, g + i, &c));
}

FL_INLINE void signadam16(size_t lanes, float *y, float *m, float *v, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes);
  const v16 mi = v_flush(v_fma(c->beta1, v_get(m, lanes), signed_by(c->omb1, gi)));
  const v16 vi = v_flush(v_fma(c->beta2, v_get(v, lanes), v_abs(signed_by(c->omb2, gi)))); /* sign^2 is 1, or 0 */
  v_put(m, lanes, mi);
  v_put(v, lanes, vi);
  v_put(y, lanes, divided(v_get(y, lanes), mi, vi, c));
}
void FL_FN(signadam)(size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH(n, signadam16(lanes, y + i, m + i, v + i, g + i, &c));
}

typedef struct { v16 beta2, omb2, momentum, in, out, eps_in, eps_out; } rmsprop_v;

FL_INLINE void rmsprop16(size_t lanes, float *y, float *v, float *a, float *b, const float *g, const rmsprop_v *c, int has) {
  const v16 gi = v_get(g, lanes), vi = v_flush(v_fma(c->beta2, v_get(v, lanes), v_mul(v_mul(c->omb2, gi), gi)));
  v16 q = vi;
  v_put(v, lanes, vi);
  if (has & 1) { /* centred: less the square of the mean gradient */
    const v16 ai = v_flush(v_fma(c->beta2, v_get(a, lanes), v_mul(c->omb2, gi)));
    v_put(a, lanes, ai);
    q = v_max(v_zero(), v_fnma(ai, ai, vi));
  }
  v16 d = v_div(gi, v_add(v_sqrt(v_add(q, c->eps_in)), c->eps_out));
  if (has & 2) {
    d = v_flush(v_fma(c->momentum, v_get(b, lanes), v_mul(c->in, d)));
    v_put(b, lanes, d);
  }
  v_put(y, lanes, v_fnma(c->out, d, v_get(y, lanes)));
}
/* Which states there are is a constant in each of the four expansions. */
void FL_FN(rmsprop)(size_t n, float *y, float *v, float *a, float *b, const float *g, const fl_rmsprop_args *p) {
  const rmsprop_v c = { v_set(p->beta2), v_set(p->omb2), v_set(p->momentum), v_set(p->in), v_set(p->out), v_set(p->eps_in), v_set(p->eps_out) };
  switch ((a != NULL) | (b != NULL) << 1) {
    case 0: FL_EACH(n, rmsprop16(lanes, y + i, v + i, NULL, NULL, g + i, &c, 0)); break;
    case 1: FL_EACH(n, rmsprop16(lanes, y + i, v + i, a + i, NULL, g + i, &c, 1)); break;
    case 2: FL_EACH(n, rmsprop16(lanes, y + i, v + i, NULL, b + i, g + i, &c, 2)); break;
    default: FL_EACH(n, rmsprop16(lanes, y + i, v + i, a + i, b + i, g + i, &c, 3)); break;
  }
}
