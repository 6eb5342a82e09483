/* tune.h - a search for parameters: what `tune:` in a configuration says, the trials drawn from it, the choice by their
 * scores. A trial is a run of the suite, so that training, resuming and recording one are those of any run. */
#ifndef FEDLANE_TUNE_H
#define FEDLANE_TUNE_H
#include "config.h"
#include "config_tree.h"

enum { FL_TUNE_KEYS = 16, FL_TUNE_TRIALS = 10000, FL_TUNE_VALUE = 96 };
/* One key of tune.space: a list of n values, n points of a range, or (n = 0) draws from it. */
typedef struct {
  char method[64], key[80];                     /* method "": every one that has the key */
  const fl_node *node;                          /* where it stands; of a list the values */
  int list, log, whole;
  double lo, hi;
  size_t n;
} fl_tune_key;
/* The keys of one entry of `algorithms`, and what its trials try: value[trial * n_keys + key]. */
typedef struct {
  const fl_tune_key *key[FL_TUNE_KEYS]; size_t n_keys;
  size_t trials;
  char (*value)[FL_TUNE_VALUE];
} fl_tune_space;
/* A method on a model, as a suite without `tune` would call it. Its runs in tune.suite: trial by trial, seed by seed. */
typedef struct { char label[160]; size_t entry, first; } fl_tune_method;
typedef enum { FL_TUNE_ACCURACY, FL_TUNE_BEST_ACCURACY, FL_TUNE_LOSS } fl_tune_metric;
typedef struct {
  fl_node *root;                                /* the configuration without `tune` */
  fl_node *tune;
  const char *path;
  size_t trials, seeds;
  uint64_t seed; fl_tune_metric metric;
  fl_tune_key key[FL_TUNE_KEYS]; size_t n_keys;
  fl_tune_space *space; size_t n_entries;
  fl_tune_method *method; size_t n_methods;
  fl_suite suite;
} fl_tune;
int fl_tune_load(fl_tune *, const char *path, const char *const *set, size_t n_set, const char *seeds, char *err,
                 size_t err_size);
void fl_tune_free(fl_tune *);
const char *fl_tune_metric_name(const fl_tune *);

/* ---- tune_draw.c ---- */
/* The value of a key in a draw, as text: a function of (seed, the key's name, draw) alone, so that methods which share a key try
 * the same values of it. */
void fl_tune_draw(const fl_tune_key *, uint64_t seed, size_t draw, char out[FL_TUNE_VALUE]);
/* The i-th of a key's n values. */
void fl_tune_point(const fl_tune_key *, size_t i, char out[FL_TUNE_VALUE]);
/* space->trials (at most `trials`) and space->value: all combinations where those are no more than trials, the first key
 * slowest; else draws, none twice. -1: no memory. */
int fl_tune_fill(fl_tune_space *, size_t trials, uint64_t seed);

/* ---- tune_choose.c ---- */
typedef struct {
  double score;                                 /* mean over the seeds; NaN: diverged, or not finite */
  size_t missing, diverged;                     /* seeds without a result of this configuration; diverged */
  char hash[65];                                /* of the one seed, or over all, as in the table of a suite */
} fl_tune_score;
/* The best score, a tie going to the earlier trial; n when none is a number. */
size_t fl_tune_best(const fl_tune_score *, size_t n, int smaller);
/* The ends of what the space's trials tried of a key, when the chosen trial lies at one of them and the parameter's own range
 * goes on beyond it: 1. */
int fl_tune_at_end(const fl_tune_space *, size_t key, size_t chosen, const fl_algorithm *, double ends[2]);
/* Writes OUT/tune.csv and OUT/chosen.yaml and prints the table. Scores: one per trial, method by method. 0; 1: some method has no
 * trial that ended; -1 with a message. */
int fl_tune_report(const fl_tune *, const fl_tune_score *, const char *out, char *err, size_t err_size);

/* ---- tune_write.c ---- */
/* The configuration with the chosen trials' values: chosen[method], a trial, or SIZE_MAX: left out. notes: comment lines. */
int fl_tune_write(const fl_tune *, const size_t *chosen, const char *notes, const char *path, char *err, size_t err_size);
#endif
