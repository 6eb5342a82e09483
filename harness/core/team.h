/* team.h - what the round needs of the machine: threads, a barrier, arenas, clocks. */
#ifndef FEDLANE_TEAM_H
#define FEDLANE_TEAM_H
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { FL_EVAL_ROWS = 64 };                     /* rows of one call of evaluate: every worker has room for them */
/* Monotonic seconds. */
double fl_now(void);
/* Physical cores of the affinity mask, not above the cgroup's quota; at least 1. */
int fl_default_threads(void);

/* Spins at most 20 us, then sleeps: a barrier that only spins costs a neighbour's time slice when a core is shared. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int n;
  atomic_int waiting;
  atomic_uint generation;
} fl_barrier;
void fl_barrier_init(fl_barrier *, int n);
void fl_barrier_free(fl_barrier *);
void fl_barrier_wait(fl_barrier *);

/* One block of memory, 2 MiB aligned, huge pages advised, on the calling thread's node; carved up 64-byte aligned. */
typedef struct { unsigned char *base; size_t size, used; } fl_arena;
int fl_arena_open(fl_arena *, size_t bytes);              /* 0, or -1: no memory. Zeroed by first touch. */
void *fl_arena_take(fl_arena *, size_t bytes);            /* never NULL when the sizes added up */
void fl_arena_close(fl_arena *);
static inline size_t fl_arena_round(size_t bytes) { return (bytes + 63) / 64 * 64; }
#endif
