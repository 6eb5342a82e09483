/* activation_dropout.c - dropout. What is kept is drawn once, by counter, and remembered as a bit an element: reading bits costs
 * far less than drawing again. Bit k of word 16*(i/512) + i%16 is element i, k = i/16%32, so that no lane moves. */
#include "kernels/layer/drop.h"

enum { BLOCK = 512, DRAWN = BLOCK + 2 * FL_GROUP };

/* Words of elements first.. first + n - 1 into `to`, which begins at a group. */
FL_INLINE void draw(size_t first, size_t n, const philox *p, uint32_t to[DRAWN]) {
  for (size_t at = 0; at < first % FL_GROUP + n; at += FL_GROUP) {
    u16 w[4];
    v_philox(w, (first + at) / FL_GROUP, p);
    for (size_t j = 0; j < 4; j++) u_store(to + at + 16 * j, w[j]);
  }
}

/* Dropped: +0, but NaN stays. */
FL_INLINE v16 kept(m16 keep, v16 x, v16 factor) { return v_sel(keep, v_mul(x, factor), v_sel(v_eq(x, x), v_zero(), x)); }

void FL_FN(dropout)(size_t n, float *y, const float *x, size_t first, const fl_key *key, double drop, uint32_t *mask) {
  const drops d = drops_of(key, drop);
  const v16 factor = v_set(d.factor);
  for (size_t at = 0; at < n; at += BLOCK, mask += 16) {
    const size_t count = n - at < BLOCK ? n - at : BLOCK;
    uint32_t word[DRAWN];
    u16 bits = u_set(0);
    draw(first + at, count + 15, &d.p, word); /* the last vector is whole */
    const uint32_t *from = word + (first + at) % FL_GROUP;
    for (size_t i = 0; i < count; i += 16) {
      const size_t lanes = count - i < 16 ? count - i : 16;
      m16 keep = drops_keeps(&d, u_load(from + i));
      if (lanes < 16) keep = m_and(keep, u_lt_s(u_iota(), u_set((uint32_t)lanes)));
      bits = u_or(bits, u_sel(keep, u_set(1u << i / 16), u_set(0)));
      v_put(y + at + i, lanes, kept(keep, v_get(x + at + i, lanes), factor));
    }
    u_store(mask, bits);
  }
}

void FL_FN(dropout_back)(size_t n, float *dx, const float *dy, double drop, const uint32_t *mask) {
  const v16 factor = v_set(drop < 1.0 ? (float)(1.0 / (1.0 - drop)) : 0.0f);
  for (size_t at = 0; at < n; at += BLOCK, mask += 16) {
    const size_t count = n - at < BLOCK ? n - at : BLOCK;
    const u16 bits = u_load(mask), none = u_set(0);
    for (size_t i = 0; i < count; i += 16) {
      const size_t lanes = count - i < 16 ? count - i : 16;
      const m16 keep = m_not(u_eq(u_and(bits, u_set(1u << i / 16)), none));
      v_put(dx + at + i, lanes, kept(keep, v_get(dy + at + i, lanes), factor));
    }
  }
}
