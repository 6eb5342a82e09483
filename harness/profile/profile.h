/* profile.h - accounts of a run by kernel and place: a table of kernels that count themselves, and what is made of the counts. */
#ifndef FEDLANE_PROFILE_H
#define FEDLANE_PROFILE_H
#include "harness/ceilings/ceilings.h"
#include "kernels/mark.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
#define FL_OP(family, name, ret, args, traffic, formula) FL_OP_##name,
#include <fedlane/ops.def>
  FL_OPS
};
/* What a call computes and moves. flops < 0: not known (work.h has no row); width: 2 where it counts in doubles, of which a
 * vector holds half as many. */
typedef struct { int64_t elements, flops, bytes, width; } fl_call_work;
/* By operation: its name, and of the registry's line what the ceilings need. known: work.h has a row. */
typedef struct { const char *family, *name, *traffic, *formula; unsigned arrays; int known; } fl_op_info;
extern const fl_op_info fl_op_table[FL_OPS];

/* ---- accounts ------------------------------------------------------------------------------------------------------------- */
/* Places: by part of the session (fl_at), and in it outside of layers, the input, the loss, each layer forward and backward. */
enum { FL_PLACE_REST, FL_PLACE_INPUT, FL_PLACE_LOSS, FL_PLACE_LAYERS, FL_PROFILE_LAYERS = 256,
       FL_PLACES = FL_PLACE_LAYERS + 2 * FL_PROFILE_LAYERS };
/* Of many short calls only some are timed (a quarter, by a hash of their number), all are counted. width: sum over calls. */
typedef struct { uint64_t calls, timed, ticks; int64_t elements, bytes, flops, width; } fl_account;
typedef struct { uint64_t visits[FL_AT_PARTS][FL_PLACES]; fl_account account[FL_AT_PARTS][FL_PLACES][FL_OPS]; } fl_accounts;

/* The table that counts in place of `real`, the process's one, its accounts at 0. threads: that ever call it, and no more than at
 * the first start. NULL: no memory, or more. */
const fl_kernels *fl_profile_start(const fl_kernels *real, int threads);
void fl_profile_reset(void);                               /* between rounds: every account to 0 */
void fl_profile_add(fl_accounts *sum);                     /* between rounds: the accounts of all threads, added */
uint64_t fl_profile_ticks(void);                           /* the counter that the calls are timed by */
double fl_profile_empty(void);                             /* ticks that an empty call would be given */
static inline size_t fl_place_of_layer(size_t layer, int backward) { return FL_PLACE_LAYERS + 2 * layer + (size_t)backward; }
#ifdef __cplusplus
}
#endif
#endif
