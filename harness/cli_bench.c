/* cli_bench.c - fedlane bench: hands on to fedlane-bench, or is the regression guard (--save, --against). */
#include "atomic.h"
#include "cli.h"
#include "counters.h"
#include "guard.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_UNDECIDED = 3 };

static const char usage[] =
  "usage: fedlane bench --save FILE [guard options]                       keep this build's times, as a baseline\n"
  "       fedlane bench --against FILE|OTHER_BUILD [guard options]        is this build slower? A verdict a row: same, faster,\n"
  "                                                                       slower, noisy, no baseline\n"
  "  --save FILE         a file, or a folder: the file in it is named after the CPU (callgrind's counts: callgrind.json)\n"
  "  --against           what --save wrote, a folder of such files, or another build's folder or program; another build takes\n"
  "                      turns with this one, a file counts only for the same CPU, instruction set, threads and build flags\n"
  "  --filter REGEX      rows whose names match (fedlane bench --benchmark_list_tests shows all)\n"
  "  --min-effect P%     changes below are `same`; default 2%, of instructions 0.5%\n"
  "  --metric M          time (default) or instructions (hardware counter, else callgrind): one thread, the core's own caches\n"
  "  --repetitions N     of each row in a look, 9 to 1000; default 15, in three launches of the programs\n"
  "  --isa= --threads= --sizes= --pages= as below\n"
  "Exit codes: 0 nothing is slower (or saved), 1 something is, 2 usage, 3 could not decide. docs/ci.md has a workflow.\n\n";

typedef struct {
  const char *save, *against, *filter;
  char *words[32];                              /* for the programs */
  size_t n_words;
  char filter_word[1024], baseline[4200], program[4200], own[4200], cpu[256];
  double min_effect;
  long repetitions;
  int instructions, help, guard;
} options;

static int refuse(const char *what, const char *value, const char *allowed) {
  fprintf(stderr, "fedlane: bench: %s \"%s\"; allowed: %s\n", what, value, allowed);
  return FL_EXIT_USAGE;
}

/* ---- options ---------------------------------------------------------------------------------------------------------- */
static int set_option(options *o, const char *name, const char *value) {
  char *end;
  o->guard = 1;
  if (!strcmp(name, "--save")) return o->save = value, 0;
  if (!strcmp(name, "--against")) return o->against = value, 0;
  if (!strcmp(name, "--filter")) return o->filter = value, 0;
  if (!strcmp(name, "--metric")) {
    o->instructions = !strcmp(value, "instructions");
    return o->instructions || !strcmp(value, "time") ? 0 : refuse("--metric", value, "time, instructions");
  }
  if (!strcmp(name, "--repetitions")) {
    o->repetitions = strtol(value, &end, 10);
    return *value && !*end && o->repetitions >= FL_GUARD_LEAST && o->repetitions <= 1000 ? 0
        : refuse(name, value, "whole numbers, 9 to 1000");
  }
  o->min_effect = strtod(value, &end) / 100;
  if (end != value && *end == '%') end++;
  return end != value && !*end && o->min_effect >= 0.0001 && o->min_effect <= 1 ? 0 : refuse(name, value, "0.01% to 100%");
}

static int is_handed_on(const char *word) {
  static const char *const known[] = { "--isa=", "--threads=", "--sizes=", "--pages=" };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strncmp(word, known[i], strlen(known[i]))) return 1;
  return 0;
}

static int parse(options *o, int argc, char **argv) {
  static const char *const known[] = { "--save", "--against", "--filter", "--min-effect", "--metric", "--repetitions" };
  const char *other = NULL;
  for (int i = 1; i < argc; i++) {
    size_t k = 0, n = 0;
    o->help |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
    for (; k < sizeof known / sizeof *known; k++) {
      n = strlen(known[k]);
      if (!strncmp(argv[i], known[k], n) && (argv[i][n] == '=' || !argv[i][n])) break;
    }
    if (k < sizeof known / sizeof *known) {
      const char *value = argv[i][n] ? argv[i] + n + 1 : i + 1 < argc ? argv[++i] : NULL;
      if (!value || !*value) return fprintf(stderr, "fedlane: bench: %s takes a value\n%s", known[k], usage), FL_EXIT_USAGE;
      const int code = set_option(o, known[k], value);
      if (code) return code;
    } else if (is_handed_on(argv[i]) && o->n_words < 24) {
      o->words[o->n_words++] = argv[i];
    } else {
      other = argv[i];
    }
  }
  if (!o->guard || o->help) return 0;
  if (other) {
    fprintf(stderr, "fedlane: bench: \"%s\" does not go with --save or --against\n%s", other, usage);
    return FL_EXIT_USAGE;
  }
  if (!o->save && !o->against)
    return fprintf(stderr, "fedlane: bench: --save or --against is missing\n%s", usage), FL_EXIT_USAGE;
  if (o->filter) {
    if ((size_t)snprintf(o->filter_word, sizeof o->filter_word, "--benchmark_filter=%s", o->filter) >= sizeof o->filter_word)
      return refuse("--filter: too long", o->filter, "1000 bytes");
    o->words[o->n_words++] = o->filter_word;
  }
  return 0;
}

/* ---- where things are ------------------------------------------------------------------------------------------------- */
static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* FOLDER/amd-epyc.json; callgrind's counts are of no CPU. */
static void named_after_cpu(const options *o, fl_metric metric, const char *folder, char *path, size_t size) {
  char name[256];
  size_t n = 0;
  for (const char *p = o->cpu; *p && n < sizeof name - 1; p++) {
    if (isalnum((unsigned char)*p)) name[n++] = (char)tolower((unsigned char)*p);
    else if (n && name[n - 1] != '-') name[n++] = '-';
  }
  while (n && name[n - 1] == '-') n--;
  name[n] = 0;
  if (metric == FL_CALLGRIND) snprintf(path, size, "%s/callgrind.json", folder);
  else snprintf(path, size, "%s/%s%s.json", folder, n ? name : "unknown", metric == FL_COUNTER ? "-instructions" : "");
}

/* Of --against: a baseline's path, or a program's. */
static int find_baseline(options *o) {
  char text[4200];
  const char *allowed = "a file that fedlane bench --save wrote, a folder of them, a build's folder or its fedlane";
  FILE *f;
  if (!is_folder(o->against)) {
    if (!(f = fopen(o->against, "re"))) return refuse(strerror(errno), o->against, allowed);
    const int first = getc(f);
    fclose(f);
    if (first == '{') return snprintf(o->baseline, sizeof o->baseline, "%s", o->against), 0;
    if (access(o->against, X_OK)) return refuse("--against", o->against, allowed);
    const char *slash = strrchr(o->against, '/');
    const int is_program = !strcmp(slash ? slash + 1 : o->against, "fedlane");
    snprintf(o->program, sizeof o->program, "%s%s%s", slash ? "" : "./", o->against, is_program ? "-bench" : "");
    return access(o->program, X_OK) ? refuse("--against: no program", o->program, allowed) : 0;
  }
  snprintf(text, sizeof text, "%s/fedlane-bench", o->against);
  if (access(text, X_OK) == 0) return memcpy(o->program, text, sizeof text), 0;
  named_after_cpu(o, o->instructions ? FL_COUNTER : FL_TIME, o->against, text, sizeof text);
  if (o->instructions && access(text, R_OK)) named_after_cpu(o, FL_CALLGRIND, o->against, text, sizeof text);
  if (access(text, R_OK) == 0) return memcpy(o->baseline, text, sizeof text), 0;
  fprintf(stderr, "fedlane: bench: --against \"%s\": neither fedlane-bench nor %s is there; no baseline for this CPU\n",
          o->against, strrchr(text, '/') + 1);
  return EXIT_UNDECIDED;
}

/* ---- the metric ------------------------------------------------------------------------------------------------------- */
/* errno says why not. */
static int has_counter(void) {
  fl_counters c;
  fl_counters_open(&c);
  const int had = c.file[FL_COUNT_INSTRUCTIONS] >= 0;
  fl_counters_close(&c);
  errno = c.why;
  return had;
}

static int has_valgrind(void) {
  char path[4200];
  for (const char *p = getenv("PATH"); p && *p;) {
    const size_t n = strcspn(p, ":");
    snprintf(path, sizeof path, "%.*s/valgrind", (int)n, p);
    if (access(path, X_OK) == 0) return 1;
    p += n + (p[n] == ':');
  }
  return 0;
}

/* What the baseline counted with, where it can be had. */
static int choose_metric(fl_guard *g, const options *o, const json_t *saved) {
  const char *was = json_string_value(json_object_get(json_object_get(saved, "context"), "metric"));
  g->metric = FL_TIME;
  if (!o->instructions) return 0;
  errno = 0;
  const int counter = has_counter(), why = errno, valgrind = has_valgrind();
  g->metric = counter && !(was && valgrind && !strcmp(was, "callgrind")) ? FL_COUNTER : FL_CALLGRIND;
  if (counter || valgrind) return 0;
  fprintf(stderr, "fedlane: bench: --metric instructions: this machine has no hardware counter (perf_event_open: %s), and there "
                  "is no valgrind in PATH; allowed: --metric time, or install valgrind\n", strerror(why));
  return FL_EXIT_USAGE;
}

/* ---- judging ---------------------------------------------------------------------------------------------------------- */
static double *allocated(size_t n) {
  double *v = calloc(n + 1, sizeof *v);
  if (!v) abort();
  return v;
}

static size_t read_samples(const json_t *row, double **out, double scale) {
  const json_t *list = json_object_get(row, "samples"), *below = json_object_get(row, "beside_samples");
  const size_t n = json_array_size(list);
  *out = allocated(n);
  for (size_t i = 0; i < n; i++) {
    const double by = json_number_value(json_array_get(below, i));
    (*out)[i] = json_number_value(json_array_get(list, i)) / (below ? by : scale);
  }
  return n;
}

/* One row, of which there are new samples. What was noisy is judged with those before; a change must show in new ones alone. */
static void judge(const fl_guard *g, fl_row *r, const json_t *saved) {
  const json_t *row = saved ? fl_row_named(json_object_get(saved, "benchmarks"), r->name) : NULL;
  const size_t n = r->n - r->first;
  const fl_series *now = &r->side[g->program[1] != NULL], *was = &r->side[0];
  double *a = NULL, *b = allocated(n);
  size_t na = row ? read_samples(row, &a, g->metric == FL_TIME ? 1e9 : 1) : n;
  if (!row) a = allocated(n);
  for (size_t i = 0; i < n; i++) b[i] = now->value[r->first + i] / now->beside[r->first + i];
  for (size_t i = 0; i < n && !row; i++) a[i] = was->value[r->first + i] / was->beside[r->first + i];
  const size_t *of_launch = r->of_launch + r->first_launch;
  const fl_timings s = row ? (fl_timings){ 1, &na, &n, a, b }
                           : (fl_timings){ r->launches - r->first_launch, of_launch, of_launch, a, b };
  r->judgement = g->metric == FL_TIME ? fl_judge(&s, !row, g->min_effect) : fl_judge_counts(&s, g->min_effect);
  r->look[r->looks++] = r->judgement.verdict;
  if (r->judgement.verdict != FL_NOISY) r->first = r->n, r->first_launch = r->launches;
  free(a);
  free(b);
}

/* Rows that the baseline cannot judge; the others are measured as it was. */
static void prepare(fl_guard *g, const json_t *saved, const char *differs) {
  for (size_t i = 0; i < g->n; i++) {
    fl_row *r = &g->row[i];
    const json_t *row = saved ? fl_row_named(json_object_get(saved, "benchmarks"), r->name) : NULL;
    if (!saved || r->reason) continue;
    if (*differs) r->reason = "another machine or build";
    else if (!row) r->reason = "not in the file";
    if (r->reason) continue;
    const char *name = json_string_value(json_object_get(row, "beside"));
    if (name && !fl_has_ceiling(r, name)) r->reason = "this build lacks its ceiling";
    if (r->reason) continue;
    r->beside = name ? strdup(name) : NULL;
    r->calls = json_integer_value(json_object_get(row, "iterations"));
    r->parts = (int)json_integer_value(json_object_get(row, "parts"));
  }
}

/* Looks until every row is decided. */
static int decide(fl_guard *g, const options *o, const json_t *saved, char *err, size_t err_size) {
  char *wanted = calloc(g->n + 1, 1);
  if (!wanted) abort();
  int bad = 0;
  for (int look = 0; look < FL_GUARD_LOOKS && !bad; look++) {
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
      fl_row *r = &g->row[i];
      wanted[i] = !r->dropped && (look == 0 ? !r->reason || o->save : r->looks > 0 && fl_decide(r->look, r->looks) < 0);
      n += wanted[i] != 0;
    }
    if (n == 0) break;
    if (look > 0) fprintf(stderr, "fedlane: bench: look %d at %zu row%s\n", look + 1, n, n == 1 ? "" : "s");
    bad = fl_guard_look(g, wanted, err, err_size);
    for (size_t i = 0; i < g->n && !bad && o->against; i++)
      if (wanted[i] && !g->row[i].reason) judge(g, &g->row[i], saved);
  }
  for (size_t i = 0; i < g->n && !bad; i++) {
    fl_row *r = &g->row[i];
    if (r->reason) r->judgement.verdict = FL_NO_BASELINE;
    else if (r->looks) r->judgement.verdict = (fl_verdict)fl_decide(r->look, r->looks);
  }
  free(wanted);
  return bad;
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */
static const char *human(const fl_guard *g, const fl_row *r, double v, char out[32]) {
  static const char *const unit[] = { "ns", "us", "ms", "s" };
  if (r->beside) return snprintf(out, 32, "%.3f ceilings", v), out;
  if (g->metric != FL_TIME) return snprintf(out, 32, "%.0f", v), out;
  int k = 0;
  for (v *= 1e9; v >= 1000 && k < 3; k++) v /= 1000;
  return snprintf(out, 32, "%.4g %s", v, unit[k]), out;
}

static int print(const fl_guard *g, const json_t *saved, const char *differs) {
  size_t count[FL_VERDICTS] = { 0 };
  int width = 8;
  char before[32], now[32];
  for (size_t i = 0; i < g->n; i++) width = (int)strlen(g->row[i].name) > width ? (int)strlen(g->row[i].name) : width;
  printf("%-*s  %14s  %14s  %8s  %18s  %s\n", width, "row", "before", "now", "change", "99 % within", "verdict");
  for (size_t i = 0; i < g->n; i++) {
    const fl_row *r = &g->row[i];
    const fl_judgement *j = &r->judgement;
    count[j->verdict]++;
    if (j->verdict == FL_NO_BASELINE)
      printf("%-*s  %14s  %14s  %8s  %18s  no baseline: %s\n", width, r->name, "-", "-", "-", "-", r->reason);
    else
      printf("%-*s  %14s  %14s  %+6.1f %%  %+6.1f to %+6.1f %%  %s\n", width, r->name, human(g, r, j->before, before),
             human(g, r, j->now, now), 100 * j->effect, 100 * j->low, 100 * j->high, fl_verdict_word[j->verdict]);
  }
  printf("\n%zu rows: %zu slower, %zu faster, %zu same, %zu noisy, %zu without a baseline; least effect %.3g %%\n", g->n,
         count[FL_SLOWER], count[FL_FASTER], count[FL_SAME], count[FL_NOISY], count[FL_NO_BASELINE], 100 * g->min_effect);
  const json_t *row;
  size_t i, gone = 0;
  json_array_foreach(json_object_get(saved, "benchmarks"), i, row) {
    size_t k = 0;
    while (k < g->n && strcmp(g->row[k].name, json_string_value(json_object_get(row, "name")))) k++;
    gone += k == g->n;
  }
  if (gone) printf("rows of the file that were not asked for or are no more: %zu\n", gone);
  if (*differs) printf("the file says nothing of this machine and build: %s\n", differs);
  if (count[FL_SLOWER]) return FL_EXIT_FAILED;
  return count[FL_NOISY] || count[FL_NO_BASELINE] == g->n ? EXIT_UNDECIDED : FL_EXIT_DONE;
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */
static int guard(options *o) {
  char err[FL_ERR] = "", differs[2048] = "", path[4200];
  json_t *saved = NULL;
  int code = FL_EXIT_DONE;
  fl_guard g = { .min_effect = o->min_effect > 0 ? o->min_effect : o->instructions ? 0.005 : 0.02, .arguments = o->words,
                 .repetitions = (size_t)o->repetitions, .seed = (unsigned)getpid() };
  fl_isa_info isa;
  fl_isa_detect(&isa);
  snprintf(o->cpu, sizeof o->cpu, "%s", isa.brand);
  signal(SIGPIPE, SIG_IGN);
  if (o->against && (code = find_baseline(o))) return code;
  if (o->baseline[0] && !(saved = fl_guard_load(o->baseline, err, sizeof err)))
    return fprintf(stderr, "fedlane: bench: %s\n", err), FL_EXIT_USAGE;
  if ((code = choose_metric(&g, o, saved))) return json_decref(saved), code;
  g.program[0] = o->program[0] ? o->program : o->own;
  g.program[1] = o->program[0] ? o->own : NULL;
  int bad = fl_guard_rows(&g, err, sizeof err);
  if (bad) code = FL_EXIT_USAGE;
  else if (!g.n) bad = code = refuse("no row matches --filter", o->filter ? o->filter : "",
                                     "a part of a row's name (fedlane bench --benchmark_list_tests)");
  if (!bad && saved) {
    static const char *const word[] = { "time", "counter", "callgrind" };
    json_object_set_new(g.context[0], "metric", json_string(word[g.metric]));
    fl_guard_differs(json_object_get(saved, "context"), g.context[0], differs, sizeof differs);
  }
  if (!bad) {
    prepare(&g, saved, differs);
    bad = decide(&g, o, saved, err, sizeof err);
    if (bad) code = EXIT_UNDECIDED;
  }
  if (!bad && o->against) code = print(&g, saved, differs);
  if (!bad && o->save) {
    snprintf(path, sizeof path, "%s", o->save);
    if (is_folder(o->save)) named_after_cpu(o, g.metric, o->save, path, sizeof path);
    bad = fl_guard_save(&g, path, err, sizeof err);
    if (bad && !code) code = EXIT_UNDECIDED;    /* the verdicts stand all the same */
    if (!bad && !o->against) printf("%zu rows saved as %s\n", g.n, path);
  }
  if (bad && *err) fprintf(stderr, "fedlane: bench: %s\n", err);
  json_decref(saved);
  fl_guard_free(&g);
  return code;
}

int fl_cli_bench(int argc, char **argv) {
  char self[4096] = "";
  options o = { .repetitions = 15 };
  fl_own_folder(self, sizeof self, 0);
  snprintf(o.own, sizeof o.own, "%s/fedlane-bench", self);
  const int code = parse(&o, argc, argv);
  if (code) return code;
  if (o.help) fputs(usage, stdout), fflush(stdout);
  if (access(o.own, X_OK))
    return fprintf(stderr, "fedlane: bench: '%s' is not there; it is built with the tests where Google Benchmark is installed "
                           "(cmake -DFEDLANE_TESTS=ON, after scripts/setup --test)\n", o.own), FL_EXIT_FAILED;
  return o.guard && !o.help ? guard(&o) : fl_become(o.own, argv);
}
