/* measure.h - the ceilings of a run, measured when they are asked for and then kept. */
#ifndef FEDLANE_CEILINGS_MEASURE_H
#define FEDLANE_CEILINGS_MEASURE_H
#include "ceilings.h"

typedef enum { FL_LEVEL_L1, FL_LEVEL_L2, FL_LEVEL_L3, FL_LEVEL_DRAM, FL_LEVELS } fl_level;
extern const char *const fl_level_name[FL_LEVELS];

/* Seconds a byte of a mix of streams whose arrays lie there, for one of `threads` that all do the same. */
typedef struct { fl_streams mix; fl_level level; int threads; double seconds; char loop[32]; } fl_bandwidth;
/* Seconds of an operation on one lane, likewise. 0: this instruction set has no such loops. */
typedef struct { int threads; double fma, div, sqrt, both, lanes; } fl_compute;
typedef struct { fl_isa isa; fl_bandwidth *bandwidth; size_t n; fl_compute *compute; size_t n_compute; } fl_ceilings;

/* The nearest level that holds so many bytes a thread. */
fl_level fl_level_of(double bytes, int threads);
/* NULL: no memory. The answer is valid until the next call. */
const fl_bandwidth *fl_ceiling_bandwidth(fl_ceilings *, fl_streams, fl_level, int threads);
const fl_compute *fl_ceiling_compute(fl_ceilings *, int threads);
void fl_ceilings_free(fl_ceilings *);
#endif
