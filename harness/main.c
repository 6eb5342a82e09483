/* main.c - the program: which command. */
#include "cli.h"
#include "plugin.h"
#include <stdio.h>
#include <string.h>

static const char usage[] =
  "usage: fedlane COMMAND ...\n"
  "  run CONFIG [options]   run every algorithm, swept value and seed of a configuration (fedlane run --help)\n"
  "  tune CONFIG [options]  try values of parameters, each method as often, and choose on held-out rows\n"
  "  compare A B ...        two or more result folders: settings, seconds, same bits?\n"
  "  verify RESULT...       train what a result records once more, here: the same bits?\n"
  "  report DIR...          figures and tables of result folders\n"
  "  profile CONFIG         where the time of a run goes: by kernel and layer, beside what the machine can do\n"
  "  bench [options]        speed of the kernels beside what the machine can do; --against: is this build slower?\n"
  "  list WHAT              algorithms, optimizers, models, layers, datasets, partitioners, kernels\n"
  "  partition CONFIG       what each client of a configuration holds: a table, a file, figures\n"
  "  info [--model M]       this machine, or a model\n"
  "  privacy [options]      epsilon, delta or noise of private training (fedlane privacy --help)\n"
  "  --version, --help\n"
  "  --plugin FILE.so       of every command that knows methods: rules, stages and methods of your own (docs/add-a-method.md)\n"
  "Exit codes: 0 done, 1 failed, 2 usage, 130 and 143 interrupted.\n";

static const struct { const char *name; int (*run)(int, char **); } command[] = {
  { "run", fl_cli_run }, { "tune", fl_cli_tune }, { "compare", fl_cli_compare }, { "report", fl_cli_report },
  { "bench", fl_cli_bench },
  { "verify", fl_cli_verify }, { "list", fl_cli_list }, { "info", fl_cli_info }, { "privacy", fl_cli_privacy },
  { "partition", fl_cli_partition }, { "profile", fl_cli_profile } };
enum { N_COMMANDS = sizeof command / sizeof *command };

/* Commands that hand their arguments on, or have nothing to do with a method. */
static int without_plugins(const char *name) {
  return !strcmp(name, "bench") || !strcmp(name, "report") || !strcmp(name, "privacy");
}

int main(int argc, char **argv) {
  const char *names[N_COMMANDS], *word = argc > 1 ? argv[1] : "";
  if (!strcmp(word, "--version") || !strcmp(word, "-V")) return printf("fedlane %s\n", FL_VERSION), FL_EXIT_DONE;
  if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) return fputs(usage, stdout), FL_EXIT_DONE;
  for (size_t i = 0; i < N_COMMANDS; i++) {
    names[i] = command[i].name;
    if (strcmp(word, names[i])) continue;
    int n = argc - 1;
    char err[FL_ERR];
    if (!without_plugins(word) && fl_plugins_take(&n, argv + 1, err, sizeof err))
      return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_USAGE;
    const int code = command[i].run(n, argv + 1);
    if ((fflush(stdout) || ferror(stdout)) && !code)
      return fputs("fedlane: cannot write to standard output\n", stderr), FL_EXIT_FAILED;
    return code;
  }
  if (*word) {
    char err[FL_ERR];
    fl_unknown("fedlane", "command", word, names, N_COMMANDS, err, sizeof err);
    fprintf(stderr, "%s\nfedlane --help says what each does; usage: fedlane COMMAND ...\n", err);
    return FL_EXIT_USAGE;
  }
  fputs(usage, stderr);
  return FL_EXIT_USAGE;
}
