#include "kernels/math/log.h"
#include "kernels/math/sincospi.h"
#include "kernels/random/philox.h"
#include "kernels/simd/decl.h"

/* Box-Muller: the radius from the first word of a pair, the angle from the second. u has 33 bits below 1 and is never 0,
 * so the tail reaches sqrt(66 ln 2) = 6.76; u rounds to 1 for the largest words, which gives radius 0. */
static inline void pair(float *cosine, float *sine, u16 w0, u16 w1) {
  const v16 low = v_fma(v_float(u_and(w0, u_set(65535))), v_set(0x1p-32f), v_set(0x1p-33f));
  const v16 u = v_fma(v_float(u_shr(w0, 16)), v_set(0x1p-16f), low);
  const v16 radius = v_sqrt(v_mul(v_set(-2.0f), v_log(u)));
  v16 s, c;
  v_sincos_turn(w1, &s, &c);
  v_store(cosine, v_mul(radius, c));
  v_store(sine, v_mul(radius, s));
}
static inline void gaussian_group(float y[FL_GROUP], size_t group, const fl_key *key) {
  u16 w[4];
  v_philox(w, group, key);
  pair(y, y + 16, w[0], w[1]);
  pair(y + 32, y + 48, w[2], w[3]);
}

void FL_FN(gaussian)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, gaussian_group); }
