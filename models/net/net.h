/* net.h - the networks by file: each file of this folder defines one table; models/net.c lists them. */
#ifndef FEDLANE_NET_H
#define FEDLANE_NET_H
#include "models/model.h"

extern const fl_net fl_net_lenet5;
extern const fl_net fl_net_mlp;
extern const fl_net fl_net_logistic;
extern const fl_net fl_net_cnn_mcmahan;
extern const fl_net fl_net_cnn_pfl;
extern const fl_net fl_net_vgg11;
extern const fl_net fl_net_resnet18;
extern const fl_net fl_net_resnet18_bn;
extern const fl_net fl_net_mini_gpt;
extern const fl_net fl_net_vit_tiny;
extern const fl_net fl_net_text_transformer;
extern const fl_net fl_net_char_lstm;
/* mlp_W1_W2_...: the perceptron of these hidden widths, in *room; NULL when the name is not of this form. */
const fl_net *fl_net_mlp_sized(const char *name, fl_net_sized *room);
/* Whether a network of this name has no convolution by Winograd: NAME_direct, and with adapters NAME_direct_loraR. */
int fl_net_is_direct(const char *name);
#endif
