/* partition_kinds.c - the partitioners (federated-structured-robust 10). Every draw has a key of its own: round = attempt or
 * pass, client = the class or client drawn for, step = what the draw is for; so no draw depends on how many came before. */
#include "harness/partition_kinds.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOR_ORDER, FOR_PROPORTIONS, FOR_LABELS, FOR_CLASSES, FOR_LISTS, FOR_SIZES, FOR_TURNS };
#define MAX_ATTEMPTS 1000u

static fl_key key_of(const fl_partition_job *j, uint32_t purpose, size_t item, size_t attempt) {
  return (fl_key){ j->config->seed, FL_PURPOSE_PARTITION, (uint32_t)attempt, (uint32_t)item, purpose };
}

__attribute__((format(printf, 2, 3))) static int fail(fl_partition_job *j, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int at = snprintf(j->err, j->err_size, "partition %s: ", j->config->kind->name);
  if (at >= 0 && (size_t)at < j->err_size)
    vsnprintf(j->err + at, j->err_size - (size_t)at, format, args);
  va_end(args);
  return -1;
}

static size_t class_size(const fl_partition_job *j, size_t c) { return j->class_at[c + 1] - j->class_at[c]; }

void fl_pool_by_class(fl_partition_job *j) {
  memset(j->class_at, 0, (j->classes + 1) * sizeof *j->class_at);
  for (size_t i = 0; i < j->n; i++)
    j->class_at[j->label[i] + 1]++;
  for (size_t c = 0; c < j->classes; c++)
    j->class_at[c + 1] += j->class_at[c];
  size_t next[256];
  memcpy(next, j->class_at, j->classes * sizeof *next);
  for (size_t i = 0; i < j->n; i++)
    j->pool[next[j->label[i]]++] = (uint32_t)i;
}

static void shuffle_class(fl_partition_job *j, size_t c, size_t pass) {
  const fl_key key = key_of(j, FOR_ORDER, c, pass);
  fl_shuffle(j->pool + j->class_at[c], class_size(j, c), &key);
}

/* q = Dirichlet(alpha) over the k items that `closed` leaves, 0 for the others. The gammas stay logarithms until the largest
 * one is divided out: at small alpha all of them underflow. At least one item must be open. */
static void dirichlet(double *q, size_t k, double alpha, const uint8_t *closed, const fl_key *key) {
  fl_stream s;
  fl_stream_init(&s, key);
  double most = 0, sum = 0;
  int any = 0;
  for (size_t i = 0; i < k; i++) {
    q[i] = fl_stream_log_gamma_draw(&s, alpha);
    if (!closed[i] && (!any || q[i] > most)) {
      most = q[i];
      any = 1;
    }
  }
  for (size_t i = 0; i < k; i++) {
    q[i] = closed[i] ? 0 : fl_exp(q[i] - most);
    sum += q[i];
  }
  for (size_t i = 0; i < k; i++)
    q[i] /= sum;
}

/* P1. */
int fl_partition_iid(fl_partition_job *j) {
  const fl_key key = key_of(j, FOR_ORDER, 0, 0);
  fl_permutation(j->pool, j->n, &key);
  const size_t size = j->n / j->clients, longer = j->n % j->clients;
  size_t at = 0;
  for (size_t i = 0; i < j->clients; i++)
    for (size_t end = at + size + (i < longer); at < end; at++)
      j->owner[at] = (uint32_t)i;
  return 0;
}

/* One attempt of P2: cut[c*clients + i] = end of client i's piece of class c. Only the sizes matter to success, so classes
 * are shuffled after it. Returns the size of the smallest list. */
static size_t dirichlet_cuts(fl_partition_job *j, size_t attempt, uint32_t *cut, double *q, size_t *held, uint8_t *closed) {
  const double alpha = j->config->h[FL_H_DIRICHLET_ALPHA];
  memset(held, 0, j->clients * sizeof *held);
  for (size_t c = 0; c < j->classes; c++) {
    const size_t size = class_size(j, c);
    if (!size)
      continue;
    for (size_t i = 0; i < j->clients; i++)
      closed[i] = held[i] * j->clients >= j->n; /* holds n/N already */
    const fl_key key = key_of(j, FOR_PROPORTIONS, c, attempt);
    dirichlet(q, j->clients, alpha, closed, &key);
    double sum = 0;
    uint32_t begin = 0;
    for (size_t i = 0; i < j->clients; i++) {
      sum += q[i];
      const double at = sum * (double)size;
      uint32_t end = at < (double)size ? (uint32_t)at : (uint32_t)size;
      if (i + 1 == j->clients)
        end = (uint32_t)size;
      cut[c * j->clients + i] = end;
      held[i] += end - begin;
      begin = end;
    }
  }
  size_t least = held[0];
  for (size_t i = 1; i < j->clients; i++)
    least = held[i] < least ? held[i] : least;
  return least;
}

static void dirichlet_assign(fl_partition_job *j, size_t attempt, const uint32_t *cut) {
  for (size_t c = 0; c < j->classes; c++) {
    const size_t size = class_size(j, c);
    shuffle_class(j, c, attempt);
    size_t p = 0;
    for (size_t i = 0; size && i < j->clients; i++)
      for (; p < cut[c * j->clients + i]; p++)
        j->owner[j->class_at[c] + p] = (uint32_t)i;
  }
}

/* "Then shuffle every list": one permutation of the pool (with its owners) shuffles all of them. */
static int shuffle_lists(fl_partition_job *j) {
  uint32_t *order = malloc(3 * (j->n ? j->n : 1) * sizeof *order);
  if (!order)
    return fail(j, "out of memory for %zu samples", j->n);
  uint32_t *pool = order + j->n, *owner = pool + j->n;
  const fl_key key = key_of(j, FOR_LISTS, 0, 0);
  fl_permutation(order, j->n, &key);
  memcpy(pool, j->pool, j->n * sizeof *pool);
  memcpy(owner, j->owner, j->n * sizeof *owner);
  for (size_t i = 0; i < j->n; i++) {
    j->pool[i] = pool[order[i]];
    j->owner[i] = owner[order[i]];
  }
  free(order);
  return 0;
}

/* P2. */
int fl_partition_dirichlet(fl_partition_job *j) {
  const size_t min_size = (size_t)j->config->h[FL_H_MIN_SIZE];
  if (min_size * j->clients > j->n)
    return fail(j, "min_size = %zu for %zu clients needs %zu samples, the data have %zu; lower min_size (to at most %zu) or "
                   "the number of clients", min_size, j->clients, min_size * j->clients, j->n, j->n / j->clients);
  fl_pool_by_class(j);
  uint32_t *cut = malloc(j->classes * j->clients * sizeof *cut);
  double *q = malloc(j->clients * sizeof *q);
  size_t *held = malloc(j->clients * sizeof *held), attempt = 0, least = 0, best = 0;
  uint8_t *closed = malloc(j->clients);
  int status = cut && q && held && closed ? 0 : fail(j, "out of memory for %zu clients", j->clients);
  for (; !status && attempt < MAX_ATTEMPTS; attempt++) {
    least = dirichlet_cuts(j, attempt, cut, q, held, closed);
    best = least > best ? least : best;
    if (least >= min_size)
      break;
  }
  if (!status && least < min_size)
    status = fail(j, "in %u draws no partition gave every one of %zu clients min_size = %zu samples (best: %zu); lower "
                     "min_size or the number of clients, or raise dirichlet_alpha = %g",
                  MAX_ATTEMPTS, j->clients, min_size, best, j->config->h[FL_H_DIRICHLET_ALPHA]);
  if (!status) {
    dirichlet_assign(j, attempt, cut);
    status = shuffle_lists(j);
  }
  free(cut);
  free(q);
  free(held);
  free(closed);
  return status;
}

/* A class from proportions that sum to about 1. */
static size_t draw_class(const double *q, size_t classes, fl_stream *s) {
  const double u = fl_stream_uniform(s);
  size_t c = 0, last = 0;
  for (double sum = 0; c < classes; c++) { /* rounding may leave the sum below u: then the last possible class */
    sum += q[c];
    if (q[c] > 0)
      last = c;
    if (u < sum)
      break;
  }
  return c < classes ? c : last;
}

static void empty_classes(const fl_partition_job *j, uint8_t *empty) {
  for (size_t c = 0; c < j->classes; c++)
    empty[c] = class_size(j, c) == 0;
}

static void client_proportions(const fl_partition_job *j, size_t i, const uint8_t *empty, double *q) {
  const fl_key key = key_of(j, FOR_PROPORTIONS, i, 0);
  dirichlet(q, j->classes, j->config->h[FL_H_DIRICHLET_ALPHA], empty, &key);
}

/* Every client draws n/N labels from its proportions (row i of q, or its Dirichlet draw); a class that runs out is shuffled
 * anew, so samples may be shared. */
static int draw_equal_sizes(fl_partition_job *j, const double *rows) {
  const size_t each = j->n / j->clients;
  uint32_t *taken = malloc((j->n ? j->n : 1) * sizeof *taken);
  if (!taken)
    return fail(j, "out of memory for %zu samples", j->n);
  double own[256];
  size_t next[256] = { 0 }, pass[256] = { 0 };
  uint8_t empty[256];
  fl_pool_by_class(j);
  empty_classes(j, empty);
  for (size_t c = 0; c < j->classes; c++)
    shuffle_class(j, c, 0);
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key labels = key_of(j, FOR_LABELS, i, 0);
    if (!rows)
      client_proportions(j, i, empty, own);
    fl_stream s;
    fl_stream_init(&s, &labels);
    for (size_t m = 0; m < each; m++) {
      const size_t c = draw_class(rows ? rows + i * j->classes : own, j->classes, &s);
      if (next[c] == class_size(j, c)) {
        next[c] = 0;
        shuffle_class(j, c, ++pass[c]);
      }
      taken[i * each + m] = j->pool[j->class_at[c] + next[c]++];
    }
  }
  for (size_t p = 0; p < j->n; p++)
    j->owner[p] = p < each * j->clients ? (uint32_t)(p / each) : FL_NOBODY;
  memcpy(j->pool, taken, each * j->clients * sizeof *taken);
  free(taken);
  return 0;
}

/* P4, the current version. Classes without samples are left out of the proportions. */
int fl_partition_dirichlet_client(fl_partition_job *j) { return draw_equal_sizes(j, NULL); }

/* Sizes of the clients: equal, n/N each; or, size_sigma > 0, as exp(N(0, size_sigma^2)), scaled to n, rounded down, and what is
 * missing goes to the first client. */
static void lognormal_sizes(const fl_partition_job *j, double sigma, double *weight, size_t *size) {
  double sum = 0;
  size_t given = 0;
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key key = key_of(j, FOR_SIZES, i, 0);
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

/* Where a client's classes are all used up, 1000 draws find none that is left: then any class that has samples. */
static size_t draw_left(const fl_partition_job *j, const double *q, const size_t *left, fl_stream *s) {
  for (unsigned draw = 0; draw < 1000; draw++) {
    const size_t c = draw_class(q, j->classes, s);
    if (left[c])
      return c;
  }
  size_t some = 0, c = 0;
  for (size_t i = 0; i < j->classes; i++)
    some += left[i] > 0;
  for (size_t nth = fl_stream_below(s, (uint32_t)some); !left[c] || nth; c++)
    nth -= left[c] > 0;
  return c;
}

/* One sample a time: a client that has room, at random, then a class by its proportions. */
static void fill_clients(fl_partition_job *j, size_t *room, const double *q, fl_stream *labels, uint32_t *open) {
  size_t left[256], n_open = 0;
  for (size_t c = 0; c < j->classes; c++) {
    left[c] = class_size(j, c);
    shuffle_class(j, c, 0);
  }
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key key = key_of(j, FOR_LABELS, i, 0);
    fl_stream_init(&labels[i], &key);
    if (room[i])
      open[n_open++] = (uint32_t)i;
  }
  for (size_t p = 0; p < j->n; p++)
    j->owner[p] = FL_NOBODY;
  const fl_key key = key_of(j, FOR_TURNS, 0, 0);
  fl_stream turns;
  fl_stream_init(&turns, &key);
  while (n_open) {
    const size_t at = fl_stream_below(&turns, (uint32_t)n_open), i = open[at];
    const size_t c = draw_left(j, q + i * j->classes, left, &labels[i]);
    j->owner[j->class_at[c] + --left[c]] = (uint32_t)i;
    if (!--room[i])
      open[at] = open[--n_open];
  }
}

/* P5. */
int fl_partition_inner_dirichlet(fl_partition_job *j) {
  const size_t n = j->clients;
  double *q = malloc(n * j->classes * sizeof *q), *weight = malloc(n * sizeof *weight);
  size_t *room = malloc(n * sizeof *room);
  fl_stream *labels = malloc(n * sizeof *labels);
  uint32_t *open = malloc(n * sizeof *open);
  uint8_t empty[256];
  int status = q && weight && room && labels && open ? 0 : fail(j, "out of memory for %zu clients", n);
  if (!status) {
    fl_pool_by_class(j);
    empty_classes(j, empty);
    for (size_t i = 0; i < n; i++)
      client_proportions(j, i, empty, q + i * j->classes);
    lognormal_sizes(j, j->config->h[FL_H_SIZE_SIGMA], weight, room);
    fill_clients(j, room, q, labels, open);
    status = shuffle_lists(j);
  }
  free(q);
  free(weight);
  free(room);
  free(labels);
  free(open);
  return status;
}

/* P6. */
int fl_partition_shard(fl_partition_job *j) {
  const size_t per_client = (size_t)j->config->h[FL_H_PER_CLIENT], shards = per_client * j->clients, size = j->n / shards;
  if (!size)
    return fail(j, "%zu clients with shards_per_client = %zu need %zu samples, the data have %zu", j->clients, per_client,
                shards, j->n);
  uint32_t *order = malloc(shards * sizeof *order);
  if (!order)
    return fail(j, "out of memory for %zu shards", shards);
  const fl_key key = key_of(j, FOR_ORDER, 0, 0);
  fl_permutation(order, shards, &key);
  fl_pool_by_class(j);
  for (size_t p = shards * size; p < j->n; p++)
    j->owner[p] = FL_NOBODY;
  for (size_t s = 0; s < shards; s++)
    for (size_t p = 0; p < size; p++)
      j->owner[order[s] * size + p] = (uint32_t)(s / per_client);
  free(order);
  return 0;
}

/* owns[i*classes + c]: first-deterministic is P7: client i owns class i mod C and further distinct ones. */
static void own_classes(const fl_partition_job *j, size_t k, uint8_t *owns) {
  const fl_class_mode mode = (fl_class_mode)j->config->h[FL_H_CLASS_MODE];
  for (size_t i = 0; i < j->clients; i++) {
    uint32_t other[256];
    const fl_key key = key_of(j, FOR_CLASSES, i, 0);
    uint8_t *row = owns + i * j->classes;
    const size_t own = i % j->classes;
    if (mode == FL_CLASSES_RANDOM)
      fl_sample(other, k, j->classes, &key);
    else if (mode == FL_CLASSES_FIRST)
      fl_sample(other, k - 1, j->classes - 1, &key);
    for (size_t m = 0; m < k; m++)
      if (mode == FL_CLASSES_RANDOM)
        row[other[m]] = 1;
      else if (mode == FL_CLASSES_DETERMINISTIC)
        row[(own + m) % j->classes] = 1;
      else
        row[!m ? own : other[m - 1] < own ? other[m - 1] : other[m - 1] + 1] = 1;
  }
}

/* Each class is cut near-equally among its owners. */
static void cut_classes(fl_partition_job *j, const uint8_t *owns, const size_t *owners) {
  for (size_t c = 0; c < j->classes; c++) {
    size_t nth = 0, p = j->class_at[c];
    shuffle_class(j, c, 0);
    for (size_t i = 0; i < j->clients; i++)
      if (owns[i * j->classes + c]) {
        const size_t size = class_size(j, c) / owners[c] + (nth++ < class_size(j, c) % owners[c]);
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
    return fail(j, "out of memory for %zu clients", j->clients);
  for (size_t i = 0; i < j->clients * j->classes; i++)
    rows[i] = owns[i] ? 1.0 / (double)k : 0;
  const int status = draw_equal_sizes(j, rows);
  free(rows);
  return status;
}

/* P7 and its relatives. */
int fl_partition_pathological(fl_partition_job *j) {
  const size_t k = (size_t)j->config->h[FL_H_PER_CLIENT];
  const int equal = j->config->h[FL_H_EQUAL_SIZES] != 0;
  if (k > j->classes)
    return fail(j, "classes_per_client = %zu; allowed: 1 to %zu, the classes of the data", k, j->classes);
  uint8_t *owns = calloc(j->clients, j->classes);
  if (!owns)
    return fail(j, "out of memory for %zu clients", j->clients);
  own_classes(j, k, owns);
  fl_pool_by_class(j);
  size_t owners[256] = { 0 };
  int status = 0;
  for (size_t i = 0; i < j->clients * j->classes; i++)
    owners[i % j->classes] += owns[i];
  for (size_t c = 0; !status && c < j->classes; c++)
    if (class_size(j, c) < (equal ? owners[c] > 0 : owners[c]))
      status = fail(j, "class %zu has %zu samples for the %zu clients that are to hold it; lower classes_per_client = %zu or the "
                       "number of clients, or take class_assignment_mode = deterministic", c, class_size(j, c), owners[c], k);
  if (!status && equal)
    status = draw_owned(j, owns, k);
  else if (!status)
    cut_classes(j, owns, owners);
  free(owns);
  return status;
}

static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* A client is a number that the data has, ascending (as Flower's NaturalIdPartitioner); samples keep the data's order. */
int fl_partition_natural(fl_partition_job *j) {
  if (!j->client)
    return fail(j, "the data name no clients; needed is an NPZ file with client_train");
  int32_t *id = malloc(j->n * sizeof *id);
  if (!id)
    return fail(j, "out of memory for %zu samples", j->n);
  memcpy(id, j->client, j->n * sizeof *id);
  qsort(id, j->n, sizeof *id, ascending);
  size_t ids = 1;
  for (size_t i = 1; i < j->n; i++)
    if (id[i] != id[ids - 1])
      id[ids++] = id[i];
  for (size_t i = 0; i < j->n; i++) {
    j->pool[i] = (uint32_t)i;
    j->owner[i] = (uint32_t)((const int32_t *)bsearch(&j->client[i], id, ids, sizeof *id, ascending) - id);
  }
  free(id);
  return ids == j->clients ? 0 : fail(j, "clients = %zu; allowed: %zu, the clients in client_train", j->clients, ids);
}
