/* guard.h - the regression guard behind `fedlane bench --save` and `--against`: what decides between two sets of times, the
 * programs that are asked for times, and the file that keeps them. */
#ifndef FEDLANE_GUARD_H
#define FEDLANE_GUARD_H
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* ---- statistics (guard_stats.c) ------------------------------------------------------------------------------------------
 * Samples come in strata (the launches of a program): those of a stratum follow each other, and only they are compared. */
typedef struct { size_t strata; const size_t *na, *nb; const double *a, *b; } fl_timings;

/* Mann-Whitney's U of b over a (a pair counts 1 where b is larger, 1/2 where they are equal), summed over the strata, and its
 * two-sided p: exact without ties up to 50 samples a stratum, else normal with correction for ties and continuity. */
double fl_u_test(const fl_timings *, double *u);
double fl_median(const double *, size_t n);

typedef enum { FL_SAME, FL_FASTER, FL_SLOWER, FL_NOISY, FL_NO_BASELINE, FL_VERDICTS } fl_verdict;
extern const char *const fl_verdict_word[FL_VERDICTS];
typedef struct {
  fl_verdict verdict;
  double before, now;                           /* medians */
  double effect, low, high;                     /* now / before - 1, and its interval */
  double p;
} fl_judgement;

enum { FL_GUARD_LEAST = 9, FL_GUARD_LAUNCHES = 3, FL_GUARD_LOOKS = 4 };   /* samples of a side; launches of a look; looks */
#define FL_GUARD_ALPHA 0.01
/* paired: sample i of a and sample i of b are neighbours in time. */
fl_judgement fl_judge(const fl_timings *, int paired, double min_effect);
/* Counts of instructions repeat, so the effect alone decides; where they do not, to half of min_effect, they are noisy. */
fl_judgement fl_judge_counts(const fl_timings *, double min_effect);
/* Of the verdicts of successive looks at a row: the final one, or -1 while another look is wanted. */
int fl_decide(const fl_verdict *look, size_t looks);

/* ---- a program that answers (guard_child.c) --------------------------------------------------------------------------- */
typedef struct {
  pid_t pid;
  int to, from;
  FILE *answers;
  char path[4096], callgrind[256];              /* callgrind: its file of counts, or "" */
  json_t *hello;                                /* context, and rows with their ceilings */
} fl_bench;
typedef enum { FL_TIME, FL_COUNTER, FL_CALLGRIND } fl_metric;
/* arguments: what the program is told besides --serve; NULL-terminated. 0, or -1 with a message. */
int fl_bench_start(fl_bench *, const char *path, fl_metric, char *const *arguments, char *err, size_t err_size);
/* Seconds, or instructions, of a call: the best of `parts` runs of `calls` calls, on processor `cpu` (-1: any). */
int fl_bench_ask(fl_bench *, const char *row, int cpu, long long calls, int parts, double *answer, char *err, size_t err_size);
void fl_bench_end(fl_bench *);

/* ---- measuring (guard_run.c) ---------------------------------------------------------------------------------------------
 * side 0: the baseline's program, or the only one. beside: the row's ceiling, whose time divides its own; NULL: none. */
typedef struct { double *value, *beside; } fl_series;
typedef struct {
  char *name;
  json_t *ceilings;                             /* streams of its mix that every program has */
  const char *beside;
  long long calls;
  int parts, threads, dropped;                  /* dropped: side 1 has no such row */
  size_t of_launch[FL_GUARD_LAUNCHES * FL_GUARD_LOOKS], launches;   /* samples of each launch */
  size_t n, first, first_launch;                /* samples; where those begin that are judged: a noisy row keeps them */
  fl_series side[2];
  fl_verdict look[FL_GUARD_LOOKS];
  size_t looks;
  fl_judgement judgement;
  const char *reason;                           /* of "no baseline" */
} fl_row;
typedef struct {
  fl_metric metric;
  double min_effect;
  size_t repetitions;
  char *const *arguments;
  const char *program[2];                       /* program[1] is NULL: one only */
  json_t *context[2];
  unsigned seed;
  fl_row *row;
  size_t n;
} fl_guard;
/* Starts the programs and lists their rows; takes more samples of the rows with wanted[i]. 0, or -1 with a message. */
int fl_guard_rows(fl_guard *, char *err, size_t err_size);
int fl_has_ceiling(const fl_row *, const char *name);
/* The row of that name in a list of objects, or NULL. */
const json_t *fl_row_named(const json_t *list, const char *name);
int fl_guard_look(fl_guard *, const char *wanted, char *err, size_t err_size);
void fl_guard_free(fl_guard *);

/* ---- the file (guard_file.c) ------------------------------------------------------------------------------------------ */
int fl_guard_save(const fl_guard *, const char *path, char *err, size_t err_size);
json_t *fl_guard_load(const char *path, char *err, size_t err_size);
/* What keeps a file of one context from judging another: 0 and "" when nothing does. */
int fl_guard_differs(const json_t *saved, const json_t *here, char *what, size_t size);
#endif
