/* plugin.c - what the shared object brings: a rule, a stage, and a method of both with its defaults. */
#include "my_method.h"

static const fl_rule *const rules[] = { &my_ngd };
static const fl_stage *const stages[] = { &my_anchor };
static const fl_method methods[] = {
  { "my_fedanchor", "my_anchor", "my_ngd", "lr=0.1,my_pull=0.1,lr_schedule=exponential", "samples", "docs/examples/my_method" },
};
FL_PLUGIN(.rule = rules, .n_rules = 1, .stage = stages, .n_stages = 1, .method = methods, .n_methods = 1);
