/* published.c - see published.h. */
#include "harness/published.h"
#include "harness/atomic.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const own[] = { "row", "column", "accuracy", "pick", "source", "note" };
enum { ROW, COLUMN, ACCURACY, PICK, OWN = sizeof own / sizeof *own };

/* The fields of one record as an array; *p behind it, *line the line that it began in. NULL at the end. An empty line is none. */
static json_t *record(const char **p, const char *end, size_t *line, size_t *next) {
  while (*p < end && (**p == '\n' || **p == '\r')) *next += **p == '\n', ++*p;
  if (*p == end) return NULL;
  json_t *fields = json_array();
  char *field = malloc((size_t)(end - *p) + 1);
  if (!field) abort();
  *line = *next;
  for (int more = 1; more;) {
    size_t n = 0;
    int quoted = *p < end && **p == '"';
    *p += quoted;
    for (; *p < end; ++*p) {
      if (quoted && **p == '"') {
        if (*p + 1 < end && (*p)[1] == '"') ++*p;
        else { quoted = 0; continue; }
      } else if (!quoted && (**p == ',' || **p == '\n' || **p == '\r')) {
        break;
      }
      *next += **p == '\n';
      field[n++] = **p;
    }
    json_array_append_new(fields, json_stringn_nocheck(field, n));
    more = *p < end && **p == ',';
    *p += more;
  }
  free(field);
  return fields;
}

static const char *text(const json_t *fields, size_t i) {
  const char *s = json_string_value(json_array_get(fields, i));
  return s ? s : "";
}

static size_t place(const json_t *names, const char *name) {
  size_t i = 0;
  while (i < json_array_size(names) && strcmp(text(names, i), name)) i++;
  return i;
}

static int check_names(const char *path, const json_t *names, const json_t *known, char *err, size_t size) {
  for (size_t k = ROW; k <= ACCURACY; k++)
    if (place(names, own[k]) == json_array_size(names))
      return snprintf(err, size, "%s:1: no column '%s'; needed: row, column, accuracy", path, own[k]), -1;
  for (size_t i = 0; i < json_array_size(names); i++) {
    size_t k = 0;
    const char *key;
    json_t *ignored;
    while (k < OWN && strcmp(own[k], text(names, i))) k++;
    if (k < OWN || json_object_get(known, text(names, i))) continue;
    int at = snprintf(err, size, "%s:1: column '%s' is no key of these runs; allowed: row, column, accuracy, pick, source, note",
                      path, text(names, i));
    json_object_foreach((json_t *)(uintptr_t)known, key, ignored)
      if (at > 0 && (size_t)at < size) at += snprintf(err + at, size - (size_t)at, ", %s", key);
    return -1;
  }
  return 0;
}

static int check_line(const char *path, size_t line, const json_t *names, const json_t *fields, char *err, size_t size) {
  char *end;
  const char *accuracy = text(fields, place(names, own[ACCURACY])), *pick = text(fields, place(names, own[PICK]));
  if (json_array_size(fields) != json_array_size(names))
    return snprintf(err, size, "%s:%zu: %zu fields; allowed: as many as line 1 has, %zu", path, line, json_array_size(fields),
                    json_array_size(names)), -1;
  const double value = strtod(accuracy, &end);
  if (!*accuracy || *end || !(value >= -1e6 && value <= 1e6))
    return snprintf(err, size, "%s:%zu: accuracy = '%s'; allowed: percent", path, line, accuracy), -1;
  if (*pick && strcmp(pick, "best"))
    return snprintf(err, size, "%s:%zu: pick = '%s'; allowed: best, or nothing", path, line, pick), -1;
  return 0;
}

int fl_published_check(const char *path, const json_t *known, char *err, size_t size) {
  unsigned char *bytes;
  size_t n, line = 1, next = 1;
  if (fl_file_read(path, &bytes, &n, err, size)) return -1;
  const char *p = (const char *)bytes, *end = p + n;
  json_t *names = record(&p, end, &line, &next), *fields = NULL;
  if (!names) names = json_array();
  int bad = check_names(path, names, known, err, size);
  while (!bad && (fields = record(&p, end, &line, &next))) {
    bad = check_line(path, line, names, fields, err, size);
    json_decref(fields);
  }
  json_decref(names);
  free(bytes);
  return bad;
}
