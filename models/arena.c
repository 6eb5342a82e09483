/* arena.c - where the arrays of a network lie in its scratch block: each only as long as somebody still reads it, those that are
 * never needed together in one place. All sizes are a sample's, in whole cache lines, so one plan serves every batch. */
#include "models/plan.h"
#include <stdlib.h>
#include <string.h>

#define LINE 64u

/* The largest first, each at the lowest place that is free for as long as it is needed. */
static int larger(const void *a, const void *b) {
  const fl_span *const *x = a, *const *y = b;
  if ((*x)->bytes != (*y)->bytes) return (*x)->bytes < (*y)->bytes ? 1 : -1;
  return *x < *y ? -1 : *x > *y;
}

static int meet(const fl_span *a, const fl_span *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest offset for s among n placed ones, in the order of their offsets: one way through them, as nothing that was passed is
 * in the way of a higher place. */
static size_t lowest(const fl_span *s, fl_span *const *placed, size_t n) {
  size_t at = 0;
  for (size_t i = 0; i < n && placed[i]->offset < at + s->bytes; i++) {
    const size_t end = placed[i]->offset + placed[i]->bytes;
    if (meet(s, placed[i]) && at < end) at = end;
  }
  return at;
}

static void put(fl_span *s, fl_span **placed, size_t n) {
  size_t from = 0, to = n;
  while (from < to) {
    const size_t mid = from + (to - from) / 2;
    if (placed[mid]->offset <= s->offset) from = mid + 1;
    else to = mid;
  }
  memmove(placed + from + 1, placed + from, (n - from) * sizeof *placed);
  placed[from] = s;
}

size_t fl_spans_place(fl_span *span, size_t n) {
  size_t total = 0;
  fl_span **order = malloc((2 * n + 1) * sizeof *order);
  if (!order) return SIZE_MAX;
  fl_span **placed = order + n;
  for (size_t i = 0; i < n; i++) order[i] = &span[i];
  qsort(order, n, sizeof *order, larger);
  for (size_t i = 0; i < n; i++) {
    order[i]->offset = lowest(order[i], placed, i);
    put(order[i], placed, i);
    if (order[i]->offset + order[i]->bytes > total) total = order[i]->offset + order[i]->bytes;
  }
  free(order);
  return total;
}

/* last_use: of each value, the last step that reads it; 0: none. */
typedef struct { fl_arena *a; const fl_module *module; size_t n; int training; size_t *last_use; } planner;

static size_t forward_at(size_t module) { return module + 1; }
static size_t loss_at(const planner *p) { return p->n + 1; }
static size_t backward_at(const planner *p, size_t module) { return 2 * p->n + 1 - module; }
static int goes_back(const planner *p, size_t module) { return p->training && p->module[module].trains; }
/* Whether the gradient of a value is asked for: somebody before it has parameters. */
static int wants_gradient(const planner *p, size_t value) { return value > 0 && goes_back(p, value - 1); }

static int add_span(fl_arena *a, size_t first, size_t last, size_t bytes) {
  a->span[a->n_spans] = (fl_span){ first, last, (bytes + LINE - 1) / LINE * LINE, 0 };
  return (int)a->n_spans++;
}
static void needed_at(fl_arena *a, int span, size_t step) {
  if (step < a->span[span].first) a->span[span].first = step;
  if (step > a->span[span].last) a->span[span].last = step;
}

static void find_last_uses(planner *p) {
  for (size_t v = 0; v <= p->n; v++) p->last_use[v] = 0;
  for (size_t i = 0; i < p->n; i++) {
    const fl_module *m = &p->module[i];
    for (size_t j = 0; j < m->n_in; j++) {
      const size_t at = goes_back(p, i) && m->type->acts & FL_KEEPS_INPUT ? backward_at(p, i) : forward_at(i);
      if (at > p->last_use[m->in[j]]) p->last_use[m->in[j]] = at;
    }
    if (i + 1 == p->n) p->last_use[p->n] = loss_at(p);
    if (goes_back(p, i) && m->type->acts & FL_KEEPS_OUTPUT) p->last_use[i + 1] = backward_at(p, i);
  }
}

/* A module may write over its first input when nothing that lies there is read again. */
static int over_input(const planner *p, size_t i) {
  const fl_module *m = &p->module[i];
  if (!(m->type->acts & FL_IN_PLACE) || fl_shape_size(&m->to) != fl_shape_size(&m->from)) return 0;
  return p->a->span[p->a->place[m->in[0]].value].last <= forward_at(i);
}

static void plan_values(planner *p, const fl_shape *input) {
  fl_place_of *place = p->a->place;
  place[0].value = add_span(p->a, 0, p->last_use[0], fl_shape_size(input) * sizeof(float));
  for (size_t i = 0; i < p->n; i++) {
    const fl_module *m = &p->module[i];
    place[i + 1].value = over_input(p, i) ? place[m->in[0]].value
                                          : add_span(p->a, forward_at(i), forward_at(i), fl_shape_size(&m->to) * sizeof(float));
    needed_at(p->a, place[i + 1].value, forward_at(i));
    needed_at(p->a, place[i + 1].value, p->last_use[i + 1]);
    const size_t kept = m->type->kept ? m->type->kept(m) : 0;
    if (kept) place[i + 1].kept = add_span(p->a, forward_at(i), goes_back(p, i) ? backward_at(p, i) : forward_at(i), kept);
  }
}

/* From the loss back: the first module that reaches a value makes its gradient, in the place of that of the module's own output
 * where it can; what others contribute waits apart and is added. */
static void plan_gradients(planner *p) {
  fl_place_of *place = p->a->place;
  size_t bytes = fl_shape_size(&p->module[p->n - 1].to) * sizeof(float);
  place[p->n].gradient = add_span(p->a, loss_at(p), loss_at(p), bytes);       /* evaluation wants the losses' scratch, too */
  for (size_t i = p->n; i-- > 0;) {
    const fl_module *m = &p->module[i];
    const size_t now = backward_at(p, i);
    if (!goes_back(p, i)) continue;
    needed_at(p->a, place[i + 1].gradient, now);
    for (size_t j = m->n_in; j-- > 0;) {
      const size_t v = m->in[j];
      if (!wants_gradient(p, v)) continue;
      bytes = fl_shape_size(&p->module[v - 1].to) * sizeof(float);
      if (place[v].gradient == FL_NOWHERE) {
        const int same = j == 0 && (!m->type->backward || m->type->acts & FL_BACK_IN_PLACE) &&
                         fl_shape_size(&m->to) == fl_shape_size(&m->from);
        place[i + 1].makes |= 1u << j;
        place[v].gradient = same ? place[i + 1].gradient : add_span(p->a, now, now, bytes);
      } else if (m->type->backward) {
        place[i + 1].apart[j] = add_span(p->a, now, now, bytes);
      }
      needed_at(p->a, place[v].gradient, now);
    }
  }
}

int fl_arena_plan(fl_arena *a, const fl_module *module, size_t n, const fl_shape *input, int training) {
  planner p = { a, module, n, training, malloc((n + 1) * sizeof *p.last_use) };
  a->place = malloc((n + 1) * sizeof *a->place);
  a->span = calloc(n * (3 + FL_LAYER_INPUTS) + 2, sizeof *a->span);
  if (!a->place || !a->span || !p.last_use) return free(p.last_use), -1;
  for (size_t v = 0; v <= n; v++) {
    a->place[v] = (fl_place_of){ FL_NOWHERE, FL_NOWHERE, FL_NOWHERE, { 0 }, 0 };
    for (size_t j = 0; j < FL_LAYER_INPUTS; j++) a->place[v].apart[j] = FL_NOWHERE;
  }
  find_last_uses(&p);
  plan_values(&p, input);
  free(p.last_use);
  plan_gradients(&p);
  a->bytes = fl_spans_place(a->span, a->n_spans);
  return a->bytes == SIZE_MAX ? -1 : 0;
}

void fl_arena_free(fl_arena *a) {
  free(a->span);
  free(a->place);
}
