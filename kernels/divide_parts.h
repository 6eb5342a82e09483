/* divide_parts.h - how calls are divided: even ranges, and subtrees of the fixed tree. */
#ifndef FL_DIVIDE_PARTS_H
#define FL_DIVIDE_PARTS_H
#include <fedlane/divide.h>

typedef void (*fl_part)(void *arg, size_t i);

/* What the calling thread uses, NULL: nothing; and the table that computes its parts. */
const fl_division *fl_divided_here(void);
const fl_kernels *fl_divided_kernels(void);
void fl_divided_alone(const fl_kernels *);                /* where no thread's division says which */

/* Parts of `units` that cannot be divided and `work` elements in all: at most one a worker, 1 where it does not pay. */
size_t fl_divided_count(size_t units, size_t work);
static inline size_t fl_divided_cut(size_t units, size_t parts,
                                    size_t i) { return units / parts * i + units % parts * i / parts; }
/* body(arg, i) for all parts: by the team, or one after the other. */
void fl_divided_run(size_t parts, fl_part body, void *arg);

/* ---- ranges -------------------------------------------------------------------------------------------------------------- */
typedef struct { const fl_kernels *k; size_t n, unit, parts; } fl_ranges;
/* n of something, in multiples of `unit`. */
fl_ranges fl_ranges_of(size_t n, size_t unit, size_t work);
static inline size_t fl_ranges_from(const fl_ranges *r, size_t i) {
  const size_t at = fl_divided_cut((r->n + r->unit - 1) / r->unit, r->parts, i) * r->unit;
  return i < r->parts && at < r->n ? at : r->n;
}
/* Scratch of `floats` for each of the parts; where there is not so much the call is one part, whose scratch is `own`. */
typedef struct { float *own, *memory; size_t floats; } fl_scratch;
fl_scratch fl_ranges_scratch(fl_ranges *r, float *own, size_t floats);
static inline float *fl_scratch_at(const fl_scratch *s, size_t i) { return s->memory ? s->memory + i * s->floats : s->own; }

/* A kernel over n elements or rows. members: its other arguments, as they are declared, which P and Q find again; call: those
 * of a part, `n` elements or rows from `from` on. */
#define FL_OPEN(...) __VA_ARGS__
#define P(p) (j->p ? j->p + from : NULL)
#define Q(p, step) (j->p ? j->p + from * (step) : NULL)
#define FL_RANGE(name, params, size, unit, work, members, values, call) \
  typedef struct { fl_ranges r; FL_OPEN members } job_##name; \
  static void part_##name(void *arg, size_t i) { \
    const job_##name *j = arg; \
    const size_t from = fl_ranges_from(&j->r, i), n = fl_ranges_from(&j->r, i + 1) - from; \
    j->r.k->name call; \
  } \
  void fl_divided_##name params { \
    job_##name j = { fl_ranges_of(size, unit, work), FL_OPEN values }; \
    fl_divided_run(j.r.parts, part_##name, &j); \
  }

/* ---- subtrees ------------------------------------------------------------------------------------------------------------ */
/* Sums over n rows (or samples), added in pieces of `piece` by the fixed tree: parts compute aligned subtrees, `group` pieces
 * each (the last one what is left), and the tree's upper nodes add them. out: where the sums go, up to two vectors; those of
 * the first subtree lie there, of the others in the scratch. */
typedef struct fl_subtrees {
  const fl_kernels *k;
  size_t n, piece, group, count, parts;
  float *out[2]; size_t size[2];                /* NULL: not wanted */
  float *partial, *work; size_t stride, work_floats;
  void (*sum)(const struct fl_subtrees *, size_t from, size_t n, float *const out[2], float *work);
  void (*join)(const struct fl_subtrees *, float *const left[2], float *const right[2], size_t left_n, size_t right_n);
  const void *job;
} fl_subtrees;
/* work: elements in all; scratch: floats that a part needs for itself, own: the caller's, if there is but one part. */
void fl_subtrees_run(fl_subtrees *t, size_t work, size_t scratch, float *own);

/* The largest power of two below n > 1. */
static inline size_t fl_left_of(size_t n) {
  size_t left = 1;
  while (2 * left < n) left *= 2;
  return left;
}
/* Leaves of a subtree, a power of two, when about three subtrees a part are wanted. */
size_t fl_divided_group(size_t leaves, size_t parts);

/* gemm_team.c */
typedef enum { FL_FORM_NN, FL_FORM_NT, FL_FORM_TN, FL_FORM_NN_ADD, FL_FORM_TN_ADD } fl_form;
typedef struct {
  const fl_kernels *k;
  fl_form form;
  size_t m, n, d;               /* d: products an output */
  const float *a;
  size_t lda;
  const float *b;
  size_t ldb;
  float *c;
  size_t ldc, piece;
} fl_gemm_job;
void fl_gemm_divide(const fl_gemm_job *, const fl_team *, size_t least);   /* least: products of a part */

#define FL_OP(family, name, ret, args, traffic, formula) ret fl_divided_##name args;
#include <fedlane/ops.def>
#endif
