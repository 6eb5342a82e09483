/* data_holdout.c - a validation split: part of the training rows takes the place of the test set, which is then never seen. */
#include "harness/data.h"
#include "harness/partition.h"
#include <fedlane/kernels.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *copy_inputs(const void *from, size_t bytes, const uint32_t *row, size_t n) {
  uint8_t *out = fl_pixels_alloc(n * bytes);
  for (size_t i = 0; out && i < n; i++) memcpy(out + i * bytes, (const uint8_t *)from + row[i] * bytes, bytes);
  return out;
}

static int copy_sparse(const fl_samples *from, const uint32_t *row, size_t n, fl_samples *out) {
  size_t total = 0, *begin = malloc((n + 1) * sizeof *begin);
  for (size_t i = 0; i < n; i++) total += from->begin[row[i] + 1] - from->begin[row[i]];
  uint32_t *column = malloc((total + 1) * sizeof *column);
  float *value = malloc((total + 1) * sizeof *value);
  out->begin = begin, out->column = column, out->value = value;
  if (!begin || !column || !value) return -1;
  begin[0] = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t at = from->begin[row[i]], count = from->begin[row[i] + 1] - at;
    memcpy(column + begin[i], from->column + at, count * sizeof *column);
    memcpy(value + begin[i], from->value + at, count * sizeof *value);
    begin[i + 1] = begin[i] + count;
  }
  return 0;
}

size_t fl_samples_row(const fl_samples *s) { return s->c * s->h * s->w; }

int fl_samples_copy(const fl_samples *from, const uint32_t *row, size_t n, fl_samples *out) {
  const size_t in = fl_samples_row(from), labels = from->positions ? from->positions : 1;
  *out = *from;
  out->n = n;
  out->pixels = NULL, out->features = NULL, out->tokens = NULL, out->begin = NULL, out->column = NULL, out->value = NULL;
  out->label = NULL, out->label32 = NULL;
  int bad = 0;
  if (from->label) bad |= !(out->label = copy_inputs(from->label, labels, row, n));
  if (from->label32) bad |= !(out->label32 = copy_inputs(from->label32, 4 * labels, row, n));
  if (from->pixels) bad |= !(out->pixels = copy_inputs(from->pixels, in, row, n));
  if (from->features) bad |= !(out->features = copy_inputs(from->features, 4 * in, row, n));
  if (from->tokens) bad |= !(out->tokens = copy_inputs(from->tokens, 4 * in, row, n));
  if (from->begin) bad |= copy_sparse(from, row, n, out) != 0;
  if (bad) fl_samples_free(out);
  return bad ? -1 : 0;
}

fl_split_data fl_dataset_split(const fl_dataset *d) {
  const fl_samples *t = &d->train;
  const uint8_t *none = d->unlabelled;          /* rows have several labels: to a partition they are alike */
  return (fl_split_data){ .n = t->n, .classes = none ? 1 : t->classes, .label = none ? none : t->label,
                          .label32 = none ? NULL : t->label32, .client = d->client, .pixels = t->pixels,
                          .sample_bytes = t->c * t->h * t->w };
}

int fl_dataset_holdout(fl_dataset *d, double fraction, char *err, size_t size) {
  const size_t n = d->train.n, held = (size_t)(fraction * (double)n);
  const fl_key key = { 0, FL_PURPOSE_VALIDATION, 0, 0, 0 };
  if (!(fraction > 0 && fraction < 1) || held < 1 || held >= n)
    return snprintf(err, size, "data.validation = %g of %zu training rows; allowed: a fraction that leaves rows on both sides",
                    fraction, n), -1;
  uint32_t *row = malloc(n * sizeof *row);
  fl_samples train = { 0 }, test = { 0 };
  if (row) fl_permutation(row, n, &key);
  if (!row || fl_samples_copy(&d->train, row, held, &test) || fl_samples_copy(&d->train, row + held, n - held, &train)) {
    fl_samples_free(&test);
    free(row);
    return snprintf(err, size, "data.validation: no memory for %zu rows", n), -1;
  }
  for (size_t i = 0; d->client && i < n - held; i++) row[i] = (uint32_t)d->client[row[held + i]];
  for (size_t i = 0; d->client && i < n - held; i++) d->client[i] = (int32_t)row[i];
  free(row);
  fl_samples_free(&d->train);
  fl_samples_free(&d->test);
  d->train = train;
  d->test = test;
  return 0;
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
  fl_samples test = { 0 };
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
  else if (bad || (bad = fl_samples_copy(&d->train, row, held, &test)) != 0)
    snprintf(err, size, "data.validation: no memory for %zu rows", total);
  free(row);
  free(order);
  free(is_held);
  if (bad || !held) return -1;
  fl_samples_free(&d->test);
  d->test = test;
  const fl_split_data all = fl_dataset_split(d);
  return fl_split_finish(s, &all) ? snprintf(err, size, "data.validation: no memory for %zu rows", total), -1 : 0;
}
