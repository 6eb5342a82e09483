/* onednn.c - matrix products by oneDNN behind the signatures of kernels.h. `piece` has no meaning here: oneDNN chooses its own
 * order of additions by CPU, version and shape, and a run that uses it is marked not reproducible.
 *
 * dnnl_sgemm, not matmul primitives: those must be made and kept for every shape and row distance (0.3 to 50 ms each, and a
 * federated run has as many as its clients have last batches), and over the models' shapes they were 1 % faster in the
 * geometric mean: 1.6x at 50x10x784, 0.8x at 50x200x10. dnnl_sgemm keeps its generated code by itself, safely for threads. */
#include "kernels/onednn/plugin.h"
#include <dlfcn.h>
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>

#if DNNL_VERSION_MAJOR < 3
#error "oneDNN 3 or newer is needed"
#endif

static fl_kernels own; /* takes what oneDNN refuses */

/* Row-major C (m x n). A worker of the team has one core: a product inside it may not open a team of its own. The number is the
 * calling thread's setting, so others do not see it. */
static int multiply(char ta, char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                    float *c, size_t ldc) {
  if (!m || !n || !k) return 0;
  const int threads = omp_get_max_threads();
  if (threads != 1) omp_set_num_threads(1);
  const dnnl_status_t status = dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, a, (dnnl_dim_t)lda, b,
                                          (dnnl_dim_t)ldb, 0.0f, c, (dnnl_dim_t)ldc);
  if (threads != 1) omp_set_num_threads(threads);
  return status == dnnl_success;
}

#define PRODUCT(name, ta, tb)                                                                                                  \
  static void name(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc, \
                   size_t piece) {                                                                                             \
    if (!multiply(ta, tb, m, n, k, a, lda, b, ldb, c, ldc)) own.name(m, n, k, a, lda, b, ldb, c, ldc, piece);                  \
  }
PRODUCT(gemm_nn, 'N', 'N')
PRODUCT(gemm_nt, 'N', 'T')
PRODUCT(gemm_tn, 'T', 'N')

static const char *const operations[] = { "gemm_nn", "gemm_nt", "gemm_tn", NULL };

static void table(const fl_kernels *native, fl_kernels *out) {
  own = *out = *native;
  out->gemm_nn = gemm_nn;
  out->gemm_nt = gemm_nt;
  out->gemm_tn = gemm_tn;
}

static void version(char *text, size_t size) {
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, size, "%d.%d.%d", v->major, v->minor, v->patch);
}

static const char *library(void) {
  Dl_info info;
  return dladdr(__extension__(void *) dnnl_sgemm, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

extern const fl_onednn fl_onednn_plugin;
const fl_onednn fl_onednn_plugin = { fl_kernels_registry, operations, version, library, table };
