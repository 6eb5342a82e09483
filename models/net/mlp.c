/* mlp.c - the two-layer perceptron of the first federated experiments ("2NN"). */
#include "models/net/net.h"

static const fl_layer_spec layers[] = {
  { FL_LAYER_LINEAR, "fc1", 200, 0, 0 }, { FL_LAYER_RELU, "relu1", 0, 0, 0 },
  { FL_LAYER_LINEAR, "fc2", 200, 0, 0 }, { FL_LAYER_RELU, "relu2", 0, 0, 0 },
  { FL_LAYER_LINEAR, "fc3", 0, 0, 0 },
};
const fl_net fl_net_mlp = {
  "mlp", "perceptron: 200, 200, classes, ReLU (199,210 parameters on 28x28)", sizeof layers / sizeof *layers, layers
};
