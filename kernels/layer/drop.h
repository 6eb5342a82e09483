/* drop.h - what is dropped: element i, where its word of `bits` is below drop*2^32. Shared by dropout and attention. */
#ifndef FL_LAYER_DROP_H
#define FL_LAYER_DROP_H
#include "kernels/random/philox.h"

/* all: the chance is so near to 1 that no word is kept. factor: of what is kept. */
typedef struct { philox p; u16 below; float factor; int all; } drops;

FL_INLINE drops drops_of(const fl_key *key, double drop) {
  const double scaled = drop * 0x1p32;
  const int all = scaled > 0x1p32 - 1.0, none = !(scaled > 0.0);
  const uint32_t whole = none || all ? 0 : (uint32_t)scaled, limit = none || all ? 0 : whole + ((double)whole < scaled);
  return (drops){ philox_of(key), u_set(limit ^ 0x80000000u), all ? 0.0f : (float)(1.0 / (1.0 - drop)), all };
}

FL_INLINE m16 drops_keeps(const drops *d, u16 word) {
  return d->all ? v_lt(v_zero(), v_zero()) : m_not(u_lt_s(u_xor(word, u_set(0x80000000u)), d->below));
}

/* The factors of n elements from `first`, a multiple of 16, in whole vectors. */
FL_INLINE void drops_factors(const drops *d, size_t first, size_t n, float *to) {
  for (size_t at = first / FL_GROUP * FL_GROUP; at < first + n; at += FL_GROUP) {
    u16 word[4];
    v_philox(word, at / FL_GROUP, &d->p);
    for (size_t j = 0; j < 4; j++) {
      const size_t i = at + 16 * j;
      if (i >= first && i < first + n) v_store(to + (i - first), v_sel(drops_keeps(d, word[j]), v_set(d->factor), v_zero()));
    }
  }
}
#endif
