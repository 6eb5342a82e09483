/* philox.h - Philox4x32-10 (Salmon et al. 2011), sixteen blocks at a time: lane l of word j is word j of block base + l. */
#ifndef FL_RANDOM_PHILOX_H
#define FL_RANDOM_PHILOX_H
#include "kernels/simd/simd.h"
#include <fedlane/kernels.h>

#define FL_GROUP 64u /* elements of sixteen blocks */

/* The four words of blocks 16*group ... 16*group + 15; in order they are elements 64*group ... 64*group + 63. */
static inline void v_philox(u16 word[4], size_t group, const fl_key *key) {
  u16 c0 = u_add(u_set((uint32_t)(16u * group)), u_iota()), c1 = u_set(key->step), c2 = u_set(key->client);
  u16 c3 = u_set((key->purpose << 24) + key->round);
  uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
  const u16 m0 = u_set(0xD2511F53u), m1 = u_set(0xCD9E8D57u);
  for (int i = 0; i < 10; i++) {
    const u16 h0 = u_mulhi(c0, m0), l0 = u_mul(c0, m0), h1 = u_mulhi(c2, m1), l1 = u_mul(c2, m1);
    c0 = u_xor(u_xor(h1, c1), u_set(k0));
    c1 = l1;
    c2 = u_xor(u_xor(h0, c3), u_set(k1));
    c3 = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  word[0] = c0;
  word[1] = c1;
  word[2] = c2;
  word[3] = c3;
}

/* The body of a draw: elements first ... first + n - 1 into y, by `group(type y[64], size_t group, key)`. Whole groups go straight
 * to y; a group that is cut at either end is made on the stack and copied in part. */
#define FL_DRAW(type, group) do { \
  for (size_t i = 0; i < n;) { \
    const size_t skip = (first + i) % FL_GROUP, left = n - i, take = left < FL_GROUP - skip ? left : FL_GROUP - skip; \
    if (take == FL_GROUP) { \
      group(y + i, (first + i) / FL_GROUP, key); \
    } else { \
      type t[FL_GROUP]; \
      group(t, (first + i) / FL_GROUP, key); \
      memcpy(y + i, t + skip, take * sizeof *y); \
    } \
    i += take; \
  } \
} while (0)
#endif
