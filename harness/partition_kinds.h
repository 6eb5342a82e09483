/* partition_kinds.h - what harness/partition.c and harness/partition_kinds.c share. */
#ifndef FEDLANE_PARTITION_KINDS_H
#define FEDLANE_PARTITION_KINDS_H
#include "harness/partition.h"

/* Indices into fl_partition_config.h, by kind. */
enum { FL_H_DIRICHLET_ALPHA = 0, FL_H_MIN_SIZE = 1, FL_H_SIZE_SIGMA = 1, FL_H_PER_CLIENT = 0, FL_H_CLASS_MODE = 1,
       FL_H_EQUAL_SIZES = 2 };
/* class_assignment_mode, in the order of its choices. */
typedef enum { FL_CLASSES_RANDOM, FL_CLASSES_DETERMINISTIC, FL_CLASSES_FIRST } fl_class_mode;

typedef struct {
  const fl_partition_config *config;
  const uint8_t *label;
  const int32_t *client;        /* of each sample, or NULL */
  size_t n, classes, clients;
  uint32_t *pool, *owner;       /* n each: all samples in some order; the client of pool[i], or FL_NOBODY */
  size_t *class_at;             /* classes + 1: after fl_pool_by_class, class c is pool[class_at[c] .. class_at[c+1]) */
  char *err;
  size_t err_size;
} fl_partition_job;
#define FL_NOBODY UINT32_MAX

/* Fills pool with all samples by class, in each class in the order of the data. */
void fl_pool_by_class(fl_partition_job *);
/* Each kind fills pool and owner (a client's samples keep the order of pool), or returns -1 with a message in err. */
int fl_partition_iid(fl_partition_job *);
int fl_partition_dirichlet(fl_partition_job *);
int fl_partition_dirichlet_client(fl_partition_job *);
int fl_partition_inner_dirichlet(fl_partition_job *);
int fl_partition_shard(fl_partition_job *);
int fl_partition_pathological(fl_partition_job *);
int fl_partition_natural(fl_partition_job *);
#endif
