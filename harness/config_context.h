/* config_context.h - what the parts of the configuration reader share. */
#ifndef FEDLANE_CONFIG_CONTEXT_H
#define FEDLANE_CONFIG_CONTEXT_H
#include "config.h"
#include "config_tree.h"

enum { MAX_AXES = 32, MAX_RUNS = 100000, MAX_SETTINGS = 64, MAX_SEEDS = 10000 };
typedef struct {
  fl_suite *suite; size_t room;
  const fl_node *root;
  const char *path;
  int central;                                  /* no federated block */
  uint64_t *seed; size_t n_seeds;
  const fl_node *axis[MAX_AXES]; const char *scope[MAX_AXES]; size_t n_axes;
  char *err; size_t size;
} context;
/* The run's unique label from the algorithm's and the values picked; before: how many runs of the suite it must differ from. */
int fl_config_label(context *, fl_config *run, const fl_node *entry, size_t before);
/* The label made safe as a file name, and the seed. */
void fl_config_folder(char *to, size_t size, const char *label, uint64_t seed);
#endif
