// compute.cpp - fused multiply-adds and the divider. Vectors by name, as a compiler must not see through a ceiling.
#include "ceilings.h"
#include "vectors.hpp"

namespace {

enum { CHAINS = 12, STEPS = FL_COMPUTE_TURN / CHAINS };
volatile float half = 0.5f;

// The fixed point of every loop is near 1, so no operand ever becomes special. Twelve chains hide the latency.
#define FL_COMPUTE_LOOP(name, V, attribute, step)                            \
  attribute float name(int64_t turns) {                                      \
    using T = V::type;                                                       \
    [[maybe_unused]] const T m = V::set(half);                               \
    T a[CHAINS];                                                             \
    for (int j = 0; j < CHAINS; j++) { a[j] = V::set(1.0f + 0.1f * (float)j); } \
    for (int64_t i = 0; i < turns * STEPS; i++) {                            \
      for (int j = 0; j < CHAINS; j++) { a[j] = step; }                      \
    }                                                                        \
    for (int j = 1; j < CHAINS; j++) { a[0] = V::add(a[0], a[j]); }          \
    return V::first(a[0]);                                                   \
  }
#define FL_COMPUTE_LOOPS(isa, V, attribute)                                  \
  FL_COMPUTE_LOOP(fma_##isa, V, attribute, V::fma(m, a[j], m))               \
  FL_COMPUTE_LOOP(div_##isa, V, attribute, V::div(m, a[j]))                  \
  FL_COMPUTE_LOOP(sqrt_##isa, V, attribute, V::sqrt(a[j]))                   \
  FL_COMPUTE_LOOP(both_##isa, V, attribute, V::div(m, V::sqrt(a[j])))

#define FL_ROW(number, isa, V) { number, V::lanes, fma_##isa, div_##isa, sqrt_##isa, both_##isa }
#if defined(__x86_64__)
FL_COMPUTE_LOOPS(avx512, Wide, FL_AVX512)
FL_COMPUTE_LOOPS(avx2, Middle, FL_AVX2)
// The compiler may turn the scalar form into 256-bit vectors.
const fl_compute_loops loops[] = { FL_ROW(FL_ISA_AVX512, avx512, Wide), FL_ROW(FL_ISA_AVX2, avx2, Middle),
                        FL_ROW(FL_ISA_SCALAR_FMA, avx2, Middle) };
#elif defined(__aarch64__)
FL_COMPUTE_LOOPS(neon, Neon, )
const fl_compute_loops loops[] = { FL_ROW(FL_ISA_NEON, neon, Neon) };
#else
const fl_compute_loops loops[] = { { FL_ISA_COUNT, 1, nullptr, nullptr, nullptr, nullptr } }; // none
#endif

} // namespace

const fl_compute_loops *fl_compute_loops_of(fl_isa isa) {
  for (const fl_compute_loops &l : loops) {
    if (l.isa == isa) { return &l; }
  }
  return nullptr;
}

unsigned fl_formula_count(const char *formula, const char *what) {
  unsigned found = 0;
  for (const char *p = formula; (p = std::strstr(p, what)); p += std::strlen(what)) { found++; }
  return found;
}
