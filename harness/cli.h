/* cli.h - the program's commands. Each takes its own argc, argv (argv[0]: the command) and returns the exit code. */
#ifndef FEDLANE_CLI_H
#define FEDLANE_CLI_H
#include "results.h"
#include <signal.h>

enum { FL_EXIT_DONE = 0, FL_EXIT_FAILED = 1, FL_EXIT_USAGE = 2, FL_ERR = 3000 };
int fl_cli_run(int argc, char **argv);
int fl_cli_tune(int argc, char **argv);
int fl_cli_list(int argc, char **argv);
int fl_cli_info(int argc, char **argv);
/* info --data: of a path or a known set; format NULL: as its name looks; set: "key=value,..." of the format's keys. */
typedef struct { const char *path, *test, *format, *set; int json; } fl_info_data_options;
int fl_info_data(const fl_info_data_options *);
int fl_cli_privacy(int argc, char **argv);
void fl_tell_order(const char *what, double order);    /* on stderr, when it is an end of the accountant's grid */
int fl_cli_partition(int argc, char **argv);
int fl_cli_compare(int argc, char **argv);
int fl_cli_verify(int argc, char **argv);
int fl_cli_report(int argc, char **argv);
int fl_cli_bench(int argc, char **argv);
int fl_cli_profile(int argc, char **argv);
int fl_become(char *path, char **argv);         /* another program; returns only when it cannot be executed */
int fl_become_report(char **argv);             /* the script with these arguments; returns only when it cannot be executed */
void fl_cli_markdown(void);                     /* docs/configuration.md on stdout */

typedef struct {
  const char *command, *config; const char **set; size_t n_set;     /* command: run, tune, profile */
  const char *seeds, *isa, *out, *resume, *export_plan;
  char backend[128];                            /* as one of `set` */
  int threads, dry_run, verify;
  int jobs, shard, shards;                      /* runs at once; the shard-th of shards: 0 when not given */
  uint64_t rounds;                              /* profile: at most so many; 0: all */
} fl_run_options;
int fl_parse_count(const char *option, const char *text, int *count);   /* of threads, jobs: 0, or -1 and told */
/* The options of run, tune and profile; 0, or -1 and told. set: room for argc texts. */
int fl_run_parse(int argc, char **argv, const char *usage, fl_run_options *);
void fl_print_resume(const fl_run_options *, const char *out);          /* the command that continues */

/* What consecutive runs share: data set, partition and model are made again only when the configuration differs. */
typedef struct {
  const fl_kernels *native;
  const fl_onednn_backend *onednn;              /* NULL: no run of the suite wants it */
  const fl_kernels *counting;                   /* takes the place of both while it is not NULL (profile) */
  const char *not_reproducible;                 /* NULL, or why this machine's bits may differ */
  int threads, shared;                          /* shared: other runs use the machine at the same time */
  fl_dataset data; fl_split split; fl_model *model; float *begin;
  float *sigma;                                 /* the partition's noise, by training row, or NULL */
  const fl_config *data_of, *split_of, *model_of;
} fl_work;
int fl_work_start(fl_work *, const char *isa, int threads, char *err, size_t err_size);
int fl_work_backends(fl_work *, const fl_suite *, char *err, size_t err_size);   /* loads what the runs ask for */
const fl_onednn_backend *fl_work_backend(const fl_work *, const fl_config *);    /* the run's; NULL: native */
const fl_kernels *fl_work_kernels(const fl_work *, const fl_config *);
/* Of fl_work_check and fl_work_open: the data or the length of the run do not allow what the configuration asks for. Other
 * failures (a file, memory) are -1. */
enum { FL_WORK_REFUSED = -2 };
static inline int fl_work_exit(int failure) { return failure == FL_WORK_REFUSED ? FL_EXIT_USAGE : FL_EXIT_FAILED; }
int fl_work_prepare(fl_work *, const fl_config *, char *err, size_t err_size);
int fl_work_check(fl_work *, const fl_suite *, char *err, size_t err_size);      /* whether every run could be opened */
/* state_file: where client states go that outgrow client_state_memory; NULL: nowhere. */
int fl_work_open(fl_work *, const fl_config *, int threads, const char *state_file, fl_session **, char *err, size_t err_size);
void fl_work_end(fl_work *);

/* Calls act with the work begun and the folder of the results; its exit code, or that of what was in the way. */
int fl_run_with(const fl_run_options *, const fl_suite *,
                int (*act)(void *self, fl_work *, const fl_run_options *, const char *out), void *self);

extern volatile sig_atomic_t fl_signal;         /* set by the handler: 0, SIGINT, SIGTERM */
typedef struct {
  size_t index, count;
  /* Of the suite's work: all (0: not known), that of the runs before this one, that done since `started`; and a round of
   * this run. In seconds when they could be estimated, else in rounds. */
  double work_all, work_before, work_run, work_round;
  double started, last_line;
  int tty, told;
} fl_progress;
/* One run into DIR/folder. 0 done (also diverged and stopped), 1 interrupted, -1 failed. */
int fl_train(fl_work *, const fl_config *, const char *dir, int resume, fl_progress *, char *err, size_t err_size);
/* The summary of a finished run of this configuration, data (which are prepared) and partition in DIR; NULL: there is none. */
json_t *fl_run_summary(const fl_work *, const fl_config *, const char *dir);
int fl_ends_early(const fl_config *, const fl_metrics *);     /* the target or the time budget is reached */
/* The reasons, joined by "; ": what makes the bits of this run depend on the machine. */
void fl_not_reproducible(const fl_work *, const fl_config *, char *why, size_t size);
/* Seconds that each run will take, from a few rounds of each label, which are thrown away; the sum, or negative when a run has
 * fewer rounds than `at_least` or refuses. */
enum { FL_WORTH = 50 };                         /* rounds of a run for which the measurement costs little */
double fl_estimate(fl_work *, const fl_suite *, uint64_t at_least, double *seconds);
/* suite.json: the folders of the runs, in order; a resume adds to those that are named there. */
/* Trains the runs into the folder; the exit code. */
int fl_suite_train(fl_work *, const fl_suite *, const fl_run_options *, const char *out);
int fl_suite_write(const fl_suite *, int resume, const char *dir, char *err, size_t err_size);
int fl_table_print(const fl_suite *, const char *dir, char *err, size_t err_size);
int fl_dry_run(fl_work *, const fl_suite *);
int fl_verify(fl_work *, const fl_suite *, int threads);
int fl_plan_export(fl_work *, const fl_suite *, const char *dir);
const char *fl_human_bytes(double bytes, char out[32]);
#endif
