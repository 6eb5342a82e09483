/* sizes.h - sizes that the decompositions share. */
#ifndef FL_MATRIX_SIZES_H
#define FL_MATRIX_SIZES_H
#include <fedlane/kernels.h>

#define PANEL_SQUARE ((size_t)FL_PANEL * FL_PANEL)

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
/* From row to row of a work matrix: whole panels, and no power of two, since rows must not share cache sets. */
static inline size_t row_floats(size_t n) { return round_up(n, FL_PANEL) + 16; }
#endif
