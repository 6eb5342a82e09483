/* lstm.c - input, forget, cell and output gate, in this order, as torch.nn.LSTM has them. Several in a row are
 * several layers of a network. */
#include "models/layer/recurrent.h"

enum { GATES = 4 };
static const fl_param params[] = { FL_RECURRENT_PARAMS };

static int bind(fl_module *m, fl_binder *b) { return bind_recurrent(m, b, GATES); }
static size_t kept(const fl_module *m) { return kept_bytes(m, GATES); }

static void forward(const fl_module *m, const fl_pass *s) { recurrent_forward(m, s, GATES, fl_lstm); }
static void backward(const fl_module *m, const fl_pass *s) { recurrent_back(m, s, GATES, fl_lstm_back); }
static double macs(const fl_module *m) { return recurrent_macs(m, GATES); }

const fl_layer fl_layer_lstm = {
  .name = "lstm", .help = "long short-term memory over a sequence; gates i, f, g, o", .params = params,
  .n_params = sizeof params / sizeof *params, .least = 1, .most = 1, .acts = FL_KEEPS_INPUT | FL_KEEPS_OUTPUT, .bind = bind,
  .kept = kept, .work = recurrent_work, .forward = forward, .backward = backward, .macs = macs };
