/* table.c - the table of one ISA. Compiled once per ISA, after the kernels it names. */
#include "kernels/simd/decl.h"

#if FL_SIMD_ISA == 0
#define ISA_NAME "scalar"
#elif FL_SIMD_ISA == 1
#define ISA_NAME "scalar+fma"
#elif FL_SIMD_ISA == 2
#define ISA_NAME "avx2"
#elif FL_SIMD_ISA == 3
#define ISA_NAME "avx512"
#else
#define ISA_NAME "neon"
#endif

const fl_kernels FL_FN(table) = {
  .isa = (fl_isa)FL_SIMD_ISA,
  .name = ISA_NAME,
#define FL_OP(family, op, ret, args, traffic, formula) .op = FL_FN(op),
#include <fedlane/ops.def>
};
