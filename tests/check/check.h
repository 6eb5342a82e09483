/* check.h - fedlane-check: one case = one call of one kernel on guarded buffers, through the table under test and through
 * the scalar table, compared bit for bit. Test functions are named check_<op>; the list is made from ops.def, so an
 * operation without one does not link. */
#ifndef FEDLANE_CHECK_H
#define FEDLANE_CHECK_H
#include <fedlane/kernels.h>
#include <stdio.h>

#define MAX_ARGS 12
/* timed: no sign, as a second moment has none */
enum { KIND_UNIFORM, KIND_WIDE, KIND_FINITE, KIND_SPECIAL, KIND_DENORMAL, KINDS, KIND_TIMED = KINDS };

/* What a kernel call gets: pointers in the order of `arg`, and numbers. */
typedef struct { size_t s[8]; float f[4]; void *p[MAX_ARGS]; const void *param; double ret; } call;
typedef void (*caller)(const fl_kernels *, call *);

/* One array: role 'i' read only, 'o' written only, 'x' read and written, 's' scratch; type 'f' float, 'u' uint32,
 * 'l' int32, 'b' byte, 'd' double; the same memory as argument `alias` when that is >= 0; with ld, rows of `row` elements ld
 * apart whose gaps must stay untouched. init NULL: filled with the pattern. */
typedef struct { char role, type; size_t n; const void *init; int alias; size_t row, ld; } arg;

/* --bench runs an operation's cases twice: first to find the one with the most elements, then to time that one. */
enum { TIMED_LENGTH = 1024 };    /* of element-wise operations: in the first cache */
typedef struct { int find; size_t at, wanted, elements; double longest, ns, scalar_ns; } timing;

typedef struct check {
  const fl_kernels *ref, *dut;
  uint64_t seed, rng;
  const char *op;
  size_t cases, failures;
  int quiet, quick;              /* quick: fewer lengths (golden hashes, self-test) */
  void *description;             /* not NULL: cases are looked at (describe.c), not run */
  void *sha;                     /* not NULL: results of `dut` go into this digest, nothing is compared */
  timing *timing;                /* not NULL: nothing is compared */
} check;

uint32_t rnd(check *);
size_t rnd_below(check *, size_t n);
void fill_float(check *, float *p, size_t n, int kind);
const float *some_floats(check *, int slot, size_t n, int kind);   /* valid until the slot is asked for again; slot < 8 */
const uint8_t *some_bytes(check *, int slot, size_t n, unsigned below);
size_t next_length(const check *, size_t previous);                /* 0..257, then long ones; SIZE_MAX after the last */
void run_case(check *, const char *what, caller, call *, size_t nargs, const arg *);
void expect_bits(check *, const char *what, const float *got, const float *want, size_t n);
void fail(check *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void elementwise(check *, caller, const call *proto, const char *roles, const char *const *aliases);

typedef struct { const char *family, *name; void (*run)(check *); } op_test;
extern const op_test op_tests[];
extern const size_t op_count;
void run_op(check *, const op_test *);

int self_test(uint64_t seed);
int describe(const fl_kernels *);
void describe_case(check *, caller, call *, size_t nargs, const arg *);
int bench(const fl_kernels *, const fl_kernels *scalar, char *const *word, int words);
void time_case(check *, caller, call *, size_t nargs, const arg *);
void place_for_timing(call *, size_t nargs, const arg *);         /* fills the arrays, which stay where they are */
int print_hashes(const fl_kernels *, FILE *);
int wanted(const op_test *, char *const *word, int words);        /* named, its family is, or no word was given */
int compare_golden(const fl_kernels *, const char *path, char *const *word, int words);
#define FL_OP(family, name, ret, args, traffic, formula) void check_##name(check *);
#include <fedlane/ops.def>
/* Functions built on a table are checked, hashed and listed as its members are.
 * TEST(name, formula, arrays in the order of its test, scratch of an n x n matrix) */
#define MATRIX_TESTS(TEST) \
  TEST(newton_schulz, "quintic Newton-Schulz iteration", "u o work", fl_newton_schulz_work(n, n)) \
  TEST(qr, "a = q r", "a q r work", fl_qr_work(n, n)) TEST(eigh, "a = v diag(w) v^T", "a v w work", fl_eigh_work(n)) \
  TEST(inverse_root, "u diag(max(w, 0) + ridge)^(-1/p) u^T", "a out - work", fl_inverse_root_work(n)) \
  TEST(cholesky, "a = l l^T", "a l - work", fl_cholesky_work(n)) \
  TEST(orthogonal_iteration, "q of s q = q r", "s q work", fl_orthogonal_iteration_work(n))
#define MATRIX_TEST(name, formula, arrays, scratch) void check_##name(check *);
MATRIX_TESTS(MATRIX_TEST)
#undef MATRIX_TEST
#endif
