/* cli_partition.c - fedlane partition: the partitions of a configuration as a table, saved, as JSON or CSV, as figures. */
#include "atomic.h"
#include "cli.h"
#include "partition_stats.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: fedlane partition CONFIG [--set key=value,...] [--save FILE] [--stats FILE] [--plot DIR]\n"
  "Divides the training rows as a run of CONFIG would, and prints what each client holds.\n"
  "  --set    overrides the file, e.g. partition.name=dirichlet,partition.dirichlet_alpha=0.1\n"
  "  --save   the index lists, for {name: file, path: FILE}\n"
  "  --stats  all clients: sizes, classes, distances from the data's labels, as CSV if FILE ends on .csv, else as JSON\n"
  "  --plot   figures (PDF, SVG) of classes by client, with the CSV of their points\n";

typedef struct { const char *config, *save, *stats, *plot; const char **set; size_t n_set; } options;

static int parse(int argc, char **argv, options *o) {
  static const struct option longs[] = { { "set", 1, NULL, 's' }, { "save", 1, NULL, 'f' }, { "stats", 1, NULL, 't' },
                                         { "plot", 1, NULL, 'p' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
    case 's': o->set[o->n_set++] = optarg; break;
    case 'f': o->save = optarg; break;
    case 't': o->stats = optarg; break;
    case 'p': o->plot = optarg; break;
    case 'h': fputs(usage, stdout); exit(FL_EXIT_DONE);
    default: fputs(usage, stderr); return -1;
  }
  if (optind + 1 != argc)
    return fprintf(stderr, "fedlane: partition takes one configuration, %d given\n%s", argc - optind, usage), -1;
  if ((o->save && !*o->save) || (o->stats && !*o->stats) || (o->plot && !*o->plot))
    return fputs("fedlane: --save, --stats, --plot: an empty path; allowed: a file, a file, a folder\n", stderr), -1;
  o->config = argv[optind];
  return 0;
}

/* ---- the table ----------------------------------------------------------------------------------------------------------- */
static void print_client(const char *name, const json_t *client, const char *key) {
  printf("%-8s", name);
  for (size_t k = 0; k < FL_CLIENT_STATS; k++) {
    const json_t *v = json_object_get(client, fl_client_stat[k]);
    if (v && key) v = json_object_get(v, key);
    if (v) printf(k < 2 && strcmp(name, "mean") ? " %17.0f" : " %17.4f", json_real_value(v));
  }
  putchar('\n');
}

static void print_table(const fl_config *c, const json_t *stats) {
  enum { FIRST = 10 };                          /* of more than twice as many clients; --stats has them all */
  const json_t *clients = json_object_get(stats, "client"), *summary = json_object_get(stats, "summary");
  const size_t n = json_array_size(clients), shown = n > 2 * FIRST ? FIRST : n;
  printf("%s, partition %s, seed %llu: %zu clients hold %lld samples, %lld of the %lld of the data%s\n", c->data_name,
         c->partition.kind->name, (unsigned long long)c->partition.seed, n,
         (long long)json_integer_value(json_object_get(stats, "assigned")),
         (long long)json_integer_value(json_object_get(stats, "distinct")),
         (long long)json_integer_value(json_object_get(stats, "samples")),
         json_is_true(json_object_get(stats, "disjoint")) ? "; no sample has two places" : "; samples are shared");
  printf("SHA-256 %s\n%-8s", json_string_value(json_object_get(stats, "sha256")), "client");
  for (size_t k = 0; k < FL_CLIENT_STATS; k++)
    if (json_object_get(summary, fl_client_stat[k])) printf(" %17s", fl_client_stat[k]);
  putchar('\n');
  for (size_t i = 0; i < shown; i++) {
    char name[24];
    snprintf(name, sizeof name, "%zu", i);
    print_client(name, json_array_get(clients, i), NULL);
  }
  if (shown < n) printf("... %zu more\n", n - shown);
  print_client("min", summary, "min");
  print_client("mean", summary, "mean");
  print_client("max", summary, "max");
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */
static int write_csv(const char *path, const json_t *stats, char *err, size_t size) {
  const json_t *summary = json_object_get(stats, "summary");
  const size_t classes = json_array_size(json_object_get(stats, "class_counts"));
  FILE *f = fopen(path, "w");
  if (!f) return snprintf(err, size, "cannot write '%.2000s': %s", path, strerror(errno)), -1;
  fputs("client", f);
  for (size_t k = 0; k < FL_CLIENT_STATS; k++)
    if (json_object_get(summary, fl_client_stat[k])) fprintf(f, ",%s", fl_client_stat[k]);
  for (size_t c = 0; c < classes; c++) fprintf(f, ",class_%zu", c);
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(stats, "client"), i, one) {
    fprintf(f, "\n%zu", i);
    for (size_t k = 0; k < FL_CLIENT_STATS; k++) {
      const json_t *v = json_object_get(one, fl_client_stat[k]);
      if (v) fprintf(f, ",%.12g", json_real_value(v));
    }
    for (size_t c = 0; c < classes; c++)
      fprintf(f, ",%lld", (long long)json_integer_value(json_array_get(json_object_get(one, "class_counts"), c)));
  }
  fputc('\n', f);
  const int bad = ferror(f);
  if (fclose(f) || bad) return snprintf(err, size, "cannot write '%.2000s': %s", path, strerror(errno)), -1;
  return 0;
}

static int write_stats(const char *path, const json_t *stats, char *err, size_t size) {
  const char *dot = strrchr(path, '.');
  return dot && !strcmp(dot, ".csv") ? write_csv(path, stats, err, size) : fl_file_write_json(path, stats, err, size);
}

/* The statistics go beside the figures, which are made from them alone. */
static int plot(const options *o, const json_t *stats, char *err, size_t size) {
  char path[4096], flag[] = "--partition", out[] = "--out";
  if ((size_t)snprintf(path, sizeof path, "%s/partition.json", o->plot) >= sizeof path)
    return snprintf(err, size, "--plot '%.200s...': too long", o->plot), -1;
  if (fl_folder_make(o->plot, err, size) || fl_file_write_json(path, stats, err, size)) return -1;
  char *argv[] = { NULL, flag, path, out, (char *)(uintptr_t)o->plot, NULL };
  return fl_become_report(argv) ? snprintf(err, size, "--plot '%.200s': no figures", o->plot), -1 : 0;
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */
/* The partition of one configuration, if it is not that of the one before. FL_WORK_REFUSED: what is asked cannot be done. */
static int show(fl_work *w, const fl_config *c, const options *o, json_t **stats, char before[65], char *err, size_t size) {
  if (c->central)
    return snprintf(err, size, "%s: central training has no partition; allowed: 'federated'", o->config), FL_WORK_REFUSED;
  if (fl_work_prepare(w, c, err, size)) return -1;
  if (w->data.population)
    return snprintf(err, size, "%s: data of format synthetic have no partition: each client's data are its own", o->config),
           FL_WORK_REFUSED;
  if (!strcmp(before, w->split.sha256)) return 0;
  if (*before && (o->save || o->stats || o->plot))
    return snprintf(err, size, "--save, --stats, --plot: %s has several partitions; allowed: one (--set partition.KEY=VALUE)",
                    o->config), FL_WORK_REFUSED;
  const fl_split_data d = fl_dataset_split(&w->data);
  if (*before) putchar('\n');
  snprintf(before, 65, "%s", w->split.sha256);
  json_decref(*stats);
  if (!(*stats = fl_split_stats(&w->split, &d))) return snprintf(err, size, "out of memory for %zu clients", c->clients), -1;
  print_table(c, *stats);
  return 0;
}

int fl_cli_partition(int argc, char **argv) {
  char err[FL_ERR] = "", before[65] = "";
  options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  fl_suite suite;
  fl_work w;
  json_t *stats = NULL;
  if (!o.set || parse(argc, argv, &o)) return free(o.set), FL_EXIT_USAGE;
  int bad = fl_suite_load(&suite, o.config, o.set, o.n_set, NULL, err, sizeof err) ? FL_WORK_REFUSED : 0;
  if (!bad) {
    bad = fl_work_start(&w, NULL, 0, err, sizeof err);
    for (size_t i = 0; !bad && i < suite.n; i++) bad = show(&w, &suite.run[i], &o, &stats, before, err, sizeof err);
    if (!bad && ((o.save && fl_split_save(&w.split, o.save, err, sizeof err)) ||
                 (o.stats && write_stats(o.stats, stats, err, sizeof err)) || (o.plot && plot(&o, stats, err, sizeof err))))
      bad = -1;
    fl_work_end(&w);
    fl_suite_free(&suite);
  }
  json_decref(stats);
  free(o.set);
  if (bad) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(bad);
  return FL_EXIT_DONE;
}
