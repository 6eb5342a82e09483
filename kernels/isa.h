/* isa.h - what the bits of an x86 CPU's identification mean; not public. */
#ifndef FL_ISA_H
#define FL_ISA_H
#include <fedlane/kernels.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Of leaf 1, ecx; of leaf 7, ebx. */
#define FL_CPUID_FMA (1u << 12)
#define FL_CPUID_OSXSAVE (1u << 27)
#define FL_CPUID_AVX (1u << 28)
#define FL_CPUID_AVX2 (1u << 5)
#define FL_CPUID_AVX512F (1u << 16)
#define FL_CPUID_AVX512DQ (1u << 17)
#define FL_CPUID_AVX512BW (1u << 30)
#define FL_CPUID_AVX512VL (1u << 31)
/* Adds to info->cpu and info->os what these say; xcr0 counts only when the CPU reports OSXSAVE. */
void fl_isa_of_x86(unsigned leaf1_ecx, unsigned leaf7_ebx, uint64_t xcr0, fl_isa_info *info);
#ifdef __cplusplus
}
#endif
#endif
