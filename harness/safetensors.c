/* safetensors.c - see safetensors.h; the format: a header {"name": {"dtype", "shape", "data_offsets"}} before the data. */
#include "harness/safetensors.h"
#include "harness/atomic.h"
#include "harness/results.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The header's text, padded with spaces so that the data begin at a multiple of 8. */
static char *header_of(const fl_layout *layout, const fl_adapter_form *adapters, size_t *size, char *err, size_t err_size) {
  json_t *about = json_pack("{s:s}", "producer", "fedlane"), *header = json_pack("{s:o}", "__metadata__", about);
  size_t at = 0;
  if (adapters) {                               /* the format has texts there */
    json_object_set_new(about, "lora_alpha", json_sprintf("%.17g", adapters->alpha));
    json_object_set_new(about, "lora_rank", json_sprintf("%zu", adapters->rank));
  }
  for (size_t i = 0; i < layout->n; i++) {
    const fl_tensor *t = &layout->tensor[i];
    if (t->offset != at || json_object_get(header, t->name)) {
      snprintf(err, err_size, "layout: tensor '%s' %s", t->name, t->offset != at ? "leaves a gap or overlaps" : "is there twice");
      json_decref(header);
      return NULL;
    }
    json_t *shape = json_array();
    for (int k = 0; k < t->ndim; k++) json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
    json_object_set_new(header, t->name, json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                                                   (json_int_t)(4 * at), (json_int_t)(4 * (at + t->size))));
    at += t->size;
  }
  char *text = json_dumps(header, JSON_COMPACT);
  json_decref(header);
  size_t n = text ? strlen(text) : 0, padded = (n + 7) / 8 * 8;
  char *out = text && at == layout->d + layout->buffers ? malloc(padded + 1) : NULL;
  if (out) {
    memset(out, ' ', padded);
    memcpy(out, text, n);
    *size = padded;
  } else {
    snprintf(err, err_size, "layout: its tensors hold %zu floats, must be %zu", at, layout->d + layout->buffers);
  }
  free(text);
  return out;
}

int fl_safetensors_write(const char *path, const fl_layout *layout, const fl_adapter_form *adapters, const float *x, char *err,
                         size_t err_size) {
  size_t header_size, n = layout->d + layout->buffers;
  char *header = header_of(layout, adapters, &header_size, err, err_size);
  if (!header) return -1;
  unsigned char *file = malloc(8 + header_size + 4 * n);
  int bad = -1;
  if (file) {
    for (int b = 0; b < 8; b++) file[b] = (unsigned char)((uint64_t)header_size >> 8 * b);
    memcpy(file + 8, header, header_size);
    fl_params_bytes(x, n, file + 8 + header_size);
    bad = fl_file_write(path, file, 8 + header_size + 4 * n, err, err_size);
  } else {
    snprintf(err, err_size, "cannot write '%s': out of memory", path);
  }
  free(file);
  free(header);
  return bad;
}

void fl_safetensors_range(const json_t *tensor, size_t *begin, size_t *end) {
  const json_t *offsets = json_object_get(tensor, "data_offsets");
  *begin = (size_t)json_integer_value(json_array_get(offsets, 0));
  *end = (size_t)json_integer_value(json_array_get(offsets, 1));
}

static int range_is_valid(const json_t *tensor, size_t size) {
  const json_t *offsets = json_object_get(tensor, "data_offsets");
  const json_t *a = json_array_get(offsets, 0), *b = json_array_get(offsets, 1);
  return json_is_integer(a) && json_is_integer(b) && json_array_size(offsets) == 2 && json_integer_value(a) >= 0 &&
         json_integer_value(a) <= json_integer_value(b) && (uint64_t)json_integer_value(b) <= size;
}

int fl_safetensors_read(fl_safetensors *out, const char *path, char *err, size_t err_size) {
  size_t n;
  memset(out, 0, sizeof *out);
  if (fl_file_read(path, &out->memory, &n, err, err_size)) return -1;
  uint64_t header_size = 0;
  for (size_t b = 0; b < 8 && b < n; b++) header_size |= (uint64_t)out->memory[b] << 8 * b;
  if (n < 8 || header_size > n - 8) {
    const int archive = n > 4 && !memcmp(out->memory, "PK\3\4", 4);
    snprintf(err, err_size, "'%s' is not a safetensors file, or cut off: %zu bytes, its header needs more%s", path, n,
             archive ? "; it is an archive, as torch.save makes: safetensors.torch.save_file(model.state_dict(), FILE)" : "");
    fl_safetensors_free(out);
    return -1;
  }
  json_error_t e;
  out->header = json_loadb((const char *)out->memory + 8, (size_t)header_size, 0, &e);
  out->data = out->memory + 8 + header_size;
  out->size = n - 8 - (size_t)header_size;
  if (!json_is_object(out->header)) {
    snprintf(err, err_size, "'%s' is not a safetensors file: its header is not a JSON object", path);
    fl_safetensors_free(out);
    return -1;
  }
  const char *name;
  json_t *tensor;
  json_object_foreach(out->header, name, tensor) {
    if (strcmp(name, "__metadata__") == 0 || range_is_valid(tensor, out->size)) continue;
    snprintf(err, err_size, "'%s', tensor '%s': data_offsets must lie within the %zu bytes of data", path, name, out->size);
    fl_safetensors_free(out);
    return -1;
  }
  return 0;
}

void fl_safetensors_free(fl_safetensors *s) {
  json_decref(s->header);
  free(s->memory);
  memset(s, 0, sizeof *s);
}

/* ---- values to begin from ------------------------------------------------------------------------------------------------ */
static void shape_text(const json_t *shape, const fl_tensor *t, char *out, size_t size) {
  const size_t n = t ? (size_t)t->ndim : json_array_size(shape);
  *out = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t at = strlen(out), dim = t ? t->shape[i] : (size_t)json_integer_value(json_array_get(shape, i));
    snprintf(out + at, size - at, "%s%zu", i ? "x" : "", dim);
  }
}

/* A few names of the file, as text. */
static const char *some_names(const fl_safetensors *s, char *out, size_t size) {
  const char *name;
  json_t *o;
  int n = 0;
  *out = 0;
  json_object_foreach(s->header, name, o) {
    const size_t at = strlen(out);
    if (strcmp(name, "__metadata__")) snprintf(out + at, size - at, "%s%.100s", n ? ", " : "", n < 3 ? name : "...");
    if (strcmp(name, "__metadata__") && n++ == 3) break;
  }
  return n ? out : "none";
}

static int fill_tensor(const fl_safetensors *s, const char *path, const fl_tensor *t, float *x, char *err, size_t err_size) {
  const json_t *o = json_object_get(s->header, t->name), *shape = json_object_get(o, "shape");
  const char *type = json_string_value(json_object_get(o, "dtype"));
  char has[64], wants[64];
  size_t begin, end;
  shape_text(NULL, t, wants, sizeof wants);
  if (!o) {
    char names[400];
    return snprintf(err, err_size, "'%s' has no tensor '%s' (%s), which the model needs; it has %s", path, t->name, wants,
                    some_names(s, names, sizeof names)), -1;
  }
  shape_text(shape, NULL, has, sizeof has);
  if (strcmp(has, wants))
    return snprintf(err, err_size, "'%s', tensor '%s': shape %s; allowed: %s", path, t->name, has, wants), -1;
  fl_safetensors_range(o, &begin, &end);
  if (!type || strcmp(type, "F32") || end - begin != 4 * t->size)
    return snprintf(err, err_size, "'%s', tensor '%s': dtype %s, %zu bytes; allowed: F32, %zu bytes", path, t->name,
                    type ? type : "none", end - begin, 4 * t->size), -1;
  for (size_t i = 0; i < t->size; i++) {
    const unsigned char *p = s->data + begin + 4 * i;
    const uint32_t word = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    memcpy(&x[t->offset + i], &word, sizeof word);
  }
  return 0;
}

/* A tensor that nobody takes is most likely another model's. */
static int nobody_takes(const fl_safetensors *s, const char *path, const fl_layout *l, char *err, size_t err_size) {
  static const char counter[] = "num_batches_tracked";
  const char *name;
  json_t *o;
  json_object_foreach(s->header, name, o) {
    const size_t length = strlen(name), tail = sizeof counter - 1;
    size_t i = 0;
    if (!strcmp(name, "__metadata__") || (length >= tail && !strcmp(name + length - tail, counter))) continue;
    while (i < l->n && strcmp(l->tensor[i].name, name)) i++;
    if (i == l->n)
      return snprintf(err, err_size, "'%s' has a tensor '%s', which the model has not%s", path, name,
                      strstr(name, ".lora_") ? "; allowed: adapters, of a model with them (NAME_loraR)" : ""), -1;
  }
  return 0;
}

int fl_safetensors_fill(const fl_safetensors *s, const char *path, const fl_layout *l, float *x, char *err, size_t err_size) {
  int bad = 0;
  for (size_t i = 0; i < l->n && !bad; i++) bad = fill_tensor(s, path, &l->tensor[i], x, err, err_size);
  return bad || nobody_takes(s, path, l, err, err_size) ? -1 : 0;
}

int fl_safetensors_alpha(const fl_safetensors *s, const char *path, const fl_net *net, char *err, size_t err_size) {
  static const fl_param alpha = { "lora_alpha", 1, 0, 1e30, NULL, "", FL_ABOVE };
  const json_t *said = json_object_get(json_object_get(s->header, "__metadata__"), alpha.name);
  fl_adapter_form form;
  double v;
  if (!said || fl_net_adapters(net, &form) != 1) return 0;
  const char *text = json_is_string(said) ? json_string_value(said) : "no text";
  if (fl_param_read(&alpha, &(fl_setting){ alpha.name, text, path }, &v, err, err_size)) return -1;
  if (v == form.alpha) return 0;
  return snprintf(err, err_size, "'%s': its adapters were trained with alpha = %g, model %s has alpha = %g: the same tensors "
                  "would be another network; allowed: the file's alpha, which the model's name says as _loraRANK_alphaALPHA",
                  path, v, net->name, form.alpha), -1;
}
