/* lenet5.c - LeNet-5 in its usual form of today: ReLU, maximum pooling, padding 2, no sparse connections. */
#include "models/net/net.h"

static const fl_layer_spec layers[] = {
  { FL_LAYER_CONV, "conv1", 6, 5, 2 }, { FL_LAYER_RELU, "relu1", 0, 0, 0 }, { FL_LAYER_MAXPOOL2, "pool1", 0, 0, 0 },
  { FL_LAYER_CONV, "conv2", 16, 5, 0 }, { FL_LAYER_RELU, "relu2", 0, 0, 0 }, { FL_LAYER_MAXPOOL2, "pool2", 0, 0, 0 },
  { FL_LAYER_LINEAR, "fc1", 120, 0, 0 }, { FL_LAYER_RELU, "relu3", 0, 0, 0 },
  { FL_LAYER_LINEAR, "fc2", 84, 0, 0 }, { FL_LAYER_RELU, "relu4", 0, 0, 0 },
  { FL_LAYER_LINEAR, "fc3", 0, 0, 0 },
};
const fl_net fl_net_lenet5 = {
  "lenet5", "LeNet-5: conv 6 5x5 pad 2, pool, conv 16 5x5, pool, 120, 84, classes (61,706 parameters on 28x28)",
  sizeof layers / sizeof *layers, layers
};
