/* counters.c - see counters.h. */
#include "counters.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const fl_counter_name[FL_COUNTERS] = { "cycles", "instructions", "cache_misses", "branch_misses" };

int fl_counters_open(fl_counters *c) {
  static const uint64_t event[FL_COUNTERS] = { PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS, PERF_COUNT_HW_CACHE_MISSES,
                                               PERF_COUNT_HW_BRANCH_MISSES };
  int n = 0;
  c->why = 0;
  for (int i = 0; i < FL_COUNTERS; i++) {
    struct perf_event_attr what = { .type = PERF_TYPE_HARDWARE, .size = sizeof what, .config = event[i], .disabled = 1,
      .exclude_kernel = 1, .exclude_hv = 1, .inherit = 1,
      .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING };
    c->file[i] = (int)syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (c->file[i] >= 0) n++;
    else if (!c->why) c->why = errno;
  }
  return n;
}

void fl_counters_run(const fl_counters *c, int on) {
  for (int i = 0; i < FL_COUNTERS; i++)
    if (c->file[i] >= 0) ioctl(c->file[i], on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}

void fl_counters_read(const fl_counters *c, double value[FL_COUNTERS]) {
  for (int i = 0; i < FL_COUNTERS; i++) {
    struct { uint64_t count, enabled, running; } v;
    const int got = c->file[i] >= 0 && read(c->file[i], &v, sizeof v) == (ssize_t)sizeof v && v.running;
    value[i] = got ? (double)v.count * ((double)v.enabled / (double)v.running) : NAN;
  }
}

void fl_counters_close(fl_counters *c) {
  for (int i = 0; i < FL_COUNTERS; i++) {
    if (c->file[i] >= 0) close(c->file[i]);
    c->file[i] = -1;
  }
}
