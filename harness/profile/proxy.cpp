// proxy.cpp - the table of kernels that count themselves: wrappers of all lines of the registry, made from their C types. Each
// reads the time-stamp counter, calls the kernel of the real table, and adds to the account of its thread, of the place where
// that is.
#include "profile.h"
#include "work.h"
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <type_traits>
#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <ctime>
#endif

namespace {

// ---- what a call computes: each row of work.h where the names of its arguments are known -----------------------------------
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define FL_OP(family, name, ret, args, traffic, formula) inline fl_call_work work_##name args { return FL_WORK_OF(WORK_##name); }
#include <fedlane/ops.def>
#pragma GCC diagnostic pop

// Bytes an element, by the registry.
constexpr int64_t bytes_of(const char *text) {
  int64_t sum = 0, part = 0;
  for (; *text; text++) {
    if (*text >= '0' && *text <= '9') { part = part * 10 + (*text - '0'); } else { sum += part, part = 0; }
  }
  return sum;
}
constexpr int64_t element_bytes[] = {
#define FL_OP(family, name, ret, args, traffic, formula) bytes_of(#traffic),
#include <fedlane/ops.def>
};

// ---- threads ---------------------------------------------------------------------------------------------------------------
struct Record {
  size_t place;      // part * FL_PLACES + place in it
  fl_account *row;   // of the place, an account an operation
  int inside;        // a kernel that another one calls is part of that
  fl_accounts sums;
};

fl_kernels real, counting;
Record *records;
size_t room, taken;
thread_local Record *mine;

__attribute__((noinline)) Record *attach() {
  const size_t i = __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
  if (i >= room) { std::abort(); } // more threads than the session was opened with
  mine = &records[i];
  mine->place = FL_AT_OTHER * FL_PLACES;
  mine->row = mine->sums.account[FL_AT_OTHER][FL_PLACE_REST];
  return mine;
}
inline Record *record() { return mine ? mine : attach(); }

inline uint64_t now() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t t;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
#endif
}

// Reading the counter takes as long as a short kernel: where there are many such calls a quarter stands for all.
inline bool is_timed(const fl_account *a) {
  enum { ALL = 256, SHORT = 2048, QUARTER = 1 << 30 }; // calls, ticks, of 2^32
  return a->calls < ALL || a->ticks >= SHORT * a->timed || static_cast<uint32_t>(a->calls * 2654435761u) < QUARTER;
}

template <int OP> inline void add(fl_account *a, const fl_call_work &work) {
  a->calls++;
  a->elements += work.elements;
  a->bytes += work.bytes < 0 ? work.elements * element_bytes[OP] : work.bytes;
  a->flops += work.flops;
  a->width += work.width;
}

// A call of a kernel, from its beginning to its end.
template <int OP> class Visit {
public:
  Visit(Record *of, fl_account *to) : r(of), a(to), timed(is_timed(to)), begin(timed ? now() : 0) { r->inside = 1; }
  void end(const fl_call_work &work) {
    if (timed) { a->ticks += now() - begin, a->timed++; }
    add<OP>(a, work);
    r->inside = 0;
  }
private:
  Record *r;
  fl_account *a;
  bool timed;
  uint64_t begin;
};

template <int OP, auto MEMBER, auto WORK, class T = decltype(MEMBER)> struct Counting;
template <int OP, auto MEMBER, auto WORK, class R, class... A> struct Counting<OP, MEMBER, WORK, R (*fl_kernels::*)(A...)> {
  static R call(A... a) {
    Record *r = record();
    if (r->inside) { return (real.*MEMBER)(a...); }
    Visit<OP> visit(r, &r->row[OP]);
    if constexpr (std::is_void_v<R>) {
      (real.*MEMBER)(a...);
      visit.end(WORK(a...));
    } else {
      const R result = (real.*MEMBER)(a...);
      visit.end(WORK(a...));
      return result;
    }
  }
};

// Arrays among the arguments: structs, keys and a second result are none.
template <class T> constexpr bool is_array = std::is_pointer_v<T> && std::is_arithmetic_v<std::remove_pointer_t<T>> &&
                                             sizeof(std::conditional_t<std::is_pointer_v<T>, std::remove_pointer_t<T>, int>) <= 4;
template <class R, class... A> constexpr unsigned arrays_of(R (*fl_kernels::*)(A...)) { return (0u + ... + is_array<A>); }

// ---- where ------------------------------------------------------------------------------------------------------------------
size_t place_in_part(fl_at where, size_t which) {
  switch (where) {
    case FL_AT_INPUT: return FL_PLACE_INPUT;
    case FL_AT_LOSS: return FL_PLACE_LOSS;
    case FL_AT_FORWARD:
    case FL_AT_BACKWARD:
      if (which < FL_PROFILE_LAYERS) { return fl_place_of_layer(which, where == FL_AT_BACKWARD); }
      return FL_PLACE_REST;
    default: return FL_PLACE_REST;
  }
}

void mark(fl_at where, size_t which) {
  Record *r = record();
  const size_t part = where < FL_AT_PARTS ? size_t{ where } : r->place / FL_PLACES, place = place_in_part(where, which);
  r->place = part * FL_PLACES + place;
  r->row = r->sums.account[part][place];
  r->sums.visits[part][place]++;
}

// Where nobody was the pages are not even touched; a thread begins outside of layers.
bool is_visited(const fl_accounts *a, size_t part, size_t place) { return a->visits[part][place] || place == FL_PLACE_REST; }

void sum(fl_accounts *to, const fl_accounts *from) {
  for (size_t p = 0; p < FL_AT_PARTS; p++) {
    for (size_t i = 0; i < FL_PLACES; i++) {
      if (!is_visited(from, p, i)) { continue; }
      to->visits[p][i] += from->visits[p][i];
      for (size_t op = 0; op < FL_OPS; op++) {
        const fl_account *a = &from->account[p][i][op];
        fl_account *t = &to->account[p][i][op];
        t->calls += a->calls, t->timed += a->timed, t->ticks += a->ticks, t->elements += a->elements;
        t->bytes += a->bytes, t->flops += a->flops, t->width += a->width;
      }
    }
  }
}

} // namespace

const fl_op_info fl_op_table[FL_OPS] = {
#define FL_OP(family, name, ret, args, traffic, formula) \
  { #family, #name, #traffic, formula, arrays_of(&fl_kernels::name), FL_WORK_TEXT(WORK_##name)[0] == 'K' },
#include <fedlane/ops.def>
};

// Memory that is not touched costs nothing: most places are no place of a run.
const fl_kernels *fl_profile_start(const fl_kernels *table, int threads) {
  if (!records) {
    const size_t bytes = static_cast<size_t>(threads) * sizeof(Record);
    void *map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) { return nullptr; }
    records = static_cast<Record *>(map);
    room = static_cast<size_t>(threads);
  }
  if (static_cast<size_t>(threads) > room) { return nullptr; }
  fl_profile_reset();
  real = counting = *table;
  fl_marked = { &counting, mark };
#define FL_OP(family, name, ret, args, traffic, formula) \
  counting.name = Counting<FL_OP_##name, &fl_kernels::name, work_##name>::call;
#include <fedlane/ops.def>
  return &counting;
}

void fl_profile_reset() {
  for (size_t i = 0; i < room; i++) {
    fl_accounts *a = &records[i].sums;
    for (size_t p = 0; p < FL_AT_PARTS; p++) {
      for (size_t place = 0; place < FL_PLACES; place++) {
        if (is_visited(a, p, place)) { memset(a->account[p][place], 0, sizeof a->account[p][place]); }
        a->visits[p][place] = 0;
      }
    }
  }
}

void fl_profile_add(fl_accounts *to) {
  for (size_t i = 0; i < room; i++) { sum(to, &records[i].sums); }
}

uint64_t fl_profile_ticks() { return now(); }

// The median: a few readings run into each other.
double fl_profile_empty() {
  enum { TRIES = 2001 };
  uint64_t took[TRIES];
  for (uint64_t &t : took) {
    const uint64_t begin = now();
    t = now() - begin;
  }
  std::qsort(took, TRIES, sizeof *took, [](const void *a, const void *b) {
    const uint64_t x = *static_cast<const uint64_t *>(a), y = *static_cast<const uint64_t *>(b);
    return (x > y) - (x < y);
  });
  return static_cast<double>(took[TRIES / 2]);
}
