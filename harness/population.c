/* population.c - see population.h. A pixel is an eighth of its class's pattern and seven eighths of noise, in integers:
 *
 *   pixel = floor(pattern_c/8) + floor(224*r/256),   r and pattern_c uniform bytes;   0 to 254
 *
 * so that single pixels say almost nothing (a pattern's deviation is 9, the noise's 65) and a linear classifier of many samples
 * gets most of them right. Keys: (seed, FL_PURPOSE_POPULATION, what, client or class or row, step). */
#include "population.h"
#include "bits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OF_CLIENT, OF_PATTERN, OF_TEST };        /* the key's `round`: what is drawn */
enum { MOST_WORDS = 2 + FL_POPULATION_ROW / 4 };         /* of a row: chance, class, pixels */
enum { STEP_SIZE, STEP_CLASS, STEP_SAMPLE };    /* of a client: its size, its favourite class, its first sample */

static fl_key key_of(const fl_population *p, uint32_t what, uint32_t which, uint32_t step) {
  return (fl_key){ p->config.seed, FL_PURPOSE_POPULATION, what, which, step };
}

/* The first words of a draw: by the kernels where rows are made by the million. */
static void first_words(const fl_kernels *k, const fl_key *key, uint32_t word[MOST_WORDS]) {
  if (k) {
    k->bits(MOST_WORDS, word, 0, key);
    return;
  }
  fl_stream s;
  fl_stream_init(&s, key);
  for (size_t i = 0; i < MOST_WORDS; i++) word[i] = fl_stream_u32(&s);
}

static void bytes(const uint32_t *word, uint8_t *out) {
  memcpy(out, word, FL_POPULATION_ROW);         /* lowest byte first: all machines are little-endian */
}

static void sample(const fl_population *p, const uint32_t *word, uint8_t label, uint8_t *pixels) {
  const uint8_t *pattern = p->pattern[label];
  bytes(word, pixels);
  for (size_t i = 0; i < FL_POPULATION_ROW; i++) pixels[i] = (uint8_t)((pattern[i] >> 3) + (pixels[i] * 224 >> 8));
}

/* One word of a client's own: its counter is that of a stream's first. */
static uint32_t word_of(const fl_population *p, uint32_t client, uint32_t step) {
  const uint32_t counter[4] = { 0, step, client, (uint32_t)FL_PURPOSE_POPULATION << 24 };
  uint32_t word[4];
  fl_philox(counter, p->config.seed, word);
  return word[0];
}

size_t fl_population_samples(void *self, uint32_t client, uint32_t *first) {
  const fl_population *p = self;
  const uint64_t sizes = p->config.max_samples - p->config.min_samples + 1;
  *first = client * (uint32_t)p->config.max_samples;
  return p->config.min_samples + (size_t)(word_of(p, client, STEP_SIZE) * sizes >> 32);
}

void fl_population_row(const void *self, const fl_kernels *k, uint32_t row, uint8_t *pixels, uint8_t *label) {
  const fl_population *p = self;
  const uint32_t most = (uint32_t)p->config.max_samples, client = row / most;
  const fl_key key = key_of(p, OF_CLIENT, client, STEP_SAMPLE + row % most);
  uint32_t word[MOST_WORDS];
  first_words(k, &key, word);
  const int own = (double)word[0] * 0x1p-32 < p->config.label_skew;       /* then the class takes no word of the row */
  const uint64_t class = own ? word_of(p, client, STEP_CLASS) : word[1];
  *label = (uint8_t)(class * FL_POPULATION_CLASSES >> 32);
  sample(p, word + (own ? 1 : 2), *label, pixels);
}

int fl_population_split(const fl_population *p, fl_split *split, char *err, size_t size) {
  EVP_MD_CTX *sha = EVP_MD_CTX_new();
  unsigned char digest[EVP_MAX_MD_SIZE];
  int good = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;
  *split = (fl_split){ .clients = p->clients };
  for (size_t i = 0; good && i < p->clients; i++) {
    uint32_t first;
    const size_t n = fl_population_samples((void *)(uintptr_t)p, (uint32_t)i, &first);
    unsigned char byte[4];
    for (int b = 0; b < 4; b++) byte[b] = (unsigned char)(n >> 8 * b);
    good = EVP_DigestUpdate(sha, byte, sizeof byte) == 1;
  }
  good = good && EVP_DigestFinal_ex(sha, digest, NULL) == 1;
  EVP_MD_CTX_free(sha);
  if (!good) return snprintf(err, size, "no memory for a hash"), -1;
  fl_hex(digest, 32, split->sha256);
  return 0;
}

int fl_population_open(fl_dataset *d, const fl_population_config *c, size_t clients, char *err, size_t size) {
  *d = (fl_dataset){ .mean = 0.4966, .std = 0.2562 };       /* of the formula above, over all patterns */
  if (c->max_samples < c->min_samples)
    return snprintf(err, size, "data: min_samples = %zu, max_samples = %zu; allowed: min_samples <= max_samples", c->min_samples,
                    c->max_samples), -1;
  if (clients > UINT32_MAX / c->max_samples)
    return snprintf(err, size, "clients = %zu with max_samples = %zu; allowed: clients*max_samples below 2^32", clients,
                    c->max_samples), -1;
  fl_population *p = calloc(1, sizeof *p);
  uint8_t *pixels = fl_pixels_alloc((size_t)FL_POPULATION_TEST * FL_POPULATION_ROW), *label = malloc(FL_POPULATION_TEST);
  d->population = p;
  d->test.pixels = pixels, d->test.label = label;
  if (!p || !pixels || !label) return fl_dataset_free(d), snprintf(err, size, "data: no memory for the test rows"), -1;
  p->config = *c;
  p->clients = clients;
  uint32_t word[MOST_WORDS];
  for (uint32_t k = 0; k < FL_POPULATION_CLASSES; k++) {
    const fl_key key = key_of(p, OF_PATTERN, k, 0);
    first_words(NULL, &key, word);
    bytes(word, p->pattern[k]);
  }
  for (uint32_t r = 0; r < FL_POPULATION_TEST; r++) {
    const fl_key key = key_of(p, OF_TEST, r, 0);
    first_words(NULL, &key, word);
    label[r] = (uint8_t)((uint64_t)word[0] * FL_POPULATION_CLASSES >> 32);
    sample(p, word + 1, label[r], pixels + (size_t)r * FL_POPULATION_ROW);
  }
  d->test = (fl_samples){ .n = FL_POPULATION_TEST, .c = 1, .h = FL_POPULATION_SIDE, .w = FL_POPULATION_SIDE,
                          .classes = FL_POPULATION_CLASSES, .pixels = pixels, .label = label };
  d->train = d->test;
  d->train.n = clients * c->max_samples;
  d->train.pixels = d->train.label = NULL;
  return 0;
}
