/* gamma.c - Marsaglia and Tsang (2000): v = (1 + c x)^3 with x Gaussian is accepted when ln u < x^2/2 + d (1 - v + ln v), and
 * gives d v. An attempt has keys of its own, so an element is the same whatever is drawn beside it. One in twenty first
 * attempts fails at the most: whole groups make the first one, the elements that failed are gathered, sixteen at a time, for
 * the next ones. */
#include "kernels/math/exp.h"
#include "kernels/random/normal.h"
#include <math.h>

enum { PIECE = 16 * FL_GROUP };

typedef struct { float c, d, boost; } shape; /* boost: 1/alpha below 1, else 0 */

static shape shape_of(double alpha) {
  const double d = (alpha < 1.0 ? alpha + 1.0 : alpha) - 1.0 / 3.0;
  return (shape){ (float)(1.0 / sqrt(9.0 * d)), (float)d, alpha < 1.0 ? (float)(alpha > 0x1p-127 ? 1.0 / alpha : 0x1p127)
                  : 0.0f };
}

/* d v; *good says where it is accepted. v is normal where 1 + c x > 0, and what its logarithm is elsewhere does not matter. */
FL_INLINE v16 attempt(const shape *s, v16 x, u16 w, m16 *good) {
  const v16 one = v_set(1.0f), d = v_set(s->d), t = v_fma(v_set(s->c), x, one), v = v_mul(v_mul(t, t), t);
  const v16 bound = v_fma(v_mul(x, v_set(0.5f)), x, v_mul(d, v_add(v_sub(one, v), v_log_normal(v, v_zero()))));
  *good = m_and(v_gt(t, v_zero()), v_lt(v_log_open(w), bound));
  return v_mul(d, v);
}

static philox keys_of(const fl_key *key, uint32_t step) {
  fl_key k = *key;
  k.step += step;
  return philox_of(&k);
}

/* First attempts of elements `from` ... `from + n - 1` into y; returns how many failed, their distances from `from` in
 * failed[]. */
static size_t first_attempts(size_t n, float *y, size_t from, const fl_key *key, const shape *s, uint32_t *failed) {
  const philox px = keys_of(key, 1), pu = keys_of(key, 2);
  size_t count = 0, at = 0;
  while (at < n) {
    const size_t group = (from + at) / FL_GROUP, skip = (from + at) % FL_GROUP, left = n - at;
    const size_t take = left < FL_GROUP - skip ? left : FL_GROUP - skip;
    float value[FL_GROUP];
    uint32_t bad[FL_GROUP];
    v16 x[4];
    u16 w[4];
    v_normal_group(x, group, &px);
    v_philox(w, group, &pu);
    for (int j = 0; j < 4; j++) {
      m16 good;
      v_store(value + 16 * j, attempt(s, x[j], w[j], &good));
      u_store(bad + 16 * j, u_sel(good, u_set(0), u_set(1)));
    }
    memcpy(y + at, value + skip, take * sizeof *y);
    for (size_t k = 0; k < take; k++) { /* written always, kept if it failed: no branch to be mispredicted */
      failed[count] = (uint32_t)(at + k);
      count += bad[skip + k];
    }
    at += take;
  }
  return count;
}

/* Attempt t of sixteen elements; returns those that failed again, at the front of `failed`. Lanes beyond `lanes` are idle. */
static size_t next_attempts(size_t lanes, const uint32_t *list, float *y, size_t from, const philox *px, const philox *pu,
                            const shape *s, uint32_t *failed) {
  uint32_t block[16] = { 0 }, which[16] = { 0 }, bad[16];
  float value[16];
  u16 wx[4], wu[4];
  v16 cosine, sine;
  m16 good;
  for (size_t k = 0; k < lanes; k++) {
    const size_t e = from + list[k];
    block[k] = (uint32_t)(16 * (e / FL_GROUP) + e % 16);
    which[k] = (uint32_t)(e / 16 % 4);
  }
  v_philox_blocks(wx, u_load(block), px);
  v_philox_blocks(wu, u_load(block), pu);
  const u16 word = u_load(which);
  const m16 low = u_lt_s(word, u_set(2)), even = u_eq(u_and(word, u_set(1)), u_set(0));
  v_normal_pair(&cosine, &sine, u_sel(low, wx[0], wx[2]), u_sel(low, wx[1], wx[3]));
  const u16 u = u_sel(low, u_sel(even, wu[0], wu[1]), u_sel(even, wu[2], wu[3]));
  v_store(value, attempt(s, v_sel(even, cosine, sine), u, &good));
  u_store(bad, u_sel(good, u_set(0), u_set(1)));
  size_t count = 0;
  for (size_t k = 0; k < lanes; k++) {
    const uint32_t i = list[k];
    y[i] = value[k];
    failed[count] = i; /* count <= k: never beyond what has been read */
    count += bad[k];
  }
  return count;
}

/* y *= u^(1/alpha). */
static void boost(size_t n, float *y, size_t from, const fl_key *key, float power) {
  const philox p = keys_of(key, 0);
  size_t at = 0;
  while (at < n) {
    const size_t skip = (from + at) % FL_GROUP, left = n - at, take = left < FL_GROUP - skip ? left : FL_GROUP - skip;
    float factor[FL_GROUP];
    u16 w[4];
    v_philox(w, (from + at) / FL_GROUP, &p);
    for (int j = 0; j < 4; j++) { v_store(factor + 16 * j, v_exp(v_mul(v_log_open(w[j]), v_set(power)))); }
    for (size_t k = 0; k < take; k++) { y[at + k] *= factor[skip + k]; }
    at += take;
  }
}

void FL_FN(gamma)(size_t n, float *y, size_t first, const fl_key *key, double alpha) {
  if (!(alpha > 0.0 && alpha <= 1e30)) {
    FL_EACH(n, v_put(y + i, lanes, v_from_u(u_set(0x7fc00000u))));
    return;
  }
  const shape s = shape_of(alpha);
  for (size_t i = 0; i < n; i += PIECE) {
    uint32_t list[PIECE];
    const size_t take = n - i < PIECE ? n - i : PIECE, from = first + i;
    size_t count = first_attempts(take, y + i, from, key, &s, list);
    for (uint32_t t = 1; count; t++) {
      const philox px = keys_of(key, 2 * t + 1), pu = keys_of(key, 2 * t + 2);
      size_t left = 0;
      for (size_t k = 0; k < count; k += 16) {
        left += next_attempts(count - k < 16 ? count - k : 16, list + k, y + i, from, &px, &pu, &s, list + left);
      }
      count = left;
    }
    if (s.boost > 0.0f) { boost(take, y + i, from, key, s.boost); }
  }
}
