// slow.cpp - fedlane-bench with one kernel slower by a known part: the regression guard is tried with it (scripts/guard-trials).
// Linked in place of the functions that hand out the tables; FEDLANE_SLOW=adamw=5 names the kernel and the percentage.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fedlane/kernels.h>
#include <string>
#include <type_traits>

extern "C" {
const fl_kernels *__real_fl_kernels_of(fl_isa);
const fl_kernels *__real_fl_kernels_select(const char *, const char **);
const fl_kernels *__wrap_fl_kernels_of(fl_isa);
const fl_kernels *__wrap_fl_kernels_select(const char *, const char **);
}

namespace {

double percent = 0;
const fl_kernels *real[FL_ISA_COUNT]; // asked for once: the function asks the processor, which takes microseconds in a guest
fl_kernels slowed[FL_ISA_COUNT];
thread_local double due = 0; // of a call, in percent

template <class... A> constexpr bool elementwise = false; // the first of the arguments, and no other, is a number of elements
template <class... A> constexpr bool elementwise<size_t, A...> = !(false || ... || std::is_same_v<A, size_t>);

// A long call over elements does its first elements once more; of others every so many is done twice: a second call costs next to
// nothing beside either.
template <class R, class... A> bool first_again(R (*kernel)(size_t, A...), size_t n, A... a) {
  enum { LONG = 16384, VECTOR = 16 };
  if (n < LONG) { return false; }
  const size_t part = static_cast<size_t>(static_cast<double>(n) * percent / 100) / VECTOR * VECTOR;
  if (part > 0) { static_cast<void>(kernel(part, a...)); }
  return true;
}

template <class R, class... A> void again(R (*kernel)(A...), A... a) {
  if constexpr (elementwise<A...>) {
    if (first_again(kernel, a...)) { return; }
  }
  for (due += percent; due >= 100; due -= 100) { static_cast<void>(kernel(a...)); }
}

template <int ISA, auto MEMBER, class T = decltype(MEMBER)> struct Slow;
template <int ISA, auto MEMBER, class R, class... A> struct Slow<ISA, MEMBER, R (*fl_kernels::*)(A...)> {
  static R call(A... a) {
    const auto kernel = real[ISA]->*MEMBER;
    if constexpr (std::is_void_v<R>) {
      kernel(a...);
      again(kernel, a...);
    } else {
      const R result = kernel(a...);
      again(kernel, a...);
      return result;
    }
  }
};

template <int ISA> bool slow_down(const std::string &name) {
  bool found = false;
  real[ISA] = __real_fl_kernels_of(static_cast<fl_isa>(ISA));
  if (real[ISA]) { slowed[ISA] = *real[ISA]; }
#define FL_OP(family, op, ret, args, traffic, formula)           \
  if (name == #op) {                                             \
    found = true;                                                \
    slowed[ISA].op = Slow<ISA, &fl_kernels::op>::call;           \
  }
#include <fedlane/ops.def>
  return found;
}

bool read() {
  const char *said = std::getenv("FEDLANE_SLOW"), *equals = said ? std::strchr(said, '=') : nullptr;
  char *end = nullptr;
  if (equals) { percent = std::strtod(equals + 1, &end); }
  const std::string name = equals ? std::string(said, equals) : "";
  bool found = equals && end != equals + 1 && !*end && percent >= 0 && percent <= 100;
  const bool tables[] = { slow_down<FL_ISA_SCALAR>(name), slow_down<FL_ISA_SCALAR_FMA>(name), slow_down<FL_ISA_AVX2>(name),
                          slow_down<FL_ISA_AVX512>(name), slow_down<FL_ISA_NEON>(name) };
  for (const bool table : tables) { found = found && table; }
  if (!found) {
    std::fprintf(stderr, "fedlane-bench: FEDLANE_SLOW=\"%s\"; allowed: KERNEL=PERCENT, 0 to 100\n", said ? said : "");
    std::exit(2);
  }
  return true;
}

} // namespace

const fl_kernels *__wrap_fl_kernels_of(fl_isa isa) {
  static const bool ready = read();
  return ready && real[isa] ? &slowed[isa] : nullptr;
}

const fl_kernels *__wrap_fl_kernels_select(const char *max, const char **error) {
  const fl_kernels *best = __real_fl_kernels_select(max, error);
  return best ? __wrap_fl_kernels_of(best->isa) : nullptr;
}
