/* config.h - a YAML file and --set overrides, resolved into runs. Keys come from the tables of parameters; a list anywhere
 * is a sweep. Errors name file, line, column, key, value, what is allowed, and the nearest valid name. */
#ifndef FEDLANE_CONFIG_H
#define FEDLANE_CONFIG_H
#include "backend.h"
#include "data.h"
#include "partition.h"
#include "population.h"
#include <fedlane/session.h>
#include <jansson.h>

#define FL_VALIDATION_CHOICES "rows|clients"
enum { FL_VALIDATION_ROWS, FL_VALIDATION_CLIENTS };
typedef struct {                                /* one resolved run */
  uint64_t seed;
  char data_name[64], data_format[16], data_train[512], data_test[512];
  double validation;                            /* part of the training rows that replaces the test set; 0: none */
  int validation_from;                          /* FL_VALIDATION_*: of all training rows, or of each client's */
  fl_scaling scaling;
  unsigned augment;                             /* FL_AUGMENT_* */
  fl_population_config population;              /* data_format "synthetic" */
  fl_data_options data_options;
  int central;                                  /* training: rounds are epochs, local_steps caps one, clients 1; no partition */
  fl_partition_config partition;
  char model[64];
  const fl_net *net;                            /* the suite's, where the configuration has its layers; NULL: the one named so */
  char init[512], init_sha256[65];              /* parameters to begin from, a safetensors file, "": random ones */
  fl_backend backend;
  size_t clients;
  double participation;
  fl_partial partial;
  uint64_t rounds;
  size_t local_epochs, local_steps, batch_size, eval_every;
  unsigned diagnostics;                         /* FL_D_*; what they are measured by, as fl_options */
  size_t diagnostics_every, diagnostics_rows, sharpness_steps; double gap_rho, sharpness_step;
  double target_accuracy;                       /* 0..1; 0 = none: rounds and seconds to this accuracy */
  double time_budget;                           /* seconds without evaluation; 0 = none */
  int stop_at_target;
  double checkpoint_seconds;
  double client_state_memory;                   /* MiB */
  fl_algorithm algorithm;
  char label[160];                              /* unique in the suite: algorithm label, then swept keys, e.g. "fedavg lr=0.1" */
  char folder[200];                             /* label-s<seed> made safe as a file name */
  char where[512];                              /* of the algorithm, "file:line:column": what messages about the run name */
  size_t entry;                                 /* which of the configuration's algorithms it is */
} fl_config;
typedef struct {
  size_t n; fl_config *run;
  size_t n_nets; fl_net **net;                  /* that runs point to */
  char published[512];                          /* a CSV of published figures that the report joins; "" without */
} fl_suite;
/* set: "key=value,key=value" texts (dotted keys: federated.rounds=5, algorithms.lr=[0.1,0.01], partition.seed=7); seeds: "1,2,3"
 * or NULL. */
int fl_suite_load(fl_suite *, const char *path, const char *const *set, size_t n_set, const char *seeds, char *err,
                  size_t err_size);
/* The one run whose resolved configuration (fl_config_json) that is; path: where it stood, for messages. */
int fl_suite_load_json(fl_suite *, const json_t *config, const char *path, const char *const *set, size_t n_set, char *err,
                       size_t err_size);
void fl_suite_free(fl_suite *);
/* The networks of `from` belong to `to` from now on, which has copies of its runs. */
int fl_suite_take_nets(fl_suite *to, fl_suite *from, char *err, size_t err_size);
json_t *fl_config_json(const fl_config *);      /* the resolved configuration, without threads, ISA and paths */
/* First 16 hex digits of the SHA-256 of {"config", "data": [SHA-256 of each file], "partition": SHA-256} as compact JSON with
 * sorted keys: what decides the bits of a run, and nothing else (docs/results.md). */
void fl_run_id(const fl_config *, const fl_dataset *, const fl_split *, char out[17]);
#endif
