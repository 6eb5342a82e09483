/* normal.h - Box-Muller: the radius from the first word of a pair, the angle from the second. The tail of the open uniform
 * reaches sqrt(66 ln 2) = 6.76; where it is 1, the radius is 0. */
#ifndef FL_RANDOM_NORMAL_H
#define FL_RANDOM_NORMAL_H
#include "kernels/math/log.h"
#include "kernels/math/sincospi.h"
#include "kernels/random/philox.h"

FL_INLINE v16 v_log_open(u16 w) { return v_log_normal(v_open_uniform(w), v_zero()); }

FL_INLINE void v_normal_pair(v16 *cosine, v16 *sine, u16 w0, u16 w1) {
  const v16 radius = v_sqrt(v_mul(v_set(-2.0f), v_log_open(w0)));
  v16 s, c;
  v_sincos_turn(w1, &s, &c);
  *cosine = v_mul(radius, c);
  *sine = v_mul(radius, s);
}

/* Elements 64*group ... 64*group + 63 of the Gaussian draw. */
FL_INLINE void v_normal_group(v16 x[4], size_t group, const philox *p) {
  u16 w[4];
  v_philox(w, group, p);
  v_normal_pair(&x[0], &x[1], w[0], w[1]);
  v_normal_pair(&x[2], &x[3], w[2], w[3]);
}
#endif
