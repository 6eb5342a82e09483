/* scalar.h - the vocabulary in plain C: the reference that every ISA must equal, and the path of a machine without SIMD.
 * Compiled twice: for the baseline (fmaf from the C library, correctly rounded) and with -mfma. */
#include <math.h>
#define FL_VREGS 4
typedef struct { float f[16]; } v16;
typedef struct { uint32_t u[16]; } u16;
typedef struct { uint8_t b[16]; } m16;
typedef struct { double d[8]; } d8;
#define L16 for (int i = 0; i < 16; i++)
#define L8 for (int i = 0; i < 8; i++)
#define VF(expr) v16 r; L16 r.f[i] = (expr); return r
#define UF(expr) u16 r; L16 r.u[i] = (expr); return r
#define MF(expr) m16 r; L16 r.b[i] = (uint8_t)(expr); return r
#define DF(expr) d8 r; L8 r.d[i] = (expr); return r
static inline v16 v_set(float x) { VF(x); }
static inline v16 v_load(const float *p) { v16 r; memcpy(r.f, p, sizeof r.f); return r; }
static inline void v_store(float *p, v16 a) { memcpy(p, a.f, sizeof a.f); }
static inline v16 v_load_n(const float *p, size_t n, float fill) { VF((size_t)i < n ? p[i] : fill); }
static inline void v_store_n(float *p, size_t n, v16 a) { for (size_t i = 0; i < n; i++) p[i] = a.f[i]; }
static inline v16 v_add(v16 a, v16 b) { VF(a.f[i] + b.f[i]); }
static inline v16 v_sub(v16 a, v16 b) { VF(a.f[i] - b.f[i]); }
static inline v16 v_mul(v16 a, v16 b) { VF(a.f[i] * b.f[i]); }
static inline v16 v_div(v16 a, v16 b) { VF(a.f[i] / b.f[i]); }
static inline v16 v_sqrt(v16 a) { VF(sqrtf(a.f[i])); }
static inline v16 v_fma(v16 a, v16 b, v16 c) { VF(fmaf(a.f[i], b.f[i], c.f[i])); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { VF(fmaf(-a.f[i], b.f[i], c.f[i])); }
static inline v16 v_neg(v16 a) { VF(-a.f[i]); }
static inline v16 v_abs(v16 a) { VF(fabsf(a.f[i])); }
static inline v16 v_min(v16 a, v16 b) { VF(a.f[i] < b.f[i] ? a.f[i] : b.f[i]); }
static inline v16 v_max(v16 a, v16 b) { VF(a.f[i] > b.f[i] ? a.f[i] : b.f[i]); }
static inline m16 v_lt(v16 a, v16 b) { MF(a.f[i] < b.f[i]); }
static inline m16 v_gt(v16 a, v16 b) { MF(a.f[i] > b.f[i]); }
static inline m16 v_eq(v16 a, v16 b) { MF(a.f[i] == b.f[i]); }
static inline m16 v_ne(v16 a, v16 b) { MF(a.f[i] < b.f[i] || a.f[i] > b.f[i]); }
static inline m16 m_or(m16 a, m16 b) { MF(a.b[i] | b.b[i]); }
static inline m16 m_and(m16 a, m16 b) { MF(a.b[i] & b.b[i]); }
static inline m16 m_not(m16 a) { MF(!a.b[i]); }
static inline int m_any(m16 a) { int any = 0; L16 any |= a.b[i]; return any; }
static inline v16 v_keep(m16 m, v16 a) { VF(m.b[i] ? a.f[i] : 0.0f); }
static inline v16 v_sel(m16 m, v16 a, v16 b) { VF(m.b[i] ? a.f[i] : b.f[i]); }
static inline v16 v_even(v16 a, v16 b) { VF(i < 8 ? a.f[2 * i] : b.f[2 * i - 16]); }
static inline v16 v_odd(v16 a, v16 b) { VF(i < 8 ? a.f[2 * i + 1] : b.f[2 * i - 15]); }
static inline v16 v_zip_lo(v16 a, v16 b) { VF(i % 2 ? b.f[i / 2] : a.f[i / 2]); }
static inline v16 v_zip_hi(v16 a, v16 b) { VF(i % 2 ? b.f[8 + i / 2] : a.f[8 + i / 2]); }
static inline void v_turn(float *to, size_t ldto, const float *from, size_t ld, size_t rows) {
  for (size_t i = 0; i < 16; i++) {
    const float *row = from + (rows - 1 < i ? rows - 1 : i) * ld;
    for (size_t k = 0; k < 16; k++) to[k * ldto + i] = row[k];
  }
}
static inline u16 v_bits(v16 a) { u16 r; memcpy(&r, &a, sizeof r); return r; }
static inline v16 v_from_u(u16 a) { v16 r; memcpy(&r, &a, sizeof r); return r; }
static inline v16 v_float(u16 a) { VF((float)(int32_t)a.u[i]); }
static inline u16 v_int(v16 a) { UF((uint32_t)(int32_t)a.f[i]); }
static inline u16 u_set(uint32_t x) { UF(x); }
static inline u16 u_iota(void) { UF((uint32_t)i); }
static inline u16 u_load(const uint32_t *p) { u16 r; memcpy(r.u, p, sizeof r.u); return r; }
static inline void u_store(uint32_t *p, u16 a) { memcpy(p, a.u, sizeof a.u); }
static inline u16 u_add(u16 a, u16 b) { UF(a.u[i] + b.u[i]); }
static inline u16 u_sub(u16 a, u16 b) { UF(a.u[i] - b.u[i]); }
static inline u16 u_mul_even(u16 a, u16 b) { UF((uint32_t)(((uint64_t)a.u[i & ~1] * b.u[i & ~1]) >> 32 * (i & 1))); }
static inline u16 u_odd_down(u16 a) { UF(i & 1 ? 0 : a.u[i + 1]); }
static inline u16 u_join(u16 a, u16 b) { UF(i & 1 ? b.u[i - 1] : a.u[i]); }
static inline u16 u_and(u16 a, u16 b) { UF(a.u[i] & b.u[i]); }
static inline u16 u_or(u16 a, u16 b) { UF(a.u[i] | b.u[i]); }
static inline u16 u_xor(u16 a, u16 b) { UF(a.u[i] ^ b.u[i]); }
#define u_shl(a, k) u_shl_((a), (k))
#define u_shr(a, k) u_shr_((a), (k))
#define u_sar(a, k) u_sar_((a), (k))
static inline u16 u_shl_(u16 a, int k) { UF(a.u[i] << k); }
static inline u16 u_shr_(u16 a, int k) { UF(a.u[i] >> k); }
static inline u16 u_sar_(u16 a, int k) { UF((uint32_t)((int32_t)a.u[i] >> k)); }
static inline m16 u_eq(u16 a, u16 b) { MF(a.u[i] == b.u[i]); }
static inline m16 u_lt_s(u16 a, u16 b) { MF((int32_t)a.u[i] < (int32_t)b.u[i]); }
static inline u16 u_sel(m16 m, u16 a, u16 b) { UF(m.b[i] ? a.u[i] : b.u[i]); }
static inline d8 d_set(double x) { DF(x); }
static inline d8 d_add(d8 a, d8 b) { DF(a.d[i] + b.d[i]); }
static inline d8 d_sub(d8 a, d8 b) { DF(a.d[i] - b.d[i]); }
static inline d8 d_mul(d8 a, d8 b) { DF(a.d[i] * b.d[i]); }
static inline d8 d_fma(d8 a, d8 b, d8 c) { DF(fma(a.d[i], b.d[i], c.d[i])); }
static inline d8 d_abs(d8 a) { DF(fabs(a.d[i])); }
static inline double d_halve(d8 a) { return ((a.d[0] + a.d[4]) + (a.d[2] + a.d[6])) + ((a.d[1] + a.d[5]) + (a.d[3] + a.d[7])); }
static inline d8 d_widen(const float *p) { DF((double)p[i]); }
static inline d8 d_lo(v16 a) { DF((double)a.f[i]); }
#undef VF
#undef UF
#undef MF
#undef DF
#undef L16
#undef L8
