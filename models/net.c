/* net.c - the list of networks. */
#include "models/net/net.h"
#include <string.h>

static const fl_net *const nets[] = {
  &fl_net_lenet5,
  &fl_net_mlp,
  &fl_net_logistic,
};

size_t fl_net_count(void) { return sizeof nets / sizeof *nets; }

const fl_net *fl_net_at(size_t i) { return i < fl_net_count() ? nets[i] : NULL; }

const fl_net *fl_net_find(const char *name, fl_net_sized *room) {
  for (size_t i = 0; name && i < fl_net_count(); i++)
    if (!strcmp(nets[i]->name, name)) return nets[i];
  return name && room ? fl_net_mlp_sized(name, room) : NULL;
}
