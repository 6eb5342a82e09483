/* compare.c - `fedlane compare A B ...`: what differs between results: settings, time, bits. Kernels are compare_bench.c's. */
#include "harness/cli.h"
#include "harness/compare.h"
#include "harness/result_read.h"
#include "harness/safetensors.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ------------------------------------------------------------------------------------------------------------- */
/* Lines already printed: the same setting differs in every run of a suite, and is told once. */
typedef struct { char **line; size_t n; } told;

static void tell(told *t, const char *key, const json_t *a, const json_t *b) {
  char text[1024];
  char *x = a ? json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : NULL;
  char *y = b ? json_dumps(b, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : NULL;
  snprintf(text, sizeof text, "  %s: %s | %s", key, x ? x : "-", y ? y : "-");
  free(x);
  free(y);
  for (size_t i = 0; i < t->n; i++)
    if (strcmp(t->line[i], text) == 0) return;
  char **grown = realloc(t->line, (t->n + 1) * sizeof *grown);
  if (grown) t->line = grown;
  if (grown && (t->line[t->n] = strdup(text))) t->n++;
  puts(text);
}

static void differ(told *t, const char *prefix, const json_t *a, const json_t *b) {
  const char *key;
  json_t *value;
  char path[256];
  json_object_foreach((json_t *)a, key, value) {
    const json_t *other = json_object_get(b, key);
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    if (json_equal(value, other)) continue;
    if (json_is_object(value) && json_is_object(other)) differ(t, path, value, other);
    else tell(t, path, value, other);
  }
  json_object_foreach((json_t *)b, key, value) {
    if (json_object_get(a, key)) continue;
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    tell(t, path, NULL, value);
  }
}

static void differ_key(told *t, const char *name, const json_t *a, const json_t *b, const char *key) {
  const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
  if (!json_equal(x, y)) tell(t, name, x, y);
}

static json_t *sums_of(const json_t *run) {
  json_t *list = json_array(), *file;
  size_t i;
  json_array_foreach(json_object_get(json_object_get(run, "data"), "files"), i, file)
    json_array_append(list, json_object_get(file, "sha256"));
  return list;
}

/* Parts made by different threads or machines, or beside other runs: its seconds are of none of them. */
static int is_mixed(const fl_recorded *run) {
  return json_array_size(json_object_get(run->run, "parts")) > 1 || json_object_get(run->run, "timing") ||
         json_is_array(json_object_get(run->summary, "parts"));
}

static void print_settings(told *t, const fl_recorded *a, const fl_recorded *b) {
  static const char *const machine[] = {"cpu", "isa_used", "threads", "compiler", "flags", "kernel", "governor", "version",
                                        "commit", "dirty"};
  differ(t, "", json_object_get(a->run, "config"), json_object_get(b->run, "config"));
  json_t *x = sums_of(a->run), *y = sums_of(b->run);
  if (!json_equal(x, y)) tell(t, "data sha256", x, y);
  json_decref(x);
  json_decref(y);
  differ_key(t, "partition sha256", json_object_get(a->run, "partition"), json_object_get(b->run, "partition"), "sha256");
  differ_key(t, "reproducible", a->run, b->run, "reproducible");
  if (is_mixed(a) || is_mixed(b)) differ_key(t, "parts", a->run, b->run, "parts");
  const json_t *m = json_object_get(a->run, "machine"), *n = json_object_get(b->run, "machine");
  for (size_t i = 0; i < sizeof machine / sizeof *machine; i++) differ_key(t, machine[i], m, n, machine[i]);
}

/* ---- bits ----------------------------------------------------------------------------------------------------------------- */
/* "tensor conv1.weight [12]" - the first tensor whose bytes differ, and its first element that does. */
static void first_tensor(const fl_safetensors *a, const fl_safetensors *b, char *out, size_t size) {
  const char *name;
  json_t *x;
  out[0] = 0;
  json_object_foreach(a->header, name, x) {
    if (strcmp(name, "__metadata__") == 0) continue;
    const json_t *y = json_object_get(b->header, name);
    size_t p, q, u, v;
    if (!y || !json_equal(json_object_get(x, "shape"), json_object_get(y, "shape"))) {
      snprintf(out, size, "tensor %s (%s)", name, y ? "another shape" : "only one has it");
      return;
    }
    fl_safetensors_range(x, &p, &q);
    fl_safetensors_range(y, &u, &v);
    size_t n = q - p < v - u ? q - p : v - u, i = 0;
    while (i < n && a->data[p + i] == b->data[u + i]) i++;
    if (i == n && q - p == v - u) continue;
    snprintf(out, size, "tensor %s (element %zu)", name, i / 4);
    return;
  }
  json_object_foreach(b->header, name, x)
    if (!json_object_get(a->header, name)) {
      snprintf(out, size, "tensor %s (only one has it)", name);
      return;
    }
}

/* The same of a report's summary, which keeps no rounds and no parameters: by the hashes. */
static int same_hashes(const fl_recorded *a, const fl_recorded *b, char *out, size_t size) {
  static const char *const key[] = {"hash", "trajectory_hash"};
  *out = 0;
  for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
    const char *x = json_string_value(json_object_get(a->summary, key[i])),
        *y = json_string_value(json_object_get(b->summary, key[i]));
    const size_t at = strlen(out);
    if (!x || !y || strcmp(x, y))
      snprintf(out + at, size - at, "%s%s %.12s | %.12s", at ? ", " : "", key[i], x ? x : "none", y ? y : "none");
  }
  return !*out;
}

/* 1 same bits, 0 not (what differs in out), -1 error. */
static int same_bits(const fl_recorded *a, const fl_recorded *b, char *out, size_t size, char *err, size_t err_size) {
  char path[4096], round[300] = "", tensor[300] = "";
  fl_rounds_kept x = {0}, y = {0};
  fl_safetensors p = {0}, q = {0};
  if (!*a->path || !*b->path) return same_hashes(a, b, out, size);
  int bad = fl_rounds_read(a->path, &x, err, err_size) || fl_rounds_read(b->path, &y, err, err_size);
  snprintf(path, sizeof path, "%s/params.safetensors", a->path);
  bad = bad || fl_safetensors_read(&p, path, err, err_size);
  snprintf(path, sizeof path, "%s/params.safetensors", b->path);
  bad = bad || fl_safetensors_read(&q, path, err, err_size);
  if (!bad) {
    fl_rounds_differ(&x, &y, round, sizeof round);
    first_tensor(&p, &q, tensor, sizeof tensor);
    snprintf(out, size, "%s%s%s", round[0] ? round : "all rounds equal", ", ", tensor[0] ? tensor : "all tensors equal");
  }
  free(x.m);
  free(y.m);
  fl_safetensors_free(&p);
  fl_safetensors_free(&q);
  return bad ? -1 : !round[0] && !tensor[0];
}

/* ---- the command ---------------------------------------------------------------------------------------------------------- */
static int same_text(const fl_recorded *a, const fl_recorded *b, const char *key) {
  const char *x = json_string_value(json_object_get(a->summary, key)), *y = json_string_value(json_object_get(b->summary, key));
  return x && y && !strcmp(x, y);
}

static const json_t *config_of(const fl_recorded *run, const char *key) {
  return json_object_get(json_object_get(run->run, "config"), key);
}

/* Of a report's entry and a folder's run: label, seed and model. The run_id alone would not do: a key that a later version adds
 * at a default changes it, and no bit. A report's label has no model. */
static int same_label(const fl_recorded *a, const fl_recorded *b) {
  const fl_recorded *kept = *a->path ? b : a, *folder = *a->path ? a : b;
  const char *x = json_string_value(json_object_get(kept->summary, "label"));
  const char *y = json_string_value(json_object_get(folder->summary, "label"));
  char *plain = !*a->path == !*b->path || !x || !y ? NULL : strdup(y);
  if (plain) fl_recorded_without_model(plain);
  const int same = plain && !strcmp(x, plain);
  free(plain);
  if (!same) return 0;
  return json_equal(config_of(a, "seed"), config_of(b, "seed")) && json_equal(config_of(a, "model"), config_of(b, "model"));
}

/* The run of the same name. A report's summary has labels in place of folders' names, and tells no models apart by them: there
 * the run_id counts as well. */
static const fl_recorded *find(const fl_recorded_list *r, const fl_recorded *run, int alone) {
  const fl_recorded *best = NULL;
  int most = 0;
  if (alone) return &r->run[0];
  for (size_t i = 0; i < r->n; i++) {
    const int models = json_object_get(run->summary, "model") && json_object_get(r->run[i].summary, "model");
    const int named = (!strcmp(r->run[i].name, run->name) && (!models || same_text(run, &r->run[i], "model"))) ||
        same_label(run, &r->run[i]);
    const int kept = *run->path && *r->run[i].path;
    const int score = 2 * named + (!kept && same_text(run, &r->run[i], "run_id"));
    if (score > most) most = score, best = &r->run[i];
  }
  return best;
}

static void print_runs(const fl_recorded_list *a, const fl_recorded_list *b, int alone) {
  told t = {0};
  printf("settings that differ (%s | %s):\n", a->path, b->path);
  for (size_t i = 0; i < a->n; i++) {
    const fl_recorded *other = find(b, &a->run[i], alone);
    if (other) print_settings(&t, &a->run[i], other);
  }
  if (!t.n) puts("  none");
  for (size_t i = 0; i < t.n; i++) free(t.line[i]);
  free(t.line);
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* Of the runs of one label: their seconds a round, and to the target where all reached it; what is not there is 0. */
typedef struct { double round, target; size_t n, reached; } pace;

static void add_pace(pace *p, const fl_recorded *run) {
  p->round += number(run->summary, "seconds") / number(run->summary, "rounds");
  p->n++;
  if (!json_is_number(json_object_get(run->summary, "seconds_to_target"))) return;
  p->target += number(run->summary, "seconds_to_target");
  p->reached++;
}

static const char *label_of(const fl_recorded *run) {
  const char *label = json_string_value(json_object_get(run->summary, "label"));
  return label ? label : run->name;
}

/* What a run's seconds are divided by: in central training epochs. */
static const char *pace_of(const fl_recorded_list *r) {
  size_t central = 0;
  for (size_t i = 0; i < r->n; i++) central += config_of(&r->run[i], "training") != NULL;
  return !r->n || central < r->n ? "s/round" : "s/epoch";
}

/* Seconds of each method on the two machines: means over its seeds, never over machines. */
static void print_paces(const fl_recorded_list *a, const fl_recorded_list *b, int alone, int width) {
  const char *pace_a = pace_of(a), *pace_b = pace_of(b);
  int told_head = 0;
  for (size_t i = 0; i < a->n; i++) {
    pace x = {0}, y = {0};
    int mine = 1, mixed = 0;
    for (size_t j = 0; j < a->n; j++) {
      const fl_recorded *run = &a->run[j], *other = find(b, run, alone);
      const int models = json_object_get(run->summary, "model") != NULL;
      if (strcmp(label_of(run), label_of(&a->run[i])) || (models && !same_text(run, &a->run[i], "model"))) continue;
      if (j < i) mine = 0;
      if (!other) continue;
      mixed |= is_mixed(run) || is_mixed(other);
      add_pace(&x, run);
      add_pace(&y, other);
    }
    if (!mine || !x.n || mixed) continue;
    const char *model = json_string_value(json_object_get(a->run[i].summary, "model"));
    char name[300], target[64] = "";
    snprintf(name, sizeof name, "%s%s%s", label_of(&a->run[i]), model ? ", " : "", model ? model : "");
    if (!told_head++)
      printf("\n%-*s  %10s  %10s  %7s  seconds to target, ratio\n", width, "method", pace_a, pace_b, "ratio");
    if (x.reached == x.n && y.reached == y.n)
      snprintf(target, sizeof target, "%.3f  %.3f  %.3f", x.target / (double)x.n, y.target / (double)y.n, y.target / x.target);
    printf("%-*s  %10.4g  %10.4g  %7.3f  %s\n", width, name, x.round / (double)x.n, y.round / (double)y.n, y.round / x.round,
           *target ? target : "-");
  }
}

/* Runs of a and b by name. Returns how many differ or are missing, or -1. */
static int compare_two(const fl_recorded_list *a, const fl_recorded_list *b, char *err, size_t err_size) {
  int alone = a->single && b->single, differing = 0, width = 3;
  size_t common = 0, equal = 0;
  for (size_t i = 0; i < a->n; i++) width = (int)strlen(a->run[i].name) > width ? (int)strlen(a->run[i].name) : width;
  print_runs(a, b, alone);
  printf("%-*s  %10s  %10s  %7s  same bits\n", width, "run", "seconds", "seconds", "ratio");
  for (size_t i = 0; i < a->n; i++) {
    const fl_recorded *run = &a->run[i], *other = find(b, run, alone);
    if (!other) {
      printf("%-*s  missing in %s\n", width, run->name, b->path);
      differing++;
      continue;
    }
    char what[700];
    common++;
    int same = same_bits(run, other, what, sizeof what, err, err_size);
    if (same < 0) return -1;
    double s = json_number_value(json_object_get(run->summary, "seconds"));
    double u = json_number_value(json_object_get(other->summary, "seconds"));
    printf("%-*s  %10.3f  %10.3f  ", width, run->name, s, u);
    const int mixed = is_mixed(run) || is_mixed(other);
    if (s > 0 && !mixed) printf("%7.3f", u / s);
    else printf("%7s", "-");
    printf("  same bits: %s%s\n", same ? "yes" : "no, ", same ? "" : what);
    differing += !same;
    equal += (size_t)same;
  }
  for (size_t i = 0; i < b->n && !alone; i++)
    if (!find(a, &b->run[i], 0)) {
      printf("%-*s  missing in %s\n", width, b->run[i].name, a->path);
      differing++;
    }
  if (common) {
    print_paces(a, b, alone, width);
    printf("same bits: %zu of %zu runs\n", equal, common);
    return differing;
  }
  snprintf(err, err_size, "'%s' and '%s' have no run of the same name", a->path, b->path);
  return -1;
}

static int usage(FILE *to) {
  fputs("usage: fedlane compare A B ...\n"
        "Compares results with the first of them, of this or other machines: settings, seconds, bits; kernels.\n"
        "  A, B    folders of a run or of a suite; what a report left (summary.json, or its folder); or what fedlane bench\n"
        "          --benchmark_out=FILE wrote (a bench.json in both folders is compared as well)\n"
        "Exit code: 0 same bits, 1 bits differ or a result cannot be read, 2 usage.\n", to);
  return to == stdout ? 0 : 2;
}

/* Runs of all that were given. 0; 1: some differ; -1 with a message. */
static int compare_runs(char **path, size_t n, char *err, size_t err_size) {
  fl_recorded_list *r = calloc(n, sizeof *r);
  int differing = 0, bad = !r;
  if (!r) snprintf(err, err_size, "out of memory");
  for (size_t i = 0; !bad && i < n; i++) bad = fl_recorded_read_any(&r[i], path[i], err, err_size);
  for (size_t i = 0; !bad && i < n; i++) {
    const json_t *machine = json_object_get(r[i].run[0].run, "machine");
    const char *cpu = json_string_value(json_object_get(machine, "cpu")),
        *isa = json_string_value(json_object_get(machine, "isa_used"));
    const json_int_t threads = json_integer_value(json_object_get(machine, "threads"));
    printf("%s: %s, %s, %" JSON_INTEGER_FORMAT " thread%s, %zu run%s\n", r[i].path, cpu ? cpu : "unknown CPU",
           isa ? isa : "unknown ISA", threads, threads == 1 ? "" : "s", r[i].n, r[i].n == 1 ? "" : "s");
  }
  for (size_t i = 1; !bad && i < n; i++) {
    int d = compare_two(&r[0], &r[i], err, err_size);
    bad = d < 0;
    differing += d > 0 ? d : 0;
  }
  for (size_t i = 0; r && i < n; i++) fl_recorded_free(&r[i]);
  free(r);
  return bad ? -1 : differing > 0;
}

int fl_cli_compare(int argc, char **argv) {
  char err[5120] = "";
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return usage(stdout);
    if (argv[i][0] != '-') continue;
    fprintf(stderr, "fedlane compare: unknown option '%s'; it takes none but --help\n", argv[i]);
    return usage(stderr);
  }
  if (argc < 3) {
    fprintf(stderr, "fedlane compare: %d result folder(s) given, needs two or more\n", argc > 1 ? argc - 1 : 0);
    return usage(stderr);
  }
  const size_t n = (size_t)argc - 1;
  const int kernels = fl_bench_is(argv[1]);
  int answer = kernels ? 0 : compare_runs(argv + 1, n, err, sizeof err);
  if (answer >= 0 && fl_bench_compare(argv + 1, n, kernels, err, sizeof err)) answer = -1;
  fflush(stdout);
  if (answer < 0) fprintf(stderr, "fedlane compare: %s\n", err);
  return answer ? 1 : 0;
}
