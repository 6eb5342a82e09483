/* cli_info.c - fedlane info: the machine as results record it, and with --model a network's tensors and costs; and fedlane
 * report, which executes the Python program that draws. */
#include "cli.h"
#include "atomic.h"
#include "config_keys.h"
#include "config_net.h"
#include "core/team.h"
#include "plugin.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_value(const char *key, const json_t *v, int depth) {
  const char *k;
  size_t i;
  json_t *child;
  printf("%*s%-*s ", 2 * depth, "", 20 - 2 * depth, key);
  switch (json_typeof(v)) {
    case JSON_OBJECT:
      putchar('\n');
      json_object_foreach((json_t *)(uintptr_t)v, k, child) print_value(k, child, depth + 1);
      return;
    case JSON_ARRAY:
      if (json_is_object(json_array_get(v, 0))) {
        putchar('\n');
        json_array_foreach(v, i, child) {
          char *text = json_dumps(child, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
          printf("%*s%s\n", 2 * depth + 2, "", text ? text : "");
          free(text);
        }
        return;
      }
      json_array_foreach(v, i, child) {
        char *text = json_is_string(child) ? NULL : json_dumps(child, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%s%s", i ? ", " : "", text ? text : json_string_value(child));
        free(text);
      }
      break;
    case JSON_STRING: fputs(json_string_value(v), stdout); break;
    case JSON_INTEGER: printf("%" JSON_INTEGER_FORMAT, json_integer_value(v)); break;
    case JSON_REAL: printf("%.6g", json_real_value(v)); break;
    case JSON_NULL: fputs("unknown", stdout); break;
    default: fputs(json_is_true(v) ? "yes" : "no", stdout);
  }
  putchar('\n');
}

/* Parameters by role, in the order in which roles come up. */
static void print_roles(const fl_layout *l) {
  static const char *const name[] = {
    [FL_MATRIX] = "matrices", [FL_CONV] = "convolutions", [FL_BIAS] = "biases", [FL_NORM] = "norms", [FL_EMBED] = "embeddings",
    [FL_HEAD] = "head", [FL_Q] = "queries", [FL_K] = "keys", [FL_V] = "values", [FL_QKV] = "queries, keys, values",
    [FL_O] = "attention outputs", [FL_LORA_A] = "adapters A", [FL_LORA_B] = "adapters B", [FL_TOKEN] = "tokens",
    [FL_BUFFER] = "not trained" };
  size_t of[FL_BUFFER + 1] = { 0 };
  for (size_t i = 0; i < l->n; i++) of[l->tensor[i].role] += l->tensor[i].size;
  for (size_t i = 0; i < l->n; i++) {
    size_t *sum = &of[l->tensor[i].role];
    if (*sum) printf("  %-43s %10zu\n", name[l->tensor[i].role], *sum);
    *sum = 0;
  }
}

/* What a session's worker takes for the model: harness/core/session.c. */
static double worker_bytes(const fl_objective *o, size_t batch) {
  const fl_layout *l = o->layout;
  return (double)((3 * l->d + l->buffers) * sizeof(float) + o->work(o->self, batch > FL_EVAL_ROWS ? batch : FL_EVAL_ROWS));
}

static void print_tensors(const fl_layout *l) {
  int wide = 24;
  for (size_t i = 0; i < l->n; i++) wide = (int)strlen(l->tensor[i].name) > wide ? (int)strlen(l->tensor[i].name) : wide;
  printf("%-*s %-20s %10s\n", wide, "tensor", "shape", "size");
  for (size_t i = 0; i < l->n; i++) {
    char dims[64] = "";
    for (int k = 0; k < l->tensor[i].ndim; k++)
      snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%s%zu", k ? "x" : "", l->tensor[i].shape[k]);
    printf("%-*s %-20s %10zu\n", wide, l->tensor[i].name, dims, l->tensor[i].size);
  }
  printf("%-*s %-20s %10zu\n", wide, "parameters", "", l->d);
}

/* one: a row of pixels, or with `tokens` of those. */
static int print_network(const fl_net *net, fl_samples one, int tokens, const char *hint) {
  char err[FL_ERR], text[32];
  const size_t size = one.c * one.h * one.w;
  uint32_t *row = calloc(2 * size, sizeof *row);        /* and its labels */
  if (tokens) one.tokens = (int32_t *)row;
  else one.pixels = (uint8_t *)row;
  if (one.classes > FL_BYTE_CLASSES) one.label32 = row + size;
  else one.label = (uint8_t *)(row + size);
  fl_model *m = row ? fl_model_new(net, &one, NULL, 0, 1, err, sizeof err) : NULL;
  if (!m) return free(row), fprintf(stderr, "fedlane: %s%s\n", row ? err : "out of memory", hint), FL_EXIT_FAILED;
  const fl_layout *l = fl_model_objective(m)->layout;
  printf("%s: %s\n", net->name, net->help);
  if (tokens) printf("input %zu tokens, %zu label%s, ", size, one.positions ? one.positions : 1, one.positions ? "s" : "");
  else printf("input %zu x %zu x %zu, ", one.c, one.h, one.w);
  printf("%zu classes%s\n\n", one.classes, hint);
  print_tensors(l);
  print_roles(l);
  putchar('\n');
  for (size_t b = 1; b <= 100; b = b == 1 ? 50 : 2 * b)
    printf("activations, batch %-4zu %s\n", b, fl_human_bytes((double)fl_model_activation_bytes(m, b), text));
  for (size_t b = 1; b <= 100; b = b == 1 ? 50 : 2 * b)
    printf("a worker, batch %-8zu %s\n", b, fl_human_bytes(worker_bytes(fl_model_objective(m), b), text));
  puts("(its model, two gradients, activations and scratch, for evaluation too; rule and method come on top.\n"
       "Threads that share a client: as much scratch again for each)");
  const double macs = fl_model_macs(m);         /* backward: as many again for the inputs' gradients, and for the weights' */
  printf("multiply-adds a sample   %.0f forward; %.3g FLOP, about %.3g with the gradient\n", macs, 2 * macs, 6 * macs);
  fl_model_free(m);
  free(row);
  return FL_EXIT_DONE;
}

static int print_model(const char *name, const char *shape) {
  char err[FL_ERR];
  size_t d[4] = { 1, 28, 28, 10 };
  const int n = shape ? sscanf(shape, "%zux%zux%zux%zu", &d[0], &d[1], &d[2], &d[3]) : 4;
  if (n < 3)
    return fprintf(stderr, "fedlane: --shape '%s'; allowed: CxHxWxCLASSES, e.g. 1x28x28x10, or TOKENSxLABELSxCLASSES, e.g. "
                   "80x1x80\n", shape), FL_EXIT_USAGE;
  for (int i = 0; i < n; i++)
    if (!d[i] || d[i] > (i == n - 1 ? FL_MOST_CLASSES : 4096))
      return fprintf(stderr, "fedlane: --shape '%s'; allowed: 1..4096 each, of classes 1..%d\n", shape, FL_MOST_CLASSES),
             FL_EXIT_USAGE;
  if (n == 3 && d[1] != 1 && d[1] != d[0])
    return fprintf(stderr, "fedlane: --shape '%s'; allowed: 1 label, or %zu, one a token\n", shape, d[0]), FL_EXIT_USAGE;
  fl_samples one = { .n = 1, .c = d[0], .h = d[1], .w = d[2], .classes = d[3] };
  if (n == 3) one.c = one.h = 1, one.w = d[0], one.positions = d[1] > 1 ? d[1] : 0, one.classes = d[2];
  fl_net_sized room;
  fl_net *own = fl_net_is_file(name) ? fl_net_read_file(name, err, sizeof err) : NULL;
  const fl_net *net = fl_net_is_file(name) ? own : fl_net_named("--model", name, &room, err, sizeof err);
  if (!net) return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_USAGE;
  const char *hint = shape ? "" : " (--shape says another, e.g. 3x32x32x100, or of tokens 80x1x80)";
  const int code = print_network(net, one, n == 3, hint);
  fl_net_free(own);
  return code;
}

static json_t *plugin_json(const fl_loaded_plugin *p) {
  json_t *rules = json_array(), *stages = json_array(), *methods = json_array();
  for (size_t i = 0; i < p->catalogue->n_rules; i++) json_array_append_new(rules, json_string(p->catalogue->rule[i]->name));
  for (size_t i = 0; i < p->catalogue->n_stages; i++) json_array_append_new(stages, json_string(p->catalogue->stage[i]->name));
  for (size_t i = 0; i < p->catalogue->n_methods; i++) json_array_append_new(methods, json_string(p->catalogue->method[i].name));
  return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "path", p->path, "sha256", p->sha256, "abi", (json_int_t)p->abi, "rules",
                   rules, "stages", stages, "methods", methods);
}

/* What would be ignored is refused: 0, or -1 with a message. */
static int check_flags(const fl_info_data_options *data, const char *model, const char *shape, const char *isa) {
  const char *other = data->path ? "data" : isa ? "isa" : data->json ? "json" : NULL;
  if ((data->test || data->format || data->set) && !data->path)
    return fprintf(stderr, "fedlane: --test, --format and --set; allowed: only with --data\n"), -1;
  if (shape && !model) return fprintf(stderr, "fedlane: --shape; allowed: only with --model\n"), -1;
  if (model && other) return fprintf(stderr, "fedlane: --%s; allowed: not with --model\n", other), -1;
  if (data->path && isa) return fprintf(stderr, "fedlane: --isa; allowed: not with --data\n"), -1;
  return 0;
}

static const char usage[] =
  "usage: fedlane info [--json] [--isa ISA]\n"
  "       fedlane info --model NAME|FILE.yaml [--shape CxHxWxCLASSES | TOKENSxLABELSxCLASSES]\n"
  "       fedlane info --data PATH|NAME [--test PATH] [--format FORMAT] [--set key=value,...] [--json]\n"
  "The machine as results record it; or:\n"
  "  --model   a network's tensors, parameters by role, memory and multiply-adds, for data of a shape (default\n"
  "            1x28x28x10): of images, or of tokens with as many labels, or one\n"
  "  --data    what files or a known set hold: rows, shape, classes, clients, SHA-256; --set: keys of the format, as in a\n"
  "            configuration's data, e.g. length=80 (docs/data.md)\n";

int fl_cli_info(int argc, char **argv) {
  static const struct option longs[] = { { "model", 1, NULL, 'm' }, { "shape", 1, NULL, 's' }, { "isa", 1, NULL, 'i' },
                                         { "data", 1, NULL, 'd' }, { "test", 1, NULL, 't' }, { "format", 1, NULL, 'f' },
                                         { "set", 1, NULL, 'e' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' },
                                         { NULL, 0, NULL, 0 } };
  const char *model = NULL, *shape = NULL, *isa = NULL, *key;
  fl_info_data_options data = { 0 };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
    case 'm': model = optarg; break;
    case 's': shape = optarg; break;
    case 'i': isa = optarg; break;
    case 'd': data.path = optarg; break;
    case 't': data.test = optarg; break;
    case 'f': data.format = optarg; break;
    case 'e': data.set = optarg; break;
    case 'j': data.json = 1; break;
    case 'h': fputs(usage, stdout); return FL_EXIT_DONE;
    default: fputs(usage, stderr); return FL_EXIT_USAGE;
  }
  if (optind != argc) return fprintf(stderr, "fedlane: info takes no '%s'\n%s", argv[optind], usage), FL_EXIT_USAGE;
  if (check_flags(&data, model, shape, isa)) return fputs(usage, stderr), FL_EXIT_USAGE;
  if (data.path) return fl_info_data(&data);
  if (model) return print_model(model, shape);
  fl_work w;
  char err[FL_ERR];
  if (fl_work_start(&w, isa, 0, err, sizeof err)) return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_USAGE;
  json_t *o = fl_machine_json(w.native, fl_default_threads()), *v;
  char why[2200];
  const fl_onednn_backend *onednn = fl_onednn_load(w.native, why, sizeof why);
  json_object_set_new(o, "plugin_abi", json_integer(FL_ABI));
  json_t *plugins = json_array();
  for (size_t i = 0; i < fl_plugin_count(); i++) json_array_append_new(plugins, plugin_json(fl_plugin_at(i)));
  if (json_array_size(plugins)) json_object_set(o, "plugins", plugins);
  json_decref(plugins);
  if (data.json) {
    json_object_set_new(o, "onednn", onednn ? fl_backend_json(onednn) : json_null());
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
  } else {
    printf("%-20s %s\n", "fedlane", FL_VERSION);
    json_object_foreach(o, key, v) print_value(key, v, 0);
    if (onednn)
      printf("%-20s %s, %s; with backend: onednn it computes %s\n", "onednn", onednn->version, onednn->library,
             onednn->operations);
    else printf("%-20s %s\n", "onednn", why);
    printf("%-20s %s%s\n", "self-test", w.not_reproducible ? "failed: " : "passed", w.not_reproducible ? w.not_reproducible : "");
  }
  json_decref(o);
  return FL_EXIT_DONE;
}

/* ---- programs of their own ------------------------------------------------------------------------------------------------ */
int fl_become(char *path, char **argv) {
  fflush(NULL);
  argv[0] = path;
  execv(path, argv);
  return fprintf(stderr, "fedlane: cannot execute '%s': %s\n", path, strerror(errno)), FL_EXIT_FAILED;
}
