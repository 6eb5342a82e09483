/* tune_draw.c - values of a search: points of a range, draws from (seed, key, number of the draw), combinations. */
#include "tune.h"
#include "models/locale.h"
#include <fedlane/kernels.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGAIN = 1000,                            /* draws in a row that were there already: the space has no more to give */
       TRIALS = 2 };                            /* in the key's place of the round; 0 and 1 are the splits of data_holdout.c */

/* Four digits are more than a search can tell apart, and are what a configuration says. */
static void put_number(const fl_tune_key *k, double v, char out[FL_TUNE_VALUE]) {
  v = v < k->lo ? k->lo : v > k->hi ? k->hi : v;
  const locale_t before = fl_locale_enter();
  snprintf(out, FL_TUNE_VALUE, k->whole ? "%.0f" : v == k->lo || v == k->hi ? "%.15g" : "%.4g", v);
  fl_locale_leave(before);
}

/* part of the way from lo to hi, by the functions that give the same bits everywhere */
static double between(const fl_tune_key *k, double part) {
  if (!k->log) return k->lo + part * (k->hi - k->lo);
  const double from = fl_log(k->lo);
  return fl_exp(from + part * (fl_log(k->hi) - from));
}

void fl_tune_point(const fl_tune_key *k, size_t i, char out[FL_TUNE_VALUE]) {
  if (k->list) {
    snprintf(out, FL_TUNE_VALUE, "%s", k->node->child[i]->text);
    return;
  }
  const double v = i == 0 ? k->lo : i == k->n - 1 ? k->hi : between(k, (double)i / (double)(k->n - 1));
  put_number(k, k->whole ? floor(v + 0.5) : v, out);
}

void fl_tune_draw(const fl_tune_key *k, uint64_t seed, size_t draw, char out[FL_TUNE_VALUE]) {
  uint32_t name = 2166136261u;                  /* FNV-1a of the key's name */
  fl_stream s;
  for (const char *c = k->key; *c; c++) name = (name ^ (unsigned char)*c) * 16777619u;
  const fl_key key = { seed, FL_PURPOSE_VALIDATION, TRIALS, name, (uint32_t)draw };
  fl_stream_init(&s, &key);
  if (k->n) {
    fl_tune_point(k, fl_stream_below(&s, (uint32_t)k->n), out);
    return;
  }
  const double u = fl_stream_uniform(&s);
  if (k->whole && !k->log) put_number(k, floor(k->lo + u * (k->hi - k->lo + 1)), out);   /* each whole number as likely */
  else put_number(k, k->whole ? floor(between(k, u) + 0.5) : between(k, u), out);
}

/* Whether the trial's values are those of an earlier one. */
static int is_again(const fl_tune_space *s, size_t trial) {
  const size_t n = s->n_keys;
  for (size_t t = 0; t < trial; t++) {
    size_t k = 0;
    while (k < n && !strcmp(s->value[t * n + k], s->value[trial * n + k])) k++;
    if (k == n) return 1;
  }
  return 0;
}

int fl_tune_fill(fl_tune_space *s, size_t trials, uint64_t seed) {
  size_t all = 1;                               /* combinations; 0: no end of them, or more than trials */
  for (size_t k = 0; k < s->n_keys; k++) all = s->key[k]->n && all && all <= trials ? all * s->key[k]->n : 0;
  if (all > trials) all = 0;
  s->value = calloc((all ? all : trials) * s->n_keys + 1, sizeof *s->value);
  if (!s->value) return -1;
  for (s->trials = 0; s->trials < all; s->trials++)
    for (size_t k = s->n_keys, rest = s->trials; k-- > 0; rest /= s->key[k]->n)
      fl_tune_point(s->key[k], rest % s->key[k]->n, s->value[s->trials * s->n_keys + k]);
  for (size_t draw = 0, again = 0; !all && s->trials < trials && again < AGAIN; draw++) {
    for (size_t k = 0; k < s->n_keys; k++) fl_tune_draw(s->key[k], seed, draw, s->value[s->trials * s->n_keys + k]);
    if (is_again(s, s->trials)) again++;
    else s->trials++, again = 0;
  }
  return 0;
}
