/* resnet18.c - ResNet-18 with a 3x3 stem and no pooling behind it, as for images of 32x32; names as in torchvision's state_dict.
 * With group norm (two groups), as papers on federated learning take it, or batch norm. */
#include "models/net/net.h"

#define CONV3(name, width, stride) FL_NEXT("conv", name, "out=" width " kernel=3 pad=1 bias=no stride=" stride)
#define NORM_GN(name) FL_NEXT("group_norm", name, "groups=2")
#define NORM_BN(name) FL_NEXT("batch_norm", name, "")
/* A block: two convolutions, and what it reads, `from`, is added; its output is block.relu2. */
#define HALVES(norm, block, width, stride, from)                                                                         \
  FL_READS("conv", block ".conv1", "out=" width " kernel=3 pad=1 bias=no stride=" stride, from), norm(block ".bn1"),     \
  FL_NEXT("relu", block ".relu1", ""), CONV3(block ".conv2", width, "1"), norm(block ".bn2")
#define SAME(norm, block, width, from)                                                                                   \
  HALVES(norm, block, width, "1", from), FL_READS("add", block ".add", "", block ".bn2 " from),                          \
  FL_NEXT("relu", block ".relu2", "")
#define DOWN(norm, block, width, from)                                                                                   \
  HALVES(norm, block, width, "2", from),                                                                                 \
  FL_READS("conv", block ".downsample.0", "out=" width " kernel=1 bias=no stride=2", from), norm(block ".downsample.1"), \
  FL_READS("add", block ".add", "", block ".bn2 " block ".downsample.1"), FL_NEXT("relu", block ".relu2", "")
#define RESNET(norm)                                                                                                     \
  CONV3("conv1", "64", "1"), norm("bn1"), FL_NEXT("relu", "relu", ""),                                                   \
  SAME(norm, "layer1.0", "64", "relu"), SAME(norm, "layer1.1", "64", "layer1.0.relu2"),                                  \
  DOWN(norm, "layer2.0", "128", "layer1.1.relu2"), SAME(norm, "layer2.1", "128", "layer2.0.relu2"),                      \
  DOWN(norm, "layer3.0", "256", "layer2.1.relu2"), SAME(norm, "layer3.1", "256", "layer3.0.relu2"),                      \
  DOWN(norm, "layer4.0", "512", "layer3.1.relu2"), SAME(norm, "layer4.1", "512", "layer4.0.relu2"),                      \
  FL_NEXT("global_pool", "pool", ""), FL_NEXT("linear", "fc", "")

static const fl_layer_spec groups[] = { RESNET(NORM_GN) }, batches[] = { RESNET(NORM_BN) };
const fl_net fl_net_resnet18 = {
  "resnet18", "ResNet-18, 3x3 stem, group norm of two groups (11,173,962 parameters on 3x32x32)", sizeof groups / sizeof *groups,
  groups
};
const fl_net fl_net_resnet18_bn = {
  "resnet18_bn", "ResNet-18, 3x3 stem, batch norm (11,173,962 parameters on 3x32x32)", sizeof batches / sizeof *batches, batches
};
