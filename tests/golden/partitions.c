/* partitions.c - a hash of each partition, by the partitioners alone: where there is no JSON, as in the cross build for NEON, the
 * same settings must give the same lists. Prints "NAME sha256", as tests/golden/partitions.txt has them. */
#include "harness/partition_kinds.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 6000, CLASSES = 10, BYTES = 16, CLIENTS = 20, MOST_KEYS = 4 };
/* What is read from a file is not compared here. */
int fl_split_load(fl_split *s, const char *path, const fl_split_data *d, char *err, size_t size) {
  (void)s, (void)d;
  return snprintf(err, size, "%s: no files here", path), -1;
}
int fl_distribution_load(const char *path, size_t rows, size_t columns, double *out, char *err, size_t size) {
  (void)rows, (void)columns, (void)out;
  return snprintf(err, size, "%s: no files here", path), -1;
}

static const struct { const char *name, *keys[2 * MOST_KEYS]; size_t clients; } line[] = {
  { "iid", { 0 }, CLIENTS },
  { "dirichlet", { "dirichlet_alpha", "0.1", "min_size", "1" }, CLIENTS },
  { "dirichlet", { "dirichlet_alpha", "0.01", "min_size", "1", "self_balancing", "no" }, CLIENTS },
  { "dirichlet_client", { "dirichlet_alpha", "0.6" }, CLIENTS },
  { "inner_dirichlet", { "dirichlet_alpha", "0.1" }, CLIENTS },
  { "inner_dirichlet", { "dirichlet_alpha", "0.6", "size_sigma", "0.5" }, CLIENTS },
  { "dirichlet_rounded", { 0 }, CLIENTS },
  { "shard", { "shards_per_client", "0", "shard_size", "130", "keep_incomplete_shard", "yes" }, CLIENTS },
  { "pathological", { "class_assignment_mode", "random" }, CLIENTS },
  { "pathological", { "classes_per_client", "3", "equal_sizes", "yes" }, CLIENTS },
  { "distribution", { 0 }, CLIENTS },
  { "group", { 0 }, CLIENTS },
  { "linear", { 0 }, CLIENTS },
  { "square", { 0 }, CLIENTS },
  { "exponential", { 0 }, 7 },
  { "quantity", { "min_size", "1" }, CLIENTS },
  { "quantity_lognormal", { 0 }, CLIENTS },
  { "continuous", { 0 }, CLIENTS },
  { "noise", { 0 }, CLIENTS },
  { "natural", { 0 }, 13 },
};

int main(void) {
  static uint8_t label[SAMPLES], pixels[SAMPLES * BYTES];
  static int32_t client[SAMPLES];
  for (size_t i = 0; i < SAMPLES; i++) {
    label[i] = (uint8_t)(i * 7 % CLASSES);
    client[i] = (int32_t)(i * 5 % 13 * 100);
    for (size_t p = 0; p < BYTES; p++)
      pixels[i * BYTES + p] = (uint8_t)(i * 31 + p * p * 17 + i / 9);
  }
  const fl_split_data data = { .n = SAMPLES, .classes = CLASSES, .label = label, .client = client, .pixels = pixels,
                               .sample_bytes = BYTES };
  for (size_t k = 0; k < sizeof line / sizeof *line; k++) {
    fl_setting set[2 + MOST_KEYS] = { { "name", line[k].name, "" }, { "seed", "42", "" } };
    size_t n = 2;
    char err[512];
    fl_partition_config c;
    fl_split s;
    for (size_t i = 0; i < MOST_KEYS && line[k].keys[2 * i]; i++)
      set[n++] = (fl_setting){ line[k].keys[2 * i], line[k].keys[2 * i + 1], "" };
    if (fl_partition_build(set, n, &c, err, sizeof err) || fl_split_make(&s, &c, line[k].clients, &data, err, sizeof err))
      return fprintf(stderr, "fedlane-partitions: %s\n", err), 1;
    printf("%s", line[k].name);
    for (size_t i = 2; i < n; i++)
      printf(",%s=%s", set[i].key, set[i].value);
    printf(" %s\n", s.sha256);
    fl_split_free(&s);
  }
  return 0;
}
