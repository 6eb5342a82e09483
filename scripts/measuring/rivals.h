/* rivals.h - what the programs that time other libraries beside ours share: a clock, one mapping for all operands, OpenBLAS. */
#ifndef FEDLANE_RIVALS_H
#define FEDLANE_RIVALS_H
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static inline double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void die(const char *what, const char *why) {
  fprintf(stderr, "rivals: %s: %s\n", what, why);
  exit(1);
}

/* `count` arrays of n floats: huge pages, each begins nine cache lines further behind a multiple of 4 KiB than the one before, as
 * those of `fedlane bench` do. All libraries work on the same. */
static inline void arrays(size_t count, size_t n, float **array) {
  const size_t page = (size_t)2 << 20, stride = (n + 1023) / 1024 * 1024 + 5 * 1024 + 144;
  const size_t size = (count * stride * sizeof(float) + page - 1) / page * page;
  void *map = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) { die("mmap", "no memory"); }
  float *base = (float *)(((uintptr_t)map + page - 1) / page * page);
  (void)madvise(base, size, MADV_HUGEPAGE); /* without them it is slower for all */
  memset(base, 0, size);
  for (size_t i = 0; i < count; i++) { array[i] = base + i * stride; }
}

/* A function of OpenBLAS, whose names begin with scipy_ in PyPI's library. */
static inline void openblas_function(void *library, const char *name, void *pointer) {
  char longer[64];
  snprintf(longer, sizeof longer, "scipy_%s", name);
  void *symbol = dlsym(library, longer);
  symbol = symbol ? symbol : dlsym(library, name);
  if (!symbol) { die(name, "not in OpenBLAS's library"); }
  memcpy(pointer, &symbol, sizeof symbol);
}

static inline void *openblas_load(const char *path, int threads) {
  void (*set_threads)(int);
  setenv("OPENBLAS_THREAD_TIMEOUT", "4", 1); /* its idle threads sleep instead of taking the next one's core */
  void *library = dlopen(path, RTLD_NOW);
  if (!library) { die(path, dlerror()); }
  openblas_function(library, "openblas_set_num_threads", &set_threads);
  set_threads(threads);
  return library;
}
static inline const char *openblas_version(void *library) {
  char *(*config)(void);
  openblas_function(library, "openblas_get_config", &config);
  return config();
}
#endif
