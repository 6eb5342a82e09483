/* cli_verify.c - every run twice in memory with other thread counts; the parameters and all that is computed must agree. */
#include "cli.h"
#include "record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint64_t rounds, room; uint64_t (*bits)[FL_COLUMNS]; int failed; } trace;

static int keep(void *self, fl_session *s, const fl_metrics *m) {
  trace *t = self;
  (void)s;
  if (t->rounds == t->room) {
    const uint64_t room = t->room ? 2 * t->room : 64;
    void *p = realloc(t->bits, room * sizeof *t->bits);
    if (!p) return t->failed = 1;
    t->bits = p; t->room = room;
  }
  for (size_t i = 0; i < FL_COLUMNS; i++) t->bits[t->rounds][i] = fl_columns[i].timed ? 0 : fl_record_bits(&fl_columns[i], m);
  t->rounds++;
  return fl_signal != 0;
}

static int run_once(fl_work *w, const fl_config *c, int threads, trace *t, char hash[65], char *err, size_t size) {
  fl_session *s = NULL;
  size_t n;
  if (fl_work_open(w, c, threads, NULL, &s, err, size)) return -1;
  const int refused = fl_rounds(s, keep, t) < 0;
  const float *x = fl_averaged(s, &n);
  fl_params_hash(x, n, hash);
  if (refused || t->failed) snprintf(err, size, "%s", refused ? fl_session_error(s) : "out of memory");
  fl_close(s);
  return refused || t->failed ? -1 : 0;
}

static int differ(const trace *a, const trace *b) {
  for (uint64_t r = 0; r < a->rounds && r < b->rounds; r++)
    for (size_t i = 0; i < FL_COLUMNS; i++)
      if (a->bits[r][i] != b->bits[r][i]) {
        printf("  first difference: round %llu, %s\n", (unsigned long long)(r + 1), fl_columns[i].name);
        return 1;
      }
  return a->rounds != b->rounds;
}

int fl_verify(fl_work *w, const fl_suite *suite, int threads) {
  char err[FL_ERR] = "", one[65], two[65];
  const int first = threads ? threads : 1, second = first == 1 ? 3 : 1;
  size_t wrong = 0;
  const int refused = fl_work_check(w, suite, err, sizeof err);
  if (refused) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(refused);
  for (size_t i = 0; i < suite->n; i++) {
    const fl_config *c = &suite->run[i];
    trace a = { 0 }, b = { 0 };
    const int bad = run_once(w, c, first, &a, one, err, sizeof err) || run_once(w, c, second, &b, two, err, sizeof err);
    if (!bad) {
      const int same = !strcmp(one, two) && a.rounds == b.rounds;
      printf("%s, seed %llu, %d and %d threads: %.12s %.12s\n", c->label, (unsigned long long)c->seed, first, second, one, two);
      wrong += differ(&a, &b) || !same;
    }
    free(a.bits);
    free(b.bits);
    if (bad) return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_FAILED;
  }
  printf("same bits: %s\n", wrong ? "no" : "yes");
  return wrong ? FL_EXIT_FAILED : FL_EXIT_DONE;
}
