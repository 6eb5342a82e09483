/* net.h - the networks by file: each file of this folder defines one table; models/net.c lists them. */
#ifndef FEDLANE_NET_H
#define FEDLANE_NET_H
#include "models/model.h"

extern const fl_net fl_net_lenet5;
extern const fl_net fl_net_mlp;
extern const fl_net fl_net_logistic;
#endif
