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

enum { MOST_RANK = 4096, MOST_ALPHA = 65536 };

/* A whole number without leading zeros, 1 to most, at *at; 0: there is none. *at: behind it. */
static unsigned long take_number(const char **at, unsigned long most) {
  char *end;
  if (**at < '1' || **at > '9') return 0;
  const unsigned long n = strtoul(*at, &end, 10);
  *at = end;
  return n <= most ? n : 0;
}

/* Takes `word` at *at; whether it is there. */
static int take_word(const char **at, const char *word) {
  const size_t n = strlen(word);
  if (strncmp(*at, word, n)) return 0;
  *at += n;
  return 1;
}

/* As fl_net_adapters; *length: of what stands before. */
static int adapters_in(const char *name, fl_adapter_form *form, size_t *length) {
  const char *at = strstr(name, "_lora");
  if (!at || at[5] < '0' || at[5] > '9') return 0;
  *length = (size_t)(at - name);
  at += 5;
  *form = (fl_adapter_form){ .rank = take_number(&at, MOST_RANK) };
  form->alpha = take_word(&at, "_alpha") ? (double)take_number(&at, MOST_ALPHA) : (double)form->rank;
  if (take_word(&at, "_on_")) form->on = at, at += strlen(at);
  return form->rank && form->alpha > 0 && !*at && !(form->on && !*form->on) ? 1 : -1;
}

int fl_net_adapters(const fl_net *net, fl_adapter_form *form) {
  size_t length;
  return adapters_in(net->name, form, &length);
}

/* The network whose name stands before that of the adapters. */
static const fl_net *with_adapters(const char *name, fl_net_sized *room) {
  char base[sizeof room->name];
  fl_adapter_form form;
  size_t length;
  if (strlen(name) >= sizeof room->name || adapters_in(name, &form, &length) != 1) return NULL;
  snprintf(base, sizeof base, "%.*s", (int)length, name);
  const fl_net *net = fl_net_find(base, room);
  if (!net) return NULL;
  room->net = (fl_net){ room->name, net->help, net->n, net->layer };
  strcpy(room->name, name);
  return &room->net;
}

static const char direct[] = "_direct";

int fl_net_is_direct(const char *name) {
  fl_adapter_form form;
  size_t length = strlen(name);
  adapters_in(name, &form, &length);
  const size_t n = sizeof direct - 1;
  return length > n && !strncmp(name + length - n, direct, n);
}

static int has_convolution(const fl_net *net) {
  for (size_t i = 0; i < net->n; i++)
    if (!strcmp(net->layer[i].type, "conv")) return 1;
  return 0;
}

/* The network whose name stands before "_direct", if there is a convolution that this can be said of. */
static const fl_net *without_winograd(const char *name, fl_net_sized *room) {
  char base[sizeof room->name];
  if (strlen(name) >= sizeof room->name || strstr(name, "_lora") || !fl_net_is_direct(name)) return NULL;
  snprintf(base, sizeof base, "%.*s", (int)(strlen(name) - (sizeof direct - 1)), name);
  const fl_net *net = fl_net_find(base, NULL);
  if (!net || !has_convolution(net)) return NULL;
  room->net = (fl_net){ room->name, net->help, net->n, net->layer };
  strcpy(room->name, name);
  return &room->net;
}

const fl_net *fl_net_find(const char *name, fl_net_sized *room) {
  for (size_t i = 0; name && i < fl_net_count(); i++)
    if (!strcmp(nets[i]->name, name)) return nets[i];
  const fl_net *net = name && room ? with_adapters(name, room) : NULL;
  if (!net && name && room) net = without_winograd(name, room);
  return net || !name || !room ? net : fl_net_mlp_sized(name, room);
}
