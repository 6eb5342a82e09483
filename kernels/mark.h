/* mark.h - sessions and models say where they are to the one table of kernels that keeps accounts (fedlane profile). */
#ifndef FEDLANE_MARK_H
#define FEDLANE_MARK_H
#include <fedlane/kernels.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Where the calls that follow on this thread belong: a part of a session's time; in it, inside a model's passes, the input, a
 * layer (which: its number), the loss. A part begins outside of all three (rest). */
typedef enum { FL_AT_GRADIENT, FL_AT_OPTIMIZER, FL_AT_AGGREGATION, FL_AT_EVALUATION, FL_AT_DIAGNOSTICS, FL_AT_OTHER, FL_AT_PARTS,
               FL_AT_REST = FL_AT_PARTS, FL_AT_INPUT, FL_AT_LOSS, FL_AT_FORWARD, FL_AT_BACKWARD } fl_at;

/* The table and whom it wants to be told; while there is none a mark costs a comparison. The process's own, without a lock: it is
 * set before a session with the table is opened. */
typedef struct { const fl_kernels *table; void (*tell)(fl_at, size_t which); } fl_marking;
extern fl_marking fl_marked;
static inline void fl_mark(const fl_kernels *k, fl_at where, size_t which) {
  if (k == fl_marked.table) { fl_marked.tell(where, which); }
}
#ifdef __cplusplus
}
#endif
#endif
