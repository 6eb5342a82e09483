/* registry.h - the layout of fl_kernels as text: what was built against another table of kernels is refused by it. */
#ifndef FEDLANE_REGISTRY_H
#define FEDLANE_REGISTRY_H
/* Every operation with its arguments, in order. */
static const char fl_kernels_registry[] __attribute__((unused)) =
#define FL_OP(family, name, ret, args, bytes, formula) #ret " " #name #args ";"
#include <fedlane/ops.def>
  ;
#endif
