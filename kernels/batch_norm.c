/* batch_norm.c - what lies between the two halves of a batch norm: a few numbers a channel, in double. */
#include <fedlane/kernels.h>
#include <math.h>

void fl_batch_join(size_t c, size_t count_left, const double *left, size_t count_right, double *right) {
  const double a = (double)count_left, b = (double)count_right, n = a + b;
  for (size_t j = 0; j < 2 * c; j += 2) {
    const double d = right[j] / b - left[j] / a;
    right[j + 1] = fma(d * d, a * b / n, left[j + 1] + right[j + 1]);
    right[j] = left[j] + right[j];
  }
}

void fl_batch_stat(size_t c, size_t count, const double *moments, float eps, float *stat) {
  for (size_t j = 0; j < c; j++) {
    stat[j] = (float)(moments[2 * j] / (double)count);
    stat[c + j] = 1.0f / sqrtf((float)(moments[2 * j + 1] / (double)count) + eps);
  }
}

void fl_batch_running(size_t c, size_t count, const double *moments, double momentum, float *mean, float *variance) {
  const double n = (double)count;
  for (size_t j = 0; j < c; j++) {
    mean[j] = (float)((1.0 - momentum) * (double)mean[j] + momentum * (moments[2 * j] / n));
    variance[j] = (float)((1.0 - momentum) * (double)variance[j] + momentum * (moments[2 * j + 1] / (n - 1.0)));
  }
}

void fl_batch_evaluate(size_t c, const float *mean, const float *variance, float eps, float *stat) {
  for (size_t j = 0; j < c; j++) {
    stat[j] = mean[j];
    stat[c + j] = 1.0f / sqrtf(variance[j] + eps);
  }
}
