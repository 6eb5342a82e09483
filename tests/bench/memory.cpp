// memory.cpp - the arena, the sizes of the machine's caches, and the timed team.
#include "bench.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

Arena arena;

static size_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    size_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) { return kib << 10; }
  }
  return size_t{1} << 30;
}

// The largest power of two not above x.
static size_t power_below(size_t x) {
  size_t p = 1;
  while (p <= x / 2) { p *= 2; }
  return p;
}

Sizes sizes_of_machine() {
  const size_t l3 = fl_cache_bytes(3);
  const size_t fits = available_memory() / 2 / (STREAMS * sizeof(float)), far = std::max<size_t>(67108864, l3 * 2);
  return { power_below(fl_cache_bytes(1) / 32), power_below(fl_cache_bytes(2) / 32), power_below(l3 / 32),
           std::min(far, power_below(fits)) };
}

void Arena::reserve(size_t bytes, bool huge_pages) {
  const size_t page = size_t{2} << 20;
  size = (bytes + page - 1) / page * page;
  void *map = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    std::fprintf(stderr, "fedlane-bench: no memory for %zu MiB; allowed: smaller --sizes\n", size >> 20);
    std::exit(1);
  }
  base = reinterpret_cast<float *>((reinterpret_cast<uintptr_t>(map) + page - 1) / page * page);
  if (madvise(base, size, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) {
    std::fprintf(stderr, "fedlane-bench: madvise: the kernel does not take advice on huge pages; pages are what it gives\n");
  }
  fill(size);
}

float *Arena::array(size_t j, size_t n, size_t slot, size_t arrays) const { return base + (slot * arrays + j) * stride(n); }

void Arena::fill(size_t bytes) {
  const long long count = static_cast<long long>(bytes / sizeof(float));
#pragma omp parallel for schedule(static) if (count > (1 << 20))
  for (long long i = 0; i < count; i++) {
    const uint32_t h = (static_cast<uint32_t>(i) * 2654435761u) >> 9;
    base[i] = 0.5f + static_cast<float>(h) * 0x1p-23f;
  }
}

void Arena::refill(const Place &at, size_t arrays, bool wild) {
  // A large set of a step is filled anew only where the line before left other values: it is far slower to fill than to time.
  const size_t one = std::min(size, bytes(at.n, arrays)), own = (wild || at.n <= (1u << 18)) && !at.cold ? one : 0;
  fill(std::max(own, spoiled));
  spoiled = !wild ? 0 : at.cold ? size : one;
}

size_t Arena::leap(size_t slots) {
  size_t step = std::max<size_t>(1, slots * 5 / 8);
  while (std::gcd(step, slots) > 1) { step++; }
  return step;
}

size_t memory_for_cold(const Sizes &s) { return 8 * 32 * s.l3; }

double timed(unsigned threads, const std::function<void(unsigned)> &body) {
  using clock = std::chrono::steady_clock;
  clock::time_point begin, end;
  if (threads == 1) {
    begin = clock::now();
    body(0);
    end = clock::now();
  } else {
#pragma omp parallel num_threads(threads)
    {
      const unsigned me = static_cast<unsigned>(omp_get_thread_num());
#pragma omp barrier
#pragma omp master
      begin = clock::now();
      body(me);
#pragma omp barrier
#pragma omp master
      end = clock::now();
    }
  }
  return std::chrono::duration<double>(end - begin).count();
}

} // namespace bench
