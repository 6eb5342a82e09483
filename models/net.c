/* net.c - the list of networks. */
#include "models/net/net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fl_net *const nets[] = {
  &fl_net_lenet5,
  &fl_net_mlp,
  &fl_net_logistic,
  &fl_net_cnn_mcmahan,
  &fl_net_cnn_pfl,
  &fl_net_vgg11,
  &fl_net_resnet18,
  &fl_net_resnet18_bn,
  &fl_net_vit_tiny,
  &fl_net_mini_gpt,
  &fl_net_text_transformer,
  &fl_net_char_lstm,
};

size_t fl_net_count(void) { return sizeof nets / sizeof *nets; }

const fl_net *fl_net_at(size_t i) { return i < fl_net_count() ? nets[i] : NULL; }

/* R of NAME_loraR; 0: the name has no such end. *length: of NAME. */
static size_t rank_in(const char *name, size_t *length) {
  const char *at = strstr(name, "_lora");
  char *end;
  if (!at || at[5] < '1' || at[5] > '9') return 0;
  const unsigned long rank = strtoul(at + 5, &end, 10);
  *length = (size_t)(at - name);
  return *end || rank > 4096 ? 0 : rank;
}

size_t fl_net_rank(const fl_net *net) {
  size_t length;
  return rank_in(net->name, &length);
}

/* NAME_loraR: the network NAME with adapters of rank R. */
static const fl_net *with_adapters(const char *name, fl_net_sized *room) {
  char base[64];
  size_t length;
  if (strlen(name) >= sizeof room->name || !rank_in(name, &length)) return NULL;
  snprintf(base, sizeof base, "%.*s", (int)length, name);
  const fl_net *net = fl_net_find(base, room);
  if (!net) return NULL;
  room->net = (fl_net){ room->name, net->help, net->n, net->layer };
  strcpy(room->name, name);
  return &room->net;
}

const fl_net *fl_net_find(const char *name, fl_net_sized *room) {
  for (size_t i = 0; name && i < fl_net_count(); i++)
    if (!strcmp(nets[i]->name, name)) return nets[i];
  const fl_net *net = name && room ? with_adapters(name, room) : NULL;
  return net || !name || !room ? net : fl_net_mlp_sized(name, room);
}
