// Four floats of AArch64 NEON; see simd_scalar.h for what each member means.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace edgevision {

struct Neon {
  using F = float32x4_t;
  static constexpr int kLanes = 4, kQuad = 4, kChains = 4;

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
  static F negative_abs(F x, F most) { return vnegq_f32(vminq_f32(vabsq_f32(x), most)); }

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

  static void transpose_quads(F (&v)[kQuad]) {
    const F a = vzip1q_f32(v[0], v[2]), b = vzip2q_f32(v[0], v[2]);
    const F c = vzip1q_f32(v[1], v[3]), d = vzip2q_f32(v[1], v[3]);
    v[0] = vzip1q_f32(a, c), v[1] = vzip2q_f32(a, c), v[2] = vzip1q_f32(b, d), v[3] = vzip2q_f32(b, d);
  }
  static void exchange_quads(F (&)[1]) {}

  template <bool kSigned>
  static F bytes(const uint8_t* p, int64_t count = kLanes) {
    int32_t some[kLanes] = {};
    for (int64_t i = 0; i < count && i < kLanes; ++i) some[i] = kSigned ? static_cast<int8_t>(p[i]) : p[i];
    return vcvtq_f32_s32(vld1q_s32(some));
  }
  static void store_bytes(uint8_t* p, F x, int64_t count) {
    int32_t some[kLanes];
    vst1q_s32(some, vcvtnq_s32_f32(x));
    for (int64_t i = 0; i < count && i < kLanes; ++i) p[i] = static_cast<uint8_t>(some[i]);
  }
  static F leading(F x, int64_t count) {
    float some[kLanes];
    store(some, x);
    for (int64_t i = count; i < kLanes; ++i) some[i] = 0.0f;
    return load(some);
  }

  struct Floats {
    explicit Floats(const float* from) : table(from) {}
    F of(const uint8_t* p, int64_t count) const {
      float some[kLanes] = {};
      for (int64_t i = 0; i < count && i < kLanes; ++i) some[i] = table[p[i]];
      return vld1q_f32(some);
    }
    const float* table;
  };

  // Four quarters of the table; a byte outside a quarter leaves what the others found.
  struct Bytes {
    static constexpr int64_t kWidth = 16;
    explicit Bytes(const uint8_t* from) {
      for (int i = 0; i < 4; ++i) quarters[i] = vld1q_u8_x4(from + 64 * i);
    }
    void translate(const uint8_t* x, uint8_t* y) const {
      const uint8x16_t whole = vld1q_u8(x), quarter = vdupq_n_u8(64);
      uint8x16_t left = whole, found = vqtbl4q_u8(quarters[0], left);
      for (int i = 1; i < 4; ++i) {
        left = vsubq_u8(left, quarter);
        found = vqtbx4q_u8(found, quarters[i], left);
      }
      vst1q_u8(y, found);
    }
    uint8x16x4_t quarters[4];
  };

 private:
  static F power(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
};

}  // namespace edgevision
