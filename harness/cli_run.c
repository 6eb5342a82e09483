/* cli_run.c - fedlane run: its options, and the command that goes on after an interruption. */
#include "cli.h"
#include "plugin.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
  "usage: fedlane run CONFIG [--set key=value,...] [--seeds 1,2,3] [--threads N] [--isa scalar|avx2|avx512|neon]\n"
  "                   [--backend native|onednn] [--out DIR | --resume DIR] [--jobs J] [--shard I/N]\n"
  "                   [--plugin FILE.so]... [--dry-run | --verify | --export-plan DIR]\n"
  "  --set          overrides the file, e.g. federated.rounds=5, algorithms.fedavg.lr=[0.03,0.1] (a list: a run each)\n"
  "  --plugin       rules, stages and methods of your own, as the key plugins of the configuration (docs/add-a-method.md)\n"
  "  --out          the folder for the results; default fedlane-out/NAME, NAME being the file's or its folder's\n"
  "  --resume       continues the runs in that folder, after an interruption or with more rounds\n"
  "  --jobs         so many runs at once, each on its part of the threads: their times are marked as shared and not shown\n"
  "  --shard        every N-th run, beginning with the I-th: the other parts of an array of jobs do the rest, into the same\n"
  "                 folder or others (fedlane report reads several)\n"
  "  --dry-run      prints the runs, their resolved configurations (as JSON) and bytes, and trains nothing\n"
  "  --verify       runs everything twice with different numbers of threads, and compares the hashes\n"
  "  --export-plan  writes initial parameters, cohorts and batches of every run, for a replay by another program\n"
  "  --backend      who computes the layers; with onednn the bits are not promised, and the results say so\n"
  "  --threads      default: the physical cores allowed; the number changes no bit, nor does --isa\n";

int fl_parse_count(const char *option, const char *text, int *count) {
  char *end;
  const long n = strtol(text, &end, 10);
  if (end == text || *end || n < 1 || n > 1024)
    return fprintf(stderr, "fedlane: %s '%s'; allowed: a whole number from 1 to 1024\n", option, text), -1;
  *count = (int)n;
  return 0;
}

static int parse_shard(const char *text, fl_run_options *o) {
  int end = 0;
  if (sscanf(text, "%d/%d%n", &o->shard, &o->shards, &end) == 2 && !text[end] && o->shard >= 1 && o->shard <= o->shards) return 0;
  return fprintf(stderr, "fedlane: --shard '%s'; allowed: I/N with I from 1 to N, e.g. 2/8\n", text), -1;
}

static int parse_rounds(const char *text, uint64_t *rounds) {
  char *end;
  const long long n = strtoll(text, &end, 10);
  if (end == text || *end || n < 1 || n >= 1 << 24)
    return fprintf(stderr, "fedlane: --rounds '%s'; allowed: a whole number from 1 to 2^24 - 1\n", text), -1;
  *rounds = (uint64_t)n;
  return 0;
}

#define SHARED                                                                                                              \
  { "set", 1, NULL, 's' }, { "seeds", 1, NULL, 'e' }, { "threads", 1, NULL, 't' }, { "isa", 1, NULL, 'i' },                 \
  { "out", 1, NULL, 'o' }, { "backend", 1, NULL, 'b' }, { "help", 0, NULL, 'h' }
static const struct option of_profile[] = { SHARED, { "rounds", 1, NULL, 'n' }, { NULL, 0, NULL, 0 } };
static const struct option of_run[] = {
  SHARED, { "resume", 1, NULL, 'r' }, { "dry-run", 0, NULL, 'd' }, { "verify", 0, NULL, 'v' }, { "export-plan", 1, NULL, 'p' },
  { "jobs", 1, NULL, 'j' }, { "shard", 1, NULL, 'a' }, { NULL, 0, NULL, 0 } };

static int parse_option(int c, const char *usage_text, fl_run_options *o) {
  switch (c) {
    case 's': o->set[o->n_set++] = optarg; break;
    case 'e': o->seeds = optarg; break;
    case 't': return fl_parse_count("--threads", optarg, &o->threads);
    case 'i': o->isa = optarg; break;
    case 'b':                                   /* the key of that name: it decides the bits */
      snprintf(o->backend, sizeof o->backend, "backend=%s", optarg);
      o->set[o->n_set++] = o->backend;
      break;
    case 'o': o->out = optarg; break;
    case 'r': o->resume = optarg; break;
    case 'd': o->dry_run = 1; break;
    case 'v': o->verify = 1; break;
    case 'p': o->export_plan = optarg; break;
    case 'j': return fl_parse_count("--jobs", optarg, &o->jobs);
    case 'a': return parse_shard(optarg, o);
    case 'n': return parse_rounds(optarg, &o->rounds);
    case 'h': fputs(usage_text, stdout); exit(FL_EXIT_DONE);
    default: fputs(usage_text, stderr); return -1;
  }
  return 0;
}

int fl_run_parse(int argc, char **argv, const char *usage_text, fl_run_options *o) {
  const struct option *longs = strcmp(argv[0], "profile") ? of_run : of_profile;
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;)
    if (parse_option(c, usage_text, o)) return -1;
  if (optind + 1 != argc)
    return fprintf(stderr, "fedlane: %s takes one configuration, %d given\n%s", argv[0], argc - optind, usage_text), -1;
  if (o->out && o->resume)
    return fputs("fedlane: --out and --resume exclude each other (--resume continues in its folder)\n", stderr), -1;
  if ((o->out && !*o->out) || (o->resume && !*o->resume))
    return fputs("fedlane: --out, --resume: an empty path; allowed: a folder\n", stderr), -1;
  if (o->dry_run + o->verify + !!o->export_plan > 1)
    return fputs("fedlane: --dry-run, --verify and --export-plan exclude each other\n", stderr), -1;
  if ((o->jobs || o->shards) && (o->dry_run || o->verify || o->export_plan))
    return fputs("fedlane: --jobs and --shard are for training; allowed without --dry-run, --verify, --export-plan\n", stderr),
           -1;
  o->command = argv[0];
  o->config = argv[optind];
  return 0;
}

/* fedlane-out/NAME: the file's name, or its folder's when it is called config.yaml. */
static void default_out(const char *config, char *out, size_t size) {
  char full[4000], *real = realpath(config, NULL);
  snprintf(full, sizeof full, "%s", real ? real : config);
  free(real);
  char *slash = strrchr(full, '/'), *name = slash ? slash + 1 : full, *dot = strrchr(name, '.');
  if (dot && dot != name) *dot = 0;
  if (!strcmp(name, "config") && slash) {
    *slash = 0;
    name = strrchr(full, '/') ? strrchr(full, '/') + 1 : full;
  }
  snprintf(out, size, "fedlane-out/%s", *name ? name : "config");
}

static void quoted(const char *s) {
  const int plain = *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=,:+-")];
  if (plain) { fprintf(stderr, " %s", s); return; }
  fputs(" '", stderr);
  for (; *s; s++) fprintf(stderr, *s == '\'' ? "'\\''" : "%c", *s);
  fputc('\'', stderr);
}

void fl_print_resume(const fl_run_options *o, const char *out) {
  fprintf(stderr, "interrupted; to continue: fedlane %s", o->command);
  quoted(o->config);
  for (size_t i = 0; i < o->n_set; i++) fputs(" --set", stderr), quoted(o->set[i]);
  for (size_t i = 0; i < fl_plugin_count(); i++)
    if (fl_plugin_at(i)->from_option) fputs(" --plugin", stderr), quoted(fl_plugin_at(i)->path);
  if (o->seeds) fputs(" --seeds", stderr), quoted(o->seeds);
  if (o->isa) fputs(" --isa", stderr), quoted(o->isa);
  if (o->threads) fprintf(stderr, " --threads %d", o->threads);
  if (o->jobs > 1) fprintf(stderr, " --jobs %d", o->jobs);
  if (o->shards > 1) fprintf(stderr, " --shard %d/%d", o->shard, o->shards);
  fputs(" --resume", stderr);
  quoted(out);
  fputc('\n', stderr);
}

int fl_run_with(const fl_run_options *o, const fl_suite *suite,
                int (*act)(void *, fl_work *, const fl_run_options *, const char *), void *self) {
  char err[FL_ERR] = "", out[4096];
  fl_work w;
  int code = FL_EXIT_USAGE;
  if (fl_work_start(&w, o->isa, o->threads, err, sizeof err) || fl_work_backends(&w, suite, err, sizeof err))
    return fprintf(stderr, "fedlane: %s\n", err), code;
  if (o->resume || o->out) snprintf(out, sizeof out, "%s", o->resume ? o->resume : o->out);
  else default_out(o->config, out, sizeof out);
  if (o->resume && access(o->resume, F_OK))
    fprintf(stderr, "fedlane: --resume '%s': no such folder; allowed: the --out folder of an earlier %s\n", o->resume,
            o->command);
  else
    code = act(self, &w, o, out);
  fl_work_end(&w);
  return code;
}

static int run(void *self, fl_work *w, const fl_run_options *o, const char *out) {
  const fl_suite *suite = self;
  char err[FL_ERR];
  if (o->dry_run) return fl_dry_run(w, suite);
  if (o->verify) return fl_verify(w, suite, o->threads);
  if (o->export_plan) return fl_plan_export(w, suite, o->export_plan);
  const int code = fl_suite_train(w, suite, o, out);
  if (code) return code;
  if (fl_table_print(suite, out, err, sizeof err)) return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_FAILED;
  fprintf(stderr, "results: %s\n", out);
  return code;
}

int fl_cli_run(int argc, char **argv) {
  char err[FL_ERR] = "";
  fl_suite suite;
  fl_run_options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  int code = FL_EXIT_USAGE;
  if (!o.set || fl_run_parse(argc, argv, usage, &o)) return free(o.set), code;
  if (fl_suite_load(&suite, o.config, o.set, o.n_set, o.seeds, err, sizeof err)) {
    fprintf(stderr, "fedlane: %s\n", err);
  } else {
    code = fl_run_with(&o, &suite, run, &suite);
    fl_suite_free(&suite);
  }
  free(o.set);
  return code;
}
