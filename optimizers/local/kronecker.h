/* kronecker.h - a tensor's axes as Shampoo and SOAP see them: one symmetric factor for each axis that is short enough, the
 * statistics of a gradient along an axis, and the product of a tensor with a matrix along an axis. */
#ifndef FEDLANE_KRONECKER_H
#define FEDLANE_KRONECKER_H
#include <fedlane/optimizer.h>

/* Sizes of the axes, at most four; a factor of n x n floats for axis i begins at factor[i] of the tensor's factors when
 * has[i]; floats: all factors of the tensor. */
typedef struct { int ndim, has[4]; size_t n[4], factor[4], size, floats; } fl_axes;

/* conv_2d: a convolution is the matrix (out, in*kh*kw), otherwise it has its four axes. No factor for an axis above max_dim. */
fl_axes fl_axes_of(const fl_tensor *, int conv_2d, size_t max_dim);
/* The longest axis with a factor; 0: none has one. */
size_t fl_axes_longest(const fl_axes *);
/* Floats of scratch for the two functions below. */
size_t fl_axes_work(const fl_axes *);
/* s <- beta*s + omb*(unfolded g along axis)(the same)^T, n x n, symmetric to the bit. */
void fl_axis_statistics(const fl_kernels *, const fl_axes *, int axis, const float *g, float beta, float omb, float *s,
                        float *work);
/* out <- x times q along axis: transposed, sum_j q[j][i] x[j]; otherwise sum_j q[i][j] x[j]. out is not x. */
void fl_axis_product(const fl_kernels *, const fl_axes *, int axis, int transposed, const float *q, const float *x, float *out);
#endif
