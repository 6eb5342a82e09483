/* linear.c - axpy, scale, add, sub, and the affine mix of a rule's input. The output may be an input: of axpy x,
 * of add and sub either, of mix g. */
#include "kernels/simd/stream.h"

FL_INLINE void axpy16(size_t lanes, float *y, v16 a, const float *x) {
  v_put(y, lanes, v_fma(a, v_get(x, lanes), v_get(y, lanes)));
}
FL_INLINE void scale16(size_t lanes, float *y, v16 a, const float *x, int past) {
  v_out(y, lanes, v_mul(a, v_get(x, lanes)), past);
}
FL_INLINE void add16(size_t lanes, float *y, const float *a, const float *b, int past) {
  v_out(y, lanes, v_add(v_get(a, lanes), v_get(b, lanes)), past);
}
FL_INLINE void sub16(size_t lanes, float *y, const float *a, const float *b, int past) {
  v_out(y, lanes, v_sub(v_get(a, lanes), v_get(b, lanes)), past);
}

void FL_FN(axpy)(size_t n, float *y, float a, const float *x) {
  const v16 va = v_set(a);
  FL_EACH(n, axpy16(lanes, y + i, va, x + i));
}

void FL_FN(scale)(size_t n, float *y, float a, const float *x) {
  const v16 va = v_set(a);
  FL_EACH_OUT(n, y, y == x, scale16(lanes, y + i, va, x + i, past));
}

void FL_FN(add)(size_t n, float *y, const float *a, const float *b) {
  FL_EACH_OUT(n, y, y == a || y == b, add16(lanes, y + i, a + i, b + i, past));
}
void FL_FN(sub)(size_t n, float *y, const float *a, const float *b) {
  FL_EACH_OUT(n, y, y == a || y == b, sub16(lanes, y + i, a + i, b + i, past));
}

typedef struct { v16 ga, gb, gq0, gq1; } mix_v;

FL_INLINE void mix16(size_t lanes, size_t i, float *v, const float *g, const float *y, const float *q0, const float *q1,
                     const mix_v *c, int has, int past) {
  v16 r = v_mul(c->ga, v_get(g + i, lanes));
  if (has & 1) { r = v_fma(c->gb, v_get(y + i, lanes), r); }
  if (has & 2) { r = v_fma(c->gq0, v_get(q0 + i, lanes), r); }
  if (has & 4) { r = v_fma(c->gq1, v_get(q1 + i, lanes), r); }
  v_out(v + i, lanes, r, past);
}
/* Which terms take part is a constant in each of the eight expansions: a term that is absent costs nothing. */
FL_INLINE void mix_terms(size_t n, float *v, const float *g, const float *y, const float *q0, const float *q1,
                         const fl_mix_args *a, int has) {
  const mix_v c = { v_set(a->ga), v_set(a->gb), v_set(a->gq0), v_set(a->gq1) };
  FL_EACH_OUT(n, v, v == g, mix16(lanes, i, v, g, y, q0, q1, &c, has, past));
}

void FL_FN(mix)(size_t n, float *v, const float *g, const float *y, const float *q0, const float *q1, const fl_mix_args *a) {
  switch ((y != NULL) | (q0 != NULL) << 1 | (q1 != NULL) << 2) {
    case 0: mix_terms(n, v, g, y, q0, q1, a, 0); break;
    case 1: mix_terms(n, v, g, y, q0, q1, a, 1); break;
    case 2: mix_terms(n, v, g, y, q0, q1, a, 2); break;
    case 3: mix_terms(n, v, g, y, q0, q1, a, 3); break;
    case 4: mix_terms(n, v, g, y, q0, q1, a, 4); break;
    case 5: mix_terms(n, v, g, y, q0, q1, a, 5); break;
    case 6: mix_terms(n, v, g, y, q0, q1, a, 6); break;
    default: mix_terms(n, v, g, y, q0, q1, a, 7); break;
  }
}
