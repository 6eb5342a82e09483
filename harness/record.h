/* record.h - rounds.jsonl, a line a round, and the open result of a run. */
#ifndef FEDLANE_RECORD_H
#define FEDLANE_RECORD_H
#include "harness/bits.h"
#include "harness/results.h"

/* One line of JSON with its line feed; returns its length (below FL_RECORD_LINE). */
#define FL_RECORD_LINE 4096
size_t fl_record_line(const fl_metrics *, char line[FL_RECORD_LINE]);
/* 0, or -1 with what is wrong in err (without a file name). */
int fl_record_parse(const char *line, size_t n, fl_metrics *, char *err, size_t err_size);
/* The first `most` complete lines of rounds.jsonl, in order; a last line without line feed does not count. each returns
 * non-zero to stop. Returns the lines seen, or -1 with a message; *bytes: where they end. */
int64_t fl_record_each(const char *path, uint64_t most, int (*each)(void *self, const fl_metrics *), void *self, uint64_t *bytes,
                       char *err, size_t err_size);

/* ---- the open result of a run (results.c, summary.c) --------------------------------------------------------------------- */
#define FL_LAST_EVALUATIONS 5
struct fl_result {
  char dir[4000];
  const fl_config *config;
  const fl_layout *layout;
  json_t *run, *previous;                       /* run.json as it will be written; as it was found in the folder */
  const fl_split *split;
  int fd, threads, ready;                       /* ready: described, and rounds.jsonl cut to where this run goes on */
  EVP_MD_CTX *trajectory;
  uint64_t rounds;                              /* lines in rounds.jsonl */
  const fl_onednn_backend *backend; uint64_t native_before[FL_BACKEND_OPERATIONS];      /* NULL: the native one */
  double last[FL_LAST_EVALUATIONS], best, loss, train_loss; size_t evaluations;
  uint64_t target_round; double target_seconds; /* 0: not reached */
};
void fl_result_count(struct fl_result *, const fl_metrics *);  /* one more round into the numbers of the summary */
void fl_result_reset(struct fl_result *);
int fl_result_ready(struct fl_result *, uint64_t rounds, char *err, size_t err_size);
#endif
