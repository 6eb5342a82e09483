/* pool.c - tests of pooling over windows of any size, stride and padding, forward and back. */
#include "check.h"
#include <math.h>
#include <stdlib.h>

#define OUT(type, n) { 'o', type, (n), NULL, -1, 0, 0 }
#define IN(type, n, init) { 'i', type, (n), (init), -1, 0, 0 }
#define COUNT(x) (sizeof(x) / sizeof *(x))
enum { MAX, MAX_BACK, AVG, AVG_BACK };

/* { h, w, k, stride, pad, count_pad }: windows that overlap, that leave gaps, of one place, of the whole plane; more columns than
 * a vector; a stride beyond the plane */
static const fl_pool pools[] = {
  { 4, 6, 2, 2, 0, 1 }, { 9, 7, 3, 2, 1, 1 }, { 9, 7, 3, 2, 1, 0 }, { 8, 8, 3, 1, 1, 0 }, { 11, 19, 3, 1, 0, 1 },
  { 7, 10, 2, 3, 1, 0 }, { 13, 40, 5, 3, 2, 0 }, { 6, 5, 1, 1, 0, 1 }, { 6, 35, 1, 2, 0, 1 }, { 1, 1, 1, 1, 0, 1 },
  { 1, 1, 2, 2, 1, 0 }, { 1, 20, 3, 2, 1, 0 }, { 7, 7, 7, 7, 0, 1 }, { 5, 70, 4, 4, 2, 0 }, { 3, 34, 2, 1, 1, 1 },
  { 10, 33, 2, 5, 0, 1 }, { 8, 9, 8, 50, 4, 0 }, { 33, 31, 3, 2, 1, 1 } };
/* more than a block of the kernel takes */
static const fl_pool wide[] = { { 5, 3000, 3, 1, 1, 0 }, { 20, 300, 16, 1, 8, 0 }, { 40, 130, 16, 16, 8, 1 },
                                { 300, 40, 3, 2, 1, 0 } };
/* of the mean alone: a place is a byte */
static const fl_pool large[] = { { 70, 90, 64, 1, 32, 0 }, { 130, 200, 64, 63, 0, 1 }, { 64, 64, 64, 1, 0, 1 } };
static const size_t planes[] = { 1, 3, 5 };

static void call_max(const fl_kernels *k, call *c) { k->max_pool(c->param, c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_max_back(const fl_kernels *k, call *c) { k->max_pool_back(c->param, c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_avg(const fl_kernels *k, call *c) { k->avg_pool(c->param, c->s[0], c->p[0], c->p[1]); }
static void call_avg_back(const fl_kernels *k, call *c) { k->avg_pool_back(c->param, c->s[0], c->p[0], c->p[1]); }

static void one_pool(check *t, int which, const fl_pool *s, size_t n, int kind) {
  const size_t in = n * s->h * s->w, out = n * fl_pool_oh(s) * fl_pool_ow(s);
  const int back = which == MAX_BACK || which == AVG_BACK;
  float *x = malloc((in + out + 1) * sizeof *x);
  if (!x) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  fill_float(t, x, back ? out : in, kind);
  for (size_t i = 0; which == MAX && i < in; i++) {
    if (kind == KIND_SPECIAL && i < in / 2 && i % 7) { x[i] = -INFINITY; }    /* whole windows */
    if (kind == KIND_FINITE) { x[i] = (float)(i * 5 % 3) - 1.0f; }            /* equals */
  }
  const arg max[] = { IN('f', in, x), OUT('f', out), OUT('b', out) }, avg[] = { IN('f', in, x), OUT('f', out) };
  const arg max_back[] = { IN('f', out, x), IN('b', out, some_bytes(t, 0, out, (unsigned)(s->k * s->k))), OUT('f', in) };
  const arg avg_back[] = { IN('f', out, x), OUT('f', in) };
  call c = { .s = { n }, .param = s };
  char what[128];
  snprintf(what, sizeof what, "planes=%zu %zux%zu k=%zu stride=%zu pad=%zu%s kind=%d", n, s->h, s->w, s->k, s->stride, s->pad,
           s->count_pad ? "" : " count_pad=no", kind);
  if (which == MAX) { run_case(t, what, call_max, &c, 3, max); }
  else if (which == MAX_BACK) { run_case(t, what, call_max_back, &c, 3, max_back); }
  else if (which == AVG) { run_case(t, what, call_avg, &c, 2, avg); }
  else { run_case(t, what, call_avg_back, &c, 2, avg_back); }
  free(x);
}

static void all_pools(check *t, int which) {
  const int mean = which == AVG || which == AVG_BACK;
  one_pool(t, which, &pools[1], 0, KIND_UNIFORM);
  for (size_t i = 0; i < COUNT(pools); i++) {
    for (int kind = 0; kind < KINDS; kind++) {
      if (!t->quick) { one_pool(t, which, &pools[i], 23, kind); }
      for (size_t j = 0; j < COUNT(planes); j++) {
        if (!t->quick || j == (i + (size_t)kind) % COUNT(planes)) { one_pool(t, which, &pools[i], planes[j], kind); }
      }
    }
  }
  for (size_t i = 0; !t->quick && i < COUNT(wide); i++) {
    for (int kind = 0; kind < KINDS; kind++) { one_pool(t, which, &wide[i], 2, kind); }
  }
  for (size_t i = 0; mean && !t->quick && i < COUNT(large); i++) {
    one_pool(t, which, &large[i], 1, KIND_UNIFORM);
    one_pool(t, which, &large[i], 2, KIND_SPECIAL);
  }
}
void check_max_pool(check *t) { all_pools(t, MAX); }
void check_max_pool_back(check *t) { all_pools(t, MAX_BACK); }
void check_avg_pool(check *t) { all_pools(t, AVG); }
void check_avg_pool_back(check *t) { all_pools(t, AVG_BACK); }
