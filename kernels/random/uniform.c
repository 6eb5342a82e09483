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

/* Whole groups go straight to y; a group that is cut at either end is made on the stack and copied in part. */
void FL_FN(bits)(size_t n, uint32_t *y, size_t first, const fl_key *key) {
  for (size_t i = 0; i < n;) {
    const size_t skip = (first + i) % FL_GROUP, left = n - i, take = left < FL_GROUP - skip ? left : FL_GROUP - skip;
    if (take == FL_GROUP) {
      bits_group(y + i, (first + i) / FL_GROUP, key);
    } else {
      uint32_t t[FL_GROUP];
      bits_group(t, (first + i) / FL_GROUP, key);
      memcpy(y + i, t + skip, take * sizeof *y);
    }
    i += take;
  }
}

void FL_FN(uniform)(size_t n, float *y, size_t first, const fl_key *key) {
  for (size_t i = 0; i < n;) {
    const size_t skip = (first + i) % FL_GROUP, left = n - i, take = left < FL_GROUP - skip ? left : FL_GROUP - skip;
    if (take == FL_GROUP) {
      uniform_group(y + i, (first + i) / FL_GROUP, key);
    } else {
      float t[FL_GROUP];
      uniform_group(t, (first + i) / FL_GROUP, key);
      memcpy(y + i, t + skip, take * sizeof *y);
    }
    i += take;
  }
}
