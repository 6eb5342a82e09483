/* ceilings.h - what the machine can do at most: loops that `fedlane bench` and `fedlane profile` time beside the kernels. */
#ifndef FEDLANE_CEILINGS_H
#define FEDLANE_CEILINGS_H
#include <fedlane/kernels.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- bandwidth: for each mix of streams loops that do next to nothing with what they read --------------------------------- */
enum { FL_STREAM_COPY, FL_STREAM_ADD, FL_STREAM_TRIAD, FL_STREAM_FORMS };
typedef void fl_stream_loop(size_t n, const float *const *in, float *const *out);
/* By form, stored plainly and past the caches, where the machine can and there is an output. */
typedef struct { fl_stream_loop *plain[FL_STREAM_FORMS], *past[FL_STREAM_FORMS]; } fl_stream_loops;
/* Arrays of floats read and written side by side, how many of them are both; arrays of bytes that are read as well. */
typedef struct { unsigned reads, writes, in_place, bytes; } fl_streams;
#if defined(__x86_64__)
enum { FL_CAN_PASS = 1 };
#else
enum { FL_CAN_PASS = 0 };
#endif
/* Of a mix that a kernel of the registry has. */
fl_stream_loops fl_stream_loops_of(fl_streams, fl_isa);
/* Of a line of the registry, whose kernel has so many arrays: what is read and written, and not twice an array, is in place. */
fl_streams fl_streams_of(const char *traffic, size_t arrays);
/* What a loop takes of the mix's arrays: fresh outputs first, as the kernels' arguments are (a store's address must not be that
 * of a later load but for the page). */
void fl_streams_place(fl_streams, float *const *array, size_t begin, const float **in, float **out);

/* Bytes of the core's cache of this level; a usual size where the system does not say. */
size_t fl_cache_bytes(unsigned level);

/* ---- arithmetic: chains that hide the latency; a turn is so many operations on each lane ---------------------------------- */
enum { FL_COMPUTE_TURN = 24000 };
typedef struct {
  fl_isa isa;
  double lanes;
  float (*fma)(int64_t turns), (*div)(int64_t turns), (*sqrt)(int64_t turns), (*both)(int64_t turns);
} fl_compute_loops;
const fl_compute_loops *fl_compute_loops_of(fl_isa);      /* NULL: none */

/* Divisions or square roots an element, from a step's formula in the registry: how often `what` stands in it. */
unsigned fl_formula_count(const char *formula, const char *what);
/* Floats from one of a set of arrays, n floats each, to the next: they begin at odd multiples of cache lines (at multiples of 4
 * KiB loads would wait for unrelated stores), and pages between them keep streams of a power of two out of the same sets of a
 * cache and the same banks of memory. */
static inline size_t fl_stream_stride(size_t n) { return (n + 1023) / 1024 * 1024 + 5 * 1024 + 16 * 9; }
#ifdef __cplusplus
}
#endif
#endif
