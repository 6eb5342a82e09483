/* team.c - see team.h. */
#include "team.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef FL_HAVE_NUMA
#include <numa.h>
#endif

double fl_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- threads ---------------------------------------------------------------------------------------------------------- */
static long read_long(const char *path) {
  FILE *f = fopen(path, "r");
  long v = -1;
  if (f) {
    if (fscanf(f, "%ld", &v) != 1) v = -1;
    fclose(f);
  }
  return v;
}

/* Cores by (package, core id) of the allowed CPUs; every CPU counts where the kernel does not say. */
static int physical_cores(void) {
  cpu_set_t set;
  int n = 0;
  long seen[CPU_SETSIZE];
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  for (int c = 0; c < CPU_SETSIZE; c++) {
    char path[128];
    if (!CPU_ISSET(c, &set)) continue;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", c);
    const long core = read_long(path);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", c);
    const long id = core < 0 ? -1000000L - c : core + 65536 * read_long(path);
    int known = 0;
    for (int i = 0; i < n; i++) known |= seen[i] == id;
    if (!known) seen[n++] = id;
  }
  return n > 0 ? n : 1;
}

/* CPUs that the cgroup's quota pays for, or 0 without a quota. */
static int quota(void) {
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
  long q = 0, period = 0;
  if (f) {
    if (fscanf(f, "%ld %ld", &q, &period) != 2) q = 0;
    fclose(f);
  } else {
    q = read_long("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    period = read_long("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  return q > 0 && period > 0 ? (int)((q + period - 1) / period) : 0;
}

int fl_default_threads(void) {
  const int cores = physical_cores(), q = quota();
  return q > 0 && q < cores ? q : cores;
}

/* ---- barrier ---------------------------------------------------------------------------------------------------------- */
void fl_barrier_init(fl_barrier *b, int n) {
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->wake, NULL);
  b->n = n;
  atomic_init(&b->waiting, 0);
  atomic_init(&b->generation, 0);
}
void fl_barrier_free(fl_barrier *b) {
  pthread_mutex_destroy(&b->lock);
  pthread_cond_destroy(&b->wake);
}
void fl_barrier_wait(fl_barrier *b) {
  const unsigned mine = atomic_load(&b->generation);
  if (atomic_fetch_add(&b->waiting, 1) + 1 == b->n) {
    pthread_mutex_lock(&b->lock);
    atomic_store(&b->waiting, 0);
    atomic_fetch_add(&b->generation, 1);
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
    return;
  }
  const double until = fl_now() + 20e-6;
  while (atomic_load(&b->generation) == mine) {
    if (fl_now() < until) continue;
    pthread_mutex_lock(&b->lock);
    while (atomic_load(&b->generation) == mine) pthread_cond_wait(&b->wake, &b->lock);
    pthread_mutex_unlock(&b->lock);
  }
}

/* ---- arenas ------------------------------------------------------------------------------------------------------------ */
enum { HUGE_PAGE = 2 << 20 };

int fl_arena_open(fl_arena *a, size_t bytes) {
  const size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  memset(a, 0, sizeof *a);
  if (!size) return 0;
  void *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return -1;
  const uintptr_t start = ((uintptr_t)p + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, begin = (uintptr_t)p;
  if (start > begin) munmap(p, start - begin);
  munmap((void *)(start + size), begin + HUGE_PAGE - start);
  a->base = (unsigned char *)start;
  a->size = size;
  madvise(a->base, size, MADV_HUGEPAGE);
#ifdef FL_HAVE_NUMA
  if (numa_available() >= 0 && numa_max_node() > 0) numa_setlocal_memory(a->base, size);
#endif
  return 0;
}
void *fl_arena_take(fl_arena *a, size_t bytes) {
  const size_t n = fl_arena_round(bytes);
  if (a->used + n > a->size) return NULL;
  void *p = a->base + a->used;
  a->used += n;
  return p;
}
void fl_arena_close(fl_arena *a) {
  if (a->base) munmap(a->base, a->size);
  memset(a, 0, sizeof *a);
}
