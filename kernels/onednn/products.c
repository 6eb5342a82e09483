/* products.c - matrix products. `piece` has no meaning here: oneDNN chooses its own order of additions.
 *
 * dnnl_sgemm, not matmul primitives: those must be made and kept for every shape and row distance, and over the models' shapes
 * they were 1 % faster in the geometric mean: 1.6x at 50x10x784, 0.8x at 50x200x10. dnnl_sgemm keeps its generated code by
 * itself, safely for threads. */
#include "primitive.h"

/* Row-major C (m x n). */
static int multiply(char ta, char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc) {
  if (!m || !n || !k) return 0;
  const int threads = fl_onednn_alone();
  const dnnl_status_t status = dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, a, (dnnl_dim_t)lda, b,
                                          (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
  fl_onednn_together(threads);
  return status == dnnl_success;
}

#define PRODUCT(name, ta, tb) \
  void fl_onednn_##name(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, \
                        size_t ldc, size_t piece) { \
    if (!multiply(ta, tb, m, n, k, a, lda, b, ldb, 0.0f, c, ldc)) \
      FL_ONEDNN_NATIVE(name)(m, n, k, a, lda, b, ldb, c, ldc, piece); \
  }
PRODUCT(gemm_nn, 'N', 'N')
PRODUCT(gemm_nt, 'N', 'T')
PRODUCT(gemm_tn, 'T', 'N')

#define ADDED(name, ta, tb) \
  void fl_onednn_##name(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, \
                        size_t ldc) { \
    if (!multiply(ta, tb, m, n, k, a, lda, b, ldb, 1.0f, c, ldc)) FL_ONEDNN_NATIVE(name)(m, n, k, a, lda, b, ldb, c, ldc); \
  }
ADDED(gemm_nn_add, 'N', 'N')
ADDED(gemm_tn_add, 'T', 'N')
