/* cli_privacy.c - fedlane privacy: what clipped updates with Gaussian noise spend, or the noise or delta of a given epsilon. */
#include "cli.h"
#include <fedlane/privacy.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { P_NOISE, P_PART, P_ROUNDS, P_DELTA, P_EPSILON, P_SAMPLING, P_CONVERSION, P_COUNT };
static const fl_param param[P_COUNT] = {
  [P_NOISE] = { "--noise_multiplier", 0, 0, 1e6, NULL, "", FL_ABOVE },
  [P_PART] = { "--participation", 0, 0, 1, NULL, "", FL_ABOVE },
  [P_ROUNDS] = { "--rounds", 0, 1, 1e9, NULL, "", FL_WHOLE },
  [P_DELTA] = { "--dp_delta", 0, 0, 1, NULL, "", FL_ABOVE | FL_BELOW },
  [P_EPSILON] = { "--epsilon", 0, 0, 1e6, NULL, "", FL_ABOVE },
  [P_SAMPLING] = { "--sampling", 0, 0, 0, "poisson|uniform", "", 0 },
  [P_CONVERSION] = { "--conversion", 0, 0, 0, "improved|classic", "", 0 },
};
static const char usage[] =
  "usage: fedlane privacy --participation Q --rounds R, and of these three two, for the third:\n"
  "         --noise_multiplier S   standard deviation of the noise on the sum of the updates, over dp_clip\n"
  "         --epsilon E\n"
  "         --dp_delta D           below 1 over the number of clients\n"
  "       [--sampling poisson|uniform]     each client with chance Q (neighbours: a client more or less), or Q of them without\n"
  "                                        replacement (neighbours: a client replaced)\n"
  "       [--conversion improved|classic]  from Renyi-DP to epsilon\n";

void fl_tell_order(const char *what, double order) {
  if (order == 1.1 || order == 1024)
    fprintf(stderr, "fedlane: %s: order %g is an end of the grid, 1.1 to 1024; the bound holds, another order may give "
                    "less\n", what, order);
}

static void print(const double *v, const int *given, double order) {
  static const char *const name[] = { "noise_multiplier", "participation", "rounds", "dp_delta", "epsilon" };
  const fl_sampler sampler = (fl_sampler)v[P_SAMPLING];
  printf("{\"sampling\": \"%s\", \"conversion\": \"%s\", \"neighbours\": \"%s\"", sampler == FL_POISSON ? "poisson" : "uniform",
         v[P_CONVERSION] == 0 ? "improved" : "classic", sampler == FL_POISSON ? "one more or less" : "one replaced");
  for (int i = 0; i <= P_EPSILON; i++) printf(", \"%s\": %.*g", name[i], given[i] ? 15 : 13, v[i]);
  printf(", \"order\": %.4g}\n", order);
  fl_tell_order("privacy", order);
}

static int answer(double *v, const int *given) {
  const fl_sampler sampler = (fl_sampler)v[P_SAMPLING];
  const fl_conversion conversion = (fl_conversion)v[P_CONVERSION];
  double order;
  if (!given[P_NOISE]) v[P_NOISE] = fl_noise_for(sampler, conversion, v[P_EPSILON], v[P_DELTA], v[P_PART], v[P_ROUNDS]);
  if (isinf(v[P_NOISE]))
    return fprintf(stderr, "fedlane: privacy: --epsilon = %g with --dp_delta = %g: no noise_multiplier up to 1e6 gives so "
                           "little\n", v[P_EPSILON], v[P_DELTA]), FL_EXIT_FAILED;
  fl_accountant spent;
  fl_accountant_start(&spent);
  fl_accountant_add(&spent, sampler, v[P_PART], v[P_NOISE], v[P_ROUNDS]);
  if (!given[P_DELTA]) v[P_DELTA] = fl_accountant_delta(&spent, conversion, v[P_EPSILON], &order);
  else v[P_EPSILON] = fl_accountant_epsilon(&spent, conversion, v[P_DELTA], &order);
  print(v, given, order);
  return FL_EXIT_DONE;
}

int fl_cli_privacy(int argc, char **argv) {
  struct option longs[P_COUNT + 2] = { [P_COUNT] = { "help", 0, NULL, 'h' } };
  double v[P_COUNT] = { 0 };
  int given[P_COUNT] = { 0 };
  char err[FL_ERR];
  for (int i = 0; i < P_COUNT; i++) longs[i] = (struct option){ param[i].name + 2, 1, NULL, 1000 + i };
  for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
    if (c == 'h') return fputs(usage, stdout), FL_EXIT_DONE;
    if (c < 1000) return fputs(usage, stderr), FL_EXIT_USAGE;
    const fl_setting set = { param[c - 1000].name, optarg, "fedlane: privacy" };
    if (fl_param_read(&param[c - 1000], &set, &v[c - 1000], err, sizeof err))
      return fprintf(stderr, "%s\n", err), FL_EXIT_USAGE;
    given[c - 1000] = 1;
  }
  if (optind != argc) return fprintf(stderr, "fedlane: privacy takes no '%s'\n%s", argv[optind], usage), FL_EXIT_USAGE;
  if (!given[P_PART] || !given[P_ROUNDS] || given[P_NOISE] + given[P_EPSILON] + given[P_DELTA] != 2)
    return fputs(usage, stderr), FL_EXIT_USAGE;
  return answer(v, given);
}
