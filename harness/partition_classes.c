/* partition_classes.c - partitioners by whole classes or parts of them: shards, k classes a client, a matrix of sizes, groups. */
#include "harness/partition_kinds.h"
#include <stdlib.h>
#include <string.h>

/* P6, with Flower's other two ways to say it: shard_size as given, and shards_per_client = 0, as many shards as there are. */
int fl_partition_shard(fl_partition_job *j) {
  const size_t per_client = (size_t)fl_part_value(j, "shards_per_client"), given = (size_t)fl_part_value(j, "shard_size");
  const int keep = fl_part_value(j, "keep_incomplete_shard") > 0;
  if (!per_client && !given)
    return fl_part_fail(j, "shards_per_client = 0; allowed: only with a shard_size above 0");
  const size_t wanted = per_client * j->clients, size = given ? given : j->n / wanted;
  if (!size || (given && wanted > j->n / given))
    return fl_part_fail(j, "%zu clients with shards_per_client = %zu need %zu samples, the data have %zu", j->clients, per_client,
                        wanted * (size ? size : 1), j->n);
  const size_t there = j->n / size + (keep && j->n % size != 0), shards = per_client ? wanted : there;
  if (there < j->clients)
    return fl_part_fail(j, "shard_size = %zu cuts the %zu samples into %zu shards, fewer than the %zu clients; lower it", size,
                        j->n, there, j->clients);
  uint32_t *order = malloc(there * sizeof *order);
  if (!order)
    return 1;
  const fl_key key = fl_part_key(j, FL_FOR_ORDER, 0, 0);
  fl_permutation(order, given ? there : shards, &key);
  fl_pool_by_class(j);
  for (size_t p = 0; p < j->n; p++)
    j->owner[p] = FL_NOBODY;
  size_t s = 0;
  for (size_t i = 0; i < j->clients; i++)
    for (size_t end = s + shards / j->clients + (i < shards % j->clients); s < end; s++)
      for (size_t p = order[s] * size; p < (order[s] + (size_t)1) * size && p < j->n; p++)
        j->owner[p] = (uint32_t)i;
  free(order);
  return 0;
}

typedef enum { RANDOM, DETERMINISTIC, FIRST } class_mode; /* in the order of the choices */

/* owns[i*classes + c]: first-deterministic is P7: client i owns class i mod C and further distinct ones. */
static int own_classes(const fl_partition_job *j, size_t k, uint8_t *owns) {
  const class_mode mode = (class_mode)fl_part_value(j, "class_assignment_mode");
  uint32_t *other = malloc(k * sizeof *other);
  if (!other)
    return 1;
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key key = fl_part_key(j, FL_FOR_CLASSES, i, 0);
    uint8_t *row = owns + i * j->classes;
    const size_t own = i % j->classes;
    if (mode == RANDOM)
      fl_sample(other, k, j->classes, &key);
    else if (mode == FIRST)
      fl_sample(other, k - 1, j->classes - 1, &key);
    for (size_t m = 0; m < k; m++)
      if (mode == RANDOM)
        row[other[m]] = 1;
      else if (mode == DETERMINISTIC)
        row[(own + m) % j->classes] = 1;
      else
        row[!m ? own : other[m - 1] < own ? other[m - 1] : other[m - 1] + 1] = 1;
  }
  free(other);
  return 0;
}

/* Each class is cut near-equally among its owners. */
static void cut_classes(fl_partition_job *j, const uint8_t *owns, const size_t *owners) {
  for (size_t c = 0; c < j->classes; c++) {
    size_t nth = 0, p = j->class_at[c];
    fl_shuffle_class(j, c, 0);
    for (size_t i = 0; i < j->clients; i++)
      if (owns[i * j->classes + c]) {
        const size_t size = fl_class_size(j, c) / owners[c] + (nth++ < fl_class_size(j, c) % owners[c]);
        for (size_t end = p + size; p < end; p++)
          j->owner[p] = (uint32_t)i;
      }
    for (; p < j->class_at[c + 1]; p++)
      j->owner[p] = FL_NOBODY; /* no owner: possible with fewer clients than classes, or in mode random */
  }
}

/* Equal sizes: every client draws from its k classes, each with probability 1/k. */
static int draw_owned(fl_partition_job *j, const uint8_t *owns, size_t k) {
  double *rows = malloc(j->clients * j->classes * sizeof *rows);
  if (!rows)
    return 1;
  for (size_t i = 0; i < j->clients * j->classes; i++)
    rows[i] = owns[i] ? 1.0 / (double)k : 0;
  const int status = fl_draw_equal_sizes(j, rows);
  free(rows);
  return status;
}

/* P7 and its relatives. */
int fl_partition_pathological(fl_partition_job *j) {
  const size_t k = (size_t)fl_part_value(j, "classes_per_client");
  const int equal = fl_part_value(j, "equal_sizes") > 0;
  if (k > j->classes)
    return fl_part_fail(j, "classes_per_client = %zu; allowed: 1 to %zu, the classes of the data", k, j->classes);
  uint8_t *owns = calloc(j->clients, j->classes);
  if (!owns || own_classes(j, k, owns))
    return free(owns), 1;
  fl_pool_by_class(j);
  size_t *owners = j->pass;
  int status = 0;
  memset(owners, 0, j->classes * sizeof *owners);
  for (size_t i = 0; i < j->clients * j->classes; i++)
    owners[i % j->classes] += owns[i];
  for (size_t c = 0; !status && c < j->classes; c++)
    if (fl_class_size(j, c) < (equal ? owners[c] > 0 : owners[c]))
      status = fl_part_fail(j, "class %zu has %zu samples for the %zu clients that are to hold it; lower classes_per_client = %zu"
                            " or the number of clients, or take class_assignment_mode = deterministic", c, fl_class_size(j, c),
                            owners[c], k);
  if (!status && equal)
    status = draw_owned(j, owns, k);
  else if (!status)
    cut_classes(j, owns, owners);
  free(owns);
  return status;
}

/* ---- distribution (Flower's DistributionPartitioner, FedProx) ------------------------------------------------------------ */
/* The classes of client i are i, i+1, ... i+k-1 modulo C, so a class has k*N/C owners: the columns of its row, in their order. */
static int distribution_matrix(fl_partition_job *j, size_t columns, double *m) {
  const fl_partition_config *c = j->config;
  if (*c->path)
    return fl_distribution_load(c->path, j->classes, columns, m, j->err, j->err_size);
  for (size_t r = 0; r < j->classes; r++) {
    const fl_key key = fl_part_key(j, FL_FOR_PROPORTIONS, r, 0);
    fl_stream s;
    fl_stream_init(&s, &key);
    for (size_t i = 0; i < columns; i++)
      m[r * columns + i] = fl_exp(fl_part_value(j, "lognormal_sigma") * fl_stream_gaussian(&s));
  }
  return 0;
}

/* Row c as numbers of samples. rescale: `before` each, the rest by the row's shares, rounded down, and the remainder to a column
 * at random. */
static int row_sizes(fl_partition_job *j, size_t c, size_t columns, const double *row, int rescale, size_t before, size_t *size) {
  double sum = 0;
  size_t given = 0;
  for (size_t i = 0; i < columns; i++)
    sum += row[i];
  if (rescale && before * columns > fl_class_size(j, c))
    return fl_part_fail(j, "preassigned_num_samples_per_label = %zu for the %zu owners of class %zu needs %zu samples, the data "
                        "have %zu", before, columns, c, before * columns, fl_class_size(j, c));
  if (rescale && !(sum > 0))
    return fl_part_fail(j, "row %zu of the distribution is all 0; allowed: at least one number above 0", c);
  if (!rescale && !(sum <= (double)fl_class_size(j, c)))
    return fl_part_fail(j, "row %zu of the distribution asks for %g samples, and class %zu has %zu; lower it, or take rescale = "
                        "yes", c, sum, c, fl_class_size(j, c));
  const double rest = (double)(fl_class_size(j, c) - (rescale ? before * columns : 0));
  for (size_t i = 0; i < columns; i++) {
    size[i] = rescale ? (size_t)(row[i] / sum * rest) + before : (size_t)row[i];
    given += size[i];
  }
  const fl_key key = fl_part_key(j, FL_FOR_SIZES, c, 0);
  fl_stream s;
  fl_stream_init(&s, &key);
  if (rescale && given < fl_class_size(j, c))
    size[fl_stream_below(&s, (uint32_t)columns)] += fl_class_size(j, c) - given;
  return 0;
}

static void row_owners(fl_partition_job *j, size_t c, size_t k, const size_t *size) {
  size_t nth = 0, p = j->class_at[c];
  fl_shuffle_class(j, c, 0);
  for (size_t i = 0; i < j->clients; i++)
    if ((c + j->classes - i % j->classes) % j->classes < k)
      for (size_t end = p + size[nth++]; p < end; p++)
        j->owner[p] = (uint32_t)i;
  for (; p < j->class_at[c + 1]; p++)
    j->owner[p] = FL_NOBODY;
}

int fl_partition_distribution(fl_partition_job *j) {
  const size_t k = (size_t)fl_part_value(j, "classes_per_client"), columns = k * j->clients / j->classes;
  const int rescale = fl_part_value(j, "rescale") > 0;
  if (k > j->classes)
    return fl_part_fail(j, "classes_per_client = %zu; allowed: 1 to %zu, the classes of the data", k, j->classes);
  if (j->clients % j->classes)
    return fl_part_fail(j, "clients = %zu; allowed: a multiple of %zu, the classes of the data", j->clients, j->classes);
  double *m = malloc(j->classes * columns * sizeof *m);
  size_t *size = malloc(columns * sizeof *size);
  int status = m && size ? distribution_matrix(j, columns, m) : 1;
  if (!status)
    fl_pool_by_class(j);
  for (size_t c = 0; !status && c < j->classes; c++) {
    status = row_sizes(j, c, columns, m + c * columns, rescale, (size_t)fl_part_value(j, "preassigned_num_samples_per_label"),
                       size);
    if (!status)
      row_owners(j, c, k, size);
  }
  free(m);
  free(size);
  return status ? status : fl_shuffle_lists(j);
}

/* ---- P10 ----------------------------------------------------------------------------------------------------------------- */
/* A group a class: a sample goes to its class's group with probability bias, else to one of the others; a group's samples are
 * cut near-equally among its N/C clients, which follow each other. */
int fl_partition_group(fl_partition_job *j) {
  const double bias = fl_part_value(j, "bias");
  const size_t groups = j->classes;
  if (j->clients % groups)
    return fl_part_fail(j, "clients = %zu; allowed: a multiple of %zu, the classes of the data, each of which has a group",
                        j->clients, groups);
  fl_pool_by_class(j);
  uint32_t *group = malloc(j->n * sizeof *group), *sorted = malloc(j->n * sizeof *sorted);
  size_t *at = calloc(groups + 1, sizeof *at), *next = j->next;
  if (!group || !sorted || !at)
    return free(group), free(sorted), free(at), 1;
  for (size_t c = 0; c < groups; c++) {
    const fl_key key = fl_part_key(j, FL_FOR_GROUPS, c, 0);
    fl_stream s;
    fl_stream_init(&s, &key);
    for (size_t p = j->class_at[c]; p < j->class_at[c + 1]; p++) {
      const int own = groups == 1 || fl_stream_uniform(&s) < bias;
      const size_t other = own ? 0 : fl_stream_below(&s, (uint32_t)groups - 1);
      group[p] = (uint32_t)(own ? c : other + (other >= c));
      at[group[p] + 1]++;
    }
  }
  for (size_t g = 0; g < groups; g++)
    at[g + 1] += at[g];
  memcpy(next, at, groups * sizeof *next);
  for (size_t p = 0; p < j->n; p++)
    sorted[next[group[p]]++] = j->pool[p];
  memcpy(j->pool, sorted, j->n * sizeof *sorted);
  for (size_t g = 0, each = j->clients / groups; g < groups; g++) {
    const fl_key key = fl_part_key(j, FL_FOR_ORDER, g, 0);
    const size_t size = at[g + 1] - at[g];
    fl_shuffle(j->pool + at[g], size, &key);
    for (size_t i = 0, p = at[g]; i < each; i++)
      for (size_t end = p + size / each + (i < size % each); p < end; p++)
        j->owner[p] = (uint32_t)(g * each + i);
  }
  free(group);
  free(sorted);
  free(at);
  return 0;
}
