/* philox.h - Philox4x32-10 (Salmon et al. 2011), sixteen blocks at a time: lane l of word j is joined word j of block base + l.
 *
 * A round multiplies 32 x 32 -> 64. The blocks of even and of odd number are kept apart, each in the even lanes of a vector,
 * whose products then lie where the next round reads them: two multiplications and two shifts a round, no shuffle. What
 * the odd lanes hold on the way is of no account. */
#ifndef FL_RANDOM_PHILOX_H
#define FL_RANDOM_PHILOX_H
#include "kernels/simd/each.h"

#define FL_GROUP 64u /* elements of sixteen blocks */

/* The counter's last three words and the keys of the ten rounds: what a whole draw shares. */
typedef struct { uint32_t c1, c2, c3, k0[10], k1[10]; } philox;

FL_INLINE philox philox_of(const fl_key *key) {
  philox p = { .c1 = key->step, .c2 = key->client, .c3 = (key->purpose << 24) + key->round };
  for (uint32_t i = 0; i < 10; i++) {
    p.k0[i] = (uint32_t)key->seed + i * 0x9E3779B9u;
    p.k1[i] = (uint32_t)(key->seed >> 32) + i * 0xBB67AE85u;
  }
  return p;
}

/* c: the four words of the counters of eight blocks; becomes their result. */
FL_INLINE void philox_rounds(u16 c[4], const philox *p) {
  const u16 m0 = u_set(0xD2511F53u), m1 = u_set(0xCD9E8D57u);
  for (int i = 0; i < 10; i++) {
    const u16 p0 = u_mul_even(c[0], m0), p1 = u_mul_even(c[2], m1);
    c[0] = u_xor(u_xor(u_odd_down(p1), c[1]), u_set(p->k0[i]));
    c[1] = p1;
    c[2] = u_xor(u_xor(u_odd_down(p0), c[3]), u_set(p->k1[i]));
    c[3] = p0;
  }
}

/* The four words of sixteen blocks. */
FL_INLINE void v_philox_blocks(u16 word[4], u16 block, const philox *p) {
  u16 even[4] = { block, u_set(p->c1), u_set(p->c2), u_set(p->c3) };
  u16 odd[4] = { u_odd_down(block), even[1], even[2], even[3] };
  philox_rounds(even, p);
  philox_rounds(odd, p);
  for (int j = 0; j < 4; j++) { word[j] = u_join(even[j], odd[j]); }
}

/* Blocks 16*group ... 16*group + 15; in order their words are elements 64*group ... 64*group + 63. */
FL_INLINE void v_philox(u16 word[4], size_t group, const philox *p) {
  v_philox_blocks(word, u_add(u_set((uint32_t)(16u * group)), u_iota()), p);
}

/* u in (0, 1], of 33 bits below 1 and never 0; it rounds to 1 for the largest words. */
FL_INLINE v16 v_open_uniform(u16 w) {
  const v16 low = v_fma(v_float(u_and(w, u_set(65535))), v_set(0x1p-32f), v_set(0x1p-33f));
  return v_fma(v_float(u_shr(w, 16)), v_set(0x1p-16f), low);
}

/* The body of a draw: elements first ... first + n - 1 into y. `call` fills out[64] with the elements of `group` from `p`. Whole
 * groups go straight to y; a group that is cut at either end is made on the stack and copied in part. */
#define FL_DRAW(type, call) do { \
  const philox key_schedule = philox_of(key), *const p = &key_schedule; \
  for (size_t i = 0; i < n;) { \
    const size_t skip = (first + i) % FL_GROUP, left = n - i, take = left < FL_GROUP - skip ? left : FL_GROUP - skip; \
    const size_t group = (first + i) / FL_GROUP; \
    if (take == FL_GROUP) { \
      type *const out = y + i; \
      call; \
    } else { \
      type out[FL_GROUP]; \
      call; \
      memcpy(y + i, out + skip, take * sizeof *y); \
    } \
    i += take; \
  } \
} while (0)
#endif
