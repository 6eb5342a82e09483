/* elements.c - tests of the element-wise family: step. */
#include "check.h"
#include <stddef.h>

#define N (c->s[0])
#define ALIASES(...) (const char *const[]){ __VA_ARGS__, NULL }

/* ---- step ------------------------------------------------------------------------------------------------------------- */
static void call_mix(const fl_kernels *k, call *c) {
  k->mix(N, c->p[0], c->p[1], c->s[1] & 1 ? c->p[2] : NULL, c->s[1] & 2 ? c->p[3] : NULL, c->s[1] & 4 ? c->p[4] : NULL, c->param);
}
void check_mix(check *t) {
  const fl_mix_args a = { 0.75f, -0.3f, 1.1f, 0.01f };
  for (size_t has = 0; has < 8; has++) {
    elementwise(t, call_mix, &(call){ .s = { 0, has }, .param = &a }, "oiiii", has == 7 ? ALIASES("01") : NULL);
  }
}

static void call_axpy(const fl_kernels *k, call *c) { k->axpy(N, c->p[0], c->f[0], c->p[1]); }
void check_axpy(check *t) { elementwise(t, call_axpy, &(call){ .f = { -0.37f } }, "xi", ALIASES("01")); }

static void call_scale(const fl_kernels *k, call *c) { k->scale(N, c->p[0], c->f[0], c->p[1]); }
void check_scale(check *t) { elementwise(t, call_scale, &(call){ .f = { 0.3f } }, "oi", ALIASES("01")); }

static void call_add(const fl_kernels *k, call *c) { k->add(N, c->p[0], c->p[1], c->p[2]); }
void check_add(check *t) { elementwise(t, call_add, &(call){ 0 }, "oii", ALIASES("01", "02")); }

static void call_sub(const fl_kernels *k, call *c) { k->sub(N, c->p[0], c->p[1], c->p[2]); }
void check_sub(check *t) { elementwise(t, call_sub, &(call){ 0 }, "oii", ALIASES("01", "02")); }

static void call_sgd(const fl_kernels *k, call *c) { k->sgd(N, c->p[0], c->p[1], c->f[0], c->f[1]); }
void check_sgd(check *t) { elementwise(t, call_sgd, &(call){ .f = { 0.999f, 0.1f } }, "xi", NULL); }

static void call_momentum(const fl_kernels *k, call *c) { k->momentum(N, c->p[0], c->p[1], c->p[2], c->param); }
void check_momentum(check *t) {
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    const fl_momentum_args a = { 0.9f, 0.7f, 0.05f, 0.9995f, nesterov };
    elementwise(t, call_momentum, &(call){ .param = &a }, "xxi", NULL);
  }
}

static void call_adamw(const fl_kernels *k, call *c) { k->adamw(N, c->p[0], c->p[1], c->p[2], c->p[3], c->param); }
void check_adamw(check *t) {
  const fl_adamw_args a = { 0.9f, 0.1f, 0.999f, 0.001f, 0.9999f, 0.003f, 1e-8f };
  elementwise(t, call_adamw, &(call){ .param = &a }, "xxxi", NULL);
}

static void call_muon(const fl_kernels *k, call *c) {
  k->muon_momentum(N, c->p[0], c->p[1], c->p[2], c->f[0], c->f[1], (int)c->s[1]);
}
void check_muon_momentum(check *t) {
  for (size_t nesterov = 0; nesterov < 2; nesterov++) {
    elementwise(t, call_muon, &(call){ .s = { 0, nesterov }, .f = { 0.95f, 0.05f } }, "xoi", NULL);
  }
}

/* ---- step: second moments and signs ----------------------------------------------------------------------------------- */
static const fl_adamw_args adam_args = { 0.9f, 0.1f, 0.99f, 0.01f, 0.9999f, 0.003f, 1e-8f };
static void call_amsgrad(const fl_kernels *k, call *c) { k->amsgrad(N, c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->param); }
void check_amsgrad(check *t) { elementwise(t, call_amsgrad, &(call){ .param = &adam_args }, "xxxxi", NULL); }
static void call_yogi(const fl_kernels *k, call *c) { k->yogi(N, c->p[0], c->p[1], c->p[2], c->p[3], c->param); }
void check_yogi(check *t) { elementwise(t, call_yogi, &(call){ .param = &adam_args }, "xxxi", NULL); }
static void call_signadam(const fl_kernels *k, call *c) { k->signadam(N, c->p[0], c->p[1], c->p[2], c->p[3], c->param); }
void check_signadam(check *t) { elementwise(t, call_signadam, &(call){ .param = &adam_args }, "xxxi", NULL); }

static void call_rmsprop(const fl_kernels *k, call *c) {
  k->rmsprop(N, c->p[0], c->p[1], c->s[1] & 1 ? c->p[2] : NULL, c->s[1] & 2 ? c->p[3] : NULL, c->p[4], c->param);
}
void check_rmsprop(check *t) {
  const fl_rmsprop_args a = { 0.99f, 0.01f, 0.9f, 0.5f, 0.02f, 1e-3f, 1e-8f };
  for (size_t has = 0; has < 4; has++) { elementwise(t, call_rmsprop, &(call){ .s = { 0, has }, .param = &a }, "xxxxi", NULL); }
}

static void call_lion(const fl_kernels *k, call *c) { k->lion(N, c->p[0], c->p[1], c->p[2], c->param); }
void check_lion(check *t) {
  const fl_lion_args a = { 0.9f, 0.1f, 0.99f, 0.01f, 0.9999f, 0.003f };
  elementwise(t, call_lion, &(call){ .param = &a }, "xxi", NULL);
}

static void call_sign_step(const fl_kernels *k, call *c) {
  k->sign_step(N, c->p[0], c->s[1] ? c->p[1] : NULL, c->p[2], c->param);
}
void check_sign_step(check *t) {
  const fl_sign_args a[2] = { { 0.9f, 0.1f, 0.9999f, 0.003f, 0.25f, 0.0f }, { 0.9f, 1.0f, 1.0f, 0.01f, 0.0f, 1.0f } };
  for (size_t has = 0; has < 2; has++) {
    for (int i = 0; i < 2; i++) { elementwise(t, call_sign_step, &(call){ .s = { 0, has }, .param = &a[i] }, "xxi", NULL); }
  }
}
static void call_sophia(const fl_kernels *k, call *c) { k->sophia(N, c->p[0], c->p[1], c->p[2], c->p[3], c->param); }
void check_sophia(check *t) {
  for (int floored = 0; floored < 2; floored++) {
    const fl_sophia_args a = { 0.96f, 0.04f, 0.3f, 1e-3f, 0.01f, 0.999f, floored };
    elementwise(t, call_sophia, &(call){ .param = &a }, "xxii", NULL);
  }
}
static void call_curvature(const fl_kernels *k, call *c) { k->curvature(N, c->p[0], c->f[0], c->f[1], c->p[1], c->p[2]); }
void check_curvature(check *t) { elementwise(t, call_curvature, &(call){ .f = { 0.99f, 0.01f } }, "xii", ALIASES("12")); }

/* ---- step: averages over time, adaptive searches ---------------------------------------------------------------------- */
static void call_ema(const fl_kernels *k, call *c) { k->ema(N, c->p[0], c->p[1], c->f[0], c->f[1]); }
void check_ema(check *t) { elementwise(t, call_ema, &(call){ .f = { 0.999f, 0.001f } }, "xi", NULL); }

static void call_towards(const fl_kernels *k, call *c) { k->towards(N, c->p[0], c->p[1], c->f[0]); }
void check_towards(check *t) { elementwise(t, call_towards, &(call){ .f = { 0.3f } }, "xi", NULL); }

static void call_stretch(const fl_kernels *k, call *c) { k->stretch(N, c->p[0], c->p[1], c->p[2], c->f[0]); }
void check_stretch(check *t) { elementwise(t, call_stretch, &(call){ .f = { 0.01f } }, "oii", ALIASES("01", "02")); }
