/* partition_stats.h - what a partition is like, in numbers. */
#ifndef FEDLANE_PARTITION_STATS_H
#define FEDLANE_PARTITION_STATS_H
#include "harness/partition.h"
#include <jansson.h>

/* A client's numbers: shares p_c of its samples against those of the data, g_c. */
typedef struct {
  double samples, classes;                      /* classes: that it has at least one sample of */
  double effective_classes;                     /* exp of the entropy of p */
  double total_variation;                       /* sum |p_c - g_c| / 2 */
  double jensen_shannon;                        /* in bits, from 0 to 1 */
  double noise_sigma;
} fl_client_stats;
enum { FL_CLIENT_STATS = 6 };
extern const char *const fl_client_stat[FL_CLIENT_STATS];        /* names of the fields, in their order */
/* One for each client, from counts (clients x classes) and the labels of all the data. Without samples: 0. */
int fl_split_client_stats(const fl_split *, const fl_split_data *, const uint32_t *counts, fl_client_stats *out);
/* {"schema": 1, "sha256", "clients", "samples", "assigned", "distinct", "disjoint", "complete", "summary": {NAME: {"min", "mean",
 * "max"}}, "class_counts": of the data, "client": [{NAME: number, ..., "class_counts": [...]}, ...]}; NULL without memory. */
json_t *fl_split_stats(const fl_split *, const fl_split_data *);
#endif
