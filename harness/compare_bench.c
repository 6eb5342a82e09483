/* compare_bench.c - kernels of two machines: time an element, ratio, and what share of its own ceiling each reaches. */
#include "harness/compare.h"
#include "harness/atomic.h"
#include <fedlane/kernels.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A kernel at a place ("adamw/n:4096/threads:1") on the fastest instruction set that the file has of it. */
typedef struct { char name[160], isa[16]; double ns, percent; } line;
typedef struct { char path[4200], cpu[200]; line *line; size_t n, room; } file;

/* "adamw/avx2/n:4096/threads:1" without its second word, which is the instruction set. */
static int split_name(const char *name, line *l) {
  const char *isa = strchr(name, '/'), *rest = isa ? strchr(isa + 1, '/') : NULL;
  if (!rest || !strncmp(name, "ceiling/", 8)) return -1;
  if ((size_t)(rest - isa) > sizeof l->isa || strlen(name) >= sizeof l->name) return -1;
  snprintf(l->name, sizeof l->name, "%.*s%s", (int)(isa - name), name, rest);
  snprintf(l->isa, sizeof l->isa, "%.*s", (int)(rest - isa - 1), isa + 1);
  return 0;
}

static int add_line(file *f, const char *name, double ns, double ceiling, double percent) {
  line l = {0};
  size_t i = 0;
  if (!(ns > 0) || split_name(name, &l)) return 0;
  l.ns = ns;
  l.percent = percent > 0 ? percent : ceiling > 0 ? 100 * ceiling / ns : 0;
  while (i < f->n && strcmp(f->line[i].name, l.name)) i++;
  if (i == f->n && f->n == f->room) {
    const size_t room = f->room ? 2 * f->room : 64;
    line *grown = realloc(f->line, room * sizeof *grown);
    if (!grown) return -1;
    f->line = grown;
    f->room = room;
  }
  if (i == f->n) f->line[f->n++] = l;
  else if (l.ns < f->line[i].ns) f->line[i] = l;
  return 0;
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static double least(const json_t *list) {
  double v = 0;
  const json_t *x;
  size_t i;
  json_array_foreach(list, i, x) if (v == 0 || json_number_value(x) < v) v = json_number_value(x);
  return v;
}

/* Google Benchmark's JSON, or the record of scripts/performance. */
static int read_lines(file *f, const json_t *o) {
  const json_t *b, *all = json_object_get(o, "benchmarks"), *record = json_object_get(o, "bench");
  const char *name;
  size_t i;
  json_array_foreach(all, i, b) {
    const char *type = json_string_value(json_object_get(b, "run_type"));
    name = json_string_value(json_object_get(b, "name"));
    if (name && type && !strcmp(type, "iteration") && !json_object_get(b, "error_occurred") &&
        add_line(f, name, number(b, "ns/element"), number(b, "ceiling_ns/element"), number(b, "percent"))) return -1;
  }
  json_object_foreach((json_t *)record, name, b)
    if (add_line(f, name, least(json_object_get(b, "ns")), number(b, "ceiling_ns"),
                 json_number_value(json_array_get(json_object_get(b, "paired"), 0)))) return -1;
  const json_t *machine = json_object_get(o, all ? "context" : "machine");
  const char *cpu = json_string_value(json_object_get(machine, all ? "machine_cpu" : "cpu"));
  snprintf(f->cpu, sizeof f->cpu, "%s", cpu ? cpu : "unknown CPU");
  return 0;
}

static int read_file(file *f, char *err, size_t size) {
  json_t *o = fl_file_read_json(f->path, err, size);
  if (!o) return -1;
  const int bad = read_lines(f, o);
  json_decref(o);
  if (bad) return snprintf(err, size, "out of memory"), -1;
  if (f->n) return 0;
  return snprintf(err, size, "'%s': no kernels; allowed: what fedlane bench --benchmark_out=FILE or scripts/performance wrote",
                  f->path), -1;
}

int fl_bench_is(const char *path) {
  struct stat st;
  char ignored[300];
  if (stat(path, &st) || !S_ISREG(st.st_mode)) return 0;
  json_t *o = fl_file_read_json(path, ignored, sizeof ignored);
  const int is = json_object_get(o, "benchmarks") || json_object_get(o, "bench");
  json_decref(o);
  return is;
}

static void print_percent(double v) {
  if (v > 0) printf("  %8.1f %%", v);
  else printf("  %10s", "-");
}

static void print_two(const file *a, const file *b) {
  double logs = 0;
  size_t common = 0;
  int width = 6;
  for (size_t i = 0; i < a->n; i++) width = (int)strlen(a->line[i].name) > width ? (int)strlen(a->line[i].name) : width;
  printf("\nkernels (%s: %s | %s: %s), ns an element, each by its share of the machine's own ceiling\n", a->path, a->cpu, b->path,
         b->cpu);
  printf("%-*s  %10s  %10s  %7s  %10s  %10s  sets\n", width, "kernel", "ns", "ns", "ratio", "of ceiling", "of ceiling");
  for (size_t i = 0; i < a->n; i++)
    for (size_t j = 0; j < b->n; j++) {
      const line *x = &a->line[i], *y = &b->line[j];
      if (strcmp(x->name, y->name)) continue;
      printf("%-*s  %10.4g  %10.4g  %7.3f", width, x->name, x->ns, y->ns, y->ns / x->ns);
      print_percent(x->percent);
      print_percent(y->percent);
      printf("  %s | %s\n", x->isa, y->isa);
      logs += fl_log(y->ns / x->ns);
      common++;
    }
  if (common) printf("%zu kernels of both, geometric mean of the ratios %.3f\n", common, fl_exp(logs / (double)common));
  else puts("no kernel of the same name, size and number of threads; --sizes= gives machines the same sizes");
}

int fl_bench_compare(char **path, size_t n, int wanted, char *err, size_t size) {
  file first = {0};
  struct stat st;
  int bad = 0;
  for (size_t i = 0; !bad && i < n; i++) {
    file other = {0};
    snprintf(other.path, sizeof other.path, wanted ? "%s" : "%s/bench.json", path[i]);
    if (!wanted && stat(other.path, &st)) {
      if (!i) return 0;
      continue;
    }
    bad = read_file(&other, err, size);
    if (!bad && i) print_two(&first, &other);
    if (i) free(other.line);
    else first = other;
  }
  free(first.line);
  return bad;
}
