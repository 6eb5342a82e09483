/* cli_report.c - fedlane report: the tables, which are made here, then the program that draws, where there is one. */
#include "cli.h"
#include "atomic.h"
#include "published.h"
#include "report.h"
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
  "usage: fedlane report DIR... [--out DIR] [--venue neurips|icml|ieee]\n"
  "Result folders, of one machine or several: tables (CSV, LaTeX), and where Python has Matplotlib figures (PDF, SVG, CSV of\n"
  "their points, caption) and one HTML page.\n"
  "  --out    where to; default DIR/report of the first folder\n"
  "  --venue  widths and font sizes of that venue's paper style\n";

/* What belongs to this program: beside an installed one, else in the source tree that it was built from. */
static int script(char *path, size_t size) {
  char self[4096] = "";
  fl_own_folder(self, sizeof self, 1);
  snprintf(path, size, "%s/share/fedlane/report", self);
  if (access(path, X_OK)) snprintf(path, size, "%s/scripts/report", FL_SOURCE_DIR);
  return access(path, X_OK) ? -1 : 0;
}

int fl_become_report(char **argv) {
  char path[4200];
  script(path, sizeof path);
  return fl_become(path, argv);
}

/* ---- published figures ----------------------------------------------------------------------------------------------------- */
typedef struct { json_t *known, *files; } published;

static int on_file(void *self, const char *path, char *err, size_t size) {
  published *p = self;
  json_array_append_new(p->files, json_string(path));
  return fl_published_check(path, p->known, err, size);
}

/* Their paths; NULL when one of them is not what it must be. */
static json_t *published_files(const fl_report_runs *all, char **folder, size_t n, char *err, size_t size) {
  published p = { json_object(), json_array() };
  int bad = 0;
  for (size_t i = 0; i < all->n; i++) {
    json_t *leaves = fl_report_leaves(all->run[i].config, NULL);
    json_object_update_missing(p.known, leaves);
    json_decref(leaves);
  }
  for (size_t i = 0; i < n && !bad; i++) bad = fl_report_published(folder[i], on_file, &p, err, size);
  json_decref(p.known);
  if (!bad) return p.files;
  json_decref(p.files);
  return NULL;
}

/* ---- series.json ----------------------------------------------------------------------------------------------------------- */
static json_t *runs_json(const fl_report_runs *all) {
  json_t *list = json_array();
  for (size_t i = 0; i < all->n; i++) {
    const fl_report_run *r = &all->run[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:b}", "folder", r->folder, "label", r->label,
                                          "model", r->model, "data", r->data, "cpu", r->cpu, "seed", r->seed, "status", r->status,
                                          "central", r->central, "mixed", r->mixed));
  }
  return list;
}

static json_t *series_json(const fl_report_groups *g) {
  json_t *list = json_array();
  for (size_t i = 0; i < g->n; i++) {
    json_t *runs = json_array();
    for (size_t k = 0; k < g->series[i].n; k++) json_array_append_new(runs, json_integer((json_int_t)g->series[i].run[k]));
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "label", g->series[i].label, "problem", g->series[i].problem,
                                          "cpu", g->series[i].cpu, "runs", runs));
  }
  return list;
}

/* {problem: the setting that its runs share}, for the captions of its figures. */
static json_t *settings_json(const fl_report_runs *all, const fl_report_groups *g) {
  json_t *settings = json_object();
  for (size_t i = 0; i < g->n; i++) {
    if (json_object_get(settings, g->series[i].problem)) continue;
    char *text = fl_report_setting(all, g->series[i].problem);
    json_object_set_new(settings, g->series[i].problem, json_string(text));
    free(text);
  }
  return settings;
}

static int write_series(const fl_report_runs *all, const fl_report_groups *g, const fl_report_table *table, json_t *files,
                        const char *out, char *err, size_t size) {
  char path[4400];
  json_t *tables = json_array();
  for (int k = 0; k < FL_TABLES; k++) if (table[k].rows) json_array_append_new(tables, fl_report_table_json(&table[k]));
  json_t *o = json_pack("{s:i, s:o, s:o, s:o, s:o, s:O}", "schema", 1, "runs", runs_json(all), "series", series_json(g),
                        "settings", settings_json(all, g), "tables", tables, "published", files);
  snprintf(path, sizeof path, "%s/series.json", out);
  const int bad = !o || fl_file_write_json(path, o, err, size);
  json_decref(o);
  return bad ? -1 : 0;
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */
typedef struct { const char *out, *venue; char **folder; size_t n; } options;

static int parse(int argc, char **argv, options *o) {
  static const struct option longs[] = { { "out", 1, NULL, 'o' }, { "venue", 1, NULL, 'v' }, { "help", 0, NULL, 'h' },
                                         { NULL, 0, NULL, 0 } };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
    case 'o': o->out = optarg; break;
    case 'v': o->venue = optarg; break;
    case 'h': fputs(usage, stdout); exit(FL_EXIT_DONE);
    default: fputs(usage, stderr); return -1;
  }
  o->folder = argv + optind;
  o->n = (size_t)(argc - optind);
  if (!o->n) return fprintf(stderr, "fedlane: report takes one result folder or more\n%s", usage), -1;
  if (o->venue && strcmp(o->venue, "neurips") && strcmp(o->venue, "icml") && strcmp(o->venue, "ieee"))
    return fprintf(stderr, "fedlane: --venue '%s'; allowed: neurips, icml, ieee\n", o->venue), -1;
  for (size_t i = 0; i < o->n; i++)
    if (access(o->folder[i], R_OK))
      return fprintf(stderr, "fedlane: report '%s': %s; allowed: a folder that fedlane run wrote\n", o->folder[i],
                     strerror(errno)), -1;
  return 0;
}

static int make_tables(const options *o, const fl_report_runs *all, const char *out, char *err, size_t size) {
  const char *command = !o->venue ? "" : strcmp(o->venue, "ieee") ? "\\small" : "\\footnotesize";
  fl_report_groups g = { 0 };
  fl_report_table table[FL_TABLES];
  g = fl_report_group((fl_report_runs *)(uintptr_t)all);
  fl_report_tables(all, &g, table);
  json_t *files = published_files(all, o->folder, o->n, err, size);
  int bad = !files || fl_folder_make(out, err, size);
  for (int k = 0; k < FL_TABLES && !bad; k++) bad = fl_report_table_write(&table[k], out, command, err, size);
  bad = bad || write_series(all, &g, table, files, out, err, size);
  if (!bad) fl_report_table_print(&table[FL_TABLE_MAIN], stdout);
  for (int k = 0; k < FL_TABLES; k++) fl_report_table_free(&table[k]);
  fl_report_groups_free(&g);
  json_decref(files);
  return bad ? -1 : 0;
}

int fl_cli_report(int argc, char **argv) {
  char err[FL_ERR] = "", out[4096], series[4200], path[4200];
  options o = { 0 };
  fl_report_runs all = { 0 };
  if (parse(argc, argv, &o)) return FL_EXIT_USAGE;
  int bad = fl_report_read(&all, o.folder, o.n, err, sizeof err);
  if (o.out) snprintf(out, sizeof out, "%s", o.out);
  else snprintf(out, sizeof out, "%s/report", o.folder[0]);
  bad = bad || make_tables(&o, &all, out, err, sizeof err);
  fl_report_free(&all);
  if (bad) return fprintf(stderr, "report: %s\n", err), FL_EXIT_FAILED;
  if (script(path, sizeof path)) {
    fprintf(stderr, "report: the tables are in %s; left out: figures, captions and page, as '%s' is not there to draw them\n",
            out, path);
    return FL_EXIT_DONE;
  }
  snprintf(series, sizeof series, "%s/series.json", out);
  if (fflush(stdout)) return fputs("fedlane: cannot write to standard output\n", stderr), FL_EXIT_FAILED;
  char *drawn[] = { argv[0], series, (char *)(uintptr_t)"--out", out, (char *)(uintptr_t)(o.venue ? "--venue" : NULL),
                    (char *)(uintptr_t)o.venue, NULL };
  return fl_become(path, drawn);
}
