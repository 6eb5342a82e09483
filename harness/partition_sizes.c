/* partition_sizes.c - partitioners that look at no label: the clients' sizes, the order of a property, the data's own clients. */
#include "harness/partition_kinds.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A random permutation cut into parts of these sizes; what they leave is nobody's. */
static void cut_permutation(fl_partition_job *j, const size_t *size) {
  const fl_key key = fl_part_key(j, FL_FOR_ORDER, 0, 0);
  fl_permutation(j->pool, j->n, &key);
  size_t at = 0;
  for (size_t i = 0; i < j->clients; i++)
    for (size_t end = at + size[i]; at < end; at++)
      j->owner[at] = (uint32_t)i;
  for (; at < j->n; at++)
    j->owner[at] = FL_NOBODY;
}

/* Near-equal parts of `n`: the first n mod parts are one longer. */
static size_t near_equal(size_t n, size_t parts, size_t i) { return n / parts + (i < n % parts); }

/* P1. */
int fl_partition_iid(fl_partition_job *j) {
  size_t *size = malloc(j->clients * sizeof *size);
  if (!size)
    return 1;
  for (size_t i = 0; i < j->clients; i++)
    size[i] = near_equal(j->n, j->clients, i);
  cut_permutation(j, size);
  free(size);
  return 0;
}

/* ---- sizes by the client's number (Flower's IdToSizeFncPartitioner): u_i/sum u of the samples, rounded down; the remainder is
 * the last client's ---- */
static double linear(double i, double n) { return (void)n, i; }
static double square(double i, double n) { return (void)n, i * i; }
static double exponential(double i, double n) { return fl_exp(i - n); } /* divided by e^n: all of them */

static size_t smallest(size_t n, size_t clients, double (*units)(double, double)) {
  double sum = 0;
  for (size_t i = 1; i <= clients; i++)
    sum += units((double)i, (double)clients);
  return (size_t)(units(1, (double)clients) / sum * (double)n);
}

static int by_number(fl_partition_job *j, double (*units)(double, double)) {
  size_t *size = malloc(j->clients * sizeof *size), given = 0;
  double sum = 0;
  if (!size)
    return 1;
  if (j->clients > 1 && !smallest(j->n, j->clients, units)) {
    size_t most = 1;
    while (smallest(j->n, most + 1, units))
      most++;
    free(size);
    return fl_part_fail(j, "client 0 of %zu would have no sample; allowed: at most %zu clients for the %zu samples of the data",
                        j->clients, most, j->n);
  }
  for (size_t i = 0; i < j->clients; i++)
    sum += units((double)(i + 1), (double)j->clients);
  for (size_t i = 0; i < j->clients; i++) {
    size[i] = (size_t)(units((double)(i + 1), (double)j->clients) / sum * (double)j->n);
    given += size[i];
  }
  size[j->clients - 1] += j->n - given;
  cut_permutation(j, size);
  free(size);
  return 0;
}

int fl_partition_linear(fl_partition_job *j) { return by_number(j, linear); }
int fl_partition_square(fl_partition_job *j) { return by_number(j, square); }
int fl_partition_exponential(fl_partition_job *j) { return by_number(j, exponential); }

/* ---- sizes at random (P8) ---- */
/* Sizes of the clients: equal, n/N each; or, size_sigma > 0, as exp(N(0, size_sigma^2)), scaled to n, rounded down, and what is
 * missing goes to the first client. */
void fl_lognormal_sizes(const fl_partition_job *j, double sigma, double *weight, size_t *size) {
  double sum = 0;
  size_t given = 0;
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key key = fl_part_key(j, FL_FOR_SIZES, i, 0);
    fl_stream s;
    fl_stream_init(&s, &key);
    weight[i] = sigma > 0 ? fl_exp(sigma * fl_stream_gaussian(&s)) : 1;
    sum += weight[i];
  }
  for (size_t i = 0; i < j->clients; i++) {
    size[i] = sigma > 0 ? (size_t)(weight[i] / sum * (double)j->n) : j->n / j->clients;
    given += size[i];
  }
  if (sigma > 0 && given < j->n)
    size[0] += j->n - given;
}

int fl_partition_quantity_lognormal(fl_partition_job *j) {
  double *weight = malloc(j->clients * sizeof *weight);
  size_t *size = malloc(j->clients * sizeof *size);
  const int bad = !weight || !size;
  if (!bad) {
    fl_lognormal_sizes(j, fl_part_value(j, "size_sigma"), weight, size);
    cut_permutation(j, size);
  }
  free(weight);
  free(size);
  return bad;
}

/* One draw of the sizes; the smallest. */
static size_t dirichlet_sizes(const fl_partition_job *j, size_t attempt, double *q, const uint8_t *closed, size_t *size) {
  const fl_key key = fl_part_key(j, FL_FOR_SIZES, 0, attempt);
  fl_dirichlet_draw(q, j->clients, fl_part_value(j, "dirichlet_alpha"), closed, &key);
  double sum = 0;
  size_t begin = 0, least = j->n;
  for (size_t i = 0; i < j->clients; i++) {
    sum += q[i];
    const double at = sum * (double)j->n;
    const size_t end = i + 1 == j->clients || at >= (double)j->n ? j->n : (size_t)at;
    size[i] = end - begin;
    least = size[i] < least ? size[i] : least;
    begin = end;
  }
  return least;
}

int fl_partition_quantity(fl_partition_job *j) {
  enum { ATTEMPTS = 1000 };
  const size_t min_size = (size_t)fl_part_value(j, "min_size");
  size_t *size = malloc(j->clients * sizeof *size), least = 0, best = 0;
  double *q = malloc(j->clients * sizeof *q);
  uint8_t *closed = calloc(j->clients, 1);
  int status = size && q && closed ? 0 : 1;
  for (size_t attempt = 0; !status && attempt < ATTEMPTS; attempt++) {
    least = dirichlet_sizes(j, attempt, q, closed, size);
    best = least > best ? least : best;
    if (least >= min_size)
      break;
  }
  if (!status && least < min_size)
    status = fl_part_fail(j, "in %d draws no sizes gave every one of %zu clients min_size = %zu samples (best: %zu); lower "
                          "min_size or the number of clients, or raise dirichlet_alpha = %g", (int)ATTEMPTS, j->clients, min_size,
                          best, fl_part_value(j, "dirichlet_alpha"));
  if (!status)
    cut_permutation(j, size);
  free(size);
  free(q);
  free(closed);
  return status;
}

/* ---- continuous (Flower's ContinuousPartitioner) ---- */
typedef struct { double value; uint32_t sample; } ranked;
static int by_value(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return x->value != y->value ? (x->value > y->value) - (x->value < y->value) : (x->sample > y->sample) - (x->sample < y->sample);
}

/* The sum of a sample's bytes, or its label: exact in a double. */
static double property_of(const fl_split_data *d, int label, size_t i) {
  if (label)
    return fl_split_label(d, i);
  uint64_t sum = 0;
  for (size_t p = 0; p < d->sample_bytes; p++)
    sum += d->pixels[i * d->sample_bytes + p];
  return (double)sum;
}

/* Sorted by b = strictness*z + (1 - strictness)*noise, z the property less its mean over its standard deviation; cut
 * near-equally. */
int fl_partition_continuous(fl_partition_job *j) {
  const int label = fl_part_value(j, "property") > 0;
  const double strictness = fl_part_value(j, "strictness"), n = (double)j->n;
  if (!label && !j->data->pixels)
    return fl_part_fail(j, "property = brightness; allowed: only with data that have pixels");
  ranked *r = malloc(j->n * sizeof *r);
  if (!r)
    return 1;
  double mean = 0, square_sum = 0;
  for (size_t i = 0; i < j->n; i++)
    mean += r[i].value = property_of(j->data, label, i);
  mean /= n;
  for (size_t i = 0; i < j->n; i++)
    square_sum += (r[i].value - mean) * (r[i].value - mean);
  const double std = sqrt(square_sum / n);
  if (std < 1e-6 && strictness > 0) {
    free(r);
    return fl_part_fail(j, "property = %s is the same in all samples, so strictness = %g has nothing to sort by; allowed: 0, or "
                        "another property", label ? "label" : "brightness", strictness);
  }
  const fl_key key = fl_part_key(j, FL_FOR_ORDER, 0, 0);
  fl_stream s;
  fl_stream_init(&s, &key);
  for (size_t i = 0; i < j->n; i++) {
    const double z = std < 1e-6 ? 0 : (r[i].value - mean) / std, noise = fl_stream_gaussian(&s);
    r[i] = (ranked){ strictness * z + (1 - strictness) * noise, (uint32_t)i };
  }
  qsort(r, j->n, sizeof *r, by_value);
  for (size_t i = 0, at = 0; i < j->clients; i++)
    for (size_t end = at + near_equal(j->n, j->clients, i); at < end; at++) {
      j->pool[at] = r[at].sample;
      j->owner[at] = (uint32_t)i;
    }
  free(r);
  return fl_shuffle_lists(j);
}

/* ---- natural ---- */
static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* A client is a number that the data has, ascending (as Flower's NaturalIdPartitioner); samples keep the data's order. */
int fl_partition_natural(fl_partition_job *j) {
  const int32_t *client = j->data->client;
  if (!client)
    return fl_part_fail(j, "the data name no clients; needed is an NPZ file with client_train, or text with clients = speakers");
  int32_t *id = malloc(j->n * sizeof *id);
  if (!id)
    return 1;
  memcpy(id, client, j->n * sizeof *id);
  qsort(id, j->n, sizeof *id, ascending);
  size_t ids = 1;
  for (size_t i = 1; i < j->n; i++)
    if (id[i] != id[ids - 1])
      id[ids++] = id[i];
  for (size_t i = 0; i < j->n; i++) {
    j->pool[i] = (uint32_t)i;
    j->owner[i] = (uint32_t)((const int32_t *)bsearch(&client[i], id, ids, sizeof *id, ascending) - id);
  }
  free(id);
  return ids == j->clients ? 0 : fl_part_fail(j, "clients = %zu; allowed: %zu, the clients that the data name", j->clients, ids);
}
