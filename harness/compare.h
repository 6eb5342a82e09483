/* compare.h - the part of `fedlane compare` that looks at kernels. */
#ifndef FEDLANE_COMPARE_H
#define FEDLANE_COMPARE_H
#include <stddef.h>

/* Whether the file is what `fedlane bench` or scripts/performance wrote. */
int fl_bench_is(const char *path);
/* Kernels of each file beside those of the first: time, ratio, each machine's share of its own ceiling. wanted: the paths are
 * such files; else folders, and only those with a bench.json are compared. 0, or -1 with a message. */
int fl_bench_compare(char **path, size_t n, int wanted, char *err, size_t err_size);
#endif
