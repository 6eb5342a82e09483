/* vgg11.c - VGG-11 as papers on federated learning take it for images of 32x32: no norms, and one linear layer. */
#include "models/net/net.h"

#define CONV(number, width) \
  FL_NEXT("conv", "conv" number, "out=" width " kernel=3 pad=1"), FL_NEXT("relu", "relu" number, "")
#define POOL(number) FL_NEXT("max_pool", "pool" number, "")
static const fl_layer_spec layers[] = {
  CONV("1", "64"), POOL("1"), CONV("2", "128"), POOL("2"), CONV("3", "256"), CONV("4", "256"), POOL("3"),
  CONV("5", "512"), CONV("6", "512"), POOL("4"), CONV("7", "512"), CONV("8", "512"), POOL("5"),
  FL_NEXT("linear", "fc", ""),
};
const fl_net fl_net_vgg11 = {
  "vgg11", "VGG-11 without norms: eight 3x3 convolutions of 64 to 512 channels, classes (9,225,610 parameters on 3x32x32)",
  sizeof layers / sizeof *layers, layers
};
