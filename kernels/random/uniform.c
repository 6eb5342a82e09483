#include "kernels/random/philox.h"
#include "kernels/simd/decl.h"

static inline void bits_group(uint32_t y[FL_GROUP], size_t group, const fl_key *key) {
  u16 w[4];
  v_philox(w, group, key);
  for (int j = 0; j < 4; j++)
    u_store(y + 16 * j, w[j]);
}
static inline void uniform_group(float y[FL_GROUP], size_t group, const fl_key *key) {
  u16 w[4];
  v_philox(w, group, key);
  for (int j = 0; j < 4; j++)
    v_store(y + 16 * j, v_mul(v_float(u_shr(w[j], 8)), v_set(0x1p-24f)));
}

void FL_FN(bits)(size_t n, uint32_t *y, size_t first, const fl_key *key) { FL_DRAW(uint32_t, bits_group); }

void FL_FN(uniform)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, uniform_group); }
