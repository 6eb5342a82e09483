/* bind.c - from layers as they are written to modules: who reads whom, the values of their parameters, shapes from the shape of
 * a sample, the layout of the flat vector. */
#include "models/net/net.h"
#include "models/plan.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fl_binder {
  fl_model *m;
  fl_module *module;                            /* the one that is bound */
  int layer;                                    /* its number among those with tensors, -1 before its first */
  int layers;
  char *text;                                   /* where the next name is written */
  char *err; size_t size;
};

/* Names are kept by the model: a network may be gone before it. */
static const char *keep(fl_binder *b, const char *text) {
  char *at = b->text;
  b->text += strlen(text) + 1;
  return strcpy(at, text);
}

static void place_text(const fl_binder *b, const fl_module *s, char *out, size_t size) {
  snprintf(out, size, "%s%smodel %s, layer %s", s->where ? s->where : "", s->where ? ": " : "", b->m->objective.name, s->name);
}

int fl_bind_refuse(fl_binder *b, const char *format, ...) {
  char place[300], what[400];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  place_text(b, b->module, place, sizeof place);
  return snprintf(b->err, b->size, "%s: %s", place, what), -1;
}

size_t fl_bind_classes(const fl_binder *b) { return b->m->objective.classes; }
int fl_bind_direct(const fl_binder *b) { return fl_net_is_direct(b->m->objective.name); }
size_t fl_bind_positions(const fl_binder *b) { return b->m->train.positions; }
size_t fl_bind_outputs(const fl_binder *b) { return b->m->outputs; }

int32_t fl_bind_token_outside(const fl_binder *b, size_t tokens) {
  const fl_samples *from[2] = { &b->m->train, &b->m->test };
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; from[k]->tokens && i < from[k]->n * from[k]->w; i++)
      if (from[k]->tokens[i] < 0 || (size_t)from[k]->tokens[i] >= tokens) return from[k]->tokens[i];
  return 0;
}

static const fl_shape *shape_of(const fl_model *m, size_t value) { return value ? &m->module[value - 1].to : &m->input; }
const fl_shape *fl_bind_input(const fl_binder *b, size_t i) { return shape_of(b->m, b->module->in[i]); }

/* At the end of what is trained, or of the buffers. */
static size_t add_tensor(fl_binder *b, const char *part, fl_role role, fl_start start, int ndim, const size_t *shape) {
  char name[128];
  fl_layout *l = &b->m->layout;
  size_t *end = role == FL_BUFFER ? &l->buffers : &l->d;
  fl_tensor *t = &b->m->tensor[l->n];
  if (b->layer < 0) b->layer = b->layers++;
  snprintf(name, sizeof name, "%s.%s", b->module->name, part);
  *t = (fl_tensor){ keep(b, name), role, b->layer, 0, ndim, { 0 }, *end, 1 };
  for (int j = 0; j < ndim; j++) t->shape[j] = shape[j], t->size *= shape[j];
  b->m->start[l->n++] = start;
  *end += t->size;
  return t->offset;
}

void fl_bind_tensor(fl_binder *b, const char *part, fl_role role, fl_start start, int ndim, const size_t *shape) {
  b->module->at[b->module->n_tensors++] = add_tensor(b, part, role, start, ndim, shape);
}
void fl_bind_heads(fl_binder *b, int heads) { b->m->tensor[b->m->layout.n - 1].heads = heads; }
void fl_bind_buffer(fl_binder *b, const char *part, double start, int ndim, const size_t *shape) {
  const fl_start begin = { FL_START_VALUE, start };
  b->module->buffer[b->module->n_buffers++] = add_tensor(b, part, FL_BUFFER, begin, ndim, shape);
}

/* Buffers lie behind everything that is trained, in the vector and in the list. */
static int move_buffers(fl_model *m) {
  const size_t n = m->layout.n;
  fl_tensor *tensor = malloc(n * sizeof *tensor);
  fl_start *start = malloc(n * sizeof *start);
  size_t at = 0;
  for (int buffers = 0; buffers < 2 && tensor && start; buffers++)
    for (size_t i = 0; i < n; i++) {
      if ((m->tensor[i].role == FL_BUFFER) != buffers) continue;
      tensor[at] = m->tensor[i];
      start[at] = m->start[i];
      if (buffers) tensor[at].offset += m->layout.d;
      at++;
    }
  if (at == n) memcpy(m->tensor, tensor, n * sizeof *tensor), memcpy(m->start, start, n * sizeof *start);
  free(tensor);
  free(start);
  for (size_t i = 0; i < m->n; i++)
    for (size_t j = 0; j < m->module[i].n_buffers; j++) m->module[i].buffer[j] += m->layout.d;
  return at == n ? 0 : -1;
}

/* ---- one layer ----------------------------------------------------------------------------------------------------------- */
static int read_numbers(fl_binder *b, fl_module *s, const char *value) {
  if (!s->n_numbers) return 0;
  free(s->number);
  if (!(s->number = malloc(s->n_numbers * sizeof *s->number))) return fl_bind_refuse(b, "no memory");
  fl_param_numbers(value, s->number);
  return 0;
}

/* settings: "key=value key=value" */
static int read_settings(fl_binder *b, fl_module *s, const char *settings) {
  const fl_layer *type = s->type;
  const char *names[FL_LAYER_PARAMS];
  char place[300];
  place_text(b, s, place, sizeof place);
  for (size_t i = 0; i < type->n_params; i++) names[i] = type->params[i].name, s->h[i] = type->params[i].def;
  for (const char *at = settings ? settings : ""; *(at += strspn(at, " "));) {
    char word[1024], *value;
    const size_t length = strcspn(at, " ");
    if (length >= sizeof word) return fl_bind_refuse(b, "'%.*s'; allowed: key=value", (int)length, at);
    snprintf(word, sizeof word, "%.*s", (int)length, at);
    at += length;
    if (!(value = strchr(word, '='))) return fl_bind_refuse(b, "'%s'; allowed: key=value", word);
    *value++ = 0;
    size_t i = 0;
    while (i < type->n_params && strcmp(names[i], word)) i++;
    if (i == type->n_params) {
      char what[80];
      snprintf(what, sizeof what, "key of %s", type->name);
      return fl_unknown(place, what, word, names, type->n_params, b->err, b->size);
    }
    if (fl_param_read(&type->params[i], &(fl_setting){ word, value, place }, &s->h[i], b->err, b->size)) return -1;
    if (!(type->params[i].flags & FL_NUMBERS)) continue;
    s->n_numbers = (size_t)s->h[i];
    if (read_numbers(b, s, value)) return -1;
  }
  return 0;
}

/* The value of that name among those before module i; -1: none. */
static int find_value(const fl_model *m, size_t i, const char *name) {
  if (!strcmp(name, "input")) return 0;
  while (i > 0 && strcmp(m->module[i - 1].name, name)) i--;
  return i ? (int)i : -1;
}

static int read_from(fl_binder *b, fl_module *s, size_t i, const char *from) {
  if (!from) s->in[s->n_in++] = i;
  for (const char *at = from ? from : ""; *(at += strspn(at, " "));) {
    char word[128];
    const size_t length = strcspn(at, " ");
    snprintf(word, sizeof word, "%.*s", (int)length, at);
    at += length;
    const int value = find_value(b->m, i, word);
    if (value < 0) return fl_bind_refuse(b, "from = '%s'; allowed: input, or a layer before it", word);
    if (s->n_in == FL_LAYER_INPUTS) return fl_bind_refuse(b, "from has more than %d layers", (int)FL_LAYER_INPUTS);
    for (size_t j = 0; j < s->n_in; j++)
      if (s->in[j] == (size_t)value) return fl_bind_refuse(b, "from names '%s' twice; allowed: once", word);
    s->in[s->n_in++] = (size_t)value;
  }
  if (s->n_in < s->type->least || s->n_in > s->type->most)
    return fl_bind_refuse(b, "%s reads %zu layer%s; allowed: %zu to %zu", s->type->name, s->n_in, s->n_in == 1 ? "" : "s",
                          s->type->least, s->type->most);
  return 0;
}

static int find_type(fl_binder *b, fl_module *s, const fl_layer_spec *l) {
  char place[300];
  s->name = keep(b, l->name);
  s->where = l->where ? keep(b, l->where) : NULL;
  place_text(b, s, place, sizeof place);
  if (!(s->type = fl_layer_find(l->type))) {
    const char *names[64];
    const size_t n = fl_layer_count() < 64 ? fl_layer_count() : 64;
    for (size_t k = 0; k < n; k++) names[k] = fl_layer_at(k)->name;
    return fl_unknown(place, "type of layer", l->type, names, n, b->err, b->size);
  }
  return 0;
}

static int bind_layer(fl_binder *b, size_t i, const fl_layer_spec *l) {
  fl_module *s = b->module = &b->m->module[i];
  if (find_type(b, s, l)) return -1;
  if (s->type->loss) return fl_bind_refuse(b, "%s is a loss; allowed: as the last of the layers", s->type->name);
  if (!strcmp(l->name, "input") || !*l->name || strpbrk(l->name, " \t"))
    return fl_bind_refuse(b, "the name is empty, has a blank, or is 'input'; allowed: a name of its own");
  if (find_value(b->m, i, l->name) >= 0) return fl_bind_refuse(b, "a layer before it has this name; allowed: a name of its own");
  if (read_settings(b, s, l->settings) || read_from(b, s, i, l->from)) return -1;
  s->from = *shape_of(b->m, s->in[0]);
  b->layer = -1;
  if (s->type->bind(s, b)) return -1;
  s->trains = s->n_tensors > 0;
  for (size_t j = 0; j < s->n_in; j++) s->trains |= s->in[j] && b->m->module[s->in[j] - 1].trains;
  return 0;
}

/* ---- the whole network --------------------------------------------------------------------------------------------------- */
static size_t readers(const fl_model *m, size_t value) {
  size_t n = 0;
  for (size_t i = 0; i < m->n; i++)
    for (size_t j = 0; j < m->module[i].n_in; j++) n += m->module[i].in[j] == value;
  return n;
}

/* A convolution, ReLU and pooling in a row, which nobody else reads, become one module. */
static void fuse_pooling(fl_model *m) {
  for (size_t i = 0; i + 2 < m->n; i++) {
    fl_module *s = &m->module[i];
    if (s[1].in[0] != i + 1 || s[2].in[0] != i + 2 || readers(m, i + 1) != 1 || readers(m, i + 2) != 1 ||
        !fl_conv_pool_replaces(&s[0], &s[1], &s[2])) continue;
    s->type = &fl_layer_conv_pool;
    s->to = s[2].to;
    memmove(s + 1, s + 3, (m->n - i - 3) * sizeof *s);
    m->n -= 2;
    for (size_t k = i + 1; k < m->n; k++)
      for (size_t j = 0; j < m->module[k].n_in; j++)
        if (m->module[k].in[j] > i + 1) m->module[k].in[j] -= 2;
  }
}

static int check_ends(fl_binder *b) {
  fl_model *m = b->m;
  char text[64];
  for (size_t i = 0; i + 1 < m->n; i++) {
    b->module = &m->module[i];
    if (!readers(m, i + 1)) return fl_bind_refuse(b, "no layer reads it; allowed: only the last layer is read by nobody");
  }
  b->module = &m->module[m->n - 1];
  const size_t positions = m->train.positions;
  const fl_shape *to = &b->module->to;
  if (positions && (to->kind != FL_SEQUENCE || to->dim[0] != positions || to->dim[1] != m->outputs))
    return fl_bind_refuse(b, "its output is %s; allowed: of the last layer, as rows have %zu labels, a sequence of %zux%zu",
                          fl_shape_text(to, text), positions, positions, m->outputs);
  if (!positions && (fl_shape_size(to) != m->outputs || to->kind == FL_TOKENS))
    return fl_bind_refuse(b, "its output is %s; allowed: of the last layer one number%s %zu classes", fl_shape_text(to, text),
                          m->outputs == 1 ? ", as its loss has of" : " for each of the", m->objective.classes);
  if (!b->module->trains) return fl_bind_refuse(b, "no layer of the network has parameters; allowed: one or more");
  return 0;
}

/* ---- the loss ------------------------------------------------------------------------------------------------------------ */
/* Every label must be of a class, or the one that does not count. */
static int check_labels(fl_binder *b, const fl_samples *from, const char *what) {
  const fl_model *m = b->m;
  const size_t n = from->n * m->labels;
  for (size_t i = 0; (from->label || from->label32) && i < n; i++) {
    const uint32_t label = from->label32 ? from->label32[i] : from->label[i];
    if (label >= m->objective.classes && label != m->loss.ignore)
      return fl_bind_refuse(b, "label %u of %s row %zu; allowed: 0 to %zu%s", label, what, i / m->labels,
                            m->objective.classes - 1, m->loss.type->acts & FL_SOFTMAX ? ", or the one that `ignore` names" : "");
  }
  return 0;
}

/* NULL: none is said. */
static const fl_layer_spec *loss_of(const fl_net *net) {
  const fl_layer *type = fl_layer_find(net->layer[net->n - 1].type);
  return type && type->loss ? &net->layer[net->n - 1] : NULL;
}

static int bind_loss(fl_binder *b, const fl_layer_spec *l) {
  fl_module *s = b->module = &b->m->loss;
  const fl_module *last = &b->m->module[b->m->n - 1];
  if (find_type(b, s, l) || read_settings(b, s, l->settings)) return -1;
  if (l->from && strcmp(l->from, last->name))
    return fl_bind_refuse(b, "from = '%s'; allowed: of a loss '%s', the layer before it", l->from, last->name);
  s->from = last->to;
  s->ignore = FL_IGNORE_NONE;
  return s->type->bind(s, b) || check_labels(b, &b->m->train, "training") || check_labels(b, &b->m->test, "test") ? -1 : 0;
}

int fl_bind(fl_model *m, const fl_net *net, char *err, size_t size) {
  static const fl_layer_spec none = FL_NEXT("cross_entropy", "loss", "");
  const fl_layer_spec *loss = loss_of(net);
  const size_t layers = net->n - (loss != NULL);
  fl_binder b = { .m = m, .err = err, .size = size };
  size_t text = sizeof "loss";
  for (size_t i = 0; i < net->n; i++) {
    const fl_layer_spec *l = &net->layer[i];
    const size_t name = strlen(l->name) + 1;
    text += name + (FL_LAYER_TENSORS + FL_LAYER_BUFFERS) * (name + 31) + (l->where ? strlen(l->where) + 1 : 0);
  }
  m->module = calloc(net->n, sizeof *m->module);
  m->tensor = calloc(net->n * (FL_LAYER_TENSORS + FL_LAYER_BUFFERS), sizeof *m->tensor);
  m->start = calloc(net->n * (FL_LAYER_TENSORS + FL_LAYER_BUFFERS), sizeof *m->start);
  m->text = b.text = malloc(text);
  if (!m->module || !m->tensor || !m->start || !m->text) return snprintf(err, size, "model %s: no memory", net->name), -1;
  m->layout.tensor = m->tensor;
  const int features = m->train.features || m->train.begin;
  m->input = m->train.tokens                                 ? (fl_shape){ FL_TOKENS, { m->train.w } }
             : features && m->train.c == 1 && m->train.h == 1 ? (fl_shape){ FL_VECTOR, { m->train.w } }
             : features && m->train.c == 1                   ? (fl_shape){ FL_SEQUENCE, { m->train.h, m->train.w } }
                                                             : (fl_shape){ FL_IMAGE, { m->train.c, m->train.h, m->train.w } };
  const fl_layer *type = fl_layer_find((loss ? loss : &none)->type);
  m->outputs = type->logits ? type->logits(m->objective.classes) : m->objective.classes;
  for (; m->n < layers; m->n++)
    if (bind_layer(&b, m->n, &net->layer[m->n])) return -1;
  if (!layers) return snprintf(err, size, "model %s: a loss and no layer; allowed: one layer or more before it", net->name), -1;
  if (check_ends(&b) || bind_loss(&b, loss ? loss : &none)) return -1;
  if (m->layout.buffers && move_buffers(m)) return snprintf(err, size, "model %s: no memory", net->name), -1;
  fuse_pooling(m);
  for (size_t i = 0; i < m->n; i++) m->draws |= m->module[i].draws;
  if (m->draws || m->layout.buffers || m->train.augment) m->objective.grad = fl_plan_grad;
  return 0;
}
