/* bits.h - what of a run decides its two hashes: the columns of a round, once (rounds.jsonl, trajectory_hash, checkpoint and
 * compare are loops over them), and the parameters as bytes. Needs neither YAML nor JSON. */
#ifndef FEDLANE_BITS_H
#define FEDLANE_BITS_H
#include <fedlane/session.h>
#include <openssl/evp.h>
#include <string.h>

#define FL_WORD_NAN UINT64_C(0x7ff8000000000000)          /* what every NaN and infinity of a column counts as */
static inline uint64_t fl_word_of(double v) {
  uint64_t word;
  memcpy(&word, &v, sizeof word);
  return word;
}
static inline double fl_double_of(uint64_t word) {
  double v;
  memcpy(&v, &word, sizeof v);
  return v;
}
static inline int fl_word_finite(uint64_t word) { return (word >> 52 & 0x7ff) != 0x7ff; }

typedef enum { FL_COLUMN_U64, FL_COLUMN_SIZE, FL_COLUMN_FLAG, FL_COLUMN_REAL } fl_column_kind;
/* timed: depends on the clock or on the number of threads, so trajectory_hash leaves it out. told: a number that only runs
 * with a certain rule or option have; trajectory_hash, whose columns schema 1 fixes, leaves it out as well. */
typedef struct { const char *name; fl_column_kind kind; size_t offset; int timed, told; } fl_column;
#define FL_COLUMNS 39
extern const fl_column fl_columns[FL_COLUMNS];
#define FL_RECORD_WORDS (FL_COLUMNS + FL_T_COUNT)

/* All of a record as 64-bit words (integers, or bits of a double): columns, then thread_seconds. Exact both ways. */
void fl_record_pack(const fl_metrics *, uint64_t word[FL_RECORD_WORDS]);
void fl_record_unpack(const uint64_t word[FL_RECORD_WORDS], fl_metrics *);
/* One column from its word, as packed. */
void fl_column_set(const fl_column *, fl_metrics *, uint64_t word);
/* What is hashed and compared of a column: as packed, but anything not finite (and test_loss and accuracy of a round
 * without evaluation) counts as the one NaN 7ff8000000000000. */
uint64_t fl_record_bits(const fl_column *, const fl_metrics *);
void fl_record_digest(EVP_MD_CTX *, const fl_metrics *);  /* the columns that are not timed or told, in order, little-endian */
/* n floats as little-endian fp32, every NaN as 7fc00000: what is saved and what is hashed. */
void fl_params_bytes(const float *x, size_t n, unsigned char *out);
/* hash of d + buffers floats: SHA-256 over little-endian fp32, NaN as 7fc00000. */
void fl_params_hash(const float *x, size_t n, char out[65]);
void fl_hex(const unsigned char *bytes, size_t n, char *out);  /* 2n digits and a 0 */
#endif
