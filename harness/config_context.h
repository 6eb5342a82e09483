/* config_context.h - what the parts of the configuration reader share. */
#ifndef FEDLANE_CONFIG_CONTEXT_H
#define FEDLANE_CONFIG_CONTEXT_H
#include "config_keys.h"
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
/* "WHERE: KEY = 'VALUE'; allowed: ALLOWED"; returns -1. */
int fl_config_fail(context *, const char *where, const char *key, const char *value, const char *allowed);
int fl_config_known(context *, const fl_node *map, const char *what, const char *const *names, size_t n);
/* Text of a scalar key under the current picks; NULL with *bad set (and the message written) when it is a map or empty. */
const char *fl_config_text(context *, const fl_node *child, const char **where, int *bad);
int fl_config_copy(context *, char *to, size_t room, const char *where, const char *key, const char *value);
/* Paths in the file are relative to its folder, so that a study can be run from anywhere; those of --set to the caller's. */
int fl_config_path(context *, char *to, size_t room, const char *where, const char *key, const char *value, int from_set);
int fl_config_key(context *, const fl_key_entry *, fl_config *run, const char *where, const char *text);
int fl_config_data(context *, fl_config *run);            /* the section data */
/* The run's unique label from the algorithm's and the values picked; before: how many runs of the suite it must differ from. */
int fl_config_label(context *, fl_config *run, const fl_node *entry, size_t before);
/* The first open list under `node`, NULL: none; lists that are no sweep (stack of stages, model of an algorithm, sets) are passed
 * over. */
fl_node *fl_config_open(fl_node *node, int algorithm);
/* A configuration's tree with the overrides, its algorithms a list; and the runs of a tree, which is taken over. */
fl_node *fl_config_read(const char *path, const char *const *set, size_t n_set, char *err, size_t err_size);
int fl_config_expand(fl_suite *, fl_node *root, const char *path, const char *seeds, char *err, size_t err_size);
/* The label made safe as a file name, and the seed. */
void fl_config_folder(char *to, size_t size, const char *label, uint64_t seed);
#endif
