// streams.cpp - ceilings of bandwidth: for each mix of streams loops that do next to nothing with what they read. A kernel of that
// mix can do no better than the best of them: each output in place or fresh, stored plainly or past the caches; copies, sums and
// triads (2r1w, fresh, plain: STREAM's). Useful bytes only: what a plain store to a fresh line reads first is not counted.
#include "ceilings.h"
#include "shapes.h"
#include <algorithm>
#include <benchmark/benchmark.h>

namespace bench {
namespace {

using Loop = void (*)(size_t n, const float *const *in, float *const *out);
enum { COPY, ADD, TRIAD, FORMS };
const char *const form_name[] = { "copy", "add", "triad" };
volatile float half = 0.5f;

#define FL_STREAM_LOOP(name, V, attribute)                                                       \
  template <unsigned R, unsigned W, int FORM, bool PAST>                                         \
  attribute void name(size_t n, const float *const *in, float *const *out) {                     \
    using T = V::type;                                                                           \
    const T c = V::set(half);                                                                    \
    T sum[4] = { c, c, c, c };                                                                   \
    const float *from[R + 1];                                                                    \
    float *to[W + 1];                                                                            \
    for (unsigned r = 0; r < R; r++) { from[r] = in[r]; }                                        \
    for (unsigned w = 0; w < W; w++) { to[w] = out[w]; }                                         \
    for (size_t i = 0, turn = 0; i + V::lanes <= n; i += V::lanes, turn++) {                     \
      T x[R + 1], y[W + 1];                                                                      \
      for (unsigned r = 0; r < R; r++) { x[r] = V::load(from[r] + i); }                          \
      if (W == 0) {                                                                              \
        T &s = sum[turn % 4];                                                                    \
        for (unsigned r = 0; r < R; r++) {                                                       \
          s = FORM == COPY ? V::add(s, x[r]) : FORM == ADD ? V::add(x[r], V::mul(s, c)) : V::fma(s, c, x[r]); \
        }                                                                                        \
      }                                                                                          \
      for (unsigned w = 0; w < W; w++) {                                                         \
        y[w] = R == 0 ? c : x[w % (R + (R == 0))];                                               \
        if (FORM == TRIAD && R > 0) { y[w] = V::fma(c, x[(w + 1) % (R + (R == 0))], V::mul(c, y[w])); } \
      }                                                                                          \
      for (unsigned r = W; r < R && W > 0; r++) {                                                \
        T &s = y[r % (W + (W == 0))];                                                            \
        s = FORM == TRIAD ? V::fma(c, s, x[r]) : V::add(s, x[r]);                                \
      }                                                                                          \
      if (FORM == ADD) {                                                                         \
        for (unsigned w = 1; w < W; w++) { y[w] = V::add(y[w], y[0]); }                          \
      }                                                                                          \
      for (unsigned w = 0; w < W; w++) {                                                         \
        if (PAST) { V::stream(to[w] + i, y[w]); } else { V::store(to[w] + i, y[w]); }            \
      }                                                                                          \
    }                                                                                            \
    if (W == 0) {                                                                                \
      float all = V::first(V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));              \
      benchmark::DoNotOptimize(all);                                                             \
    }                                                                                            \
  }

struct Loops { Loop plain[FORMS], past[FORMS]; };
#define FL_STREAM_ROW(isa, R, W)                                                                 \
  Loops { { isa<R, W, COPY, false>, isa<R, W, ADD, false>, isa<R, W, TRIAD, false> },            \
          { isa<R, W, COPY, true>, isa<R, W, ADD, true>, isa<R, W, TRIAD, true> } }
FL_STREAM_LOOP(plain, Plain, )
#if defined(__x86_64__)
FL_STREAM_LOOP(avx512, Wide, FL_AVX512)
FL_STREAM_LOOP(avx2, Middle, FL_AVX2)
enum { CAN_PASS = 1 };
template <unsigned R, unsigned W> Loops loops(fl_isa isa) {
  return isa == FL_ISA_AVX512 ? FL_STREAM_ROW(avx512, R, W) : isa == FL_ISA_AVX2 ? FL_STREAM_ROW(avx2, R, W) : FL_STREAM_ROW(plain, R, W);
}
#else
enum { CAN_PASS = 0 };
#if defined(__aarch64__)
FL_STREAM_LOOP(neon, Neon, )
template <unsigned R, unsigned W> Loops loops(fl_isa isa) { return isa == FL_ISA_NEON ? FL_STREAM_ROW(neon, R, W) : FL_STREAM_ROW(plain, R, W); }
#else
template <unsigned R, unsigned W> Loops loops(fl_isa) { return FL_STREAM_ROW(plain, R, W); }
#endif
#endif

// The mixes are those of the registry: nothing else is compiled.
Loops loops_of(Mix mix, fl_isa isa) {
#define FL_OP(family, name, ret, args, traffic, formula) {                                       \
    constexpr Mix m = Traffic::parse(#traffic).mix();                                            \
    if (m.reads == mix.reads && m.writes == mix.writes) { return loops<m.reads, m.writes>(isa); } \
  }
#include <fedlane/ops.def>
  return {};
}

} // namespace

void add_bandwidth(Book &book, Mix mix, const Place &at, const std::string &key) {
  const bool far = at.cold || at.n > book.sizes.l2;
  const Loops all = loops_of(mix, book.options.isas[0]->isa);
  for (int variant = 0; variant < 4; variant++) {
    const bool fresh = variant & 1, past = variant & 2;
    if ((past && (!far || !CAN_PASS)) || (mix.writes == 0 && variant) || (mix.reads == 0 && !fresh)) { continue; }
    for (int form = 0; form < FORMS; form++) {
      // In place a sum would grow without limit; past the caches one form is as good as another.
      if ((form == ADD && !fresh && mix.writes) || (form == ADD && far && mix.writes) || (form == TRIAD && past && !fresh)) { continue; }
      const size_t arrays = fresh ? mix.reads + mix.writes : std::max(mix.reads, mix.writes);
      const Loop loop = past ? all.past[form] : all.plain[form];
      Line line;
      line.kernel = "ceiling";
      line.ceiling = key;
      line.threads = at.threads;
      line.name = "ceiling/" + mix.text() + "/" + form_name[form] + (mix.writes == 0 ? "" : fresh ? ",fresh" : ",in-place") +
                  (past ? ",past-caches/" : "/") + place_name(at, book.options.huge_pages);
      line.elements = static_cast<double>(at.n);
      line.bytes = 4.0 * line.elements * (mix.reads + mix.writes);
      line.prepare = [=] { arena.refill(at.n, arrays, false); };
      line.run = [=](int64_t calls) {
        const size_t slots = at.cold ? arena.slots(at.n, arrays) : 1;
        return timed(at.threads, calls, [&](unsigned thread, int64_t call) {
          const size_t begin = part_begin(at.n, thread, at.threads), end = part_begin(at.n, thread + 1, at.threads);
          const size_t slot = static_cast<size_t>(call) * 7 % slots;
          const float *in[STREAMS];
          float *out[STREAMS];
          for (size_t r = 0; r < mix.reads; r++) { in[r] = arena.array(r, at.n, slot, arrays) + begin; }
          for (size_t w = 0; w < mix.writes; w++) { out[w] = arena.array(fresh ? mix.reads + w : w, at.n, slot, arrays) + begin; }
          loop(end - begin, in, out);
        });
      };
      book.add(line, at.n, arrays);
    }
  }
}

} // namespace bench
