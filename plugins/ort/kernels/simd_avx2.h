// Eight floats of AVX2 with FMA; see simd_scalar.h for what each member means.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace edgevision {

struct Avx2 {
  using F = __m256;
  static constexpr int kLanes = 8, kQuad = 4, kChains = 4;

  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load(const float* p, int64_t count) { return _mm256_maskload_ps(p, first(count)); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, F x, int64_t count) { _mm256_maskstore_ps(p, first(count), x); }

  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F sqrt(F x) { return _mm256_sqrt_ps(x); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F negative_abs(F x, F most) { return max(set(0.0f) - most, _mm256_or_ps(x, _mm256_set1_ps(-0.0f))); }

  static F representable(F x) { return min(set(160.0f), max(set(-160.0f), x)); }
  static F split(F x, F& n) {
    n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return x - n;
  }
  static F scale(F p, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return p * power(half) * power(_mm256_sub_epi32(whole, half));
  }

  static void deinterleave(F a, F b, F& even, F& odd) {
    const F low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    even = _mm256_shuffle_ps(low, high, 0x88);
    odd = _mm256_shuffle_ps(low, high, 0xdd);
  }
  static void interleave(F even, F odd, F& a, F& b) {
    const F low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);
    a = _mm256_permute2f128_ps(low, high, 0x20);
    b = _mm256_permute2f128_ps(low, high, 0x31);
  }

  static void transpose_quads(F (&v)[kQuad]) {
    const F ab = _mm256_unpacklo_ps(v[0], v[1]), AB = _mm256_unpackhi_ps(v[0], v[1]);
    const F cd = _mm256_unpacklo_ps(v[2], v[3]), CD = _mm256_unpackhi_ps(v[2], v[3]);
    v[0] = _mm256_shuffle_ps(ab, cd, 0x44);
    v[1] = _mm256_shuffle_ps(ab, cd, 0xee);
    v[2] = _mm256_shuffle_ps(AB, CD, 0x44);
    v[3] = _mm256_shuffle_ps(AB, CD, 0xee);
  }
  static void exchange_quads(F (&v)[kLanes / kQuad]) {
    const F low = _mm256_permute2f128_ps(v[0], v[1], 0x20);
    v[1] = _mm256_permute2f128_ps(v[0], v[1], 0x31);
    v[0] = low;
  }

  template <bool kSigned>
  static F bytes(const uint8_t* p, int64_t count = kLanes) {
    int64_t some = 0;
    std::memcpy(&some, p, static_cast<size_t>(count < kLanes ? count : kLanes));
    const __m128i eight = _mm_cvtsi64_si128(some);
    return _mm256_cvtepi32_ps(kSigned ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight));
  }
  static void store_bytes(uint8_t* p, F x, int64_t count) {
    const __m256i whole = _mm256_and_si256(_mm256_cvtps_epi32(x), _mm256_set1_epi32(255));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const int64_t eight = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    std::memcpy(p, &eight, static_cast<size_t>(count < kLanes ? count : kLanes));
  }
  static F leading(F x, int64_t count) { return _mm256_and_ps(x, _mm256_castsi256_ps(first(count))); }

  struct Floats {
    explicit Floats(const float* from) : table(from) {}
    F of(const uint8_t* p, int64_t count) const {
      int64_t some = 0;
      std::memcpy(&some, p, static_cast<size_t>(count < kLanes ? count : kLanes));
      const F found = _mm256_i32gather_ps(table, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(some)), 4);
      return count < kLanes ? leading(found, count) : found;
    }
    const float* table;
  };

  // Sixteen rows of sixteen bytes: the low half of a byte picks in each, the bits of the high half between them.
  struct Bytes {
    static constexpr int64_t kWidth = 32;
    explicit Bytes(const uint8_t* from) {
      for (int i = 0; i < 16; ++i)
        rows[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i));
    }
    void translate(const uint8_t* x, uint8_t* y) const {
      const __m256i whole = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
      const __m256i low = _mm256_and_si256(whole, _mm256_set1_epi8(15));
      // A blend goes by the highest bit of a byte; a shift of words brings no neighbour's bit there.
      const __m256i odd = _mm256_slli_epi16(whole, 3), upper = _mm256_slli_epi16(whole, 2),
                    far = _mm256_slli_epi16(whole, 1);
      const auto one = [&](int i) { return _mm256_shuffle_epi8(rows[i], low); };
      const auto two = [&](int i) { return _mm256_blendv_epi8(one(i), one(i + 1), odd); };
      const auto four = [&](int i) { return _mm256_blendv_epi8(two(i), two(i + 2), upper); };
      const auto eight = [&](int i) { return _mm256_blendv_epi8(four(i), four(i + 4), far); };
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm256_blendv_epi8(eight(0), eight(8), whole));
    }
    __m256i rows[16];
  };

 private:
  static F power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static __m256i first(int64_t count) {
    const int some = count >= 8 ? 8 : count <= 0 ? 0 : static_cast<int>(count);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(some), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace edgevision
