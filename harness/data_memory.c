/* data_memory.c - memory of data sets, apart from what reads their files: a population that is made needs no more. */
#include "harness/data.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21 };
void *fl_pixels_alloc(size_t n) {
  if (n < HUGE_PAGE) return malloc(n);
  const size_t size = n + (size_t)(-n % HUGE_PAGE);
  void *p = size < n ? NULL : aligned_alloc(HUGE_PAGE, size);
  if (p) madvise(p, size, MADV_HUGEPAGE);       /* a wish: without it the same bytes on small pages */
  return p;
}

void fl_samples_free(fl_samples *s) {
  const void *const own[] = { s->pixels, s->label, s->features, s->tokens, s->begin, s->column, s->value,
                             s->label32 };
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) free((void *)(uintptr_t)own[i]);
  *s = (fl_samples){ 0 };
}

void fl_dataset_free(fl_dataset *d) {
  fl_samples_free(&d->train);
  fl_samples_free(&d->test);
  free(d->client);
  free(d->unlabelled);
  free(d->value);
  free(d->population);
  *d = (fl_dataset){ 0 };
}
