/* names.h - what the layers of a model's passes are called: those that fl_mark is told (kernels/mark.h). */
#ifndef FEDLANE_NAMES_H
#define FEDLANE_NAMES_H
#include "models/model.h"

void fl_model_layer_name(const fl_model *, size_t i, char *name, size_t size);
#endif
