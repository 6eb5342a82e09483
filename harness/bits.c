/* bits.c - see bits.h. */
#include "harness/bits.h"
#include "harness/data.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN(kind, name, timed) {#name, kind, offsetof(fl_metrics, name), timed, 0}
#define TOLD(name, timed) {#name, FL_COLUMN_REAL, offsetof(fl_metrics, name), timed, 1}
/* The order is part of schema 1: trajectory_hash is fed in it. */
const fl_column fl_columns[FL_COLUMNS] = {
  COLUMN(FL_COLUMN_U64, round, 0),
  COLUMN(FL_COLUMN_REAL, train_loss, 0),
  COLUMN(FL_COLUMN_FLAG, evaluated, 0),
  COLUMN(FL_COLUMN_REAL, test_loss, 0),
  COLUMN(FL_COLUMN_REAL, accuracy, 0),
  COLUMN(FL_COLUMN_FLAG, diverged, 0),
  COLUMN(FL_COLUMN_REAL, lr, 0),
  COLUMN(FL_COLUMN_REAL, update_norm, 0),
  COLUMN(FL_COLUMN_U64, bytes_up, 0),
  COLUMN(FL_COLUMN_U64, bytes_down, 0),
  COLUMN(FL_COLUMN_U64, total_bytes_up, 0),
  COLUMN(FL_COLUMN_U64, total_bytes_down, 0),
  COLUMN(FL_COLUMN_U64, gradient_evaluations, 0),
  COLUMN(FL_COLUMN_U64, samples, 0),
  COLUMN(FL_COLUMN_SIZE, cohort, 0),
  COLUMN(FL_COLUMN_REAL, seconds, 1),
  COLUMN(FL_COLUMN_REAL, seconds_evaluation, 1),
  COLUMN(FL_COLUMN_REAL, bound, 1),             /* the bound is for this number of threads */
  TOLD(unclipped, 0),
  TOLD(local_steps, 0),
  TOLD(dropped, 0),
  TOLD(admitted, 0),
  TOLD(rejected_malicious, 0),
  TOLD(rejected_benign, 0),
  TOLD(epsilon, 0),
  TOLD(epsilon_as_poisson, 0),
  TOLD(client_drift, 0),
  TOLD(update_norm_mean, 0),
  TOLD(update_cosine_pairs, 0),
  TOLD(update_cosine_mean, 0),
  TOLD(preconditioner_drift, 0),
  TOLD(global_loss, 0),
  TOLD(gradient_norm, 0),
  TOLD(sam_gap, 0),
  TOLD(sharpness, 0),
  TOLD(client_accuracy_mean, 0),
  TOLD(client_accuracy_worst, 0),
  TOLD(client_accuracy_std, 0),
  TOLD(seconds_diagnostics, 1),
};

static uint64_t word_of(const fl_column *c, const fl_metrics *m) {
  const char *p = (const char *)m + c->offset;
  switch (c->kind) {
    case FL_COLUMN_U64: return *(const uint64_t *)(const void *)p;
    case FL_COLUMN_SIZE: return *(const size_t *)(const void *)p;
    case FL_COLUMN_FLAG: return *(const int *)(const void *)p != 0;
    default: return fl_word_of(*(const double *)(const void *)p);
  }
}

void fl_column_set(const fl_column *c, fl_metrics *m, uint64_t word) {
  char *p = (char *)m + c->offset;
  switch (c->kind) {
    case FL_COLUMN_U64: *(uint64_t *)(void *)p = word; break;
    case FL_COLUMN_SIZE: *(size_t *)(void *)p = (size_t)word; break;
    case FL_COLUMN_FLAG: *(int *)(void *)p = word != 0; break;
    default: *(double *)(void *)p = fl_double_of(word);
  }
}

void fl_record_pack(const fl_metrics *m, uint64_t word[FL_RECORD_WORDS]) {
  for (size_t i = 0; i < FL_COLUMNS; i++) word[i] = word_of(&fl_columns[i], m);
  for (size_t i = 0; i < FL_T_COUNT; i++) word[FL_COLUMNS + i] = fl_word_of(m->thread_seconds[i]);
}

void fl_record_unpack(const uint64_t word[FL_RECORD_WORDS], fl_metrics *m) {
  memset(m, 0, sizeof *m);
  for (size_t i = 0; i < FL_COLUMNS; i++) fl_column_set(&fl_columns[i], m, word[i]);
  for (size_t i = 0; i < FL_T_COUNT; i++) m->thread_seconds[i] = fl_double_of(word[FL_COLUMNS + i]);
}

uint64_t fl_record_bits(const fl_column *c, const fl_metrics *m) {
  uint64_t word = word_of(c, m);
  if (c->kind != FL_COLUMN_REAL) return word;
  int absent = !m->evaluated && (c->offset == offsetof(fl_metrics, test_loss) || c->offset == offsetof(fl_metrics, accuracy));
  return absent || !fl_word_finite(word) ? FL_WORD_NAN : word;
}

void fl_record_digest(EVP_MD_CTX *sha, const fl_metrics *m) {
  for (size_t i = 0; i < FL_COLUMNS; i++) {
    if (fl_columns[i].timed || fl_columns[i].told) continue;
    uint64_t word = fl_record_bits(&fl_columns[i], m);
    unsigned char byte[8];
    for (int b = 0; b < 8; b++) byte[b] = (unsigned char)(word >> 8 * b);
    if (EVP_DigestUpdate(sha, byte, sizeof byte) != 1) abort();  /* never silently a wrong hash */
  }
}

void fl_params_bytes(const float *x, size_t n, unsigned char *out) {
  for (size_t i = 0; i < n; i++) {
    uint32_t u;
    memcpy(&u, x + i, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u) u = 0x7fc00000u;
    for (int b = 0; b < 4; b++) out[4 * i + (size_t)b] = (unsigned char)(u >> 8 * b);
  }
}

void fl_params_hash(const float *x, size_t n, char out[65]) {
  unsigned char *bytes = malloc(4 * n + 1);
  if (!bytes) abort();                          /* no place for an error, and a wrong hash would be worse */
  fl_params_bytes(x, n, bytes);
  fl_sha256(bytes, 4 * n, out);
  free(bytes);
}

void fl_hex(const unsigned char *bytes, size_t n, char *out) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digit[bytes[i] >> 4];
    out[2 * i + 1] = digit[bytes[i] & 15];
  }
  out[2 * n] = 0;
}
