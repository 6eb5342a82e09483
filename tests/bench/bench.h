// bench.h - fedlane-bench: what its parts share. A line is one benchmark: a kernel or a ceiling, at one size, on one instruction
// set, by so many threads. Google Benchmark times the lines; what a line moves and computes is known beforehand, so the rates
// and shares of ceilings are made from the times when all have run.
#ifndef FEDLANE_BENCH_H
#define FEDLANE_BENCH_H
#include "harness/ceilings/ceilings.h"
#include "harness/ceilings/mix.hpp"
#include <cstddef>
#include <cstdint>
#include <fedlane/kernels.h>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

enum { STREAMS = 12 }; // arrays that a kernel may have at most

using ceilings::Mix;
inline std::string text(const Mix &mix) {
  return std::to_string(mix.reads) + "r" + std::to_string(mix.writes) + "w" + (mix.bytes ? "/bytes:" + std::to_string(mix.bytes) :
      "") + (mix.in_place ? "/in-place:" + std::to_string(mix.in_place) : "");
}

// Where and by how many a line runs.
struct Place {
  size_t n;
  unsigned threads;
  bool cold; // every call finds its arrays outside the caches
};

// Calls before the clock starts, so that caches and what they still have to write back are as the line itself leaves them.
struct Warm {
  int64_t calls = 1;
  size_t skip = 0; // of a large array the end is enough: it has left the caches when a call comes there
};

struct Line {
  std::string name;
  std::string kernel, isa; // isa is empty for a bandwidth ceiling
  double elements = 0, bytes = 0, flops = 0, divisions = 0, roots = 0; // a call
  double fmas = 0, double_fmas = 0; // the least that it must multiply and add: floats, and doubles, of which a vector holds half
  std::string ceiling;                  // a ceiling: what it bounds (the key of the bound); else empty
  std::string bandwidth;                // a kernel: the key of its bound in bytes; empty: nothing is known
  bool paired = false;                  // memory's speed drifts: the bound in bytes is measured right beside each time
  bool cold = false;                    // its calls walk over more than the caches hold
  bool own_limit = false;               // many instructions an element: far from the core it is no faster than near it
  unsigned threads = 1;
  size_t memory = 0;                      // bytes of the arena
  Warm warm;
  std::function<void()> prepare;                         // not timed: values
  std::function<double(int64_t calls, size_t skip)> run; // seconds of so many calls, all without the first `skip` elements
};

struct Options {
  std::vector<const fl_kernels *> isas; // the first is the one that ceilings of bandwidth use
  std::vector<unsigned> threads;
  std::vector<size_t> sizes;            // empty: by the caches
  bool huge_pages = true;
  bool file = false;                    // --benchmark_out is given
  double min_time = 0;                  // --benchmark_min_time
  unsigned repetitions = 1;             // --benchmark_repetitions
  std::string serve;                    // --serve: what is measured when `fedlane bench --against` asks
};

// Sizes in elements of an array: four arrays of them fill half of a cache; DRAM is far beyond the last.
struct Sizes { size_t l1, l2, l3, dram; };
Sizes sizes_of_machine();

// ---- memory ------------------------------------------------------------------------------------------------------------
// One mapping for all lines, so that no line owns pages of another kind. Array j of n floats; with a slot, another place for
// the whole set.
class Arena {
public:
  void reserve(size_t bytes, bool huge_pages);
  float *array(size_t j, size_t n, size_t slot = 0, size_t arrays = 0) const;
  static size_t bytes(size_t n, size_t arrays) { return arrays * stride(n) * sizeof(float); }
  size_t slots(size_t n, size_t arrays) const { return size / bytes(n, arrays); }
  // Cold calls go on where others ended. They leap: every slot comes once before any comes again, and none after its neighbour.
  size_t take(int64_t calls) { return (turn += static_cast<size_t>(calls)) - static_cast<size_t>(calls); }
  static size_t leap(size_t slots);
  void refill(const Place &, size_t arrays, bool wild); // values in [0.5, 1.5); `wild`: the line leaves others
private:
  static size_t stride(size_t n) { return fl_stream_stride(n); }
  void fill(size_t bytes);
  float *base = nullptr;
  size_t size = 0;
  size_t spoiled = 0, turn = 0; // bytes, calls
};
extern Arena arena;

// Seconds of body(thread) by each thread of one parallel region.
double timed(unsigned threads, const std::function<void(unsigned thread)> &body);
// Part t of T of n elements, cut at whole vectors.
inline size_t part_begin(size_t n, unsigned t, unsigned threads) {
  return t == threads ? n : n / 16 * t / threads * 16;
}

// Seconds of so many calls at a place, without the first `skip` elements. make(arrays, begin, end) is what a thread calls: made
// once where the arrays stay, or for each call where they move.
template <class Make> double walk(const Place &at, size_t arrays, int64_t calls, size_t skip, const Make &make) {
  const size_t slots = at.cold ? arena.slots(at.n, arrays) : 1, leap = Arena::leap(slots);
  const size_t first = arena.take(at.cold ? calls : 0);
  return timed(at.threads, [&](unsigned thread) {
    const size_t n = at.n - skip;
    const size_t begin = skip + part_begin(n, thread, at.threads), end = skip + part_begin(n, thread + 1, at.threads);
    float *array[STREAMS];
    const auto place = [&](size_t slot) {
      for (size_t j = 0; j < arrays; j++) { array[j] = arena.array(j, at.n, slot, arrays); }
      return make(array, begin, end);
    };
    if (slots == 1) {
      const auto body = place(0);
      for (int64_t i = 0; i < calls; i++) { body(); }
    } else {
      for (int64_t i = 0; i < calls; i++) { place((first + static_cast<size_t>(i)) % slots * leap % slots)(); }
    }
  });
}

// ---- lines -------------------------------------------------------------------------------------------------------------
class Book {
public:
  explicit Book(const Options &o) : options(o), sizes(sizes_of_machine()) {}
  const Options options;
  const Sizes sizes;
  std::vector<Line> lines;
  size_t memory(const std::vector<bool> &wanted) const; // bytes that the largest of them needs
  void add(Line line, size_t n, size_t arrays);
  void add_ceilings(std::vector<bool> &wanted);       // those that bind a wanted line; they are wanted too
  std::vector<Place> places(bool first_isa, bool step) const; // where element-wise kernels run
  std::string bandwidth(Mix mix, Place at);           // the key of the bound; remembers that it is needed
  void settle(Line &line, const Place &at, size_t arrays) const; // how it is warmed, whether it is paired
private:
  std::map<std::string, std::pair<Mix, Place>> needed;
};
std::string place_name(const Place &, bool huge_pages); // n:4096/cold/threads:1
void add_kernels(Book &);                             // elements.cpp: every line of ops.def
void add_matrix(Book &);                              // shapes.cpp: what is built on the tables
void add_bandwidth(Book &, Mix, const Place &, const std::string &key);
void add_compute(Book &, const fl_kernels *, unsigned threads);
void add_cycle(Book &);                               // a cycle of the core, by a chain of additions
size_t memory_for_cold(const Sizes &);                // bytes that no cache holds a good part of
std::string compute_key(const char *what, const std::string &isa, unsigned threads);

// ---- after the run -----------------------------------------------------------------------------------------------------
int run_lines(Book &, const std::vector<bool> &wanted, bool console);

} // namespace bench
#endif
