/* population.h - synthetic clients, each made from (seed, client) when it is asked for, so that a million of them take no memory:
 * a classification of 28x28 bytes in ten classes, with sizes and a favourite class of each client's own. */
#ifndef FEDLANE_POPULATION_H
#define FEDLANE_POPULATION_H
#include "data.h"
#include "partition.h"

typedef struct {
  uint64_t seed;
  size_t min_samples, max_samples;              /* of a client, all sizes equally likely */
  double label_skew;                            /* chance that a sample has its client's favourite class; else any class */
} fl_population_config;
enum { FL_POPULATION_SIDE = 28, FL_POPULATION_ROW = 28 * 28, FL_POPULATION_CLASSES = 10, FL_POPULATION_TEST = 10000 };
typedef struct fl_population {
  fl_population_config config;
  size_t clients;
  uint8_t pattern[FL_POPULATION_CLASSES][FL_POPULATION_ROW];       /* what samples of a class share */
} fl_population;

/* The data set: test rows in memory, training rows made by fl_population_row, numbered client*max_samples + sample. 0, or -1. */
int fl_population_open(fl_dataset *, const fl_population_config *, size_t clients, char *err, size_t err_size);
/* As fl_problem.samples and fl_model_make_rows want them; self: the population. */
size_t fl_population_samples(void *self, uint32_t client, uint32_t *first);
void fl_population_row(const void *self, const fl_kernels *, uint32_t row, uint8_t *pixels, uint8_t *label);
/* Number of clients and the hash of their sizes; no lists. */
int fl_population_split(const fl_population *, fl_split *, char *err, size_t err_size);
#endif
