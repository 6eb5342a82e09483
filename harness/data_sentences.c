/* data_sentences.c - sentences with a class each: lines of text, a tab and a label (0, 1, ...); a first line whose last column is
 * no number is a heading. Tokens are the text's bytes; 0, which no text has, fills the row behind its end, and what is longer
 * than the row is cut. So there is no vocabulary to be learned or shipped, and a row gives its text back. */
#include "harness/data_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *text; size_t size; int label; } sentence;

/* The number in the whole of at[0..n), which is not empty; -1: it is none, or no class. */
static int number(const char *at, size_t n) {
  int v = 0;
  for (size_t i = 0; i < n; i++) {
    if (at[i] < '0' || at[i] > '9' || (v = 10 * v + (at[i] - '0')) >= FL_MOST_CLASSES) return -1;
  }
  return n ? v : -1;
}

/* A line's sentence. 0, 1 a heading, -1 with a message. */
static int read_line(const char *path, const char *line, size_t n, size_t at, sentence *s, char *err, size_t err_size) {
  if (n && line[n - 1] == '\r') n--;
  const char *tab = memchr(line, '\t', n);
  if (!tab) return snprintf(err, err_size, "%s:%zu:1: no tab; allowed: lines of text, a tab and a label", path, at), -1;
  const char *own = tab + 1;
  const size_t rest = n - (size_t)(own - line);
  *s = (sentence){ line, (size_t)(tab - line), number(own, rest) };
  if (s->label < 0 && at == 1 && (!rest || own[0] < '0' || own[0] > '9') && rest && own[0] != '-') return 1;
  if (s->label < 0)
    return snprintf(err, err_size, "%s:%zu:%zu: label '%.*s'; allowed: a whole number from 0 to %d", path, at,
                    (size_t)(own - line) + 1, (int)(rest < 40 ? rest : 40), own, FL_MOST_CLASSES - 1), -1;
  const char *zero = memchr(line, 0, s->size);
  if (zero)
    return snprintf(err, err_size, "%s:%zu:%zu: a byte 0; allowed: text", path, at, (size_t)(zero - line) + 1), -1;
  if (!s->size) return snprintf(err, err_size, "%s:%zu:1: no text; allowed: one character or more", path, at), -1;
  return 0;
}

static int read_file(const char *path, size_t length, fl_part *part, char *err, size_t err_size) {
  size_t size, lines = 1;
  char *text = fl_text_read(&part->file[0], path, &size, err, err_size);
  if (!text) return -1;
  for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
  part->c = part->h = 1, part->w = length;
  part->label32 = malloc(lines * sizeof *part->label32);
  part->tokens = lines > SIZE_MAX / (4 * length) ? NULL : fl_pixels_alloc(lines * length * sizeof *part->tokens);
  int bad = !part->label32 || !part->tokens;
  if (bad) snprintf(err, err_size, "%s: no memory for %zu rows of %zu tokens", path, lines, length);
  size_t at = 0;
  for (const char *p = text; !bad && p < text + size;) {
    const char *stop = memchr(p, '\n', (size_t)(text + size - p));
    const size_t n = (size_t)((stop ? stop : text + size) - p);
    sentence s;
    const int kind = n ? read_line(path, p, n, ++at, &s, err, err_size) : (at++, 1);
    bad = kind < 0;
    p += n + 1;
    if (kind) continue;
    int32_t *token = part->tokens + part->n * length;
    for (size_t i = 0; i < length; i++) token[i] = i < s.size ? (uint8_t)s.text[i] : 0;
    part->label32[part->n++] = (uint32_t)s.label;
  }
  free(text);
  if (!bad && !part->n) bad = snprintf(err, err_size, "%s: no row; allowed: lines of text, a tab and a label", path);
  return bad ? -1 : 0;
}

int fl_sentences_load(const char *train, const char *test, const fl_data_options *o, fl_part part[2], char *err,
                      size_t err_size) {
  return read_file(train, o->length, &part[0], err, err_size) || (test && read_file(test, o->length, &part[1], err, err_size))
             ? -1 : 0;
}
