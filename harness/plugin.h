/* plugin.h - shared objects with a user's own rules, stages and methods (fedlane/plugin.h): how they are loaded, and what results
 * say of them. */
#ifndef FEDLANE_HARNESS_PLUGIN_H
#define FEDLANE_HARNESS_PLUGIN_H
#include <fedlane/plugin.h>
#include <jansson.h>

typedef struct {
  char path[4096], sha256[65];                  /* absolute; of the file */
  unsigned abi;
  int from_option;                              /* --plugin gave it, not a configuration */
  const fl_catalogue *catalogue;
} fl_loaded_plugin;
/* Takes every "--plugin PATH" and "--plugin=PATH" out of the arguments and loads it. 0, or -1 with a message. */
int fl_plugins_take(int *argc, char **argv, char *err, size_t err_size);
/* where: the place in a configuration, or "--plugin". The same file once more is fine. */
int fl_plugin_load(const char *path, const char *where, int from_option, char *err, size_t err_size);
size_t fl_plugin_count(void);
const fl_loaded_plugin *fl_plugin_at(size_t);
/* The plug-in that a rule, stage or method (its table) is from, NULL: the catalogue's own. */
const fl_loaded_plugin *fl_plugin_of(const void *table);
/* Of those that the algorithm has something from, in order of the sums: path, sha256, abi of each; the sums alone, which decide
 * bits. NULL when there is none. */
json_t *fl_plugins_json(const fl_algorithm *);
json_t *fl_plugins_sums(const fl_algorithm *);
#endif
