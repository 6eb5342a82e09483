/* sign.h - the sign of a confident element: of |x| above a threshold; `below` elsewhere. A NaN stays NaN. */
#ifndef FL_STEP_SIGN_H
#define FL_STEP_SIGN_H
#include "kernels/simd/each.h"

FL_INLINE v16 sign_above(v16 x, v16 threshold, v16 below) {
  const v16 one = v_from_u(u_or(u_and(v_bits(x), u_set(0x80000000u)), v_bits(v_set(1.0f))));
  return v_sel(v_gt(v_abs(x), threshold), one, v_add(v_sub(x, x), below)); /* x - x: +0, or NaN */
}
FL_INLINE v16 sign_of(v16 x) { return sign_above(x, v_zero(), v_zero()); }
#endif
