/* record.c - the columns of a round as JSON, as bits, as hash. */
#include "harness/record.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN(kind, name, timed) {#name, kind, offsetof(fl_metrics, name), timed}
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
};
static const uint64_t the_nan = UINT64_C(0x7ff8000000000000), exponent = UINT64_C(0x7ff0000000000000);

static uint64_t bits_of(double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  return u;
}

static double double_of(uint64_t u) {
  double v;
  memcpy(&v, &u, sizeof v);
  return v;
}

static uint64_t word_of(const fl_column *c, const fl_metrics *m) {
  const char *p = (const char *)m + c->offset;
  switch (c->kind) {
    case FL_COLUMN_U64: return *(const uint64_t *)(const void *)p;
    case FL_COLUMN_SIZE: return *(const size_t *)(const void *)p;
    case FL_COLUMN_FLAG: return *(const int *)(const void *)p != 0;
    default: return bits_of(*(const double *)(const void *)p);
  }
}

static void word_into(const fl_column *c, fl_metrics *m, uint64_t word) {
  char *p = (char *)m + c->offset;
  switch (c->kind) {
    case FL_COLUMN_U64: *(uint64_t *)(void *)p = word; break;
    case FL_COLUMN_SIZE: *(size_t *)(void *)p = (size_t)word; break;
    case FL_COLUMN_FLAG: *(int *)(void *)p = word != 0; break;
    default: *(double *)(void *)p = double_of(word);
  }
}

void fl_record_pack(const fl_metrics *m, uint64_t word[FL_RECORD_WORDS]) {
  for (size_t i = 0; i < FL_COLUMNS; i++) word[i] = word_of(&fl_columns[i], m);
  for (size_t i = 0; i < FL_T_COUNT; i++) word[FL_COLUMNS + i] = bits_of(m->thread_seconds[i]);
}

void fl_record_unpack(const uint64_t word[FL_RECORD_WORDS], fl_metrics *m) {
  memset(m, 0, sizeof *m);
  for (size_t i = 0; i < FL_COLUMNS; i++) word_into(&fl_columns[i], m, word[i]);
  for (size_t i = 0; i < FL_T_COUNT; i++) m->thread_seconds[i] = double_of(word[FL_COLUMNS + i]);
}

uint64_t fl_record_bits(const fl_column *c, const fl_metrics *m) {
  uint64_t word = word_of(c, m);
  if (c->kind != FL_COLUMN_REAL) return word;
  int absent = !m->evaluated && (c->offset == offsetof(fl_metrics, test_loss) || c->offset == offsetof(fl_metrics, accuracy));
  return absent || (word & exponent) == exponent ? the_nan : word;
}

void fl_record_digest(EVP_MD_CTX *sha, const fl_metrics *m) {
  for (size_t i = 0; i < FL_COLUMNS; i++) {
    if (fl_columns[i].timed) continue;
    uint64_t word = fl_record_bits(&fl_columns[i], m);
    unsigned char byte[8];
    for (int b = 0; b < 8; b++) byte[b] = (unsigned char)(word >> 8 * b);
    if (EVP_DigestUpdate(sha, byte, sizeof byte) != 1) abort();  /* never silently a wrong hash */
  }
}

/* 17 digits give the double back exactly; always with a point or an exponent, so that -0.0 keeps its sign in JSON. */
static size_t put_real(char *out, size_t size, uint64_t word) {
  if ((word & exponent) == exponent) return (size_t)snprintf(out, size, "null");
  char text[40];
  snprintf(text, sizeof text, "%.17g", double_of(word));
  return (size_t)snprintf(out, size, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

size_t fl_record_line(const fl_metrics *m, char line[FL_RECORD_LINE]) {
  size_t at = 0;
  for (size_t i = 0; i < FL_COLUMNS; i++) {
    const fl_column *c = &fl_columns[i];
    uint64_t word = fl_record_bits(c, m);
    at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%s\"%s\": ", i ? ", " : "{", c->name);
    if (c->kind == FL_COLUMN_REAL) at += put_real(line + at, FL_RECORD_LINE - at, word);
    else if (c->kind == FL_COLUMN_FLAG) at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, word ? "true" : "false");
    else at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%" PRIu64, word);
  }
  at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, ", \"thread_seconds\": {");
  for (size_t i = 0; i < FL_T_COUNT; i++) {
    at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%s\"%s\": ", i ? ", " : "", fl_time_name[i]);
    at += put_real(line + at, FL_RECORD_LINE - at, bits_of(m->thread_seconds[i]));
  }
  at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "}}\n");
  return at;
}

static int parse_value(const json_t *v, const fl_column *c, uint64_t *word) {
  if (!v) return -1;
  if (c->kind == FL_COLUMN_REAL) {
    if (!json_is_number(v) && !json_is_null(v)) return -1;
    *word = json_is_null(v) ? the_nan : bits_of(json_number_value(v));
  } else if (c->kind == FL_COLUMN_FLAG) {
    if (!json_is_boolean(v)) return -1;
    *word = json_is_true(v);
  } else {
    if (!json_is_integer(v) || json_integer_value(v) < 0) return -1;
    *word = (uint64_t)json_integer_value(v);
  }
  return 0;
}

int fl_record_parse(const char *line, size_t n, fl_metrics *m, char *err, size_t err_size) {
  static const char *const wanted[] = {"an integer >= 0", "an integer >= 0", "true or false", "a number or null"};
  json_error_t e;
  json_t *o = json_loadb(line, n, 0, &e);
  memset(m, 0, sizeof *m);
  if (!json_is_object(o)) {
    snprintf(err, err_size, "not a JSON object%s%s", o ? "" : ": ", o ? "" : e.text);
    json_decref(o);
    return -1;
  }
  for (size_t i = 0; i < FL_COLUMNS; i++) {
    const fl_column *c = &fl_columns[i];
    uint64_t word = 0;
    if (parse_value(json_object_get(o, c->name), c, &word)) {
      snprintf(err, err_size, "\"%s\" is missing or not %s", c->name, wanted[c->kind]);
      json_decref(o);
      return -1;
    }
    word_into(c, m, word);
  }
  const json_t *split = json_object_get(o, "thread_seconds");
  for (size_t i = 0; i < FL_T_COUNT; i++) m->thread_seconds[i] = json_number_value(json_object_get(split, fl_time_name[i]));
  json_decref(o);
  return 0;
}

int64_t fl_record_each(const char *path, uint64_t most, int (*each)(void *self, const fl_metrics *), void *self, uint64_t *bytes,
                       char *err, size_t err_size) {
  FILE *file = fopen(path, "re");
  if (!file) {
    snprintf(err, err_size, "cannot read '%s': %s", path, strerror(errno));
    return -1;
  }
  char *line = NULL, why[200];
  size_t room = 0;
  uint64_t seen = 0, end = 0;
  int bad = 0;
  while (!bad && seen < most) {
    ssize_t n = getline(&line, &room, file);
    if (n <= 0 || line[n - 1] != '\n') break;
    fl_metrics m;
    bad = fl_record_parse(line, (size_t)n, &m, why, sizeof why);
    if (!bad && m.round != seen + 1) {
      snprintf(why, sizeof why, "\"round\" is %" PRIu64 ", must be %" PRIu64, m.round, seen + 1);
      bad = -1;
    }
    if (bad) {
      snprintf(err, err_size, "'%s', line %" PRIu64 ": %s", path, seen + 1, why);
      break;
    }
    seen++;
    end += (uint64_t)n;
    if (each && each(self, &m)) break;
  }
  if (!bad && ferror(file)) {
    snprintf(err, err_size, "cannot read '%s': %s", path, strerror(errno));
    bad = -1;
  }
  free(line);
  fclose(file);
  if (bytes) *bytes = end;
  return bad ? -1 : (int64_t)seen;
}

void fl_hex(const unsigned char *bytes, size_t n, char *out) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digit[bytes[i] >> 4];
    out[2 * i + 1] = digit[bytes[i] & 15];
  }
  out[2 * n] = 0;
}
