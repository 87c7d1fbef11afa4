// Sixteen floats of AVX-512 (F, DQ, VL, BW); see simd_scalar.h for what each member means.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgevision {

struct Avx512 {
  using F = __m512;
  static constexpr int kLanes = 16, kQuad = 4, kChains = 8;

  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, F x, int64_t count) { _mm512_mask_storeu_ps(p, first(count), x); }

  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F sqrt(F x) { return _mm512_maskz_sqrt_ps(0xffff, x); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F negative_abs(F x, F most) { return _mm512_range_ps(x, most, 0xe); }  // the lesser magnitude, sign set

  // VREDUCEPS gives 0 for infinities and VSCALEFPS saturates by itself, so no bound is needed.
  static F representable(F x) { return x; }
  static F split(F x, F& n) {
    const F r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    n = x - r;
    return r;
  }
  static F scale(F p, F n) { return _mm512_scalef_ps(p, n); }

  static void deinterleave(F a, F b, F& even, F& odd) {
    const __m512i pick = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    even = _mm512_permutex2var_ps(a, pick, b);
    odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(pick, _mm512_set1_epi32(1)), b);
  }
  static void interleave(F even, F odd, F& a, F& b) {
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    a = _mm512_permutex2var_ps(even, low, odd);
    b = _mm512_permutex2var_ps(even, _mm512_add_epi32(low, _mm512_set1_epi32(8)), odd);
  }

  static void transpose_quads(F (&v)[kQuad]) {
    const F ab = _mm512_unpacklo_ps(v[0], v[1]), AB = _mm512_unpackhi_ps(v[0], v[1]);
    const F cd = _mm512_unpacklo_ps(v[2], v[3]), CD = _mm512_unpackhi_ps(v[2], v[3]);
    v[0] = _mm512_shuffle_ps(ab, cd, 0x44);
    v[1] = _mm512_shuffle_ps(ab, cd, 0xee);
    v[2] = _mm512_shuffle_ps(AB, CD, 0x44);
    v[3] = _mm512_shuffle_ps(AB, CD, 0xee);
  }
  static void exchange_quads(F (&v)[kLanes / kQuad]) {
    const F ab = _mm512_shuffle_f32x4(v[0], v[1], 0x44), AB = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
    const F cd = _mm512_shuffle_f32x4(v[2], v[3], 0x44), CD = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_f32x4(ab, cd, 0x88);
    v[1] = _mm512_shuffle_f32x4(ab, cd, 0xdd);
    v[2] = _mm512_shuffle_f32x4(AB, CD, 0x88);
    v[3] = _mm512_shuffle_f32x4(AB, CD, 0xdd);
  }

  template <bool kSigned>
  static F bytes(const uint8_t* p, int64_t count = kLanes) {
    const __m128i some = _mm_maskz_loadu_epi8(first(count), p);
    return _mm512_cvtepi32_ps(kSigned ? _mm512_cvtepi8_epi32(some) : _mm512_cvtepu8_epi32(some));
  }
  static void store_bytes(uint8_t* p, F x, int64_t count) {
    _mm_mask_storeu_epi8(p, first(count), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
  }
  static F leading(F x, int64_t count) { return _mm512_maskz_mov_ps(first(count), x); }

  // In registers: a permutation picks of 32, the bits above choose. A gather takes twice as long here.
  struct Floats {
    explicit Floats(const float* from) {
      for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_ps(from + 16 * i);
    }
    F of(const uint8_t* p, int64_t count) const {
      const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first(count), p));
      const __mmask16 odd = bit(at, 32), upper = bit(at, 64), far = bit(at, 128);
      const auto one = [&](int i) { return _mm512_permutex2var_ps(rows[2 * i], at, rows[2 * i + 1]); };
      const auto two = [&](int i) { return _mm512_mask_blend_ps(odd, one(i), one(i + 1)); };
      const auto four = [&](int i) { return _mm512_mask_blend_ps(upper, two(i), two(i + 2)); };
      return leading(_mm512_mask_blend_ps(far, four(0), four(4)), count);
    }
    static __mmask16 bit(__m512i x, int which) { return _mm512_test_epi32_mask(x, _mm512_set1_epi32(which)); }
    __m512 rows[16];
  };

  // Sixteen rows of sixteen bytes: the low half of a byte picks in each, the bits of the high half between them.
  struct Bytes {
    static constexpr int64_t kWidth = 64;
    explicit Bytes(const uint8_t* from) {
      for (int i = 0; i < 16; ++i)
        rows[i] = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i));
    }
    void translate(const uint8_t* x, uint8_t* y) const {
      const __m512i whole = _mm512_loadu_si512(x), low = _mm512_and_si512(whole, _mm512_set1_epi8(15));
      const __mmask64 odd = bit(whole, 16), upper = bit(whole, 32), far = bit(whole, 64);
      const auto two = [&](int i) {
        return _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(rows[i], low), odd, rows[i + 1], low);
      };
      const auto four = [&](int i) { return _mm512_mask_blend_epi8(upper, two(i), two(i + 2)); };
      const auto eight = [&](int i) { return _mm512_mask_blend_epi8(far, four(i), four(i + 4)); };
      _mm512_storeu_si512(y, _mm512_mask_blend_epi8(_mm512_movepi8_mask(whole), eight(0), eight(8)));
    }
    static __mmask64 bit(__m512i x, int which) {
      return _mm512_test_epi8_mask(x, _mm512_set1_epi8(static_cast<char>(which)));
    }
    __m512i rows[16];
  };

 private:
  static __mmask16 first(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  }
};

}  // namespace edgevision
