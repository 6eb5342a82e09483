/* partition_split.c - index lists by client: made from a partitioner's owners, named by their SHA-256, counted. */
#include "harness/data.h"
#include "harness/partition_kinds.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fl_split_free(fl_split *s) {
  free(s->offset);
  free(s->index);
  free(s->sigma);
  memset(s, 0, sizeof *s);
}

int fl_split_alloc(fl_split *s, size_t clients, size_t total) {
  memset(s, 0, sizeof *s);
  s->offset = calloc(clients + 1, sizeof *s->offset);
  s->index = malloc((total ? total : 1) * sizeof *s->index);
  s->clients = clients;
  if (s->offset && s->index)
    return 0;
  fl_split_free(s);
  return -1;
}

static void put32(unsigned char **p, uint64_t v) {
  for (int b = 0; b < 4; b++)
    *(*p)++ = (unsigned char)(v >> 8 * b);
}

static int hash_lists(fl_split *s) {
  const size_t total = s->offset[s->clients], noise = s->sigma ? 8 * (s->clients + 1) : 0, bytes = 4 * (2 + s->clients + total);
  unsigned char *text = malloc(bytes + noise), *p = text;
  if (!text)
    return -1;
  put32(&p, s->clients);
  for (size_t i = 0; i <= s->clients; i++)
    put32(&p, s->offset[i]);
  for (size_t i = 0; i < total; i++)
    put32(&p, s->index[i]);
  for (size_t i = 0; s->sigma && i <= s->clients; i++) {
    uint64_t bits = s->noise_seed;
    if (i < s->clients)
      memcpy(&bits, &s->sigma[i], sizeof bits);
    put32(&p, bits);
    put32(&p, bits >> 32);
  }
  fl_sha256(text, bytes + noise, s->sha256);
  free(text);
  return 0;
}

/* Of labels of 32 bits, little-endian. */
static int hash_words(const fl_split_data *d, char sha256[65]) {
  unsigned char *text = malloc(4 * d->n), *p = text;
  if (!text)
    return -1;
  for (size_t i = 0; i < d->n; i++)
    put32(&p, d->label32[i]);
  fl_sha256(text, 4 * d->n, sha256);
  free(text);
  return 0;
}

int fl_split_finish(fl_split *s, const fl_split_data *d) {
  uint8_t *seen = calloc(d->n ? d->n : 1, 1);
  if (!seen)
    return -1;
  size_t distinct = 0;
  s->n = d->n;
  s->disjoint = 1;
  for (size_t p = 0; p < s->offset[s->clients]; p++) {
    s->disjoint &= !seen[s->index[p]];
    distinct += !seen[s->index[p]];
    seen[s->index[p]] = 1;
  }
  s->complete = distinct == d->n;
  free(seen);
  if (d->label)
    fl_sha256(d->label, d->n, s->labels_sha256);
  return (d->label32 && hash_words(d, s->labels_sha256)) || hash_lists(s) ? -1 : 0;
}

int fl_split_whole(fl_split *out, size_t n, char *err, size_t err_size) {
  memset(out, 0, sizeof *out);
  if (n < 1 || n >= UINT32_MAX)
    return snprintf(err, err_size, "%zu samples; allowed: 1 to %u", n, UINT32_MAX - 1), -1;
  if (fl_split_alloc(out, 1, n))
    return snprintf(err, err_size, "out of memory for %zu samples", n), -1;
  out->offset[1] = n;
  for (size_t i = 0; i < n; i++)
    out->index[i] = (uint32_t)i;
  const fl_split_data d = { .n = n };
  return fl_split_finish(out, &d) ? snprintf(err, err_size, "out of memory for %zu samples", n), -1 : 0;
}

void fl_split_counts(const fl_split *s, const fl_split_data *d, uint32_t *counts) {
  memset(counts, 0, s->clients * d->classes * sizeof *counts);
  for (size_t i = 0; i < s->clients; i++)
    for (size_t p = s->offset[i]; p < s->offset[i + 1]; p++)
      counts[i * d->classes + fl_split_label(d, s->index[p])]++;
}

fl_key fl_split_noise_key(const fl_split *s) { return (fl_key){ s->noise_seed, FL_PURPOSE_PARTITION, 0, 0, FL_FOR_NOISE }; }

void fl_split_noise(const fl_split *s, float *sigma) {
  memset(sigma, 0, s->n * sizeof *sigma);
  for (size_t i = 0; i < s->clients; i++)
    for (size_t p = s->offset[i]; p < s->offset[i + 1]; p++)
      sigma[s->index[p]] = (float)s->sigma[i];
}
