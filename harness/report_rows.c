/* report_rows.c - the numbers of the tables: over the seeds of each series, and what of a problem is best. */
#include "harness/report.h"
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- statistics ------------------------------------------------------------------------------------------------------------ */
fl_spread fl_spread_of(const double *v, size_t n) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += v[i];
  const double mean = n ? sum / (double)n : (double)NAN;
  for (size_t i = 0; i < n; i++) squares += (v[i] - mean) * (v[i] - mean);
  return (fl_spread){ mean, n > 1 ? sqrt(squares / (double)(n - 1)) : 0, n };
}

/* The 97.5 % point of Student's t with n - 1 degrees of freedom: to 10 digits up to 30 of them, then by Cornish and Fisher's
 * expansion about the normal distribution's, which is exact to 2e-6 there. */
double fl_student(size_t n) {
  static const double t[30] = {
    12.70620474, 4.30265273, 3.182446305, 2.776445105, 2.570581837, 2.446911849, 2.364624251, 2.306004135,
    2.262157163, 2.228138852, 2.20098516, 2.17881283, 2.160368656, 2.144786688, 2.131449546, 2.119905299,
    2.109815578, 2.10092204, 2.093024054, 2.085963447, 2.079613845, 2.073873068, 2.06865761, 2.063898562,
    2.059538553, 2.055529439, 2.051830516, 2.048407142, 2.045229642, 2.042272456 };
  if (n < 2) return 0;
  if (n <= 31) return t[n - 2];
  const double z = 1.959963984540054, zz = z * z, v = (double)(n - 1);
  return z + z * (zz + 1) / (4 * v) + z * ((5 * zz + 16) * zz + 3) / (96 * v * v) +
      z * (((3 * zz + 19) * zz + 17) * zz - 15) / (384 * v * v * v);
}

/* ---- a row ----------------------------------------------------------------------------------------------------------------- */
enum { ACCURACY, RATE, UP, DOWN, REACH, VALUES = REACH + FL_COSTS };
typedef struct { const fl_report_series *s; fl_spread value[VALUES]; size_t with_target, reached, open; const char *status; } row;

/* NaN where one seed has none. */
static fl_spread over_seeds(const fl_report_runs *all, const fl_report_series *s, size_t offset) {
  double *v = calloc(s->n + 1, sizeof *v);
  if (!v) abort();
  for (size_t i = 0; i < s->n; i++) memcpy(&v[i], (const char *)&all->run[s->run[i]] + offset, sizeof *v);
  const fl_spread spread = fl_spread_of(v, s->n);
  free(v);
  return spread;
}

static row row_of(const fl_report_runs *all, const fl_report_series *s) {
  static const size_t offset[REACH] = { offsetof(fl_report_run, accuracy), offsetof(fl_report_run, rate),
                                        offsetof(fl_report_run, up), offsetof(fl_report_run, down) };
  row r = { .s = s };
  for (size_t k = 0; k < REACH; k++) r.value[k] = over_seeds(all, s, offset[k]);
  for (size_t k = 0; k < FL_COSTS; k++)
    r.value[REACH + k] = over_seeds(all, s, offsetof(fl_report_run, reach) + k * sizeof(double));
  for (size_t i = 0; i < s->n; i++) {
    const fl_report_run *one = &all->run[s->run[i]];
    r.with_target += !isnan(one->target);
    r.reached += !isnan(one->reach[FL_COST_ROUNDS]);
    r.open += one->unfinished && isnan(one->reach[FL_COST_ROUNDS]);
    if (isnan(one->accuracy) && strcmp(one->status, "done") && (!r.status || strcmp(one->status, r.status) < 0))
      r.status = one->status;
  }
  return r;
}

/* The rows of a problem whose value is the best one, or inside the 95 % interval of the best one's mean over its seeds. */
static void mark(const row *rows, size_t n, int value, int largest, size_t column, fl_report_table *t, size_t first) {
  const row *best = NULL;
  size_t known = 0;
  for (size_t i = 0; i < n; i++) {
    const double v = rows[i].value[value].mean;
    if (isnan(v)) continue;
    known++;
    if (!best || (largest ? v > best->value[value].mean : v < best->value[value].mean)) best = &rows[i];
  }
  if (known < 2) return;
  const fl_spread *b = &best->value[value];
  const double half = fl_student(b->n) * b->deviation / sqrt((double)b->n);
  for (size_t i = 0; i < n; i++)
    if (fabs(rows[i].value[value].mean - b->mean) <= half) t->strong[(first + i) * t->columns + column] = 1;
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */
static char *text(const char *format, ...) {
  char *s;
  va_list list;
  va_start(list, format);
  if (vasprintf(&s, format, list) < 0) abort();
  va_end(list);
  return s;
}

static char *plain(const fl_spread *v, int digits, double factor) {
  return isnan(v->mean) ? text("-") : text("%.*f", digits, v->mean * factor);
}

static char *with_deviation(const fl_spread *v, int digits, double factor) {
  return v->n < 2 || isnan(v->mean) ? plain(v, digits, factor)
                                    : text("%.*f ± %.*f", digits, v->mean * factor, digits, v->deviation * factor);
}

/* "inf": a seed missed the target; "-": none was set, or the runs have no times; "unfinished": a seed may reach it yet. */
static char *cost(const row *r, int which, int digits, double factor, int deviation) {
  const fl_spread *v = &r->value[REACH + which];
  if (r->with_target < r->s->n) return text("-");
  if (r->open) return text("unfinished");
  if (r->reached < r->s->n) return text("inf");
  return deviation ? with_deviation(v, digits, factor) : plain(v, digits, factor);
}

static char *accuracy(const row *r) {
  return isnan(r->value[ACCURACY].mean) ? text("%s", r->status ? r->status : "-") : with_deviation(&r->value[ACCURACY], 2, 100);
}

/* A header NULL is the caller's to fill. */
static void start(fl_report_table *t, const char *name, const char *const *header, size_t columns, size_t rows, char *caption) {
  *t = (fl_report_table){ .name = name, .caption = caption, .columns = columns, .rows = rows };
  t->header = calloc(columns + 1, sizeof(char *));
  t->cell = calloc(rows * columns + 1, sizeof(char *));
  t->strong = calloc(rows * columns + 1, 1);
  if (!t->header || !t->cell || !t->strong) abort();
  for (size_t k = 0; k < columns && header; k++) if (header[k]) t->header[k] = text("%s", header[k]);
}

/* What a run's rounds are: in central training epochs. */
static const char *periods(const fl_report_runs *all) {
  size_t central = 0;
  for (size_t i = 0; i < all->n; i++) central += all->run[i].central != 0;
  return !central ? "rounds" : central == all->n ? "epochs" : "rounds or epochs";
}

#define STRONG "Bold: the best of a problem, and what lies inside the 95 %% interval of the best one's mean (Student's t over " \
               "its seeds)."
#define OF_PARTS ", or no times, as a run was resumed with other threads or on another machine, or trained beside others"
#define OVER_SEEDS "mean ± sample standard deviation over seeds"

static char *targets_text(const fl_report_runs *all) {
  double told[8];
  size_t n = 0;
  char *list = text("none set"), *more;
  for (size_t i = 0; i < all->n && n < 8; i++) {
    size_t k = 0;
    while (k < n && told[k] != all->run[i].target) k++;
    if (isnan(all->run[i].target) || k < n) continue;
    told[n++] = all->run[i].target;
    more = n > 1 ? text("%s, %.4g %%", list, 100 * told[n - 1]) : text("%.4g %%", 100 * told[0]);
    free(list);
    list = more;
  }
  return list;
}

/* A sentence before the caption's others, and a part of one: without the machine no second can be cited. */
static char *setting_text(const fl_report_runs *all) {
  char *setting = fl_report_setting(all, NULL), *out = text(*setting ? "%s. " : "%s", setting);
  if (*out >= 'a' && *out <= 'z') *out = (char)(*out - 'a' + 'A');
  free(setting);
  return out;
}
static char *times_text(const fl_report_runs *all, const char *before, const char *behind) {
  char *machines = fl_report_machines(all), *out = *machines ? text("%s%s%s", before, machines, behind) : text("%s", "");
  free(machines);
  return out;
}

static void main_table(const fl_report_runs *all, const row *rows, size_t n, fl_report_table *t) {
  static const char *const header[] = { "data, model", "method", "seeds", "accuracy (%)", NULL, "seconds to target", "samples/s",
                                        "MB up", "MB down" };
  int mixed = 0;
  for (size_t i = 0; i < all->n; i++) mixed |= all->run[i].mixed;
  char *targets = targets_text(all), *setting = setting_text(all), *times = times_text(all, "; times are of ", "");
  start(t, "table", header, 9, n,
        text("%sAccuracy: mean of the last 5 evaluations of a run, then " OVER_SEEDS ". Seconds leave evaluation out%s. "
             "Target: %s; ∞: not reached by every seed; a dash: none set%s. " STRONG, setting, times, targets,
             mixed ? OF_PARTS : ""));
  t->header[4] = text("%s to target", periods(all));
  free(targets);
  free(setting);
  free(times);
  for (size_t i = 0; i < n; i++) {
    const row *r = &rows[i];
    char **c = t->cell + 9 * i;
    c[0] = text("%s", r->s->problem), c[1] = text("%s", r->s->label), c[2] = text("%zu", r->s->n), c[3] = accuracy(r);
    c[4] = cost(r, FL_COST_ROUNDS, 1, 1, 0), c[5] = cost(r, FL_COST_SECONDS, 2, 1, 0), c[6] = plain(&r->value[RATE], 0, 1);
    c[7] = plain(&r->value[UP], 1, 1e-6), c[8] = plain(&r->value[DOWN], 1, 1e-6);
  }
}

static void targets_table(const fl_report_runs *all, const row *rows, size_t n, fl_report_table *t) {
  static const char *const header[] = { "data, model", "method", "reached", NULL, "seconds", "MB", "gradients" };
  int any = 0;
  for (size_t i = 0; i < n; i++) any |= rows[i].with_target > 0;
  char *targets = targets_text(all), *setting = setting_text(all), *times = times_text(all, " (", ")");
  start(t, "targets", header, 7, any ? n : 0,
        text("%sWhat it takes until the target accuracy (%s) is first evaluated: %s, seconds without evaluation%s, megabytes "
             "up and down, and gradient evaluations; " OVER_SEEDS "; ∞: a seed missed it. " STRONG, setting, targets,
             periods(all), times));
  t->header[3] = text("%s", periods(all));
  free(targets);
  free(setting);
  free(times);
  for (size_t i = 0; i < t->rows; i++) {
    const row *r = &rows[i];
    char **c = t->cell + 7 * i;
    c[0] = text("%s", r->s->problem), c[1] = text("%s", r->s->label), c[2] = text("%zu of %zu", r->reached, r->s->n);
    c[3] = cost(r, FL_COST_ROUNDS, 1, 1, 1), c[4] = cost(r, FL_COST_SECONDS, 2, 1, 1);
    c[5] = cost(r, FL_COST_BYTES, 1, 1e-6, 1), c[6] = cost(r, FL_COST_GRADIENTS, 0, 1, 1);
  }
}

/* Methods by problems, as papers print them. from: the table of all; only where a problem has a label once. */
static void accuracy_table(const fl_report_runs *all, const fl_report_groups *g, const fl_report_table *from,
                           fl_report_table *t) {
  char *setting = setting_text(all);
  json_t *labels = json_object(), *problems = json_object(), *where;
  const char *label;
  size_t i = 0;
  for (size_t k = 0; k < g->n; k++) {
    if (!json_object_get(labels, g->series[k].label)) json_object_set_new(labels, g->series[k].label, json_object());
    if (!json_object_get(problems, g->series[k].problem))
      json_object_set_new(problems, g->series[k].problem, json_integer((json_int_t)json_object_size(problems)));
    json_object_set_new(json_object_get(labels, g->series[k].label), g->series[k].problem, json_integer((json_int_t)k));
  }
  const size_t columns = 1 + g->problems, rows = g->problems > 1 && g->problems <= 12 ? json_object_size(labels) : 0;
  start(t, "accuracy", NULL, columns, rows,
        text("%sTest accuracy in percent: mean of the last 5 evaluations of a run, then " OVER_SEEDS ". " STRONG, setting));
  free(setting);
  t->header[0] = text("method");
  const char *problem;
  json_object_foreach(problems, problem, where) t->header[1 + json_integer_value(where)] = text("%s", problem);
  json_object_foreach(labels, label, where) {
    const char *name;
    json_t *at;
    if (i == rows) break;
    t->cell[i * columns] = text("%s", label);
    json_object_foreach(where, name, at) {
      const size_t to = i * columns + 1 + (size_t)json_integer_value(json_object_get(problems, name));
      const size_t of = (size_t)json_integer_value(at) * from->columns + 3;
      t->cell[to] = text("%s", from->cell[of]);
      t->strong[to] = from->strong[of];
    }
    for (size_t k = 1; k < columns; k++) if (!t->cell[i * columns + k]) t->cell[i * columns + k] = text("-");
    i++;
  }
  json_decref(labels);
  json_decref(problems);
}

void fl_report_tables(const fl_report_runs *all, const fl_report_groups *g, fl_report_table table[FL_TABLES]) {
  row *rows = calloc(g->n + 1, sizeof *rows);
  if (!rows) abort();
  for (size_t i = 0; i < g->n; i++) rows[i] = row_of(all, &g->series[i]);
  main_table(all, rows, g->n, &table[FL_TABLE_MAIN]);
  targets_table(all, rows, g->n, &table[FL_TABLE_TARGETS]);
  for (size_t from = 0, to; from < g->n; from = to) {
    for (to = from; to < g->n && !strcmp(g->series[to].problem, g->series[from].problem);) to++;
    mark(rows + from, to - from, ACCURACY, 1, 3, &table[FL_TABLE_MAIN], from);
    mark(rows + from, to - from, REACH + FL_COST_ROUNDS, 0, 4, &table[FL_TABLE_MAIN], from);
    mark(rows + from, to - from, REACH + FL_COST_SECONDS, 0, 5, &table[FL_TABLE_MAIN], from);
    mark(rows + from, to - from, RATE, 1, 6, &table[FL_TABLE_MAIN], from);
    for (int k = 0; k < FL_COSTS && table[FL_TABLE_TARGETS].rows; k++)
      mark(rows + from, to - from, REACH + k, 0, (size_t)(3 + k), &table[FL_TABLE_TARGETS], from);
  }
  accuracy_table(all, g, &table[FL_TABLE_MAIN], &table[FL_TABLE_ACCURACY]);
  free(rows);
}

void fl_report_table_free(fl_report_table *t) {
  for (size_t i = 0; i < t->columns; i++) free(t->header[i]);
  for (size_t i = 0; i < t->columns * t->rows; i++) free(t->cell[i]);
  free(t->header);
  free(t->cell);
  free(t->strong);
  free(t->caption);
}
