/* config_net.h - networks that a configuration spells out: layers, blocks of layers that are used with values for their
 * variables, and the same network as JSON, for a result. */
#ifndef FEDLANE_CONFIG_NET_H
#define FEDLANE_CONFIG_NET_H
#include "config_tree.h"
#include "models/model.h"
#include <jansson.h>

/* The network of a map {name, blocks, layers}, which lives until fl_net_free; name NULL: the map says it, or it is "network".
 * Every type, key and value is checked; whether the shapes fit is known with the data. NULL with a message in err. */
fl_net *fl_net_read(const fl_node *map, const char *name, char *err, size_t err_size);
/* The same of a file that holds the map; its name is the file's. */
fl_net *fl_net_read_file(const char *path, char *err, size_t err_size);
int fl_net_is_file(const char *model);          /* whether that is meant: it ends in .yaml */
void fl_net_free(fl_net *);
/* All layers, without blocks, only with parameters that are not at their defaults. */
json_t *fl_net_json(const fl_net *);
int fl_net_same(const fl_net *, const fl_net *);
#endif
