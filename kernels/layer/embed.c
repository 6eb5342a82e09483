/* embed.c - rows of a table by token, and the table's gradient: for each token its places in order, so that its sum does not
 * depend on how often others come. Places are sorted by token, by counting. */
#include "kernels/simd/each.h"
#include "kernels/simd/decl.h"

void FL_FN(embed)(size_t rows, size_t n, float *y, const uint32_t *token, const float *table) {
  for (size_t r = 0; r < rows; r++, y += n) {
    const float *from = table + token[r] * n;
    FL_EACH(n, v_put(y + i, lanes, v_get(from + i, lanes)));
  }
}

typedef struct { size_t n, piece; const float *dy; } places;

/* The fixed tree over pieces first .. first + pieces - 1, of which those without a place are absent: what one would add is +0. */
static v16 tree_sum(const places *p, size_t j, size_t lanes, const uint32_t *row, size_t count, size_t first, size_t pieces) {
  if (pieces == 1) {
    v16 sum = v_zero();
    for (size_t k = 0; k < count; k++) sum = v_add(sum, v_get(p->dy + row[k] * p->n + j, lanes));
    return sum;
  }
  size_t left = 1, split = 0;
  while (2 * left < pieces) left *= 2;
  while (split < count && row[split] / p->piece < first + left) split++;
  if (split == count) return tree_sum(p, j, lanes, row, count, first, left);
  if (split == 0) return tree_sum(p, j, lanes, row, count, first + left, pieces - left);
  return v_add(tree_sum(p, j, lanes, row, split, first, left),
               tree_sum(p, j, lanes, row + split, count - split, first + left, pieces - left));
}

void FL_FN(embed_grad)(size_t rows, size_t n, const float *dy, const uint32_t *token, size_t vocabulary, float *dtable,
                       size_t piece, uint32_t *work) {
  uint32_t *end = work, *row = work + vocabulary;
  const places p = { n, piece, dy };
  const size_t pieces = (rows + piece - 1) / piece;
  memset(end, 0, vocabulary * sizeof *end);
  for (size_t r = 0; r < rows; r++) end[token[r]]++;
  for (size_t t = 0, sum = 0; t < vocabulary; t++) {    /* where a token's places begin; then, filled in, where they end */
    const uint32_t count = end[t];
    end[t] = (uint32_t)sum;
    sum += count;
  }
  for (size_t r = 0; r < rows; r++) row[end[token[r]]++] = (uint32_t)r;
  for (size_t t = 0; t < vocabulary; t++, dtable += n) {
    const size_t begin = t ? end[t - 1] : 0, count = end[t] - begin;
    if (!count) memset(dtable, 0, n * sizeof *dtable);
    else FL_EACH(n, v_put(dtable + i, lanes, tree_sum(&p, i, lanes, row + begin, count, 0, pieces)));
  }
}
