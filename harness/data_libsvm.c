/* data_libsvm.c - LIBSVM's text: a row a line, "label index:value ...", indices rising, the rest 0; behind '#' a comment. What
 * the labels are is found out (-1 and +1, 0 and 1, 1 to 10: class k is the k-th of them in order), and whether indices begin at
 * 0 or 1, over both files. Rows are kept sparse, or dense where that is less. */
#include "harness/data_file.h"
#include "models/locale.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INDEX = 1 << 27, MOST_LABEL = 1000000000 };
typedef struct {
  const char *path;
  size_t n, total, *begin;
  int32_t *label;
  uint32_t *column, most;                       /* as in the file; the largest */
  float *value;
  int zero;                                     /* an index is 0 */
  const char *line; size_t number;              /* where it reads: for messages */
  char *err; size_t err_size;
} table;

static int bad_at(const table *t, const char *at, const char *what, const char *allowed) {
  const int n = (int)strcspn(at, " \t\r\n");
  return snprintf(t->err, t->err_size, "%s:%zu:%zu: %s '%.*s'; allowed: %s", t->path, t->number, (size_t)(at - t->line) + 1, what,
                  n < 40 ? n : 40, at, allowed), -1;
}

/* Whether a number has ended where it must. */
static int is_end(char c) { return !c || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '#'; }

static int read_label(table *t, const char **at) {
  char *end;
  const double v = strtod(*at, &end);
  if (end == *at || !is_end(*end) || !(fabs(v) <= MOST_LABEL) || v != floor(v))
    return bad_at(t, *at, "label", "a whole number, one a row (classes)");
  t->label[t->n] = (int32_t)v;
  *at = end;
  return 0;
}

static int read_entry(table *t, const char **at) {
  const char *p = *at;
  char *end = NULL;
  const unsigned long long index = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : MOST_INDEX + 1ull;
  if (index > MOST_INDEX || *end != ':') return bad_at(t, p, "entry", "INDEX:VALUE, with an index from 0 to 134217728");
  if (t->total > t->begin[t->n] && index <= t->column[t->total - 1])
    return bad_at(t, p, "entry", "indices that rise within a row");
  const char *number = end + 1;
  const float v = is_end(*number) ? NAN : strtof(number, &end);
  if (!isfinite(v) || end == number || !is_end(*end)) return bad_at(t, p, "entry", "INDEX:VALUE, with a finite value");
  t->zero |= !index;
  if (index > t->most) t->most = (uint32_t)index;
  t->column[t->total] = (uint32_t)index;
  t->value[t->total++] = v;
  *at = end;
  return 0;
}

static int read_lines(table *t, const char *text, size_t size) {
  for (const char *p = text; p < text + size;) {
    t->line = p;
    t->number++;
    const char *stop = memchr(p, '\n', (size_t)(text + size - p)), *at = p + strspn(p, " \t\r");
    p = stop ? stop + 1 : text + size;
    if (*at == '\n' || *at == '#' || at == text + size) continue;     /* nothing in the line */
    if (read_label(t, &at)) return -1;
    for (;;) {
      at += strspn(at, " \t\r");
      if (*at == '\n' || *at == '#' || at == text + size) break;
      if (read_entry(t, &at)) return -1;
    }
    t->begin[++t->n] = t->total;
  }
  return t->n ? 0 : (snprintf(t->err, t->err_size, "%s: no row; allowed: lines of 'label index:value ...'", t->path), -1);
}

static int read_table(table *t, fl_data_file *file, const char *path, char *err, size_t err_size) {
  size_t size, rows = 1, entries = 1;
  char *text = fl_text_read(file, path, &size, err, err_size);
  if (!text) return -1;
  *t = (table){ .path = path, .err = err, .err_size = err_size };
  for (size_t i = 0; i < size; i++) rows += text[i] == '\n', entries += text[i] == ':';
  t->begin = malloc((rows + 1) * sizeof *t->begin);
  t->label = malloc(rows * sizeof *t->label);
  t->column = malloc(entries * sizeof *t->column);
  t->value = malloc(entries * sizeof *t->value);
  int bad = !t->begin || !t->label || !t->column || !t->value;
  if (bad) snprintf(err, err_size, "%s: no memory for %zu rows of %zu entries", path, rows, entries);
  if (!bad) {
    t->begin[0] = 0;
    const locale_t before = fl_locale_enter();
    bad = read_lines(t, text, size);
    fl_locale_leave(before);
  }
  free(text);
  return bad ? -1 : 0;
}

static void free_table(table *t) {
  free(t->begin);
  free(t->label);
  free(t->column);
  free(t->value);
}

/* ---- from the files' numbers to ours --------------------------------------------------------------------------------------- */
static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* The labels that the training file has, in order. */
static int find_classes(fl_dataset *d, const table *t) {
  if (!(d->value = malloc(t->n * sizeof *d->value)))
    return snprintf(t->err, t->err_size, "%s: no memory for %zu labels", t->path, t->n), -1;
  memcpy(d->value, t->label, t->n * sizeof *d->value);
  qsort(d->value, t->n, sizeof *d->value, ascending);
  for (size_t i = 0; i < t->n; i++)
    if (!d->n_values || d->value[d->n_values - 1] != d->value[i]) d->value[d->n_values++] = d->value[i];
  if (d->n_values > FL_MOST_CLASSES)
    return snprintf(t->err, t->err_size, "%s: %zu different labels; allowed: 2 to %d classes", t->path, d->n_values,
                    FL_MOST_CLASSES), -1;
  if (d->n_values < 2)
    return snprintf(t->err, t->err_size, "%s: every label is %d; a classifier needs at least 2 classes", t->path, d->value[0]),
           -1;
  return 0;
}

static int take_labels(const fl_dataset *d, const table *t, fl_part *p) {
  p->label32 = malloc(t->n * sizeof *p->label32);
  for (size_t i = 0; p->label32 && i < t->n; i++) {
    const int32_t *at = bsearch(&t->label[i], d->value, d->n_values, sizeof *at, ascending);
    if (!at)
      return snprintf(t->err, t->err_size, "%s: label %d of row %zu; allowed: the %zu labels of the training rows, %d to %d",
                      t->path, t->label[i], i + 1, d->n_values, d->value[0], d->value[d->n_values - 1]), -1;
    p->label32[i] = (uint32_t)(at - d->value);
  }
  return p->label32 ? 0 : (snprintf(t->err, t->err_size, "%s: no memory for %zu labels", t->path, t->n), -1);
}

/* The arrays go to the part. */
static int take_rows(table *t, size_t w, uint32_t base, int dense, fl_part *p) {
  p->n = t->n, p->c = p->h = 1, p->w = w;
  for (size_t i = 0; i < t->total; i++) t->column[i] -= base;
  if (!dense) {
    p->begin = t->begin, p->column = t->column, p->value = t->value;
    t->begin = NULL, t->column = NULL, t->value = NULL;
    return 0;
  }
  p->features = fl_pixels_alloc(t->n * w * sizeof *p->features);
  if (!p->features) return snprintf(t->err, t->err_size, "%s: no memory for %zux%zu numbers", t->path, t->n, w), -1;
  memset(p->features, 0, t->n * w * sizeof *p->features);
  for (size_t r = 0; r < t->n; r++)
    for (size_t i = t->begin[r]; i < t->begin[r + 1]; i++) p->features[r * w + t->column[i]] = t->value[i];
  return 0;
}

static int check_base(const table *t, int base) {
  if (base == FL_INDEX_ONE && t->zero)
    return snprintf(t->err, t->err_size, "%s: an index is 0; allowed with index_base = one: from 1", t->path), -1;
  return 0;
}

int fl_libsvm_load(fl_dataset *d, const char *train, const char *test, const fl_data_options *o, fl_part part[2], char *err,
                   size_t err_size) {
  table t[2] = { { 0 }, { 0 } };
  const size_t n = test ? 2 : 1;
  int bad = read_table(&t[0], &part[0].file[0], train, err, err_size) ||
            (test && read_table(&t[1], &part[1].file[0], test, err, err_size)) || check_base(&t[0], o->index_base) ||
            (test && check_base(&t[1], o->index_base)) || find_classes(d, &t[0]);
  const int zero = o->index_base == FL_INDEX_ZERO || (o->index_base == FL_INDEX_AUTO && (t[0].zero || t[1].zero));
  const uint32_t base = !zero;
  const size_t most = t[0].most > t[1].most ? t[0].most : t[1].most, w = most + 1 - base;
  if (!bad && !w) bad = snprintf(err, err_size, "%s: no row has an entry", train);
  const int dense = (t[0].total + t[1].total) * 2 > (t[0].n + t[1].n) * w;          /* 8 bytes an entry, or 4 a number */
  for (size_t i = 0; !bad && i < n; i++) bad = take_labels(d, &t[i], &part[i]) || take_rows(&t[i], w, base, dense, &part[i]);
  for (size_t i = 0; i < 2; i++) free_table(&t[i]);
  return bad ? -1 : 0;
}
