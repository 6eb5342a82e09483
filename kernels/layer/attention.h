/* attention.h - how attention is cut, and where its parts lie in `work`; shared with fl_attention_work. No vectors here. */
#ifndef FL_LAYER_ATTENTION_H
#define FL_LAYER_ATTENTION_H
#include <fedlane/kernels.h>

#define ATTENTION_KEYS 256      /* of one step of the running softmax: part of the contract */
#define ATTENTION_QUERIES 128   /* of one tile, at most: shows in no bit */
#define ATTENTION_SHORT 16      /* lengths and dimensions up to here: sixteen pairs of sample and head side by side */

static inline int attention_short(const fl_attention *s) { return s->length <= ATTENTION_SHORT && s->dim <= ATTENTION_SHORT; }
static inline size_t attention_rows(const fl_attention *s) {
  const size_t tiles = (s->length + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES;
  return tiles ? (s->length + tiles - 1) / tiles : 0;
}
static inline size_t attention_columns(const fl_attention *s) {
  return (s->length < ATTENTION_KEYS ? s->length + 15 : ATTENTION_KEYS) / 16 * 16;
}
/* The elements of dropout of a pair of sample and head begin there. */
static inline size_t attention_first(const fl_attention *s, size_t pair) {
  return s->first + pair * s->length * ((s->length + 15) / 16 * 16);
}
static inline int attention_drops(const fl_attention *s) { return s->draws && s->drop > 0; }
/* Floats of one operand of sixteen pairs. */
static inline size_t attention_operand(const fl_attention *s) { return (s->length * s->dim + 15) / 16 * 256; }
#endif
