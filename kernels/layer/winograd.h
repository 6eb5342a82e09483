/* winograd.h - F(4x4, 3x3): sixteen outputs of a 3x3 kernel from 36 products instead of 144 (Winograd; Lavin and Gray,
 * arXiv:1509.09308), with the points 0, +-a, +-b and infinity, a = 11/16, b = 3/2, at which the error is half of that at the
 * usual 0, +-1, +-2. With H the 6x6 transform of an input tile, K of the kernel, R of the result:
 *
 *   y = R (K g K^T . H d H^T) R^T        summed over channels between the brackets
 *   dg = K^T (R^T dy R . H d H^T) K      summed over tiles
 *
 *   rows of H, scaled so that x^4 or x^5 has factor 1:    rows of K, p the point:      rows of R:
 *   0:    a^2 b^2, 0, -(a^2+b^2), 0, 1, 0                 (1, p, p^2)/N                1, p^i at the points, 0 at infinity;
 *   +-a:  0, -+a b^2, -b^2, +-a, 1, 0                     N_0 = a^2 b^2                1 there in the last
 *   +-b:  0, -+b a^2, -a^2, +-b, 1, 0                     N_a = 2 a^2 (a^2 - b^2)
 *   inf:  0, a^2 b^2, 0, -(a^2+b^2), 0, 1                 inf: 0, 0, 1
 *
 * All of H and R are floats without rounding. Columns are transformed before rows. What is written below is the expression
 * tree: it is part of the results' definition. */
#ifndef FL_LAYER_WINOGRAD_H
#define FL_LAYER_WINOGRAD_H
#include "kernels/gemm/tile.h"
#include "kernels/layer/conv.h"
#include "kernels/layer/hwc.h"

#define WINO_A 0.6875f
#define WINO_A2 0.47265625f
#define WINO_A3 0.324951171875f
#define WINO_B 1.5f
#define WINO_B2 2.25f
#define WINO_B3 3.375f
#define WINO_PRODUCT 1.0634765625f      /* a^2 b^2 */
#define WINO_SUM 2.72265625f            /* a^2 + b^2 */
#define WINO_K0 ((float)(1.0 / 1.0634765625))
#define WINO_KA ((float)(1.0 / (2.0 * 0.47265625 * (0.47265625 - 2.25))))
#define WINO_KB ((float)(1.0 / (2.0 * 2.25 * (2.25 - 0.47265625))))

/* H d. */
TILE_INLINE void wino_input(const v16 d[6], v16 to[6]) {
  const v16 a = v_set(WINO_A), a2 = v_set(WINO_A2), b = v_set(WINO_B), b2 = v_set(WINO_B2), product = v_set(WINO_PRODUCT);
  const v16 sum = v_set(WINO_SUM);
  const v16 even_a = v_fnma(b2, d[2], d[4]), odd_a = v_fnma(b2, d[1], d[3]);
  const v16 even_b = v_fnma(a2, d[2], d[4]), odd_b = v_fnma(a2, d[1], d[3]);
  to[0] = v_fma(product, d[0], v_fnma(sum, d[2], d[4]));
  to[1] = v_fma(a, odd_a, even_a);
  to[2] = v_fnma(a, odd_a, even_a);
  to[3] = v_fma(b, odd_b, even_b);
  to[4] = v_fnma(b, odd_b, even_b);
  to[5] = v_fma(product, d[1], v_fnma(sum, d[3], d[5]));
}

/* K g. */
TILE_INLINE void wino_kernel(const v16 g[3], v16 to[6]) {
  const v16 a = v_set(WINO_A), a2 = v_set(WINO_A2), b = v_set(WINO_B), b2 = v_set(WINO_B2);
  const v16 even_a = v_fma(a2, g[2], g[0]), odd_a = v_mul(a, g[1]), even_b = v_fma(b2, g[2], g[0]), odd_b = v_mul(b, g[1]);
  to[0] = v_mul(v_set(WINO_K0), g[0]);
  to[1] = v_mul(v_set(WINO_KA), v_add(even_a, odd_a));
  to[2] = v_mul(v_set(WINO_KA), v_sub(even_a, odd_a));
  to[3] = v_mul(v_set(WINO_KB), v_add(even_b, odd_b));
  to[4] = v_mul(v_set(WINO_KB), v_sub(even_b, odd_b));
  to[5] = g[2];
}

/* R m. */
TILE_INLINE void wino_output(const v16 m[6], v16 to[4]) {
  const v16 even_a = v_add(m[1], m[2]), odd_a = v_sub(m[1], m[2]), even_b = v_add(m[3], m[4]), odd_b = v_sub(m[3], m[4]);
  to[0] = v_add(m[0], v_add(even_a, even_b));
  to[1] = v_fma(v_set(WINO_A), odd_a, v_mul(v_set(WINO_B), odd_b));
  to[2] = v_fma(v_set(WINO_A2), even_a, v_mul(v_set(WINO_B2), even_b));
  to[3] = v_fma(v_set(WINO_A3), odd_a, v_fma(v_set(WINO_B3), odd_b, m[5]));
}

/* R^T y. */
TILE_INLINE void wino_gradient(const v16 y[4], v16 to[6]) {
  const v16 a = v_set(WINO_A), a2 = v_set(WINO_A2), b = v_set(WINO_B), b2 = v_set(WINO_B2);
  const v16 even_a = v_fma(a2, y[2], y[0]), odd_a = v_fma(a2, y[3], y[1]);
  const v16 even_b = v_fma(b2, y[2], y[0]), odd_b = v_fma(b2, y[3], y[1]);
  to[0] = y[0];
  to[1] = v_fma(a, odd_a, even_a);
  to[2] = v_fnma(a, odd_a, even_a);
  to[3] = v_fma(b, odd_b, even_b);
  to[4] = v_fnma(b, odd_b, even_b);
  to[5] = y[3];
}

/* K^T m. */
TILE_INLINE void wino_weight(const v16 m[6], v16 to[3]) {
  const v16 ka = v_set(WINO_KA), kb = v_set(WINO_KB);
  const v16 even_a = v_mul(ka, v_add(m[1], m[2])), odd_a = v_mul(ka, v_sub(m[1], m[2]));
  const v16 even_b = v_mul(kb, v_add(m[3], m[4])), odd_b = v_mul(kb, v_sub(m[3], m[4]));
  to[0] = v_fma(v_set(WINO_K0), m[0], v_add(even_a, even_b));
  to[1] = v_fma(v_set(WINO_A), odd_a, v_mul(v_set(WINO_B), odd_b));
  to[2] = v_fma(v_set(WINO_A2), even_a, v_fma(v_set(WINO_B2), even_b, m[5]));
}

/* A function name_tile of sixteen channels: rows x cols places to M x M, each M N-vector transforms of columns, then of rows. */
#define WINO_TILE(name, N, M) \
  TILE_INLINE void name##_tile(const float *from, ptrdiff_t row, ptrdiff_t col, v16 to[M][M]) { \
    v16 half[M][N]; \
    TILE_UNROLL \
    for (int j = 0; j < N; j++) { \
      v16 in[N], out[M]; \
      TILE_UNROLL \
      for (int i = 0; i < N; i++) in[i] = v_load(from + i * row + j * col); \
      name(in, out); \
      TILE_UNROLL \
      for (int i = 0; i < M; i++) half[i][j] = out[i]; \
    } \
    TILE_UNROLL \
    for (int i = 0; i < M; i++) name(half[i], to[i]); \
  }
#endif
