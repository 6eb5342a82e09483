/* partition_stats.c - see partition_stats.h. No bit of a run depends on these numbers; they are the same on
 * every machine too. */
#include "harness/partition_stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fl_client_stat[FL_CLIENT_STATS] = { "samples", "classes", "effective_classes", "total_variation",
                                                      "jensen_shannon", "noise_sigma" };

static double x_log(double x, double over) { return x > 0 ? x * fl_log(x / over) : 0; }

int fl_split_client_stats(const fl_split *s, const fl_split_data *d, const uint32_t *counts, fl_client_stats *out) {
  double *global = calloc(d->classes, sizeof *global);
  if (!global)
    return -1;
  for (size_t i = 0; i < d->n; i++)
    global[fl_split_label(d, i)] += 1;
  for (size_t i = 0; i < s->clients; i++) {
    const double n = (double)(s->offset[i + 1] - s->offset[i]);
    double entropy = 0, distance = 0, divergence = 0, classes = 0;
    for (size_t c = 0; n > 0 && c < d->classes; c++) {
      const double p = counts[i * d->classes + c] / n, g = global[c] / (double)d->n, m = (p + g) / 2;
      entropy -= x_log(p, 1);
      distance += fabs(p - g) / 2;
      divergence += (x_log(p, m) + x_log(g, m)) / 2;
      classes += p > 0;
    }
    out[i] = (fl_client_stats){ n, classes, n > 0 ? fl_exp(entropy) : 0, distance, divergence / fl_log(2),
                                s->sigma ? s->sigma[i] : 0 };
  }
  free(global);
  return 0;
}

static double field(const fl_client_stats *c, size_t k) {
  double v[FL_CLIENT_STATS];
  memcpy(v, c, sizeof v);
  return v[k];
}

static json_t *summary_of(const fl_client_stats *c, size_t clients, size_t k) {
  double least = field(&c[0], k), most = least, sum = 0;
  for (size_t i = 0; i < clients; i++) {
    const double v = field(&c[i], k);
    if (v < least) least = v;
    if (v > most) most = v;
    sum += v;
  }
  return json_pack("{s:f, s:f, s:f}", "min", least, "mean", sum / (double)clients, "max", most);
}

static json_t *counts_json(const uint32_t *counts, size_t classes) {
  json_t *row = json_array();
  for (size_t c = 0; c < classes; c++)
    json_array_append_new(row, json_integer(counts[c]));
  return row;
}

static size_t distinct_samples(const fl_split *s, uint8_t *seen) {
  size_t distinct = 0;
  for (size_t p = 0; p < s->offset[s->clients]; p++) {
    distinct += !seen[s->index[p]];
    seen[s->index[p]] = 1;
  }
  return distinct;
}

static json_t *stats_json(const fl_split *s, const fl_split_data *d, const uint32_t *counts, const fl_client_stats *c,
                          uint8_t *seen) {
  uint32_t *all = calloc(d->classes, sizeof *all);
  if (!all)
    return NULL;
  json_t *summary = json_object(), *clients = json_array(), *totals;
  for (size_t i = 0; i < d->n; i++)
    all[fl_split_label(d, i)]++;
  totals = counts_json(all, d->classes);
  free(all);
  for (size_t k = 0; k < FL_CLIENT_STATS - !s->sigma; k++)
    json_object_set_new(summary, fl_client_stat[k], summary_of(c, s->clients, k));
  for (size_t i = 0; i < s->clients; i++) {
    json_t *one = json_object();
    for (size_t k = 0; k < FL_CLIENT_STATS - !s->sigma; k++)
      json_object_set_new(one, fl_client_stat[k], json_real(field(&c[i], k)));
    json_object_set_new(one, "class_counts", counts_json(counts + i * d->classes, d->classes));
    json_array_append_new(clients, one);
  }
  return json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:o, s:o}", "schema", 1, "sha256", s->sha256, "clients",
                   (json_int_t)s->clients, "samples", (json_int_t)d->n, "assigned", (json_int_t)s->offset[s->clients], "distinct",
                   (json_int_t)distinct_samples(s, seen), "disjoint", s->disjoint, "complete", s->complete, "summary", summary,
                   "class_counts", totals, "client", clients);
}

json_t *fl_split_stats(const fl_split *s, const fl_split_data *d) {
  uint32_t *counts = malloc(s->clients * d->classes * sizeof *counts);
  fl_client_stats *c = malloc(s->clients * sizeof *c);
  uint8_t *seen = calloc(d->n, 1);
  json_t *out = NULL;
  if (counts && c && seen) {
    fl_split_counts(s, d, counts);
    if (!fl_split_client_stats(s, d, counts, c))
      out = stats_json(s, d, counts, c, seen);
  }
  free(counts);
  free(c);
  free(seen);
  return out;
}
