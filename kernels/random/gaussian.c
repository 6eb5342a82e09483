#include "kernels/math/log.h"
#include "kernels/math/sincospi.h"
#include "kernels/random/philox.h"

/* Box-Muller: the radius from the first word of a pair, the angle from the second. The tail of the open uniform reaches
 * sqrt(66 ln 2) = 6.76; where it is 1, the radius is 0. */
FL_INLINE void pair(float *cosine, float *sine, u16 w0, u16 w1) {
  const v16 radius = v_sqrt(v_mul(v_set(-2.0f), v_log_normal(v_open_uniform(w0), v_zero())));
  v16 s, c;
  v_sincos_turn(w1, &s, &c);
  v_store(cosine, v_mul(radius, c));
  v_store(sine, v_mul(radius, s));
}
FL_INLINE void gaussian_group(float y[FL_GROUP], size_t group, const philox *p) {
  u16 w[4];
  v_philox(w, group, p);
  pair(y, y + 16, w[0], w[1]);
  pair(y + 32, y + 48, w[2], w[3]);
}

void FL_FN(gaussian)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, gaussian_group(out, group, p)); }
