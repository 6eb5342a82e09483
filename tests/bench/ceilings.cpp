// ceilings.cpp - what the machine can do at most: streams of every mix of reads and writes that a kernel has, fused
// multiply-adds, the divider. Vectors by name, as a compiler must not see through a ceiling.
#include "../cycles.h"
#include "ceilings.h"
#include <algorithm>
#include <benchmark/benchmark.h>

namespace bench {
namespace {

enum { CHAINS = 12, STEPS = 2000, CYCLES = 8000 };
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

struct Loops {
  fl_isa isa;
  double lanes;
  float (*fma)(int64_t), (*div)(int64_t), (*sqrt)(int64_t), (*both)(int64_t);
};
#define FL_ROW(number, isa, V) { number, V::lanes, fma_##isa, div_##isa, sqrt_##isa, both_##isa }
#if defined(__x86_64__)
FL_COMPUTE_LOOPS(avx512, Wide, FL_AVX512)
FL_COMPUTE_LOOPS(avx2, Middle, FL_AVX2)
// The compiler may turn the scalar form into 256-bit vectors.
const Loops loops[] = { FL_ROW(FL_ISA_AVX512, avx512, Wide), FL_ROW(FL_ISA_AVX2, avx2, Middle),
                        FL_ROW(FL_ISA_SCALAR_FMA, avx2, Middle) };
#elif defined(__aarch64__)
FL_COMPUTE_LOOPS(neon, Neon, )
const Loops loops[] = { FL_ROW(FL_ISA_NEON, neon, Neon) };
#else
const std::vector<Loops> loops;
#endif

void add_loop(Book &book, const char *what, const Loops &l, float (*loop)(int64_t), double flops, unsigned threads) {
  Line line;
  line.kernel = "ceiling";
  line.isa = fl_isa_name(l.isa);
  line.ceiling = compute_key(what, line.isa, threads);
  line.name = "ceiling/" + line.isa + "/" + what + "/threads:" + std::to_string(threads);
  line.threads = threads;
  line.elements = CHAINS * STEPS * l.lanes * threads;
  line.flops = line.elements * flops;
  line.prepare = [] {};
  line.run = [=](int64_t calls, size_t) {
    return timed(threads, [&](unsigned) { benchmark::DoNotOptimize(loop(calls)); });
  };
  book.add(line, 0, 0);
}

} // namespace

std::string compute_key(const char *what, const std::string &isa, unsigned threads) {
  return std::string(what) + "/" + isa + "/" + std::to_string(threads);
}

// The clock of a core is not that of the time-stamp counter: additions that wait for each other take a cycle each.
void add_cycle(Book &book) {
#if defined(__x86_64__) || defined(__aarch64__)
  Line line;
  line.kernel = "ceiling";
  line.name = "ceiling/cycle/threads:1";
  line.elements = CYCLES;
  line.prepare = [] {};
  line.run = [](int64_t calls, size_t) {
    return timed(1, [calls](unsigned) { spend_cycles(static_cast<unsigned long>(calls) * CYCLES); });
  };
  book.add(line, 0, 0);
#else
  (void)book;
#endif
}

void add_compute(Book &book, const fl_kernels *k, unsigned threads) {
  for (const Loops &l : loops) {
    if (l.isa != k->isa) { continue; }
    add_loop(book, "fma", l, l.fma, 2, threads);
    add_loop(book, "div", l, l.div, 0, threads);
    add_loop(book, "sqrt", l, l.sqrt, 0, threads);
    add_loop(book, "div+sqrt", l, l.both, 0, threads);
  }
}

} // namespace bench
