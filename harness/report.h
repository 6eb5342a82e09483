/* report.h - what `fedlane report` knows before anything is drawn: the runs of result folders, the series of seeds that they make
 * up, and the tables. The one definition of a table's numbers: the page and the figures take labels and rows from series.json. */
#ifndef FEDLANE_REPORT_H
#define FEDLANE_REPORT_H
#include <jansson.h>
#include <stdio.h>

enum { FL_COST_ROUNDS, FL_COST_SECONDS, FL_COST_BYTES, FL_COST_GRADIENTS, FL_COSTS };
typedef struct {
  char *folder, *label, *problem;               /* label: without what the problem tells already */
  json_t *config, *conditions;                  /* conditions: all that seeds of one series share, as {path: value} */
  char model[80], data[80], cpu[160], status[24];
  json_int_t seed;
  int central, mixed, unfinished;               /* mixed: its times are of no one machine alone, and are left out */
  double accuracy, target, reach[FL_COSTS];     /* NaN: none; reach: what it had cost when the target was first evaluated */
  double rate, up, down;
} fl_report_run;
typedef struct { fl_report_run *run; size_t n, room, met; json_t *seen; } fl_report_runs;    /* starts as zeros */

/* The runs at or below n folders. Where there is a suite.json, those that it names, in its order: what else lies beside it is
 * of an earlier configuration. 0, or -1 with a message; free in both cases. */
int fl_report_read(fl_report_runs *, char *const *top, size_t n, char *err, size_t err_size);
void fl_report_free(fl_report_runs *);
/* Calls each with every file of published figures that a suite.json at or below top names; ends when it is not 0. */
int fl_report_published(const char *top, int (*each)(void *self, const char *path, char *err, size_t err_size), void *self,
                        char *err, size_t err_size);

typedef struct { char *label; const char *problem, *cpu; size_t *run, n; } fl_report_series;
typedef struct { fl_report_series *series; size_t n, problems; } fl_report_groups;
/* Only runs that differ in nothing but the seed are seeds of one series; what differs among those of one label goes into the
 * label, and a seed that occurs a second time begins a repeat. */
fl_report_groups fl_report_group(fl_report_runs *);
void fl_report_groups_free(fl_report_groups *);
json_t *fl_report_leaves(const json_t *config, const char *but);       /* {"federated.rounds": 30, ...}; but: a key left out */
char *fl_report_shown(const json_t *);          /* a value as a person writes it */

/* For captions. The setting that the runs of a problem (NULL: all, and then with the rounds) share, "100 clients, participation
 * 0.1, partition ..."; the machines, instruction sets and threads that made the times. "": nothing to say; the caller frees. */
char *fl_report_setting(const fl_report_runs *, const char *problem);
char *fl_report_machines(const fl_report_runs *);

typedef struct { double mean, deviation; size_t n; } fl_spread;         /* deviation: of the sample, 0 of one value */
fl_spread fl_spread_of(const double *, size_t n);
double fl_student(size_t n);                    /* half a 95 % interval of a mean of n, in deviations / sqrt(n); 0 of one value */

/* Rows of cells; the first column is the problem. A cell that is best, or inside the best one's interval, is strong. */
typedef struct {
  const char *name;
  char *caption, **header, **cell;
  unsigned char *strong;
  size_t columns, rows;
} fl_report_table;
enum { FL_TABLE_MAIN, FL_TABLE_TARGETS, FL_TABLE_ACCURACY, FL_TABLES };
/* All three; those that say nothing (no target, one problem) have no rows. */
void fl_report_tables(const fl_report_runs *, const fl_report_groups *, fl_report_table table[FL_TABLES]);
void fl_report_table_free(fl_report_table *);
/* NAME.csv, NAME.tex (booktabs, to \input) and NAME-caption.tex. size: a size command for the tabular, "" without. */
int fl_report_table_write(const fl_report_table *, const char *out, const char *size, char *err, size_t err_size);
void fl_report_table_print(const fl_report_table *, FILE *);
json_t *fl_report_table_json(const fl_report_table *);
#endif
