/* divide.h - kernels that divide one call over several threads: the same bits, sooner. For one model on more threads than
 * there are clients; a program that trains as many models as it has threads needs none of this.
 *
 * A division is a team of threads, a table that computes the parts, and scratch for them. A table made by fl_divided_table
 * has the functions of another one, which divide themselves over the division that the calling thread uses:
 *
 *   const fl_kernels *k = fl_kernels_select(NULL, &error);
 *   fl_kernels table;
 *   fl_divided_table(k, &table);
 *   fl_crew *crew = fl_crew_open(2);                  then, on another thread:  fl_crew_serve(crew);
 *   fl_division division = { .k = k, .team = fl_crew_team(crew), .memory = memory, .floats = floats };
 *   fl_divide_over(&division);
 *   table.conv_forward(...);                          both threads compute it
 *   fl_divide_over(NULL), fl_crew_dismiss(crew);      the other thread returns; join it, then fl_crew_close(crew)
 *
 * What a call is divided into (elements, rows, samples, channels, subtrees of the fixed tree) follows from its shape and the
 * number of workers, never from timing, and no choice shows in the bits. A call that is too small, or whose parts need more
 * scratch than there is, and every kernel marked SERIAL in kernels/divide_table.c, is computed by the calling thread. */
#ifndef FEDLANE_DIVIDE_H
#define FEDLANE_DIVIDE_H
#include <fedlane/kernels.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const fl_kernels *k;          /* of the parts, no table of fl_divided_table; NULL: the `k` that had that last */
  fl_team team;                 /* whose threads have the floating-point environment of fl_fpenv_enter */
  float *memory; size_t floats; /* scratch of all parts, 64-byte aligned; a convolution takes fl_conv_work of its part for each */
  size_t least;                 /* elements of a part below which a call is not divided; 0: what pays */
} fl_division;

/* The table `k` with kernels that divide themselves. On a thread that uses no division they are those of the `k` given last. */
void fl_divided_table(const fl_kernels *k, fl_kernels *table);
/* What this thread's calls are divided over from now on (NULL: nothing); it must outlive its use. */
void fl_divide_over(const fl_division *);

/* A team out of threads that the caller has, of a parallel region, say: one leads and calls kernels, the others serve. Between
 * two calls they spin for a moment, then sleep. */
typedef struct fl_crew fl_crew;
fl_crew *fl_crew_open(size_t workers);                    /* the leader among them; NULL: no memory */
fl_team fl_crew_team(fl_crew *);                          /* `each` is for the leader alone */
double fl_crew_serve(fl_crew *);                          /* until dismissed; the seconds in which it computed */
void fl_crew_dismiss(fl_crew *);                          /* by the leader; all return before any of them serves again */
void fl_crew_close(fl_crew *);                            /* when all have returned */
#ifdef __cplusplus
}
#endif
#endif
