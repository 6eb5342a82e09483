/* record.c - the columns of a round as JSON. */
#include "harness/record.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 17 digits give the double back exactly; always with a point or an exponent, so that -0.0 keeps its sign in JSON. */
static size_t put_real(char *out, size_t size, uint64_t word) {
  if (!fl_word_finite(word)) return (size_t)snprintf(out, size, "null");
  char text[40];
  snprintf(text, sizeof text, "%.17g", fl_double_of(word));
  return (size_t)snprintf(out, size, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

size_t fl_record_line(const fl_metrics *m, char line[FL_RECORD_LINE]) {
  size_t at = 0;
  for (size_t i = 0; i < FL_COLUMNS; i++) {
    const fl_column *c = &fl_columns[i];
    uint64_t word = fl_record_bits(c, m);
    if (c->told && !fl_word_finite(word)) continue;
    at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%s\"%s\": ", i ? ", " : "{", c->name);
    if (c->kind == FL_COLUMN_REAL) at += put_real(line + at, FL_RECORD_LINE - at, word);
    else if (c->kind == FL_COLUMN_FLAG) at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, word ? "true" : "false");
    else at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%" PRIu64, word);
  }
  at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, ", \"thread_seconds\": {");
  for (size_t i = 0; i < FL_T_COUNT; i++) {
    at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "%s\"%s\": ", i ? ", " : "", fl_time_name[i]);
    at += put_real(line + at, FL_RECORD_LINE - at, fl_word_of(m->thread_seconds[i]));
  }
  at += (size_t)snprintf(line + at, FL_RECORD_LINE - at, "}}\n");
  return at;
}

static int parse_value(const json_t *v, const fl_column *c, uint64_t *word) {
  if (!v) return -1;
  if (c->kind == FL_COLUMN_REAL) {
    if (!json_is_number(v) && !json_is_null(v)) return -1;
    *word = json_is_null(v) ? FL_WORD_NAN : fl_word_of(json_number_value(v));
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
    const json_t *value = json_object_get(o, c->name);
    uint64_t word = FL_WORD_NAN;
    if (!(c->told && !value) && parse_value(value, c, &word)) {
      snprintf(err, err_size, "\"%s\" is missing or not %s", c->name, wanted[c->kind]);
      json_decref(o);
      return -1;
    }
    fl_column_set(c, m, word);
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
