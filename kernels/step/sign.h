/* sign.h - a magnitude with the sign of x, where |x| is above a threshold. A NaN stays NaN. */
#ifndef FL_STEP_SIGN_H
#define FL_STEP_SIGN_H
#include "kernels/simd/each.h"

/* a*sign(x): of 0 it is the 0 itself. */
FL_INLINE v16 signed_by(v16 a, v16 x) { return v_signed(v_ne(x, v_zero()), a, x, x); }
/* a*sign(x) where |x| > threshold, `below` where not. */
FL_INLINE v16 sign_above(v16 a, v16 x, v16 threshold, v16 below) {
  return v_signed(v_gt(v_abs(x), threshold), a, x, v_add(v_sub(x, x), below)); /* x - x: +0, or NaN */
}
#endif
