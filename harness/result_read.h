/* result_read.h - results as they were recorded: the runs of a folder, their rounds, and where two runs begin to differ. */
#ifndef FEDLANE_RESULT_READ_H
#define FEDLANE_RESULT_READ_H
#include "harness/bits.h"
#include <jansson.h>

typedef struct { char name[256], path[2048]; json_t *run, *summary; } fl_recorded;      /* folder, run.json, summary.json */
typedef struct { const char *path; fl_recorded *run; size_t n; int single; } fl_recorded_list;
int fl_recorded_is_run(const char *folder);                                             /* whether run.json is there */
/* The folder of a run (single), or the runs in a folder by name, all finished. 0, or -1 with a message. The list starts as zeros
 * and is freed in both cases. */
int fl_recorded_read(fl_recorded_list *, const char *path, char *err, size_t err_size);
/* The same of the summary.json that `fedlane report` writes: configurations and hashes of many runs; path is "", as no rounds are
 * kept in it. */
int fl_recorded_read_summary(fl_recorded_list *, const char *path, char *err, size_t err_size);
/* Whichever of the two the path is: a run, a suite, a report's summary.json, or a folder that has one. */
int fl_recorded_read_any(fl_recorded_list *, const char *path, char *err, size_t err_size);
void fl_recorded_free(fl_recorded_list *);
/* A sweep over models puts each, or its file, into the label of its runs; this takes it out again. */
void fl_recorded_without_model(char *label);

typedef struct { fl_metrics *m; size_t n, room; } fl_rounds_kept;                       /* free(m) */
int fl_rounds_keep(fl_rounds_kept *, const fl_metrics *);                               /* 0, or -1: no memory */
int fl_rounds_read(const char *folder, fl_rounds_kept *, char *err, size_t err_size);   /* all of rounds.jsonl */
/* "round 3 (train_loss 0.5 | 0.25)", or "" when all columns but the times are equal; how the numbers of rounds differ, if that is
 * all. What only one of two programs measures (a column that is told) is no difference. */
void fl_rounds_differ(const fl_rounds_kept *, const fl_rounds_kept *, char *out, size_t size);
#endif
