#ifndef FEDLANE_EXHAUSTIVE_H
#define FEDLANE_EXHAUSTIVE_H
#include "reference.h"
#include <fedlane/kernels.h>

/* The reference against MPFR at `count` floats spread over all bits, and at the hard ones; prints the largest error. 1 when it is
 * above 2^-20 ULP of a float, or when this was built without MPFR. */
int check_reference(const char *name, void (*reference)(size_t, double *, const float *), uint64_t count);
#endif
