/* augment.c - what a training gradient does to rows of pixels before they are scaled: the usual crop out of an image with 4
 * pixels of padding on every side, and the mirror image. From counters alone: seed, round, client, step and gradient by the key,
 * and the row; so neither threads nor the order of rows nor a resumed run can change it. */
#include "models/model.h"
#include <string.h>

enum { PAD = 4, OWN = UINT32_MAX };             /* OWN: no layer has this number (fl_key_child) */

fl_augmented fl_augment_draw(unsigned augment, const fl_key *draws, uint32_t row) {
  const fl_key own = fl_key_child(draws, OWN);
  const uint32_t counter[4] = { row, own.step, own.client, own.purpose << 24 | own.round };
  uint32_t word[4];
  fl_philox(counter, own.seed, word);
  const int crops = augment & FL_AUGMENT_CROP ? 1 : 0;
  return (fl_augmented){ .down = crops * ((int)((uint64_t)word[0] * (2 * PAD + 1) >> 32) - PAD),
                         .right = crops * ((int)((uint64_t)word[1] * (2 * PAD + 1) >> 32) - PAD),
                         .mirrored = augment & FL_AUGMENT_FLIP && word[2] >> 31 };
}

/* Line by line: the columns that the shift leaves inside, in their order or from the right. */
void fl_augment_row(const fl_augmented *a, size_t c, size_t h, size_t w, const uint8_t *from, uint8_t *to) {
  const size_t off = (size_t)(a->right < 0 ? -a->right : a->right), kept = off < w ? w - off : 0;
  const size_t first = a->right > 0 ? 0 : off, at = a->right > 0 ? off : 0;        /* in `from`, in `to` */
  memset(to, 0, c * h * w);
  for (size_t y = 0; y < c * h; y++) {
    const long line = (long)(y % h) - a->down;
    if (line < 0 || line >= (long)h || !kept) continue;
    const uint8_t *p = from + ((y / h) * h + (size_t)line) * w + first;
    uint8_t *q = to + y * w;
    if (!a->mirrored) memcpy(q + at, p, kept);
    else for (size_t x = 0; x < kept; x++) q[w - 1 - at - x] = p[x];
  }
}
