/* report.h - a profile: the rows of its accounts beside their ceilings, and what is written of them. */
#ifndef FEDLANE_PROFILE_REPORT_H
#define FEDLANE_PROFILE_REPORT_H
#include "harness/ceilings/measure.h"
#include "harness/counters.h"
#include "harness/results.h"
#include "profile.h"
#include <stdio.h>

/* A kernel at a place, or several together. bound: seconds that it cannot undercut here; limit: what takes the most of them. */
typedef struct {
  int op; fl_at part; size_t place;
  double calls, seconds, elements, bytes, flops, bound, limit_seconds; /* flops < 0: not known */
  char limit[16];
} fl_profile_row;

typedef struct {
  const fl_config *config;
  const fl_model *model;
  const fl_kernels *kernels;
  int threads;
  uint64_t rounds;
  const char *unreproducible;                   /* why the bits may be this machine's alone, or NULL */
  char hash[65], bare_hash[65];                 /* with accounts, and of the same rounds without */
  double part_seconds[FL_T_COUNT];              /* by the session's clocks, of all threads */
  double overhead, overhead_low, overhead_high; size_t pairs;  /* median and quartiles of the ratios of rounds, less 1 */
  double counter[FL_COUNTERS]; int counters, counters_why;
  fl_profile_row *row; size_t n;                /* by part, place and operation */
  fl_ceilings ceilings;
} fl_profile;

/* From accounts; a tick's seconds, and the ticks that an empty call would be given. 0, or -1: no memory. */
int fl_profile_rows(fl_profile *, const fl_accounts *, double tick, double empty);
/* The rows added up by operation, or by part and place; the longest first. NULL: no memory. */
typedef enum { FL_BY_OPERATION, FL_BY_PLACE } fl_grouping;
fl_profile_row *fl_profile_group(const fl_profile *, fl_grouping, size_t *n);
int fl_time_of_part(fl_at);                               /* FL_T_* */
double fl_profile_total(const fl_profile *);              /* thread-seconds of the rounds */
double fl_profile_in_kernels(const fl_profile *, int time);
void fl_profile_place_name(const fl_profile *, size_t place, char *layer, size_t size, const char **pass);

int fl_profile_print(const fl_profile *, FILE *);
json_t *fl_profile_json(const fl_profile *);
/* profile.json and profile.folded. 0, or -1 with a message. */
int fl_profile_write(const fl_profile *, const char *dir, char *err, size_t err_size);
void fl_profile_free(fl_profile *);
#endif
