/* adaptive.c - steps divided by the root of a second moment: AMSGrad, Yogi, signADAM (with AdamW's arguments), and RMSprop with
 * AdaGrad, which is RMSprop with beta2 = omb2 = 1. State that decays is stored without subnormals, and the step uses what is
 * stored; a square root's argument that rounding made negative counts as 0. */
#include "kernels/step/sign.h"

typedef struct { v16 beta1, omb1, beta2, omb2, decay, step, eps; } adam_v;

static inline adam_v adam_set(const fl_adamw_args *a) {
  return (adam_v){ v_set(a->beta1), v_set(a->omb1), v_set(a->beta2), v_set(a->omb2), v_set(a->decay), v_set(a->step),
                   v_set(a->eps) };
}
FL_INLINE v16 first_moment(v16 m, v16 g, const adam_v *c) { return v_flush(v_fma(c->beta1, m, v_mul(c->omb1, g))); }
FL_INLINE v16 second_moment(v16 v, v16 g, const adam_v *c) { return v_flush(v_fma(c->beta2, v, v_mul(v_mul(c->omb2, g), g))); }
/* What the division needs: the first moment, the root of the second. */
typedef struct { v16 m, root; } moments;
FL_INLINE void divided(size_t lanes, float *y, moments h, const adam_v *c) {
  v_put(y, lanes, v_fnma(c->step, v_div(h.m, v_add(h.root, c->eps)), v_mul(c->decay, v_get(y, lanes))));
}

FL_INLINE moments amsgrad16(size_t lanes, float *m, float *v, float *top, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes), mi = first_moment(v_get(m, lanes), gi, c), vi = second_moment(v_get(v, lanes), gi, c);
  const v16 ti = v_keep_max(v_get(top, lanes), vi);
  v_put(m, lanes, mi);
  v_put(v, lanes, vi);
  v_put(top, lanes, ti);
  return (moments){ mi, v_sqrt(ti) };
}
void FL_FN(amsgrad)(size_t n, float *y, float *m, float *v, float *top, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH_SPLIT(n, moments, amsgrad16(lanes, m + i, v + i, top + i, g + i, &c), divided(lanes, y + i, half, &c));
}

/* a*sign(x - y), a 0 where they are equal; where one is NaN, any number, as what it multiplies or is added to is NaN then. */
FL_INLINE v16 sign_of_difference(v16 a, v16 x, v16 y) { return v_turn_sign(v_keep(v_ne(x, y), a), v_sub(x, y)); }
FL_INLINE moments yogi16(size_t lanes, float *m, float *v, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes), mi = first_moment(v_get(m, lanes), gi, c);
  const v16 vi = v_get(v, lanes), square = v_mul(gi, gi);
  const v16 next = v_flush(v_fnma(sign_of_difference(c->omb2, vi, square), square, vi));
  v_put(m, lanes, mi);
  v_put(v, lanes, next);
  return (moments){ mi, v_sqrt(next) };
}
void FL_FN(yogi)(size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH_SPLIT(n, moments, yogi16(lanes, m + i, v + i, g + i, &c), divided(lanes, y + i, half, &c));
}

FL_INLINE moments signadam16(size_t lanes, float *m, float *v, const float *g, const adam_v *c) {
  const v16 gi = v_get(g, lanes);
  const v16 mi = v_flush(v_fma(c->beta1, v_get(m, lanes), signed_by(c->omb1, gi)));
  const v16 square = v_sel(v_ne(gi, v_zero()), v_abs(c->omb2), v_abs(gi)); /* sign^2 is 1, or 0 */
  const v16 vi = v_flush(v_fma(c->beta2, v_get(v, lanes), square));
  v_put(m, lanes, mi);
  v_put(v, lanes, vi);
  return (moments){ mi, v_sqrt(vi) };
}
void FL_FN(signadam)(size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a) {
  const adam_v c = adam_set(a);
  FL_EACH_SPLIT(n, moments, signadam16(lanes, m + i, v + i, g + i, &c), divided(lanes, y + i, half, &c));
}

typedef struct { v16 beta2, omb2, momentum, in, out, eps_in, eps_out; } rmsprop_v;

typedef struct { v16 g, root; } rms_half;
FL_INLINE rms_half rms_root(size_t lanes, float *v, float *a, const float *g, const rmsprop_v *c, int has) {
  const v16 gi = v_get(g, lanes), vi = v_flush(v_fma(c->beta2, v_get(v, lanes), v_mul(v_mul(c->omb2, gi), gi)));
  v16 q = vi;
  v_put(v, lanes, vi);
  if (has & 1) { /* centred: less the square of the mean gradient */
    const v16 ai = v_flush(v_fma(c->beta2, v_get(a, lanes), v_mul(c->omb2, gi)));
    v_put(a, lanes, ai);
    q = v_max(v_zero(), v_fnma(ai, ai, vi));
  }
  return (rms_half){ gi, v_sqrt(v_add(q, c->eps_in)) };
}
FL_INLINE void rms_step(size_t lanes, float *y, float *b, rms_half h, const rmsprop_v *c, int has) {
  v16 d = v_div(h.g, v_add(h.root, c->eps_out));
  if (has & 2) {
    d = v_flush(v_fma(c->momentum, v_get(b, lanes), v_mul(c->in, d)));
    v_put(b, lanes, d);
  }
  v_put(y, lanes, v_fnma(c->out, d, v_get(y, lanes)));
}
/* Which states there are is a constant in each of the four expansions. */
FL_INLINE void rmsprop_with(size_t n, float *y, float *v, float *a, float *b, const float *g, const rmsprop_v *c, int has) {
  FL_EACH_SPLIT(n, rms_half, rms_root(lanes, v + i, has & 1 ? a + i : NULL, g + i, c, has),
                rms_step(lanes, y + i, has & 2 ? b + i : NULL, half, c, has));
}
void FL_FN(rmsprop)(size_t n, float *y, float *v, float *a, float *b, const float *g, const fl_rmsprop_args *p) {
  const rmsprop_v c = { v_set(p->beta2), v_set(p->omb2), v_set(p->momentum), v_set(p->in), v_set(p->out), v_set(p->eps_in),
                        v_set(p->eps_out) };
  switch ((a != NULL) | (b != NULL) << 1) {
    case 0: rmsprop_with(n, y, v, NULL, NULL, g, &c, 0); break;
    case 1: rmsprop_with(n, y, v, a, NULL, g, &c, 1); break;
    case 2: rmsprop_with(n, y, v, NULL, b, g, &c, 2); break;
    default: rmsprop_with(n, y, v, a, b, g, &c, 3); break;
  }
}
