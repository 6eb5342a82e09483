/* tune_choose.c - from scores to a choice: which trial, whether it lies at the end of what was tried, the table and the files. */
#include "tune.h"
#include "atomic.h"
#include "models/locale.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t fl_tune_best(const fl_tune_score *s, size_t n, int smaller) {
  size_t best = n;
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(s[i].score)) continue;
    if (best == n || (smaller ? s[i].score < s[best].score : s[i].score > s[best].score)) best = i;
  }
  return best;
}

/* The parameter that a key is of; NULL: one of another kind (milestones). */
static const fl_param *param_of(const fl_algorithm *a, const char *key) {
  for (size_t i = 0; i < FL_H_COUNT; i++) if (!strcmp(fl_run_params[i].name, key)) return &fl_run_params[i];
  for (size_t i = 0; i < a->rule->n_params; i++) if (!strcmp(a->rule->params[i].name, key)) return &a->rule->params[i];
  for (size_t s = 0; s < a->n_stages; s++)
    for (size_t i = 0; i < a->stage[s]->n_params; i++)
      if (!strcmp(a->stage[s]->params[i].name, key)) return &a->stage[s]->params[i];
  for (size_t i = 0; !strncmp(key, "server_", 7) && i < a->server_rule->n_params; i++)
    if (!strcmp(a->server_rule->params[i].name, key + 7)) return &a->server_rule->params[i];
  return NULL;
}

int fl_tune_at_end(const fl_tune_space *s, size_t key, size_t chosen, const fl_algorithm *a, double ends[2]) {
  const fl_param *p = param_of(a, s->key[key]->key);
  double own = 0, v;
  if (!p || p->choices || p->flags & FL_LIST) return 0;
  ends[0] = INFINITY;
  ends[1] = -INFINITY;
  for (size_t t = 0; t < s->trials; t++) {
    const fl_setting set = { p->name, s->value[t * s->n_keys + key], "" };
    char ignored[400];
    if (fl_param_read(p, &set, &v, ignored, sizeof ignored)) return 0;
    if (v < ends[0]) ends[0] = v;
    if (v > ends[1]) ends[1] = v;
    if (t == chosen) own = v;
  }
  if (ends[0] == ends[1]) return 0;
  return (own == ends[0] && !(own == p->lo)) || (own == ends[1] && !(own == p->hi));
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */
static const char *status_of(const fl_tune_score *s) {
  return s->diverged ? "diverged" : isfinite(s->score) ? "done" : "not finite";
}

/* A field of a CSV. */
static void put_field(FILE *f, const char *s) {
  const int quoted = s[strcspn(s, ",\"\n")] != 0;
  if (quoted) fputc('"', f);
  for (; *s; s++) fprintf(f, *s == '"' ? "\"\"" : "%c", *s);
  if (quoted) fputc('"', f);
}

/* The value of tune.space's key in a trial; NULL: it is none of this method's. */
static const char *value_of(const fl_tune_space *s, const char *key, size_t trial) {
  for (size_t k = 0; k < s->n_keys; k++)
    if (!strcmp(s->key[k]->key, key)) return s->value[trial * s->n_keys + k];
  return NULL;
}

/* Each key once, whoever has it. */
static int is_repeated(const fl_tune *t, size_t key) {
  for (size_t j = 0; j < key; j++) if (!strcmp(t->key[j].key, t->key[key].key)) return 1;
  return 0;
}

static int write_csv(const fl_tune *t, const fl_tune_score *score, const size_t *chosen, const char *out, char *err,
                     size_t size) {
  char *text = NULL, path[4200];
  size_t length = 0;
  FILE *f = open_memstream(&text, &length);
  if (!f) return snprintf(err, size, "out of memory"), -1;
  fputs("method,trial", f);
  for (size_t k = 0; k < t->n_keys; k++) if (!is_repeated(t, k)) fputc(',', f), put_field(f, t->key[k].key);
  fprintf(f, ",status,%s,chosen,hash\n", fl_tune_metric_name(t));
  for (size_t m = 0; m < t->n_methods; m++) {
    const fl_tune_space *s = &t->space[t->method[m].entry];
    for (size_t i = 0; i < s->trials; i++, score++) {
      put_field(f, t->method[m].label);
      fprintf(f, ",%zu", i + 1);
      for (size_t k = 0; k < t->n_keys; k++) {
        if (is_repeated(t, k)) continue;
        const char *v = value_of(s, t->key[k].key, i);
        fputc(',', f);
        put_field(f, v ? v : "");
      }
      fprintf(f, ",%s,", status_of(score));
      const locale_t before = fl_locale_enter();
      if (isfinite(score->score)) fprintf(f, "%.10g", score->score);
      fl_locale_leave(before);
      fprintf(f, ",%s,%s\n", chosen[m] == i ? "yes" : "", score->hash);
    }
  }
  snprintf(path, sizeof path, "%s/tune.csv", out);
  const int bad = fclose(f) ? snprintf(err, size, "out of memory"), -1 : fl_file_write(path, text, length, err, size);
  free(text);
  return bad;
}

/* ---- table -------------------------------------------------------------------------------------------------------------- */
/* " lr=0.1 mu=0.01" */
static void values_text(const fl_tune_space *s, size_t trial, char *out, size_t size) {
  *out = 0;
  for (size_t k = 0; k < s->n_keys; k++) {
    const size_t at = strlen(out);
    snprintf(out + at, size - at, " %s=%s", s->key[k]->key, s->value[trial * s->n_keys + k]);
  }
}

static void tell_ends(const fl_tune *t, size_t m, size_t chosen, FILE *notes) {
  const fl_tune_space *s = &t->space[t->method[m].entry];
  double ends[2];
  for (size_t k = 0; k < s->n_keys; k++) {
    if (!fl_tune_at_end(s, k, chosen, &t->suite.run[t->method[m].first].algorithm, ends)) continue;
    char text[600];
    snprintf(text, sizeof text, "%s: the chosen %s = %s lies at the end of what was tried (%.4g to %.4g): widen the range, or "
             "try more", t->method[m].label, s->key[k]->key, s->value[chosen * s->n_keys + k], ends[0], ends[1]);
    fprintf(stderr, "%s\n", text);
    fprintf(notes, "# %s\n", text);
  }
}

static void head(const fl_tune *t, FILE *notes, int width) {
  const fl_config *run = &t->suite.run[0];
  fprintf(notes, "# Chosen by fedlane tune (version %s): at most %zu trials of every method, draws by seed %llu, %s%s\n"
          "# on %g of %s held out; %zu seed%s a trial, %llu the first. No test row was read. All trials: tune.csv\n", FL_VERSION,
          t->trials, (unsigned long long)t->seed, t->metric == FL_TUNE_LOSS ? "the least " : "the best ", fl_tune_metric_name(t),
          run->validation, run->validation_from == FL_VALIDATION_CLIENTS ? "each client's training rows" : "the training rows",
          t->seeds, t->seeds > 1 ? "s" : "", (unsigned long long)run->seed);
  fputs("# Tried:", notes);
  for (size_t i = 0; i < t->n_keys; i++) {
    const fl_tune_key *k = &t->key[i];
    fprintf(notes, "%s %s ", i ? ";" : "", k->node->key);
    for (size_t v = 0; k->list && v < k->n; v++) fprintf(notes, "%s%s", v ? ", " : "", k->node->child[v]->text);
    if (!k->list) fprintf(notes, "%s from %.15g to %.15g", k->log ? "log" : "linear", k->lo, k->hi);
    if (!k->list && k->n) fprintf(notes, ", %zu points", k->n);
    if (k->whole) fputs(", whole", notes);
  }
  fputc('\n', notes);
  printf("%-*s  %6s  %8s  %10s  chosen\n", width, "method", "trials", "diverged",
         t->metric == FL_TUNE_LOSS ? "loss" : "accuracy %");
}

int fl_tune_report(const fl_tune *t, const fl_tune_score *all, const char *out, char *err, size_t size) {
  char *notes = NULL, path[4200], values[FL_TUNE_KEYS * (FL_TUNE_VALUE + 82)];
  size_t length = 0, *chosen = malloc(t->n_methods * sizeof *chosen), without = 0;
  FILE *f = open_memstream(&notes, &length);
  int width = 9;
  const fl_tune_score *score = all;
  if (!chosen || !f) return free(chosen), snprintf(err, size, "out of memory"), -1;
  for (size_t m = 0; m < t->n_methods; m++)
    if ((int)strlen(t->method[m].label) > width) width = (int)strlen(t->method[m].label);
  head(t, f, width);
  for (size_t m = 0; m < t->n_methods; m++) {
    const fl_tune_space *s = &t->space[t->method[m].entry];
    const size_t best = fl_tune_best(score, s->trials, t->metric == FL_TUNE_LOSS);
    size_t diverged = 0;
    for (size_t i = 0; i < s->trials; i++) diverged += !isfinite(score[i].score);
    chosen[m] = best < s->trials ? best : SIZE_MAX;
    if (best < s->trials) {
      values_text(s, best, values, sizeof values);
      printf("%-*s  %6zu  %8zu  %10.4g %s\n", width, t->method[m].label, s->trials, diverged,
             score[best].score * (t->metric == FL_TUNE_LOSS ? 1 : 100), *values ? values : " (nothing to choose)");
      tell_ends(t, m, best, f);
    } else {
      printf("%-*s  %6zu  %8zu  %10s  none: every trial diverged\n", width, t->method[m].label, s->trials, diverged, "-");
      fprintf(f, "# %s is left out: every trial diverged\n", t->method[m].label);
      without++;
    }
    score += s->trials;
  }
  int bad = fclose(f) ? snprintf(err, size, "out of memory"), -1 : write_csv(t, all, chosen, out, err, size);
  snprintf(path, sizeof path, "%s/chosen.yaml", out);
  if (!bad && without < t->n_methods) bad = fl_tune_write(t, chosen, notes, path, err, size);
  free(notes);
  free(chosen);
  return bad ? -1 : without > 0;
}
