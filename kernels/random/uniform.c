/* uniform.c - the draws that take one word an element. */
#include "kernels/random/philox.h"

FL_INLINE void bits_group(uint32_t y[FL_GROUP], size_t group, const philox *p) {
  u16 w[4];
  v_philox(w, group, p);
  for (int j = 0; j < 4; j++)
    u_store(y + 16 * j, w[j]);
}
FL_INLINE void uniform_group(float y[FL_GROUP], size_t group, const philox *p) {
  u16 w[4];
  v_philox(w, group, p);
  for (int j = 0; j < 4; j++)
    v_store(y + 16 * j, v_mul(v_float(u_shr(w[j], 8)), v_set(0x1p-24f)));
}
FL_INLINE void rademacher_group(float y[FL_GROUP], size_t group, const philox *p) {
  u16 w[4];
  v_philox(w, group, p);
  for (int j = 0; j < 4; j++)
    v_store(y + 16 * j, v_from_u(u_or(u_and(w[j], u_set(0x80000000u)), v_bits(v_set(1.0f)))));
}
/* Unsigned w < limit as a signed comparison: both with the top bit turned over. */
FL_INLINE void bernoulli_group(float y[FL_GROUP], size_t group, const philox *p, uint32_t limit, float value) {
  const u16 top = u_set(0x80000000u);
  u16 w[4];
  v_philox(w, group, p);
  for (int j = 0; j < 4; j++)
    v_store(y + 16 * j, v_sel(u_lt_s(u_xor(w[j], top), u_set(limit ^ 0x80000000u)), v_set(value), v_zero()));
}

void FL_FN(bits)(size_t n, uint32_t *y, size_t first, const fl_key *key) { FL_DRAW(uint32_t, bits_group(out, group, p)); }

void FL_FN(uniform)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, uniform_group(out, group, p)); }

void FL_FN(rademacher)(size_t n, float *y, size_t first, const fl_key *key) { FL_DRAW(float, rademacher_group(out, group, p)); }

void FL_FN(bernoulli)(size_t n, float *y, size_t first, const fl_key *key, double prob, float value) {
  const double scaled = prob * 0x1p32;
  if (!(scaled > 0.0) || scaled > 0x1p32 - 1.0) { /* never, or for every word */
    FL_EACH(n, v_put(y + i, lanes, v_set(scaled > 0.0 ? value : 0.0f)));
    return;
  }
  /* rounded up: words below it satisfy w < scaled */
  const uint32_t whole = (uint32_t)scaled, limit = whole + ((double)whole < scaled);
  FL_DRAW(float, bernoulli_group(out, group, p, limit, value));
}
