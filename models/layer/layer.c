/* layer.c - the types of layers by name. */
#include "models/layer/layer.h"
#include <stdio.h>
#include <string.h>

#define FL_LAYER(name) extern const fl_layer fl_layer_##name;
#include "models/layer/layers.def"
static const fl_layer *const layers[] = {
#define FL_LAYER(name) &fl_layer_##name,
#include "models/layer/layers.def"
};

size_t fl_layer_count(void) { return sizeof layers / sizeof *layers; }
const fl_layer *fl_layer_at(size_t i) { return i < fl_layer_count() ? layers[i] : NULL; }

const fl_layer *fl_layer_find(const char *name) {
  for (size_t i = 0; i < fl_layer_count(); i++)
    if (!strcmp(layers[i]->name, name)) return layers[i];
  return NULL;
}

const char *fl_shape_text(const fl_shape *s, char out[64]) {
  static const char *const of[] = { [FL_VECTOR] = "a vector of", [FL_SEQUENCE] = "a sequence of", [FL_IMAGE] = "an image of",
                                    [FL_TOKENS] = "tokens," };
  int at = snprintf(out, 64, "%s %zu", of[s->kind], s->dim[0]);
  const int dims = s->kind == FL_IMAGE ? 3 : s->kind == FL_SEQUENCE ? 2 : 1;
  for (int i = 1; i < dims && at > 0 && at < 64; i++) at += snprintf(out + at, (size_t)(64 - at), "x%zu", s->dim[i]);
  return out;
}
