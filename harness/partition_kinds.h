/* partition_kinds.h - what the files of the partitioners share. */
#ifndef FEDLANE_PARTITION_KINDS_H
#define FEDLANE_PARTITION_KINDS_H
#include "harness/partition.h"

typedef struct {
  const fl_partition_config *config;
  const fl_split_data *data;
  size_t n, classes, clients;   /* of the data */
  uint32_t *pool, *owner;       /* n each: all samples in some order; the client of pool[i], or FL_NOBODY */
  size_t *class_at;             /* classes + 1: after fl_pool_by_class, class c is pool[class_at[c] .. class_at[c+1]) */
  size_t *next, *pass;          /* scratch, classes each: fl_pool_by_class takes `next`, fl_draw_equal_sizes both */
  uint8_t *empty;               /* the same: classes without samples */
  char *err;
  size_t err_size;
} fl_partition_job;
#define FL_NOBODY UINT32_MAX

/* What a draw is for (fl_key.step); a number never changes its meaning. */
enum { FL_FOR_ORDER, FL_FOR_PROPORTIONS, FL_FOR_LABELS, FL_FOR_CLASSES, FL_FOR_LISTS, FL_FOR_SIZES, FL_FOR_TURNS, FL_FOR_GROUPS,
       FL_FOR_NOISE };
fl_key fl_part_key(const fl_partition_job *, uint32_t purpose, size_t item, size_t attempt);
/* "partition NAME: ..." into err; -1. */
__attribute__((format(printf, 2, 3))) int fl_part_fail(const fl_partition_job *, const char *format, ...);
double fl_part_value(const fl_partition_job *, const char *key);
/* Fills pool with all samples by class, in each class in the order of the data. */
void fl_pool_by_class(fl_partition_job *);
size_t fl_class_size(const fl_partition_job *, size_t c);
void fl_shuffle_class(fl_partition_job *, size_t c, size_t pass);
/* Shuffles the pool with its owners, and so every client's list; -1 without memory. */
int fl_shuffle_lists(fl_partition_job *);
void fl_dirichlet_draw(double *q, size_t k, double alpha, const uint8_t *closed, const fl_key *);
/* Every client draws n/N samples from row i of `rows` (classes wide), or, NULL, from a Dirichlet draw of its own. */
int fl_draw_equal_sizes(fl_partition_job *, const double *rows);
void fl_lognormal_sizes(const fl_partition_job *, double sigma, double *weight, size_t *size);
/* rows x columns numbers >= 0 from a JSON file {"distribution": [[...], ...]}; 0, or -1 with a message. */
int fl_distribution_load(const char *path, size_t rows, size_t columns, double *out, char *err, size_t err_size);

/* Each kind fills pool and owner (a client's samples keep the order of pool), or returns -1 with a message in err, or 1 without
 * memory. */
typedef int fl_partition_kind(fl_partition_job *);
fl_partition_kind fl_partition_iid, fl_partition_dirichlet, fl_partition_dirichlet_client, fl_partition_inner_dirichlet,
  fl_partition_dirichlet_rounded, fl_partition_shard, fl_partition_pathological, fl_partition_distribution, fl_partition_group,
  fl_partition_linear, fl_partition_square, fl_partition_exponential, fl_partition_quantity, fl_partition_quantity_lognormal,
  fl_partition_continuous, fl_partition_natural;
#endif
