/* rows.c - accounts become rows: seconds, and the bound by the ceilings that hold where the row's arrays lie. */
#include "models/names.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

int fl_time_of_part(fl_at part) {
  static const int time[FL_AT_PARTS] = { FL_T_GRADIENT, FL_T_OPTIMIZER, FL_T_AGGREGATION, FL_T_EVALUATION, FL_T_DIAGNOSTICS,
                                         FL_T_OTHER };
  return time[part];
}

/* Threads that work in this part at once: central training moves x on one. */
static int team_of(const fl_profile *p, fl_at part) {
  return p->config->central && part != FL_AT_EVALUATION && part != FL_AT_DIAGNOSTICS ? 1 : p->threads;
}

static void consider(fl_profile_row *r, double seconds, const char *limit) {
  if (seconds <= r->bound) return;
  r->bound = r->limit_seconds = seconds;
  snprintf(r->limit, sizeof r->limit, "%s", limit);
}

/* Of products and convolutions, which have no traffic in the registry: two arrays read, one written. */
static fl_streams streams_of(const fl_op_info *op) {
  return !strcmp(op->traffic, "0r0w") ? fl_streams_of("8r4w", 3) : fl_streams_of(op->traffic, op->arrays);
}

/* footprint: bytes that the row moves each time its place is entered. */
static int set_bound(fl_profile *p, fl_profile_row *r, double footprint, double width) {
  const fl_op_info *op = &fl_op_table[r->op];
  const int threads = team_of(p, r->part);
  const fl_level level = fl_level_of(footprint, threads);
  const fl_bandwidth *b = r->bytes > 0 ? fl_ceiling_bandwidth(&p->ceilings, streams_of(op), level, threads) : NULL;
  if (r->bytes > 0 && !b) return -1;
  if (b) consider(r, r->bytes * b->seconds, fl_level_name[level]);
  const fl_compute *c = fl_ceiling_compute(&p->ceilings, threads);
  if (!c) return -1;
  if (r->flops > 0) consider(r, r->flops / 2 * width * c->fma, "FMA");
  if (strcmp(op->family, "step")) return 0;
  const double divisions = r->elements * fl_formula_count(op->formula, "/"), roots = r->elements *
      fl_formula_count(op->formula, "sqrt("), pairs = divisions < roots ? divisions : roots;
  consider(r, pairs * c->both + (divisions - pairs) * c->div + (roots - pairs) * c->sqrt, "divider");
  return 0;
}

static int add_row(fl_profile *p, const fl_accounts *a, fl_at part, size_t place, int op, double tick, double empty) {
  const fl_account *from = &a->account[part][place][op];
  const double calls = (double)from->calls, each = (double)from->ticks / (double)from->timed - empty, ticks = calls * each;
  const double visits = a->visits[part][place] ? (double)a->visits[part][place] : 1;
  fl_profile_row *list = realloc(p->row, (p->n + 1) * sizeof *list);
  if (!list) return -1;
  p->row = list;
  list[p->n] = (fl_profile_row){ .op = op, .part = part, .place = place, .calls = calls, .elements = (double)from->elements,
                                 .seconds = ticks > 0 ? ticks * tick : 0, .bytes = (double)from->bytes,
                                 .flops = (double)from->flops };
  return set_bound(p, &list[p->n++], (double)from->bytes / visits, (double)from->width / calls);
}

int fl_profile_rows(fl_profile *p, const fl_accounts *a, double tick, double empty) {
  for (int part = 0; part < FL_AT_PARTS; part++)
    for (size_t place = 0; place < FL_PLACES; place++)
      for (int op = 0; op < FL_OPS; op++)
        if (a->account[part][place][op].calls && add_row(p, a, (fl_at)part, place, op, tick, empty)) return -1;
  return 0;
}

static int longer(const void *a, const void *b) {
  const fl_profile_row *x = a, *y = b;
  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static int same_group(const fl_profile_row *a, const fl_profile_row *b, fl_grouping by) {
  return by == FL_BY_OPERATION ? a->op == b->op : a->part == b->part && a->place == b->place;
}

static void merge(fl_profile_row *to, const fl_profile_row *r) {
  to->calls += r->calls, to->seconds += r->seconds, to->elements += r->elements, to->bytes += r->bytes;
  to->flops = to->flops < 0 || r->flops < 0 ? -1 : to->flops + r->flops;
  to->bound += r->bound;
  if (r->limit_seconds <= to->limit_seconds) return;
  to->limit_seconds = r->limit_seconds;
  memcpy(to->limit, r->limit, sizeof to->limit);
}

fl_profile_row *fl_profile_group(const fl_profile *p, fl_grouping by, size_t *n) {
  fl_profile_row *group = calloc(p->n + 1, sizeof *group);
  *n = 0;
  for (size_t i = 0; group && i < p->n; i++) {
    size_t k = 0;
    while (k < *n && !same_group(&group[k], &p->row[i], by)) k++;
    if (k == *n) group[(*n)++] = p->row[i];
    else merge(&group[k], &p->row[i]);
  }
  if (group) qsort(group, *n, sizeof *group, longer);
  return group;
}

double fl_profile_total(const fl_profile *p) {
  double sum = 0;
  for (int t = 0; t < FL_T_COUNT; t++) sum += p->part_seconds[t];
  return sum;
}

double fl_profile_in_kernels(const fl_profile *p, int time) {
  double sum = 0;
  for (size_t i = 0; i < p->n; i++) sum += fl_time_of_part(p->row[i].part) == time ? p->row[i].seconds : 0;
  return sum;
}

void fl_profile_place_name(const fl_profile *p, size_t place, char *layer, size_t size, const char **pass) {
  static const char *const outside[] = { "outside of layers", "input", "loss" };
  *pass = "";
  if (place < FL_PLACE_LAYERS) {
    snprintf(layer, size, "%s", outside[place]);
    return;
  }
  fl_model_layer_name(p->model, (place - FL_PLACE_LAYERS) / 2, layer, size);
  *pass = (place - FL_PLACE_LAYERS) % 2 ? "backward" : "forward";
}

void fl_profile_free(fl_profile *p) {
  free(p->row);
  fl_ceilings_free(&p->ceilings);
  p->row = NULL;
  p->n = 0;
}
