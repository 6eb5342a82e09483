/* data_holdout.c - a validation split: part of the training rows takes the place of the test set, which is then never seen. */
#include "harness/data.h"
#include "harness/partition.h"
#include <fedlane/kernels.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_rows(const fl_dataset *d, const uint32_t *row, size_t n, fl_samples *out, void **pixels, void **label) {
  const size_t bytes = d->train.c * d->train.h * d->train.w;
  uint8_t *p = fl_pixels_alloc(n * bytes), *l = malloc(n);
  *pixels = p, *label = l;
  if (!p || !l) return -1;
  for (size_t i = 0; i < n; i++) {
    memcpy(p + i * bytes, d->train.pixels + (size_t)row[i] * bytes, bytes);
    l[i] = d->train.label[row[i]];
  }
  *out = d->train;
  out->n = n, out->pixels = p, out->label = l;
  return 0;
}

int fl_dataset_holdout(fl_dataset *d, double fraction, char *err, size_t size) {
  const size_t n = d->train.n, held = (size_t)(fraction * (double)n);
  const fl_key key = { 0, FL_PURPOSE_VALIDATION, 0, 0, 0 };
  if (!(fraction > 0 && fraction < 1) || held < 1 || held >= n)
    return snprintf(err, size, "data.validation = %g of %zu training rows; allowed: a fraction that leaves rows on both sides",
                    fraction, n), -1;
  uint32_t *row = malloc(n * sizeof *row);
  fl_samples train, test;
  void *memory[4] = { 0 };
  if (row) fl_permutation(row, n, &key);
  if (!row || copy_rows(d, row, held, &test, &memory[0], &memory[1]) ||
      copy_rows(d, row + held, n - held, &train, &memory[2], &memory[3])) {
    for (int i = 0; i < 4; i++) free(memory[i]);
    free(row);
    return snprintf(err, size, "data.validation: no memory for %zu rows", n), -1;
  }
  for (size_t i = 0; d->client && i < n - held; i++) row[i] = (uint32_t)d->client[row[held + i]];
  for (size_t i = 0; d->client && i < n - held; i++) d->client[i] = (int32_t)row[i];
  free(row);
  for (size_t i = 0; i < sizeof d->memory / sizeof *d->memory; i++) {
    if (d->memory[i] == d->client && d->client) continue;
    free(d->memory[i]);
    d->memory[i] = NULL;
  }
  for (size_t i = 0, j = 0; j < 4; i++)
    if (!d->memory[i]) d->memory[i] = memory[j++];
  d->train = train;
  d->test = test;
  return 0;
}

/* The test rows' memory makes room for the new ones. */
static void replace_test(fl_dataset *d, const fl_samples *test, void *const memory[2]) {
  for (size_t i = 0, j = 0; i < sizeof d->memory / sizeof *d->memory && j < 2; i++) {
    if (d->memory[i] && d->memory[i] != d->test.pixels && d->memory[i] != d->test.label) continue;
    free(d->memory[i]);
    d->memory[i] = memory[j++];
  }
  d->test = *test;
}

/* Moves what is held out of client i's list to `row`, the rest together; returns how many those are. */
static size_t hold_out(fl_split *s, size_t i, size_t *to, double fraction, uint32_t *order, uint8_t *held, uint32_t *row) {
  const fl_key key = { 0, FL_PURPOSE_VALIDATION, 1, (uint32_t)i, 0 };   /* round 0 is that of fl_dataset_holdout */
  const size_t from = s->offset[i], n = s->offset[i + 1] - from, m = (size_t)(fraction * (double)n);
  size_t found = 0;
  fl_permutation(order, n, &key);
  memset(held, 0, n);
  for (size_t k = 0; k < m; k++) held[order[k]] = 1;
  s->offset[i] = *to;
  for (size_t k = 0; k < n; k++) {
    const uint32_t sample = s->index[from + k];
    if (held[k]) row[found++] = sample;
    else s->index[(*to)++] = sample;
  }
  return m;
}

int fl_split_holdout(fl_split *s, fl_dataset *d, double fraction, char *err, size_t size) {
  const size_t total = s->offset[s->clients];
  size_t held = 0, to = 0;
  void *memory[2] = { 0 };
  fl_samples test;
  if (!s->disjoint)
    return snprintf(err, size, "data.validation_from = clients; allowed: only with a partition that gives no sample to two "
                    "clients, as one's validation row would be another's training row"), -1;
  uint32_t *row = malloc((total + 1) * sizeof *row), *order = malloc((total + 1) * sizeof *order);
  uint8_t *is_held = malloc(total + 1);
  int bad = !row || !order || !is_held;
  for (size_t i = 0; !bad && i < s->clients; i++) held += hold_out(s, i, &to, fraction, order, is_held, row + held);
  if (!bad) s->offset[s->clients] = to;
  if (!bad && !held)
    snprintf(err, size, "data.validation = %g of each client; allowed: a fraction that takes a row of one of them (%zu clients "
             "have %zu rows)", fraction, s->clients, total);
  else if (bad || (bad = copy_rows(d, row, held, &test, &memory[0], &memory[1])) != 0)
    snprintf(err, size, "data.validation: no memory for %zu rows", total);
  if (bad) free(memory[0]), free(memory[1]);
  free(row);
  free(order);
  free(is_held);
  if (bad || !held) return -1;
  replace_test(d, &test, memory);
  const fl_split_data all = { .n = d->train.n, .label = d->train.label };
  return fl_split_finish(s, &all) ? snprintf(err, size, "data.validation: no memory for %zu rows", total), -1 : 0;
}
