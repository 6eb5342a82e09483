/* run.c - guarded memory, one case, comparison. */
#include "check.h"
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <openssl/evp.h>

enum { REFERENCE = 0xA5, UNDER_TEST = 0x5A };   /* bytes that fill what a case does not */
#define MARGIN 128u                       /* canary bytes on both sides inside the mapping */
enum { AT_END, AT_START, UNALIGNED, PLACES };
static const char *const place_name[PLACES] = { "before a guard page", "after a guard page", "unaligned" };

typedef struct { uint8_t *base, *map; size_t size, total; } slot;
static slot slots[MAX_ARGS];
static sigjmp_buf escape, escape_op;
static volatile sig_atomic_t armed, armed_op;
static void *volatile fault_address;

uint32_t rnd(check *t) { /* splitmix64 */
  uint64_t z = t->rng += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) >> 32);
}
size_t rnd_below(check *t, size_t n) { return (size_t)(((uint64_t)rnd(t) * n) >> 32); }

static float of_bits(uint32_t u) { float f; memcpy(&f, &u, sizeof f); return f; }

static float random_float(check *t, int kind) {
  static const uint32_t special[] = { 0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x00000001, 0x807fffff,
                                      0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000 };
  const uint32_t u = rnd(t), sign = u & 0x80000000u, fraction = rnd(t) & 0x7fffffu;
  switch (t->timing && kind != KIND_TIMED ? KIND_UNIFORM : kind) { /* denormal numbers have times of their own */
    case KIND_WIDE: return of_bits(sign | ((100 + u % 50) << 23) | fraction);
    case KIND_FINITE: return of_bits(sign | ((u % 255) << 23) | fraction);
    case KIND_DENORMAL: return of_bits(sign | ((u % 4 == 0 ? 1u + (u >> 8) % 24 : 0) << 23) | fraction);
    case KIND_SPECIAL: if (u % 4 == 0) { return of_bits(special[(u >> 8) % 12]); } break;
    case KIND_TIMED: return (float)(u >> 8) * 0x1p-24f;
    default: break;
  }
  return (float)((int32_t)(u >> 8) - (1 << 23)) * 0x1p-23f;
}

void fill_float(check *t, float *p, size_t n, int kind) {
  for (size_t i = 0; i < n; i++) { p[i] = random_float(t, kind); }
}

static void *pool(int which, size_t bytes) {
  static void *memory[16];
  static size_t have[16];
  if (bytes > have[which]) {
    free(memory[which]);
    have[which] = bytes * 2;
    memory[which] = malloc(have[which]);
    if (!memory[which]) { fprintf(stderr, "fedlane-check: out of memory (%zu bytes)\n", have[which]); exit(1); }
  }
  return memory[which];
}

const float *some_floats(check *t, int which, size_t n, int kind) {
  float *p = pool(which, (n + 1) * sizeof *p);
  fill_float(t, p, n, kind);
  return p;
}

const uint8_t *some_bytes(check *t, int which, size_t n, unsigned below) {
  uint8_t *p = pool(8 + which, n + 1);
  for (size_t i = 0; i < n; i++) { p[i] = (uint8_t)rnd_below(t, below); }
  return p;
}

size_t next_length(const check *t, size_t n) {
  static const size_t far[] = { 4095, 4096, 4097, 10000, 20481 };
  const size_t last = t->quick ? 70 : 257;
  if (n < last) { return n + 1; }
  for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
    if (far[i] > n) { return far[i]; }
  }
  return SIZE_MAX;
}

void fail(check *t, const char *format, ...) {
  t->failures++;
  if (t->quiet || t->failures > 5) { return; } /* the first few say enough */
  va_list ap;
  va_start(ap, format);
  printf("FAIL %s: ", t->op);
  vprintf(format, ap);
  printf("\n");
  va_end(ap);
}

/* ---- guarded memory --------------------------------------------------------------------------------------------------- */
static size_t width(const arg *a) { return a->type == 'b' ? 1 : a->type == 'd' ? 8 : 4; }

static void need(slot *s, size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + 2 * MARGIN + 64 + page - 1) / page * page;
  if (size <= s->size) { return; }
  if (s->map) { munmap(s->map, s->total); }
  s->size = size;
  s->total = size + 2 * page;
  s->map = mmap(NULL, s->total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (s->map == MAP_FAILED || mprotect(s->map + page, size, PROT_READ | PROT_WRITE)) {
    perror("fedlane-check: mmap");
    exit(1);
  }
  s->base = s->map + page;
}

static uint8_t *place(slot *s, const arg *a, int where, unsigned offset) {
  const size_t bytes = a->n * width(a);
  need(s, bytes);
  if (where == AT_END) { return s->base + s->size - bytes; }
  return where == AT_START ? s->base : s->base + 64 + offset * width(a);
}

static size_t margin_before(const slot *s, const uint8_t *p) {
  const size_t d = (size_t)(p - s->base);
  return d < MARGIN ? d : MARGIN;
}
static size_t margin_after(const slot *s, const uint8_t *p, size_t bytes) {
  const size_t d = (size_t)(s->base + s->size - p) - bytes;
  return d < MARGIN ? d : MARGIN;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  if (!armed && !armed_op) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  fault_address = info->si_addr;
  if (armed) { siglongjmp(escape, number); }
  siglongjmp(escape_op, number);
}

static void install_handlers(void) {
  static int done;
  static uint8_t stack[65536];
  if (done) { return; }
  done = 1;
  const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, NULL);
  struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
  for (int i = 0; i < 4; i++) { sigaction(numbers[i], &action, NULL); }
}

static int guarded_call(caller f, const fl_kernels *k, call *c) {
  install_handlers();
  const int number = sigsetjmp(escape, 1);
  if (number) {
    armed = 0;
    return number;
  }
  armed = 1;
  f(k, c);
  armed = 0;
  return 0;
}

/* The whole test of one operation; what it calls outside run_case may crash as well. The stream of inputs starts anew from
 * the seed and the name, so that an operation alone sees what it sees in a full run. */
void run_op(check *t, const op_test *op) {
  t->op = op->name;
  t->cases = t->failures = 0;
  t->rng = t->seed;
  for (const char *c = op->name; *c; c++) { t->rng = t->rng * 0x100000001b3u ^ (uint8_t)*c; }
  install_handlers();
  const int number = sigsetjmp(escape_op, 1);
  if (number) {
    armed_op = 0;
    fail(t, "crashed: %s at address %p", strsignal(number), fault_address);
    return;
  }
  armed_op = 1;
  op->run(t);
  armed_op = 0;
  if (!t->cases) { fail(t, "has no case"); }
}

/* ---- one run of one case ---------------------------------------------------------------------------------------------- */
static void set_up(slot *s, uint8_t *p, const arg *a, uint8_t pattern) {
  const size_t bytes = a->n * width(a), before = margin_before(s, p);
  memset(p - before, pattern, before + bytes + margin_after(s, p, bytes));
  /* Scratch: +0 for the reference, NaN for the table under test, so that what is read before it was written shows. */
  if (a->role == 's' && bytes) { memset(p, pattern == UNDER_TEST ? 0xFF : 0, bytes); }
  if (a->init && bytes) { memcpy(p, a->init, bytes); }
}

static void report_crash(check *t, const char *what, const char *table, int number, size_t nargs, const arg *a, const call *c) {
  const uint8_t *at = fault_address;
  for (size_t i = 0; i < nargs; i++) {
    const slot *s = &slots[i];
    const uint8_t *p = c->p[i], *end = p + a[i].n * width(&a[i]);
    if (number == SIGSEGV && a[i].alias < 0 && at >= s->map && at < s->map + s->total) {
      fail(t, "%s: %s: %s: access %td bytes %s argument %zu", what, table, strsignal(number), at >= end ? at - end : p - at,
           at >= end ? "past the end of" : "before", i);
      return;
    }
  }
  fail(t, "%s: %s crashed: %s at address %p", what, table, strsignal(number), fault_address);
}

static int same_element(const arg *a, const uint8_t *got, const uint8_t *want, size_t i) {
  const size_t w = width(a);
  if (!memcmp(got + w * i, want + w * i, w)) { return 1; }
  float x, y;
  double dx, dy;
  if (a->type == 'd') {
    memcpy(&dx, got + 8 * i, 8);
    memcpy(&dy, want + 8 * i, 8);
    return dx != dx && dy != dy;
  }
  if (a->type != 'f') { return 0; }
  memcpy(&x, got + 4 * i, 4);
  memcpy(&y, want + 4 * i, 4);
  return x != x && y != y;
}

static uint64_t element(const arg *a, const uint8_t *p, size_t i) {
  uint64_t u = 0;
  memcpy(&u, p + width(a) * i, width(a));
  return u;
}

/* Gaps and inputs must hold what they held; outputs what the reference gives. 0 when all is well. */
static int compare_arg(check *t, const char *what, const char *where, size_t number, const arg *a, const uint8_t *p,
                       const uint8_t *want, uint8_t pattern) {
  for (size_t i = 0; i < a->n; i++) {
    const int gap = a->ld && i % a->ld >= a->row;
    if (gap ? element(a, p, i) != (UINT64_C(0x0101010101010101) * pattern >> (64 - 8 * width(a)))
        : !same_element(a, p, want, i)) {
      fail(t, "%s, %s: %s argument %zu element %zu of %zu is %0*" PRIx64 ", not %0*" PRIx64, what, where,
           gap ? "gap of" : a->role == 'i' ? "changed input," : "", number, i, a->n, 2 * (int)width(a), element(a, p, i),
           2 * (int)width(a), element(a, want, i));
      return 1;
    }
  }
  return 0;
}

static int margins_hold(check *t, const char *what, const char *where, size_t number, const arg *a, const uint8_t *p,
                        uint8_t pattern) {
  const slot *s = &slots[number];
  const size_t bytes = a->n * width(a), before = margin_before(s, p), after = margin_after(s, p, bytes);
  for (size_t i = 1; i <= before; i++) {
    if (*(p - i) != pattern) { fail(t, "%s, %s: write %zu bytes before argument %zu", what, where, i, number); return 0; }
  }
  for (size_t i = 0; i < after; i++) {
    if (p[bytes + i] != pattern) {
      fail(t, "%s, %s: write %zu bytes past the end of argument %zu", what, where, i, number);
      return 0;
    }
  }
  return 1;
}

static int run_once(check *t, const char *what, const fl_kernels *k, caller f, call *c, size_t nargs, const arg *a, int where,
                    uint8_t pattern) {
  for (size_t i = 0; i < nargs; i++) {
    if (a[i].alias >= 0) {
      c->p[i] = c->p[a[i].alias];
      continue;
    }
    uint8_t *p = place(&slots[i], &a[i], where, 1 + (unsigned)rnd_below(t, 15));
    set_up(&slots[i], p, &a[i], pattern);
    c->p[i] = p;
  }
  c->ret = 0;
  const int number = guarded_call(f, k, c);
  if (number) { report_crash(t, what, k->name, number, nargs, a, c); }
  return number;
}

/* The places are unlike, so that no store is 4 KiB from an unrelated load. */
void place_for_timing(call *c, size_t nargs, const arg *a) {
  for (size_t i = 0; i < nargs; i++) {
    if (a[i].alias >= 0) {
      c->p[i] = c->p[a[i].alias];
      continue;
    }
    need(&slots[i], a[i].n * width(&a[i]) + 8192);
    uint8_t *p = slots[i].base + 64 + 576 * i;
    set_up(&slots[i], p, &a[i], 0);
    c->p[i] = p;
  }
}

static void digest(check *t, const call *c, size_t nargs, const arg *a) {
  const uint64_t nan = 0x7ff8000000000000u;
  EVP_DigestUpdate(t->sha, c->ret != c->ret ? (const void *)&nan : (const void *)&c->ret, 8);
  for (size_t i = 0; i < nargs; i++) {
    if (a[i].role != 'o' && a[i].role != 'x') { continue; }
    for (size_t e = 0; e < a[i].n; e++) {
      if (a[i].ld && e % a[i].ld >= a[i].row) { continue; }
      uint64_t u = element(&a[i], c->p[i], e);
      if (a[i].type == 'f' && (u & 0x7fffffffu) > 0x7f800000u) { u = 0x7fc00000u; }
      if (a[i].type == 'd' && (u & INT64_MAX) > 0x7ff0000000000000u) { u = nan; }
      EVP_DigestUpdate(t->sha, &u, a[i].type == 'd' ? 8 : 4);
    }
  }
}

void run_case(check *t, const char *what, caller f, call *c, size_t nargs, const arg *a) {
  static uint8_t *copy[MAX_ARGS];
  static size_t have[MAX_ARGS];
  t->cases++;
  if (t->description) {
    describe_case(t, f, c, nargs, a);
    return;
  }
  if (t->timing) {
    time_case(t, f, c, nargs, a);
    return;
  }
  if (t->sha) {
    if (!run_once(t, what, t->dut, f, c, nargs, a, AT_END, REFERENCE)) { digest(t, c, nargs, a); }
    return;
  }
  if (run_once(t, what, t->ref, f, c, nargs, a, AT_END, REFERENCE)) { return; }
  const double want = c->ret;
  for (size_t i = 0; i < nargs; i++) {
    const size_t bytes = a[i].n * width(&a[i]);
    if (bytes > have[i]) {
      copy[i] = realloc(copy[i], have[i] = 2 * bytes);
      if (!copy[i]) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
    }
    if (bytes) { memcpy(copy[i], a[i].role == 'i' && a[i].alias < 0 && a[i].init ? a[i].init : c->p[i], bytes); }
  }
  for (int where = 0; where < PLACES; where++) {
    if (run_once(t, what, t->dut, f, c, nargs, a, where, UNDER_TEST)) { return; }
    if (memcmp(&c->ret, &want, sizeof want) && !(c->ret != c->ret && want != want)) {
      fail(t, "%s, %s: returns %a, not %a", what, place_name[where], c->ret, want);
      return;
    }
    for (size_t i = 0; i < nargs; i++) {
      if (a[i].alias >= 0) { continue; }
      if (a[i].role != 's' && compare_arg(t, what, place_name[where], i, &a[i], c->p[i], copy[i], UNDER_TEST)) { return; }
      if (!margins_hold(t, what, place_name[where], i, &a[i], c->p[i], UNDER_TEST)) { return; }
    }
  }
}

void expect_bits(check *t, const char *what, const float *got, const float *want, size_t n) {
  const arg a = { 'o', 'f', n, NULL, -1, 0, 0 };
  t->cases++;
  for (size_t i = 0; i < n; i++) {
    if (!same_element(&a, (const uint8_t *)got, (const uint8_t *)want, i)) {
      fail(t, "%s: element %zu is %a, not %a", what, i, (double)got[i], (double)want[i]);
      return;
    }
  }
}

/* All lengths and kinds of input for arrays of s[0] floats; then once more with each alias pair "ij": argument j is i. */
void elementwise(check *t, caller f, const call *proto, const char *roles, const char *const *aliases) {
  const size_t nargs = strlen(roles);
  char what[96];
  for (size_t n = t->timing ? TIMED_LENGTH : 0; n != SIZE_MAX; n = t->timing ? SIZE_MAX : next_length(t, n)) {
    for (int kind = t->timing ? KIND_TIMED : 0; kind < (t->timing ? KIND_TIMED + 1 : KINDS); kind++) {
      for (const char *const *pair = t->timing ? NULL : aliases;; pair++) {
        const char *with = pair && *pair ? *pair : NULL;
        arg a[MAX_ARGS];
        call c = *proto;
        c.s[0] = n;
        for (size_t i = 0; i < nargs; i++) {
          const float *init = some_floats(t, (int)i, n, kind);
          a[i] = (arg){ roles[i], 'f', n, roles[i] == 'o' ? NULL : init, -1, 0, 0 };
          if (with && with[0] == '0' + (int)i) { a[i].role = 'x'; a[i].init = init; }
          if (with && with[1] == '0' + (int)i) { a[i].alias = with[0] - '0'; }
        }
        snprintf(what, sizeof what, "n=%zu kind=%d%s%s", n, kind, with ? " alias " : "", with ? with : "");
        run_case(t, what, f, &c, nargs, a);
        if (!with) { break; }
      }
    }
  }
}
