/* cnn.c - two small convolutional networks of the literature on federated learning. */
#include "models/net/net.h"

/* McMahan et al. 2017: convolutions of 32 and 64 channels, each with pooling, and 512 units. */
static const fl_layer_spec digits[] = {
  FL_NEXT("conv", "conv1", "out=32 kernel=5 pad=2"), FL_NEXT("relu", "relu1", ""), FL_NEXT("max_pool", "pool1", ""),
  FL_NEXT("conv", "conv2", "out=64 kernel=5 pad=2"), FL_NEXT("relu", "relu2", ""), FL_NEXT("max_pool", "pool2", ""),
  FL_NEXT("linear", "fc1", "out=512"), FL_NEXT("relu", "relu3", ""),
  FL_NEXT("linear", "fc2", ""),
};
const fl_net fl_net_cnn_mcmahan = {
  "cnn_mcmahan", "the CNN of McMahan et al.: conv 32 5x5, pool, conv 64 5x5, pool, 512, classes (1,663,370 parameters on 28x28)",
  sizeof digits / sizeof *digits, digits
};

/* The CIFAR-10 benchmark of pfl-research. */
static const fl_layer_spec colours[] = {
  FL_NEXT("conv", "conv1", "out=32 kernel=3"), FL_NEXT("relu", "relu1", ""),
  FL_NEXT("conv", "conv2", "out=64 kernel=3"), FL_NEXT("relu", "relu2", ""), FL_NEXT("max_pool", "pool", ""),
  FL_NEXT("dropout", "dropout1", "drop=0.25"),
  FL_NEXT("linear", "fc1", "out=128"), FL_NEXT("relu", "relu3", ""), FL_NEXT("dropout", "dropout2", "drop=0.5"),
  FL_NEXT("linear", "fc2", ""),
};
const fl_net fl_net_cnn_pfl = {
  "cnn_pfl", "the CNN of pfl-research: conv 32 3x3, conv 64 3x3, pool, dropout, 128, dropout, classes (1,626,442 parameters on "
  "3x32x32)", sizeof colours / sizeof *colours, colours
};
