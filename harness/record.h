/* record.h - the columns of a round, once: rounds.jsonl, trajectory_hash, checkpoint and compare are loops over them. */
#ifndef FEDLANE_RECORD_H
#define FEDLANE_RECORD_H
#include "harness/results.h"
#include <openssl/evp.h>

typedef enum { FL_COLUMN_U64, FL_COLUMN_SIZE, FL_COLUMN_FLAG, FL_COLUMN_REAL } fl_column_kind;
/* timed: depends on the clock or on the number of threads, so trajectory_hash leaves it out. */
typedef struct { const char *name; fl_column_kind kind; size_t offset; int timed; } fl_column;
#define FL_COLUMNS 18
extern const fl_column fl_columns[FL_COLUMNS];
#define FL_RECORD_WORDS (FL_COLUMNS + FL_T_COUNT)

/* All of a record as 64-bit words (integers, or bits of a double): columns, then thread_seconds. Exact both ways. */
void fl_record_pack(const fl_metrics *, uint64_t word[FL_RECORD_WORDS]);
void fl_record_unpack(const uint64_t word[FL_RECORD_WORDS], fl_metrics *);
/* What is hashed and compared of a column: as packed, but anything not finite (and test_loss and accuracy of a round
 * without evaluation) counts as the one NaN 7ff8000000000000. */
uint64_t fl_record_bits(const fl_column *, const fl_metrics *);
void fl_record_digest(EVP_MD_CTX *, const fl_metrics *);  /* the columns that are not timed, in order, little-endian */
/* One line of JSON with its line feed; returns its length (below FL_RECORD_LINE). */
#define FL_RECORD_LINE 2048
size_t fl_record_line(const fl_metrics *, char line[FL_RECORD_LINE]);
/* 0, or -1 with what is wrong in err (without a file name). */
int fl_record_parse(const char *line, size_t n, fl_metrics *, char *err, size_t err_size);
/* The first `most` complete lines of rounds.jsonl, in order; a last line without line feed does not count. each returns
 * non-zero to stop. Returns the lines seen, or -1 with a message; *bytes: where they end. */
int64_t fl_record_each(const char *path, uint64_t most, int (*each)(void *self, const fl_metrics *), void *self, uint64_t *bytes,
                       char *err, size_t err_size);
void fl_hex(const unsigned char *bytes, size_t n, char *out);  /* 2n digits and a 0 */

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
  double last[FL_LAST_EVALUATIONS], best, loss, train_loss; size_t evaluations;
  uint64_t target_round; double target_seconds; /* 0: not reached */
};
void fl_result_count(struct fl_result *, const fl_metrics *);  /* one more round into the numbers of the summary */
void fl_result_reset(struct fl_result *);
int fl_result_ready(struct fl_result *, uint64_t rounds, char *err, size_t err_size);
#endif
