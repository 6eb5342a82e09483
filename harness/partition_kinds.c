/* partition_kinds.c - the draws that partitioners share, and the Dirichlet ones (federated-structured-robust 10). Every draw has
 * a key of its own: round = attempt or pass, client = the class or client drawn for, step = what the draw is for; so no draw
 * depends on how many came before. */
#include "harness/partition_kinds.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTEMPTS 1000u

fl_key fl_part_key(const fl_partition_job *j, uint32_t purpose, size_t item, size_t attempt) {
  return (fl_key){ j->config->seed, FL_PURPOSE_PARTITION, (uint32_t)attempt, (uint32_t)item, purpose };
}

int fl_part_fail(const fl_partition_job *j, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int at = snprintf(j->err, j->err_size, "partition %s: ", j->config->kind->name);
  if (at >= 0 && (size_t)at < j->err_size)
    vsnprintf(j->err + at, j->err_size - (size_t)at, format, args);
  va_end(args);
  return -1;
}

double fl_part_value(const fl_partition_job *j, const char *key) {
  const fl_partitioner *kind = j->config->kind;
  size_t i = 0;
  while (i < kind->n_params && strcmp(kind->params[i].name, key))
    i++;
  return j->config->h[i];
}

size_t fl_class_size(const fl_partition_job *j, size_t c) { return j->class_at[c + 1] - j->class_at[c]; }

void fl_pool_by_class(fl_partition_job *j) {
  memset(j->class_at, 0, (j->classes + 1) * sizeof *j->class_at);
  for (size_t i = 0; i < j->n; i++)
    j->class_at[fl_split_label(j->data, i) + (size_t)1]++;
  for (size_t c = 0; c < j->classes; c++)
    j->class_at[c + 1] += j->class_at[c];
  memcpy(j->next, j->class_at, j->classes * sizeof *j->next);
  for (size_t i = 0; i < j->n; i++)
    j->pool[j->next[fl_split_label(j->data, i)]++] = (uint32_t)i;
}

void fl_shuffle_class(fl_partition_job *j, size_t c, size_t pass) {
  const fl_key key = fl_part_key(j, FL_FOR_ORDER, c, pass);
  fl_shuffle(j->pool + j->class_at[c], fl_class_size(j, c), &key);
}

/* q = Dirichlet(alpha) over the k items that `closed` leaves, 0 for the others. The gammas stay logarithms until the largest
 * one is divided out: at small alpha all of them underflow. At least one item must be open. */
void fl_dirichlet_draw(double *q, size_t k, double alpha, const uint8_t *closed, const fl_key *key) {
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

/* One attempt of P2: cut[c*clients + i] = end of client i's piece of class c. Only the sizes matter to success, so classes
 * are shuffled after it. Returns the size of the smallest list. */
static size_t dirichlet_cuts(fl_partition_job *j, size_t attempt, uint32_t *cut, double *q, size_t *held, uint8_t *closed) {
  const double alpha = fl_part_value(j, "dirichlet_alpha");
  const int balance = fl_part_value(j, "self_balancing") > 0;
  memset(held, 0, j->clients * sizeof *held);
  for (size_t c = 0; c < j->classes; c++) {
    const size_t size = fl_class_size(j, c);
    if (!size)
      continue;
    for (size_t i = 0; i < j->clients; i++)
      closed[i] = balance && held[i] * j->clients >= j->n; /* holds n/N already */
    const fl_key key = fl_part_key(j, FL_FOR_PROPORTIONS, c, attempt);
    fl_dirichlet_draw(q, j->clients, alpha, closed, &key);
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
    const size_t size = fl_class_size(j, c);
    fl_shuffle_class(j, c, attempt);
    size_t p = 0;
    for (size_t i = 0; size && i < j->clients; i++)
      for (; p < cut[c * j->clients + i]; p++)
        j->owner[j->class_at[c] + p] = (uint32_t)i;
  }
}

/* "Then shuffle every list": one permutation of the pool (with its owners) shuffles all of them. */
int fl_shuffle_lists(fl_partition_job *j) {
  uint32_t *order = malloc(3 * (j->n ? j->n : 1) * sizeof *order);
  if (!order)
    return 1;
  uint32_t *pool = order + j->n, *owner = pool + j->n;
  const fl_key key = fl_part_key(j, FL_FOR_LISTS, 0, 0);
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
  const size_t min_size = (size_t)fl_part_value(j, "min_size");
  if (min_size * j->clients > j->n)
    return fl_part_fail(j, "min_size = %zu for %zu clients needs %zu samples, the data have %zu; lower min_size (to at most %zu) "
                   "or the number of clients", min_size, j->clients, min_size * j->clients, j->n, j->n / j->clients);
  fl_pool_by_class(j);
  uint32_t *cut = malloc(j->classes * j->clients * sizeof *cut);
  double *q = malloc(j->clients * sizeof *q);
  size_t *held = malloc(j->clients * sizeof *held), attempt = 0, least = 0, best = 0;
  uint8_t *closed = malloc(j->clients);
  int status = cut && q && held && closed ? 0 : 1;
  for (; !status && attempt < MAX_ATTEMPTS; attempt++) {
    least = dirichlet_cuts(j, attempt, cut, q, held, closed);
    best = least > best ? least : best;
    if (least >= min_size)
      break;
  }
  if (!status && least < min_size)
    status = fl_part_fail(j, "in %u draws no partition gave every one of %zu clients min_size = %zu samples (best: %zu); lower "
                     "min_size or the number of clients, or raise dirichlet_alpha = %g",
                  MAX_ATTEMPTS, j->clients, min_size, best, fl_part_value(j, "dirichlet_alpha"));
  if (!status) {
    dirichlet_assign(j, attempt, cut);
    status = fl_shuffle_lists(j);
  }
  free(cut);
  free(q);
  free(held);
  free(closed);
  return status;
}

/* P3: round(q*n0) of every class, n0 the size of class 0, while the class lasts; what is left is nobody's, and a client may have
 * nothing. */
int fl_partition_dirichlet_rounded(fl_partition_job *j) {
  double *q = malloc(j->clients * sizeof *q);
  uint8_t *closed = calloc(j->clients, 1);
  const int bad = !q || !closed;
  fl_pool_by_class(j);
  const double n0 = (double)fl_class_size(j, 0);
  for (size_t c = 0; !bad && c < j->classes; c++) {
    const fl_key key = fl_part_key(j, FL_FOR_PROPORTIONS, c, 0);
    fl_dirichlet_draw(q, j->clients, fl_part_value(j, "dirichlet_alpha"), closed, &key);
    fl_shuffle_class(j, c, 0);
    size_t p = j->class_at[c];
    for (size_t i = 0; i < j->clients; i++)
      for (size_t end = p + (size_t)(q[i] * n0 + 0.5); p < end && p < j->class_at[c + 1]; p++)
        j->owner[p] = (uint32_t)i;
    for (; p < j->class_at[c + 1]; p++)
      j->owner[p] = FL_NOBODY;
  }
  free(q);
  free(closed);
  return bad ? 1 : fl_shuffle_lists(j);
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

static void find_empty(const fl_partition_job *j) {
  for (size_t c = 0; c < j->classes; c++)
    j->empty[c] = fl_class_size(j, c) == 0;
}

static void client_proportions(const fl_partition_job *j, size_t i, double *q) {
  const fl_key key = fl_part_key(j, FL_FOR_PROPORTIONS, i, 0);
  fl_dirichlet_draw(q, j->classes, fl_part_value(j, "dirichlet_alpha"), j->empty, &key);
}

/* Every client draws n/N labels from its proportions (row i of q, or its Dirichlet draw); a class that runs out is shuffled
 * anew, so samples may be shared. */
int fl_draw_equal_sizes(fl_partition_job *j, const double *rows) {
  const size_t each = j->n / j->clients;
  uint32_t *taken = malloc((j->n ? j->n : 1) * sizeof *taken);
  double *own = malloc(j->classes * sizeof *own);
  if (!taken || !own)
    return free(taken), free(own), 1;
  size_t *next = j->next, *pass = j->pass;
  fl_pool_by_class(j);
  find_empty(j);
  memset(next, 0, j->classes * sizeof *next);
  memset(pass, 0, j->classes * sizeof *pass);
  for (size_t c = 0; c < j->classes; c++)
    fl_shuffle_class(j, c, 0);
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key labels = fl_part_key(j, FL_FOR_LABELS, i, 0);
    if (!rows)
      client_proportions(j, i, own);
    fl_stream s;
    fl_stream_init(&s, &labels);
    for (size_t m = 0; m < each; m++) {
      const size_t c = draw_class(rows ? rows + i * j->classes : own, j->classes, &s);
      if (next[c] == fl_class_size(j, c)) {
        next[c] = 0;
        fl_shuffle_class(j, c, ++pass[c]);
      }
      taken[i * each + m] = j->pool[j->class_at[c] + next[c]++];
    }
  }
  for (size_t p = 0; p < j->n; p++)
    j->owner[p] = p < each * j->clients ? (uint32_t)(p / each) : FL_NOBODY;
  memcpy(j->pool, taken, each * j->clients * sizeof *taken);
  free(taken);
  free(own);
  return 0;
}

/* P4, the current version. Classes without samples are left out of the proportions. */
int fl_partition_dirichlet_client(fl_partition_job *j) { return fl_draw_equal_sizes(j, NULL); }

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
  size_t *left = j->next, n_open = 0;
  for (size_t c = 0; c < j->classes; c++) {
    left[c] = fl_class_size(j, c);
    fl_shuffle_class(j, c, 0);
  }
  for (size_t i = 0; i < j->clients; i++) {
    const fl_key key = fl_part_key(j, FL_FOR_LABELS, i, 0);
    fl_stream_init(&labels[i], &key);
    if (room[i])
      open[n_open++] = (uint32_t)i;
  }
  for (size_t p = 0; p < j->n; p++)
    j->owner[p] = FL_NOBODY;
  const fl_key key = fl_part_key(j, FL_FOR_TURNS, 0, 0);
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
  int status = q && weight && room && labels && open ? 0 : 1;
  if (!status) {
    fl_pool_by_class(j);
    find_empty(j);
    for (size_t i = 0; i < n; i++)
      client_proportions(j, i, q + i * j->classes);
    fl_lognormal_sizes(j, fl_part_value(j, "size_sigma"), weight, room);
    fill_clients(j, room, q, labels, open);
    status = fl_shuffle_lists(j);
  }
  free(q);
  free(weight);
  free(room);
  free(labels);
  free(open);
  return status;
}
