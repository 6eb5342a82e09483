/* lenet5.c - LeNet-5 in its usual form of today: ReLU, maximum pooling, padding 2, no sparse connections. */
#include "models/net/net.h"

static const fl_layer_spec layers[] = {
  FL_NEXT("conv", "conv1", "out=6 kernel=5 pad=2"), FL_NEXT("relu", "relu1", ""), FL_NEXT("max_pool", "pool1", ""),
  FL_NEXT("conv", "conv2", "out=16 kernel=5"), FL_NEXT("relu", "relu2", ""), FL_NEXT("max_pool", "pool2", ""),
  FL_NEXT("linear", "fc1", "out=120"), FL_NEXT("relu", "relu3", ""),
  FL_NEXT("linear", "fc2", "out=84"), FL_NEXT("relu", "relu4", ""),
  FL_NEXT("linear", "fc3", ""),
};
const fl_net fl_net_lenet5 = {
  "lenet5", "LeNet-5: conv 6 5x5 pad 2, pool, conv 16 5x5, pool, 120, 84, classes (61,706 parameters on 28x28)",
  sizeof layers / sizeof *layers, layers
};
