// Four floats of AArch64 NEON; see simd_scalar.h for what each member means.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace edgevision {

struct Neon {
  using F = float32x4_t;
  static constexpr int kLanes = 4;

  static F set(float x) { return vdupq_n_f32(x); }
  static F load(const float* p) { return vld1q_f32(p); }
  static F load(const float* p, int64_t count) {
    if (count >= 4) return load(p);
    float some[4] = {};
    for (int64_t i = 0; i < count; ++i) some[i] = p[i];
    return load(some);
  }
  static void store(float* p, F x) { vst1q_f32(p, x); }
  static void store(float* p, F x, int64_t count) {
    if (count >= 4) return store(p, x);
    float some[4];
    store(some, x);
    for (int64_t i = 0; i < count; ++i) p[i] = some[i];
  }

  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F sqrt(F x) { return vsqrtq_f32(x); }
  // NaN in either argument gives NaN, which is more than the family asks for.
  static F min(F a, F b) { return vminq_f32(a, b); }
  static F max(F a, F b) { return vmaxq_f32(a, b); }
  static F negative_abs(F x) { return vnegq_f32(vabsq_f32(x)); }

  static F representable(F x) { return min(set(160.0f), max(set(-160.0f), x)); }
  static F split(F x, F& n) {
    n = vrndnq_f32(x);
    return x - n;
  }
  static F scale(F p, F n) {
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return p * power(half) * power(vsubq_s32(whole, half));
  }

  static void deinterleave(F a, F b, F& even, F& odd) { even = vuzp1q_f32(a, b), odd = vuzp2q_f32(a, b); }
  static void interleave(F even, F odd, F& a, F& b) { a = vzip1q_f32(even, odd), b = vzip2q_f32(even, odd); }

  static void transpose(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
    const F r0 = load(src), r1 = load(src + src_stride), r2 = load(src + 2 * src_stride),
            r3 = load(src + 3 * src_stride);
    const F a = vzip1q_f32(r0, r2), b = vzip2q_f32(r0, r2), c = vzip1q_f32(r1, r3), d = vzip2q_f32(r1, r3);
    store(dst, vzip1q_f32(a, c));
    store(dst + dst_stride, vzip2q_f32(a, c));
    store(dst + 2 * dst_stride, vzip1q_f32(b, d));
    store(dst + 3 * dst_stride, vzip2q_f32(b, d));
  }

 private:
  static F power(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
};

}  // namespace edgevision
