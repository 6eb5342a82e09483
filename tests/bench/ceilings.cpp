// ceilings.cpp - the lines of the ceilings of arithmetic (harness/ceilings): fused multiply-adds, the divider, a cycle.
#include "../cycles.h"
#include "bench.h"
#include "harness/ceilings/ceilings.h"
#include <benchmark/benchmark.h>

namespace bench {
namespace {

enum { CYCLES = 8000 };

void add_loop(Book &book, const char *what, const fl_compute_loops &l, float (*loop)(int64_t), double flops, unsigned threads) {
  Line line;
  line.kernel = "ceiling";
  line.isa = fl_isa_name(l.isa);
  line.ceiling = compute_key(what, line.isa, threads);
  line.name = "ceiling/" + line.isa + "/" + what + "/threads:" + std::to_string(threads);
  line.threads = threads;
  line.elements = FL_COMPUTE_TURN * l.lanes * threads;
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
  const fl_compute_loops *l = fl_compute_loops_of(k->isa);
  if (!l) { return; }
  add_loop(book, "fma", *l, l->fma, 2, threads);
  add_loop(book, "div", *l, l->div, 0, threads);
  add_loop(book, "sqrt", *l, l->sqrt, 0, threads);
  add_loop(book, "div+sqrt", *l, l->both, 0, threads);
}

} // namespace bench
