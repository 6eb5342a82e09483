// bench.h - fedlane-bench: what its parts share. A line is one benchmark: a kernel or a ceiling, at one size, on one instruction
// set, by so many threads. Google Benchmark times the lines; what a line moves and computes is known beforehand, so the rates
// and shares of ceilings are made from the times when all have run.
#ifndef FEDLANE_BENCH_H
#define FEDLANE_BENCH_H
#include <cstddef>
#include <cstdint>
#include <fedlane/kernels.h>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

enum { STREAMS = 12 }; // arrays that a kernel may have at most

// Arrays of floats read and written side by side; in_place: arrays that are both.
struct Mix {
  unsigned reads, writes, in_place = 0;
  unsigned arrays() const { return reads + writes - in_place; }
  std::string text() const {
    return std::to_string(reads) + "r" + std::to_string(writes) + "w" + (in_place ? "/in-place:" + std::to_string(in_place) : "");
  }
};

// Where and by how many a line runs.
struct Place {
  size_t n;
  unsigned threads;
  bool cold; // every call finds its arrays outside the caches
};

struct Line {
  std::string name;
  std::string kernel, isa; // isa is empty for a bandwidth ceiling
  double elements = 0, bytes = 0, flops = 0, divisions = 0, roots = 0; // a call
  std::string ceiling;                  // a ceiling: what it bounds (the key of the bound); else empty
  std::string bandwidth;                // a kernel: the key of its bound in bytes; empty: nothing is known
  unsigned threads = 1;
  std::function<void()> prepare;            // not timed
  std::function<double(int64_t calls)> run; // seconds of so many calls
};

struct Options {
  std::vector<const fl_kernels *> isas; // the first is the one that ceilings of bandwidth use
  const fl_kernels *onednn = nullptr;   // products by the other backend, beside the first set's; nullptr: this build has none
  std::string onednn_what;              // version and file, or why there is none
  std::vector<unsigned> threads;
  std::vector<size_t> sizes;            // empty: by the caches
  bool huge_pages = true;
  bool file = false;                    // --benchmark_out is given
};

// Sizes in elements of an array: four arrays of them fill half of a cache; DRAM is far beyond the last.
struct Sizes { size_t l1, l2, l3, dram; };
Sizes sizes_of_machine();

// ---- memory ------------------------------------------------------------------------------------------------------------
// One mapping for all lines, so that no line owns pages of another kind. Array j of n floats; with a slot, another place for
// the whole set. Arrays begin at odd multiples of cache lines: at multiples of 4 KiB loads would wait for unrelated stores.
class Arena {
public:
  void reserve(size_t bytes, bool huge_pages);
  float *array(size_t j, size_t n, size_t slot = 0, size_t arrays = 0) const;
  static size_t bytes(size_t n, size_t arrays) { return arrays * stride(n) * sizeof(float); }
  size_t slots(size_t n, size_t arrays) const { return size / bytes(n, arrays); }
  // Cold calls go on where others ended.
  size_t take(int64_t calls) { return (turn += static_cast<size_t>(calls)) - static_cast<size_t>(calls); }
  void refill(size_t n, size_t arrays, bool wild); // values in [0.5, 1.5); `wild`: the line leaves others
private:
  static size_t stride(size_t n) { return (n + 1023) / 1024 * 1024 + 16 * 9; }
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

// ---- lines -------------------------------------------------------------------------------------------------------------
class Book {
public:
  explicit Book(const Options &o) : options(o), sizes(sizes_of_machine()) {}
  const Options options;
  const Sizes sizes;
  std::vector<Line> lines;
  size_t memory = 0;                                  // bytes that the largest line needs
  void add(Line line, size_t n, size_t arrays);
  void add_ceilings(std::vector<bool> &wanted);       // those that bind a wanted line; they are wanted too
  std::vector<Place> places(bool first_isa, bool step) const; // where element-wise kernels run
  std::string bandwidth(Mix mix, Place at);           // the key of the bound; remembers that it is needed
private:
  std::map<std::string, std::pair<Mix, Place>> needed;
};
std::string place_name(const Place &, bool huge_pages); // n:4096/cold/threads:1
void add_kernels(Book &);                             // elements.cpp: every line of ops.def
void add_matrix(Book &);                              // shapes.cpp: what is built on the tables
void add_bandwidth(Book &, Mix, const Place &, const std::string &key);
void add_compute(Book &, const fl_kernels *, unsigned threads);
std::string compute_key(const char *what, const std::string &isa, unsigned threads);

// ---- after the run -----------------------------------------------------------------------------------------------------
int run_lines(Book &, const std::vector<bool> &wanted, bool console);

} // namespace bench
#endif
