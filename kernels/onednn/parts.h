/* parts.h - operations of oneDNN that others here are built of. Each gives 0 where oneDNN refused or cannot keep the contract. */
#ifndef FL_ONEDNN_PARTS_H
#define FL_ONEDNN_PARTS_H
#include "primitive.h"

/* What a key begins with. */
enum { ONEDNN_CONV = 1, ONEDNN_CONV_WEIGHT, ONEDNN_CONV_INPUT, ONEDNN_POOL, ONEDNN_POOL_BACK, ONEDNN_LAYER_NORM,
       ONEDNN_LAYER_NORM_BACK, ONEDNN_BATCH_NORM };

/* x, w, y or their gradients (of the operation's result that which is written); b NULL: none, or not wanted. */
int fl_onednn_convolve(int operation, const fl_conv *s, size_t n, const float *x, const float *w, const float *y,
                       const float *b);

/* Windows of k x k, `stride` apart, on planes with `pad` rows and columns around; `at`: place of the maximum in its window. */
typedef struct { size_t planes, h, w, oh, ow, k, stride, pad; int kind; } onednn_pool;
enum { ONEDNN_MAX = 1, ONEDNN_MEAN, ONEDNN_MEAN_INSIDE };
int fl_onednn_pool(const onednn_pool *, const float *x, float *y, uint8_t *at);
int fl_onednn_pool_back(const onednn_pool *, const float *dy, const uint8_t *at, float *dx);
#endif
