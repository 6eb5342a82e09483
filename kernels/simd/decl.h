/* decl.h - prototypes of every kernel under its ISA's name, made from ops.def. Each vector source includes it, so that a
 * definition that differs from the registry does not compile. */
#ifndef FL_SIMD_DECL_H
#define FL_SIMD_DECL_H
#include <fedlane/kernels.h>
#include "kernels/simd/simd.h"

#define FL_OP(family, name, ret, args, traffic, formula) ret FL_FN(name) args;
#include <fedlane/ops.def>

extern const fl_kernels FL_FN(table);
#endif
