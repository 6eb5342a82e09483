/* cli_plan.c - what a suite will do, without doing it: --dry-run, and --export-plan for an independent replay. */
#include "cli.h"
#include "atomic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fl_dry_run(fl_work *w, const fl_suite *suite) {
  char err[FL_ERR] = "", id[17];
  double total_up = 0, total_down = 0;
  json_t *runs = json_array(), *o = json_object();
  for (size_t i = 0; i < suite->n; i++) {
    const fl_config *c = &suite->run[i];
    fl_session *s = NULL;
    const int bad = fl_work_open(w, c, w->threads, NULL, &s, err, sizeof err);
    if (bad) {
      fprintf(stderr, "fedlane: %s\n", err);
      json_decref(runs);
      json_decref(o);
      return fl_work_exit(bad);
    }
    double up, down;
    if (fl_session_traffic(s, &up, &down)) fprintf(stderr, "fedlane: %s: no memory for a draw of clients\n", c->folder);
    const double m = fl_session_job(s)->expected, rounds = (double)c->rounds;
    total_up += up;
    total_down += down;
    fl_run_id(c, &w->data, &w->split, id);
    json_t *run = json_object();
    json_object_set_new(run, "label", json_string(c->label));
    json_object_set_new(run, "folder", json_string(c->folder));
    json_object_set_new(run, "run_id", json_string(id));
    json_object_set_new(run, "config", fl_config_json(c));
    json_object_set_new(run, "cohort", json_integer((json_int_t)(m + 0.5)));
    json_object_set_new(run, "parameters", json_integer((json_int_t)fl_session_job(s)->layout->d));
    json_object_set_new(run, "bytes_up_per_round", json_integer((json_int_t)(up / rounds)));
    json_object_set_new(run, "bytes_down_per_round", json_integer((json_int_t)(down / rounds)));
    json_object_set_new(run, "bytes_up", json_integer((json_int_t)up));
    json_object_set_new(run, "bytes_down", json_integer((json_int_t)down));
    json_object_set_new(run, "memory_bytes", json_integer((json_int_t)fl_session_state_bytes(s)));
    json_object_set_new(run, "threads", json_integer(fl_session_threads(s)));
    json_array_append_new(runs, run);
    char sent[32], received[32], memory[32];
    const fl_job *job = fl_session_job(s);
    fprintf(stderr, "%-40s %8zu parameters, %llu %s of %llu %s, up %s, down %s, memory %s\n", c->folder, job->layout->d,
            (unsigned long long)c->rounds, c->central ? "epochs" : "rounds", c->central ? (unsigned long long)job->local_steps
            : (unsigned long long)(m + 0.5), c->central ? "steps" : "clients", fl_human_bytes(up, sent),
            fl_human_bytes(down, received), fl_human_bytes((double)fl_session_state_bytes(s), memory));
    fl_close(s);
  }
  json_object_set_new(o, "runs", runs);
  json_object_set_new(o, "isa", json_string(w->native->name));
  json_object_set_new(o, "bytes_up", json_integer((json_int_t)total_up));
  json_object_set_new(o, "bytes_down", json_integer((json_int_t)total_down));
  json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
  putchar('\n');
  fprintf(stderr, "%zu runs\n", suite->n);
  json_decref(o);
  return FL_EXIT_DONE;
}

/* ---- plan --------------------------------------------------------------------------------------------------------------- */
static int write_params(const fl_session *s, const char *dir, char *err, size_t size) {
  char path[4096];
  size_t n;
  const float *x = fl_params(s, &n);
  unsigned char *bytes = malloc(4 * n + 1);
  if (!bytes) return snprintf(err, size, "out of memory"), -1;
  for (size_t i = 0; i < n; i++) {
    uint32_t w;
    memcpy(&w, &x[i], 4);
    for (int b = 0; b < 4; b++) bytes[4 * i + b] = (unsigned char)(w >> 8 * b);
  }
  snprintf(path, sizeof path, "%s/params.bin", dir);
  int bad = fl_file_write(path, bytes, 4 * n, err, size);
  free(bytes);
  json_t *tensors = json_array(), *o = json_object();
  const fl_layout *l = fl_session_job(s)->layout;
  for (size_t i = 0; i < l->n; i++) {
    json_t *t = json_object(), *shape = json_array();
    for (int k = 0; k < l->tensor[i].ndim; k++) json_array_append_new(shape, json_integer((json_int_t)l->tensor[i].shape[k]));
    json_object_set_new(t, "name", json_string(l->tensor[i].name));
    json_object_set_new(t, "shape", shape);
    json_object_set_new(t, "offset", json_integer((json_int_t)l->tensor[i].offset));
    json_object_set_new(t, "size", json_integer((json_int_t)l->tensor[i].size));
    json_array_append_new(tensors, t);
  }
  json_object_set_new(o, "tensors", tensors);
  json_object_set_new(o, "parameters", json_integer((json_int_t)l->d));
  json_object_set_new(o, "buffers", json_integer((json_int_t)l->buffers));
  snprintf(path, sizeof path, "%s/layout.json", dir);
  bad = bad || fl_file_write_json(path, o, err, size);
  json_decref(o);
  return bad ? -1 : 0;
}

/* The learning rate of a round; of central training those of its steps. */
static void write_lr(FILE *f, const fl_session *s, const fl_config *c, uint64_t round) {
  const uint64_t each = c->central ? fl_session_job(s)->local_steps : 1;
  fputs(c->central ? "[" : "", f);
  for (uint64_t t = 0; t < each; t++) fprintf(f, "%s%.17g", t ? "," : "", fl_session_lr(s, round, t));
  fputs(c->central ? "]" : "", f);
}

static int write_round(FILE *f, const fl_session *s, const fl_config *c, uint64_t round, uint32_t *cohort, uint32_t *rows) {
  const size_t m = fl_session_cohort(s, round, cohort);
  if (m == SIZE_MAX) return -1;
  fprintf(f, "%s{\"round\":%llu,\"lr\":", round ? ",\n" : "", (unsigned long long)round);
  write_lr(f, s, c, round);
  fputs(",\"cohort\":[", f);
  for (size_t i = 0; i < m; i++) fprintf(f, "%s%u", i ? "," : "", cohort[i]);
  fputs("],\"batches\":{", f);
  for (size_t i = 0; i < m; i++) {
    const uint64_t steps = fl_session_steps(s, round, cohort[i]);
    fprintf(f, "%s\"%u\":[", i ? "," : "", cohort[i]);
    for (uint64_t t = 0; t < steps; t++) {
      const size_t n = fl_session_batch(s, round, cohort[i], t, rows);
      fputs(t ? ",[" : "[", f);
      for (size_t j = 0; j < n; j++) fprintf(f, "%s%u", j ? "," : "", rows[j]);
      fputc(']', f);
    }
    fputc(']', f);
  }
  fputs("}}", f);
  return 0;
}

static int write_plan(const fl_session *s, const fl_config *c, const fl_dataset *data, const char *dir, char *err, size_t size) {
  char path[4096], temporary[4104];
  snprintf(path, sizeof path, "%s/plan.json", dir);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  uint32_t *cohort = malloc(c->clients * sizeof *cohort), *rows = malloc(c->batch_size * sizeof *rows);
  json_t *config = fl_config_json(c);
  char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
  FILE *f = cohort && rows && text ? fopen(temporary, "wbe") : NULL;
  int bad = !f;
  if (f) {
    fprintf(f, "{\"schema\":1,\"config\":%s,\n\"mean\":%.17g,\"std\":%.17g,\"local_steps\":%llu,\n\"rounds\":[", text, data->mean,
            data->std, (unsigned long long)fl_session_job(s)->local_steps);
    for (uint64_t r = 0; r < c->rounds && !bad; r++) bad = write_round(f, s, c, r, cohort, rows);
    fputs("]}\n", f);
    bad = bad || ferror(f);
    bad = fclose(f) || bad;
  }
  if (bad) snprintf(err, size, "cannot write '%.2000s': %s", temporary, strerror(errno));
  free(text);
  json_decref(config);
  free(cohort);
  free(rows);
  return bad ? -1 : fl_file_commit(path, err, size);
}

int fl_plan_export(fl_work *w, const fl_suite *suite, const char *out) {
  char err[FL_ERR] = "", dir[3500], path[4096];
  for (size_t i = 0; i < suite->n; i++) {
    const fl_config *c = &suite->run[i];
    fl_session *s = NULL;
    int bad = (size_t)snprintf(dir, sizeof dir, "%s/%s", out, c->folder) >= sizeof dir;
    snprintf(err, sizeof err, "--export-plan '%.200s...': too long", out);
    if (!bad && !strcmp(c->data_format, "synthetic"))
      bad = -1, snprintf(err, sizeof err, "--export-plan: data of format synthetic; allowed: data in files, for a replay");
    if (!bad) bad = fl_work_open(w, c, w->threads, NULL, &s, err, sizeof err);
    if (!bad && w->sigma) {
      snprintf(err, sizeof err, "--export-plan: partition %s: allowed: only without noise on the inputs, which a plan has not",
               c->partition.kind->name);
      bad = -1;
    }
    if (!bad && c->augment) {
      snprintf(err, sizeof err, "--export-plan: data.augment: allowed: none, as a plan has rows by their numbers");
      bad = -1;
    }
    snprintf(path, sizeof path, "%s/partition.json", dir);
    if (!bad && (fl_folder_make(dir, err, sizeof err) || write_params(s, dir, err, sizeof err) ||
                 fl_split_save(&w->split, path, err, sizeof err) || write_plan(s, c, &w->data, dir, err, sizeof err)))
      bad = -1;
    fl_close(s);
    if (bad) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(bad);
    printf("%s\n", dir);
  }
  return FL_EXIT_DONE;
}
