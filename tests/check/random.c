/* random.c - tests of the draws. */
#include "check.h"

#define N (c->s[0])

static void call_bits(const fl_kernels *k, call *c) { k->bits(N, c->p[0], c->s[1], c->param); }
static void call_uniform(const fl_kernels *k, call *c) { k->uniform(N, c->p[0], c->s[1], c->param); }
static void call_gaussian(const fl_kernels *k, call *c) { k->gaussian(N, c->p[0], c->s[1], c->param); }

static fl_key some_key(check *t) {
  const uint64_t high = rnd(t);
  return (fl_key){ high << 32 | rnd(t), 1 + (uint32_t)rnd_below(t, 254), (uint32_t)rnd_below(t, 1u << 24), rnd(t), rnd(t) };
}

static void draws(check *t, caller f, char type, float prob) {
  static const size_t first[] = { 0, 1, 15, 16, 63, 64, 100, 1u << 20 };
  char what[64];
  for (size_t n = 0; n != SIZE_MAX; n = next_length(t, n)) {
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
      const fl_key key = some_key(t);
      const arg a = { 'o', type, n, NULL, -1, 0, 0 };
      snprintf(what, sizeof what, "n=%zu first=%zu", n, first[i]);
      run_case(t, what, f, &(call){ .s = { n, first[i] }, .f = { prob, 1.25f }, .param = &key }, 1, &a);
    }
  }
}

/* The definition, element by element from Philox itself: an error common to all tables must not pass. */
void check_bits(check *t) {
  enum { COUNT = 300 };
  draws(t, call_bits, 'u', 0);
  const fl_key key = some_key(t);
  uint32_t got[COUNT];
  t->dut->bits(COUNT, got, 77, &key);
  for (size_t i = 0; i < COUNT; i++) {
    const size_t e = 77 + i;
    const uint32_t counter[4] = { (uint32_t)(16 * (e / 64) + e % 16), key.step, key.client, key.purpose << 24 | key.round };
    uint32_t word[4];
    fl_philox(counter, key.seed, word);
    if (got[i] != word[(e / 16) % 4]) { fail(t, "element %zu is %08x, Philox gives %08x", e, got[i], word[(e / 16) % 4]); break; }
  }
}
void check_uniform(check *t) { draws(t, call_uniform, 'f', 0); }
void check_gaussian(check *t) { draws(t, call_gaussian, 'f', 0); }

static void call_rademacher(const fl_kernels *k, call *c) { k->rademacher(N, c->p[0], c->s[1], c->param); }
static void call_bernoulli(const fl_kernels *k, call *c) {
  k->bernoulli(N, c->p[0], c->s[1], c->param, (double)c->f[0], c->f[1]);
}
static void call_gamma(const fl_kernels *k, call *c) { k->gamma(N, c->p[0], c->s[1], c->param, (double)c->f[0]); }
void check_gamma(check *t) {
  static const float alpha[] = { 0.3f, 1.0f, 7.5f, 0.0f };
  for (size_t i = 0; i < sizeof alpha / sizeof *alpha; i++) { draws(t, call_gamma, 'f', alpha[i]); }
}
void check_rademacher(check *t) { draws(t, call_rademacher, 'f', 0); }
void check_bernoulli(check *t) {
  static const float prob[] = { 0.5f, 0.1f, 0.0f, 1.0f, 0x1p-20f, 1.0f - 0x1p-24f };
  for (size_t i = 0; i < sizeof prob / sizeof *prob; i++) { draws(t, call_bernoulli, 'f', prob[i]); }
}
