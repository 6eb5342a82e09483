/* mlp.c - perceptrons: the two-layer one of the first federated experiments ("2NN"), and any other hidden widths by name. */
#include "models/net/net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fl_layer_spec layers[] = {
  FL_NEXT("linear", "fc1", "out=200"), FL_NEXT("relu", "relu1", ""),
  FL_NEXT("linear", "fc2", "out=200"), FL_NEXT("relu", "relu2", ""),
  FL_NEXT("linear", "fc3", ""),
};
const fl_net fl_net_mlp = {
  "mlp",
  "perceptron: 200, 200, classes, ReLU (199,210 parameters on 28x28); mlp_300_100: hidden widths 300, 100 (1 to 8 of 1 to "
  "65536)",
  sizeof layers / sizeof *layers, layers
};

#define MOST_HIDDEN 8
static const char *const linear[MOST_HIDDEN + 1] = { "fc1", "fc2", "fc3", "fc4", "fc5", "fc6", "fc7", "fc8", "fc9" };
static const char *const relu[MOST_HIDDEN] = { "relu1", "relu2", "relu3", "relu4", "relu5", "relu6", "relu7", "relu8" };

const fl_net *fl_net_mlp_sized(const char *name, fl_net_sized *room) {
  size_t hidden = 0, n = 0;
  if (strncmp(name, "mlp_", 4) || strlen(name) >= sizeof room->name) return NULL;
  for (const char *at = name + 3; *at; hidden++) {
    char *end;
    if (*at != '_' || at[1] < '1' || at[1] > '9' || hidden == MOST_HIDDEN) return NULL;
    const unsigned long width = strtoul(at + 1, &end, 10);
    if (width > 65536) return NULL;
    snprintf(room->text[n], sizeof room->text[n], "out=%lu", width);
    room->layer[n] = (fl_layer_spec)FL_NEXT("linear", linear[hidden], room->text[n]);
    room->layer[n + 1] = (fl_layer_spec)FL_NEXT("relu", relu[hidden], "");
    n += 2;
    at = end;
  }
  room->layer[n++] = (fl_layer_spec)FL_NEXT("linear", linear[hidden], "");
  strcpy(room->name, name);
  room->net = (fl_net){ room->name, "perceptron of the hidden widths in its name, ReLU", n, room->layer };
  return &room->net;
}
