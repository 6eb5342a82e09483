/* output.c - a profile as tables, as JSON, and as folded stacks, which flamegraph.pl and speedscope read. */
#include "harness/atomic.h"
#include "report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------------------------------------------ */
static void print_seconds(FILE *f, double seconds, double total) {
  fprintf(f, " %10.4f %6.2f %%", seconds, total > 0 ? 100 * seconds / total : 0);
}

static void print_rate(FILE *f, double amount, double seconds) {
  if (amount > 0 && seconds > 0) fprintf(f, " %8.2f", 1e-9 * amount / seconds);
  else fprintf(f, " %8s", "-");
}

static void print_row(FILE *f, const fl_profile_row *r, double total) {
  fprintf(f, " %10.0f", r->calls);
  print_seconds(f, r->seconds, total);
  print_rate(f, r->bytes, r->seconds);
  print_rate(f, r->flops, r->seconds);
  if (r->flops > 0 && r->bytes > 0) fprintf(f, " %10.2f", r->flops / r->bytes);
  else fprintf(f, " %10s", "-");
  if (r->bound > 0 && r->seconds > 0) fprintf(f, " %6.1f %% %s\n", 100 * r->bound / r->seconds, r->limit);
  else fprintf(f, " %8s -\n", "-");
}

static void print_heading(FILE *f, const char *first) {
  fprintf(f, "\n%-34s %10s %10s %8s %8s %8s %10s %8s %s\n", first, "calls", "seconds", "share", "GB/s", "GFLOP/s", "FLOP/byte",
          "ceiling", "by");
}

static void print_parts(const fl_profile *p, FILE *f) {
  const double total = fl_profile_total(p);
  fprintf(f, "\n%-34s %10s %8s %10s %8s %10s\n", "part", "seconds", "share", "kernels", "", "the rest");
  for (int t = 0; t < FL_T_COUNT; t++) {
    const double all = p->part_seconds[t], in = fl_profile_in_kernels(p, t);
    if (all <= 0 && in <= 0) continue;
    fprintf(f, "%-34s", fl_time_name[t]);
    print_seconds(f, all, total);
    print_seconds(f, in, all);
    fprintf(f, " %10.4f\n", all - in);
  }
}

static void print_head(const fl_profile *p, FILE *f) {
  const fl_config *c = p->config;
  fprintf(f, "%s, seed %llu: %llu of %llu %s, %d thread%s, %s: %.4f thread-seconds\n", c->label, (unsigned long long)c->seed,
          (unsigned long long)p->rounds, (unsigned long long)c->rounds, c->central ? "epochs" : "rounds", p->threads,
          p->threads == 1 ? "" : "s", p->kernels->name, fl_profile_total(p));
  fprintf(f, "hash %.16s, without accounts %.16s: %s\n", p->hash, p->bare_hash,
          strcmp(p->hash, p->bare_hash) ? "other bits" : "the same bits");
  fprintf(f, "cost of the accounts: %+.2f %% (median of %zu pair%s of %s with and without; half of them %+.2f to %+.2f %%)\n",
          100 * p->overhead, p->pairs, p->pairs == 1 ? "" : "s", c->central ? "epochs" : "rounds", 100 * p->overhead_low,
          100 * p->overhead_high);
  if (!p->counters) fprintf(f, "hardware counters: none here (perf_event_open: %s)\n", strerror(p->counters_why));
  else fputs("hardware counters:", f);
  for (int i = 0; i < FL_COUNTERS && p->counters; i++)
    if (isfinite(p->counter[i])) fprintf(f, " %s %.4g", fl_counter_name[i], p->counter[i]);
  if (p->counters) fputc('\n', f);
}

int fl_profile_print(const fl_profile *p, FILE *f) {
  const double total = fl_profile_total(p);
  size_t n, places;
  fl_profile_row *row = fl_profile_group(p, FL_BY_OPERATION, &n), *place = fl_profile_group(p, FL_BY_PLACE, &places);
  if (!row || !place) return free(row), free(place), -1;
  print_head(p, f);
  print_parts(p, f);
  print_heading(f, "kernel");
  for (size_t i = 0; i < n; i++) fprintf(f, "%-34s", fl_op_table[row[i].op].name), print_row(f, &row[i], total);
  print_heading(f, "part and layer");
  for (size_t i = 0; i < places; i++) {
    char layer[64], name[128];
    const char *pass;
    fl_profile_place_name(p, place[i].place, layer, sizeof layer, &pass);
    snprintf(name, sizeof name, "%s: %s%s%s", fl_time_name[fl_time_of_part(place[i].part)], layer, *pass ? " " : "", pass);
    fprintf(f, "%-34s", name);
    print_row(f, &place[i], total);
  }
  free(row);
  free(place);
  return 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------------- */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *row_json(const fl_profile *p, const fl_profile_row *r, fl_grouping by, int whole) {
  json_t *o = json_object();
  char layer[64];
  const char *pass;
  if (whole || by == FL_BY_PLACE) {
    fl_profile_place_name(p, r->place, layer, sizeof layer, &pass);
    json_object_set_new(o, "part", json_string(fl_time_name[fl_time_of_part(r->part)]));
    json_object_set_new(o, "layer", json_string(layer));
    json_object_set_new(o, "pass", *pass ? json_string(pass) : json_null());
  }
  if (whole || by == FL_BY_OPERATION) {
    json_object_set_new(o, "kernel", json_string(fl_op_table[r->op].name));
    json_object_set_new(o, "family", json_string(fl_op_table[r->op].family));
  }
  json_object_set_new(o, "calls", json_integer((json_int_t)r->calls));
  json_object_set_new(o, "seconds", json_real(r->seconds));
  json_object_set_new(o, "share", json_real(fl_profile_total(p) > 0 ? r->seconds / fl_profile_total(p) : 0));
  json_object_set_new(o, "bytes", json_real(r->bytes));
  json_object_set_new(o, "flops", r->flops < 0 ? json_null() : json_real(r->flops));
  json_object_set_new(o, "bound_seconds", json_real(r->bound));
  json_object_set_new(o, "of_ceiling", r->bound > 0 && r->seconds > 0 ? json_real(r->bound / r->seconds) : json_null());
  json_object_set_new(o, "bound_by", r->bound > 0 ? json_string(r->limit) : json_null());
  return o;
}

static json_t *group_json(const fl_profile *p, fl_grouping by) {
  size_t n;
  json_t *list = json_array();
  fl_profile_row *row = fl_profile_group(p, by, &n);
  for (size_t i = 0; row && i < n; i++) json_array_append_new(list, row_json(p, &row[i], by, 0));
  free(row);
  return list;
}

static json_t *parts_json(const fl_profile *p) {
  json_t *list = json_array();
  for (int t = 0; t < FL_T_COUNT; t++) {
    const double all = p->part_seconds[t], in = fl_profile_in_kernels(p, t);
    json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f}", "part", fl_time_name[t], "seconds", all, "kernels", in,
                                          "rest", all - in));
  }
  return list;
}

static json_t *ceilings_json(const fl_ceilings *c) {
  json_t *bandwidth = json_array(), *compute = json_array();
  for (size_t i = 0; i < c->n; i++) {
    const fl_bandwidth *b = &c->bandwidth[i];
    json_array_append_new(bandwidth, json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:s}", "level", fl_level_name[b->level],
      "reads", (int)b->mix.reads, "writes", (int)b->mix.writes, "in_place", (int)b->mix.in_place, "bytes", (int)b->mix.bytes,
      "threads", b->threads, "bytes_per_second", b->seconds > 0 ? 1 / b->seconds : 0.0, "loop", b->loop));
  }
  for (size_t i = 0; i < c->n_compute; i++) {
    const fl_compute *k = &c->compute[i];
    if (k->fma > 0)
      json_array_append_new(compute, json_pack("{s:i, s:f, s:f, s:f, s:f}", "threads", k->threads, "flops_per_second", 2 / k->fma,
        "divisions_per_second", 1 / k->div, "roots_per_second", 1 / k->sqrt, "both_per_second", 1 / k->both));
  }
  return json_pack("{s:o, s:o}", "bandwidth", bandwidth, "compute", compute);
}

static json_t *counters_json(const fl_profile *p) {
  if (!p->counters) return json_pack("{s:b, s:s}", "available", 0, "reason", strerror(p->counters_why));
  json_t *o = json_pack("{s:b}", "available", 1);
  for (int i = 0; i < FL_COUNTERS; i++) json_object_set_new(o, fl_counter_name[i], number(p->counter[i]));
  return o;
}

json_t *fl_profile_json(const fl_profile *p) {
  json_t *o = json_object(), *rows = json_array();
  for (size_t i = 0; i < p->n; i++) json_array_append_new(rows, row_json(p, &p->row[i], FL_BY_OPERATION, 1));
  json_object_set_new(o, "schema", json_integer(1));
  json_object_set_new(o, "label", json_string(p->config->label));
  json_object_set_new(o, "config", fl_config_json(p->config));
  json_object_set_new(o, "machine", fl_machine_json(p->kernels, p->threads));
  json_object_set_new(o, "threads", json_integer(p->threads));
  json_object_set_new(o, "rounds", json_integer((json_int_t)p->rounds));
  json_object_set_new(o, "hash", json_string(p->hash));
  json_object_set_new(o, "bare_hash", json_string(p->bare_hash));
  json_object_set_new(o, "same_bits", json_boolean(!strcmp(p->hash, p->bare_hash)));
  json_object_set_new(o, "reproducible", json_boolean(!p->unreproducible));
  json_object_set_new(o, "overhead", json_pack("{s:f, s:f, s:f, s:I}", "median", p->overhead, "low", p->overhead_low, "high",
                                               p->overhead_high, "pairs", (json_int_t)p->pairs));
  json_object_set_new(o, "thread_seconds", json_real(fl_profile_total(p)));
  json_object_set_new(o, "counters", counters_json(p));
  json_object_set_new(o, "parts", parts_json(p));
  json_object_set_new(o, "kernels", group_json(p, FL_BY_OPERATION));
  json_object_set_new(o, "layers", group_json(p, FL_BY_PLACE));
  json_object_set_new(o, "rows", rows);
  json_object_set_new(o, "ceilings", ceilings_json(&p->ceilings));
  return o;
}

/* ---- folded stacks: frames from the outside in, joined by semicolons, then nanoseconds --------------------------------- */
static void plain_frame(FILE *f, const char *text) {
  for (; *text; text++) fputc(*text == ';' ? ',' : *text, f);
}

static void fold(const fl_profile *p, FILE *f) {
  for (size_t i = 0; i < p->n; i++) {
    const fl_profile_row *r = &p->row[i];
    char layer[64];
    const char *pass;
    if (r->seconds < 1e-9) continue;
    plain_frame(f, p->config->label);
    fprintf(f, ";%s;", fl_time_name[fl_time_of_part(r->part)]);
    if (r->place != FL_PLACE_REST) {
      fl_profile_place_name(p, r->place, layer, sizeof layer, &pass);
      plain_frame(f, layer);
      fprintf(f, "%s%s;", *pass ? " " : "", pass);
    }
    fprintf(f, "%s %.0f\n", fl_op_table[r->op].name, 1e9 * r->seconds);
  }
  for (int t = 0; t < FL_T_COUNT; t++) {
    const double rest = p->part_seconds[t] - fl_profile_in_kernels(p, t);
    if (rest < 1e-9) continue;
    plain_frame(f, p->config->label);
    fprintf(f, ";%s%s %.0f\n", fl_time_name[t], t == FL_T_IDLE ? "" : ";the rest", 1e9 * rest);
  }
}

int fl_profile_write(const fl_profile *p, const char *dir, char *err, size_t size) {
  char path[4200], *text = NULL;
  size_t n = 0;
  json_t *o = fl_profile_json(p);
  snprintf(path, sizeof path, "%s/profile.json", dir);
  int bad = fl_folder_make(dir, err, size) || fl_file_write_json(path, o, err, size);
  json_decref(o);
  FILE *f = bad ? NULL : open_memstream(&text, &n);
  if (!bad && !f) bad = snprintf(err, size, "out of memory") != 0;
  if (f) {
    fold(p, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/profile.folded", dir);
    bad = fl_file_write(path, text, n, err, size);
  }
  free(text);
  return bad ? -1 : 0;
}
