// A vector of one lane: the plainest member of the family simd_*.h, and so the place where its interface is explained.
//
// Every member is a struct of static functions over its register type `F`. Min and max return their second argument
// when either is NaN (as x86 does), so clamping with the bound first keeps NaN. Loads and stores need no alignment; a
// partial load fills with zeros and touches nothing beyond `count`. `kChains`: how many vectors fill the arithmetic units
// when each waits for its own last result, as far as registers allow.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace edgevision {

struct Scalar {
  using F = float;
  static constexpr int kLanes = 1, kQuad = 1, kChains = 1;

  static F set(float x) { return x; }
  static F load(const float* p) { return *p; }
  static F load(const float* p, int64_t count) { return count > 0 ? *p : 0.0f; }
  static void store(float* p, F x) { *p = x; }
  static void store(float* p, F x, int64_t count) {
    if (count > 0) *p = x;
  }

  static F fma(F a, F b, F c) { return a * b + c; }
  static F sqrt(F x) { return std::sqrt(x); }
  static F min(F a, F b) { return a < b ? a : b; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F negative_abs(F x, F most) { return max(-most, -std::fabs(x)); }  // -min(|x|, most); NaN may become -most

  // x, or a bound beyond which 2^x is 0 or infinity all the same, where `split` and `scale` need one.
  static F representable(F x) { return min(set(160.0f), max(set(-160.0f), x)); }
  // x = n + r with n integral and |r| <= 1/2, so that 2^x keeps its digits where it is nearly 1.
  static F split(F x, F& n) {
    n = std::nearbyint(x);
    return x - n;
  }
  // p * 2^n for integral |n| <= 160, in two steps so that a denormal result is rounded once.
  static F scale(F p, F n) {
    if (n != n) return n;
    const int whole = static_cast<int>(n), half = whole >> 1;
    return p * power(half) * power(whole - half);
  }

  // Even and odd elements of the 2 * kLanes floats (a, b), and back.
  static void deinterleave(F a, F b, F& even, F& odd) { even = a, odd = b; }
  static void interleave(F even, F odd, F& a, F& b) { a = even, b = odd; }

  // A block of kLanes x kLanes in registers is turned in two steps, on floats and on groups of kQuad of them: rows
  // i, i + kQuad, i + 2 kQuad … exchange their groups, then what holds the same group of neighbouring rows is turned
  // within the group.
  static void transpose_quads(F (&)[kQuad]) {}
  static void exchange_quads(F (&)[kLanes / kQuad]) {}

  // Bytes as numbers, and numbers that are in a byte's range as bytes, rounded to the nearest, half to even; `count` as in
  // loads and stores. `leading`: the lanes from `count` on become zero.
  template <bool kSigned>
  static F bytes(const uint8_t* p, int64_t count = kLanes) {
    return count > 0 ? kSigned ? static_cast<float>(static_cast<int8_t>(*p)) : static_cast<float>(*p) : 0.0f;
  }
  static void store_bytes(uint8_t* p, F x, int64_t count) {
    if (count > 0) *p = static_cast<uint8_t>(static_cast<int>(std::nearbyint(x)));
  }
  static F leading(F x, int64_t count) { return count > 0 ? x : 0.0f; }

  // 256 floats; `of`: those that `count` bytes name.
  struct Floats {
    explicit Floats(const float* from) : table(from) {}
    F of(const uint8_t* p, int64_t count) const { return count > 0 ? table[*p] : 0.0f; }
    const float* table;
  };

  // 256 bytes to look others up in, kWidth at a time.
  struct Bytes {
    static constexpr int64_t kWidth = 1;
    explicit Bytes(const uint8_t* from) : table(from) {}
    void translate(const uint8_t* x, uint8_t* y) const { *y = table[*x]; }
    const uint8_t* table;
  };

 private:
  static float power(int n) {
    const uint32_t bits = static_cast<uint32_t>(n + 127) << 23;
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
};

}  // namespace edgevision
