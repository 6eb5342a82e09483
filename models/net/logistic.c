/* logistic.c - multinomial logistic regression: one linear layer. */
#include "models/net/net.h"

static const fl_layer_spec layers[] = { FL_NEXT("linear", "fc", "") };
const fl_net fl_net_logistic = {
  "logistic", "multinomial logistic regression: one linear layer (7,850 parameters on 28x28)", 1, layers
};
