/* config_tree.h - a YAML text as a tree of nodes that know their place in the file, and the --set overrides on it. */
#ifndef FEDLANE_CONFIG_TREE_H
#define FEDLANE_CONFIG_TREE_H
#include <stddef.h>

typedef enum { FL_NODE_SCALAR, FL_NODE_LIST, FL_NODE_MAP } fl_node_kind;
typedef struct fl_node fl_node;
struct fl_node {
  fl_node_kind kind;
  char *text;                                   /* scalars */
  char *where;                                  /* "file:line:column" of the value, or "--set" */
  char *key, *key_where;                        /* of a map's child */
  int from_set;                                 /* the command line gave it */
  size_t n, room;
  fl_node **child;
  int pick;                                     /* sweep: chosen child of a list, -1 while open */
};

/* NULL with a message in err. where (text only): what messages call the source. */
fl_node *fl_node_read_file(const char *path, char *err, size_t err_size);
fl_node *fl_node_read_text(const char *text, const char *where, char *err, size_t err_size);
void fl_node_free(fl_node *);
fl_node *fl_node_get(const fl_node *map, const char *key);
/* Puts `value` (taken over, also on failure) under the key, replacing what is there. */
int fl_node_put(fl_node *map, const char *key, fl_node *value);
fl_node *fl_node_clone(const fl_node *);
fl_node *fl_node_scalar(const char *text, const char *where);
void fl_node_drop(fl_node *map, const char *key);           /* if it is there */
/* "fedavg" becomes {name: fedavg}, so that it can take keys; a map stays. 0, or -1: no memory. */
int fl_node_as_map(fl_node *);
/* Applies "a.b=value,c=[1,2]" to the root. */
int fl_node_set(fl_node *root, const char *text, char *err, size_t err_size);
/* The node itself, or the picked element of a list (of lists ...); NULL while the pick is open. */
const fl_node *fl_node_now(const fl_node *);
/* A list of names as one text, joined by "+" (a scalar as it is). NULL, or what is no name, or too long. */
const fl_node *fl_node_joined(const fl_node *, char *out, size_t size);
#endif
