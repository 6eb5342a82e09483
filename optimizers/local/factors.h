/* factors.h - two approximations of a matrix that Muon knows: its polar factor, and what is left of it at a low rank. */
#ifndef FEDLANE_FACTORS_H
#define FEDLANE_FACTORS_H
#include <fedlane/kernels.h>

/* u (a x b, row-major) <- U V^T of its singular value decomposition; 0 stays 0. work: fl_polar_work floats. */
size_t fl_polar_work(size_t a, size_t b);
void fl_polar(const fl_kernels *, size_t a, size_t b, float *u, float *work);
/* m (a x b) <- the nearest matrix of that rank. work: fl_low_rank_work floats. */
size_t fl_low_rank_work(size_t a, size_t b);
void fl_low_rank(const fl_kernels *, size_t a, size_t b, size_t rank, float *m, float *work);
#endif
