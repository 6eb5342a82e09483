/* sums.c - sums, dot products and norms of long vectors, and the means of many short runs. */
#include "kernels/reduce/sum.h"

double FL_FN(sum)(size_t n, const float *x) { return sum_tree(SUM, n, x, x); }
double FL_FN(asum)(size_t n, const float *x) { return sum_tree(ASUM, n, x, x); }
double FL_FN(dot)(size_t n, const float *x, const float *y) { return sum_tree(DOT, n, x, y); }
double FL_FN(sumsq)(size_t n, const float *x) { return sum_tree(SUMSQ, n, x, x); }
double FL_FN(sumsq_diff)(size_t n, const float *x, const float *y) { return sum_tree(SUMSQ_DIFF, n, x, y); }

/* One call for all runs: most blocks of a model are rows of some ten to some hundred elements, where a call costs as much. */
FL_INLINE void means(reduction op, size_t runs, const fl_run *run, const float *x, float *mean) {
  for (size_t r = 0; r < runs; r++) {
    const float *at = x + run[r].offset;
    mean[r] = (float)(sum_tree(op, run[r].size, at, at) / (double)run[r].size);
  }
}
void FL_FN(mean_runs)(size_t runs, const fl_run *run, const float *x, float *mean) { means(SUM, runs, run, x, mean); }
void FL_FN(mean_sq_runs)(size_t runs, const fl_run *run, const float *x, float *mean) { means(SUMSQ, runs, run, x, mean); }
