// streams.cpp - the lines of the ceilings of bandwidth: the loops of harness/ceilings at the places of kernels.
#include "harness/ceilings/ceilings.h"
#include "shapes.h"
#include <array>

namespace bench {

static const char *const form_name[] = { "copy", "add", "triad" };

static void add_width(Book &book, Mix mix, const Place &at, const std::string &key, fl_isa isa, const char *width) {
  const bool far = at.cold || at.n > book.sizes.l2;
  const fl_streams streams = { mix.reads, mix.writes, mix.in_place, mix.bytes };
  const fl_stream_loops all = fl_stream_loops_of(streams, isa);
  for (int form = 0; form < FL_STREAM_FORMS; form++) {
    for (const bool past : { false, true }) {
      if (past && (!far || !FL_CAN_PASS || mix.writes == 0 || form == FL_STREAM_ADD)) { continue; }
      const size_t arrays = mix.arrays();
      fl_stream_loop *const loop = past ? all.past[form] : all.plain[form];
      Line line;
      line.kernel = "ceiling";
      line.ceiling = key;
      line.threads = at.threads;
      line.name = "ceiling/" + text(mix) + "/" + form_name[form] + width + (past ? ",past-caches/" : "/") +
                  place_name(at, book.options.huge_pages);
      line.elements = static_cast<double>(at.n);
      line.bytes = line.elements * mix.traffic();
      book.settle(line, at, arrays);
      line.prepare = [=] { arena.refill(at, arrays, false); };
      line.run = [=](int64_t calls, size_t skip) {
        return walk(at, arrays, calls, skip, [=](float *const *array, size_t begin, size_t end) {
          std::array<const float *, STREAMS> in{};
          std::array<float *, STREAMS> out{};
          fl_streams_place(streams, array, begin, in.data(), out.data());
          return [=] { loop(end - begin, in.data(), out.data()); };
        });
      };
      book.add(line, at.n, arrays);
    }
  }
}

void add_bandwidth(Book &book, Mix mix, const Place &at, const std::string &key) {
  const fl_isa best = book.options.isas[0]->isa;
  add_width(book, mix, at, key, best, "");
  // A core may store two halves faster than a whole; beyond its own caches the width does not matter.
  if (best == FL_ISA_AVX512 && !at.cold && at.n <= book.sizes.l2) { add_width(book, mix, at, key, FL_ISA_AVX2, ",256-bit"); }
}

} // namespace bench
