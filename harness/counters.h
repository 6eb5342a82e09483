/* counters.h - the processor's counters, by perf_event_open: of this process and the threads that it starts afterwards. */
#ifndef FEDLANE_COUNTERS_H
#define FEDLANE_COUNTERS_H

enum { FL_COUNT_CYCLES, FL_COUNT_INSTRUCTIONS, FL_COUNT_CACHE_MISSES, FL_COUNT_BRANCH_MISSES, FL_COUNTERS };
extern const char *const fl_counter_name[FL_COUNTERS];
typedef struct { int file[FL_COUNTERS], why; } fl_counters;         /* -1: not had; why: errno of the first that is not */
/* They stand still until they are run. How many can be had here. */
int fl_counters_open(fl_counters *);
void fl_counters_run(const fl_counters *, int on);
/* Since they were opened; where the processor took turns with others, scaled to the whole time. NaN: not had. */
void fl_counters_read(const fl_counters *, double value[FL_COUNTERS]);
void fl_counters_close(fl_counters *);
#endif
