/* cli_verify.c - the promise, tried: `fedlane run --verify` trains everything twice with other thread counts, `fedlane verify`
 * trains what a result records once more, on this machine. Parameters and all that is computed must agree. */
#include "cli.h"
#include "plugin.h"
#include "result_read.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct { fl_rounds_kept kept; uint64_t most; EVP_MD_CTX *digest; int failed; } trace;

static int keep(void *self, fl_session *s, const fl_metrics *m) {
  trace *t = self;
  (void)s;
  fl_record_digest(t->digest, m);
  return (t->failed = fl_rounds_keep(&t->kept, m)) || t->kept.n == t->most || fl_signal != 0;
}

/* In memory, at most `most` rounds; hash and trajectory as in summary.json. The trace's rounds are the caller's to free. */
static int run_once(fl_work *w, const fl_config *c, int threads, trace *t, char hash[65], char trajectory[65], char *err,
                    size_t size) {
  fl_session *s = NULL;
  unsigned char digest[32];
  size_t n;
  if (fl_work_open(w, c, threads, NULL, &s, err, size)) return -1;
  if (!(t->digest = EVP_MD_CTX_new()) || EVP_DigestInit_ex(t->digest, EVP_sha256(), NULL) != 1) abort();
  const int refused = fl_rounds(s, keep, t) < 0;
  const float *x = fl_averaged(s, &n);
  fl_params_hash(x, n, hash);
  if (EVP_DigestFinal_ex(t->digest, digest, NULL) != 1) abort();
  EVP_MD_CTX_free(t->digest);
  fl_hex(digest, 32, trajectory);
  if (refused || t->failed) snprintf(err, size, "%s", refused ? fl_session_error(s) : "out of memory");
  fl_close(s);
  return refused || t->failed ? -1 : 0;
}

int fl_verify(fl_work *w, const fl_suite *suite, int threads) {
  char err[FL_ERR] = "", one[65], two[65], path_one[65], path_two[65], where[300];
  const int first = threads ? threads : 1, second = first == 1 ? 3 : 1;
  size_t wrong = 0;
  const int refused = fl_work_check(w, suite, err, sizeof err);
  if (refused) return fprintf(stderr, "fedlane: %s\n", err), fl_work_exit(refused);
  for (size_t i = 0; i < suite->n; i++) {
    const fl_config *c = &suite->run[i];
    trace a = { .most = c->rounds }, b = a;
    const int bad = run_once(w, c, first, &a, one, path_one, err, sizeof err) ||
                    run_once(w, c, second, &b, two, path_two, err, sizeof err);
    if (!bad) {
      printf("%s, seed %llu, %d and %d threads: %.12s %.12s\n", c->label, (unsigned long long)c->seed, first, second, one, two);
      fl_rounds_differ(&a.kept, &b.kept, where, sizeof where);
      if (where[0]) printf("  first difference: %s\n", where);
      wrong += where[0] || strcmp(one, two) || strcmp(path_one, path_two);
    }
    free(a.kept.m);
    free(b.kept.m);
    if (bad) return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_FAILED;
  }
  printf("same bits: %s\n", wrong ? "no" : "yes");
  return wrong ? FL_EXIT_FAILED : FL_EXIT_DONE;
}

/* ---- fedlane verify ------------------------------------------------------------------------------------------------------- */
static const char usage[] =
  "usage: fedlane verify RESULT... [--set key=value,...] [--threads N] [--isa scalar|avx2|avx512|neon]\n"
  "                      [--plugin FILE.so]...\n"
  "Trains what a result records once more, here, and compares every round and the hashes.\n"
  "  RESULT     a folder that `fedlane run` wrote (of a run, or of a suite), or what `fedlane report` did (its summary.json)\n"
  "  --set      what a result does not name: where its data lie (data.train=FILE,data.test=FILE, partition.path=FILE)\n"
  "  --threads  default: the physical cores allowed; the number changes no bit, nor does --isa\n"
  "Exit code: 0 the recorded bits, 1 other bits or a failure, 2 usage or a configuration that is refused.\n";

typedef struct { fl_recorded_list recorded; fl_suite suite; } source;
typedef struct { const char **set, *isa; size_t n_set; int threads; char **path; size_t n; } options;

static int parse(int argc, char **argv, options *o) {
  static const struct option longs[] = { { "set", 1, NULL, 's' }, { "threads", 1, NULL, 't' }, { "isa", 1, NULL, 'i' },
                                         { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
    case 's': o->set[o->n_set++] = optarg; break;
    case 't': if (fl_parse_count("--threads", optarg, &o->threads)) return -1; break;
    case 'i': o->isa = optarg; break;
    case 'h': fputs(usage, stdout); exit(FL_EXIT_DONE);
    default: fputs(usage, stderr); return -1;
  }
  if (optind == argc) return fprintf(stderr, "fedlane: verify takes a result or more, none given\n%s", usage), -1;
  o->path = argv + optind;
  o->n = (size_t)(argc - optind);
  return 0;
}

/* The path that a result names is not loaded: results are sent around, and a shared object may do anything. */
static int lacks_plugin(const fl_recorded *r, const char *where, char *err, size_t size) {
  const char *sum = json_string_value(json_array_get(json_object_get(json_object_get(r->run, "config"), "plugins"), 0));
  const char *path = json_string_value(json_object_get(json_array_get(json_object_get(r->run, "plugins"), 0), "path"));
  if (!sum || fl_plugin_count()) return 0;
  return snprintf(err, size, "%.1500s: made with a plug-in of SHA-256 %.12s%s%.900s; give it with --plugin FILE.so", where, sum,
                  path ? ", then at " : "", path ? path : ""), -1;
}

/* A run's configuration does not say where its files lay. */
static void tell_files(const json_t *config, const options *o, char *err, size_t size) {
  const size_t at = strlen(err);
  if (!o->n_set && (json_object_get(config, "init") || json_object_get(json_object_get(config, "data"), "format")))
    snprintf(err + at, size - at, " (a result does not say where its files lie: --set data.train=PATH,data.test=PATH,init=FILE)");
}

/* The recorded runs and, one each, their configurations. 0, or an exit code. */
static int read_source(source *s, const char *path, const options *o, char *err, size_t size) {
  if (fl_recorded_read_any(&s->recorded, path, err, size)) return FL_EXIT_FAILED;
  if (!(s->suite.run = calloc(s->recorded.n, sizeof *s->suite.run))) return snprintf(err, size, "out of memory"), FL_EXIT_FAILED;
  for (size_t i = 0; i < s->recorded.n; i++) {
    const fl_recorded *r = &s->recorded.run[i];
    char where[5000];
    fl_suite one;
    snprintf(where, sizeof where, "%s: %s", *r->path ? r->path : path, *r->path ? "run.json" : r->name);
    if (lacks_plugin(r, where, err, size)) return FL_EXIT_USAGE;
    const json_t *config = json_object_get(r->run, "config");
    if (fl_suite_load_json(&one, config, where, o->set, o->n_set, err, size))
      return tell_files(config, o, err, size), FL_EXIT_USAGE;
    s->suite.run[s->suite.n++] = one.run[0];
    const int bad = fl_suite_take_nets(&s->suite, &one, err, size);
    fl_suite_free(&one);
    if (bad) return FL_EXIT_FAILED;
  }
  return 0;
}

static const char *text_of(const json_t *o, const char *key) {
  const char *text = json_string_value(json_object_get(o, key));
  return text ? text : "-";
}

/* Other data explain other bits. */
static void tell_inputs(const fl_work *w, const fl_recorded *r) {
  const json_t *files = json_object_get(json_object_get(r->run, "data"), "files");
  for (size_t i = 0; i < json_array_size(files) && i < w->data.n_files; i++) {
    const char *was = text_of(json_array_get(files, i), "sha256");
    if (strcmp(was, w->data.file[i].sha256))
      printf("  data: '%s' is not the recorded file (SHA-256 %.12s, recorded %.12s)\n", w->data.file[i].path,
             w->data.file[i].sha256, was);
  }
  const char *was = text_of(json_object_get(r->run, "partition"), "sha256");
  if (strcmp(was, "-") && w->split.sha256[0] && strcmp(was, w->split.sha256))
    printf("  partition: SHA-256 %.12s, recorded %.12s\n", w->split.sha256, was);
}

/* Told also where the bits agree: another compiler makes another file of the same method. */
static void tell_plugins(const fl_recorded *r) {
  const json_t *sums = json_object_get(json_object_get(r->run, "config"), "plugins");
  for (size_t i = 0; i < json_array_size(sums); i++) {
    const char *was = json_string_value(json_array_get(sums, i));
    int here = 0;
    for (size_t k = 0; was && k < fl_plugin_count(); k++) here |= !strcmp(was, fl_plugin_at(k)->sha256);
    if (!here) printf("  plug-in: SHA-256 %.12s is recorded, none of those given here has it\n", was ? was : "-");
  }
}

/* 1 same bits, 0 others, -1 a failure. */
static int rerun(fl_work *w, const char *name, const fl_recorded *r, const fl_config *c, int threads, char *err, size_t size) {
  char hash[65], trajectory[65], where[300] = "";
  const char *was = text_of(r->summary, "hash"), *path_was = text_of(r->summary, "trajectory_hash");
  const json_t *machine = json_object_get(r->run, "machine");
  trace t = { .most = (uint64_t)json_integer_value(json_object_get(r->summary, "rounds")) };
  fl_rounds_kept recorded = { 0 };
  int bad = r->path[0] && fl_rounds_read(r->path, &recorded, err, size);
  bad = bad || run_once(w, c, threads, &t, hash, trajectory, err, size);
  if (!bad && r->path[0]) fl_rounds_differ(&recorded, &t.kept, where, sizeof where);
  const int same = !bad && !where[0] && !strcmp(hash, was) && !strcmp(trajectory, path_was);
  if (!bad) {
    printf("%s: recorded on %s (%s) %.12s %.12s, here %.12s %.12s: same bits: %s\n", name, text_of(machine, "cpu"),
           text_of(machine, "isa_used"), was, path_was, hash, trajectory, same ? "yes" : "no");
    if (where[0]) printf("  first difference: %s\n", where);
    if (!same) tell_inputs(w, r);
    tell_plugins(r);
    if (json_is_false(json_object_get(r->run, "reproducible"))) puts("  recorded as not reproducible");
    fflush(stdout);
  }
  free(recorded.m);
  free(t.kept.m);
  return bad ? -1 : same;
}

static int verify(fl_work *w, const source *s, int threads, size_t *same, char *err, size_t size) {
  int bad = fl_work_backends(w, &s->suite, err, size) ? FL_EXIT_USAGE : 0;
  const int refused = bad ? 0 : fl_work_check(w, &s->suite, err, size);
  if (refused) bad = fl_work_exit(refused);
  for (size_t i = 0; !bad && i < s->suite.n; i++) {
    const fl_recorded *run = &s->recorded.run[i];
    const int r = rerun(w, s->recorded.single ? run->path : run->name, run, &s->suite.run[i], threads, err, size);
    if (r < 0) bad = FL_EXIT_FAILED;
    else *same += (size_t)r;
  }
  return bad;
}

int fl_cli_verify(int argc, char **argv) {
  char err[FL_ERR] = "";
  options o = { .set = calloc((size_t)argc, sizeof(char *)) };
  if (!o.set || parse(argc, argv, &o)) return free(o.set), FL_EXIT_USAGE;
  source *s = calloc(o.n, sizeof *s);
  fl_work w;
  size_t runs = 0, same = 0;
  int code = s ? 0 : FL_EXIT_FAILED;
  for (size_t i = 0; i < o.n && !code; i++) code = read_source(&s[i], o.path[i], &o, err, sizeof err);
  if (!code && !(code = fl_work_start(&w, o.isa, o.threads, err, sizeof err) ? FL_EXIT_USAGE : 0)) {
    for (size_t i = 0; i < o.n && !code; i++) {
      runs += s[i].suite.n;
      code = verify(&w, &s[i], w.threads, &same, err, sizeof err);
    }
    fl_work_end(&w);
  }
  if (code) fprintf(stderr, "fedlane: %s\n", err[0] ? err : "out of memory");
  else printf("%zu of %zu runs have the recorded bits\n", same, runs), code = same == runs ? FL_EXIT_DONE : FL_EXIT_FAILED;
  for (size_t i = 0; s && i < o.n; i++) {
    fl_recorded_free(&s[i].recorded);
    fl_suite_free(&s[i].suite);
  }
  free(s);
  free(o.set);
  return code;
}
