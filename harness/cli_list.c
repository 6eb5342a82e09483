/* cli_list.c - fedlane list: everything that has a name, from the tables that the program itself uses; and with --markdown
 * the page docs/configuration.md. */
#include "cli.h"
#include "config_keys.h"
#include "models/layer/layer.h"
#include "plugin.h"
#include <stdio.h>
#include <string.h>

static void param_text(const fl_param *p, char *def, size_t def_size, char *range, size_t size) {
  const char *c = p->choices;
  if (c) {
    for (int k = 0; k < (int)p->def && strchr(c, '|'); k++) c = strchr(c, '|') + 1;
    if (p->flags & FL_LIST) snprintf(def, def_size, "none");
    else snprintf(def, def_size, "%.*s", (int)strcspn(c, "|"), c);
    size_t n = 0;
    for (c = p->choices; *c && n + 3 < size; c++) {
      if (*c == '|') range[n++] = ',', range[n++] = ' ';
      else range[n++] = *c;
    }
    range[n] = 0;
    return;
  }
  if (p->flags & FL_NUMBERS) {
    snprintf(def, def_size, "none");
    snprintf(range, size, "a list, each %.10g to %.10g", p->lo, p->hi);
    return;
  }
  if (p->flags & FL_LIST) {
    snprintf(def, def_size, "none");
    snprintf(range, size, "whole, rising, at most %d", FL_MAX_MILESTONES);
    return;
  }
  snprintf(def, def_size, "%.10g", p->def);
  snprintf(range, size, "%s%s%.10g to %s%.10g", p->flags & FL_WHOLE ? "whole, " : "", p->flags & FL_ABOVE ? "above " : "", p->lo,
           p->flags & FL_BELOW ? "below " : "", p->hi);
}

static void params(const fl_param *p, size_t n, const char *needs) {
  char def[64], range[160], only[160];
  for (size_t i = 0; i < n; i++) {
    const int bound = fl_needs_text(needs, p[i].name, only, sizeof only);
    param_text(&p[i], def, sizeof def, range, sizeof range);
    printf("    %-20s %-10s %-28s %s%s%s\n", p[i].name, def, range, p[i].help, bound ? "; " : "", bound ? only : "");
  }
}

/* Behind the name of what a plug-in brought: its file. */
static void origin(const void *table) {
  const fl_loaded_plugin *p = fl_plugin_of(table);
  if (p) printf(" [%s]", strrchr(p->path, '/') + 1);
}

static void list_algorithms(void) {
  for (size_t i = 0; i < fl_method_count(); i++) {
    const fl_method *m = fl_method_at(i);
    printf("%-14s stack [%s], rule %s, weights %s; %s", m->name, m->stack, m->rule, m->weights, m->source);
    origin(m);
    putchar('\n');
    printf("    defaults: %s\n", m->defaults);
  }
  puts("\nstages (stack: [NAME, ...])");
  for (size_t i = 0; i < fl_stage_count(); i++) {
    const fl_stage *s = fl_stage_at(i);
    printf("%-14s %s", s->name, s->help);
    origin(s);
    putchar('\n');
    params(s->params, s->n_params, s->needs);
  }
  puts("\nparameters of every algorithm");
  params(fl_run_params, FL_H_COUNT, fl_run_needs);
}

static void list_optimizers(void) {
  for (size_t i = 0; i < fl_rule_count(); i++) {
    const fl_rule *r = fl_rule_at(i);
    printf("%-18s %s (lr %g)", r->name, r->help, r->lr > 0 ? r->lr : fl_run_params[FL_H_LR].def);
    origin(r);
    putchar('\n');
    params(r->params, r->n_params, r->needs);
  }
}

static const char adapters_help[] = "one of these, or of a file, frozen but for its last layer, with adapters (LoRA) of rank R; "
                                    "NAME_lora8_alpha16_on_fc1: scaled by 16/8, on fc1 alone";

static const char direct_help[] = "one of these with convolutions, or a file's, without Winograd's: other bits, smaller rounding "
                                  "errors (resnet18_direct)";

static void list_models(void) {
  for (size_t i = 0; i < fl_net_count(); i++) printf("%-16s %s\n", fl_net_at(i)->name, fl_net_at(i)->help);
  printf("%-16s %s\n", "NAME_direct", direct_help);
  printf("%-16s %s\n%-16s %s\n", "NAME_loraR", adapters_help, "FILE.yaml", "a network of your own layers (fedlane list layers)");
}

static void list_layers(void) {
  for (size_t i = 0; i < fl_layer_count(); i++) {
    const fl_layer *l = fl_layer_at(i);
    printf("%-18s %s\n", l->name, l->help);
    params(l->params, l->n_params, NULL);
  }
}

static void list_datasets(void) {
  for (size_t i = 0; i < fl_dataset_known_count(); i++) {
    const char *help = "", *name = fl_dataset_known(i, &help);
    printf("%-14s %s\n", name, help ? help : "");
  }
}

static void list_partitioners(void) {
  for (size_t i = 0; i < fl_partitioner_count(); i++) {
    const fl_partitioner *p = fl_partitioner_at(i);
    printf("%-18s %s\n", p->name, p->help);
    params(p->params, p->n_params, p->needs);
  }
}

static void list_kernels(void) {
#define FL_OP(family, name, ret, args, traffic, formula) printf("%-8s %-18s %s\n", #family, #name, formula);
#include <fedlane/ops.def>
  fl_isa_info info;
  fl_isa_detect(&info);
  printf("\nbuilt for:");
  for (unsigned i = 0; i < FL_ISA_COUNT; i++)
    if (info.built >> i & 1) printf(" %s", fl_isa_name((fl_isa)i));
  putchar('\n');
}

static const struct { const char *name; void (*print)(void); } what[] = {
  { "algorithms", list_algorithms }, { "optimizers", list_optimizers }, { "models", list_models }, { "layers", list_layers },
  { "datasets", list_datasets }, { "partitioners", list_partitioners }, { "kernels", list_kernels } };
enum { N_WHAT = sizeof what / sizeof *what };

/* ---- docs/configuration.md ------------------------------------------------------------------------------------------------- */
static void cell(const char *s) {               /* a bar would end the cell */
  for (; *s; s++) printf(*s == '|' ? "\\|" : "%c", *s);
}

static void table(const fl_param *p, size_t n, const char *needs) {
  char def[64], range[160], only[160];
  if (!n) { puts("No parameters.\n"); return; }
  puts("| key | default | allowed | meaning |\n| --- | --- | --- | --- |");
  for (size_t i = 0; i < n; i++) {
    param_text(&p[i], def, sizeof def, range, sizeof range);
    printf("| `%s` | %s | %s | ", p[i].name, def, range);
    cell(p[i].help);
    if (fl_needs_text(needs, p[i].name, only, sizeof only)) printf("; %s", only);
    puts(" |");
  }
  putchar('\n');
}

static void section(const fl_section_keys *s) {
  fl_param p[32];
  for (size_t i = 0; i < s->n && i < 32; i++) p[i] = s->key[i].param;
  table(p, s->n, NULL);
}

static void help_table(const fl_key_help *k, size_t n) {
  puts("| key | meaning |\n| --- | --- |");
  for (size_t i = 0; i < n; i++) printf("| `%s` | %s |\n", k[i].name, k[i].help);
  putchar('\n');
}

static void data_and_tune(void) {
  puts("## data\n");
  help_table(fl_data_keys, fl_data_key_count);
  for (size_t i = 0; i < fl_dataset_known_count(); i++) {
    const char *help = "", *name = fl_dataset_known(i, &help);
    printf("- `%s`: %s\n", name, help ? help : "");
  }
  puts("\nKeys of some formats alone ([data.md](data.md); `synthetic`: [partial-work.md](partial-work.md)):\n");
  for (size_t i = 0; i < fl_format_key_count;) {
    fl_param p[32];
    size_t n = 0;
    const char *formats = fl_format_keys[i].formats;
    printf("`format: %s`\n\n", formats);
    for (; i < fl_format_key_count && !strcmp(fl_format_keys[i].formats, formats); i++) p[n++] = fl_format_keys[i].key.param;
    table(p, n, NULL);
  }
  puts("## tune\n\nOf `fedlane tune` ([tune.md](tune.md)).\n");
  help_table(fl_tune_keys, fl_tune_key_count);
}

static void model_markdown(void) {
  puts("## model\n");
  for (size_t i = 0; i < fl_net_count(); i++) printf("- `%s`: %s\n", fl_net_at(i)->name, fl_net_at(i)->help);
  printf("- `NAME_direct`: %s ([reproducibility.md](reproducibility.md#3-matrix-products))\n", direct_help);
  printf("- `NAME_loraR`: %s ([networks.md](networks.md#adapters-lora))\n", adapters_help);
  puts("- `FILE.yaml`, or the map itself: a network of your own layers ([add-a-model.md](add-a-model.md))");
  puts("\n### Layers\n\nWhat a network is made of ([add-a-model.md](add-a-model.md)).\n");
  for (size_t i = 0; i < fl_layer_count(); i++) {
    printf("#### %s\n\n%s\n\n", fl_layer_at(i)->name, fl_layer_at(i)->help);
    table(fl_layer_at(i)->params, fl_layer_at(i)->n_params, NULL);
  }
}

void fl_cli_markdown(void) {
  puts("# Configuration\n\n<!-- made by `fedlane list --markdown` from the program's own tables; do not edit -->\n\n"
       "A configuration is one YAML map. A list where one value is expected is a sweep: one run per value, all lists\n"
       "multiplied. `seeds`, `algorithms`, an algorithm's `stack` and its `model` (which restricts the entry to those models)\n"
       "are lists already. `--set key=value,key=value` overrides: `federated.rounds=5`, `model=[mlp,lenet5]`, "
       "`partition.seed=7`,\n"
       "`algorithms.lr=[0.1,0.01]` (every algorithm), `algorithms.fedavg.lr=0.1` (that one). Anchors, aliases, tags and\n"
       "duplicate keys are refused.\n\n"
       "```yaml\nseeds: [1, 2, 3]\ndata: {name: fashion_mnist}\npartition: {name: dirichlet, dirichlet_alpha: 0.3, seed: 42}\n"
       "model: lenet5\nfederated: {clients: 100, participation: 0.1, rounds: 30, local_epochs: 1, batch_size: 50}\n"
       "algorithms: [{name: fedavg, lr: 0.1}, {stack: [scaffold], rule: adamw, lr: 1e-3}]\n```\n");
  puts("## Keys\n");
  help_table(fl_top_keys, fl_top_key_count);
  data_and_tune();
  model_markdown();
  puts("## federated\n");
  section(fl_section_of(0));
  puts("## training\n\nInstead of `federated`: one model, trained on all rows by a rule. A run without either of the two blocks "
       "is central with\n"
       "these defaults. All threads compute each gradient; the rule's state lives for the whole run.\n"
       "Stages that act on clients are refused. Results count epochs as rounds ([results.md](results.md)).\n\n"
       "```yaml\ndata: {name: fashion_mnist}\nmodel: lenet5\ntraining: {epochs: 5, batch_size: 50}\n"
       "algorithms: [{rule: adamw, lr: [1e-3, 3e-3]}, {stack: [sam], rule: momentum, lr: 0.05}]\n```\n");
  section(fl_section_of(1));
  puts("## partition\n\n`name`, `seed` (its own; the runs' seeds do not change the partition), and the partitioner's "
       "parameters.\n");
  for (size_t i = 0; i < fl_partitioner_count(); i++) {
    const fl_partitioner *p = fl_partitioner_at(i);
    printf("### %s\n\n%s\n\n", p->name, p->help);
    table(p->params, p->n_params, p->needs);
  }
  puts("## algorithms\n\nA published method, with its paper's defaults:\n\n| name | stack | rule | defaults | weights | source "
       "|\n"
       "| --- | --- | --- | --- | --- | --- |");
  for (size_t i = 0; i < fl_method_count(); i++) {
    const fl_method *m = fl_method_at(i);
    printf("| `%s` | %s | %s | %s | %s | %s |\n", m->name, m->stack, m->rule, m->defaults, m->weights, m->source);
  }
  puts("\nor `stack` and `rule`; then any of these:\n\n### every algorithm\n");
  table(fl_run_params, FL_H_COUNT, fl_run_needs);
  for (size_t i = 0; i < fl_rule_count(); i++) {
    const fl_rule *r = fl_rule_at(i);
    printf("### rule %s\n\n%s; `lr` unless given: %g\n\n", r->name, r->help, r->lr > 0 ? r->lr : fl_run_params[FL_H_LR].def);
    table(r->params, r->n_params, r->needs);
  }
  for (size_t i = 0; i < fl_stage_count(); i++) {
    const fl_stage *s = fl_stage_at(i);
    printf("### stage %s\n\n%s\n\n", s->name, s->help);
    table(s->params, s->n_params, s->needs);
  }
}

int fl_cli_list(int argc, char **argv) {
  const char *names[N_WHAT];
  char all[200] = "";
  if (argc == 2 && !strcmp(argv[1], "--markdown")) return fl_cli_markdown(), FL_EXIT_DONE;
  for (size_t i = 0; i < N_WHAT; i++) {
    names[i] = what[i].name;
    const size_t at = strlen(all);
    snprintf(all + at, sizeof all - at, "%s%s", i ? "|" : "", what[i].name);
  }
  if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
    return printf("usage: fedlane list %s\n", all), FL_EXIT_DONE;
  if (argc != 2) return fprintf(stderr, "fedlane: list takes one word\nusage: fedlane list %s\n", all), FL_EXIT_USAGE;
  for (size_t i = 0; i < N_WHAT; i++)
    if (!strcmp(argv[1], what[i].name)) return what[i].print(), FL_EXIT_DONE;
  char err[FL_ERR];
  fl_unknown("list", "word", argv[1], names, N_WHAT, err, sizeof err);
  fprintf(stderr, "fedlane: %s\n", err);
  return FL_EXIT_USAGE;
}
