/* isa.c - what the CPU reports, what the operating system enabled, what this build contains; and the choice of a table. */
#include "kernels/isa.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

extern const fl_kernels fl_table_scalar, fl_table_scalar_fma, fl_table_avx2, fl_table_avx512, fl_table_neon;

static const char *const isa_names[FL_ISA_COUNT] = { "scalar", "scalar+fma", "avx2", "avx512", "neon" };
#define BIT(isa) (1u << (isa))

const char *fl_isa_name(fl_isa isa) { return (unsigned)isa < FL_ISA_COUNT ? isa_names[isa] : "unknown"; }

/* Only tables that were compiled in may be named here: the others do not exist at link time. */
static const fl_kernels *built_table(fl_isa isa) {
  switch (isa) {
#ifdef FL_HAVE_0
    case FL_ISA_SCALAR: return &fl_table_scalar;
#endif
#ifdef FL_HAVE_1
    case FL_ISA_SCALAR_FMA: return &fl_table_scalar_fma;
#endif
#ifdef FL_HAVE_2
    case FL_ISA_AVX2: return &fl_table_avx2;
#endif
#ifdef FL_HAVE_3
    case FL_ISA_AVX512: return &fl_table_avx512;
#endif
#ifdef FL_HAVE_4
    case FL_ISA_NEON: return &fl_table_neon;
#endif
    default: return NULL;
  }
}

/* Plain arithmetic, on every architecture, so that CPUs and hypervisors other than this machine's can be tested. */
void fl_isa_of_x86(unsigned leaf1_ecx, unsigned leaf7_ebx, uint64_t xcr0, fl_isa_info *info) {
  const unsigned wide = FL_CPUID_AVX512F | FL_CPUID_AVX512DQ | FL_CPUID_AVX512BW | FL_CPUID_AVX512VL;
  const int fma = (leaf1_ecx & FL_CPUID_FMA) && (leaf1_ecx & FL_CPUID_AVX), avx2 = fma && (leaf7_ebx & FL_CPUID_AVX2);
  if (fma) { info->cpu |= BIT(FL_ISA_SCALAR_FMA); }
  if (avx2) { info->cpu |= BIT(FL_ISA_AVX2); }
  if (avx2 && (leaf7_ebx & wide) == wide) { info->cpu |= BIT(FL_ISA_AVX512); }
  if (!(leaf1_ecx & FL_CPUID_OSXSAVE)) { return; }                                         /* XCR0 is not there to be read */
  if ((xcr0 & 0x06) == 0x06) { info->os |= BIT(FL_ISA_SCALAR_FMA) | BIT(FL_ISA_AVX2); }    /* xmm, ymm */
  if ((xcr0 & 0xe6) == 0xe6) { info->os |= BIT(FL_ISA_AVX512); }                           /* and opmask, zmm */
}

#if defined(__x86_64__)
/* A hypervisor may report AVX-512 and not save its registers: XCR0 decides what may be executed. */
static uint64_t read_xcr0(void) {
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return ((uint64_t)hi << 32) | lo;
}

static void detect_machine(fl_isa_info *info) {
  unsigned a, b, c, d, leaf1c = 0, leaf7b = 0;
  if (__get_cpuid(1, &a, &b, &c, &d)) { leaf1c = c; }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) { leaf7b = b; }
  fl_isa_of_x86(leaf1c, leaf7b, leaf1c & FL_CPUID_OSXSAVE ? read_xcr0() : 0, info);
  unsigned r[12];
  if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
    for (unsigned i = 0; i < 3; i++) { __get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]); }
    memcpy(info->brand, r, sizeof r);
  }
}
#elif defined(__aarch64__)
static void detect_machine(fl_isa_info *info) {
  info->cpu |= BIT(FL_ISA_NEON); /* part of the base architecture */
  info->os |= BIT(FL_ISA_NEON);
  snprintf(info->brand, sizeof info->brand, "AArch64");
}
#else
static void detect_machine(fl_isa_info *info) { snprintf(info->brand, sizeof info->brand, "unknown"); }
#endif

void fl_isa_detect(fl_isa_info *info) {
  memset(info, 0, sizeof *info);
  info->cpu = info->os = BIT(FL_ISA_SCALAR);
  detect_machine(info);
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (built_table((fl_isa)i)) { info->built |= BIT(i); }
  }
}

const fl_kernels *fl_kernels_of(fl_isa isa) {
  fl_isa_info info;
  fl_isa_detect(&info);
  return (unsigned)isa < FL_ISA_COUNT && (info.cpu & info.os & info.built & BIT(isa)) ? built_table(isa) : NULL;
}

static const char *why_not(fl_isa isa) {
  fl_isa_info info;
  fl_isa_detect(&info);
  return !(info.built & BIT(isa)) ? "this build does not contain it"
       : !(info.cpu & BIT(isa))   ? "the CPU does not report it"
                                  : "the operating system or hypervisor does not enable its registers (XCR0)";
}

const fl_kernels *fl_kernels_select(const char *max, const char **error) {
  static const fl_isa best[] = { FL_ISA_AVX512, FL_ISA_AVX2, FL_ISA_NEON, FL_ISA_SCALAR_FMA, FL_ISA_SCALAR };
  static const fl_isa named[] = { FL_ISA_AVX2, FL_ISA_AVX512, FL_ISA_NEON };
  static _Thread_local char message[256];
  const char *from = "";
  if (error) { *error = NULL; }
  if (!max) {
    max = getenv("FEDLANE_MAX_CPU_ISA");
    from = "FEDLANE_MAX_CPU_ISA: ";
  }
  if (!max || !*max) {
    for (size_t i = 0; i < sizeof best / sizeof *best; i++) {
      const fl_kernels *k = fl_kernels_of(best[i]);
      if (k) { return k; }
    }
  } else if (!strcmp(max, "scalar")) { /* the same bits either way, so take the quicker fma */
    const fl_kernels *k = fl_kernels_of(FL_ISA_SCALAR_FMA);
    return k ? k : fl_kernels_of(FL_ISA_SCALAR);
  }
  for (size_t i = 0; max && i < sizeof named / sizeof *named; i++) {
    if (strcmp(max, fl_isa_name(named[i]))) { continue; }
    const fl_kernels *k = fl_kernels_of(named[i]);
    if (!k) {
      snprintf(message, sizeof message, "%s\"%s\" cannot run on this machine: %s", from, max, why_not(named[i]));
      if (error) { *error = message; }
    }
    return k;
  }
  snprintf(message, sizeof message, "%sunknown ISA \"%.64s\"; allowed: scalar, avx2, avx512, neon", from, max ? max : "");
  if (error) { *error = message; }
  return NULL;
}

/* ---- self-test -------------------------------------------------------------------------------------------------------- */
#define TEST_N 1024 /* 64 vectors */

static float from_bits(uint32_t u) { float f; memcpy(&f, &u, sizeof f); return f; }
static uint32_t bits_of(float f) { uint32_t u; memcpy(&u, &f, sizeof u); return u; }

static int fused(const fl_kernels *k) { /* the residue of a product is exact in double: an unfused a*x + y gives 0 */
  float x[TEST_N], y[TEST_N], want[TEST_N];
  const float a = 1.0f + 0x1p-12f + 0x1p-23f;
  for (int i = 0; i < TEST_N; i++) {
    x[i] = from_bits(0x3f800001u + (uint32_t)i * 4097u);
    y[i] = -(a * x[i]);
    want[i] = (float)((double)a * (double)x[i] + (double)y[i]);
  }
  k->axpy(TEST_N, y, a, x);
  return memcmp(y, want, sizeof y) == 0;
}

static int rounds_to_even(const fl_kernels *k) {
  float x[TEST_N], h[TEST_N], y[TEST_N];
  static const float part[3] = { 0x1p-25f, 0x1p-24f, 0x1.8p-24f }; /* a quarter, a half (tie), three quarters of a ulp */
  int ok = 1;
  for (int i = 0; i < TEST_N; i++) {
    x[i] = from_bits(0x3f800000u + (uint32_t)i);
    h[i] = part[i % 3];
  }
  k->add(TEST_N, y, x, h);
  for (uint32_t i = 0; i < TEST_N; i++) {
    const uint32_t up = i % 3 == 0 ? 0 : i % 3 == 1 ? i & 1u : 1;
    ok &= bits_of(y[i]) == 0x3f800000u + i + up;
  }
  return ok;
}

static int keeps_subnormals(const fl_kernels *k) {
  float x[TEST_N], y[TEST_N], z[TEST_N];
  int ok = 1;
  for (uint32_t i = 0; i < TEST_N; i++) { x[i] = from_bits(0x00800000u + 2 * i); }
  k->scale(TEST_N, y, 0.5f, x); /* normal in, subnormal out */
  k->add(TEST_N, z, y, y);      /* subnormal in, normal out */
  for (uint32_t i = 0; i < TEST_N; i++) { ok &= bits_of(y[i]) == 0x00400000u + i && bits_of(z[i]) == bits_of(x[i]); }
  return ok;
}

static int keeps_signed_zero(const fl_kernels *k) {
  float x[TEST_N] = { 0 }, y[TEST_N], z[TEST_N], d[TEST_N];
  int ok = 1;
  k->scale(TEST_N, y, -1.0f, x);
  k->add(TEST_N, z, y, y);
  k->sub(TEST_N, d, y, y);
  for (int i = 0; i < TEST_N; i++) { ok &= bits_of(y[i]) == 0x80000000u && bits_of(z[i]) == 0x80000000u && bits_of(d[i]) == 0; }
  return ok;
}

const char *fl_kernels_self_test(const fl_kernels *k) {
  if (!fused(k)) { return "multiply-add is not fused"; }
  if (!rounds_to_even(k)) { return "additions do not round to nearest, ties to even"; }
  if (!keeps_subnormals(k)) { return "subnormal numbers are flushed to zero"; }
  if (!keeps_signed_zero(k)) { return "the sign of zero is lost"; }
  return NULL;
}

/* ---- floating-point environment --------------------------------------------------------------------------------------- */
#if defined(__x86_64__)
uint64_t fl_fpenv_enter(void) {
  const unsigned old = _mm_getcsr();
  if ((old & ~0x3fu) != 0x1f80u) { _mm_setcsr(0x1f80u); } /* exceptions masked, nearest, no FTZ, no DAZ */
  return old;
}
void fl_fpenv_restore(uint64_t old) {
  if (((unsigned)old & ~0x3fu) != 0x1f80u) { _mm_setcsr((unsigned)old); }
}
#elif defined(__aarch64__)
uint64_t fl_fpenv_enter(void) {
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  if (old) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0)); } /* nearest, no FZ, no default NaN, no traps */
  return old;
}
void fl_fpenv_restore(uint64_t old) {
  if (old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
}
#else
uint64_t fl_fpenv_enter(void) { return 0; }
void fl_fpenv_restore(uint64_t old) { (void)old; }
#endif
