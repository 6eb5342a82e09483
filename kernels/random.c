/* random.c - draws that are not element-wise: one word at a time, with rejection, from the same Philox elements. */
#include <fedlane/kernels.h>
#include <math.h>
#include <stdlib.h>

/* Philox4x32-10 of the counters c[0..3][l], in place. One block waits for its own products most of the time; four abreast, with
 * 64-bit words whose upper halves are of no account, take the time of one and a half. */
enum { ABREAST = 4 };
static inline __attribute__((always_inline)) void rounds(uint64_t c[4][ABREAST], int lanes, uint64_t key) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int i = 0; i < 10; i++) {
    for (int l = 0; l < lanes; l++) {
      const uint64_t p0 = (uint64_t)(uint32_t)c[0][l] * 0xD2511F53u, p1 = (uint64_t)(uint32_t)c[2][l] * 0xCD9E8D57u;
      c[0][l] = (p1 >> 32) ^ c[1][l] ^ k0;
      c[1][l] = p1;
      c[2][l] = (p0 >> 32) ^ c[3][l] ^ k1;
      c[3][l] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

void fl_philox(const uint32_t counter[4], uint64_t key, uint32_t out[4]) {
  uint64_t c[4][ABREAST];
  for (int j = 0; j < 4; j++)
    c[j][0] = counter[j];
  rounds(c, 1, key);
  for (int j = 0; j < 4; j++)
    out[j] = (uint32_t)c[j][0];
}

void fl_stream_init(fl_stream *s, const fl_key *key) {
  s->key = *key;
  s->i = 0;
  s->have = 0;
}

/* Word j of blocks first ... first + 3 to word[16*j ... 16*j + 3]. */
static void blocks(uint32_t *word, uint32_t first, const fl_key *key) {
  uint64_t c[4][ABREAST];
  for (uint32_t l = 0; l < ABREAST; l++) {
    c[0][l] = first + l;
    c[1][l] = key->step;
    c[2][l] = key->client;
    c[3][l] = (key->purpose << 24) + key->round;
  }
  rounds(c, ABREAST, key->seed);
  for (int j = 0; j < 4; j++) {
    for (int l = 0; l < ABREAST; l++)
      word[16 * j + l] = (uint32_t)c[j][l];
  }
}

/* `have` is 1 + the group of 64 elements in `word`, 0 for none; so a caller may set i to any element. */
uint32_t fl_stream_u32(fl_stream *s) {
  const uint64_t group = s->i / 64;
  if (s->have != group + 1) {
    for (uint32_t lane = 0; lane < 16; lane += ABREAST)
      blocks(s->word + lane, (uint32_t)(16 * group) + lane, &s->key);
    s->have = group + 1;
  }
  return s->word[s->i++ % 64];
}

double fl_stream_uniform(fl_stream *s) { return (double)(fl_stream_u32(s) >> 8) * 0x1p-24 + 0x1p-25; }

uint32_t fl_stream_below(fl_stream *s, uint32_t n) {
  uint64_t p = (uint64_t)fl_stream_u32(s) * n;
  if ((uint32_t)p < n) {
    const uint32_t reject = (0u - n) % n; /* 2^32 mod n: the words that would favour some results */
    while ((uint32_t)p < reject)
      p = (uint64_t)fl_stream_u32(s) * n;
  }
  return (uint32_t)(p >> 32);
}

/* The cosine half of a Box-Muller pair in double, from two words; its sine is not kept, so that the stream's state is its
 * position and nothing else. */
double fl_stream_gaussian(fl_stream *s) {
  const double u = ((double)fl_stream_u32(s) + 0.5) * 0x1p-32;
  const double angle = (double)fl_stream_u32(s) * 0x1p-31;
  return sqrt(-2.0 * fl_log(u)) * fl_cos_pi(angle);
}

/* Marsaglia and Tsang (2000): d v with v = (1 + c x)^3 is accepted when ln u < x^2/2 + d - d v + d ln v. Below 1 the draw is
 * gamma(alpha + 1) u^(1/alpha), which underflows for small alpha: therefore the logarithm is returned. */
double fl_stream_log_gamma_draw(fl_stream *s, double alpha) {
  const double a = alpha < 1 ? alpha + 1 : alpha, d = a - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
  double log_draw;
  for (;;) {
    const double x = fl_stream_gaussian(s), t = 1 + c * x, u = fl_stream_uniform(s);
    if (t <= 0)
      continue;
    const double v = t * t * t, log_v = fl_log(v);
    if (fl_log(u) < 0.5 * x * x + d - d * v + d * log_v) {
      log_draw = fl_log(d) + log_v;
      break;
    }
  }
  if (alpha < 1) {
    /* 53 bits: with 24 the smallest u would already bound a draw at alpha 0.01. */
    const uint64_t high = fl_stream_u32(s) >> 5, low = fl_stream_u32(s) >> 6;
    log_draw += fl_log(((double)(high << 26 | low) + 0.5) * 0x1p-53) / alpha;
  }
  return log_draw;
}

/* One swap after the other: a swap reads what all before it left, and a word that is rejected moves every later draw to the next
 * word, so no two can be done at once without another order. Only the words come several blocks abreast. */
void fl_shuffle(uint32_t *p, size_t n, const fl_key *key) {
  fl_stream s;
  fl_stream_init(&s, key);
  for (size_t i = n; i > 1; i--) {
    const uint32_t j = fl_stream_below(&s, (uint32_t)i), t = p[i - 1];
    p[i - 1] = p[j];
    p[j] = t;
  }
}

void fl_permutation(uint32_t *p, size_t n, const fl_key *key) {
  for (size_t i = 0; i < n; i++)
    p[i] = (uint32_t)i;
  fl_shuffle(p, n, key);
}

/* Fisher-Yates from the front, cut after m: draw i swaps places i and at[i] >= i. `at` holds the places drawn; what lay at
 * place at[i] before step i is found by walking the earlier swaps backwards. Backwards over i this works in place. */
static void sample_resolve(uint32_t *at, size_t m) {
  for (size_t i = m; i-- > 0;) {
    uint32_t place = at[i];
    for (size_t k = i; k-- > 0;)
      if (at[k] == place)
        place = (uint32_t)k; /* step k put there what lay at place k before it */
    at[i] = place;
  }
}

/* The same with a table of the places that hold another number than their own: at most one more a draw. */
typedef struct { uint32_t place, item; } moved;
#define NOWHERE UINT32_MAX /* n - 1 is at most UINT32_MAX - 1 */

static moved *find(moved *table, unsigned bits, uint32_t place) {
  uint32_t h = (place * 0x9E3779B1u) >> (32 - bits);
  while (table[h].place != place && table[h].place != NOWHERE)
    h = (h + 1) & ((1u << bits) - 1);
  return &table[h];
}

static void sample_sparse(uint32_t *at, size_t m, moved *table, unsigned bits) {
  for (size_t i = 0; i < (size_t)1 << bits; i++)
    table[i].place = NOWHERE;
  for (size_t i = 0; i < m; i++) {
    const moved *own = find(table, bits, (uint32_t)i);
    const uint32_t item = own->place == NOWHERE ? (uint32_t)i : own->item;
    moved *drawn = find(table, bits, at[i]);
    const uint32_t got = drawn->place == NOWHERE ? at[i] : drawn->item;
    *drawn = (moved){ at[i], item };
    at[i] = got;
  }
}

static void sample_dense(uint32_t *at, size_t m, size_t n, uint32_t *p) {
  for (size_t i = 0; i < n; i++)
    p[i] = (uint32_t)i;
  for (size_t i = 0; i < m; i++) {
    const uint32_t j = at[i];
    at[i] = p[j];
    p[j] = p[i];
  }
}

/* Whatever the way, the same items: m of n costs O(m), and beyond 512 draws an allocation, without which it is O(m^2). */
enum { PLAIN = 16, SMALL_BITS = 10 };
void fl_sample(uint32_t *out, size_t m, size_t n, const fl_key *key) {
  moved small[1 << SMALL_BITS], *table = small;
  unsigned bits = 1;
  fl_stream s;
  fl_stream_init(&s, key);
  for (size_t i = 0; i < m; i++)
    out[i] = (uint32_t)i + fl_stream_below(&s, (uint32_t)(n - i));
  while (bits < 31 && (size_t)1 << bits < 2 * m)
    bits++;
  if (m > PLAIN && n <= 4 * m && bits > SMALL_BITS) {
    uint32_t *p = malloc(n * sizeof *p);
    if (p) {
      sample_dense(out, m, n, p);
      free(p);
      return;
    }
  }
  if (bits > SMALL_BITS)
    table = malloc(sizeof *table << bits);
  if (m <= PLAIN || !table || (size_t)1 << bits <= m) {
    sample_resolve(out, m);
  } else {
    sample_sparse(out, m, table, bits);
  }
  if (table != small)
    free(table);
}
