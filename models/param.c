/* param.c - values of parameters and names from text, and the messages about those that are wrong: the same words for
 * methods, partitions, sections of a configuration and commands. */
#include "models/locale.h"
#include <fedlane/param.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Edit distance. */
static size_t distance(const char *a, const char *b) {
  size_t row[72];
  const size_t n = strlen(b);
  if (n >= 71 || strlen(a) >= 71) return 99;
  for (size_t j = 0; j <= n; j++) row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      const size_t above = row[j + 1], swap = diagonal + (a[i] != b[j]);
      size_t best = above + 1 < row[j] + 1 ? above + 1 : row[j] + 1;
      if (swap < best) best = swap;
      diagonal = above;
      row[j + 1] = best;
    }
  }
  return row[n];
}

static const char *nearest(const char *word, const char *const *names, size_t n) {
  const char *best = NULL;
  size_t least = strlen(word) / 2 + 1;
  for (size_t i = 0; i < n; i++) {
    const size_t d = distance(word, names[i]);
    if (d < least) least = d, best = names[i];
  }
  return best;
}

int fl_unknown(const char *where, const char *what, const char *word, const char *const *names, size_t n, char *err,
               size_t size) {
  const char *near = nearest(word, names, n);
  int at = snprintf(err, size, "%s: unknown %s '%s'%s%s%s; allowed: ", where, what, word, near ? "; did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
  for (size_t i = 0; i < n && at >= 0 && (size_t)at < size; i++)
    at += snprintf(err + at, size - (size_t)at, "%s%s", i ? ", " : "", names[i]);
  return -1;
}

/* Index of the choice, -1: none. Where the choices are no and yes, the other words of YAML for them are fine too. */
static int choice_of(const char *choices, const char *value) {
  const char *c = choices;
  for (int index = 0; c; index++) {
    const char *bar = strchr(c, '|');
    const size_t n = bar ? (size_t)(bar - c) : strlen(c);
    if (strlen(value) == n && !strncmp(c, value, n)) return index;
    c = bar ? bar + 1 : NULL;
  }
  if (strcmp(choices, "no|yes")) return -1;
  return !strcmp(value, "true") || !strcmp(value, "1") ? 1 : !strcmp(value, "false") || !strcmp(value, "0") ? 0 : -1;
}

static int read_number(const fl_param *p, const fl_setting *s, double *out, char *err, size_t size) {
  char *end;
  const char *text = !strcmp(s->value, ".inf") ? "inf" : s->value;
  const double v = strtod(text, &end);
  const int inside = end != text && !*end && v >= p->lo && v <= p->hi && !(p->flags & FL_ABOVE && v == p->lo) &&
                     !(p->flags & FL_BELOW && v == p->hi);
  if (!inside || (p->flags & FL_WHOLE && v != floor(v)))
    return snprintf(err, size, "%s: %s = '%s'; allowed: %s %s %.16g %s %.16g", s->where, p->name, s->value,
                    p->flags & FL_WHOLE ? "a whole number" : "a number", p->flags & FL_ABOVE ? "above" : "from", p->lo,
                    p->flags & FL_BELOW ? "to below" : "to", p->hi), -1;
  *out = v;
  return 0;
}

/* a+b+c, each a number of the parameter's. */
static int read_numbers(const fl_param *p, const fl_setting *s, double *out, char *err, size_t size) {
  size_t n = 0;
  char word[64];
  double one;
  *out = 0;
  if (!strcmp(s->value, "none")) return 0;
  for (const char *at = s->value; ; at += *at == '+') {
    const size_t length = strcspn(at, "+");
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : 0), at);
    if (read_number(p, &(fl_setting){ s->key, word, s->where }, &one, err, size)) return -1;
    if (++n > FL_MAX_NUMBERS)
      return snprintf(err, size, "%s: %s has more than %d numbers", s->where, p->name, FL_MAX_NUMBERS), -1;
    at += length;
    if (!*at) break;
  }
  *out = (double)n;
  return 0;
}

void fl_param_numbers(const char *value, float *out) {
  const locale_t before = fl_locale_enter();
  for (const char *at = value; strcmp(value, "none") && *at;) {
    char *end;
    *out++ = (float)strtod(at, &end);
    at = *end == '+' ? end + 1 : end;
  }
  fl_locale_leave(before);
}

int fl_param_read(const fl_param *p, const fl_setting *s, double *out, char *err, size_t size) {
  if (p->choices) {
    const int index = choice_of(p->choices, s->value);
    if (index < 0) return snprintf(err, size, "%s: %s = '%s'; allowed: %s", s->where, p->name, s->value, p->choices), -1;
    *out = index;
    return 0;
  }
  const locale_t before = fl_locale_enter();
  const int bad = (p->flags & FL_NUMBERS ? read_numbers : read_number)(p, s, out, err, size);
  fl_locale_leave(before);
  return bad;
}
