/* char_lstm.c - characters by two LSTM in a row, as LEAF and FedProx have it for Shakespeare: 80 characters, each a vector of 8;
 * the next character is told at the last position, or at each where each has a label. */
#include "models/net/net.h"

static const fl_layer_spec layers[] = {
  FL_NEXT("embedding", "embedding", "tokens=80 out=8"), FL_NEXT("lstm", "lstm1", "hidden=256"),
  FL_NEXT("lstm", "lstm2", "hidden=256 output=labels"), FL_NEXT("linear", "fc", ""),
};
const fl_net fl_net_char_lstm = {
  "char_lstm", "80 characters as vectors of 8, two LSTM of 256, classes (819,920 parameters of 80 classes)",
  sizeof layers / sizeof *layers, layers };
