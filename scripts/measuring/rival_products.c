/* rival_products.c - GFLOP/s of oneDNN (dnnl_sgemm, and matmul with weights packed beforehand) and of OpenBLAS at the shapes of
 * `fedlane bench`. Built by scripts/performance --rivals against oneDNN 3; argument: OpenBLAS's library, or nothing. Prints one
 * JSON object of "LIBRARY FORM MxNxK": the best of many short repetitions. Threads: OMP_NUM_THREADS, OPENBLAS_NUM_THREADS. */
#include <dlfcn.h>
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { char a, b; int m, n, k; } shape; /* a, b: 'T' when the factor lies transposed */
static const shape shapes[] = {
  { 'N', 'N', 128, 128, 128 }, { 'N', 'N', 256, 256, 256 }, { 'N', 'N', 512, 512, 512 }, { 'N', 'N', 1024, 1024, 1024 },
  { 'N', 'N', 50, 200, 784 }, { 'N', 'N', 10, 200, 50 }, { 'N', 'N', 64, 576, 1024 }, { 'N', 'N', 784, 64, 576 },
  { 'N', 'N', 197, 192, 192 }, { 'N', 'N', 197, 768, 192 }, { 'N', 'N', 50, 10, 784 }, { 'N', 'N', 10, 10, 784 },
  { 'T', 'N', 784, 10, 50 }, { 'T', 'N', 784, 200, 50 }, { 'N', 'T', 50, 200, 10 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };
typedef void (*cblas_sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                            int ldb, float beta, float *c, int ldc);
static cblas_sgemm openblas;
static float *a, *b, *c;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void ok(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return;
  fprintf(stderr, "rival_products: oneDNN: %s failed (%d)\n", what, (int)status);
  exit(1);
}

/* ---- the rivals, each after a call that is not timed -------------------------------------------------------------------- */
static dnnl_primitive_t matmul;
static dnnl_stream_t stream;
static dnnl_exec_arg_t operands[3];

static void run_sgemm(const shape *s) {
  const int lda = s->a == 'T' ? s->m : s->k, ldb = s->b == 'T' ? s->k : s->n;
  ok(dnnl_sgemm(s->a, s->b, s->m, s->n, s->k, 1, a, lda, b, ldb, 0, c, s->n), "sgemm");
}
static void run_packed(const shape *s) {
  (void)s;
  ok(dnnl_primitive_execute(matmul, stream, 3, operands), "matmul");
  ok(dnnl_stream_wait(stream), "wait");
}
static void run_openblas(const shape *s) {
  openblas(101, s->a == 'T' ? 112 : 111, s->b == 'T' ? 112 : 111, s->m, s->n, s->k, 1, a, s->a == 'T' ? s->m : s->k, b,
           s->b == 'T' ? s->k : s->n, 0, c, s->n);
}

/* The weights in the form that oneDNN asks for, as a model that is only used has them. */
static void pack(const shape *s, dnnl_engine_t engine) {
  const dnnl_dims_t da = { s->m, s->k }, db = { s->k, s->n }, dc = { s->m, s->n };
  dnnl_memory_desc_t ma, mb, mc, any;
  dnnl_primitive_desc_t plan, copy;
  dnnl_primitive_t reorder;
  dnnl_memory_t plain, packed, left, out;
  ok(dnnl_memory_desc_create_with_tag(&ma, 2, da, dnnl_f32, s->a == 'T' ? dnnl_ba : dnnl_ab), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&mb, 2, db, dnnl_f32, s->b == 'T' ? dnnl_ba : dnnl_ab), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&any, 2, db, dnnl_f32, dnnl_format_tag_any), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&mc, 2, dc, dnnl_f32, dnnl_ab), "descriptor");
  ok(dnnl_matmul_primitive_desc_create(&plan, engine, ma, any, NULL, mc, NULL), "matmul's description");
  const_dnnl_memory_desc_t wanted = dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0);
  ok(dnnl_memory_create(&plain, mb, engine, b), "memory");
  ok(dnnl_memory_create(&packed, wanted, engine, DNNL_MEMORY_ALLOCATE), "memory");
  ok(dnnl_memory_create(&left, ma, engine, a), "memory");
  ok(dnnl_memory_create(&out, mc, engine, c), "memory");
  ok(dnnl_reorder_primitive_desc_create(&copy, mb, engine, wanted, engine, NULL), "reorder's description");
  ok(dnnl_primitive_create(&reorder, copy), "reorder");
  const dnnl_exec_arg_t move[] = { { DNNL_ARG_FROM, plain }, { DNNL_ARG_TO, packed } };
  ok(dnnl_primitive_execute(reorder, stream, 2, move), "reorder");
  ok(dnnl_stream_wait(stream), "wait");
  ok(dnnl_primitive_create(&matmul, plan), "matmul");
  operands[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, left };
  operands[1] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, packed };
  operands[2] = (dnnl_exec_arg_t){ DNNL_ARG_DST, out };
}

static double best(void (*run)(const shape *), const shape *s) {
  const double flops = 2.0 * s->m * s->n * s->k, wanted = 2e-3;
  double least = 1e30, t = now();
  run(s);
  int calls = 1;
  while ((t = now() - t) < wanted / 2) { /* how many fill two milliseconds */
    calls *= 2;
    t = now();
    for (int i = 0; i < calls; i++) run(s);
  }
  for (int r = 0; r < 15; r++) {
    t = now();
    for (int i = 0; i < calls; i++) run(s);
    t = (now() - t) / calls;
    least = t < least ? t : least;
  }
  return flops / least * 1e-9;
}

int main(int argc, char **argv) {
  const size_t most = sizeof(float) * 1024 * 1024;
  dnnl_engine_t engine;
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (argc > 1 && !library) return fprintf(stderr, "rival_products: %s\n", dlerror()), 1;
  for (int i = 0; library && i < 2 && !openblas; i++) {
    void *symbol = dlsym(library, i ? "cblas_sgemm" : "scipy_cblas_sgemm");
    memcpy(&openblas, &symbol, sizeof openblas);
  }
  if (library && !openblas) return fprintf(stderr, "rival_products: %s: no cblas_sgemm in it\n", argv[1]), 1;
  a = aligned_alloc(64, most);
  b = aligned_alloc(64, most);
  c = aligned_alloc(64, most);
  if (!a || !b || !c) return fprintf(stderr, "rival_products: out of memory\n"), 1;
  for (int i = 0; i < 1024 * 1024; i++) {
    a[i] = (float)(i % 7 - 3);
    b[i] = (float)(i % 5 - 2);
  }
  ok(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  const dnnl_version_t *v = dnnl_version();
  printf("{\"version\": \"oneDNN %d.%d.%d\"", v->major, v->minor, v->patch);
  for (int i = 0; i < SHAPES; i++) {
    const shape *s = &shapes[i];
    char name[64];
    snprintf(name, sizeof name, "%c%c %dx%dx%d", s->a, s->b, s->m, s->n, s->k);
    printf(", \"sgemm %s\": %.2f", name, best(run_sgemm, s));
    pack(s, engine);
    printf(", \"packed %s\": %.2f", name, best(run_packed, s));
    if (openblas) printf(", \"openblas %s\": %.2f", name, best(run_openblas, s));
  }
  printf("}\n");
  return 0;
}
