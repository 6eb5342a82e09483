// streams.cpp - ceilings of bandwidth: for each mix of streams loops that do next to nothing with what they read. A kernel of
// that mix can do no better than the best of them: copies, sums and triads (2r1w plain is STREAM's), stored plainly or past the
// caches, with as many outputs in place as the kernel has; one mix is of bytes that become floats. Useful bytes only: what a
// plain store to a fresh line reads first is not counted.
#include "ceilings.h"
#include "mix.hpp"
#include "vectors.hpp"
#include <cstdlib>

namespace {

// The compiler must take it for used.
inline void keep(float &x) { __asm__ volatile("" : : "m"(x) : "memory"); }

using ceilings::Mix;
using ceilings::Traffic;
using Loops = fl_stream_loops;
enum { COPY = FL_STREAM_COPY, ADD = FL_STREAM_ADD, TRIAD = FL_STREAM_TRIAD };
volatile float half = 0.5f;

// Values of a mean stay where they were, however often a loop runs in place. Four vectors a turn, so that loop control costs
// little.
#define FL_STREAM_LOOP(name, V, attribute)                                                       \
  template <int FORM> attribute inline V::type mean_##name(V::type a, V::type b, V::type c) {    \
    return FORM == ADD ? V::mul(c, V::add(a, b)) : V::fma(c, a, V::mul(c, b));                   \
  }                                                                                              \
  template <unsigned R, unsigned W, unsigned P, int FORM, bool PAST>                             \
  attribute inline void step_##name(const float *const *in, float *const *out, size_t i, V::type c, V::type &sum) { \
    constexpr unsigned N = R + (R == 0);                                                         \
    V::type x[N], y[W + 1];                                                                      \
    for (unsigned r = 0; r < R; r++) { x[r] = V::load(in[r] + i); }                              \
    for (unsigned r = 0; r < R && W == 0; r++) { sum = FORM == COPY ? V::add(sum, x[r]) : mean_##name<FORM>(sum, x[r], c); } \
    for (unsigned w = 0; w < W; w++) {                                                           \
      y[w] = R == 0 ? c : FORM != COPY ? mean_##name<FORM>(x[w % N], x[(w + 1) % N], c) :        \
             R == 1 && P == 1 ? V::add(x[0], c) : x[(w + 1) % (W < N ? W + (W == 0) : N)]; /* onto itself it were no copy */ \
    }                                                                                            \
    for (unsigned r = W; r < R && W > 0; r++) {                                                  \
      V::type &s = y[r % (W + (W == 0))];                                                        \
      s = FORM == COPY ? V::add(s, x[r]) : mean_##name<FORM>(s, x[r], c);                        \
    }                                                                                            \
    for (unsigned w = 0; w < W; w++) {                                                           \
      if (PAST) { V::stream(out[w] + i, y[w]); } else { V::store(out[w] + i, y[w]); }            \
    }                                                                                            \
  }                                                                                              \
  template <unsigned R, unsigned W, unsigned P, int FORM, bool PAST>                             \
  attribute void name(size_t n, const float *const *in, float *const *out) {                     \
    enum { TURN = 4 };                                                                           \
    const float *from[R + 1];                                                                    \
    float *to[W + 1];                                                                            \
    const V::type c = V::set(half);                                                              \
    V::type sum[TURN] = { c, c, c, c };                                                          \
    for (unsigned r = 0; r < R; r++) { from[r] = in[r]; }                                        \
    for (unsigned w = 0; w < W; w++) { to[w] = w < P ? const_cast<float *>(in[w]) : out[w]; } /* one pointer, as a kernel has */ \
    size_t i = 0;                                                                                \
    for (; i + TURN * V::lanes <= n; i += TURN * V::lanes) {                                     \
      for (unsigned t = 0; t < TURN; t++) { step_##name<R, W, P, FORM, PAST>(from, to, i + t * V::lanes, c, sum[t]); } \
    }                                                                                            \
    for (; i + V::lanes <= n; i += V::lanes) { step_##name<R, W, P, FORM, PAST>(from, to, i, c, sum[0]); } \
    if (W == 0) {                                                                                \
      float all = V::first(V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));              \
      keep(all);                                                                             \
    }                                                                                            \
  }

// Of one array of bytes floats: a copy, and with a little arithmetic.
#define FL_BYTES_LOOP(name, V, attribute)                                                        \
  template <int FORM, bool PAST> attribute inline void byte_step_##name(const uint8_t *in, float *out, V::type c) { \
    V::type x = V::widen(in);                                                                    \
    if (FORM == ADD) { x = V::add(x, c); }                                                       \
    if (FORM == TRIAD) { x = V::fma(x, c, c); }                                                  \
    if (PAST) { V::stream(out, x); } else { V::store(out, x); }                                  \
  }                                                                                              \
  template <int FORM, bool PAST> attribute void bytes_##name(size_t n, const float *const *in, float *const *out) { \
    enum { TURN = 4 };                                                                           \
    const uint8_t *from = reinterpret_cast<const uint8_t *>(in[0]);                              \
    float *to = out[0];                                                                          \
    const V::type c = V::set(half);                                                              \
    size_t i = 0;                                                                                \
    for (; i + TURN * V::lanes <= n; i += TURN * V::lanes) {                                     \
      for (unsigned t = 0; t < TURN * V::lanes; t += V::lanes) { byte_step_##name<FORM, PAST>(from + i + t, to + i + t, c); } \
    }                                                                                            \
    for (; i + V::lanes <= n; i += V::lanes) { byte_step_##name<FORM, PAST>(from + i, to + i, c); } \
  }

#define FL_BYTES_ROW(isa)                                                                          \
  Loops { { bytes_##isa<COPY, false>, bytes_##isa<ADD, false>, bytes_##isa<TRIAD, false> },               \
          { bytes_##isa<COPY, true>, bytes_##isa<ADD, true>, bytes_##isa<TRIAD, true> } }
#define FL_STREAM_ROW(isa, R, W, P)                                                                \
  Loops { { isa<R, W, P, COPY, false>, isa<R, W, P, ADD, false>, isa<R, W, P, TRIAD, false> },            \
          { isa<R, W, P, COPY, true>, isa<R, W, P, ADD, true>, isa<R, W, P, TRIAD, true> } }
FL_STREAM_LOOP(plain, Plain, )
FL_BYTES_LOOP(plain, Plain, )
#if defined(__x86_64__)
FL_STREAM_LOOP(avx512, Wide, FL_AVX512)
FL_STREAM_LOOP(avx2, Middle, FL_AVX2)
FL_BYTES_LOOP(avx512, Wide, FL_AVX512)
FL_BYTES_LOOP(avx2, Middle, FL_AVX2)
template <unsigned R, unsigned W, unsigned P> Loops loops(fl_isa isa) {
  return isa == FL_ISA_AVX512 ? FL_STREAM_ROW(avx512, R, W, P) : isa == FL_ISA_AVX2 ? FL_STREAM_ROW(avx2, R, W, P)
      : FL_STREAM_ROW(plain, R, W, P);
}
Loops byte_loops(fl_isa isa) {
  return isa == FL_ISA_AVX512 ? FL_BYTES_ROW(avx512) : isa == FL_ISA_AVX2 ? FL_BYTES_ROW(avx2) : FL_BYTES_ROW(plain);
}
#else
#if defined(__aarch64__)
FL_STREAM_LOOP(neon, Neon, )
FL_BYTES_LOOP(neon, Neon, )
template <unsigned R, unsigned W, unsigned P> Loops loops(fl_isa isa) {
  return isa == FL_ISA_NEON ? FL_STREAM_ROW(neon, R, W, P) : FL_STREAM_ROW(plain, R, W, P);
}
Loops byte_loops(fl_isa isa) { return isa == FL_ISA_NEON ? FL_BYTES_ROW(neon) : FL_BYTES_ROW(plain); }
#else
template <unsigned R, unsigned W, unsigned P> Loops loops(fl_isa) { return FL_STREAM_ROW(plain, R, W, P); }
Loops byte_loops(fl_isa) { return FL_BYTES_ROW(plain); }
#endif
#endif

// Every mix of the registry, with no output in place to all: nothing else is compiled.
template <unsigned R, unsigned W, unsigned P> bool add_loops(Mix mix, fl_isa isa, Loops &found) {
  if (mix.reads == R && mix.writes == W && mix.in_place == P) {
    found = loops<R, W, P>(isa);
    return true;
  }
  if constexpr (P > 0) { return add_loops<R, W, P - 1>(mix, isa, found); }
  return false;
}

} // namespace

fl_stream_loops fl_stream_loops_of(fl_streams streams, fl_isa isa) {
  const Mix mix = { streams.reads, streams.writes, streams.in_place, streams.bytes };
  if (mix.bytes) {
    if (mix.bytes != 1 || mix.reads || mix.writes != 1) { std::abort(); } // a registry line of a kind that had none yet
    return byte_loops(isa);
  }
  fl_stream_loops found = {};
#define FL_OP(family, name, ret, args, traffic, formula) {                                       \
    constexpr Mix m = Traffic::parse(#traffic).mix();                                            \
    if (add_loops<m.reads, m.writes, (m.reads < m.writes ? m.reads : m.writes)>(mix, isa, found)) { return found; } \
  }
#include <fedlane/ops.def>
  std::abort(); // a line asked for a mix that its own registry line does not have
}

fl_streams fl_streams_of(const char *traffic, size_t arrays) {
  const Mix mix = Traffic::parse(traffic).mix_of(arrays);
  return { mix.reads, mix.writes, mix.in_place, mix.bytes };
}

void fl_streams_place(fl_streams mix, float *const *array, size_t begin, const float **in, float **out) {
  const size_t fresh = mix.writes - mix.in_place;
  for (size_t r = 0; r < mix.reads; r++) { in[r] = array[fresh + r] + begin; }
  if (mix.bytes) { in[0] = reinterpret_cast<const float *>(reinterpret_cast<const uint8_t *>(array[fresh]) + begin); }
  for (size_t w = 0; w < mix.writes; w++) { out[w] = array[w < mix.in_place ? fresh + w : w - mix.in_place] + begin; }
}
