/* blocks.c - second-moment blocks of a layout (federated-adaptive 13, BLOCKS): contiguous runs that cover 0..d in order.
 * head is the rule of the same group's follow-up; its q/k/v bias split is inferred, as is `neuron` for convolutions. */
#include <fedlane/optimizer.h>

enum { RULE_HEAD, RULE_NEURON, RULE_TENSOR, RULE_FULL };

/* Number of equal pieces that tensor t is cut into. */
static size_t pieces(const fl_tensor *t, int rule) {
  const size_t heads = t->heads > 0 ? (size_t)t->heads : 1;
  const int attention = t->role == FL_Q || t->role == FL_K || t->role == FL_V || t->role == FL_QKV;
  if (rule == RULE_TENSOR) return 1;
  if (rule == RULE_FULL) return t->size;
  if (rule == RULE_HEAD) return attention ? (t->role == FL_QKV ? 3 * heads : heads) : 1;
  if (t->role == FL_Q || t->role == FL_K) return heads;
  if (t->role == FL_BIAS) return t->size;
  if (t->role == FL_NORM) return 1;
  return t->ndim >= 2 ? t->shape[0] : 1;
}

size_t fl_blocks_of(const fl_layout *layout, int rule, fl_run *out) {
  size_t n = 0;
  for (size_t i = 0; i < layout->n; i++) {
    const fl_tensor *t = &layout->tensor[i];
    if (t->role == FL_BUFFER) continue;
    const size_t p = pieces(t, rule), size = t->size / p;
    for (size_t j = 0; j < p; j++, n++)
      if (out) out[n] = (fl_run){ t->offset + j * size, size };
  }
  return n;
}

size_t fl_whole_floats(const fl_job *job, const double *h) {
  (void)h;
  return job->layout->d + job->layout->buffers;
}
