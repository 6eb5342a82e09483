/* neon.h - the vocabulary on AArch64 Advanced SIMD: a v16 is four q registers. vfma is fused (vmla is not: never used);
 * min and max are compare and select, because FMIN/FMAX return NaN where x86 returns the second operand.
 *
 * instruction        Neoverse N1: latency, per cycle        Neoverse V1/V2
 * fmla  .4s          4 (2 accumulate), 2                    4 (2), 4
 * fdiv  .4s          7-10, 2/7                              7-10, 2/5
 * fsqrt .4s          7-10, 2/7                              7-11, 2/6
 * umull .2d          4, 1                                   4, 2 */
#include <arm_neon.h>
#define FL_VREGS 6
typedef struct { float32x4_t q[4]; } v16;
typedef struct { uint32x4_t q[4]; } u16;
typedef struct { uint32x4_t q[4]; } m16;
typedef struct { float64x2_t q[4]; } d8;
#define Q4(type, expr0, expr1, expr2, expr3) ((type){ { (expr0), (expr1), (expr2), (expr3) } })
#define V1(f, x) Q4(v16, f((x).q[0]), f((x).q[1]), f((x).q[2]), f((x).q[3]))
#define T2(type, f, x, y) Q4(type, f((x).q[0], (y).q[0]), f((x).q[1], (y).q[1]), f((x).q[2], (y).q[2]), f((x).q[3], (y).q[3]))
static inline v16 v_set(float x) { const float32x4_t r = vdupq_n_f32(x); return Q4(v16, r, r, r, r); }
static inline v16 v_load(const float *p) { return Q4(v16, vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)); }
static inline void v_store(float *p, v16 x) {
  vst1q_f32(p, x.q[0]); vst1q_f32(p + 4, x.q[1]); vst1q_f32(p + 8, x.q[2]); vst1q_f32(p + 12, x.q[3]);
}
static inline v16 v_load_n(const float *p, size_t n, float fill) {
  float t[16];
  v_store(t, v_set(fill));
  memcpy(t, p, n * sizeof *t);
  return v_load(t);
}
static inline void v_store_n(float *p, size_t n, v16 x) { float t[16]; v_store(t, x); memcpy(p, t, n * sizeof *t); }
static inline v16 v_add(v16 x, v16 y) { return T2(v16, vaddq_f32, x, y); }
static inline v16 v_sub(v16 x, v16 y) { return T2(v16, vsubq_f32, x, y); }
static inline v16 v_mul(v16 x, v16 y) { return T2(v16, vmulq_f32, x, y); }
static inline v16 v_div(v16 x, v16 y) { return T2(v16, vdivq_f32, x, y); }
static inline v16 v_sqrt(v16 x) { return V1(vsqrtq_f32, x); }
static inline v16 v_fma(v16 x, v16 y, v16 z) {
  return Q4(v16, vfmaq_f32(z.q[0], x.q[0], y.q[0]), vfmaq_f32(z.q[1], x.q[1], y.q[1]), vfmaq_f32(z.q[2], x.q[2], y.q[2]),
            vfmaq_f32(z.q[3], x.q[3], y.q[3]));
}
static inline v16 v_fnma(v16 x, v16 y, v16 z) {
  return Q4(v16, vfmsq_f32(z.q[0], x.q[0], y.q[0]), vfmsq_f32(z.q[1], x.q[1], y.q[1]), vfmsq_f32(z.q[2], x.q[2], y.q[2]),
            vfmsq_f32(z.q[3], x.q[3], y.q[3]));
}
static inline v16 v_neg(v16 x) { return V1(vnegq_f32, x); }
static inline v16 v_abs(v16 x) { return V1(vabsq_f32, x); }
static inline m16 v_lt(v16 x, v16 y) { return T2(m16, vcltq_f32, x, y); }
static inline m16 v_gt(v16 x, v16 y) { return T2(m16, vcgtq_f32, x, y); }
static inline m16 v_eq(v16 x, v16 y) { return T2(m16, vceqq_f32, x, y); }
static inline m16 m_or(m16 x, m16 y) { return T2(m16, vorrq_u32, x, y); }
static inline m16 m_and(m16 x, m16 y) { return T2(m16, vandq_u32, x, y); }
static inline m16 m_not(m16 x) { return Q4(m16, vmvnq_u32(x.q[0]), vmvnq_u32(x.q[1]), vmvnq_u32(x.q[2]), vmvnq_u32(x.q[3])); }
static inline m16 v_ne(v16 x, v16 y) { return m_or(v_lt(x, y), v_gt(x, y)); }
static inline int m_any(m16 x) {
  return vmaxvq_u32(vorrq_u32(vorrq_u32(x.q[0], x.q[1]), vorrq_u32(x.q[2], x.q[3]))) != 0;
}
static inline v16 v_sel(m16 m, v16 x, v16 y) {
  return Q4(v16, vbslq_f32(m.q[0], x.q[0], y.q[0]), vbslq_f32(m.q[1], x.q[1], y.q[1]), vbslq_f32(m.q[2], x.q[2], y.q[2]),
            vbslq_f32(m.q[3], x.q[3], y.q[3]));
}
static inline float32x4_t fl_keep4(uint32x4_t m, float32x4_t x) {
  return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(x)));
}
static inline v16 v_keep(m16 m, v16 x) { return T2(v16, fl_keep4, m, x); }
static inline v16 v_min(v16 x, v16 y) { return v_sel(v_lt(x, y), x, y); }
static inline v16 v_max(v16 x, v16 y) { return v_sel(v_gt(x, y), x, y); }
static inline v16 v_even(v16 x, v16 y) {
  return Q4(v16, vuzp1q_f32(x.q[0], x.q[1]), vuzp1q_f32(x.q[2], x.q[3]), vuzp1q_f32(y.q[0], y.q[1]), vuzp1q_f32(y.q[2], y.q[3]));
}
static inline v16 v_odd(v16 x, v16 y) {
  return Q4(v16, vuzp2q_f32(x.q[0], x.q[1]), vuzp2q_f32(x.q[2], x.q[3]), vuzp2q_f32(y.q[0], y.q[1]), vuzp2q_f32(y.q[2], y.q[3]));
}
static inline v16 v_zip_lo(v16 x, v16 y) {
  return Q4(v16, vzip1q_f32(x.q[0], y.q[0]), vzip2q_f32(x.q[0], y.q[0]), vzip1q_f32(x.q[1], y.q[1]), vzip2q_f32(x.q[1], y.q[1]));
}
static inline v16 v_zip_hi(v16 x, v16 y) {
  return Q4(v16, vzip1q_f32(x.q[2], y.q[2]), vzip2q_f32(x.q[2], y.q[2]), vzip1q_f32(x.q[3], y.q[3]), vzip2q_f32(x.q[3], y.q[3]));
}
static inline void v_turn(float *to, size_t ldto, const float *from, size_t ld, size_t rows) {
  for (size_t h = 0; h < 16; h += 4) {
    for (size_t k = 0; k < 16; k += 4) {
      float32x4_t r[4];
      for (size_t i = 0; i < 4; i++) r[i] = vld1q_f32(from + (rows - 1 < h + i ? rows - 1 : h + i) * ld + k);
      const float64x2_t a = vreinterpretq_f64_f32(vzip1q_f32(r[0], r[1])), b = vreinterpretq_f64_f32(vzip1q_f32(r[2], r[3]));
      const float64x2_t c = vreinterpretq_f64_f32(vzip2q_f32(r[0], r[1])), d = vreinterpretq_f64_f32(vzip2q_f32(r[2], r[3]));
      vst1q_f32(to + k * ldto + h, vreinterpretq_f32_f64(vzip1q_f64(a, b)));
      vst1q_f32(to + (k + 1) * ldto + h, vreinterpretq_f32_f64(vzip2q_f64(a, b)));
      vst1q_f32(to + (k + 2) * ldto + h, vreinterpretq_f32_f64(vzip1q_f64(c, d)));
      vst1q_f32(to + (k + 3) * ldto + h, vreinterpretq_f32_f64(vzip2q_f64(c, d)));
    }
  }
}
static inline u16 v_bits(v16 x) {
  return Q4(u16, vreinterpretq_u32_f32(x.q[0]), vreinterpretq_u32_f32(x.q[1]), vreinterpretq_u32_f32(x.q[2]),
            vreinterpretq_u32_f32(x.q[3]));
}
static inline v16 v_from_u(u16 x) { return V1(vreinterpretq_f32_u32, x); }
#define FL_CVT(x) vcvtq_f32_s32(vreinterpretq_s32_u32(x))
#define FL_TRUNC(x) vreinterpretq_u32_s32(vcvtq_s32_f32(x))
static inline v16 v_float(u16 x) { return V1(FL_CVT, x); }
static inline u16 v_int(v16 x) { return Q4(u16, FL_TRUNC(x.q[0]), FL_TRUNC(x.q[1]), FL_TRUNC(x.q[2]), FL_TRUNC(x.q[3])); }
static inline u16 u_set(uint32_t k) { const uint32x4_t r = vdupq_n_u32(k); return Q4(u16, r, r, r, r); }
static inline u16 u_load(const uint32_t *p) {
  return Q4(u16, vld1q_u32(p), vld1q_u32(p + 4), vld1q_u32(p + 8), vld1q_u32(p + 12));
}
static inline u16 u_iota(void) {
  static const uint32_t lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
  return u_load(lane);
}
static inline void u_store(uint32_t *p, u16 x) {
  vst1q_u32(p, x.q[0]); vst1q_u32(p + 4, x.q[1]); vst1q_u32(p + 8, x.q[2]); vst1q_u32(p + 12, x.q[3]);
}
static inline u16 u_add(u16 x, u16 y) { return T2(u16, vaddq_u32, x, y); }
static inline u16 u_sub(u16 x, u16 y) { return T2(u16, vsubq_u32, x, y); }
static inline uint32x4_t fl_mul_even4(uint32x4_t x, uint32x4_t y) {
  return vreinterpretq_u32_u64(vmull_u32(vmovn_u64(vreinterpretq_u64_u32(x)), vmovn_u64(vreinterpretq_u64_u32(y))));
}
static inline u16 u_mul_even(u16 x, u16 y) { return T2(u16, fl_mul_even4, x, y); }
#define FL_ODD_DOWN(x) vreinterpretq_u32_u64(vshrq_n_u64(vreinterpretq_u64_u32(x), 32))
static inline u16 u_odd_down(u16 x) {
  return Q4(u16, FL_ODD_DOWN(x.q[0]), FL_ODD_DOWN(x.q[1]), FL_ODD_DOWN(x.q[2]), FL_ODD_DOWN(x.q[3]));
}
static inline u16 u_join(u16 x, u16 y) { return T2(u16, vtrn1q_u32, x, y); }
static inline u16 u_and(u16 x, u16 y) { return T2(u16, vandq_u32, x, y); }
static inline u16 u_or(u16 x, u16 y) { return T2(u16, vorrq_u32, x, y); }
static inline u16 u_xor(u16 x, u16 y) { return T2(u16, veorq_u32, x, y); }
static inline uint32x4_t fl_shift4(uint32x4_t x, int k) { return vshlq_u32(x, vdupq_n_s32(k)); }
static inline uint32x4_t fl_sar4(uint32x4_t x, int k) {
  return vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(x), vdupq_n_s32(-k)));
}
static inline u16 u_shift_(u16 x, int k) {
  return Q4(u16, fl_shift4(x.q[0], k), fl_shift4(x.q[1], k), fl_shift4(x.q[2], k), fl_shift4(x.q[3], k));
}
#define u_shl(x, k) u_shift_((x), (k))
#define u_shr(x, k) u_shift_((x), -(k))
static inline u16 u_sar(u16 x, int k) {
  return Q4(u16, fl_sar4(x.q[0], k), fl_sar4(x.q[1], k), fl_sar4(x.q[2], k), fl_sar4(x.q[3], k));
}
static inline m16 u_eq(u16 x, u16 y) { return T2(m16, vceqq_u32, x, y); }
#define FL_LTS(x, y) vcltq_s32(vreinterpretq_s32_u32(x), vreinterpretq_s32_u32(y))
static inline m16 u_lt_s(u16 x, u16 y) { return T2(m16, FL_LTS, x, y); }
static inline u16 u_sel(m16 m, u16 x, u16 y) {
  return Q4(u16, vbslq_u32(m.q[0], x.q[0], y.q[0]), vbslq_u32(m.q[1], x.q[1], y.q[1]), vbslq_u32(m.q[2], x.q[2], y.q[2]),
            vbslq_u32(m.q[3], x.q[3], y.q[3]));
}
static inline d8 d_set(double x) { const float64x2_t r = vdupq_n_f64(x); return Q4(d8, r, r, r, r); }
static inline d8 d_add(d8 x, d8 y) { return T2(d8, vaddq_f64, x, y); }
static inline d8 d_sub(d8 x, d8 y) { return T2(d8, vsubq_f64, x, y); }
static inline d8 d_mul(d8 x, d8 y) { return T2(d8, vmulq_f64, x, y); }
static inline d8 d_fma(d8 x, d8 y, d8 z) {
  return Q4(d8, vfmaq_f64(z.q[0], x.q[0], y.q[0]), vfmaq_f64(z.q[1], x.q[1], y.q[1]), vfmaq_f64(z.q[2], x.q[2], y.q[2]),
            vfmaq_f64(z.q[3], x.q[3], y.q[3]));
}
static inline d8 fl_widen(float32x4_t x, float32x4_t y) {
  return Q4(d8, vcvt_f64_f32(vget_low_f32(x)), vcvt_high_f64_f32(x), vcvt_f64_f32(vget_low_f32(y)), vcvt_high_f64_f32(y));
}
static inline d8 d_abs(d8 x) { return Q4(d8, vabsq_f64(x.q[0]), vabsq_f64(x.q[1]), vabsq_f64(x.q[2]), vabsq_f64(x.q[3])); }
static inline double d_halve(d8 x) {
  const float64x2_t q = vaddq_f64(vaddq_f64(x.q[0], x.q[2]), vaddq_f64(x.q[1], x.q[3]));
  return vgetq_lane_f64(vaddq_f64(q, vextq_f64(q, q, 1)), 0);
}
static inline d8 d_widen(const float *p) { return fl_widen(vld1q_f32(p), vld1q_f32(p + 4)); }
static inline d8 d_lo(v16 x) { return fl_widen(x.q[0], x.q[1]); }
