/* main.c - fedlane-check: every kernel of one ISA against the scalar table, bit for bit. */
#include "check.h"
#include <errno.h>
#include <fedlane/divide.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const op_test op_tests[] = {
#define FL_OP(family, name, ret, args, traffic, formula) { #family, #name, check_##name },
#include <fedlane/ops.def>
#define MATRIX_TEST(name, formula, arrays, scratch) { "matrix", #name, check_##name },
  MATRIX_TESTS(MATRIX_TEST)
#undef MATRIX_TEST
};
const size_t op_count = sizeof op_tests / sizeof *op_tests;

static const char usage[] =
  "usage: fedlane-check [--isa scalar|scalar+fma|avx2|avx512|neon] [--seed N] [--quick] [--team N]\n"
  "                     [OP or FAMILY ...]\n"
  "       fedlane-check --bench | --golden FILE   [--isa ...] [OP or FAMILY ...]\n"
  "       fedlane-check --list | --describe | --self-test | --hash   [--isa ...]\n"
  "       --team N: each call divided over N threads, as small as it may be\n"
  "exit: 0 all passed, 1 a failure, 2 usage, 77 this machine cannot run the ISA\n";

static int find_isa(const char *name) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (!strcmp(name, fl_isa_name((fl_isa)i))) { return i; }
  }
  return -1;
}

static int known(const char *word) {
  for (size_t i = 0; i < op_count; i++) {
    if (!strcmp(word, op_tests[i].name) || !strcmp(word, op_tests[i].family)) { return 1; }
  }
  return 0;
}

int wanted(const op_test *op, char *const *word, int words) {
  for (int i = 0; i < words; i++) {
    if (!strcmp(word[i], op->name) || !strcmp(word[i], op->family)) { return 1; }
  }
  return words == 0;
}

/* ---- --team: the calls of a case divided over threads, whatever their size ----------------------------------------------- */
enum { MOST_TEAM = 64 };
static struct {
  fl_crew *crew;
  fl_team threads;
  fl_division division;
  fl_kernels table;
  pthread_t thread[MOST_TEAM];
  size_t workers, divided;       /* calls that were, of the operation at hand */
} team;

static void count_each(void *self, size_t n, void (*body)(void *, size_t), void *with) {
  (void)self;
  team.divided++;
  team.threads.each(team.threads.self, n, body, with);
}

static void *serve(void *crew) {
  fl_crew_serve(crew);
  return NULL;
}

static int open_team(check *t, size_t workers) {
  const size_t floats = (size_t)1 << 24;
  team.crew = fl_crew_open(workers);
  float *memory = aligned_alloc(64, floats * sizeof *memory);
  if (!team.crew || !memory) { return -1; }
  for (; team.workers + 1 < workers; team.workers++) {
    if (pthread_create(&team.thread[team.workers], NULL, serve, team.crew)) { return -1; }
  }
  fl_divided_table(t->dut, &team.table);
  team.threads = fl_crew_team(team.crew);
  team.division = (fl_division){ .k = t->dut, .team = { NULL, workers, count_each }, .memory = memory, .floats = floats,
  .least = 1 };
  fl_divide_over(&team.division);
  t->dut = &team.table;
  return 0;
}

static void close_team(void) {
  if (!team.crew) { return; }
  fl_crew_dismiss(team.crew);
  for (size_t i = 0; i < team.workers; i++) { pthread_join(team.thread[i], NULL); }
  fl_crew_close(team.crew);
  free(team.division.memory);
}

/* A kernel of which no call was divided was not tested. */
static void expect_divided(check *t, const char *name) {
  const fl_kernels *k = team.division.k;
  int wants = 0;
  if (!team.crew) { return; }
#define FL_OP(family, op, ret, args, traffic, formula) wants |= !strcmp(name, #op) && team.table.op != k->op;
#include <fedlane/ops.def>
  if (wants && !team.divided) { fail(t, "no call was divided over the team"); }
  team.divided = 0;
}

static int run_all(check *t, char *const *word, int words) {
  size_t passed = 0, failed = 0, ops = 0, cases = 0, bad = 0;
  printf("seed %llu\nisa %s against scalar\n", (unsigned long long)t->seed, t->dut->name);
  const char *broken = fl_kernels_self_test(t->dut);
  if (broken) {
    printf("FAIL start-up self-test: %s\n", broken);
    failed++;
  }
  for (size_t i = 0; i < op_count; i++) {
    const op_test *op = &op_tests[i];
    if (wanted(op, word, words)) {
      run_op(t, op);
      expect_divided(t, op->name);
      ops++;
      cases += t->cases;
      bad += t->failures != 0;
      if (t->failures) { printf("FAIL %s: %zu of %zu cases\n", op->name, t->failures, t->cases); }
    }
    if (i + 1 == op_count || strcmp(op->family, op_tests[i + 1].family)) {
      if (ops) { printf("%-7s %2zu ops %7zu cases, %zu ops failed\n", op->family, ops, cases, bad); }
      passed += ops - bad;
      failed += bad;
      ops = cases = bad = 0;
    }
    fflush(stdout);
  }
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}

static int list(void) {
#define FL_OP(family, name, ret, args, traffic, formula) printf("%-7s %-17s %s\n", #family, #name, formula);
#include <fedlane/ops.def>
#define MATRIX_TEST(name, formula, arrays, scratch) printf("%-7s %-17s %s\n", "matrix", #name, formula);
  MATRIX_TESTS(MATRIX_TEST)
#undef MATRIX_TEST
  return 0;
}

int main(int argc, char **argv) {
  const char *isa = NULL, *golden = NULL, *mode = "";
  check t = { .seed = (uint64_t)time(NULL) };
  int words = 0;
  uint64_t workers = 0;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    char *end = NULL;
    if (!strcmp(a, "--list") || !strcmp(a, "--self-test") || !strcmp(a, "--bench") || !strcmp(a, "--describe") ||
        !strcmp(a, "--hash")) {
      mode = a;
    } else if (!strcmp(a, "--quick")) {
      t.quick = 1;
    } else if (!strcmp(a, "--isa") && value) {
      isa = argv[++i];
    } else if (!strcmp(a, "--golden") && value) {
      mode = a;
      golden = argv[++i];
    } else if (!strcmp(a, "--seed") && value && (errno = 0, t.seed = strtoull(value, &end, 0), end != value && !*end && !errno)) {
      i++;
    } else if (!strcmp(a, "--team") && value && (workers = strtoull(value, &end, 10), !*end) && workers >= 2 &&
               workers <= MOST_TEAM) {
      i++;
    } else if (a[0] != '-' && known(a)) {
      argv[1 + words++] = argv[i]; /* words gather in front: i is never behind them */
    } else {
      fprintf(stderr, "fedlane-check: bad argument \"%s\"\n%s", a, usage);
      return 2;
    }
  }
  if (!strcmp(mode, "--list")) { return list(); }
  if (!strcmp(mode, "--self-test")) { return self_test(t.seed); }
  const int number = isa ? find_isa(isa) : -1;
  if (isa && number < 0) {
    fprintf(stderr, "fedlane-check: --isa: unknown ISA \"%s\"; allowed: scalar, scalar+fma, avx2, avx512, neon\n", isa);
    return 2;
  }
  const char *error = NULL;
  t.ref = fl_kernels_of(FL_ISA_SCALAR);
  t.dut = isa ? fl_kernels_of((fl_isa)number) : fl_kernels_select(NULL, &error);
  if (!t.dut && isa) {
    printf("skip: this machine cannot run %s\n", isa);
    return 77;
  }
  if (!t.dut) {
    fprintf(stderr, "fedlane-check: %s\n", error);
    return 2;
  }
  fl_fpenv_enter();
  if (!strcmp(mode, "--describe")) { return describe(t.ref); }
  if (!strcmp(mode, "--bench")) { return bench(t.dut, t.ref, argv + 1, words); }
  if (!strcmp(mode, "--hash")) { return print_hashes(t.dut, stdout); }
  if (workers && open_team(&t, (size_t)workers)) {
    fprintf(stderr, "fedlane-check: --team %llu: no memory, or not so many threads\n", (unsigned long long)workers);
    return 2;
  }
  const int failed = golden ? compare_golden(t.dut, golden, argv + 1, words) : run_all(&t, argv + 1, words);
  close_team();
  return failed;
}
