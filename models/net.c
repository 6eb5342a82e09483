/* net.c - the list of networks. */
#include "models/net/net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fl_net *const nets[] = {
  &fl_net_lenet5,
  &fl_net_mlp,
  &fl_net_logistic,
};

size_t fl_net_count(void) { return sizeof nets / sizeof *nets; }

const fl_net *fl_net_at(size_t i) { return i < fl_net_count() ? nets[i] : NULL; }

/* NAME_loraR: the network NAME with adapters of rank R. */
static const fl_net *with_adapters(const char *name, fl_net_sized *room) {
  const char *at = strstr(name, "_lora");
  char base[64], *end;
  if (!at || at[5] < '1' || at[5] > '9' || strlen(name) >= sizeof room->name) return NULL;
  const unsigned long rank = strtoul(at + 5, &end, 10);
  snprintf(base, sizeof base, "%.*s", (int)(at - name), name);
  const fl_net *net = *end || rank > 4096 ? NULL : fl_net_find(base, room);
  if (!net) return NULL;
  room->net = (fl_net){ room->name, net->help, net->n, net->layer, rank };
  strcpy(room->name, name);
  return &room->net;
}

const fl_net *fl_net_find(const char *name, fl_net_sized *room) {
  for (size_t i = 0; name && i < fl_net_count(); i++)
    if (!strcmp(nets[i]->name, name)) return nets[i];
  const fl_net *net = name && room ? with_adapters(name, room) : NULL;
  return net || !name || !room ? net : fl_net_mlp_sized(name, room);
}
