/* data_holdout.c - a validation split: part of the training rows takes the place of the test set, which is then never seen. */
#include "harness/data.h"
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
