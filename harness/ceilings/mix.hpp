// mix.hpp - the streams of the registry's kernels, known when a program is compiled.
#ifndef FEDLANE_CEILINGS_MIX_HPP
#define FEDLANE_CEILINGS_MIX_HPP
#include <cstddef>

namespace ceilings {

// Arrays of floats read and written side by side; in_place: arrays that are both; bytes: arrays of bytes that are read as well.
struct Mix {
  unsigned reads, writes, in_place = 0, bytes = 0;
  constexpr unsigned arrays() const { return reads + bytes + writes - in_place; }
  constexpr unsigned traffic() const { return 4 * (reads + writes) + bytes; } // bytes an element
};

// Bytes read and written an element, as ops.def has them: 16r12w.
struct Traffic {
  unsigned reads, writes;
  static constexpr Traffic parse(const char *text) {
    Traffic t{ 0, 0 };
    for (; *text >= '0' && *text <= '9'; text++) { t.reads = t.reads * 10 + static_cast<unsigned>(*text - '0'); }
    for (text++; *text >= '0' && *text <= '9'; text++) { t.writes = t.writes * 10 + static_cast<unsigned>(*text - '0'); }
    return t;
  }
  // The streams nearest to it: of floats, but one byte read an element is an array of bytes.
  constexpr Mix mix(unsigned in_place = 0) const {
    return reads == 1 ? Mix{ 0, streams(writes), in_place, 1 } : Mix{ streams(reads), streams(writes), in_place };
  }
  // A kernel of so many arrays: what is read and written, and not twice an array, is in place; an array may be several streams.
  constexpr Mix mix_of(size_t arrays) const {
    const Mix all = mix();
    const size_t most = all.reads < all.writes ? all.reads : all.writes, count = all.reads + all.bytes + all.writes;
    const size_t twice = count > arrays ? count - arrays : 0;
    return mix(static_cast<unsigned>(twice < most ? twice : most));
  }
private:
  static constexpr unsigned streams(unsigned bytes) { return bytes > 0 && bytes < 4 ? 1 : (bytes + 2) / 4; }
};

} // namespace ceilings
#endif
